# SPDX-License-Identifier: BSD-2-Clause
"""What FreeBSD's own gntdev, or its commands on our node, answer otherwise than Linux, by case.

Column freebsd-base shows the rows of `DEFECTS` (see `k_rows.B_ROWS`) instead of red; a crash stays
a crash.  Column freebsd-words shows K26 where exactly the named expectations are not met.
"""

from __future__ import annotations

#: Case -> rows.
DEFECTS: dict[str, tuple[str, ...]] = {}

#: Case -> how the expectations begin that are not met.
WORDS: dict[str, tuple[str, ...]] = {
    # One node takes the commands of both devices, and its file is the same.
    "ioctl.alloc-on-gntdev": ("ALLOC", "DEALLOC"),
    "ioctl.map-on-gntalloc": ("MAP", "UNMAP", "COPY"),
    "share.rdonly-read": ("shared r",),
    # Shared pages have the indices behind 2^40, for the others are gntdev's.
    "alloc.count-enormous": ("index afterwards",),
    "alloc.count-enormous-within-limit": ("index afterwards",),
    "alloc.over-limit": ("index afterwards",),
    "alloc.limit-inclusive": ("index",),
    "alloc.result-not-writable": ("mmap of the pages nobody was told of",),
    "alloc.ids-not-writable": ("page index", "next page index"),
    "alloc.count-zero": ("page index", "next page index"),
    "alloc.index-packed": ("page indices",),
    "alloc.index-never-reused": ("page index of allocation",),
    "alloc.index-per-file": ("first file", "second file"),
    "alloc.many": ("next page index",),
    # What is not there is EINVAL, as it is for Linux's gntdev.
    "dealloc.while-mapped-no-mmap": ("mmap",),
    "share-notify.index-before-action": ("action 4", "port 0"),
    "share.no-such-index": ("empty file", "behind the pages"),
    "share.too-long": ("3 of 2", "2 from the second on"),
    "share.hole": ("all three",),
    "share.other-file": ("through the other file",),
    # The struct is another one, with a pointer at its end.
    "alloc.argument-cut-short": ("20 of 24 bytes", "index afterwards"),
}
