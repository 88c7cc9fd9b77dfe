# SPDX-License-Identifier: BSD-2-Clause
"""Rows of the covered sections that have no case, and why.  A test holds the two together."""

from __future__ import annotations

UNTESTABLE = {
    "O7": "FreeBSD's devfs accepts lseek on any device and no driver can change that (K18)",
    "P11": "no request reaches it since 6.1: the map's read-only mark is set by mmap alone",
    "P13": "the hypercall as a whole does not fail for any argument that a caller can choose",
    "P15": "needs a granter whose page is paged out; Xen's pager is gone from the tools",
    "U9": "an unmap that Xen refuses cannot be brought about from user space",
    "A4": "needs the page allocator to fail between two single pages",
    "A5": "a full grant table starves Dom0's own drivers, and Linux miscounts afterwards (2.10)",
    "B3": "needs the allocation of a few bytes to fail",
    "B13": "a Linux bug that corrupts counts; REFERENCE forbids it",
}

# Sections that this issue covers: letter -> number of the last row.
COVERED = {"O": 13, "M": 9, "P": 18, "U": 9, "N": 10, "G": 10, "A": 11, "D": 9, "Y": 6, "B": 13}
