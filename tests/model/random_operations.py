# SPDX-License-Identifier: BSD-2-Clause
"""Random operations on several files, on a target and on the model at once.

The steps of a failure are printed in the order in which they were made, with what they gave.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar, TypeVar

from agent.client import Outcome, Worker
from cases import abi
from cases.framework import Context, Gntalloc, Gntdev, PeerFacts
from hypothesis import note
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from targets import Target

from .linux_model import BYTE, CLEAR_BYTE, PAGE, File, Gref, Linux, PeerPage, Vma

T = TypeVar("T")

FILES = 4
PAGES = 8
# References of the helper domain: most are writable, some read-only, one is not granted.
READONLY = {5, 6}
ABSENT = {7}

pick = st.integers(min_value=0, max_value=7)
few = st.integers(min_value=0, max_value=4)
node = st.booleans()
from_start = st.sampled_from([0, 0, 0, 1])
# Mostly valid choices: many errors show only after a few successful steps.
mostly = st.sampled_from([True, True, True, False])
page_numbers = st.sampled_from([*range(PAGES), 0, 1, 2, 3, 4, 0, 1, 2])


class GrantDevices(RuleBasedStateMachine):
    # Set before the machine runs: one for all examples.
    target: ClassVar[Target]
    operations: ClassVar[int] = 0

    def __init__(self) -> None:
        super().__init__()
        self.ended = False
        self.worker: Worker = self.target.agent().begin("model")
        self.context = Context(self.worker, self.target, known_peer=self.target.peer)
        self.known_refs: list[int] = []
        self.linux = Linux([])
        self.buffer = 0
        self.changed = True  # a step that entries may show

    @initialize()
    def begin(self) -> None:
        peer = self.context.peer
        pages = []
        for n in range(PAGES):
            flags = abi.GTF_PERMIT | (abi.GTF_READONLY if n in READONLY else 0)
            ref = peer.unused_ref() if n in ABSENT else peer.grant(n, flags)
            pages.append(PeerPage(ref, n not in ABSENT, n in READONLY))
        self.linux = Linux(pages)
        self.buffer = self.worker.alloc(PAGE)
        self.open(alloc=False, mode="rdwr")
        self.open(alloc=True, mode="rdwr")

    # Telling and comparing

    def same(self, what: str, seen: object, wanted: object) -> None:
        type(self).operations += 1
        note(f"{what} -> {seen}" + ("" if seen == wanted else f"    BUT LINUX: {wanted}"))
        assert seen == wanted, f"{what}: {seen}, by Linux's rules {wanted}"

    def attempt(self, call: Callable[[], T]) -> tuple[str, T | None]:
        try:
            return "ok", call()
        except Outcome as outcome:
            return outcome.word, None

    def name(self, file: File) -> str:
        return f"{'gntalloc' if file.alloc else 'gntdev'}{file.descriptors}"

    # What to work on: drawn numbers choose among what there is

    def file(self, n: int, alloc: bool | None = None) -> File:
        files = [f for f in self.linux.files if f.descriptors]
        fitting = [f for f in files if alloc is None or f.alloc is alloc]
        chosen = fitting or files
        return chosen[n % len(chosen)]

    def gntdev(self, file: File, n: int = 0) -> Gntdev:
        return Gntdev(self.context, self.worker, file.descriptors[n % len(file.descriptors)])

    def gntalloc(self, file: File, n: int = 0) -> Gntalloc:
        return Gntalloc(self.context, self.worker, file.descriptors[n % len(file.descriptors)])

    def place(self, file: File, n: int) -> tuple[int, int]:
        """Index and count: mostly those of something that exists."""
        if file.alloc and file.requests:
            first, count = file.requests[n % len(file.requests)]
            return first, count
        if file.maps:
            map_ = file.maps[n % len(file.maps)]
            return map_.index * PAGE, map_.count
        return n * PAGE, 1

    def some_file(self) -> bool:
        return any(f.descriptors for f in self.linux.files)

    # Files

    @precondition(lambda self: len(self.linux.files) < FILES)
    @rule(alloc=node, mode=st.sampled_from(["rdwr", "rdwr", "rdwr", "rdonly", "wronly"]))
    def open(self, alloc: bool, mode: str) -> None:
        device = "gntalloc" if alloc else "gntdev"
        fd = self.worker.open(device, mode)
        self.linux.opened(alloc, mode, fd)
        self.same(f"open({device}, {mode})", f"fd {fd}", f"fd {fd}")

    @precondition(some_file)
    @rule(n=pick)
    def dup(self, n: int) -> None:
        file = self.file(n)
        fd = self.worker.dup(file.descriptors[0])
        note(f"dup({self.name(file)}) -> {fd}")
        file.descriptors.append(fd)

    @precondition(some_file)
    @rule(n=pick)
    def close(self, n: int) -> None:
        file = self.file(n)
        fd = file.descriptors[n % len(file.descriptors)]
        note(f"close({fd}) of {self.name(file)}")
        self.changed = True
        self.worker.close(fd)
        self.linux.closed(file, fd)

    # gntdev

    @precondition(some_file)
    @rule(n=pick, pages=st.lists(page_numbers, max_size=4))
    def map(self, n: int, pages: list[int]) -> None:
        file = self.file(n, alloc=False)
        chosen = [self.linux.peer[p] for p in pages]
        word, index = self.attempt(lambda: self.gntdev(file).map([p.ref for p in chosen]))
        wanted, where = self.linux.map(file, chosen)
        seen = (word, index if word == "ok" else 0)
        self.same(f"map({self.name(file)}, pages {pages})", seen, (wanted, where))

    @precondition(some_file)
    @rule(n=pick, which=pick, off=st.sampled_from([0, 0, 0, PAGE, 100]), count=few, exact=mostly)
    def unmap(self, n: int, which: int, off: int, count: int, exact: bool) -> None:
        file = self.file(n, alloc=False)
        index, right = self.place(file, which)
        count = right if exact else count
        self.changed = True
        word, _ = self.attempt(lambda: self.gntdev(file).unmap(index + off, count))
        wanted = self.linux.unmap(file, index + off, count)
        self.same(f"unmap({self.name(file)}, {index + off:#x}, {count})", word, wanted)

    @precondition(lambda self: self.linux.vmas and self.some_file())
    @rule(n=pick, v=pick, page=few)
    def offset(self, n: int, v: int, page: int) -> None:
        vma = self.linux.vmas[v % len(self.linux.vmas)]
        file = self.file(n, alloc=False)
        if file.alloc:
            return
        left = sorted(vma.left)
        address = vma.address + left[page % len(left)] * PAGE + 5
        word, got = self.attempt(lambda: self.gntdev(file).offset(address))
        wanted, where, count = self.linux.offset(vma)
        seen = (word, *(got or (0, 0)))
        self.same(f"offset({self.name(file)}, {address:#x})", seen, (wanted, where, count))

    @precondition(some_file)
    @rule(n=pick, which=pick, page=few, action=st.sampled_from([CLEAR_BYTE, CLEAR_BYTE, 0, 4]))
    def notify(self, n: int, which: int, page: int, action: int) -> None:
        file = self.file(n)
        index, count = self.place(file, which)
        index += page % (count + 1) * PAGE + BYTE
        word, _ = self.attempt(lambda: self.gntdev(file).notify(index, action))
        wanted = self.linux.notify(file, index, action)
        self.same(f"notify({self.name(file)}, {index:#x}, action {action})", word, wanted)

    @precondition(some_file)
    @rule(n=pick, page=pick, into=node, byte=st.integers(min_value=1, max_value=255))
    def copy(self, n: int, page: int, into: bool, byte: int) -> None:
        file = self.file(n, alloc=False)
        if file.alloc:
            return
        other = self.linux.peer[page % PAGES]
        foreign = abi.Foreign(other.ref, self.context.peer.domid, BYTE)
        self.worker.poke(self.buffer, bytes([byte]))
        source: abi.Side = self.buffer if into else foreign
        dest: abi.Side = foreign if into else self.buffer
        (status,) = self.gntdev(file).copy(abi.Segment(source, dest, 1))
        wanted = self.linux.copy(other, into)
        how = "into" if into else "out of"
        self.same(f"copy {how} page {page % PAGES}", status, wanted)
        if wanted == 0 and into:
            other.byte = byte
        elif wanted == 0:
            self.same("    bytes", self.worker.peek(self.buffer, 1)[0], other.byte)

    # gntalloc

    @precondition(some_file)
    @rule(n=pick, count=few)
    def alloc(self, n: int, count: int) -> None:
        file = self.file(n, alloc=True)
        word, got = self.attempt(lambda: self.gntalloc(file).alloc(count))
        wanted, where = self.linux.alloc(file, count)
        index, refs = got or (0, [])
        self.same(f"alloc({self.name(file)}, {count})", (word, index), (wanted, where))
        if word == "ok":
            self.linux.granted(file, where, refs)
            self.known_refs = [r for r in self.known_refs if r not in refs] + refs

    @precondition(some_file)
    @rule(n=pick, which=pick, page=few, count=few)
    def dealloc(self, n: int, which: int, page: int, count: int) -> None:
        file = self.file(n, alloc=True)
        index, _ = self.place(file, which)
        index += page * PAGE
        word, _ = self.attempt(lambda: self.gntalloc(file).dealloc(index, count))
        wanted = self.linux.dealloc(file, index, count)
        self.same(f"dealloc({self.name(file)}, {index:#x}, {count})", word, wanted)

    @precondition(lambda self: self.known_refs and self.some_file())
    @rule(n=pick, which=pick)
    def still_granted(self, n: int, which: int) -> None:
        """A copy out of a page of our own shows whether its grant is in force (C17)."""
        file = self.file(n, alloc=False)
        if file.alloc:
            return
        ref = self.known_refs[which % len(self.known_refs)]
        (status,) = self.gntdev(file).copy(abi.Segment(abi.Foreign(ref), self.buffer, 1))
        self.same(f"reference {ref} in force", status == 0, self.linux.in_force(ref))

    # Mappings

    @precondition(some_file)
    @rule(
        n=pick, which=pick, off=st.sampled_from([0, 0, 0, 1]), count=few, exact=mostly, write=node
    )
    def mmap(self, n: int, which: int, off: int, count: int, exact: bool, write: bool) -> None:
        file = self.file(n)
        index, right = self.place(file, which)
        if file.alloc:
            # Within one request: Linux miscounts otherwise (row B13).
            off, count = min(off, right - 1), max(1, min(count, right - min(off, right - 1)))
        count = max(1, right - (off if file.alloc else 0) if exact else count)
        self._mmap(file, index + off * PAGE, count, write)

    def _mmap(self, file: File, index: int, count: int, write: bool) -> None:
        prot = "rw" if write else "r"
        self.changed = True
        word, address = self.attempt(lambda: self.gntdev(file).mmap(count, index, prot))
        wanted, vma = self.linux.mmap(file, index, count, write)
        self.same(f"mmap({self.name(file)}, {index:#x}, {count} pages, {prot})", word, wanted)
        if vma is not None and address is not None:
            vma.address = address

    @precondition(some_file)
    @rule(n=pick, pages=st.lists(page_numbers, min_size=1, max_size=3), write=mostly)
    def map_and_mmap(self, n: int, pages: list[int], write: bool) -> None:
        file = self.file(n, alloc=False)
        before = set(map(id, file.maps))
        self.map(n, pages)
        new = [k for k, map_ in enumerate(file.maps) if id(map_) not in before]
        if new:
            self._mmap(file, file.maps[new[0]].index * PAGE, len(pages), write)

    @precondition(some_file)
    @rule(n=pick, count=st.integers(min_value=1, max_value=3), write=mostly)
    def alloc_and_mmap(self, n: int, count: int, write: bool) -> None:
        file = self.file(n, alloc=True)
        index = file.next_index
        self.alloc(n, count)
        if file.alloc:
            self._mmap(file, index, count, write)

    @precondition(lambda self: self.linux.vmas)
    @rule(v=pick, first=few, count=few, whole=node)
    def munmap(self, v: int, first: int, count: int, whole: bool) -> None:
        vma = self.linux.vmas[v % len(self.linux.vmas)]
        self.changed = True
        if whole:
            first, count = 0, vma.count
        left = sorted(vma.left)
        first = first if whole else left[first % len(left)]
        count = max(1, min(count, vma.count - first))
        # Only what is still ours: a hole may contain something else by now.
        for page in range(first, first + count):
            if page in vma.left:
                self.worker.munmap(vma.address + page * PAGE, PAGE)
        note(f"munmap({vma.address:#x}, pages {first} to {first + count - 1} of {vma.count})")
        self.linux.munmap(vma, first, count)

    @precondition(lambda self: any(vma.writable for vma in self.linux.vmas))
    @rule(v=pick, page=few, byte=st.integers(min_value=1, max_value=255))
    def store(self, v: int, page: int, byte: int) -> None:
        vmas = [vma for vma in self.linux.vmas if vma.writable]
        vma = vmas[v % len(vmas)]
        left = sorted(vma.left)
        page = left[page % len(left)]
        note(f"store {byte} at {vma.address:#x}, page {page}")
        self.worker.poke(vma.address + page * PAGE + BYTE, bytes([byte]))
        self.linux.store(vma, page, byte)

    @precondition(lambda self: self.linux.vmas)
    @rule(v=pick, page=few)
    def load(self, v: int, page: int) -> None:
        vma = self.linux.vmas[v % len(self.linux.vmas)]
        left = sorted(vma.left)
        page = left[page % len(left)]
        seen = self.worker.peek(vma.address + page * PAGE + BYTE, 1)[0]
        self.same(f"load at {vma.address:#x}, page {page}", seen, self.linux.load(vma, page))

    # From outside

    @precondition(lambda self: self.linux.peer and self.changed)
    @invariant()
    def entries(self) -> None:
        self.changed = False
        states = self.context.peer.states([page.ref for page in self.linux.peer])
        wanted = [self.linux.state(page) for page in self.linux.peer]
        if states != wanted:
            self.same("the peer's grant entries", states, wanted)

    @rule(page=pick)
    def look(self, page: int) -> None:
        other = self.linux.peer[page % PAGES]
        seen = self.context.peer.read(page % PAGES, BYTE, 1)[0]
        self.same(f"byte of the peer's page {page % PAGES}", seen, other.byte)

    def teardown(self) -> None:
        """The end of the process: everything is released."""
        agent = self.target.agent()
        try:
            if agent.ended is None and self.linux.peer:
                self._end_of_files()
        finally:
            ended = agent.finish()
            log = self.target.log()
            self.settle()
        assert ended == "exit 0", f"the worker ended with {ended}\n{log}"
        assert "leak:" not in log, log

    def _end_of_files(self) -> None:
        for vma in list(self.linux.vmas):
            for page in sorted(vma.left):
                self.worker.munmap(vma.address + page * PAGE, PAGE)
            self.linux.munmap(vma, 0, vma.count)
        for file in list(self.linux.files):
            for fd in list(file.descriptors):
                self.worker.close(fd)
                self.linux.closed(file, fd)
        assert not self.linux.maps and not self.linux.grefs
        self.entries()
        for page in range(PAGES):
            self.look(page)

    def settle(self) -> None:
        """Prepares the helper domain for the next example."""
        if self.context.used_peer is None:
            return
        if self.target.name == "harness":
            self.target.recover()  # a machine of its own for each example
        else:
            self.target.agent().peer("clear")
            facts = self.context.peer.facts
            self.target.peer = PeerFacts(facts.domid, facts.pages, facts.entries)


__all__ = ["GrantDevices", "Gref", "Vma"]
