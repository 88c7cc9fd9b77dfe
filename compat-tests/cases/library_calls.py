# SPDX-License-Identifier: BSD-2-Clause
"""libxengnttab.so.1 on every system, and the Python package on top of it.

The worker becomes a program that calls the library (ops_lib.c), or one that uses the package
(library_worker.py).  The helper domain's grant entries show what is mapped.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from agent.client import PAGE, Errno, Reply

from . import abi
from .framework import Context, NotApplicable, case, section

RO = abi.GTF_PERMIT | abi.GTF_READONLY


class Library:
    """Calls through `library` or `python`."""

    def __init__(self, t: Context, way: str) -> None:
        self.t = t
        self.way = way
        # Before the helper domain is made: on the harness it belongs to the process.
        t.worker.exec(*t.target.programs[way])
        t.forget_memory()

    def call(self, name: str, *words: object) -> Reply:
        return self.t.worker.call(" ".join((f"lib_{name}", *map(str, words))))

    def open(self, device: str = "gnttab") -> int:
        return self.call("open", device).int("h")

    def map(self, handle: int, prot: str, refs: Sequence[int]) -> int:
        return self.call("map", handle, prot, self.t.peer.domid, *refs).int("addr")

    def unmap(self, handle: int, address: int, count: int) -> None:
        self.call("unmap", handle, address, count)

    def share(
        self, handle: int, count: int, writable: bool, *notify: object, domid: int = 0
    ) -> tuple[int, list[int]]:
        reply = self.call("share", handle, domid, count, int(writable), *notify)
        return reply.int("addr"), [int(ref) for ref in reply.text("refs").split(",")]

    def copy(self, handle: int, *segments: tuple[object, object, int]) -> list[int]:
        words = [word for segment in segments for word in segment]
        return [int(n) for n in self.call("copy", handle, *words).text("status").split(",")]

    def buffer(self, length: int) -> int:
        return self.call("buffer", length).int("addr")

    def read(self, address: int, length: int) -> bytes:
        return self.call("read", address, length).bytes()

    def write(self, address: int, data: bytes) -> None:
        self.call("write", address, data.hex())


def both(
    name: str,
    rows: Sequence[str],
    title: str,
    needs: Sequence[str] = (),
    ways: Sequence[str] = ("library", "python"),
) -> Callable[[Callable[[Context, Library], None]], None]:
    """Registers a case for each way.  Starting an interpreter takes seconds under emulation."""

    def register(run: Callable[[Context, Library], None]) -> None:
        for way in ways:
            _register(name, rows, title, needs, run, way)

    return register


def _register(
    name: str,
    rows: Sequence[str],
    title: str,
    needs: Sequence[str],
    run: Callable[[Context, Library], None],
    way: str,
) -> None:
    def through(t: Context) -> None:
        run(t, Library(t, way))

    through.__doc__ = run.__doc__
    case(f"{way}.{name}", rows, f"{title}, through {way}", needs=[way, *needs])(through)


section("libxengnttab and Python", 100)


@both("map", ["P9", "U5", "G1"], "map one and many, read, write, unmap", needs=["peer"])
def mapped(t: Context, lib: Library) -> None:
    """A wrong library mixes up domains and references, or forgets to give the grants back."""
    t.peer.write(0, 0, b"page 0")
    t.peer.write(1, 0, b"page 1")
    handle = lib.open()
    refs = t.peer.grants(2)
    one = lib.map(handle, "r", refs[1:])
    t.expect(lib.read(one, 6), b"page 1", "one grant")
    t.expect(t.peer.states(refs), ["not mapped", "mapped ro"], "entries")
    many = lib.map(handle, "rw", [refs[1], refs[0]])
    t.expect(lib.read(many, 6) + lib.read(many + PAGE, 6), b"page 1page 0", "in their order")
    lib.write(many + PAGE, b"PAGE")
    t.expect(t.peer.read(0, 0, 6), b"PAGE 0", "what the granting domain sees")
    domid = t.peer.domid
    several = lib.call("map_several", handle, "r", domid, refs[0], domid, refs[1]).int("addr")
    t.expect(lib.read(several, 6), b"PAGE 0", "grants with a domain each")
    for address, count in ((one, 1), (many, 2), (several, 2)):
        t.accepted("unmap", lib.unmap, handle, address, count)
    t.expect(t.peer.states(refs), ["not mapped"] * 2, "entries at the end")


@both("refused", ["P14", "M2"], "a grant that is not there fails the whole map", needs=["peer"])
def refused(t: Context, lib: Library) -> None:
    """A wrong library leaves the good grants mapped, or loses errno in its clean-up."""
    handle = lib.open()
    good, read_only = t.peer.grant(0), t.peer.grant(1, RO)
    bad = t.peer.unused_ref()
    for where, refs in (
        ("first", [bad, good]),
        ("in the middle", [good, bad, read_only]),
        ("last", [good, bad]),
    ):
        t.refused("EINVAL", f"a bad one {where}", lib.map, handle, "r", refs)
    t.refused("EINVAL", "read-only for writing", lib.map, handle, "rw", [good, read_only])
    t.expect(t.peer.states([good, read_only]), ["not mapped"] * 2, "entries after the refusals")
    address = t.accepted("the good ones", lib.map, handle, "r", [good, read_only])
    t.expect(t.peer.states([good, read_only]), ["mapped ro"] * 2, "entries")
    lib.unmap(handle, address, 2)


@both("copy", ["C3", "C6", "C15", "C18"], "copy with a status for each part", needs=["peer"])
def copied(t: Context, lib: Library) -> None:
    """A wrong library hides a part's error, or ends at the first one."""
    t.peer.write(0, 100, b"granted text")
    handle, domid = lib.open(), t.peer.domid
    good, read_only = t.peer.grant(0), t.peer.grant(1, RO)
    into, source = lib.buffer(64), lib.buffer(16)
    lib.write(source, b"local text")
    statuses = lib.copy(
        handle,
        (f"{domid}:{good}:100", into, 12),
        (source, f"{domid}:{read_only}:0", 10),
        (source, f"{domid}:{good}:4086", 10),
        (f"{domid}:{good}:4086", into + 32, 10),
    )
    t.expect(statuses, [0, -1, 0, 0], "statuses")
    t.expect(lib.read(into, 12) + lib.read(into + 32, 10), b"granted textlocal text", "memory")
    t.expect(t.peer.read(0, 4086, 10), b"local text", "what the granting domain sees")
    t.refused("EINVAL", "beyond the page", lib.copy, handle, (f"{domid}:{good}:4090", into, 10))
    t.expect(t.peer.states([good, read_only]), ["not mapped"] * 2, "entries")


@both("share", ["A7", "B12", "D5"], "share, see the grant, unshare", needs=["own_copy"])
def shared(t: Context, lib: Library) -> None:
    """A wrong library keeps the pages on the file, so that unsharing does not end the grant."""
    handle, copier = lib.open("gntshr"), lib.open()
    address, refs = lib.share(handle, 2, True, domid=t.own)
    t.expect(len(set(refs)), 2, "different references")
    t.expect(lib.read(address, 16), bytes(16), "zeroed")
    lib.write(address + PAGE, b"second")
    into = lib.buffer(16)
    own = f"{abi.DOMID_SELF}:{refs[1]}:0"
    t.expect(lib.copy(copier, (own, into, 6)), [0], "granted")
    t.expect(lib.read(into, 6), b"second", "through the grant")
    t.expect(lib.copy(copier, (into, own, 6)), [0], "granted for writing")
    read_only, (ref,) = lib.share(handle, 1, False, domid=t.own)
    t.expect(lib.copy(copier, (into, f"{abi.DOMID_SELF}:{ref}:0", 6)), [-1], "not for writing")
    t.accepted("unshare", lib.unmap, handle, address, 2)
    ended = lib.copy(copier, (own, into, 6))[0]
    t.expect(ended in (-1, -3), True, "the grant has ended")
    lib.unmap(handle, read_only, 1)


@both("share-limit", ["A3"], "more pages than the limit are ENOSPC", ["limit"], ["library"])
def share_limit(t: Context, lib: Library) -> None:
    """A wrong library loses errno, or keeps what it got."""
    handle = lib.open("gntshr")
    t.refused("ENOSPC", "2^19 pages", lib.share, handle, 1 << 19, True)
    address, _ = t.accepted("one page afterwards", lib.share, handle, 1, True)
    lib.unmap(handle, address, 1)


@both(
    "notify", ["N1", "N3"], "the byte is cleared when the mapping ends",
    needs=["peer", "notify"],
)  # fmt: skip
def notified(t: Context, lib: Library) -> None:
    """A wrong library arms another byte, or maps though it could not arm."""
    handle, ref = lib.open(), t.peer.grant(0)
    t.peer.write(0, 0, b"\1" * 16)
    words = ("map_notify", handle, "rw", t.peer.domid, ref)
    address = lib.call(*words, 7, "-").int("addr")
    t.expect(t.peer.read(0, 0, 16), b"\1" * 16, "while it is mapped")
    lib.unmap(handle, address, 1)
    t.expect(t.peer.read(0, 0, 16), b"\1" * 7 + b"\0" + b"\1" * 8, "after it")
    t.refused("EINVAL", "an event channel that is not ours", lib.call, *words, "-", 4000)
    t.expect(t.peer.state(ref), "not mapped", "entry after the refusal")


@case(
    "library.lives-on",
    ["O9", "V1"],
    "areas live longer than their handle",
    needs=["library", "peer"],
)
def lives_on(t: Context) -> None:
    """A wrong library unmaps at close, while the program still uses the area."""
    lib = Library(t, "library")
    handle, refs = lib.open(), t.peer.grants(2)
    t.peer.write(1, 0, b"here")
    address = lib.map(handle, "r", refs)
    lib.call("close", handle)
    t.expect(lib.read(address + PAGE, 4), b"here", "after close")
    t.expect(t.peer.states(refs), ["mapped ro"] * 2, "entries")
    # The areas end with the agent; the next case would notice if they did not.


@case(
    "library.wrong-use",
    ["G1", "M2", "C5", "X1"],
    "errors of the library's own, and of the kernel, by errno",
    needs=["library", "peer"],
)
def wrong_use(t: Context) -> None:
    """A wrong library aborts, unmaps something else, or returns another errno than Xen's."""
    lib = Library(t, "library")
    handle, refs = lib.open(), t.peer.grants(2)
    address = lib.map(handle, "r", refs)
    t.refused("EINVAL", "unmap fewer pages", lib.unmap, handle, address, 1)
    t.refused("EINVAL", "unmap more pages", lib.unmap, handle, address, 3)
    t.refused("EINVAL", "unmap nothing", lib.unmap, handle, 0, 1)
    t.expect(t.peer.states(refs), ["mapped ro"] * 2, "entries")
    t.accepted("unmap", lib.unmap, handle, address, 2)
    t.refused("EINVAL", "map no grant", lib.call, "map_several", handle, "r")
    buffer = lib.buffer(8)
    t.refused("EINVAL", "copy without a grant", lib.copy, handle, (buffer, buffer, 4))
    t.accepted("any limit", lib.call, "max", handle, 32752)
    t.refused("EINVAL", "a DMA buffer of no pages", lib.call, "dmabuf", handle, 0)


@case(
    "library.restrict",
    ["O4", "O9"],
    "a restriction disables the handle, not its mappings",
    needs=["library", "peer"],
)
def restricted(t: Context) -> None:
    """A wrong library is not on the list of active handles, or puts the allocator on it."""
    lib = Library(t, "library")
    handle, sharer, refs = lib.open(), lib.open("gntshr"), t.peer.grants(2)
    t.peer.write(0, 0, b"mapped")
    address = lib.map(handle, "r", refs[:1])
    try:
        lib.call("restrict")
    except Errno as error:
        if error.word == "ENOSYS":
            raise NotApplicable("the program comes without libxentoolcore") from error
        raise
    t.expect(lib.read(address, 6), b"mapped", "what is mapped")
    # On /dev/null, which is what a restricted handle has.
    t.refused("ENOTTY", "map", lib.map, handle, "r", refs[1:], diff={"K20": "EINVAL"})
    shared_page, _ = t.accepted("share", lib.share, sharer, 1, True)
    lib.unmap(sharer, shared_page, 1)
