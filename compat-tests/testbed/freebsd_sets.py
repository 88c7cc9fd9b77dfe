# SPDX-License-Identifier: BSD-2-Clause
"""FreeBSD's release sets, and what is built from them: modules and programs.

`FreeBSD(directory, cache, progress)` takes ``base.txz``, ``kernel.txz`` and ``src.txz`` of one
release, unpacks what is needed into the cache and compiles with clang and lld alone.  Results are
kept by the contents of their inputs: the same sets and sources are built only once.
"""

from __future__ import annotations

import hashlib
import json
import lzma
import os
import re
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from agent import recipe
from elftools.elf.dynamic import DynamicSection
from elftools.elf.elffile import ELFFile

from devtools import freebsd_headers, freebsd_versions
from devtools.console import DevError
from devtools.freebsd_versions import NEWEST, Release
from devtools.locks import locked

from .errors import TestbedError
from .image import File

Progress = Callable[[str], None]

SETS = ("base.txz", "kernel.txz", "src.txz")
WHERE = (
    "the directory of a release on FreeBSD's mirrors "
    f"(download.freebsd.org/releases/amd64/{NEWEST.number}-RELEASE/) or on its installation media "
    "(usr/freebsd-dist)"
)

_ROOT = Path(__file__).resolve().parents[2]
_AGENT = _ROOT / "compat-tests/agent"
_LIBRARY = _ROOT / "libxengnttab-freebsd"
_XEN_HEADERS = Path("/usr/include")
_RECIPE = "6"

#: Modules of the release that a Linux program needs, in load order; some kernels have them built
#: in.
LINUX_MODULES = ("mqueuefs.ko", "linux_common.ko", "linux64.ko")

#: Programs of the base system for a Dom0 or a guest of the clients' runs.
BASE_PROGRAMS = (
    "awk cat chmod cmp cp cut date dd dmesg dumpfs env expr find fsck_ffs grep head kldload kldstat"
    " kldunload ldconfig ln ls mdconfig mkdir mount mv newfs pgrep procstat ps reboot rm sed sh"
    " sha256 sleep sort stat stty sync sysctl tail tee test touch tr true truncate umount uname wc"
).split()
_PROGRAM_PLACES = ("bin", "sbin", "usr/bin", "usr/sbin")
# On 13 the base system's programs find Casper's libraries in a directory of their own.
_LIBRARY_PLACES = ("lib/casper", "lib", "usr/lib")

_CFLAGS = ["-std=gnu17", "-O2", "-Wall", "-Wextra"]


def missing(directory: Path) -> list[str]:
    """The sets that a directory lacks."""
    return [name for name in SETS if not (directory / name).is_file()]


@dataclass(frozen=True)
class Programs:
    """Static FreeBSD programs."""

    init: Path
    relay: Path
    agent: Path
    peer: Path
    library: Path  # the agent with operations through libxengnttab


def _wanted_base(name: str) -> bool:
    # Static linking needs archives, start files and headers.  The linker scripts are included, and
    # for programs on a shared library the run-time linker.
    place, _, last = name.rpartition("/")
    return (
        name.startswith("usr/include/")
        or (place in _PROGRAM_PLACES and last in BASE_PROGRAMS)
        or re.fullmatch(
            r"usr/lib/[^/]+\.(a|o|so(\.\d+)?)|lib/(casper/)?[^/]+\.so\.\d+|libexec/ld-elf\.so\.1",
            name,
        )
        is not None
    )


def _wanted_kernel(name: str) -> bool:
    return name == "boot/kernel/kernel" or (
        name.startswith("boot/kernel/") and name.rsplit("/", 1)[-1] in LINUX_MODULES
    )


def _wanted_src(name: str) -> bool:
    if not name.startswith("usr/src/sys/"):
        return False
    # The largest parts, which a module outside the kernel does not use.
    parts = name.split("/")
    if parts[3] == "contrib":
        return parts[4:5] in (["ck"], ["xen"]) and name.endswith(".h")
    return parts[3] != "dev" or name.endswith(".h")


_WANTED: dict[str, Callable[[str], bool]] = {
    "base.txz": _wanted_base,
    "kernel.txz": _wanted_kernel,
    "src.txz": _wanted_src,
}


def _extract(
    path: Path,
    where: Path,
    wanted: Callable[[str], bool],
    names: Mapping[str, Sequence[str]] | None = None,
) -> dict[str, list[str]]:
    """Extracts the wanted members of a set below `where`, under other names if `names` has some;
    returns the hard links whose targets were not among them, by target."""
    missing: dict[str, list[str]] = {}
    # Unless lzma itself checks the end, a truncated set would pass as complete.
    with lzma.open(path) as data, tarfile.open(fileobj=data, mode="r|") as archive:
        for member in archive:
            name = os.path.normpath(member.name)
            if name.startswith(("/", "..")) or not wanted(name):
                continue
            first, *others = names[name] if names else [name]
            place = where / first
            place.parent.mkdir(parents=True, exist_ok=True)
            if member.isreg():
                source = archive.extractfile(member)
                assert source is not None
                with place.open("wb") as out:
                    shutil.copyfileobj(source, out, 1 << 20)
                for other in others:
                    os.link(place, where / other)
            elif member.issym() and not place.exists():
                place.symlink_to(member.linkname)
            elif member.islnk():
                target = os.path.normpath(member.linkname)
                if (where / target).exists():
                    os.link(where / target, place)
                else:
                    missing.setdefault(target, []).append(name)
        while data.read(1 << 20):
            pass
    return missing


def _digest(*parts: bytes | str) -> str:
    total = hashlib.sha256()
    for part in parts:
        data = part.encode() if isinstance(part, str) else part
        total.update(len(data).to_bytes(8, "little") + data)
    return total.hexdigest()[:24]


def _file_digest(path: Path) -> str:
    with path.open("rb") as source:
        return hashlib.file_digest(source, "sha256").hexdigest()


def _tool(name: str) -> str:
    """The newest clang or lld of this machine."""
    found = [
        (int(match[1] or 0), path)
        for place in os.environ.get("PATH", "").split(":")
        if place and Path(place).is_dir()
        for path in Path(place).glob(f"{name}*")
        if (match := re.fullmatch(rf"{re.escape(name)}(?:-(\d+))?", path.name))
        and os.access(path, os.X_OK)
    ]
    if not found:
        package = "lld" if name == "ld.lld" else name
        raise TestbedError(f"{name} not found: install {package} (16 or newer)")
    return str(max(found)[1])


class FreeBSD:
    """One release, unpacked."""

    def __init__(self, sets: Path, cache: Path, progress: Progress | None = None) -> None:
        if absent := missing(sets):
            raise TestbedError(f"{sets} lacks {', '.join(absent)}: {WHERE} has them")
        self.sets = sets
        self._cache = cache / "freebsd"
        self._progress: Progress = progress or (lambda _: None)

    # ---- unpacking

    def _unpacked(self, name: str) -> Path:
        """One set in the cache, by its contents; size and time tell whether it must be read
        again."""
        path = self.sets / name
        state = path.stat()
        memo = self._cache / "digests.json"
        key = f"{path.resolve()} {state.st_size} {state.st_mtime_ns}"
        with locked(self._cache / ".lock"):
            known = json.loads(memo.read_text()) if memo.exists() else {}
            if key not in known:
                known[key] = _file_digest(path)
                memo.write_text(json.dumps(known))
            target = self._cache / f"{path.stem}-{_digest(_RECIPE, known[key])}"
            if not target.exists():
                self._progress(f"unpacking {name}")
                self._unpack(path, target)
        return target

    def _unpack(self, path: Path, target: Path) -> None:
        scratch = target.with_name(f".{target.name}.new")
        shutil.rmtree(scratch, ignore_errors=True)
        scratch.mkdir(parents=True)
        wanted = _WANTED[path.name]
        try:
            # A hard link's contents may be under another name, unwanted and before it: these are
            # extracted in a second pass.
            links = _extract(path, scratch, wanted)
            if links:
                _extract(path, scratch, links.__contains__, links)
        except (tarfile.TarError, lzma.LZMAError, EOFError, OSError) as error:
            shutil.rmtree(scratch, ignore_errors=True)
            raise TestbedError(f"{path}: cannot unpack it: {error}") from None
        scratch.rename(target)

    @cached_property
    def base(self) -> Path:
        """A sysroot: headers and static libraries."""
        root = self._unpacked("base.txz")
        if not (root / "usr/lib/libc.a").is_file():
            raise TestbedError(f"{self.sets / 'base.txz'} has no usr/lib/libc.a")
        return root

    @cached_property
    def kernel(self) -> Path:
        path = self._unpacked("kernel.txz") / "boot/kernel/kernel"
        if not path.is_file():
            raise TestbedError(f"{self.sets / 'kernel.txz'} has no boot/kernel/kernel")
        return path

    @cached_property
    def source(self) -> Path:
        root = self._unpacked("src.txz") / "usr/src"
        if not (root / "sys/kern/bus_if.m").is_file():
            raise TestbedError(f"{self.sets / 'src.txz'} has no usr/src/sys")
        return root

    @cached_property
    def _number(self) -> int:
        """__FreeBSD_version, from the sources."""
        text = (self.source / "sys/sys/param.h").read_text()
        found = re.search(r"^#define\s+__FreeBSD_version\s+(\d+)", text, re.M)
        if found is None:
            raise TestbedError(f"{self.sets / 'src.txz'} names no version in sys/param.h")
        return int(found[1])

    @property
    def version(self) -> str:
        """For example "15.1"."""
        return freebsd_versions.dotted(self._number)

    def shared(self) -> Release:
        """What programs on the release's shared libraries are built with."""
        release = freebsd_versions.of(self._number)
        if not release.wheel:
            try:
                freebsd_headers.take(release, self.base)
            except DevError as error:
                raise TestbedError(f"{self.sets}: {error}") from None
        return release

    def base_files(self, names: Sequence[str], *programs: Path) -> list[File]:
        """Programs of the base system, with the libraries that they and `programs` need."""
        files, todo = {}, list(programs)
        for name in names:
            path = next((p for d in _PROGRAM_PLACES if (p := self.base / d / name).is_file()), None)
            if path is None:
                raise TestbedError(f"{self.sets / 'base.txz'} has no program {name}")
            files[f"/{path.relative_to(self.base)}"] = path
            todo.append(path)
        files["/libexec/ld-elf.so.1"] = self.base / "libexec/ld-elf.so.1"
        while todo:
            needing = todo.pop()
            for name in _needed(needing):
                path = next((p for d in _LIBRARY_PLACES if (p := self.base / d / name).is_file()),
                            None)  # fmt: skip
                if path is None and needing.is_relative_to(self.base):
                    raise TestbedError(
                        f"{self.sets / 'base.txz'} has no {name}, which {needing.name} needs"
                    )
                # Other libraries are added by those who bring them.
                if path is not None and (place := f"/{path.relative_to(self.base)}") not in files:
                    files[place] = path
                    todo.append(path)
        return [File(path, place, 0o555) for place, path in sorted(files.items())]

    def linux_modules(self) -> list[Path]:
        """The release's modules for Linux programs, in load order."""
        return [p for name in LINUX_MODULES if (p := self.kernel.parent / name).is_file()]

    # ---- building

    def _built(self, name: str, inputs: Sequence[Path], make: Callable[[Path], None]) -> Path:
        """The file that `make` writes, kept by the inputs' contents."""
        text = "".join(f"{path.name} {_file_digest(path)}\n" for path in sorted(inputs))
        where = (self.base.name, self.source.name, self.kernel.parents[2].name)
        target = self._cache / "built" / f"{name}-{_digest(_RECIPE, *where, text)}"
        with locked(self._cache / "built/.lock"):
            if not target.exists():
                self._progress(f"building {name} for FreeBSD {self.version}")
                scratch = target.with_name(f".{target.name}.new")
                make(scratch)
                scratch.rename(target)
        return target

    def module(self, name: str) -> Path:
        """xengnt.ko or xengnt_linux.ko, built from this tree."""
        kernel = _ROOT / "kernel"
        sources = sorted((kernel / "linux" if name.endswith("_linux.ko") else kernel).glob("*.c"))
        inputs = [*sources, *kernel.rglob("*.h"), kernel / "tools/kmod.py"]

        def make(target: Path) -> None:
            work = target.with_suffix(".work")
            shutil.rmtree(work, ignore_errors=True)
            _run(
                [
                    sys.executable, str(kernel / "tools/kmod.py"),
                    "--src", str(self.source),
                    "--clang", _tool("clang"), "--lld", _tool("ld.lld"),
                    "--include", str(kernel / "include"),
                    "--work", str(work), "--output", str(target), *map(str, sources),
                ]
            )  # fmt: skip
            shutil.rmtree(work)

        return self._built(name, inputs, make)

    def program(self, name: str, sources: Sequence[Path], *options: str) -> Path:
        """A static program for this release, with this project's and Xen's headers."""
        inputs = [*sources, *_AGENT.rglob("*.h"), *(_ROOT / "kernel").rglob("*.h")]
        if options:
            inputs += _LIBRARY.rglob("*.h")

        def make(target: Path) -> None:
            include = self._xen_include()
            _run(
                [
                    _tool("clang"), f"--target=x86_64-unknown-freebsd{self.version}",
                    f"--sysroot={self.base}", f"--ld-path={_tool('ld.lld')}", *_CFLAGS,
                    *options, "-I", str(_ROOT / "kernel/include"), "-isystem", str(include),
                    "-static", "-pthread", "-o", str(target), *map(str, sources),
                ]
            )  # fmt: skip

        return self._built(name, inputs, make)

    def _xen_include(self) -> Path:
        """This machine's Xen headers, without its other headers."""
        if not (_XEN_HEADERS / "xenctrl.h").is_file():
            raise TestbedError(f"no {_XEN_HEADERS / 'xenctrl.h'}: install libxen-dev")
        where = self._cache / "xen-include"
        where.mkdir(parents=True, exist_ok=True)
        for header in [_XEN_HEADERS / "xen", *_XEN_HEADERS.glob("xen*.h")]:
            link = where / header.name
            if not link.is_symlink():
                link.symlink_to(header)
        return where

    def programs(self) -> Programs:
        """Init, relay, agent and peer."""
        dom0, peer = _AGENT / "dom0", _AGENT / "peer"
        return Programs(
            init=self.program(
                "xengnt-init", [dom0 / name for name in ("init_freebsd.c", "events_freebsd.c")]
            ),
            relay=self.program("xengnt-relay", [dom0 / "relay.c"]),
            agent=self.program("xengnt-agent", recipe.agent_sources("FreeBSD")),
            peer=self.program("xengnt-peer", [peer / name for name in recipe.PEER]),
            library=self.program(
                "xengnt-agent-lib",
                [*recipe.agent_sources("FreeBSD"), _AGENT / "ops_lib.c", *recipe.library_sources()],
                *("-DAGENT_LIB", "-I", str(_LIBRARY / "include")),
            ),
        )


def _needed(path: Path) -> list[str]:
    """The shared libraries that a program or library names."""
    with path.open("rb") as stream:
        dynamic = ELFFile(stream).get_section_by_name(".dynamic")
        if not isinstance(dynamic, DynamicSection):
            return []
        # elftools gives such a tag an attribute of that name.
        return [str(vars(tag)["needed"]) for tag in dynamic.iter_tags("DT_NEEDED")]


def _run(argv: Sequence[str]) -> None:
    env = dict(os.environ, LC_ALL="C")
    done = subprocess.run(argv, env=env, text=True, capture_output=True, check=False)
    if done.returncode != 0:
        lines = [line for line in done.stderr.splitlines() if "error" in line] or (
            done.stderr.strip().splitlines() or ["no message"]
        )
        raise TestbedError(f"{Path(argv[0]).name}: {lines[0]}")
