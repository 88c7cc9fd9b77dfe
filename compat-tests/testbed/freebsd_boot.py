# SPDX-License-Identifier: BSD-2-Clause
"""What a FreeBSD Dom0 is booted from, made on Linux without root and without FreeBSD's tools.

* `trampolined`: a copy of the kernel with four instructions before its entry point (README);
* `iso_image`: the root file system;
* `metadata`: that root and the kernel's environment as FreeBSD's loader would hand them over;
* `efi_image`: a FAT disk with Xen's EFI binary, its configuration, kernel and metadata.

Numbers are those of FreeBSD's ``sys/linker.h`` and ``x86/include/metadata.h`` and of Xen's
``public/elfnote.h``.
"""

from __future__ import annotations

import contextlib
import io
import os
import shutil
import struct
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from elftools.common.exceptions import ELFError, ELFParseError
from elftools.elf.elffile import ELFFile

from .errors import TestbedError
from .image import File

PAGE = 4096

# ---------------------------------------------------------------- the kernel

_NOTE_HYPERCALL_PAGE, _NOTE_PHYS32_ENTRY = 2, 18

# 32-bit code: mov %cr4,%eax; or $0x20,%eax; mov %eax,%cr4; jmp to the original entry.
_STUB = bytes.fromhex("0f20e0 83c820 0f22e0 e9")


def _elf(name: str, contents: bytes) -> ELFFile:
    with contextlib.suppress(ELFError, ELFParseError):
        elf = ELFFile(io.BytesIO(contents))
        if elf.elfclass == 64:
            return elf
    raise TestbedError(f"{name} is not a 64-bit ELF file")


def _note_places(elf: ELFFile) -> list[tuple[int, int]]:
    """Offset and size of the notes: segments, then sections, in the order of Xen's loader.  FreeBSD
    13's are in a section that no segment covers."""
    segments = [s.header for s in elf.iter_segments() if s.header["p_type"] == "PT_NOTE"]
    sections = [s.header for s in elf.iter_sections() if s.header["sh_type"] == "SHT_NOTE"]
    return [(h["p_offset"], h["p_filesz"]) for h in segments] + [
        (h["sh_offset"], h["sh_size"]) for h in sections
    ]


def _xen_notes(elf: ELFFile, kernel: bytes) -> dict[int, tuple[int, int]]:
    """Xen's notes: type -> offset and size of the value in the file."""
    notes: dict[int, tuple[int, int]] = {}
    for offset, size in _note_places(elf):
        at, end = offset, min(offset + size, len(kernel))
        while at + 12 <= end:
            name, length, number = struct.unpack_from("<III", kernel, at)
            value = at + 12 + (name + 3 & ~3)
            if kernel[at + 12 : at + 12 + name] == b"Xen\0":
                notes.setdefault(number, (value, length))
            at = value + (length + 3 & ~3)
    return notes


def trampolined(kernel: bytes) -> bytes:
    """The kernel with CR4.PAE set before its own PVH entry, which enables long mode first.

    The code is in the hypercall page, which is unused until then; Xen overwrites it when the kernel
    asks for it.
    """
    elf = _elf("the FreeBSD kernel", kernel)
    notes = _xen_notes(elf, kernel)
    if _NOTE_HYPERCALL_PAGE not in notes or _NOTE_PHYS32_ENTRY not in notes:
        raise TestbedError("the FreeBSD kernel has no PVH entry (XENHVM is missing in it)")
    place, size = notes[_NOTE_HYPERCALL_PAGE]
    page = int.from_bytes(kernel[place : place + size], "little")
    place, size = notes[_NOTE_PHYS32_ENTRY]
    entry = int.from_bytes(kernel[place : place + size], "little")
    for head in (segment.header for segment in elf.iter_segments("PT_LOAD")):
        inside = page - head["p_vaddr"]
        if 0 <= inside < head["p_filesz"]:
            at, target = head["p_offset"] + inside, head["p_paddr"] + inside
            break
    else:
        raise TestbedError("the FreeBSD kernel's hypercall page is in none of its segments")
    stub = _STUB + struct.pack("<i", entry - (target + len(_STUB) + 4))
    out = bytearray(kernel)
    out[at : at + len(stub)] = stub
    out[place : place + size] = target.to_bytes(size, "little")
    return bytes(out)


# ---------------------------------------------------------------- root and metadata

_END, _NAME, _TYPE, _ADDR, _SIZE, _METADATA = 0, 1, 2, 3, 4, 0x8000
_ELFHDR, _ENVP, _HOWTO, _KERNEND, _SHDR, _MODULEP = 2, 6, 7, 8, 9, 0x1006

_SECTION_HEADER = struct.Struct("<IIQQQQIIQQ")
_SYMTAB, _RELA, _NOBITS, _REL, _ALLOC = 2, 4, 8, 9, 2


@dataclass(frozen=True)
class Preloaded:
    """A kernel module as FreeBSD's loader lays out a relocatable object."""

    name: str
    header: bytes
    sections: bytes  # the section headers; those in memory have an address
    image: bytes

    def records(self, at: int) -> bytes:
        """What the kernel is told about it; `at` is the address of its image."""
        return b"".join(
            (
                _record(_NAME, self.name.encode() + b"\0"),
                _record(_TYPE, b"elf obj module\0"),
                _number(_ADDR, at),
                _number(_SIZE, len(self.image)),
                _record(_METADATA | _ELFHDR, self.header),
                _record(_METADATA | _SHDR, self.sections),
            )
        )


def preloaded(name: str, contents: bytes) -> Preloaded:
    """A .ko file in memory layout: allocated sections, then symbols, names and relocations."""
    header = _elf(name, contents).header
    table, count, names = header["e_shoff"], header["e_shnum"], header["e_shstrndx"]
    sections = [
        list(_SECTION_HEADER.unpack_from(contents, table + n * _SECTION_HEADER.size))
        for n in range(count)
    ]
    loaded = [n for n in range(1, count) if sections[n][2] & _ALLOC]
    symbols = [n for n in range(count) if sections[n][1] == _SYMTAB]
    strings = [sections[n][6] for n in symbols]
    relocations = [
        n for n in range(count) if sections[n][1] in (_REL, _RELA) and sections[n][7] in loaded
    ]
    image = bytearray()
    places = {}
    for n in dict.fromkeys([*loaded, *symbols, *strings, names, *relocations]):
        _, kind, _, _, offset, size, _, _, align, _ = sections[n]
        image += bytes(_up(len(image), max(align, 1)) - len(image))
        places[n] = len(image)
        image += bytes(size) if kind == _NOBITS else contents[offset : offset + size]
    for n in range(count):
        # 0 means absent; the kernel takes the lowest of the others for the beginning.
        sections[n][3] = PAGE + places[n] if n in places else 0
    packed = b"".join(_SECTION_HEADER.pack(*section) for section in sections)
    return Preloaded(name, contents[:64], packed, bytes(image))


def _record(kind: int, data: bytes) -> bytes:
    return struct.pack("<II", kind, len(data)) + data + b"\0" * (-len(data) % 8)


def _number(kind: int, value: int) -> bytes:
    return _record(kind, struct.pack("<Q", value))


def _records(environment: int, image: int, size: int, end: int, more: bytes = b"") -> bytes:
    return b"".join(
        (
            _record(_NAME, b"/boot/kernel/kernel\0"),
            _record(_TYPE, b"elf kernel\0"),
            _number(_ADDR, 0),
            _number(_SIZE, 0),
            _record(_METADATA | _HOWTO, struct.pack("<I", 0)),
            _number(_METADATA | _ENVP, environment),
            _number(_METADATA | _KERNEND, end),
            # 0 as the blob's own address makes the kernel relocate every address in it.
            _number(_METADATA | _MODULEP, 0),
            _record(_NAME, b"/root.iso\0"),
            _record(_TYPE, b"mfs_root\0"),
            _number(_ADDR, image),
            _number(_SIZE, size),
            more,
            struct.pack("<II", _END, 0),
        )
    )


def _up(value: int, to: int) -> int:
    return -(-value // to) * to


def metadata_head(
    environment: Mapping[str, str], size: int, modules: Sequence[Preloaded] = ()
) -> bytes:
    """The boot module up to the page where an image of `size` bytes follows, and after it the
    images of the modules, each on its own page."""
    for key, value in environment.items():
        if "\0" in key + value or "=" in key:
            raise TestbedError(f"not a kernel environment variable: {key}={value}")
    strings = b"".join(f"{k}={v}".encode() + b"\0" for k, v in environment.items()) + b"\0"
    more = b"".join(module.records(0) for module in modules)
    at_environment = _up(len(_records(0, 0, 0, 0, more)), 8)
    at_image = _up(at_environment + len(strings), PAGE)
    end = _up(at_image + size, PAGE)
    more = b""
    for module in modules:
        more += module.records(end)
        end = _up(end + len(module.image), PAGE)
    head = _records(at_environment, at_image, size, end, more).ljust(at_environment, b"\0")
    return (head + strings).ljust(at_image, b"\0")


def metadata(
    environment: Mapping[str, str], image: bytes, modules: Sequence[Preloaded] = ()
) -> bytes:
    """The boot module: records, the environment, the images, each on its own page."""
    images = [image, *(module.image for module in modules)]
    return metadata_head(environment, len(image), modules) + b"".join(
        data.ljust(_up(len(data), PAGE), b"\0") for data in images
    )


def _run(argv: Sequence[str], package: str) -> None:
    # Fixed times, so that the same contents give the same image.
    env = dict(os.environ, LC_ALL="C", SOURCE_DATE_EPOCH="315532800", MTOOLS_SKIP_CHECK="1")
    try:
        done = subprocess.run(argv, env=env, text=True, capture_output=True, check=False)
    except FileNotFoundError:
        raise TestbedError(f"{argv[0]} not found: install {package}") from None
    if done.returncode != 0:
        lines = (done.stderr or done.stdout).strip().splitlines() or ["no message"]
        raise TestbedError(f"{argv[0]}: {lines[-1]}")


#: The kernel mounts devfs on one and looks for these; tmpfs is mounted on others.
_DIRECTORIES = ("dev", "etc", "tmp", "var", "boot/kernel")


def iso_image(files: Sequence[File]) -> bytes:
    """An ISO 9660 image with Rock Ridge names and modes."""
    with tempfile.TemporaryDirectory(prefix="xengnt-root-") as scratch:
        root = Path(scratch, "root")
        for name in _DIRECTORIES:
            (root / name).mkdir(parents=True)
        for item in files:
            place = root / os.path.normpath(item.dst).lstrip("/")
            if place.exists():
                raise TestbedError(f"two files are named {item.dst} in the root image")
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(item.contents())
            place.chmod(item.mode)
        target = Path(scratch, "root.iso")
        _run(["xorriso", "-as", "mkisofs", "-quiet", "-R", "-o", str(target), str(root)], "xorriso")
        return target.read_bytes()


# ---------------------------------------------------------------- the disk

_MIB = 1 << 20


def efi_image(target: Path, xen: Path, options: str, kernel: bytes, module: bytes) -> None:
    """A FAT image whose default EFI program is Xen."""
    config = (
        f"[global]\ndefault=freebsd\n[freebsd]\noptions={options}\n"
        "kernel=kernel\nramdisk=metadata\n"
    )
    with tempfile.TemporaryDirectory(prefix="xengnt-efi-", dir=target.parent) as name:
        scratch = Path(name)
        contents: dict[str, bytes] = {
            "BOOTX64.cfg": config.encode(),
            "kernel": kernel,
            "metadata": module,
        }
        for path, data in contents.items():
            (scratch / path).write_bytes(data)
        shutil.copyfile(xen, scratch / "BOOTX64.EFI")
        size = sum(path.stat().st_size for path in scratch.iterdir())
        disk = scratch / "disk"
        with disk.open("wb") as out:
            out.truncate(_up(size, _MIB) + 48 * _MIB)
        _run(["mformat", "-i", str(disk), "-F", "-N", "58454e47", "::"], "mtools")
        _run(["mmd", "-i", str(disk), "::/EFI", "::/EFI/BOOT"], "mtools")
        for path in ("BOOTX64.EFI", *contents):
            _run(["mcopy", "-i", str(disk), str(scratch / path), f"::/EFI/BOOT/{path}"], "mtools")
        disk.replace(target)
