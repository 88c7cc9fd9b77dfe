# SPDX-License-Identifier: BSD-2-Clause
"""Notifications, and the end of a process, between two systems that grant pages to each other.

Elsewhere the other end of a grant is an empty domain, and an event comes back to its sender's own
domain.  Here a second system with its own drivers, Linux's for FreeBSD and FreeBSD's for Linux,
maps, copies, is notified and dies.
"""

from __future__ import annotations

from agent.client import PAGE, Worker

from . import abi
from .events import BOTH, BYTE, MARK, SOON, around
from .framework import Context, Gntalloc, Gntdev, case, section

section("Two systems side by side", 180)

NEEDS = ("beside", "peer", "evtchn")
MARKS = bytes([MARK] * 3)


class Wire:
    """An event channel from one side to the other: an event sent on ``port`` arrives there."""

    def __init__(self, t: Context, sender: Worker) -> None:
        self._other = t.beside
        self._fd = self._other.open("evtchn")
        offered = self._other.bind_unbound(self._fd, t.own)
        self.port = sender.bind_interdomain(sender.open("evtchn"), t.peer.domid, offered)
        self._number = offered
        # Binding may raise either end once.
        self._other.events(self._fd, 0)

    def heard(self, wait: int = 0) -> str:
        """``event`` or ``silence``, once."""
        raised = self._other.events(self._fd, wait)
        return {(): "silence", (self._number,): "event"}.get(tuple(raised), str(raised))

    def close(self) -> None:
        self._other.close(self._fd)


def killed(t: Context, child: Worker) -> None:
    t.worker.kill(child, "SIGKILL")
    t.worker.wait(child)


def mapping(t: Context, worker: Worker) -> tuple[Gntdev, int, int, int, Wire]:
    """Maps an armed page of the other system."""
    dev = Gntdev(t, worker, worker.open("gntdev"))
    wire = Wire(t, worker)
    ref = t.peer.grants(1)[0]
    t.peer.write(0, BYTE - 1, MARKS)
    index = dev.map([ref])
    address = dev.mmap(1, index)
    t.expect(around(worker.peek(address + BYTE - 1, 3)), "kept", "the granter's bytes")
    worker.poke(address, b"to the granter")
    t.expect(t.peer.read(0, 0, 14), b"to the granter", "what the granter reads")
    dev.notify(index + BYTE, BOTH, wire.port)
    t.expect(t.peer.state(ref), "mapped rw", "the entry while it is mapped")
    return dev, index, address, ref, wire


def ended(t: Context, ref: int, wire: Wire, what: str) -> None:
    t.expect(wire.heard(SOON), "event", f"{what}: the granter hears")
    t.expect(around(t.peer.read(0, BYTE - 1, 3)), "cleared", f"{what}: the granter's byte")
    t.expect(t.peer.state(ref), "not mapped", f"{what}: the entry")
    wire.close()


@case("beside.map", ["2.6"], "the granter sees the map and is notified of its end", NEEDS)
def map_and_unmap(t: Context) -> None:
    """A wrong driver clears a byte of another page or raises a port of its own domain."""
    dev, index, address, ref, wire = mapping(t, t.worker)
    t.expect(wire.heard(), "silence", "before the end")
    t.worker.munmap(address)
    dev.unmap(index, 1)
    ended(t, ref, wire, "munmap and UNMAP")


@case(
    "beside.map-closed",
    ["2.6", "O8"],
    "the granter is notified of the close of an armed file",
    NEEDS,
)
def map_and_close(t: Context) -> None:
    """A wrong driver keeps the grant in use after the file is closed."""
    dev, _, address, ref, wire = mapping(t, t.worker)
    t.worker.munmap(address)
    dev.close()
    ended(t, ref, wire, "close")


@case(
    "beside.map-killed",
    ["2.17"],
    "the granter is notified of its mapper's SIGKILL",
    (*NEEDS, "fork"),
)
def map_and_die(t: Context) -> None:
    """A wrong driver closes the event channel first, or leaves the page mapped."""
    child = t.worker.fork()
    _, _, _, ref, wire = mapping(t, child)
    killed(t, child)
    ended(t, ref, wire, "SIGKILL")


def granting(t: Context, worker: Worker) -> tuple[Gntalloc, int, int, int, Wire]:
    """Grants an armed page and has the other system map it."""
    dev = Gntalloc(t, worker, worker.open("gntalloc"))
    wire = Wire(t, worker)
    index, refs = dev.alloc(1, t.peer.domid)
    address = dev.mmap(1, index)
    worker.poke(address + BYTE - 1, MARKS)
    dev.notify(index + BYTE, BOTH, wire.port)
    status, slot = t.peer.map(refs[0])
    t.expect(status, 0, "the other system maps it")
    t.expect(around(t.peer.look(slot, BYTE - 1, 3)), "kept", "what the mapper sees")
    t.peer.store(slot, 0, b"from the mapper")
    t.expect(worker.peek(address, 15), b"from the mapper", "what the granter reads")
    return dev, index, address, slot, wire


def withdrawn(t: Context, slot: int, wire: Wire, what: str) -> None:
    t.expect(wire.heard(SOON), "event", f"{what}: the mapper hears")
    t.expect(around(t.peer.look(slot, BYTE - 1, 3)), "cleared", f"{what}: the byte it sees")
    t.peer.store(slot, 64, b"still there")
    t.expect(t.peer.look(slot, 64, 11), b"still there", f"{what}: the page stays the mapper's")
    t.expect(t.peer.unmap(slot), 0, "and it lets go")
    wire.close()


@case("beside.grant", ["2.12"], "the mapper is notified when a grant is withdrawn", NEEDS)
def grant_and_dealloc(t: Context) -> None:
    """A wrong driver frees a page that another domain still maps."""
    dev, index, address, slot, wire = granting(t, t.worker)
    t.expect(wire.heard(), "silence", "before the end")
    t.worker.munmap(address)
    dev.dealloc(index, 1)
    withdrawn(t, slot, wire, "DEALLOC")


@case(
    "beside.grant-closed",
    ["2.12", "O8"],
    "the mapper is notified when the grant's file is closed",
    NEEDS,
)
def grant_and_close(t: Context) -> None:
    """A wrong driver ends the grant while the other system maps it, or never."""
    dev, _, address, slot, wire = granting(t, t.worker)
    t.worker.munmap(address)
    dev.close()
    withdrawn(t, slot, wire, "close")


@case(
    "beside.grant-killed",
    ["2.17"],
    "the mapper is notified of the granter's SIGKILL",
    (*NEEDS, "fork"),
)
def grant_and_die(t: Context) -> None:
    """A wrong driver gives the page to somebody else while it is mapped."""
    child = t.worker.fork()
    _, _, _, slot, wire = granting(t, child)
    killed(t, child)
    withdrawn(t, slot, wire, "SIGKILL")


def _copy(t: Context, worker: Worker, granter: Worker, user: int, owner: int, what: str) -> None:
    alloc = Gntalloc(t, granter, granter.open("gntalloc"))
    index, refs = alloc.alloc(2, user)
    address = alloc.mmap(2, index)
    granter.poke(address, bytes(range(256)))
    dev = Gntdev(t, worker, worker.open("gntdev"))
    buffer = worker.alloc(PAGE)
    out = abi.Segment(abi.Foreign(refs[0], owner), buffer, 256)
    back = abi.Segment(buffer, abi.Foreign(refs[1], owner, 100), 256)
    t.expect(dev.copy(out, back), [0, 0], f"{what}: statuses")
    t.expect(worker.peek(buffer, 256), bytes(range(256)), f"{what}: out of the grant")
    into = granter.peek(address + PAGE + 100, 256)
    t.expect(into, bytes(range(256)), f"{what}: into the grant")
    alloc.close()
    dev.close()


@case("beside.copy", ["C8"], "grant copy out of and into what the other system granted", NEEDS)
def copy_here(t: Context) -> None:
    """A wrong driver passes the wrong domain to Xen."""
    _copy(t, t.worker, t.beside, t.own, t.peer.domid, "copied here")


@case("beside.copy-there", ["C8"], "the other system copies what is granted here", NEEDS)
def copy_there(t: Context) -> None:
    """A wrong driver writes a grant entry that does not match the flags."""
    _copy(t, t.beside, t.worker, t.peer.domid, t.own, "copied there")


@case("beside.many", ["2.6"], "64 pages each way at once, every word compared", NEEDS)
def many(t: Context) -> None:
    """A wrong driver mixes up the pages."""
    pages = 64
    refs = t.peer.grants(pages)
    for page in range(pages):
        t.peer.write(page, 8, page.to_bytes(4, "little") * 16)
    dev = t.gntdev()
    index = dev.map(refs)
    address = dev.mmap(pages, index)
    seen = [t.worker.peek(address + n * PAGE + 8, 64) for n in range(pages)]
    t.expect(seen == [n.to_bytes(4, "little") * 16 for n in range(pages)], True, "mapped here")
    alloc = t.gntalloc()
    start, given = alloc.alloc(pages, t.peer.domid)
    place = alloc.mmap(pages, start)
    for page in range(pages):
        t.worker.poke(place + page * PAGE + 8, (page + 1000).to_bytes(4, "little") * 16)
    slots = [t.peer.map(ref)[1] for ref in given]
    looked = [t.peer.look(slot, 8, 64) for slot in slots]
    wanted = [(n + 1000).to_bytes(4, "little") * 16 for n in range(pages)]
    t.expect(looked == wanted, True, "mapped there")
    for slot in slots:
        t.peer.unmap(slot)
    t.worker.munmap(address, pages * PAGE)
    dev.unmap(index, pages)
    states = set(t.peer.states(refs))
    t.expect(states, {"not mapped"}, "all entries afterwards")
