# SPDX-License-Identifier: BSD-2-Clause
"""An empty qcow2 image, written here: the package with qemu-img is not needed for one page of it.

Clusters in the file: header, reference count table, one block of reference counts, level-1 table.
All of the disk is unallocated and reads as zeros; QEMU adds level-2 tables and data as the guest
writes.
"""

from __future__ import annotations

import struct

CLUSTER_BITS = 16
CLUSTER = 1 << CLUSTER_BITS
_ENTRY = 8  # bytes of an entry of either table
_REFCOUNT_ORDER = 4  # 16 bits a count
_HEADER = ">4sIQIIQIIQQIIQQQQII"
_TABLE, _BLOCK, _LEVEL1, _USED = 1, 2, 3, 4  # numbers of clusters


def empty(size: int) -> bytes:
    """A version-3 image of a disk of `size` bytes."""
    per_level2 = CLUSTER // _ENTRY * CLUSTER
    level1 = -(-size // per_level2)
    if size <= 0 or size % 512 or level1 * _ENTRY > CLUSTER:
        raise ValueError(f"no disk of {size} bytes")
    header = struct.pack(
        _HEADER,
        b"QFI\xfb", 3,
        0, 0,  # no backing file
        CLUSTER_BITS, size,
        0,  # not encrypted
        level1, _LEVEL1 * CLUSTER,
        _TABLE * CLUSTER, 1,
        0, 0,  # no snapshots
        0, 0, 0,  # no features
        _REFCOUNT_ORDER, struct.calcsize(_HEADER),
    )  # fmt: skip
    image = bytearray(_USED * CLUSTER)
    image[: len(header)] = header
    struct.pack_into(">Q", image, _TABLE * CLUSTER, _BLOCK * CLUSTER)
    struct.pack_into(f">{_USED}H", image, _BLOCK * CLUSTER, *[1] * _USED)
    return bytes(image)
