# SPDX-License-Identifier: BSD-2-Clause
"""mmap of gntalloc.  Never over a range of interleaved allocations (row B13)."""

from __future__ import annotations

from agent.client import PAGE

from .alloc import allocated
from .framework import Context, Loop, case, section

section("gntalloc mmap", 140)


@case("share.length-zero", ["B1", "P1"], "mmap of no bytes is EINVAL")
def length_zero(t: Context) -> None:
    """A wrong kernel rounds 0 up."""
    dev, index, _ = allocated(t, 1)
    t.refused("EINVAL", "length 0", t.worker.mmap, dev.fd, 0, index, diff={"K25": "ok"})


@case("share.offset-unaligned", ["B1", "P2"], "an unaligned offset is EINVAL")
def offset_unaligned(t: Context) -> None:
    """A wrong kernel maps something else than asked for."""
    dev, index, _ = allocated(t, 2)
    t.refused("EINVAL", "offset + 1", t.worker.mmap, dev.fd, PAGE, index + 1, diff={"K3": "ok"})


@case("share.wronly", ["B1", "P3"], "mmap of a write-only descriptor is EACCES")
def wronly(t: Context) -> None:
    """A wrong kernel maps readable memory through a descriptor that cannot read."""
    dev = t.gntalloc("wronly")
    index, _ = dev.alloc()
    t.refused("EACCES", "mmap r", dev.mmap, 1, index, "r")
    t.refused("EACCES", "mmap w", dev.mmap, 1, index, "w")


@case("share.rdonly-write", ["B1", "P4"], "a writable mmap of a read-only descriptor is EACCES")
def rdonly_write(t: Context) -> None:
    """A wrong kernel lets a read-only descriptor write."""
    dev = t.gntalloc("rdonly")
    index, _ = dev.alloc()
    t.refused("EACCES", "mmap rw", dev.mmap, 1, index)


@case("share.private-read", ["B2"], "a private mmap is EINVAL even read-only")
def private_read(t: Context) -> None:
    """A wrong kernel accepts it, as gntdev does."""
    dev, index, _ = allocated(t, 1)
    t.refused("EINVAL", "private r", dev.mmap, 1, index, "r", "private")


@case("share.private-write", ["B2"], "a private writable mmap is EINVAL")
def private_write(t: Context) -> None:
    """A wrong kernel makes a copy that the peer never sees."""
    dev, index, _ = allocated(t, 1)
    # FreeBSD's generic layer allows write access only to shared mappings.
    t.refused("EINVAL", "private rw", dev.mmap, 1, index, "rw", "private", diff={"K2": "EACCES"})


@case(
    "share.rdonly-read", ["B2", "P5"], "a shared read-only mmap of a read-only descriptor is EINVAL"
)
def rdonly_read(t: Context) -> None:
    """A wrong kernel accepts it: Linux clears VM_SHARED first and then requires it."""
    dev = t.gntalloc("rdonly")
    index, _ = dev.alloc()
    t.refused("EINVAL", "shared r", dev.mmap, 1, index, "r")


@case("share.no-such-index", ["B4"], "mmap without a page at the offset is ENOENT")
def no_such_index(t: Context) -> None:
    """A wrong kernel answers EINVAL, as gntdev does."""
    dev = t.gntalloc()
    t.refused("ENOENT", "empty file", dev.mmap, 1, 0)
    index, _ = dev.alloc(2)
    t.refused("ENOENT", "behind the pages", dev.mmap, 1, index + 2 * PAGE)


@case("share.too-long", ["B4"], "mmap of more pages than there are is ENOENT")
def too_long(t: Context) -> None:
    """A wrong kernel maps what there is."""
    dev, index, _ = allocated(t, 2)
    t.refused("ENOENT", "3 of 2", dev.mmap, 3, index)
    t.refused("ENOENT", "2 from the second on", dev.mmap, 2, index + PAGE)


@case("share.hole", ["B4"], "mmap over a hole is ENOENT")
def hole(t: Context) -> None:
    """A wrong kernel maps other pages in place of those that are gone."""
    dev, index, _ = allocated(t, 3)
    dev.dealloc(index + PAGE, 1)
    t.refused("ENOENT", "all three", dev.mmap, 3, index)
    t.accepted("the first", dev.mmap, 1, index)
    t.accepted("the last", dev.mmap, 1, index + 2 * PAGE)


@case("share.other-file", ["B4"], "mmap does not find pages of another file")
def other_file(t: Context) -> None:
    """A wrong kernel looks up over all files."""
    _, index, _ = allocated(t, 1)
    t.refused("ENOENT", "through the other file", t.gntalloc().mmap, 1, index)


@case("share.failed-mmap-keeps-pages", ["B4"], "a refused mmap takes no reference")
def failed_keeps(t: Context) -> None:
    """A wrong kernel counts users before it knows that all pages exist."""
    loop = Loop(t)
    dev, index, refs = allocated(t, 2)
    t.attempt(dev.mmap, 3, index)
    dev.dealloc(index, 2)
    t.expect([loop.granted(ref) for ref in refs], ["ended"] * 2, "pages after DEALLOC")


@case("share.sub-range", ["B5"], "any part of an allocation can be mmapped")
def sub_range(t: Context) -> None:
    """A wrong kernel knows only whole allocations, or maps the wrong part."""
    dev, index, _ = allocated(t, 4)
    whole = dev.mmap(4, index)
    for n in range(4):
        t.worker.poke(whole + n * PAGE, bytes([0x30 + n]))
    part = t.accepted("pages 1 and 2", dev.mmap, 2, index + PAGE)
    t.expect(t.worker.peek(part, 1) + t.worker.peek(part + PAGE, 1), b"12", "first bytes")


@case("share.span", ["B5"], "a range over two allocations of one file can be mmapped")
def span(t: Context) -> None:
    """A wrong kernel stops at the end of an allocation."""
    loop = Loop(t)
    dev, index, first = allocated(t, 2)
    _, second = dev.alloc(2)
    address = t.accepted("pages 1 and 2", dev.mmap, 2, index + PAGE)
    t.worker.poke(address, b"one")
    t.worker.poke(address + PAGE, b"two")
    t.expect(loop.read(first[1], 3), b"one", "last page of the first allocation")
    t.expect(loop.read(second[0], 3), b"two", "first page of the second allocation")


@case("share.twice", ["B6"], "one page can be mmapped several times")
def twice(t: Context) -> None:
    """A wrong kernel refuses, because a page can be in only one object (FreeBSD)."""
    dev, index, _ = allocated(t, 1)
    a = dev.mmap(1, index)
    b = t.accepted("second mmap", dev.mmap, 1, index)
    t.worker.poke(a, b"shared")
    t.expect(t.worker.peek(b, 6), b"shared", "through the second mapping")
    t.worker.munmap(a)
    t.expect(t.worker.peek(b, 6), b"shared", "after munmap of the first")


@case("share.overlapping", ["B6"], "overlapping ranges can be mmapped at once")
def overlapping(t: Context) -> None:
    """A wrong kernel allows the same range only, or none."""
    dev, index, _ = allocated(t, 3)
    a = dev.mmap(2, index)
    b = t.accepted("pages 1 and 2", dev.mmap, 2, index + PAGE)
    t.worker.poke(a + PAGE, b"middle")
    t.expect(t.worker.peek(b, 6), b"middle", "the page in common")


@case("share.each-mapping-holds", ["B6", "D7"], "each mapping of a page holds it")
def each_holds(t: Context) -> None:
    """A wrong kernel counts one user per page."""
    loop = Loop(t)
    dev, index, refs = allocated(t, 1)
    a, b = dev.mmap(1, index), dev.mmap(1, index)
    dev.dealloc(index, 1)
    t.worker.munmap(a)
    t.expect(loop.granted(refs[0]), "granted", "one of two mappings left")
    t.worker.munmap(b)
    t.expect(loop.granted(refs[0]), "ended", "no mapping left")


@case("share.write-to-read-only-grant", ["B7"], "a page granted read-only can be mmapped writable")
def write_read_only(t: Context) -> None:
    """A wrong kernel takes the peer's rights for the owner's."""
    dev = t.gntalloc()
    index, _ = dev.alloc(flags=0)
    address = t.accepted("mmap rw", dev.mmap, 1, index)
    t.accepted("store", t.worker.poke, address, b"x")


@case("share.read-only", ["B8"], "a read-only mmap can be read and not written")
def read_only(t: Context) -> None:
    """A wrong kernel maps more than asked for."""
    dev, index, _ = allocated(t, 1)
    address = t.accepted("mmap r", dev.mmap, 1, index, "r")
    t.expect(t.worker.peek(address, 4), bytes(4), "page")
    t.refused("SIGSEGV", "store", t.worker.poke, address, b"x")


@case("share.no-access", ["B8"], "an mmap without access can be made and later opened")
def no_access(t: Context) -> None:
    """A wrong kernel refuses PROT_NONE."""
    dev, index, _ = allocated(t, 1)
    address = t.accepted("mmap none", dev.mmap, 1, index, "none")
    t.refused("SIGSEGV", "load", t.worker.peek, address, 1)
    t.accepted("mprotect rw", t.worker.mprotect, address, PAGE, "rw")
    t.accepted("store", t.worker.poke, address, b"x")


@case("share.peer-sees-stores", ["B9"], "stores through the mapping reach the granted page")
def peer_sees(t: Context) -> None:
    """A wrong kernel maps another page than it granted."""
    loop = Loop(t)
    dev, index, refs = allocated(t, 2)
    address = dev.mmap(2, index)
    t.worker.poke(address + PAGE + 10, b"second page")
    t.expect(loop.read(refs[1], 21)[10:], b"second page", "by the second reference")


@case("share.child-inherits", ["B10"], "a forked child inherits the mapping", needs=["fork"])
def child_inherits(t: Context) -> None:
    """A wrong kernel drops the mapping in the child, or copies the page."""
    dev, index, _ = allocated(t, 1)
    address = dev.mmap(1, index)
    child = t.worker.fork()
    t.accepted("store by the child", child.poke, address, b"by the child")
    t.expect(t.worker.peek(address, 12), b"by the child", "page seen by the parent")


@case(
    "share.child-holds",
    ["B10", "B11"],
    "a child's copy of the mapping holds the page",
    needs=["fork"],
)
def child_holds(t: Context) -> None:
    """A wrong kernel ends the grant with the parent's mapping."""
    loop = Loop(t)
    dev, index, refs = allocated(t, 1)
    address = dev.mmap(1, index)
    dev.dealloc(index, 1)
    child = t.worker.fork()
    t.worker.munmap(address)
    t.expect(loop.granted(refs[0]), "granted", "the child still maps it")
    child.munmap(address)
    t.expect(loop.granted(refs[0]), "ended", "nobody maps it")


@case("share.partial-munmap-holds", ["B11"], "pages of a partial munmap wait for the whole mapping")
def partial_holds(t: Context) -> None:
    """A wrong kernel ends the grants page by page, or never."""
    loop = Loop(t)
    dev, index, refs = allocated(t, 3)
    address = dev.mmap(3, index)
    dev.dealloc(index, 3)
    t.worker.munmap(address, PAGE)
    t.expect([loop.granted(ref) for ref in refs], ["granted"] * 3, "first page munmapped")
    t.worker.munmap(address + 2 * PAGE, PAGE)
    t.expect([loop.granted(ref) for ref in refs], ["granted"] * 3, "last page munmapped too")
    t.worker.munmap(address + PAGE, PAGE)
    t.expect([loop.granted(ref) for ref in refs], ["ended"] * 3, "all munmapped")


@case("share.partial-munmap-usable", ["B11"], "the rest of a partly munmapped range stays usable")
def partial_usable(t: Context) -> None:
    """A wrong kernel unmaps the wrong pages."""
    dev, index, _ = allocated(t, 3)
    address = dev.mmap(3, index)
    t.worker.munmap(address + PAGE, PAGE)
    t.refused("SIGSEGV", "the page that went", t.worker.peek, address + PAGE, 1)
    t.accepted("the first", t.worker.poke, address, b"x")
    t.accepted("the last", t.worker.poke, address + 2 * PAGE, b"x")


@case(
    "share.mapping-outlives-descriptor",
    ["B12", "O9"],
    "a mapping stays usable and granted after close",
)
def outlives(t: Context) -> None:
    """A wrong kernel frees pages that are mapped."""
    loop = Loop(t)
    dev, index, refs = allocated(t, 1)
    address = dev.mmap(1, index)
    dev.close()
    t.accepted("store after close", t.worker.poke, address, b"after close")
    t.expect(loop.read(refs[0], 11), b"after close", "what the peer reads")
    t.worker.munmap(address)
    t.expect(loop.granted(refs[0]), "ended", "after munmap")


@case(
    "share.close-waits-for-all",
    ["B12", "O9"],
    "after close, the file goes with the last of two mappings",
)
def close_waits(t: Context) -> None:
    """A wrong kernel releases with the first mapping that goes."""
    loop = Loop(t)
    dev, index, refs = allocated(t, 2)
    a, b = dev.mmap(1, index), dev.mmap(1, index + PAGE)
    dev.close()
    t.worker.munmap(a)
    t.expect([loop.granted(ref) for ref in refs], ["granted"] * 2, "one mapping left")
    t.worker.munmap(b)
    t.expect([loop.granted(ref) for ref in refs], ["ended"] * 2, "no mapping left")
