# SPDX-License-Identifier: BSD-2-Clause
"""What a case is, what it may use, and how its expectations become a result."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol, TypeVar

from agent.client import PAGE, Errno, Outcome, Worker

from . import abi

T = TypeVar("T")


class Status(StrEnum):
    """Results of the suite; of several the most severe one counts."""

    PASS = "pass"
    NA = "n/a"
    SKIP = "skip"
    DIFF = "diff"
    FAIL = "fail"
    ERROR = "error"
    CRASH = "crash"

    @property
    def red(self) -> bool:
        return self in (Status.FAIL, Status.ERROR, Status.CRASH)


@dataclass(frozen=True)
class Case:
    id: str
    rows: tuple[str, ...]
    title: str
    section: str
    run: Callable[[Context], None]
    needs: tuple[str, ...] = ()
    # Log lines that this case causes on purpose.
    allow: tuple[re.Pattern[str], ...] = ()


@dataclass(frozen=True)
class Check:
    """One expectation: what was checked, what was seen, what was wanted."""

    what: str
    observed: str
    expected: str
    # The K row that explains a value other than Linux's, if the target documents it.
    k: str | None = None
    # Several values are right; a target that differs from the reference needs this K row.
    free: str | None = None
    # Linux's value, if a K row allows another one.
    linux: str | None = None

    @property
    def ok(self) -> bool:
        return self.observed == self.expected


class NotApplicable(Exception):
    """The target cannot show the behaviour at all."""


class Skip(Exception):
    """Something the case needs is missing on this machine."""


class Broken(Exception):
    """The test bed failed, not the driver under test."""


class Stop(Exception):
    """A failed expectation, already recorded, that makes the rest of the case pointless."""


class Subject(Protocol):
    """What a case may ask of its target."""

    @property
    def facts(self) -> Mapping[str, str]: ...

    @property
    def programs(self) -> Mapping[str, tuple[str, ...]]:
        """What a worker can become by exec: a program and its script."""
        ...

    @property
    def differences(self) -> frozenset[str]:
        """K rows in force."""
        ...

    def reason_against(self, capability: str) -> str | None:
        """Why the target lacks a capability; None if it has it."""
        ...


_registry: dict[str, Case] = {}
_section = ""
_places: dict[str, int] = {}


def section(title: str, place: int) -> None:
    """Names the section of the module's following cases; reports sort sections by `place`."""
    global _section
    if _places.setdefault(title, place) != place:
        raise ValueError(f"two sections are called {title!r}")
    _section = title


def case(
    name: str,
    rows: Sequence[str],
    title: str,
    needs: Sequence[str] = (),
    allow: Sequence[str] = (),
) -> Callable[[Callable[[Context], None]], Callable[[Context], None]]:
    """Registers a function as the case ``name``; rows are those of docs/abi.md."""

    def register(run: Callable[[Context], None]) -> Callable[[Context], None]:
        if name in _registry:
            raise ValueError(f"two cases are called {name!r}")
        if not rows:
            raise ValueError(f"case {name!r} names no row of docs/abi.md")
        if not (run.__doc__ or "").strip():
            raise ValueError(f"case {name!r} does not say what a wrong kernel would do")
        patterns = tuple(re.compile(pattern) for pattern in allow)
        _registry[name] = Case(name, tuple(rows), title, _section, run, tuple(needs), patterns)
        return run

    return register


def registered() -> list[Case]:
    return sorted(_registry.values(), key=lambda case: _places.get(case.section, 0))


def null_argument(name: str, row: str, word: str, device: str, command: str) -> None:
    """Registers the case of a command whose argument is a null pointer."""

    @case(f"{name}.null-argument", [row], f"{word} of a null pointer is EFAULT")
    def _(t: Context) -> None:
        """A wrong kernel reads the argument without checking the address."""
        dev = t.gntalloc() if device == "gntalloc" else t.gntdev()
        t.refused("EFAULT", f"{word} at 0", dev.ioctl, command, 0)


@dataclass(frozen=True)
class PeerFacts:
    """Facts that do not change while a helper domain lives."""

    domid: int
    pages: int
    entries: int
    # The first unused reference.
    unused: int = 8


class Peer:
    """The helper domain: grants pages to the domain under test and shows their state."""

    def __init__(self, worker: Worker, known: PeerFacts | None = None) -> None:
        self._worker = worker
        self.facts = known or self._find()
        self.domid = self.facts.domid
        self.pages = self.facts.pages
        self.entries = self.facts.entries
        self.destroyed = False
        self._next = self.facts.unused

    def _find(self) -> PeerFacts:
        agent = self._worker.agent
        try:
            reply = agent.peer("info")
        except Errno as error:
            if error.word != "ENOENT":
                raise Broken(f"helper domain: {error} {error.detail}") from error
            try:
                reply = agent.peer("new")
            except Errno as why:
                raise Broken(f"cannot make the helper domain: {why} {why.detail}") from why
        unused = int(reply.values.get("unused", "8"))
        return PeerFacts(reply.int("domid"), reply.int("pages"), reply.int("entries"), unused)

    def _ask_all(self, requests: Sequence[str]) -> list[Mapping[str, str]]:
        try:
            replies = self._worker.agent.call_all([f"peer {request}" for request in requests])
        except Errno as error:
            raise Broken(f"helper domain: {error} {error.detail}") from error
        return [reply.values for reply in replies]

    def _ask(self, request: str) -> Mapping[str, str]:
        return self._ask_all([request])[0]

    def _grant_all(self, pages: Sequence[int], flags: int, domid: int) -> list[int]:
        first = self._next
        self._next += len(pages)
        refs = list(range(first, self._next))
        replies = self._ask_all(
            [
                f"grant {ref} {page} 0x{flags:x} domid={domid}"
                for ref, page in zip(refs, pages, strict=True)
            ]
        )
        # A peer that is a complete system chooses references itself.
        return [int(reply.get("ref", ref)) for reply, ref in zip(replies, refs, strict=True)]

    def grant(self, page: int, flags: int = abi.GTF_PERMIT, domid: int = 0) -> int:
        """Grants a page to a domain; returns a reference not used before in this case."""
        return self._grant_all([page], flags, domid)[0]

    def grants(self, count: int, flags: int = abi.GTF_PERMIT) -> list[int]:
        """Grants the first ``count`` pages, each its own reference."""
        return self._grant_all(range(count), flags, 0)

    def unused_ref(self) -> int:
        ref = self._next
        self._next += 1
        return ref

    def set_flags(self, ref: int, flags: int) -> None:
        self._ask(f"flags {ref} 0x{flags:x}")

    def states(self, refs: Sequence[int]) -> list[str]:
        """``mapped rw``, ``mapped ro`` or ``not mapped``: what Xen has recorded in the entries."""
        replies = self._ask_all([f"entry {ref}" for ref in refs])
        return [_entry_state(int(reply["flags"], 0)) for reply in replies]

    def state(self, ref: int) -> str:
        return self.states([ref])[0]

    def read(self, page: int, offset: int, length: int) -> bytes:
        return bytes.fromhex(self._ask(f"read {page} {offset} {length}")["data"])

    def write(self, page: int, offset: int, data: bytes) -> None:
        self._ask(f"write {page} {offset} {data.hex()}")

    def map(self, ref: int, readonly: bool = False) -> tuple[int, int]:
        """Maps a page that the domain under test grants: Xen's status, and the slot if it is 0."""
        reply = self._ask(f"map {ref}{' ro' if readonly else ''}")
        return int(reply["status"]), int(reply["slot"])

    def unmap(self, slot: int) -> int:
        return int(self._ask(f"unmap {slot}")["status"])

    def look(self, slot: int, offset: int, length: int) -> bytes:
        """Bytes of a page that the helper domain maps."""
        return bytes.fromhex(self._ask(f"look {slot} {offset} {length}")["data"])

    def store(self, slot: int, offset: int, data: bytes) -> None:
        self._ask(f"store {slot} {offset} {data.hex()}")

    def destroy(self) -> None:
        self._ask("destroy")
        self.destroyed = True


def _entry_state(flags: int) -> str:
    reading, writing = flags & abi.GTF_READING, flags & abi.GTF_WRITING
    if reading and writing:
        return "mapped rw"
    if reading:
        return "mapped ro"
    return f"only writing (0x{flags:x})" if writing else "not mapped"


@dataclass
class Context:
    """What a case works with: a worker, its target's facts, and the expectations made so far."""

    worker: Worker
    target: Subject
    checks: list[Check] = field(default_factory=list)
    # The helper domain that an earlier case left clean.
    known_peer: PeerFacts | None = None
    _peer: Peer | None = None
    _args: dict[str, int] = field(default_factory=dict)
    # Limits to restore when the case ends.
    limits: dict[str, int] = field(default_factory=dict)

    @property
    def peer(self) -> Peer:
        if self._peer is None:
            self.need("peer")
            self._peer = Peer(self.worker, self.known_peer)
        return self._peer

    @property
    def own(self) -> int:
        """The domain under test: Dom0 unless the target says otherwise."""
        return int(self.target.facts.get("domid", "0"))

    @property
    def beside(self) -> Worker:
        """A worker on the other system, if the peer is a complete system."""
        self.need("beside")
        if self.worker.agent.beside is None:
            raise Broken("there is no other system")
        return self.worker.agent.beside()

    @property
    def used_peer(self) -> Peer | None:
        """The helper domain if the case has used it."""
        return self._peer

    def need(self, capability: str) -> None:
        reason = self.target.reason_against(capability)
        if reason is not None:
            raise NotApplicable(reason)

    # Expectations

    def expect(
        self,
        observed: object,
        wanted: object,
        what: str,
        diff: Mapping[str, object] | None = None,
    ) -> bool:
        """Compares with Linux's value, or with another one if a K row in force has it."""
        expected, k = str(wanted), None
        for row, other in (diff or {}).items():
            if row in self.target.differences:
                expected, k = str(other), row
        if k is not None and expected == str(wanted):
            k = None
        linux = None if k is None else str(wanted)
        self.checks.append(Check(what, str(observed), expected, k, linux=linux))
        return str(observed) == expected

    def expect_either(self, observed: object, wanted: Iterable[object], what: str, k: str) -> None:
        """Several values are right; a K row explains why targets may differ."""
        values = [str(value) for value in wanted]
        seen = str(observed)
        expected = seen if seen in values else " or ".join(values)
        self.checks.append(Check(what, seen, expected, None, k))

    def attempt(self, call: Callable[..., object], *args: object, **kwargs: object) -> str:
        """``ok``, or the name of the errno or signal that the call ended with."""
        try:
            call(*args, **kwargs)
        except Outcome as outcome:
            return outcome.word
        return "ok"

    def refused(
        self,
        word: str,
        what: str,
        call: Callable[..., object],
        *args: object,
        diff: Mapping[str, object] | None = None,
        **kwargs: object,
    ) -> bool:
        """The call must end with this errno or signal."""
        return self.expect(self.attempt(call, *args, **kwargs), word, what, diff)

    def accepted(self, what: str, call: Callable[..., T], *args: object, **kwargs: object) -> T:
        """The call must succeed; the case ends here if it does not."""
        try:
            value = call(*args, **kwargs)
        except Outcome as outcome:
            self.expect(outcome.word, "ok", what)
            raise Stop from outcome
        self.expect("ok", "ok", what)
        return value

    # Things

    def forget_memory(self) -> None:
        """After an exec the worker's memory is new."""
        self._args.clear()

    def gntdev(self, *flags: str) -> Gntdev:
        return Gntdev(self, self.worker, self.worker.open("gntdev", *flags))

    def gntalloc(self, *flags: str) -> Gntalloc:
        return Gntalloc(self, self.worker, self.worker.open("gntalloc", *flags))

    def argument(self, worker: Worker, data: bytes) -> int:
        """Puts an ioctl argument into the worker's memory."""
        if len(data) > PAGE:
            address = worker.alloc(len(data))
        elif worker.address in self._args:
            address = self._args[worker.address]
        else:
            address = self._args[worker.address] = worker.alloc(PAGE)
        worker.poke(address, data)
        return address

    def page_end(self, data: bytes) -> int:
        """Puts data at the end of accessible memory."""
        base = self.worker.alloc(2 * PAGE)
        self.worker.mprotect(base + PAGE, PAGE, "none")
        address = base + PAGE - len(data)
        self.worker.poke(address, data)
        return address

    def read_only(self, data: bytes) -> int:
        """Puts data into a page that cannot be written."""
        address = self.worker.alloc(PAGE)
        self.worker.poke(address, data)
        self.worker.mprotect(address, PAGE, "r")
        return address

    def set_limit(self, device: str, value: int) -> int:
        """Sets a page limit for the rest of the case; returns the previous one."""
        self.need("limit")
        earlier = self.worker.limit(device, value)
        self.limits.setdefault(device, earlier)
        return earlier

    def restore(self) -> None:
        for device, value in self.limits.items():
            self.worker.limit(device, value)
        self.limits.clear()

    def mapped(
        self, count: int = 1, prot: str = "rw", dev: Gntdev | None = None
    ) -> tuple[Gntdev, int, int, list[int]]:
        """Maps ``count`` granted pages: device, index, address, references."""
        dev = dev or self.gntdev()
        refs = self.peer.grants(count)
        index = dev.map(refs)
        return dev, index, dev.mmap(count, index, prot), refs


# The base driver's indices end at 2^64, where the next one is 0.
_INDEX = (1 << 64) - 1


class _Device:
    def __init__(self, context: Context, worker: Worker, fd: int) -> None:
        self.context = context
        self.worker = worker
        self.fd = fd

    def close(self) -> None:
        self.worker.close(self.fd)

    def ioctl(self, command: str | int, argument: bytes | int) -> int:
        """Performs a command on raw bytes or on an address; returns the argument's address."""
        if isinstance(argument, bytes):
            argument = self.context.argument(self.worker, argument)
        self.worker.ioctl(self.fd, command, argument)
        return argument

    def mmap(
        self,
        pages: int,
        index: int,
        prot: str = "rw",
        flags: str = "shared",
        address: int = 0,
    ) -> int:
        return self.worker.mmap(self.fd, pages * PAGE, index & _INDEX, prot, flags, address)


class Gntdev(_Device):
    def via(self, worker: Worker, fd: int | None = None) -> Gntdev:
        """The same open file used by a child or a thread."""
        return Gntdev(self.context, worker, self.fd if fd is None else fd)

    def map(self, refs: Sequence[int], domid: int | None = None) -> int:
        """MAP_GRANT_REF of references of the helper domain (or another); the index."""
        domid = self.context.peer.domid if domid is None else domid
        return self.map_grants([(domid, ref) for ref in refs])

    def map_grants(self, grants: Sequence[tuple[int, int]]) -> int:
        data = abi.pack_map(grants)
        if len(data) > PAGE:
            return self.worker.u64(self.ioctl(abi.MAP_GRANT_REF, data) + 8)
        back = self.worker.ioctl_bytes(self.fd, abi.MAP_GRANT_REF, data, abi.MAP.size)
        return int(abi.MAP.unpack(back)[2])

    def map_any(self, count: int = 1) -> int:
        """A request that is never mmapped, so that its references do not matter (row M7)."""
        return self.map_grants([(1, 8)] * count)

    def unmap(self, index: int, count: int) -> None:
        data = abi.UNMAP.pack(index & _INDEX, count, 0)
        self.worker.ioctl_bytes(self.fd, abi.UNMAP_GRANT_REF, data)

    def offset(self, address: int) -> tuple[int, int]:
        """GET_OFFSET_FOR_VADDR: offset and count."""
        data = abi.OFFSET.pack(address, 0, 0, 0)
        back = self.worker.ioctl_bytes(self.fd, abi.GET_OFFSET_FOR_VADDR, data, len(data))
        _, offset, count, _ = abi.OFFSET.unpack(back)
        return offset, count

    def notify(self, index: int, action: int = abi.CLEAR_BYTE, port: int = 0) -> None:
        data = abi.NOTIFY.pack(index & _INDEX, action, port)
        self.worker.ioctl_bytes(self.fd, abi.SET_UNMAP_NOTIFY, data)

    def copy(self, *segments: abi.Segment) -> list[int]:
        """GRANT_COPY; the status of each segment."""
        # The array follows the struct that points to it.
        array = self.worker.scratch + abi.COPY.size
        data = abi.COPY.pack(len(segments), array)
        data += b"".join(segment.pack() for segment in segments)
        back = self.worker.ioctl_bytes(self.fd, abi.GRANT_COPY, data, len(data))
        return [
            int.from_bytes(back[at : at + 2], "little", signed=True)
            for at in range(abi.COPY.size + abi.SEGMENT_STATUS, len(back), abi.SEGMENT_SIZE)
        ]


class Gntalloc(_Device):
    def via(self, worker: Worker, fd: int | None = None) -> Gntalloc:
        return Gntalloc(self.context, worker, self.fd if fd is None else fd)

    def alloc(
        self, count: int = 1, domid: int | None = None, flags: int = abi.WRITABLE
    ) -> tuple[int, list[int]]:
        """ALLOC_GREF: index and grant references; granted to the own domain by default."""
        domid = self.context.own if domid is None else domid
        size = max(abi.ALLOC.size, abi.ALLOC_IDS + 4 * count)
        data = abi.ALLOC.pack(domid, flags, count, 0, 0)
        back = self.worker.ioctl_bytes(self.fd, abi.ALLOC_GREF, data, size)
        ids = back[abi.ALLOC_IDS : abi.ALLOC_IDS + 4 * count]
        refs = [int.from_bytes(ids[n : n + 4], "little") for n in range(0, len(ids), 4)]
        return int(abi.ALLOC.unpack(back[: abi.ALLOC.size])[3]), refs

    def dealloc(self, index: int, count: int) -> None:
        data = abi.DEALLOC.pack(index & _INDEX, count)
        self.worker.ioctl_bytes(self.fd, abi.DEALLOC_GREF, data)

    def notify(self, index: int, action: int = abi.CLEAR_BYTE, port: int = 0) -> None:
        data = abi.NOTIFY.pack(index & _INDEX, action, port)
        self.worker.ioctl_bytes(self.fd, abi.GNTALLOC_SET_UNMAP_NOTIFY, data)


class Loop:
    """Grant copies through references of the own domain (row C17): they show whether a grant is in
    force.

    Never a mapping: a PVH domain that maps its own grant loses the page.
    """

    def __init__(self, context: Context) -> None:
        self.dev = context.gntdev()
        self.buffer = context.worker.alloc(PAGE)
        self.worker = context.worker

    def status_from(self, ref: int) -> int:
        """Status of a copy out of the granted page."""
        return self.dev.copy(abi.Segment(abi.Foreign(ref), self.buffer, 64))[0]

    def status_into(self, ref: int, data: bytes = b"written by a grant copy") -> int:
        """Status of a copy into the granted page."""
        self.worker.poke(self.buffer, data)
        return self.dev.copy(abi.Segment(self.buffer, abi.Foreign(ref), len(data)))[0]

    def read(self, ref: int, length: int) -> bytes:
        self.dev.copy(abi.Segment(abi.Foreign(ref), self.buffer, length))
        return self.worker.peek(self.buffer, length)

    def granted(self, ref: int) -> str:
        """``granted`` while the page can be read through its reference, else ``ended``."""
        status = self.status_from(ref)
        # An entry that is no longer in force: -1 (not permitted) or -3 (free entry, row C18).
        return {0: "granted", -1: "ended", -3: "ended"}.get(status, f"status {status}")
