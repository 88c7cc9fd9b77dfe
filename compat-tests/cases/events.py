# SPDX-License-Identifier: BSD-2-Clause
"""Shared by the cases about unmap notification: event channels and bytes to watch."""

from __future__ import annotations

from collections.abc import Sequence

from agent.client import PAGE, Worker

from . import abi
from .framework import Context, Gntalloc, Gntdev

# Only a failure waits this long; an event that was sent is there when the call returns.
SOON = 3000
BOTH = abi.CLEAR_BYTE | abi.SEND_EVENT
MARK = 0x5A
# Offset of the armed byte; the ones before and after it are checked, too.
BYTE = 0x123


class Channels:
    """Loop-back event channels: an event sent on one end arrives at the other.

    The ends to arm and those to watch belong to two open files, possibly of two processes.
    """

    def __init__(self, t: Context, owner: Worker | None = None) -> None:
        self.worker = t.worker
        self.domid = t.own
        self.owner = owner or t.worker
        # As few round trips as possible: under emulation they are most of a case's cost.
        watch, own = t.worker.agent.call_all(
            [f"{self.worker.address}open evtchn", f"{self.owner.address}open evtchn"]
        )
        self.watch, self.own = watch.int("fd"), own.int("fd")
        self._names: dict[int, str] = {}

    def port(self, name: str = "event") -> int:
        """A port to arm; ``name`` is what :meth:`raised` calls its events."""
        port = self.owner.bind_unbound(self.own, self.domid)
        self.connect(port, name)
        return port

    def connect(self, port: int, name: str = "event") -> None:
        """Binds the other end of a port."""
        # Binding raises the port once, in case an event was sent before.
        bound, _ = self.worker.agent.call_all(
            [
                f"{self.worker.address}bind_interdomain {self.watch} {self.domid} {port}",
                f"{self.worker.address}events {self.watch} {SOON}",
            ]
        )
        self._names[bound.int("port")] = name

    def names(self, ports: str) -> list[str]:
        if ports == "none":
            return []
        return [self._names.get(int(port), f"port {port}") for port in ports.split(",")]

    def raised(self, wait: int = 0) -> list[str]:
        """Names of the events since the last time, in order."""
        return self.names(self.worker.call(f"events {self.watch} {wait}").text("ports"))

    def gathered(self, count: int) -> list[str]:
        """Names of this many events, sorted: two processors deliver them one by one, in any
        order."""
        return sorted(self._several(count))

    def expect_in_order(self, t: Context, names: Sequence[str], what: str) -> None:
        """Expects these events, in this order if the target's event channels keep it."""
        seen, wanted = self._several(len(names)), list(names)
        if t.target.reason_against("event_order") is not None:
            seen, wanted = sorted(seen), sorted(wanted)
        t.expect(seen, wanted, what)

    def _several(self, count: int) -> list[str]:
        names = self.raised(SOON)
        while len(names) < count and (more := self.raised(SOON)):
            names += more
        return names + self.raised()


def around(data: bytes) -> str:
    """What happened to a marked byte and to its two neighbours."""
    if data == bytes([MARK, MARK, MARK]):
        return "kept"
    if data == bytes([MARK, 0, MARK]):
        return "cleared"
    return data.hex()


def both(dev: Gntdev | Gntalloc, address: int, count: int, command: str, data: bytes) -> None:
    worker = dev.worker
    worker.agent.call_all(
        [
            f"{worker.address}munmap 0x{address:x} {count * PAGE}",
            f"{worker.address}ioctl {dev.fd} {command} 0x{worker.scratch:x} {data.hex()}",
        ]
    )


class Watched:
    """A map of marked pages of the helper domain, and the two signs of its end.

    ``look()`` reports the byte as the granter sees it, the grant entry and the event.
    """

    def __init__(
        self,
        t: Context,
        count: int = 1,
        page: int = 0,
        byte: int = BYTE,
        prot: str = "rw",
        dev: Gntdev | None = None,
        worker: Worker | None = None,
        channels: Channels | None = None,
        arm: bool = True,
        mmap: bool = True,
    ) -> None:
        self.t = t
        worker = worker or t.worker
        self.dev = dev or Gntdev(t, worker, worker.open("gntdev"))
        self.channels = channels or Channels(t)
        self.port = self.channels.port()
        self.count = count
        self.page = page
        self.byte = byte
        self.refs = t.peer.grants(count)
        self.worker = self.dev.worker
        # The granter marks them, since a page that is not mmapped can be marked, too.
        marks = bytes([MARK] * 3).hex()
        t.worker.agent.call_all([f"peer write {n} {byte - 1} {marks}" for n in range(count)])
        self.index = self.dev.map(self.refs)
        self.address = self.dev.mmap(count, self.index, prot) if mmap else 0
        if arm:
            self.arm()

    def arm(self, action: int = BOTH) -> None:
        self.dev.notify(self.index + self.page * PAGE + self.byte, action, self.port)

    def munmap(self) -> None:
        self.worker.munmap(self.address, self.count * PAGE)

    def unmap(self) -> None:
        self.dev.unmap(self.index, self.count)

    def end(self) -> None:
        """munmap, then UNMAP, as in libxengnttab, in one round trip."""
        data = abi.UNMAP.pack(self.index, self.count, 0)
        both(self.dev, self.address, self.count, abi.UNMAP_GRANT_REF, data)

    def look(self, wait: int = 0) -> str:
        """For example ``kept, mapped, no event``: byte, entry of its page, events."""
        channels = self.channels
        events, byte, entry = self.t.worker.agent.call_all(
            [
                f"{channels.worker.address}events {channels.watch} {wait}",
                f"peer read {self.page} {self.byte - 1} 3",
                f"peer entry {self.refs[self.page]}",
            ]
        )
        flags = entry.int("flags")
        held = "mapped" if flags & (abi.GTF_READING | abi.GTF_WRITING) else "not mapped"
        names = channels.names(events.text("ports"))
        return f"{around(byte.bytes())}, {held}, {' '.join(names) or 'no event'}"


KEPT = "kept, mapped, no event"
FIRED = "cleared, not mapped, event"
# On PV, the user's mapping is the grant's (K7).
PV_UNMAPPED = "cleared, not mapped, no event"


class Held:
    """Pages of an mmapped range that a pipe holds: they can be read after the range is gone."""

    def __init__(self, t: Context, looks: int = 1) -> None:
        t.need("hold")
        self.worker = t.worker
        self.looks = looks
        self.out, self.into = t.worker.pipe()

    def take(self, address: int, worker: Worker | None = None, byte: int = BYTE) -> None:
        """Each later :meth:`byte` returns the bytes around ``byte`` of the page."""
        for _ in range(self.looks):
            (worker or self.worker).vmsplice(self.into, address + byte - 1, 3)

    def byte(self) -> str:
        return around(self.worker.read(self.out, 3))


class Shared:
    """Marked pages of the own domain: granted, mmapped, armed and held by a pipe."""

    def __init__(
        self,
        t: Context,
        count: int = 1,
        byte: int = BYTE,
        looks: int = 1,
        worker: Worker | None = None,
        channels: Channels | None = None,
        held: Held | None = None,
        dev: Gntalloc | None = None,
        arm: bool = True,
    ) -> None:
        self.t = t
        worker = worker or t.worker
        self.held = held or Held(t, looks)
        self.dev = dev or Gntalloc(t, worker, worker.open("gntalloc"))
        self.channels = channels or Channels(t)
        self.worker = worker
        self.count = count
        self.byte = byte
        self.index, self.refs = self.dev.alloc(count)
        self.address = self.dev.mmap(count, self.index)
        self.ports: list[int] = []
        names = ["event"] if count == 1 else [f"event-{n}" for n in range(count)]
        for n, name in enumerate(names):
            self.worker.poke(self.address + n * PAGE + byte - 1, bytes([MARK] * 3))
            self.held.take(self.address + n * PAGE, worker, byte)
            self.ports.append(self.channels.port(name))
            if arm:
                self.arm(n)

    def arm(self, page: int = 0, action: int = BOTH) -> None:
        self.dev.notify(self.index + page * PAGE + self.byte, action, self.ports[page])

    def munmap(self) -> None:
        self.worker.munmap(self.address, self.count * PAGE)

    def dealloc(self) -> None:
        self.dev.dealloc(self.index, self.count)

    def end(self) -> None:
        """munmap, then DEALLOC, in one round trip."""
        data = abi.DEALLOC.pack(self.index, self.count)
        both(self.dev, self.address, self.count, abi.DEALLOC_GREF, data)

    def look(self, wait: int = 0) -> str:
        """For example ``kept, no event`` of the first page."""
        names: Sequence[str] = self.channels.raised(wait)
        return f"{self.held.byte()}, {' '.join(names) or 'no event'}"
