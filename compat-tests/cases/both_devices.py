# SPDX-License-Identifier: BSD-2-Clause
"""What else a program may do to a mapping: advice, inheritance, sockets, debuggers, kills.

Each is done to a mapping of gntdev and to one of gntalloc, with several pages, some of them
untouched.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from agent.client import PAGE, Errno, Worker

from .framework import Context, Gntalloc, Gntdev, Loop, NotApplicable, case, section
from .in_flight import InFlight
from .pinned import FREE, MAPPED, reuse, settle

section("Memory management of both devices", 92)

PAGES = 3
WORD = b"eight by"


@dataclass
class Area:
    """A mapping of either device, and the other side's view of its pages."""

    name: str
    address: int
    look: Callable[[int, int], bytes]
    # Arms the clearing of a byte, counted from the first page.
    arm: Callable[[int], None]
    # munmap of the rest, then UNMAP or DEALLOC.
    end: Callable[[Context], None]


def of_gntdev(t: Context, worker: Worker | None = None) -> Area:
    worker = worker or t.worker
    dev = Gntdev(t, worker, worker.open("gntdev"))
    refs = t.peer.grants(PAGES)
    index = dev.map(refs)
    address = dev.mmap(PAGES, index)

    def end(t: Context) -> None:
        worker.munmap(address, PAGES * PAGE)
        t.accepted("UNMAP", dev.unmap, index, PAGES)
        t.expect(settle(t, refs), [FREE] * PAGES, "entries afterwards")

    return Area(
        "gntdev", address, lambda page, length: t.peer.read(page, 0, length),
        lambda byte: dev.notify(index + byte), end,
    )  # fmt: skip


def of_gntalloc(t: Context, worker: Worker | None = None) -> Area:
    worker = worker or t.worker
    dev = Gntalloc(t, worker, worker.open("gntalloc"))
    index, refs = dev.alloc(PAGES)
    address = dev.mmap(PAGES, index)
    loop = Loop(t)

    def end(t: Context) -> None:
        worker.munmap(address, PAGES * PAGE)
        t.accepted("DEALLOC", dev.dealloc, index, PAGES)

    return Area(
        "gntalloc", address, lambda page, length: loop.read(refs[page], length),
        lambda byte: dev.notify(index + byte), end,
    )  # fmt: skip


def each(t: Context) -> list[Area]:
    return [of_gntdev(t), of_gntalloc(t)]


def holds(t: Context, area: Area, what: str) -> None:
    """Checks that the pages are still those that the other side sees."""
    for page in range(PAGES):
        data = bytes([0x41 + page]) * 8
        t.accepted(f"store, {what}", t.worker.poke, area.address + page * PAGE, data)
        t.expect(area.look(page, 8), data, f"{area.name} page {page}, {what}")


@case("vm.msync", ["V11"], "msync of each kind leaves pages as they are", ["own_copy"])
def msync(t: Context) -> None:
    """A wrong kernel takes the pages out of the mapping, or panics in its pager."""
    for area in each(t):
        t.worker.poke(area.address, WORD)
        for kind in ("async", "sync", "invalidate"):
            # Linux calls the file's fsync method, and these files have none.
            word = t.attempt(t.worker.msync, area.address, PAGES * PAGE, kind)
            t.expect_either(word, ["ok", "EINVAL"], f"msync {kind}", "K19")
            t.expect(t.worker.peek(area.address, 8), WORD, f"page, {kind}")
        holds(t, area, "after msync")
        area.end(t)


@case("vm.mincore", ["V11"], "mincore works on touched and untouched pages", ["own_copy"])
def mincore(t: Context) -> None:
    """A wrong kernel panics on a page that is not ordinary memory."""
    for area in each(t):
        seen = t.accepted("mincore", t.worker.mincore, area.address, PAGES * PAGE)
        t.expect(len(seen), PAGES, "pages reported")
        holds(t, area, "afterwards")
        seen = t.worker.mincore(area.address, PAGES * PAGE)
        t.expect(len(seen), PAGES, "pages reported, touched")
        area.end(t)


@case("vm.madvise", ["V14"], "advice that keeps pages keeps them", ["own_copy"])
def madvise(t: Context) -> None:
    """A wrong kernel gives a granted page to its pageout daemon."""
    for area in each(t):
        t.worker.poke(area.address, WORD)
        for advice in ("normal", "random", "sequential", "nocore", "core"):
            t.attempt(t.worker.madvise, area.address, PAGES * PAGE, advice)
            t.expect(t.worker.peek(area.address, 8), WORD, f"page after {advice}")
        holds(t, area, "after all of it")
        area.end(t)


@case("vm.mapped-over", ["V2"], "mapping something else over a page munmaps it", ["own_copy"])
def mapped_over(t: Context) -> None:
    """A wrong kernel loses count of the rest, or keeps the page for ever."""
    for area in each(t):
        t.worker.poke(area.address + PAGE, WORD)
        where = t.worker.mmap(-1, PAGE, 0, "rw", "private+anon+fixed", area.address + PAGE)
        t.expect(where == area.address + PAGE, True, "in its place")
        t.expect(t.worker.peek(where, 8), bytes(8), "what is there now")
        for page in (0, 2):
            t.worker.poke(area.address + page * PAGE, WORD)
            t.expect(area.look(page, 8), WORD, f"{area.name} page {page}")
        area.end(t)


@case(
    "vm.munmap-while-touched",
    ["V2"],
    "pages stay intact when one thread unmaps them during another's first stores",
    ["own_copy"],
)
def munmap_while_touched(t: Context) -> None:
    """A wrong kernel panics, or leaves pages busy for ever after a fault that found no mapping.

    With gntalloc only, since a map of grants can be mmapped only once.
    """
    pages = 64
    dev = t.gntalloc()
    index, _ = dev.alloc(pages)
    for _ in range(8):
        t.worker.munmap_race(dev.fd, index, pages * PAGE, 100)
    address = dev.mmap(pages, index)
    t.worker.fill(address, pages * PAGE, 0x5A)
    t.expect(t.worker.check(address, pages * PAGE, 0x5A), True, "pages afterwards")
    t.worker.munmap(address, pages * PAGE)
    t.accepted("DEALLOC", dev.dealloc, index, pages)
    reuse(t, pages)


@case("vm.inherit", ["V7"], "a child inherits what it should, and no more", ["fork", "own_copy"])
def inherit(t: Context) -> None:
    """A wrong kernel shows a child the page that it must not inherit, or counts it as mapped."""
    for area in each(t):
        # This is the default.  The Linuxulator turns Linux's word for it into INHERIT_COPY.
        if t.target.reason_against("inherit_copy") is None:
            t.worker.inherit(area.address, PAGE, "share")
        t.worker.inherit(area.address + PAGE, PAGE, "none")
        child = t.worker.fork()
        word = t.attempt(child.poke, area.address, WORD)
        t.expect(
            word,
            "ok",
            "store to what is shared",
            {"K7": "SIGSEGV"} if area.name == "gntdev" else None,
        )
        if word == "ok":
            t.expect(area.look(0, 8), WORD, f"{area.name} page, after the child's store")
        t.refused("SIGSEGV", "load of what is not", child.peek, area.address + PAGE, 1)
        child.exit()
        t.worker.wait(child)
        holds(t, area, "when the child is gone")
        area.end(t)


@case("vm.socket", ["V11"], "a mapping is a buffer for a socket", ["own_copy"])
def socket(t: Context) -> None:
    """A wrong kernel cannot hold pages that nobody has touched."""
    for area in each(t):
        near, far = t.worker.socketpair()
        t.worker.write(near, WORD)
        t.expect(t.worker.read_to(far, area.address + PAGE, 8), 8, "received into it")
        t.expect(area.look(1, 8), WORD, f"{area.name} page")
        # One page at a time: FreeBSD 13's sockets hold 8 KiB, and nothing reads meanwhile.
        for page in range(PAGES):
            sent = t.worker.write_from(far, area.address + page * PAGE, PAGE)
            t.expect(sent, PAGE, "sent from it")
            data = t.worker.read(near, PAGE)
            t.expect(len(data), PAGE, "bytes that came")
            if page == 1:
                t.expect(data[:8], WORD, "what came")
        area.end(t)


@case(
    "vm.debugger", ["V12"], "a debugger reads and writes the pages of a child", ["fork", "own_copy"]
)
def debugger(t: Context) -> None:
    """A wrong kernel shows it another page, touched or not."""
    for make in (of_gntdev, of_gntalloc):
        child = t.worker.fork()
        area = make(t, child)
        t.accepted("write", t.worker.debug_write, child, area.address, WORD)
        t.expect(child.peek(area.address, 8), WORD, f"{area.name} page of the child")
        t.expect(area.look(0, 8), WORD, f"{area.name} page, seen by the other side")
        child.poke(area.address + PAGE, b"by child")
        read = t.accepted("read", t.worker.debug_read, child, area.address + PAGE, 8)
        t.expect(read, b"by child", "what a debugger reads")
        t.accepted(
            "read of an untouched page", t.worker.debug_read, child, area.address + 2 * PAGE, 8
        )
        area.end(t)
        child.exit()
        t.worker.wait(child)


@case(
    "vm.killed-locked",
    ["W1", "O11"],
    "a process killed with locked pages leaves none mapped",
    ["fork"],
)
def killed_locked(t: Context) -> None:
    """A wrong kernel keeps the grants of a process that is gone."""
    child = t.worker.fork()
    dev = Gntdev(t, child, child.open("gntdev"))
    refs = t.peer.grants(PAGES)
    address = dev.mmap(PAGES, dev.map(refs))
    child.mlock(address, PAGES * PAGE)
    share = Gntalloc(t, child, child.open("gntalloc"))
    index, _ = share.alloc(PAGES)
    child.mlock(share.mmap(PAGES, index), PAGES * PAGE)
    t.expect(t.peer.states(refs), [MAPPED] * PAGES, "entries")
    t.worker.kill(child)
    t.worker.wait(child)
    t.expect(settle(t, refs), [FREE] * PAGES, "entries when it is gone")


@case(
    "vm.killed-in-flight",
    ["W2", "O11"],
    "a process killed while a pipe holds its pages leaves none mapped",
    ["fork", "pin"],
)
def killed_in_flight(t: Context) -> None:
    """A wrong kernel frees pages that the pipe holds, or waits for a reader that is gone."""
    child = t.worker.fork()
    dev = Gntdev(t, child, child.open("gntdev"))
    refs = t.peer.grants(2)
    address = dev.mmap(2, dev.map(refs))
    InFlight(t, address, worker=child)
    share = Gntalloc(t, child, child.open("gntalloc"))
    index, _ = share.alloc(2)
    InFlight(t, share.mmap(2, index), worker=child)
    t.worker.kill(child)
    t.worker.wait(child)
    t.expect(settle(t, refs), [FREE] * 2, "entries when it is gone")
    share = t.gntalloc()
    index, _ = share.alloc(16)
    fresh = share.mmap(16, index)
    t.expect(t.worker.check(fresh, 16 * PAGE, 0), True, "pages made later are zeroes")


@case("vm.exec-locked", ["W1", "O12"], "exec with locked pages leaves none mapped", ["exec"])
def exec_locked(t: Context) -> None:
    """A wrong kernel keeps the grants of an address space that is gone."""
    dev, index, address, refs = t.mapped(PAGES)
    t.worker.mlock(address, PAGES * PAGE)
    t.worker.exec()
    t.forget_memory()
    dev.unmap(index, PAGES)
    t.expect(settle(t, refs), [FREE] * PAGES, "entries after UNMAP")


@case(
    "vm.fork-locked", ["W1", "V7"], "a child of a process with locked pages shares them", ["fork"]
)
def fork_locked(t: Context) -> None:
    """A wrong kernel copies the page for the child, or counts the lock twice."""
    dev, index, address, refs = t.mapped(2)
    t.worker.mlock(address, 2 * PAGE)
    child = t.worker.fork()
    word = t.attempt(child.poke, address, WORD)
    t.expect(word, "ok", "store by the child", {"K7": "SIGSEGV"})
    if word == "ok":
        t.expect(t.peer.read(0, 0, 8), WORD, "granter's page")
    child.exit()
    t.worker.wait(child)
    t.worker.munmap(address, 2 * PAGE)
    dev.unmap(index, 2)
    t.expect(settle(t, refs), [FREE] * 2, "entries after UNMAP")


def disk_of(t: Context) -> int:
    """Opens a disk without the system's cache."""
    try:
        path = t.worker.disk()
    except Errno as error:
        raise NotApplicable("no writable disk") from error
    return t.worker.open(path, "rdwr", "direct")


@case(
    "vm.raw-disk", ["V11"], "a mapping is a buffer for a disk, touched or not", ["pin", "own_copy"]
)
def raw_disk(t: Context) -> None:
    """A wrong kernel transfers the bytes to or from a page that the other side does not see."""
    fd = disk_of(t)
    disk_to_and_fro(t, fd, t.worker.read_to, t.worker.write_from)


@case("vm.aio", ["V11"], "the same by aio(4)", ["pin", "own_copy", "aio"])
def aio(t: Context) -> None:
    """A wrong kernel gives the disk a page other than the granted one."""
    fd = disk_of(t)
    disk_to_and_fro(
        t,
        fd,
        lambda fd, address, length: t.worker.aio(fd, "read", address, length),
        lambda fd, address, length: t.worker.aio(fd, "write", address, length),
    )


def disk_to_and_fro(
    t: Context,
    fd: int,
    read: Callable[[int, int, int], int],
    write: Callable[[int, int, int], int],
) -> None:
    length = PAGES * PAGE
    # The disk needs whole sectors at aligned addresses.
    buffer = t.worker.alloc(length)
    for number, area in enumerate(each(t)):
        t.worker.fill(buffer, length, 0x61 + number)
        t.worker.lseek(fd, 0)
        t.expect(t.worker.write_from(fd, buffer, length), length, "written to the disk")
        t.worker.lseek(fd, 0)
        t.expect(read(fd, area.address, length), length, f"read into {area.name}'s pages")
        for page in range(PAGES):
            seen = area.look(page, 8)
            t.expect(seen, bytes([0x61 + number]) * 8, f"{area.name} page {page}")
        holds(t, area, "after the disk's read")
        t.worker.lseek(fd, 0)
        t.expect(write(fd, area.address, length), length, f"written from {area.name}'s pages")
        t.worker.lseek(fd, 0)
        t.worker.read_to(fd, buffer, length)
        for page in range(PAGES):
            data = t.worker.peek(buffer + page * PAGE, 8)
            t.expect(data, bytes([0x41 + page]) * 8, f"on the disk, page {page}")
        area.end(t)


@case("vm.read-only", ["P12", "V4"], "pages mapped for reading are the other side's", ["own_copy"])
def read_only(t: Context) -> None:
    """A wrong kernel enters other pages when nothing may be written, or enters them writable."""
    dev, index, address, refs = t.mapped(PAGES, prot="r")
    for page in range(PAGES):
        t.peer.write(page, 0, bytes([0x41 + page]) * 8)
        seen = t.worker.peek(address + page * PAGE, 8)
        t.expect(seen, bytes([0x41 + page]) * 8, f"granted page {page}")
    t.refused("SIGSEGV", "store to a granted page", t.worker.poke, address, WORD)
    t.worker.mlock(address, PAGES * PAGE)
    t.worker.munlock(address, PAGES * PAGE)
    t.worker.munmap(address + PAGE, PAGE)
    t.expect(t.worker.peek(address + 2 * PAGE, 8), b"C" * 8, "page behind a hole")
    t.worker.munmap(address, PAGES * PAGE)
    t.accepted("UNMAP", dev.unmap, index, PAGES)
    t.expect(settle(t, refs), [FREE] * PAGES, "entries afterwards")

    share = t.gntalloc()
    index, _ = share.alloc(PAGES)
    writable = share.mmap(PAGES, index)
    address = share.mmap(PAGES, index, "r")
    for page in range(PAGES):
        t.worker.poke(writable + page * PAGE, bytes([0x61 + page]) * 8)
        seen = t.worker.peek(address + page * PAGE, 8)
        t.expect(seen, bytes([0x61 + page]) * 8, f"own page {page}")
    t.refused("SIGSEGV", "store to an own page", t.worker.poke, address + PAGE, WORD)
    t.accepted("mprotect rw", t.worker.mprotect, address, PAGES * PAGE, "rw")
    for page in range(PAGES):
        t.worker.poke(address + page * PAGE, WORD)
        t.expect(t.worker.peek(writable + page * PAGE, 8), WORD, f"own page {page}, made writable")
    t.worker.munmap(writable, PAGES * PAGE)
    t.worker.munmap(address, PAGES * PAGE)
    t.accepted("DEALLOC", share.dealloc, index, PAGES)


@case("vm.vfork", ["V7"], "a vfork child stores and exits; the mapping stays", ["own_copy"])
def vfork(t: Context) -> None:
    """A wrong kernel treats the end of the child as the end of the mapping.

    FreeBSD's vfork is rfork(2) with RFMEM, which Linux does not have.
    """
    for area in each(t):
        t.worker.poke(area.address + PAGE, WORD)
        area.arm(PAGE)
        t.expect(t.worker.vfork(area.address, 0x76), "exit 0", "end of the child")
        t.expect(area.look(0, 1), b"v", f"{area.name} page, stored to by the child")
        t.expect(area.look(1, 8), WORD, f"{area.name} page with an armed byte")
        holds(t, area, "when the child is gone")
        area.end(t)


@case("vm.core-dump", ["V9"], "a core dump contains none of the pages", ["fork", "core"])
def core_dump(t: Context) -> None:
    """A wrong kernel writes memory shared with other domains into core files."""
    for number, make in enumerate((of_gntdev, of_gntalloc)):
        child = t.worker.fork()
        area = make(t, child)
        byte = 0xC7 + number
        child.fill(area.address, PAGES * PAGE, byte)
        # Memory that every core contains.
        child.fill(child.alloc(PAGES * PAGE), PAGES * PAGE, 0xB7)
        pid = child.call("getpid").int("pid")
        child.core_in("/tmp")
        t.worker.kill(child, "SIGABRT")
        t.expect(t.worker.wait(child), "SIGABRT", "end of the child")
        core = core_of(t, pid)
        t.expect(t.worker.longest(core, 0xB7), PAGES * PAGE, "anonymous memory in the core")
        row = t.worker.longest(core, byte)
        t.expect(row < PAGE, True, f"{area.name}'s pages are left out", {"K28": False})


def core_of(t: Context, pid: int) -> str:
    for path in ("/tmp/core", f"/tmp/core.{pid}", "/tmp/xengnt-agent.core"):
        try:
            t.worker.stat(path)
        except Errno:
            continue
        return path
    raise NotApplicable("no core file in the process's directory")
