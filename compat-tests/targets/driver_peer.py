# SPDX-License-Identifier: BSD-2-Clause
"""Another system's own drivers in the role of the helper domain.

Where two systems run side by side, each is the other's peer, with its gntalloc, gntdev and evtchn
in place of raw grant entries.  `DriverPeer.answer` takes the requests of ``agent/peer/peer.c`` and
gives the same answers; what these drivers cannot do is n/a with the reason.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence

from agent.client import PAGE, Agent, Errno, Outcome, Pending, Reply, Worker
from cases import abi
from cases.framework import NotApplicable

PAGES = 64
# A table frame's capacity: later entries are free, and Xen knows them.
UNUSED = 480
ENTRIES = 512

#: Returns the peer's grants in use according to Xen: reference -> flags of the entry.
Looks = Callable[[], dict[int, int]]


class DriverPeer:
    """One agent as the helper domain of the other."""

    def __init__(self, agent: Agent, domid: int, subject: int, looks: Looks) -> None:
        self.agent = agent
        self.domid = domid
        self._subject = subject
        self._looks = looks
        self._worker: Worker | None = None
        self._base = 0
        self._alloc = 0
        self._gntdev = 0
        self._refs: list[int] = []
        # Grants beside the pool: reference -> index.
        self._others: dict[int, tuple[int, int]] = {}
        # Page -> address where it is mapped for access.
        self._places: dict[int, int] = {}
        self._granted: dict[int, int] = {}
        self._given: dict[int, int] = {}
        self._slots: dict[int, tuple[int, int]] = {}
        self._used: set[int] = set()

    @contextlib.contextmanager
    def one_look(self) -> Iterator[None]:
        """Keeps Xen's first answer until the end of the block."""
        looks, seen = self._looks, list[dict[int, int]]()

        def once() -> dict[int, int]:
            if not seen:
                seen.append(looks())
            return seen[0]

        self._looks = once
        try:
            yield
        finally:
            self._looks = looks

    # ---- the worker on the other side

    @property
    def worker(self) -> Worker:
        """For what the requests cannot express."""
        return self._start() if self._worker is None else self._worker

    def _start(self) -> Worker:
        worker = self._worker = self.agent.begin("peer")
        self._alloc = worker.open("gntalloc")
        self._gntdev = worker.open("gntdev")
        index, self._refs = self._allocate(PAGES, abi.WRITABLE, self._subject)
        self._base = worker.mmap(self._alloc, PAGES * PAGE, index)
        return worker

    def stop(self) -> None:
        """Ends the worker, and with it everything that it granted and mapped."""
        worker, self._worker = self._worker, None
        for record in (self._others, self._places, self._granted, self._given, self._slots):
            record.clear()
        self._used.clear()
        if worker is not None:
            self.agent.finish()

    def _allocate(self, count: int, flags: int, domid: int) -> tuple[int, list[int]]:
        size = max(abi.ALLOC.size, abi.ALLOC_IDS + 4 * count)
        data = abi.ALLOC.pack(domid, flags, count, 0, 0)
        back = self.worker.ioctl_bytes(self._alloc, abi.ALLOC_GREF, data, size)
        ids = back[abi.ALLOC_IDS : abi.ALLOC_IDS + 4 * count]
        refs = [int.from_bytes(ids[n : n + 4], "little") for n in range(0, len(ids), 4)]
        return int(abi.ALLOC.unpack(back[: abi.ALLOC.size])[3]), refs

    # ---- requests

    def answer(self, request: str) -> list[str]:
        """Performs a request; returns the words of the answer."""
        name, *words = request.split()
        options = dict(word.split("=", 1) for word in words if "=" in word)
        plain = [word for word in words if "=" not in word]
        handler = getattr(self, f"_op_{name}", None)
        if handler is None:
            raise NotApplicable(f"the peer's drivers cannot do '{name}'")
        try:
            found: dict[str, object] = handler(plain, options)
        except Errno as error:
            return ["err", error.word, *error.request.split()]
        return ["ok", *(f"{key}={value}" for key, value in found.items())]

    def _op_new(self, words: list[str], options: dict[str, str]) -> dict[str, object]:
        if options:
            raise NotApplicable("the peer is a real system, not the helper domain")
        return {"domid": self.domid, "pages": PAGES, "entries": ENTRIES, "unused": UNUSED}

    _op_info = _op_new

    def _place(self, page: int) -> int:
        if self._worker is None:
            self._start()
        return self._places.get(page, self._base + page * PAGE)

    def _op_grant(self, words: list[str], options: dict[str, str]) -> dict[str, object]:
        if words[1] == "none":
            raise NotApplicable("gntalloc grants only existing pages")
        page, flags = int(words[1]), int(words[2], 0)
        # Domain 0 is the system under test.
        domid = int(options.get("domid", "0"), 0) or self._subject
        if flags not in (abi.GTF_PERMIT, abi.GTF_PERMIT | abi.GTF_READONLY):
            raise NotApplicable(f"gntalloc cannot make an entry with flags 0x{flags:x}")
        if page in self._given:
            raise NotApplicable("gntalloc grants each of its pages once")
        worker = self.worker
        if flags == abi.GTF_PERMIT and domid == self._subject:
            ref = self._refs[page]
        else:
            writable = 0 if flags & abi.GTF_READONLY else abi.WRITABLE
            index, refs = self._allocate(1, writable, domid)
            place = worker.mmap(self._alloc, PAGE, index)
            earlier = worker.peek(self._place(page), PAGE) if page in self._used else b""
            if earlier.strip(b"\0"):
                worker.poke(place, earlier)
            ref = refs[0]
            self._places[page] = place
            self._others[ref] = (index, place)
        self._given[page] = ref
        self._granted[ref] = flags
        self._used.add(page)
        return {"ref": ref}

    def _op_entry(self, words: list[str], options: dict[str, str]) -> dict[str, object]:
        ref = int(words[0])
        flags = self._looks().get(ref, self._granted.get(ref, 0))
        page = next((p for p, r in self._given.items() if r == ref), -1)
        return {"flags": f"0x{flags:x}", "domid": self._subject, "page": page}

    def _op_read(self, words: list[str], options: dict[str, str]) -> dict[str, object]:
        page, offset, length = (int(word, 0) for word in words[:3])
        return {"data": self.worker.peek(self._place(page) + offset, length).hex()}

    def _op_write(self, words: list[str], options: dict[str, str]) -> dict[str, object]:
        page, offset = int(words[0]), int(words[1], 0)
        self._used.add(page)
        self.worker.poke(self._place(page) + offset, bytes.fromhex(words[2]))
        return {}

    def _op_clear(self, words: list[str], options: dict[str, str]) -> dict[str, object]:
        in_use = self._looks() if self._granted else {}
        if not in_use.keys().isdisjoint(self._granted):
            raise Errno("EBUSY", "clear", "an entry is in use")
        if self._others or self._slots:
            self.stop()
            return {}
        for page in self._used:
            self.worker.fill(self._place(page), PAGE, 0)
        self._used.clear()
        self._given.clear()
        self._granted.clear()
        return {}

    def _op_destroy(self, words: list[str], options: dict[str, str]) -> dict[str, object]:
        raise NotApplicable("the peer is a real system and is not destroyed")

    # The subject's grants

    def _op_map(self, words: list[str], options: dict[str, str]) -> dict[str, object]:
        ref, readonly = int(words[0], 0), "ro" in words[1:]
        worker = self.worker
        data = abi.pack_map([(self._subject, ref)])
        back = worker.ioctl_bytes(self._gntdev, abi.MAP_GRANT_REF, data, abi.MAP.size)
        index = int(abi.MAP.unpack(back)[2])
        try:
            address = worker.mmap(self._gntdev, PAGE, index, "r" if readonly else "rw")
        except Outcome:
            self._unmap(index)
            # mmap(2) does not report Xen's status.
            return {"status": -1, "slot": 0}
        slot = len(self._slots)
        self._slots[slot] = (index, address)
        return {"status": 0, "slot": slot}

    def _unmap(self, index: int) -> None:
        data = abi.UNMAP.pack(index, 1, 0)
        self.worker.ioctl_bytes(self._gntdev, abi.UNMAP_GRANT_REF, data)

    def _op_unmap(self, words: list[str], options: dict[str, str]) -> dict[str, object]:
        index, address = self._slots.pop(int(words[0]))
        self.worker.munmap(address)
        with contextlib.suppress(Errno):
            self._unmap(index)
        return {"status": 0}

    def _op_look(self, words: list[str], options: dict[str, str]) -> dict[str, object]:
        slot, offset, length = (int(word, 0) for word in words[:3])
        return {"data": self.worker.peek(self._slots[slot][1] + offset, length).hex()}

    def _op_store(self, words: list[str], options: dict[str, str]) -> dict[str, object]:
        slot, offset = int(words[0]), int(words[1], 0)
        self.worker.poke(self._slots[slot][1] + offset, bytes.fromhex(words[2]))
        return {}


class PairedAgent(Agent):
    """An agent whose helper domain is another agent's system."""

    other: DriverPeer

    def call_all(self, requests: Sequence[str]) -> list[Reply]:
        """As in Agent, but asks Xen only once about all entries, since nothing changes them
        meanwhile."""
        with self.other.one_look():
            return super().call_all(requests)

    def submit(self, request: str) -> Pending:
        """Sends requests to the peer to the other side's drivers; the rest as in Agent."""
        if not request.startswith("peer "):
            return super().submit(request)
        self._seq += 1
        self.transcript.append(f"> {self._seq} {request}")
        words = self.other.answer(request.removeprefix("peer "))
        self.transcript.append(f"< {self._seq} {' '.join(words)}")
        self._answers[self._seq] = words
        return Pending(self, self._seq, request)
