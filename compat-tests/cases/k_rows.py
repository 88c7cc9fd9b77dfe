# SPDX-License-Identifier: BSD-2-Clause
"""Documented differences (docs/differences.md) that a case can meet, in a reader's words."""

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
    "K19": "msync of a mapping.",
    "K20": "Words that no handler of the Linuxulator knows: EINVAL instead of ENOTTY.",
    "K21": "Bugs of Linux's gntalloc that were not copied.",
    "K22": "Unload while grants wait for their peer.",
    "K23": "Linux versions differ.",
    "K24": "Event after the event channel's descriptor was closed early.",
    "K25": "mmap of no bytes by a Linux program: FreeBSD refuses it for its own programs only.",
    "K26": "The base driver's commands on our node: one node, other errors, other indices.",
    "K28": "Core dumps: FreeBSD's have the mapped pages unless MAP_NOCORE was asked for.",
    "K29": "A forked child on FreeBSD takes a fault for each page.",
    "K30": "mmap refused by the system after the driver agreed: the map counts as mmapped.",
    "K31": "Suspend and migration while grants are in use.",
    "K27": "ioctls of /dev/xen/evtchn by Linux programs: the Linuxulator's evdev code has them.",
}

#: What FreeBSD's own gntdev does otherwise than Linux and than our driver.
E_ROWS = {
    "E1": "The base driver's indices: downwards from 2^64.",
    "E2": "The base driver's errno: ENODEV, ENOSYS or EINVAL where Linux has another.",
    "E3": "The base driver has one node for both devices.",
    "E4": "The base driver sets no limit to a request.",
    "E5": "The base driver allocates memory, or tears a mapping down, under a mutex.",
    "E6": "The base driver frees each part of what it allocated as one array, made or not.",
    "E7": "The base driver maps a grant when it is mmapped, as often and as wide as asked for.",
    "E8": "The base driver takes a failed mmap of some pages back altogether.",
    "E9": "The base driver unmaps at close what has no mapping, and at munmap what has one.",
    "E10": "The base driver's notifications: refused for a file's first map, or lost.",
    "E11": "The base driver wants counts and lengths that fit exactly: no 0, no part, no overlap.",
    "E12": "The base driver has no grant copy.",
    "E13": "The base driver writes beyond what it allocated for a notification.",
    "E14": "The base driver cleans up only at the next operation.",
    "E15": "The base driver compares the lower halves of indices.",
    "E16": "The base driver signals any port, and panics on the kernel's own.",
}

ROWS = K_ROWS | E_ROWS
