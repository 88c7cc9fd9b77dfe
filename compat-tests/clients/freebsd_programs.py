# SPDX-License-Identifier: BSD-2-Clause
"""What runs on a FreeBSD Dom0: our library, Xen's libraries, and the programs that use them."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path

from testbed.errors import TestbedError
from testbed.freebsd import FreeBSD
from testbed.image import File

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from devtools import consumers, environment, freebsd  # noqa: E402
from devtools.console import DevError  # noqa: E402
from devtools.paths import freebsd_build  # noqa: E402

_SRC = Path(__file__).resolve().parent / "src"
LIBRARIES = "/usr/local/lib"
SESSION = "/bin/xengnt-session"
GNTTAB = "/bin/xengnt-gnttab"
VCHAN = "/bin/xengnt-vchan"
END = "/bin/xengnt-end"
END_CODE = "/bin/xengnt-end.code"
PEER = "/bin/xengnt-peer"

#: Of FreeBSD's base system; libsys is there since 15.
_RUNTIME = ("libexec/ld-elf.so.1", "lib/libc.so.7", "lib/libthr.so.3")
_RUNTIME_15 = ("lib/libsys.so.7",)
#: Of Xen's; libxenstore is a stand-in, for no xenstored runs there.
_XEN = ("toolcore", "toollog", "evtchn", "call", "vchan")


class Programs:
    """Everything beside what the testbed itself brings, built and ready for an image."""

    def __init__(self, release: FreeBSD, cache: Path, library: Path | None = None) -> None:
        major = int(release.version.split(".")[0])
        if major not in freebsd.RELEASES:
            raise TestbedError(
                f"the shared libraries are built for FreeBSD"
                f" {' and '.join(map(str, freebsd.RELEASES))}, not for {release.version}"
            )
        self._base = release
        self._release = freebsd.RELEASES[major]
        self._scratch = cache / "freebsd/clients"
        self._scratch.mkdir(parents=True, exist_ok=True)
        build = freebsd_build(major)
        try:
            self._compiler = consumers.compiler(self._release).split()
            self._lld = environment.require_clang().tool("ld.lld")
            _run(["ninja", "-C", str(build), "libxengnttab-freebsd/libxengnttab.so.1.2"])
            self._ours = build / "libxengnttab-freebsd/libxengnttab.so.1.2"
            self._xen = {
                path.name.split(".")[0]: path
                for path in consumers.xen_libraries(self._release, self._ours)
            }
        except DevError as error:
            raise TestbedError(str(error)) from error
        self._shown = library or self._ours
        self._where = self._xen["libxenvchan"].parents[2]

    def packages(self) -> dict[str, str]:
        """What of others is in the image."""
        return {"xen": self._where.parent.name.rsplit("-", 1)[0].partition("_")[2]}

    def library_digest(self) -> str:
        return hashlib.sha256(self._shown.read_bytes()).hexdigest()

    def _built(self, name: str, sources: list[str], *options: str) -> Path:
        """A dynamic program, or library; quick enough to be made each time."""
        tools = self._where
        search: list[str] = []
        for part in (*_XEN, "store", "gnttab"):
            place = tools / "libs" / part
            search += ["-L", str(place), f"-Wl,-rpath-link,{place}"]
        target = self._scratch / name
        _run([
            *self._compiler, "-std=gnu17", "-O2", "-Wall", "-Wextra", "-I",
            str(tools / "include"), "-o", str(target), *(str(_SRC / s) for s in sources),
            *search, *options,
        ])  # fmt: skip
        return target

    def _end_code(self) -> Path:
        """The helper domain's program: bytes to be put at its address and run."""
        target = self._scratch / "xengnt-end.code"
        compiled = self._scratch / "xengnt-end.o"
        headers = self._base._xen_include()
        # Xen's header of the ring includes this, and needs nothing of it.
        empty = self._scratch / "include/sys/types.h"
        empty.parent.mkdir(parents=True, exist_ok=True)
        empty.touch()
        _run([
            self._compiler[0], "--target=i386-unknown-none-elf", "-std=gnu17", "-O2", "-Wall",
            "-Wextra", "-ffreestanding", "-fno-pic", "-mno-sse", "-mno-mmx", "-msoft-float",
            "-fno-stack-protector", "-fno-asynchronous-unwind-tables",
            "-fno-delete-null-pointer-checks", "-isystem", str(empty.parents[1]),
            "-isystem", str(headers), "-c", "-o", str(compiled), str(_SRC / "end_guest.c"),
        ])  # fmt: skip
        _run([
            self._lld, "-m", "elf_i386", "-T", str(_SRC / "end_guest.ld"), "--oformat=binary",
            "-o", str(target), str(compiled),
        ])  # fmt: skip
        return target

    def files(self) -> list[File]:
        """All of it, as files of the root image."""
        base = self._base.base
        runtime = [*_RUNTIME, *(_RUNTIME_15 if self._release.major >= 15 else ())]
        absent = [name for name in runtime if not (base / name).is_file()]
        if absent:
            raise TestbedError(f"{self._base.sets / 'base.txz'} has no {absent[0]}")
        peer = ROOT / "compat-tests/agent/peer"
        files = [File(base / name, f"/{name}", 0o555) for name in runtime]
        libraries = {consumers.SONAME: self._shown}
        for part in _XEN:
            path = self._xen[f"libxen{part}"]
            libraries[consumers.soname(path)] = path
        store = consumers.soname(self._xen["libxenstore"])
        versions = self._scratch / "xenstore.map"
        versions.write_text("VERS_4.0 { global: xs_*; local: *; };\n")
        libraries[store] = self._built(
            store, ["xenstore.c"], "-shared", "-fPIC", f"-Wl,-soname,{store}",
            f"-Wl,--version-script,{versions}",
        )  # fmt: skip
        files += [File(path, f"{LIBRARIES}/{name}", 0o444) for name, path in libraries.items()]
        files += [
            File(self._built("session", ["session.c"]), SESSION),
            File(
                self._built(
                    "gnttab", ["gnttab.c"],
                    "-lxengnttab", "-lxenevtchn", "-lxentoolcore", "-lxentoollog",
                ),
                GNTTAB,
            ),
            File(self._built("vchan", ["vchan.c"], "-lxenvchan"), VCHAN),
            File(
                self._base.program(
                    "xengnt-end",
                    [_SRC / "end_dom0.c", peer / "runner.c", peer / "xen_freebsd.c"],
                    "-I", str(peer), "-I", str(_SRC),
                ),
                END,
            ),
            File(self._end_code(), END_CODE),
        ]  # fmt: skip
        return files


def _run(argv: list[str]) -> None:
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        lines = [line for line in (done.stderr + done.stdout).splitlines() if "error" in line]
        raise TestbedError(f"{Path(argv[0]).name}: {(lines or ['failed'])[0]}")
