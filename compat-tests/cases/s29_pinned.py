# SPDX-License-Identifier: BSD-2-Clause
"""REFERENCE 2.9, rows Z: pages that somebody's I/O still uses when their map goes.

A pipe with the page in it (vmsplice) is such I/O, for as long as nobody reads it.
"""

from __future__ import annotations

from collections.abc import Sequence

from agent.client import PAGE

from .framework import Context, case, section

section("2.9 gntdev: pages in use when their map goes")

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


def hold(t: Context, address: int, length: int = 16) -> int:
    """Puts bytes of a page into a pipe; the end to read them from."""
    out, into = t.worker.pipe()
    t.worker.vmsplice(into, address, length)
    return out


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
    dev, index, address, refs = t.mapped()
    t.worker.poke(address, b"sixteen bytes...")
    out = hold(t, address)
    t.worker.munmap(address)
    t.accepted("UNMAP", dev.unmap, index, 1)
    t.worker.sleep(30)
    t.expect(t.peer.states(refs), [MAPPED], "entry while in use")
    t.peer.write(0, 0, b"by the granter")
    t.expect(t.worker.read(out, 16), b"by the granter..", "what the I/O reads")
    t.expect(settle(t, refs), [FREE], "entry afterwards")


@case("pinned.whole-map", ["Z4"], "one page in use keeps the whole map", NEEDS)
def whole(t: Context) -> None:
    """A wrong kernel unmaps the other pages alone, and those in use never."""
    dev, index, address, refs = t.mapped(3)
    out = hold(t, address + PAGE)
    t.worker.munmap(address, 3 * PAGE)
    dev.unmap(index, 3)
    t.expect(t.peer.states(refs), [MAPPED] * 3, "entries while one is in use")
    t.worker.read(out, 16)
    t.expect(settle(t, refs), [FREE] * 3, "entries afterwards")


@case("pinned.close", ["Z4", "O8"], "close does not wait for a page in use", NEEDS)
def close(t: Context) -> None:
    """A wrong kernel hangs in close, or frees what the I/O writes to."""
    dev, _, address, refs = t.mapped(2)
    out = hold(t, address)
    t.worker.munmap(address, 2 * PAGE)
    t.accepted("close", dev.close)
    t.expect(t.peer.states(refs), [MAPPED] * 2, "entries while one is in use")
    t.worker.read(out, 16)
    t.expect(settle(t, refs), [FREE] * 2, "entries afterwards")


@case("pinned.index-free", ["Z4", "U5"], "the index is free though the old map waits", NEEDS)
def index_free(t: Context) -> None:
    """A wrong kernel refuses the index, or mixes up the old map and the new."""
    dev, index, address, refs = t.mapped()
    out = hold(t, address)
    t.worker.munmap(address)
    dev.unmap(index, 1)
    t.refused("ENOENT", "UNMAP again", dev.unmap, index, 1)
    new = t.peer.grant(1)
    t.expect(dev.map([new]), index, "index of the next map")
    second = dev.mmap(1, index)
    t.peer.write(1, 0, b"second page")
    t.expect(t.worker.peek(second, 11), b"second page", "the new mapping")
    t.worker.read(out, 16)
    t.expect(settle(t, refs), [FREE], "old entry")
    t.expect(t.peer.states([new]), [MAPPED], "new entry")


@case("pinned.many", ["Z4"], "several maps can wait at once", NEEDS)
def many(t: Context) -> None:
    """A wrong kernel has one place for a map that waits."""
    dev = t.gntdev()
    refs, pipes = t.peer.grants(4), []
    for ref in refs:
        index = dev.map([ref])
        address = dev.mmap(1, index)
        pipes.append(hold(t, address))
        t.worker.munmap(address)
        dev.unmap(index, 1)
    t.expect(t.peer.states(refs), [MAPPED] * 4, "entries while in use")
    for out in (pipes[2], pipes[0]):
        t.worker.read(out, 16)
    t.expect(settle(t, [refs[2], refs[0]]), [FREE] * 2, "entries of two that are free")
    t.expect(t.peer.states([refs[1], refs[3]]), [MAPPED] * 2, "entries of the others")
    for out in (pipes[1], pipes[3]):
        t.worker.read(out, 16)
    t.expect(settle(t, refs), [FREE] * 4, "all entries")


@case(
    "pinned.gntalloc", ["Z4", "D6"], "a page of gntalloc in use lives on, its grant ends", ("hold",)
)
def gntalloc(t: Context) -> None:
    """A wrong kernel frees a page that the pipe holds: another process's data shows in it."""
    dev = t.gntalloc()
    index, _ = dev.alloc()
    address = dev.mmap(1, index)
    t.worker.poke(address, b"sixteen bytes...")
    out = hold(t, address)
    t.worker.munmap(address)
    t.accepted("DEALLOC", dev.dealloc, index, 1)
    fresh, _ = dev.alloc(16)
    t.worker.fill(dev.mmap(16, fresh), 16 * PAGE, 0xA5)
    t.expect(t.worker.read(out, 16), b"sixteen bytes...", "what the I/O reads")
