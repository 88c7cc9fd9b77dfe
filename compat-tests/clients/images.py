# SPDX-License-Identifier: BSD-2-Clause
"""The file systems of the Dom0 and its guest (both live in memory)."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from testbed import image, packages
from testbed.errors import TestbedError
from testbed.image import File

from . import disks, qcow2
from .helper import STRESS
from .places import CHANNEL, INITRD, KERNEL, MEMORY, UFS
from .programs import GUEST_TOOLS, LIBDIR, LIBRARY, VCHAN, Programs, library_files
from .shell import DEBUG_KEY

_SCRIPTS = Path(__file__).resolve().parent / "guest"


@dataclass(frozen=True)
class Ours:
    """Our own files from a build."""

    library: Path
    relay: Path
    channel: Path
    debug_key: Path
    peer: Path
    stress: Path

    def digest(self) -> str:
        """The library's, to check that a process has loaded this file."""
        return hashlib.sha256(self.library.read_bytes()).hexdigest()


def ours(build: Path, library: Path | None = None) -> Ours:
    """The files of a build directory; `library` in place of the built one."""

    def find(*names: str) -> Path:
        path = next((build / name for name in names if (build / name).is_file()), None)
        if path is None:
            raise TestbedError(f"{build / names[0]} is not built (./dev build)")
        return path.resolve()

    return Ours(
        library or find(f"libxengnttab-freebsd/{LIBRARY}"),
        find("compat-tests/agent/dom0/xengnt-relay", "compat-tests/agent/xengnt-relay"),
        find("compat-tests/clients/src/xengnt-vchan"),
        find("compat-tests/clients/src/xengnt-debugkey"),
        find("compat-tests/agent/peer/xengnt-peer", "compat-tests/agent/xengnt-peer"),
        find("compat-tests/clients/src/xengnt-stress"),
    )


def guest_initrd(
    selection: packages.Selection,
    programs: Programs,
    own: Ours,
    fio: bytes | None,
    more: Iterable[File] = (),
) -> bytes:
    """The guest's file system: tools, modules, its end of a channel, and `more`."""
    archive = image.Archive()
    for place in ("dev", "proc", "sys", "tmp", "mnt", "usr/bin"):
        archive.directory(place)
    archive.character_device("dev/console", 5, 1, 0o600)
    archive.character_device("dev/null", 1, 3, 0o666)
    archive.file("init", (_SCRIPTS / "linux-init.sh").read_bytes(), 0o755)
    archive.file("bin/busybox", selection.busybox.read_bytes(), 0o755)
    archive.symlink("bin/sh", "busybox")
    for name in ("disk", "media", "speed"):
        archive.file(f"bin/{name}", (_SCRIPTS / f"linux-{name}.sh").read_bytes(), 0o755)
    for name, place in GUEST_TOOLS.items():
        archive.file(f"{place}/{name}", programs.programs[name].read_bytes(), 0o755)
    if fio is not None:
        archive.file("bin/fio", fio, 0o755)
    archive.file(CHANNEL, own.channel.read_bytes(), 0o755)
    libraries = {**programs.guest_libraries, LIBRARY: own.library}
    for file in library_files(libraries):
        archive.file(file.dst, file.contents(), 0o755)
    names = []
    for file in more:
        archive.file(file.dst.lstrip("/"), file.contents(), file.mode)
    for module in programs.guest_modules:
        names.append(module.name)
        archive.file(f"lib/xengnt/{module.name}", module.read_bytes(), 0o644)
    archive.file("lib/xengnt/modules", "\n".join(names).encode() + b"\n", 0o644)
    return archive.bytes()


def empty_images() -> list[File]:
    """The empty qcow2 images that the steps copy."""
    return [
        File(qcow2.empty(size), f"/guest/{size // disks.MIB}.qcow2", 0o644)
        for size in disks.QCOW2_SIZES
    ]


def dom0_files(
    selection: packages.Selection,
    programs: Programs,
    own: Ours,
    fio: bytes | None,
    more: Iterable[File] = (),
) -> list[File]:
    """What Dom0 has besides the testbed's own files: Debian's programs, and our library; `more` is
    for the guest."""
    tools = [name for name in programs.programs if name not in GUEST_TOOLS]
    files = []
    for name in tools:
        place = programs.qemu_place() if "qemu" in name else programs.tool_place(name)
        files.append(File(programs.programs[name], place))
    files += [
        File(path, f"/usr/share/qemu/keymaps/{path.name}", 0o644) for path in programs.keymaps
    ]
    # The image has no other file of this name.
    libraries = {**programs.dom0_libraries, LIBRARY: own.library}
    assert VCHAN.format(programs.release) in libraries
    files += library_files(libraries)
    files += [
        File(own.relay, image.RELAY),
        File(own.channel, CHANNEL),
        File(own.debug_key, DEBUG_KEY),
        File(own.peer, image.PEER),
        File(own.stress, STRESS),
        File(image.busybox_shell(UFS, MEMORY), image.AGENT),
        File(b"", "/etc/xen/xl.conf", 0o644),
        File(selection.kernel, KERNEL, 0o644),
        File(guest_initrd(selection, programs, own, fio, more), INITRD, 0o644),
        *empty_images(),
    ]
    return files


def library_path() -> str:
    """Where the library is in Dom0."""
    return f"{LIBDIR}/{LIBRARY}"
