# SPDX-License-Identifier: BSD-2-Clause
"""What memory management does to a grant mapping."""

from __future__ import annotations

from agent.client import PAGE

from . import abi
from .framework import Context, case, section

section("gntdev: memory management", 90)


@case("mm.munmap-head-middle-tail", ["V2"], "any page of a mapping can be munmapped first")
def partial(t: Context) -> None:
    """A wrong kernel unmaps everything, or refuses a hole; PV unmaps page by page (K7)."""
    free, used = "not mapped", "mapped rw"
    for first in (0, 1, 2):
        dev, index, address, refs = t.mapped(3)
        left = [used] * 3
        for page in (first, (first + 1) % 3):
            t.worker.munmap(address + page * PAGE, PAGE)
            left[page] = free
            what = f"entries, pages from {first} to {page} gone"
            t.expect(t.peer.states(refs), [used] * 3, what, {"K7": left})
        last = (first + 2) % 3
        t.accepted(f"store to page {last}", t.worker.poke, address + last * PAGE, b"x")
        t.worker.munmap(address + last * PAGE, PAGE)
        dev.unmap(index, 3)
        t.expect(t.peer.states(refs), [free] * 3, f"entries after UNMAP, from {first}")


@case("mm.mprotect", ["V3"], "access can be taken away and given back")
def mprotect(t: Context) -> None:
    """A wrong kernel loses the page when it is not accessible, as PV does (K7)."""
    _, _, address, _ = t.mapped()
    t.worker.poke(address, b"kept")
    t.worker.mprotect(address, PAGE, "none")
    t.refused("SIGSEGV", "load without access", t.worker.peek, address, 1)
    t.worker.mprotect(address, PAGE, "r")
    word = t.attempt(t.worker.peek, address, 4)
    t.expect(word, "ok", "load, read-only", {"K7": "SIGBUS"})
    if word != "ok":
        return
    t.expect(t.worker.peek(address, 4), b"kept", "page")
    t.refused("SIGSEGV", "store to it", t.worker.poke, address, b"x")
    t.worker.mprotect(address, PAGE, "rw")
    t.accepted("store, writable again", t.worker.poke, address, b"back")
    t.expect(t.peer.read(0, 0, 4), b"back", "granter's page")


@case(
    "mm.mprotect-read-only-grant",
    ["V4"],
    "a store through a read-only grant made writable never reaches the granter",
    needs=["discarded_stores"],
)
def mprotect_read_only(t: Context) -> None:
    """A wrong kernel maps the grant writable after all."""
    _, _, address, _ = t.mapped(prot="r")
    t.peer.write(0, 0, b"granter")
    t.accepted("mprotect rw", t.worker.mprotect, address, PAGE, "rw")
    t.accepted("store", t.worker.poke, address, b"no such")
    t.expect(t.peer.read(0, 0, 7), b"granter", "granter's page")


@case("mm.mremap-grow", ["V5"], "a mapping cannot grow", needs=["mremap"])
def grow(t: Context) -> None:
    """A wrong kernel shows what lies behind the grant."""
    _, _, address, _ = t.mapped()
    word = t.attempt(t.worker.mremap, address, PAGE, 2 * PAGE, "maymove")
    t.expect(word, "EFAULT", "mremap to two pages", {"K8": "ENOMEM"})
    t.accepted("load afterwards", t.worker.peek, address, 1)


@case("mm.mremap-shrink", ["V6", "V2"], "shrinking is a partial munmap", needs=["mremap"])
def shrink(t: Context) -> None:
    """A wrong kernel unmaps the rest, too."""
    dev, index, address, refs = t.mapped(2)
    t.accepted("mremap to one page", t.worker.mremap, address, 2 * PAGE, PAGE)
    t.refused("SIGSEGV", "load behind it", t.worker.peek, address + PAGE, 1)
    t.accepted("store to what is left", t.worker.poke, address, b"x")
    t.worker.munmap(address)
    dev.unmap(index, 2)
    t.expect(t.peer.states(refs), ["not mapped"] * 2, "entries after UNMAP")


@case("mm.mremap-move", ["V6"], "a mapping can be moved", needs=["mremap_move"])
def move(t: Context) -> None:
    """A wrong kernel counts the move as an end, or as a second mapping."""
    dev, index, address, refs = t.mapped(2)
    t.worker.poke(address + PAGE, b"moves along")
    to = t.worker.alloc(2 * PAGE)
    seen = t.accepted("mremap", t.worker.mremap, address, 2 * PAGE, 2 * PAGE, "fixed", f"0x{to:x}")
    t.expect(seen == to, True, "at the place asked for")
    t.expect(t.worker.peek(to + PAGE, 11), b"moves along", "page at the new place")
    t.refused("SIGSEGV", "load at the old one", t.worker.peek, address, 1)
    dev.unmap(index, 2)
    t.expect(t.peer.states(refs), ["mapped rw"] * 2, "entries after UNMAP")
    t.worker.munmap(to, 2 * PAGE)
    t.expect(t.peer.states(refs), ["not mapped"] * 2, "entries after munmap")


@case("mm.fork", ["V7", "V8"], "a child has the same pages", needs=["fork"])
def fork(t: Context) -> None:
    """A wrong kernel copies the page, or loses it with the child; PV hands nothing on (K7)."""
    dev, index, address, refs = t.mapped()
    child = t.worker.fork()
    word = t.attempt(child.poke, address, b"by the child")
    t.expect(word, "ok", "store by the child", {"K7": "SIGSEGV"})
    if word == "ok":
        t.expect(t.worker.peek(address, 12), b"by the child", "page of the parent")
        child.munmap(address)
    child.exit()
    t.worker.wait(child)
    t.accepted("store by the parent", t.worker.poke, address, b"by the parent")
    t.expect(t.peer.states(refs), ["mapped rw"], "entry when the child is gone")
    t.worker.munmap(address)
    dev.unmap(index, 1)
    t.expect(t.peer.states(refs), ["not mapped"], "entry after UNMAP")


@case("mm.buffer-of-read-and-write", ["V11"], "a mapped page is a buffer like any other")
def buffers(t: Context) -> None:
    """A wrong kernel makes system calls fault on it."""
    _, _, address, _ = t.mapped()
    out, into = t.worker.pipe()
    t.worker.write(into, b"through a pipe")
    t.expect(t.worker.read_to(out, address, 14), 14, "read into the mapping")
    t.expect(t.peer.read(0, 0, 14), b"through a pipe", "granter's page")
    t.peer.write(0, 0, b"and back again")
    t.expect(t.worker.write_from(into, address, 14), 14, "write from the mapping")
    t.expect(t.worker.read(out, 14), b"and back again", "what came")


@case(
    "mm.grant-copy-into-mapping",
    ["V11", "C10"],
    "GRANT_COPY to a page that is itself a mapped grant: Xen refuses the segment",
    needs=["copy"],
)
def copy(t: Context) -> None:
    """A wrong kernel copies to the placeholder's old page and reports success."""
    share = t.gntalloc()
    index, refs = share.alloc()
    t.worker.poke(share.mmap(1, index), b"from own grant")
    dev, _, address, _ = t.mapped()
    segment = abi.Segment(abi.Foreign(refs[0]), address, 14)
    t.expect(t.accepted("GRANT_COPY", dev.copy, segment), [-9], "status: bad page")
    t.expect(t.peer.read(0, 0, 14), bytes(14), "granter's page")


@case("mm.proc-mem", ["V12"], "/proc/self/mem shows the page", needs=["proc_mem"])
def proc_mem(t: Context) -> None:
    """A wrong kernel offers a mapping that no debugger can read."""
    _, _, address, _ = t.mapped()
    t.worker.poke(address + 8, b"debugger")
    fd = t.worker.open("/proc/self/mem", "rdonly")
    t.worker.lseek(fd, address + 8)
    t.expect(t.worker.read(fd, 8), b"debugger", "bytes of the mapping")


@case("mm.beyond", ["V13"], "access beyond a mapping is SIGSEGV")
def beyond(t: Context) -> None:
    """A wrong kernel maps a page more than was asked for."""
    place = t.worker.alloc(3 * PAGE, "none")
    dev = t.gntdev()
    index = dev.map(t.peer.grants(1))
    address = dev.mmap(1, index, flags="shared+fixed", address=place + PAGE)
    t.accepted("load inside", t.worker.peek, address, 1)
    t.refused("SIGSEGV", "load before", t.worker.peek, address - 1, 1)
    t.refused("SIGSEGV", "load behind", t.worker.peek, address + PAGE, 1)


@case("mm.dontneed", ["V14"], "after MADV_DONTNEED the pages are gone for good")
def dontneed(t: Context) -> None:
    """Linux enters pages only at mmap; a kernel that enters them at faults keeps them (K11)."""
    dev, index, address, refs = t.mapped()
    t.worker.poke(address, b"here")
    t.accepted("madvise", t.worker.madvise, address, PAGE, "dontneed")
    t.expect(t.attempt(t.worker.peek, address, 4), "SIGBUS", "load", {"K11": "ok"})
    t.worker.munmap(address)
    dev.unmap(index, 1)
    t.expect(t.peer.states(refs), ["not mapped"], "entry after UNMAP")
