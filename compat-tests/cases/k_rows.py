# SPDX-License-Identifier: BSD-2-Clause
"""Documented differences (REFERENCE 7.4) that a case can meet, in a reader's words."""

from __future__ import annotations

K_ROWS = {
    "K1": "Linux's own command words: FreeBSD's sys_ioctl answers ENOTTY before any driver.",
    "K2": "MAP_PRIVATE: FreeBSD's generic layer refuses it before the driver.",
    "K3": "Unaligned offset: FreeBSD rounds it down and lets the length grow.",
    "K4": "O_WRONLY descriptor with a write-only mmap: FreeBSD's generic layer would allow it.",
    "K5": "O_RDONLY descriptor, shared read-only mmap of gntalloc.",
    "K6": "Neither or both of MAP_SHARED and MAP_PRIVATE: FreeBSD's generic layer decides.",
    "K7": "PV Dom0: munmap unmaps at once, a child inherits no grant mapping.",
    "K8": "mremap is a Linux system call.",
    "K9": "Order of files and mappings at process exit.",
    "K10": "GET_OFFSET in a hole: guard entries count as mappings on FreeBSD.",
    "K11": "Which signal a bad access raises.",
    "K12": "Page indices beyond 32 bits: Linux cuts them to an int, our driver does not.",
    "K13": "32-bit processes.",
    "K14": "How the wait for a paged-out frame can be interrupted.",
    "K15": "Which event channel ports may be armed.",
    "K16": "When placeholder pages run out.",
    "K17": "Mapping a grant of the own domain.",
    "K18": "read, write and lseek on the node.",
    "K19": "Core dumps, madvise, mlock.",
    "K20": "Unknown words through the Linuxulator on foreign descriptors.",
    "K21": "Bugs of Linux's gntalloc that were not copied.",
    "K22": "Unload while grants wait for their peer.",
    "K23": "Linux versions differ (REFERENCE 2.16).",
    "K24": "Event after the event channel's descriptor was closed early.",
}
