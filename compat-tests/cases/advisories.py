# SPDX-License-Identifier: BSD-2-Clause
"""Known bugs of other drivers that no rule of docs/abi.md covers (docs/regressions.md)."""

from __future__ import annotations

from agent.client import PAGE

from . import abi
from .framework import Context, case, section
from .peer_maps import granted, peer_map

section("Known bugs of other drivers", 171)

TRIES = 120


@case(
    "advisory.batch-with-bad-reference",
    ["6", "P14"],
    "XSA-361: a bad reference first, in the middle or last fails all and leaks none",
)
def bad_reference(t: Context) -> None:
    """A wrong kernel checks only the first status, or leaks the grants mapped beside the bad
    one."""
    good = t.peer.grants(4)
    for place in (0, 2, 4):
        dev = t.gntdev()
        refs = [*good[:place], t.peer.unused_ref(), *good[place:]]
        index = dev.map(refs)
        t.refused("EINVAL", f"mmap, bad one at {place}", dev.mmap, 5, index)
        dev.unmap(index, 5)
        t.expect(t.peer.states(good), ["not mapped"] * 4, "entries after UNMAP")
        # A granter that gets its entry back can use it for something else.
        t.peer.set_flags(good[0], 0)
        t.refused("EINVAL", "mmap of a revoked grant", dev.mmap, 1, dev.map(good[:1]))
        t.peer.set_flags(good[0], abi.GTF_PERMIT)


@case(
    "advisory.later-index-mmappable",
    ["6", "P16"],
    "Qubes 5199: maps at indices other than 0 can be mmapped, also with several pages",
)
def later_index(t: Context) -> None:
    """A wrong kernel takes the file offset for an offset into the map: ENXIO."""
    dev = t.gntdev()
    refs = t.peer.grants(5)
    dev.map(refs[:1])
    for page in range(5):
        t.peer.write(page, 0, bytes([page + 1]))
    for first, count in ((1, 1), (2, 3)):
        index = dev.map(refs[first : first + count])
        t.expect(index, first * PAGE, f"index of the map of {count}")
        address = t.accepted(f"mmap of {count}", dev.mmap, count, index)
        seen = [t.worker.peek(address + n * PAGE, 1)[0] for n in range(count)]
        t.expect(seen, [first + n + 1 for n in range(count)], f"pages of the map of {count}")


@case(
    "advisory.read-only-beside-writable",
    ["6", "M8", "P12"],
    "QEMU 2025: a read-only and a writable mapping of one grant do not disturb each other",
)
def read_only_beside(t: Context) -> None:
    """A wrong kernel returns one of the two in place of the other."""
    ref = t.peer.grant(0)
    dev = t.gntdev()
    readable, writable = dev.map([ref]), dev.map([ref])
    a = dev.mmap(1, readable, "r")
    t.expect(t.peer.state(ref), "mapped ro", "entry with the read-only mapping")
    b = dev.mmap(1, writable)
    t.expect(t.peer.state(ref), "mapped rw", "entry with both")
    t.accepted("store through the writable one", t.worker.poke, b, b"seen by both")
    t.expect(t.worker.peek(a, 12), b"seen by both", "read-only mapping")
    t.refused("SIGSEGV", "store through the read-only one", t.worker.poke, a, b"x")
    t.worker.munmap(b)
    dev.unmap(writable, 1)
    t.expect(t.peer.state(ref), "mapped ro", "entry when the writable one is gone")


@case(
    "advisory.peers-unmap-late",
    ["6", "2.14"],
    "Qubes 7410: more pages than one check covers, unmapped late by their peer, are all freed",
    ("peer_maps",),
)
def unmap_late(t: Context) -> None:
    """A wrong kernel only ever retries the first page of its list, which stays in use."""
    count = 12
    own = granted(t, count)
    slots = [peer_map(t, ref) for ref in own.refs]
    t.worker.munmap(own.address, count * PAGE)
    own.dev.dealloc(own.index, count)
    # The first keeps its page for longer than the others.
    for slot in slots[1:]:
        t.peer.unmap(slot)
    last = own.refs[-1]
    for _ in range(TRIES):
        status, slot = t.peer.map(last, readonly=True)
        if status != 0:
            break
        t.peer.unmap(slot)
        t.worker.sleep(50)
    t.expect(status, -1, "status of a map of the last page after a while")
    t.expect(t.peer.look(slots[0], 0, 1), bytes(1), "the page that the peer still maps")


@case(
    "advisory.grant-of-no-frame",
    ["6", "P14", "2.15"],
    "a grant of a frame that is not there fails the mmap and leaves nothing",
)
def no_frame(t: Context) -> None:
    """A wrong kernel assumes that a granted frame exists."""
    good, bad = t.peer.grant(0), t.peer.unused_ref()
    t.worker.agent.peer(f"grant {bad} none 0x{abi.GTF_PERMIT:x} domid=0")
    dev = t.gntdev()
    index = dev.map([good, bad])
    t.refused("EINVAL", "mmap", dev.mmap, 2, index)
    dev.unmap(index, 2)
    t.expect(t.peer.states([good, bad]), ["not mapped"] * 2, "entries after UNMAP")


@case(
    "advisory.revoked-while-mapped",
    ["6", "V10"],
    "a grant that its granter revokes stays usable until it is unmapped",
)
def revoked(t: Context) -> None:
    """A wrong kernel faults on a page whose hostile granter has revoked it."""
    dev, index, address, refs = t.mapped()
    t.peer.set_flags(refs[0], 0)
    t.accepted("store", t.worker.poke, address, b"still mapped")
    t.expect(t.peer.read(0, 0, 12), b"still mapped", "granter's page")
    t.worker.munmap(address)
    t.accepted("UNMAP", dev.unmap, index, 1)
    t.refused("EINVAL", "mmap of it afterwards", dev.mmap, 1, dev.map(refs))


@case(
    "advisory.granter-dies-while-mapped",
    ["6", "V10"],
    "a page whose granter dies stays usable until it is unmapped",
    ["peer"],
)
def granter_dies(t: Context) -> None:
    """A wrong kernel loses the page, or keeps the domain from ever being destroyed."""
    dev, index, address, _ = t.mapped(2)
    t.worker.poke(address + PAGE, b"after its death")
    t.peer.destroy()
    t.expect(t.worker.peek(address + PAGE, 15), b"after its death", "page")
    t.worker.munmap(address, 2 * PAGE)
    t.accepted("UNMAP", dev.unmap, index, 2)
