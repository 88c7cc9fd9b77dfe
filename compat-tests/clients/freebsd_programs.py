# SPDX-License-Identifier: BSD-2-Clause
"""What runs on a FreeBSD Dom0: our library, Xen's tool stack, QEMU, and the guests' images."""

from __future__ import annotations

import gzip
import hashlib
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

from testbed import freebsd_boot, packages
from testbed.errors import TestbedError
from testbed.freebsd_sets import BASE_PROGRAMS, FreeBSD
from testbed.freebsd_vm import GUEST_ENVIRONMENT
from testbed.image import File

from . import images, programs
from .helper import END, END_CODE, GNTTAB, STORE_LIBRARY, STRESS, VCHAN
from .places import FREEBSD_KERNEL, FREEBSD_RAMDISK, INITRD, KERNEL
from .shell import DEBUG_KEY

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from devtools import environment, fio, qemu, xenlibs, xentools  # noqa: E402
from devtools.console import Console, DevError  # noqa: E402

_SRC = Path(__file__).resolve().parent / "src"
LIBRARIES = "/usr/local/lib"
SHELL = "/bin/xengnt-shell"
#: Where our library is on freebsd-base, whose tool stack runs on Xen's own.
APART = "/usr/local/xengnt/lib"
#: libxl passes "-vnc none" to every QEMU; one built without VNC refuses that.
DEVICE_MODEL = "/usr/local/lib/xen/bin/xengnt-qemu"
#: Xen's own library beside ours, for a separate QEMU.
THEIRS = "/usr/local/xengnt/theirs"
CPUTIME = "/bin/xengnt-cputime"
PROFILE = "/bin/xengnt-profile"
KERNEL_COSTS = "/bin/xengnt-kernelcosts"
_SCRIPTS = Path(__file__).resolve().parent
#: Our programs need these of Xen's libraries.
_XEN = ("toolcore", "toollog", "evtchn", "call", "foreignmemory", "devicemodel", "ctrl", "store",
        "vchan", "gnttab")  # fmt: skip
_GUEST_PROGRAMS = (
    "cat cmp cp cut date dd env fsck_ffs grep head ls mkdir mount newfs reboot rm sed sh sha256"
    " sleep stat stty sync sysctl tail test touch truncate umount uname wc"
).split()


class Programs:
    """Everything in addition to the testbed's own files, built and ready for an image."""

    def __init__(self, release: FreeBSD, cache: Path, library: Path | None = None) -> None:
        self._base = release
        self._release = release.shared()
        self._cache = cache
        self._scratch = cache / "freebsd/clients"
        self._scratch.mkdir(parents=True, exist_ok=True)
        console = Console()
        try:
            self._ours = environment.cross_library(console, self._release)
            self._compiler = xenlibs.compiler(self._release).split()
            self._clang = environment.require_clang()
            self._lld = self._clang.tool("ld.lld")
            self._tools = xentools.build(console, self._release, self._ours)
            self._qemu = qemu.build(console, self._release, self._ours)
        except DevError as error:
            raise TestbedError(str(error)) from error
        self._shown = library or self._ours
        self._where = self._tools.libraries["libxenvchan.so.4.17"].parents[2]

    def versions(self) -> dict[str, str]:
        """Versions of the third-party parts of the image."""
        return {"xen": self._tools.version, "qemu": qemu.version()}

    def places(self) -> dict[str, str]:
        """Paths of the tools by name."""
        found = {place.rsplit("/", 1)[-1]: place for place in self._tools.programs}
        return {**found, "qemu": xenlibs.QEMU}

    def library_digest(self, base: bool) -> str:
        """Digest of the library that the tool stack runs on."""
        path = self._tools.theirs if base else self._shown
        return hashlib.sha256(path.read_bytes()).hexdigest()

    def _built(self, name: str, sources: list[str], *options: str) -> Path:
        """A dynamic program or library; it builds fast enough to be made each time."""
        tools = self._where
        search: list[str] = []
        for part in _XEN:
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
        # Xen's header of the ring includes this without needing it.
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

    def _stripped(self, path: Path) -> Path:
        """Without symbols, because the root is read slowly."""
        # The path contains version and recipe.
        place = hashlib.sha256(str(path).encode()).hexdigest()[:12]
        target = self._scratch / f"stripped.{place}.{path.name}"
        if not target.exists() or target.stat().st_mtime <= path.stat().st_mtime:
            _run([self._clang.tool("llvm-objcopy"), "--strip-all", str(path), str(target)])
        return target

    def shared(self) -> list[File]:
        """For other programs: the base system's programs, Xen's libraries and ours, a shell."""
        libraries = self._tools.libraries
        return [
            *self._base.base_files(BASE_PROGRAMS, *libraries.values()),
            *(File(path, f"{LIBRARIES}/{name}", 0o444) for name, path in libraries.items()),
            File(self._shown, f"{LIBRARIES}/{xenlibs.SONAME}", 0o444),
            File(_SCRIPTS / "dom0-freebsd.sh", SHELL),
        ]

    def _stack(self) -> list[File]:
        """Xen's tool stack and QEMU, with everything they need except libxengnttab."""
        stack = {**self._tools.programs, xenlibs.QEMU: self._qemu}
        libraries = dict(self._tools.libraries)
        return [
            *self._base.base_files(BASE_PROGRAMS, *stack.values(), *libraries.values()),
            *(File(self._stripped(path), place) for place, path in stack.items()),
            *(File(path, f"{LIBRARIES}/{name}", 0o444) for name, path in libraries.items()),
            File(_SCRIPTS / "dom0-freebsd.sh", SHELL),
            File(_SCRIPTS / "qemu-without-vnc.sh", DEVICE_MODEL),
            File(b"", f"{xenlibs.SETTINGS['XEN_CONFIG_DIR']}/xl.conf", 0o444),
        ]

    def bench_files(
        self, selection: packages.Selection, own: images.Ours, guest: Iterable[File]
    ) -> list[File]:
        """For the disk benchmark: both libraries, a Linux guest with more files.

        Nothing is packed: unpacking would take longer than reading when the guest is created.
        """
        found = programs.collect(self._cache, selection, lambda _: None)
        initrd = images.guest_initrd(selection, found, own, fio_program(self._cache), guest)
        sources = ROOT / "compat-tests/disks/src"
        return [
            *self._stack(),
            File(self._shown, f"{LIBRARIES}/{xenlibs.SONAME}", 0o444),
            File(self._tools.theirs, f"{THEIRS}/{xenlibs.SONAME}", 0o444),
            File(self._built("cputime", [str(sources / "cputime.c")], "-lxenctrl"), CPUTIME),
            File(
                self._built(
                    "kernelcosts", [str(sources / "kernelcosts.c")], "-pthread", "-lxenevtchn"
                ),
                KERNEL_COSTS,
            ),
            File(self._base.program("xengnt-profile", [sources / "profile.c"]), PROFILE),
            File(selection.kernel, KERNEL, 0o444),
            File(initrd, INITRD, 0o444),
        ]  # fmt: skip

    def files(self, base: bool, selection: packages.Selection, own: images.Ours) -> list[File]:
        """Everything, as files of the root image; `base`: for Xen's own library."""
        peer = ROOT / "compat-tests/agent/peer"
        store = "libxenstore.so.4"
        versions = self._scratch / "xenstore.map"
        versions.write_text("VERS_4.0 { global: xs_*; local: *; };\n")
        stand_in = self._built(
            store, ["xenstore.c"], "-shared", "-fPIC", f"-Wl,-soname,{store}",
            f"-Wl,--version-script,{versions}",
        )  # fmt: skip
        channel = self._built("vchan", ["vchan.c"], "-lxenvchan")
        files = [
            *self._stack(),
            File(self._shown, f"{APART if base else LIBRARIES}/{xenlibs.SONAME}", 0o444),
            File(stand_in, f"{STORE_LIBRARY}/{store}", 0o444),
            File(
                self._built(
                    "gnttab", ["gnttab.c"],
                    "-lxengnttab", "-lxenevtchn", "-lxentoolcore", "-lxentoollog",
                ),
                GNTTAB,
            ),
            File(channel, VCHAN),
            File(self._built("debugkey", ["debugkey.c"], "-lxenctrl"), DEBUG_KEY),
            File(
                self._base.program(
                    "xengnt-end",
                    [_SRC / "end_dom0.c", peer / "runner.c", peer / "xen_freebsd.c"],
                    "-I", str(peer), "-I", str(_SRC),
                ),
                END,
            ),
            File(self._end_code(), END_CODE),
            File(self._base.program("xengnt-stress", [_SRC / "stress.c"]), STRESS),
            *images.empty_images(),
            *self._guests(selection, own),
        ]  # fmt: skip
        if base:
            files.append(File(self._tools.theirs, f"{LIBRARIES}/{xenlibs.SONAME}", 0o444))
        return files

    def _guests(self, selection: packages.Selection, own: images.Ours) -> list[File]:
        """Kernels and file systems of the guests; libxenguest unpacks them."""
        found = programs.collect(self._cache, selection, lambda _: None)
        initrd = images.guest_initrd(selection, found, own, fio_program(self._cache))
        root = freebsd_boot.iso_image([
            File(self._base.programs().init, "/sbin/init"),
            *self._base.base_files(_GUEST_PROGRAMS),
            File(_SCRIPTS / "guest/freebsd-init.sh", "/etc/guest"),
            File(_SCRIPTS / "guest/freebsd-disk.sh", "/bin/disk"),
        ])  # fmt: skip
        environment = {
            **GUEST_ENVIRONMENT,
            "xengnt.modules": "",
            "xengnt.run": "/bin/sh /etc/guest",
        }
        kernel = freebsd_boot.trampolined(self._base.kernel.read_bytes())
        contents = {
            KERNEL: selection.kernel.read_bytes(),
            INITRD: initrd,
            FREEBSD_KERNEL: kernel,
            FREEBSD_RAMDISK: freebsd_boot.metadata(environment, root),
        }
        return [
            File(gzip.compress(data, 6, mtime=0), place, 0o444) for place, data in contents.items()
        ]


def fio_program(cache: Path) -> bytes:
    """fio for the Linux guest, without symbols."""
    scratch = cache / "freebsd/clients"
    scratch.mkdir(parents=True, exist_ok=True)
    try:
        built = fio.build(Console())
    except DevError as error:
        raise TestbedError(str(error)) from error
    target = scratch / "stripped.fio"
    _run(["strip", "-o", str(target), str(built)])  # this machine's compiler has built the program
    return target.read_bytes()


def _run(argv: list[str]) -> None:
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        lines = [line for line in (done.stderr + done.stdout).splitlines() if "error" in line]
        raise TestbedError(f"{Path(argv[0]).name}: {(lines or ['failed'])[0]}")
