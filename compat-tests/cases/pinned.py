# SPDX-License-Identifier: BSD-2-Clause
"""Pages that I/O still uses when their map goes.

A pipe that nobody reads is such I/O (in_flight.py).
"""

from __future__ import annotations

from collections.abc import Sequence

from agent.client import PAGE

from .framework import Context, case, section
from .in_flight import InFlight

section("gntdev: pages in use when their map goes", 91)

NEEDS = ("pin",)
TRIES = 60
MAPPED, FREE = "mapped rw", "not mapped"


def settle(t: Context, refs: Sequence[int], wanted: str = FREE) -> list[str]:
    """States of the entries, after the time that a retry may take."""
    for _ in range(TRIES):
        states = t.peer.states(refs)
        if all(state == wanted for state in states):
            break
        t.worker.sleep(5)
    return states


def reuse(t: Context, count: int = 64) -> None:
    """Makes the kernel hand out again what it considers free."""
    dev = t.gntalloc()
    index, _ = dev.alloc(count)
    t.worker.fill(dev.mmap(count, index), count * PAGE, 0xA5)


@case("pinned.none", ["Z1"], "without I/O the grants are gone when UNMAP returns")
def none(t: Context) -> None:
    """A wrong kernel leaves all unmapping to a worker: the granter sees it late."""
    dev, index, address, refs = t.mapped(3)
    t.worker.munmap(address, 3 * PAGE)
    dev.unmap(index, 3)
    t.expect(t.peer.states(refs), [FREE] * 3, "entries after UNMAP")


@case(
    "pinned.unmap-waits", ["Z4"], "a page in use stays mapped after UNMAP until it is free", NEEDS
)
def unmap_waits(t: Context) -> None:
    """A wrong kernel unmaps under the device, or makes the caller wait."""
    dev, index, address, refs = t.mapped(2)
    t.worker.poke(address, b"sixteen bytes...")
    held = InFlight(t, address)
    t.worker.munmap(address, 2 * PAGE)
    t.accepted("UNMAP", dev.unmap, index, 2)
    t.worker.sleep(30)
    t.expect(t.peer.states(refs), [MAPPED] * 2, "entries while in use")
    t.peer.write(0, 0, b"by the granter")
    t.expect(held.bytes(), b"by the granter..", "what the I/O reads")
    t.expect(settle(t, refs), [FREE] * 2, "entries afterwards")


@case("pinned.whole-map", ["Z4"], "pages in use keep the whole map", NEEDS)
def whole(t: Context) -> None:
    """A wrong kernel unmaps the other pages alone, and those in use never."""
    dev, index, address, refs = t.mapped(4)
    held = InFlight(t, address + PAGE)
    t.worker.munmap(address, 4 * PAGE)
    dev.unmap(index, 4)
    t.expect(t.peer.states(refs), [MAPPED] * 4, "entries while two are in use")
    held.finish()
    t.expect(settle(t, refs), [FREE] * 4, "entries afterwards")


@case("pinned.close", ["Z4", "O8"], "close does not wait for a page in use", NEEDS)
def close(t: Context) -> None:
    """A wrong kernel hangs in close, or frees what the I/O writes to."""
    dev, _, address, refs = t.mapped(3)
    held = InFlight(t, address)
    t.worker.munmap(address, 3 * PAGE)
    t.accepted("close", dev.close)
    t.expect(t.peer.states(refs), [MAPPED] * 3, "entries while two are in use")
    held.finish()
    t.expect(settle(t, refs), [FREE] * 3, "entries afterwards")


@case("pinned.index-free", ["Z4", "U5"], "the index is free though the old map waits", NEEDS)
def index_free(t: Context) -> None:
    """A wrong kernel refuses the index, or mixes up the old map and the new."""
    dev, index, address, refs = t.mapped(2)
    held = InFlight(t, address)
    t.worker.munmap(address, 2 * PAGE)
    dev.unmap(index, 2)
    t.refused("ENOENT", "UNMAP again", dev.unmap, index, 2)
    new = t.peer.grant(2)
    t.expect(dev.map([new]), index, "index of the next map")
    second = dev.mmap(1, index)
    t.peer.write(2, 0, b"another page")
    t.expect(t.worker.peek(second, 12), b"another page", "the new mapping")
    held.finish()
    t.expect(settle(t, refs), [FREE] * 2, "old entries")
    t.expect(t.peer.states([new]), [MAPPED], "new entry")


@case("pinned.many", ["Z4"], "several maps can wait at once", NEEDS)
def many(t: Context) -> None:
    """A wrong kernel has one place for a map that waits."""
    dev = t.gntdev()
    refs = t.peer.grants(8)
    pairs = [refs[n : n + 2] for n in range(0, 8, 2)]
    held = []
    for pair in pairs:
        index = dev.map(pair)
        address = dev.mmap(2, index)
        held.append(InFlight(t, address))
        t.worker.munmap(address, 2 * PAGE)
        dev.unmap(index, 2)
    t.expect(t.peer.states(refs), [MAPPED] * 8, "entries while in use")
    for n in (2, 0):
        held[n].finish()
    t.expect(settle(t, pairs[2] + pairs[0]), [FREE] * 4, "entries of two that are free")
    t.expect(t.peer.states(pairs[1] + pairs[3]), [MAPPED] * 4, "entries of the others")
    for n in (1, 3):
        held[n].finish()
    t.expect(settle(t, refs), [FREE] * 8, "all entries")


@case("pinned.gntalloc", ["Z4", "D6"], "a page of gntalloc in use lives on, its grant ends")
def gntalloc(t: Context) -> None:
    """A wrong kernel frees a page that the pipe holds: another process's data shows in it."""
    dev = t.gntalloc()
    index, _ = dev.alloc(2)
    address = dev.mmap(2, index)
    t.worker.poke(address, b"sixteen bytes...")
    held = InFlight(t, address)
    t.worker.munmap(address, 2 * PAGE)
    t.accepted("DEALLOC", dev.dealloc, index, 2)
    reuse(t)
    t.expect(held.bytes(), b"sixteen bytes...", "what the I/O reads")
