# SPDX-License-Identifier: BSD-2-Clause
"""Reads the output of xengnt-profile: QEMU's system calls and its own time, for each request of the
guest."""

from __future__ import annotations

import re

from .plan import Broken, Call

#: FreeBSD's sys/syscall.h.
_NAMES = {
    3: "read", 4: "write", 54: "ioctl", 73: "munmap", 74: "mprotect", 75: "madvise",
    95: "fsync", 120: "readv", 121: "writev", 209: "poll", 232: "clock_gettime",
    240: "nanosleep", 289: "preadv", 290: "pwritev", 331: "sched_yield", 340: "sigprocmask",
    431: "thr_exit", 454: "_umtx_op", 455: "thr_new", 475: "pread", 476: "pwrite", 477: "mmap",
    545: "ppoll", 550: "fdatasync",
}  # fmt: skip
#: By group letter, number and size: ours, the base driver's gntdev, evtchn(4).
_IOCTLS = {
    ("G", 8, 0): "grant copy", ("E", 3, 24): "base: map", ("E", 4, 16): "base: unmap",
    ("E", 5, 24): "base: which map", ("E", 8, 4): "event to the guest",
}  # fmt: skip
#: Calls in which a thread waits for others.
WAITS = frozenset({"poll", "ppoll", "_umtx_op", "nanosleep", "sched_yield"})
_LINE = re.compile(r"^profile: (\w+) (\w+) (\d+) (-?\d+)$", re.MULTILINE)


def _name(code: str, command: int) -> str:
    name = _NAMES.get(int(code), f"call {code}")
    if name != "ioctl":
        return name
    letter, number, size = chr(command >> 8 & 0xFF), command & 0xFF, command >> 16 & 0x1FFF
    return _IOCTLS.get((letter, number, size), f"ioctl {letter}{number}, {size} bytes")


def calls(said: str, requests: int) -> list[Call]:
    """The most expensive first, without those that wait for others."""
    found = _LINE.findall(said)
    clock = next((int(ns) for name, _, _, ns in found if name == "clock"), None)
    if clock is None or len(found) < 3:
        raise Broken("the profile is empty")
    made = []
    for code, command, count, ns in found:
        if code == "clock":
            continue
        name = "QEMU itself" if code == "user" else _name(code, int(command, 16))
        if name not in WAITS:
            spent = max(int(ns) - int(count) * clock, 0) / 1000
            made.append(Call(name, int(count) / requests, spent / requests))
    return sorted(made, key=lambda call: -call.us)
