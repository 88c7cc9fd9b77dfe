# SPDX-License-Identifier: BSD-2-Clause
"""What a real memory system does to the pages of either device.

Each case failed on FreeBSD with a driver that passed on a more forgiving harness.
"""

from __future__ import annotations

from agent.client import PAGE, Worker

from . import abi
from .framework import Broken, Context, case, section
from .in_flight import InFlight
from .pinned import FREE, MAPPED, reuse, settle

section("Memory of either device: wired, in flight, shadowed", 93)

MARKER = 0x5A5A
# Far more than can be copied before anybody reacts: about ten seconds on the test bed.
ENDLESS = 1 << 20


def locked(t: Context, touched: bool) -> None:
    dev, index, address, refs = t.mapped(3)
    if touched:
        t.worker.fill(address, 3 * PAGE, 1)
    t.accepted("mlock", t.worker.mlock, address, 3 * PAGE)
    t.accepted("munlock of one page", t.worker.munlock, address + PAGE)
    t.worker.munmap(address, 2 * PAGE)
    t.worker.munlock(address + 2 * PAGE)
    t.worker.munmap(address + 2 * PAGE)
    dev.unmap(index, 3)
    t.expect(t.peer.states(refs), [FREE] * 3, "entries after UNMAP")
    share = t.gntalloc()
    index, _ = share.alloc(2)
    address = share.mmap(2, index)
    if touched:
        t.worker.fill(address, 2 * PAGE, 1)
    t.accepted("mlock of gntalloc's", t.worker.mlock, address, 2 * PAGE)
    t.worker.munlock(address)
    t.worker.munmap(address, 2 * PAGE)
    t.accepted("DEALLOC", share.dealloc, index, 2)


@case("wired.mlock", ["W1"], "a map that was locked in memory is unmapped like any other")
def mlock(t: Context) -> None:
    """A wrong kernel takes the lock for I/O and keeps the grant for ever."""
    locked(t, touched=False)


@case("wired.mlock-touched", ["W1"], "the same for pages that were touched before")
def mlock_touched(t: Context) -> None:
    """A wrong kernel counts the lock twice."""
    locked(t, touched=True)


@case("wired.mlockall", ["W1"], "maps of a process that locks all its memory are unmapped")
def mlockall(t: Context) -> None:
    """A wrong kernel keeps each grant of a QEMU with mem-lock=on."""
    t.accepted("mlockall, future", t.worker.mlockall, "future")
    dev, index, address, refs = t.mapped(2)
    t.worker.poke(address, b"locked")
    t.expect(t.peer.read(0, 0, 6), b"locked", "granter's page")
    t.worker.munmap(address, 2 * PAGE)
    dev.unmap(index, 2)
    t.expect(t.peer.states(refs), [FREE] * 2, "entries after UNMAP")
    t.worker.mlockall("none")


@case(
    "pinned.untouched",
    ["W2", "Z4"],
    "a page in use that nobody has touched stays mapped until it is free",
    ("pin",),
)
def untouched(t: Context) -> None:
    """A wrong kernel unmaps a page that I/O, not the program, has touched."""
    dev, index, address, refs = t.mapped(2)
    t.peer.write(0, 0, b"by the granter")
    held = InFlight(t, address)
    t.worker.munmap(address, 2 * PAGE)
    dev.unmap(index, 2)
    t.expect(t.peer.states(refs), [MAPPED] * 2, "entries while in use")
    t.expect(held.bytes(14), b"by the granter", "what the I/O reads")
    t.expect(settle(t, refs), [FREE] * 2, "entries afterwards")


@case(
    "pinned.gntalloc-untouched",
    ["W2", "D6"],
    "a page of gntalloc in use that nobody has touched lives on",
)
def gntalloc_untouched(t: Context) -> None:
    """A wrong kernel frees it: the I/O shows the bytes of pages made later, or panics."""
    dev = t.gntalloc()
    index, _ = dev.alloc(4)
    address = dev.mmap(4, index)
    held = InFlight(t, address, 4 * PAGE)
    t.worker.munmap(address, 4 * PAGE)
    t.accepted("DEALLOC", dev.dealloc, index, 4)
    reuse(t)
    buffer = held.finish()
    t.expect(t.worker.check(buffer, 4 * PAGE, 0), True, "the I/O reads zeroes")


@case(
    "mm.inherit-copy",
    ["W5"],
    "a page beside one that was copied is the granted one",
    ["fork", "inherit_copy"],
)
def inherit_copy(t: Context) -> None:
    """A wrong kernel shows a page of zeroes as if it were the grant."""
    dev, index, address, refs = t.mapped(2)
    t.peer.write(0, 0, b"first")
    t.peer.write(1, 0, b"second")
    t.worker.inherit(address + PAGE, PAGE, "copy")
    child = t.worker.fork()
    t.accepted("store to the copied page", t.worker.poke, address + PAGE, b"SECOND")
    t.expect(t.worker.peek(address, 5), b"first", "the page beside it")
    t.worker.poke(address, b"FIRST")
    t.expect(t.peer.read(0, 0, 5), b"FIRST", "granter's page after a store")
    t.expect(t.peer.read(1, 0, 6), b"second", "granter's page that was copied")
    t.expect(child.peek(address + PAGE, 6), b"second", "the child's")
    t.accepted("store by the child", child.poke, address, b"CHILD")
    t.expect(t.peer.read(0, 0, 5), b"CHILD", "granter's page after the child's store")
    child.exit()
    t.worker.wait(child)
    t.worker.munmap(address, 2 * PAGE)
    dev.unmap(index, 2)
    t.expect(t.peer.states(refs), [FREE] * 2, "entries after UNMAP")


def copies_with_shared(t: Context, touched: bool) -> None:
    share, dev = t.gntalloc(), t.gntdev()
    t.peer.write(0, 0, b"by the granter")
    source = abi.Foreign(t.peer.grant(0), t.peer.domid)
    to = abi.Foreign(t.peer.grant(1), t.peer.domid)
    index, _ = share.alloc(2)
    address = share.mmap(2, index)
    if touched:
        t.worker.fill(address, 2 * PAGE, 0)
    statuses = t.accepted("GRANT_COPY into it", dev.copy, abi.Segment(source, address, 14))
    t.expect(statuses, [0], "status")
    t.expect(t.worker.peek(address, 14), b"by the granter", "the page")
    statuses = t.accepted("GRANT_COPY out of it", dev.copy, abi.Segment(address, to, 14))
    t.expect(statuses, [0], "status")
    t.expect(t.peer.read(1, 0, 14), b"by the granter", "the peer's page")
    statuses = dev.copy(abi.Segment(address + PAGE, to, 14))
    t.expect(statuses, [0], "status, the second page")
    t.expect(t.peer.read(1, 0, 14), bytes(14), "the peer's page")


@case(
    "copy.into-shared-page",
    ["W3", "C10"],
    "a page of gntalloc is a buffer for GRANT_COPY",
    ["copy"],
)
def copy_shared(t: Context) -> None:
    """A wrong kernel panics when one of its pages becomes dirty."""
    copies_with_shared(t, True)


@case(
    "copy.into-shared-page-untouched",
    ["W3", "C10"],
    "a page of gntalloc that nobody has touched is a buffer for GRANT_COPY",
    ["copy"],
)
def copy_shared_untouched(t: Context) -> None:
    """A wrong kernel copies into a page other than the granted one."""
    copies_with_shared(t, False)


def long_copy(t: Context) -> tuple[Worker, int]:
    """Starts a child in a copy of a million segments; returns it and the array's address."""
    array = t.worker.alloc(ENDLESS * abi.SEGMENT_SIZE, "rw", "shared")
    buffer = t.worker.alloc()
    source = (t.peer.domid, t.peer.grant(0))
    t.worker.segments(array, ENDLESS, source, buffer, 1, MARKER)
    dev = t.gntdev()
    child = t.worker.fork()
    start(t, child, dev.fd, array)
    return child, array


def start(t: Context, copier: Worker, fd: int, array: int) -> None:
    request = abi.COPY.pack(ENDLESS, array)
    copier.submit(f"ioctl {fd} {abi.GRANT_COPY} 0x{copier.scratch:x} {request.hex()} 0")
    for _ in range(1000):
        if status(t, array, 0) != MARKER:
            return
        t.worker.sleep(1)
    raise Broken("the copy did not start")


def status(t: Context, array: int, segment: int) -> int:
    at = array + segment * abi.SEGMENT_SIZE + abi.SEGMENT_STATUS
    return int.from_bytes(t.worker.peek(at, 2), "little")


@case(
    "copy.killed",
    ["W4"],
    "SIGKILL ends a grant copy of a million segments",
    ["copy", "fork", "killable_copy"],
)
def copy_killed(t: Context) -> None:
    """A wrong kernel goes on to the end, and nobody can stop four billion segments."""
    child, array = long_copy(t)
    t.worker.kill(child)
    t.expect(t.worker.wait(child), "SIGKILL", "how the child ended")
    t.expect(status(t, array, ENDLESS - 1), MARKER, "status of the last segment")


@case(
    "copy.thread-exits",
    ["W4"],
    "exit by another thread ends a grant copy",
    ["copy", "fork", "killable_copy"],
)
def copy_exit(t: Context) -> None:
    """A wrong kernel keeps a process that has called exit until all is copied."""
    array = t.worker.alloc(ENDLESS * abi.SEGMENT_SIZE, "rw", "shared")
    source = (t.peer.domid, t.peer.grant(0))
    t.worker.segments(array, ENDLESS, source, t.worker.alloc(), 1, MARKER)
    dev = t.gntdev()
    child = t.worker.fork()
    copier = child.thread()
    start(t, copier, dev.fd, array)
    child.exit()
    t.expect(t.worker.wait(child), "exit 0", "how the child ended")
    t.expect(status(t, array, ENDLESS - 1), MARKER, "status of the last segment")


@case(
    "mmap.refused-by-the-system",
    ["W6", "P10"],
    "a map whose mmap the system refused can still be mmapped",
    ["refused_mmap"],
)
def refused_by_system(t: Context) -> None:
    """A wrong kernel counts the map as mmapped; FreeBSD asks the driver first (K30)."""
    dev = t.gntdev()
    index = dev.map(t.peer.grants(1))
    if t.target.reason_against("noreplace") is None:
        place = t.worker.alloc()
        word = t.attempt(dev.mmap, 1, index, flags="shared+noreplace", address=place)
        t.expect_either(word, ["EEXIST", "ENOMEM"], "mmap over something, not to replace it", "K30")
    else:
        t.worker.limit_memory(PAGE)
        t.refused("ENOMEM", "mmap beyond RLIMIT_AS", dev.mmap, 1, index)
        t.worker.limit_memory(None)
    word = t.attempt(dev.mmap, 1, index)
    t.expect(word, "ok", "mmap elsewhere", {"K30": "EINVAL"})
    t.accepted("UNMAP", dev.unmap, index, 1)
