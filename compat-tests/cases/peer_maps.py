# SPDX-License-Identifier: BSD-2-Clause
"""A page of gntalloc that the other side still maps.

The helper domain really maps what Dom0 grants it: it runs a few instructions of ours.
"""

from __future__ import annotations

from dataclasses import dataclass

from agent.client import PAGE

from . import abi
from .events import BOTH, BYTE, MARK, SOON, Channels, around
from .framework import Context, Gntalloc, case, section

section("gntalloc: page still mapped by the peer", 150)

NEEDS = ("peer_maps",)
EVENTS = ("peer_maps", "notify", "evtchn")
# Pages to allocate, so many that a page freed too early would be among them.
FRESH = 24
# The list of waiting pages is checked once a second.
TRIES = 120


@dataclass
class Granted:
    """Pages granted to the helper domain and mmapped."""

    dev: Gntalloc
    index: int
    address: int
    refs: list[int]


def granted(t: Context, count: int = 1, flags: int = abi.WRITABLE) -> Granted:
    dev = t.gntalloc()
    index, refs = dev.alloc(count, domid=t.peer.domid, flags=flags)
    return Granted(dev, index, dev.mmap(count, index), refs)


def peer_map(t: Context, ref: int, readonly: bool = False) -> int:
    status, slot = t.peer.map(ref, readonly)
    t.expect(status, 0, "status of the peer's map")
    return slot


def churn(t: Context) -> bool:
    """Allocates pages and fills them; returns whether all came zeroed."""
    dev = t.gntalloc()
    index, _ = dev.alloc(FRESH)
    address = dev.mmap(FRESH, index)
    zeroed = t.worker.check(address, FRESH * PAGE, 0)
    t.worker.fill(address, FRESH * PAGE, 0xA5)
    return zeroed


@case("peer-maps.same-page", ["2.14", "B9", "A8"], "owner and peer see each other's stores", NEEDS)
def same_page(t: Context) -> None:
    """A wrong kernel grants another page than it maps."""
    own = granted(t, 2)
    t.worker.poke(own.address + PAGE, b"from the owner")
    slot = peer_map(t, own.refs[1])
    t.expect(t.peer.look(slot, 0, 14), b"from the owner", "what the peer sees")
    t.peer.store(slot, PAGE - 4, b"peer")
    t.expect(t.worker.peek(own.address + 2 * PAGE - 4, 4), b"peer", "what the owner sees")


@case("peer-maps.read-only", ["2.14", "A8"], "without WRITABLE the peer maps read-only", NEEDS)
def read_only(t: Context) -> None:
    """A wrong kernel grants rights that the owner did not give."""
    own = granted(t, flags=0)
    t.worker.poke(own.address, b"look")
    t.expect(t.peer.map(own.refs[0])[0], -1, "status of a writable map")
    slot = peer_map(t, own.refs[0], readonly=True)
    t.expect(t.peer.look(slot, 0, 4), b"look", "what the peer sees")


@case(
    "peer-maps.dealloc-keeps-page",
    ["2.14", "D6"],
    "XSA-396: DEALLOC succeeds at once; the page is not reused while the peer maps it",
    NEEDS,
)
def dealloc_keeps(t: Context) -> None:
    """A wrong kernel frees a page that another domain reads and writes."""
    own = granted(t)
    t.worker.fill(own.address, PAGE, MARK)
    slot = peer_map(t, own.refs[0])
    t.worker.munmap(own.address)
    t.accepted("DEALLOC", own.dev.dealloc, own.index, 1)
    t.expect(churn(t), True, "fresh pages are zeroed")
    t.expect(t.peer.look(slot, 0, 64), bytes([MARK]) * 64, "what the peer still sees")
    t.peer.store(slot, 0, b"stray store")
    t.expect(churn(t), True, "fresh pages after a store of the peer are zeroed")
    t.expect(t.peer.unmap(slot), 0, "status of the peer's unmap")


@case(
    "peer-maps.close-keeps-page",
    ["2.14", "O8"],
    "close succeeds at once; the pages are not reused while the peer maps them",
    NEEDS,
)
def close_keeps(t: Context) -> None:
    """A wrong kernel waits for the peer, or frees what it maps."""
    own = granted(t, 2)
    t.worker.fill(own.address, 2 * PAGE, MARK)
    slots = [peer_map(t, ref) for ref in own.refs]
    t.worker.munmap(own.address, 2 * PAGE)
    t.accepted("close", own.dev.close)
    t.expect(churn(t), True, "fresh pages are zeroed")
    for slot in slots:
        t.expect(t.peer.look(slot, PAGE - 16, 16), bytes([MARK]) * 16, "what the peer still sees")


@case(
    "peer-maps.ends-in-the-end",
    ["2.14"],
    "the grant ends when the peer has unmapped it",
    NEEDS,
)
def ends(t: Context) -> None:
    """A wrong kernel forgets the page, or leaves it granted for ever."""
    own = granted(t)
    slot = peer_map(t, own.refs[0])
    t.worker.munmap(own.address)
    own.dev.dealloc(own.index, 1)
    # An entry in use keeps its permission, so Xen would let the peer map it again.
    again = peer_map(t, own.refs[0], readonly=True)
    for used in (slot, again):
        t.peer.unmap(used)
    for _ in range(TRIES):
        status, slot = t.peer.map(own.refs[0], readonly=True)
        if status != 0:
            break
        t.peer.unmap(slot)
        t.worker.sleep(50)
    t.expect(status, -1, "status of a map after a while")


@case(
    "peer-maps.limit-is-free",
    ["2.14", "A3"],
    "a page that waits for the peer does not count against the limit",
    (*NEEDS, "limit"),
)
def limit_free(t: Context) -> None:
    """A wrong kernel lets a peer use up the owner's pages."""
    t.set_limit("gntalloc", 2)
    own = granted(t, 2)
    slots = [peer_map(t, ref) for ref in own.refs]
    t.worker.munmap(own.address, 2 * PAGE)
    own.dev.dealloc(own.index, 2)
    t.accepted("2 pages at limit 2", t.gntalloc().alloc, 2)
    for slot in slots:
        t.peer.unmap(slot)


@case(
    "peer-maps.notified",
    ["2.14", "2.12"],
    "the peer sees byte and event while it maps the page",
    EVENTS,
)
def notified(t: Context) -> None:
    """A wrong kernel delays the notification until the peer unmaps, and the peer waits for it."""
    channels = Channels(t)
    own = granted(t)
    t.worker.poke(own.address + BYTE - 1, bytes([MARK] * 3))
    own.dev.notify(own.index + BYTE, BOTH, channels.port())
    slot = peer_map(t, own.refs[0])
    t.worker.munmap(own.address)
    t.expect(around(t.peer.look(slot, BYTE - 1, 3)), "kept", "byte before DEALLOC")
    own.dev.dealloc(own.index, 1)
    t.expect(channels.raised(SOON), ["event"], "events after DEALLOC")
    t.expect(around(t.peer.look(slot, BYTE - 1, 3)), "cleared", "byte after DEALLOC")


@case(
    "peer-maps.owner-killed",
    ["2.14", "5.2"],
    "the peer of a killed vchan server sees byte and event, and keeps the page",
    (*EVENTS, "fork"),
)
def owner_killed(t: Context) -> None:
    """A wrong kernel pulls the page from under the peer, or does not notify it."""
    child = t.worker.fork()
    dev = Gntalloc(t, child, child.open("gntalloc"))
    channels = Channels(t, owner=child)
    index, refs = dev.alloc(domid=t.peer.domid)
    child.fill(dev.mmap(1, index), PAGE, MARK)
    dev.notify(index + BYTE, BOTH, channels.port())
    slot = peer_map(t, refs[0])
    t.worker.kill(child)
    t.worker.wait(child)
    t.expect(channels.raised(SOON), ["event"], "events")
    t.expect(churn(t), True, "fresh pages are zeroed")
    t.expect(around(t.peer.look(slot, BYTE - 1, 3)), "cleared", "byte")
    t.expect(t.peer.look(slot, 0, 16), bytes([MARK]) * 16, "the page's other bytes")
