# SPDX-License-Identifier: BSD-2-Clause
"""Rows that have no case, and why.  A test compares them with the cases (``parity.py --rows``)."""

from __future__ import annotations

UNTESTABLE = {
    "O7": "FreeBSD's devfs accepts lseek on any device and no driver can change that (K18)",
    "P11": "no request reaches it since 6.1: the map's read-only mark is set by mmap alone",
    "P13": "the hypercall as a whole does not fail for any argument that a caller can choose",
    "P15": "needs a granter whose page is paged out; Xen's pager is gone from the tools",
    "U9": "user space cannot make Xen refuse an unmap",
    "X3": "no kernel of the test bed is built with DMABUF (X2)",
    "X4": "no kernel of the test bed is built with DMABUF (X2)",
    "X5": "no kernel of the test bed is built with DMABUF (X2)",
    "X6": "no kernel of the test bed is built with DMABUF (X2)",
    "X7": "no kernel of the test bed is built with DMABUF (X2)",
    "X8": "a Linux bug that corrupts a list",
    "A4": "needs the page allocator to fail between two single pages",
    "A5": "a full grant table starves Dom0's own drivers, and Linux miscounts afterwards",
    "C2": "needs the allocation of a few hundred bytes to fail",
    "C16": "needs a page that its owner has paged out, as P15; test_eagain",
    "W7": "not in a running system; test_suspend, test_names_taken, test_open_and_unload",
    "B3": "needs the allocation of a few bytes to fail",
    "B13": "a Linux bug that corrupts counts of pages in use",
}

# Reasons for which Xen refuses a map (row 2.15) that no case causes.
CAUSES = {
    "2.15 flags contain neither host_map nor device_map": "no caller chooses these flags",
    "2.15 device_map, application_map or contains_pte": "no caller chooses these flags",
    "2.15 XSM hook refuses": "the test bed's Xen has no security module",
    "2.15 no maptrack handle": "it would break Dom0's own drivers; test_maptrack_limit",
    "2.15 sub-page": "grants of version 2 only",
    "2.15 pinned by another domain": "needs a third domain that maps",
    "2.15 granted frame paged out": "Xen's pager is gone from the tools; test_eagain",
}

# The lettered rows of docs/abi.md.
COVERED = {
    "O": range(1, 14),
    "M": range(1, 10),
    "P": range(1, 19),
    "U": range(1, 10),
    "G": range(1, 11),
    "N": range(1, 11),
    "X": range(1, 9),
    "V": range(1, 15),
    "Z": (1, 4),
    "W": range(1, 8),
    "A": range(1, 12),
    "D": range(1, 10),
    "Y": range(1, 7),
    "B": range(1, 14),
    "C": range(1, 21),
}
# Its sections without letters, 5 and 6.
SECTIONS = ("1.5", "2.6", "2.12", "2.14", "2.15", "2.17", "5.2", "6", "7.6")
