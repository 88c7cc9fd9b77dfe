# SPDX-License-Identifier: BSD-2-Clause
"""A copy of the hypervisor image that tells Xen where SeaBIOS has put the ACPI tables.

SeaBIOS reports the memory of its ACPI tables as "reserved", and a PVH Dom0 sees only memory of type
"ACPI" unless there is an IOMMU: without one Linux computes the checksum of a table of 0xffffffff
bytes, practically for ever.  An emulated IOMMU costs more than half of the boot time.  So a few
instructions run before Xen's own entry point: they walk the multiboot memory map and turn
"reserved" into "ACPI" between 1 MiB and the PCI hole.  Nothing else in Xen is changed.
"""

from __future__ import annotations

import contextlib
import io
import os
import struct
import tempfile
from pathlib import Path

from elftools.common.exceptions import ELFError, ELFParseError
from elftools.elf.elffile import ELFFile

from .errors import TestbedError

# eax (magic) and ebx (multiboot information) are kept; there is no stack yet.
_STUB = bytes.fromhex(
    "f60340"  # testb $0x40,(%ebx)          is there a memory map?
    "7438"  # jz out
    "8b7330"  # mov 48(%ebx),%esi           first entry
    "8b7b2c"  # mov 44(%ebx),%edi           length
    "01f7"  # add %esi,%edi
    "39fe"  # next: cmp %edi,%esi
    "732c"  # jae out
    "837e1402"  # cmpl $2,20(%esi)          reserved?
    "751f"  # jne skip
    "837e0800"  # cmpl $0,8(%esi)           below 4 GiB?
    "7519"  # jne skip
    "817e0400001000"  # cmpl $0x100000,4(%esi)
    "7210"  # jb skip
    "817e04000000b0"  # cmpl $0xb0000000,4(%esi)
    "7307"  # jae skip
    "c7461403000000"  # movl $3,20(%esi)    ACPI
    "0336"  # skip: add (%esi),%esi         each entry tells its size
    "83c604"  # add $4,%esi
    "ebd0"  # jmp next
    "e9"  # out: jmp the old entry point
)


def _elf(image: bytes) -> ELFFile:
    with contextlib.suppress(ELFError, ELFParseError):
        elf = ELFFile(io.BytesIO(image))
        if elf.elfclass == 32:
            return elf
    raise TestbedError("the hypervisor image is not a 32-bit ELF file")


def with_acpi_marked(image: bytes) -> bytes:
    """`image` (the ELF32 file that multiboot loads) with the instructions before its entry
    point."""
    elf = _elf(image)
    entry = elf.header["e_entry"]
    for number in range(elf.num_segments()):
        head = elf.get_segment(number).header
        if head["p_type"] == "PT_LOAD" and 0 <= entry - head["p_paddr"] < head["p_filesz"]:
            break
    else:
        raise TestbedError("the hypervisor image has no segment with its entry point")
    filesz = head["p_filesz"]
    # After the file's contents comes .bss, which Xen clears later; a loader does not need the
    # section table that may follow in the file.
    end = head["p_offset"] + filesz
    pad = -filesz % 16
    place = head["p_paddr"] + filesz + pad
    stub = _STUB + struct.pack("<i", entry - (place + len(_STUB) + 4))
    filesz += pad + len(stub)
    out = bytearray(image[:end] + b"\0" * pad + stub)
    at = elf.header["e_phoff"] + number * elf.header["e_phentsize"]
    struct.pack_into("<2I", out, at + 16, filesz, max(head["p_memsz"], filesz))
    struct.pack_into("<I", out, 24, place)
    struct.pack_into("<I", out, 32, 0)  # e_shoff
    struct.pack_into("<HH", out, 48, 0, 0)  # e_shnum, e_shstrndx
    return bytes(out)


def prepared(xen: Path) -> Path:
    """The file to boot for the image `xen`, made beside it if necessary."""
    target = xen.with_name("xen-acpi.elf")
    if not target.exists() or target.stat().st_mtime < xen.stat().st_mtime:
        # Two threads may start two machines at once.
        handle, scratch = tempfile.mkstemp(prefix=".xen-", dir=target.parent)
        with os.fdopen(handle, "wb") as out:
            out.write(with_acpi_marked(xen.read_bytes()))
        os.replace(scratch, target)
    return target
