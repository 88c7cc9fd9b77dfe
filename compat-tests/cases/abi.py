# SPDX-License-Identifier: BSD-2-Clause
"""Struct layouts of the ABI as packing functions; tests compare them with the C headers."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass

MAP_GRANT_REF = "IOCTL_GNTDEV_MAP_GRANT_REF"
UNMAP_GRANT_REF = "IOCTL_GNTDEV_UNMAP_GRANT_REF"
GET_OFFSET_FOR_VADDR = "IOCTL_GNTDEV_GET_OFFSET_FOR_VADDR"
SET_MAX_GRANTS = "IOCTL_GNTDEV_SET_MAX_GRANTS"
SET_UNMAP_NOTIFY = "IOCTL_GNTDEV_SET_UNMAP_NOTIFY"
GRANT_COPY = "IOCTL_GNTDEV_GRANT_COPY"
ALLOC_GREF = "IOCTL_GNTALLOC_ALLOC_GREF"
DEALLOC_GREF = "IOCTL_GNTALLOC_DEALLOC_GREF"
GNTALLOC_SET_UNMAP_NOTIFY = "IOCTL_GNTALLOC_SET_UNMAP_NOTIFY"

# Linux's command values, for cases that change one part of them.
LINUX_WORDS = {
    MAP_GRANT_REF: 0x00184700,
    UNMAP_GRANT_REF: 0x00104701,
    GET_OFFSET_FOR_VADDR: 0x00184702,
    SET_MAX_GRANTS: 0x00044703,
    ALLOC_GREF: 0x00184705,
    DEALLOC_GREF: 0x00104706,
    SET_UNMAP_NOTIFY: 0x00104707,
    GNTALLOC_SET_UNMAP_NOTIFY: 0x00104707,
    GRANT_COPY: 0x00104708,
}

# name -> (struct format, field name -> offset); the formats leave out the trailing arrays.
GRANT_REF = struct.Struct("<II")
MAP = struct.Struct("<IIQ")
MAP_SIZE = 24
UNMAP = struct.Struct("<QII")
OFFSET = struct.Struct("<QQII")
NOTIFY = struct.Struct("<QII")
COPY = struct.Struct("<I4xQ")
SEGMENT_FOREIGN = struct.Struct("<IHH")
SEGMENT_LOCAL = struct.Struct("<Q")
SEGMENT_TAIL = struct.Struct("<HHh2x")
SEGMENT_SIZE = 24
SEGMENT_STATUS = 20
ALLOC = struct.Struct("<HHIQI4x")
ALLOC_IDS = 16
DEALLOC = struct.Struct("<QI4x")

CLEAR_BYTE = 1
SEND_EVENT = 2
WRITABLE = 1
SOURCE_GREF = 1
DEST_GREF = 2
DOMID_SELF = 0x7FF0

# Grant entry flags (v1).
GTF_PERMIT = 0x1
GTF_READONLY = 0x4
GTF_READING = 0x8
GTF_WRITING = 0x10


def pack_map(grants: Sequence[tuple[int, int]], count: int | None = None, pad: int = 0) -> bytes:
    """struct ioctl_gntdev_map_grant_ref with its array, never shorter than the fixed struct."""
    head = MAP.pack(len(grants) if count is None else count, pad, 0)
    return (head + b"".join(GRANT_REF.pack(*grant) for grant in grants)).ljust(MAP_SIZE, b"\0")


@dataclass(frozen=True)
class Foreign:
    ref: int
    domid: int = DOMID_SELF
    offset: int = 0


Side = int | Foreign


def _side(side: Side) -> bytes:
    if isinstance(side, Foreign):
        return SEGMENT_FOREIGN.pack(side.ref, side.offset, side.domid)
    return SEGMENT_LOCAL.pack(side)


@dataclass(frozen=True)
class Segment:
    """One part of a grant copy; a side is an address or a :class:`Foreign`."""

    source: Side
    dest: Side
    length: int

    def pack(self) -> bytes:
        flags = SOURCE_GREF if isinstance(self.source, Foreign) else 0
        flags |= DEST_GREF if isinstance(self.dest, Foreign) else 0
        return _side(self.source) + _side(self.dest) + SEGMENT_TAIL.pack(self.length, flags, 0)
