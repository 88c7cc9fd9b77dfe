# SPDX-License-Identifier: BSD-2-Clause
"""UNMAP_GRANT_REF: removing a map from its file, and when its grants end."""

from __future__ import annotations

from agent.client import PAGE

from . import abi
from .framework import Context, case, null_argument, section
from .mmap import HIGH

section("gntdev UNMAP_GRANT_REF", 40)


null_argument("unmap", "U1", "UNMAP", "gntdev", abi.UNMAP_GRANT_REF)


@case("unmap.argument-cut-short", ["U1"], "UNMAP is EFAULT when the struct is not all readable")
def argument_cut(t: Context) -> None:
    """A wrong kernel reads the 12 bytes it needs and takes the map off."""
    dev = t.gntdev()
    dev.map_any()
    address = t.page_end(abi.UNMAP.pack(0, 1, 0)[:12])
    t.refused("EFAULT", "12 of 16 bytes", dev.ioctl, abi.UNMAP_GRANT_REF, address)
    t.accepted("UNMAP afterwards", dev.unmap, 0, 1)


@case("unmap.no-such-index", ["U2"], "UNMAP without a map at the index is ENOENT")
def no_such_index(t: Context) -> None:
    """A wrong kernel answers EINVAL, as FreeBSD's base driver does."""
    dev = t.gntdev()
    t.refused("ENOENT", "empty file", dev.unmap, 0, 1)
    dev.map_any(2)
    t.refused("ENOENT", "behind the map", dev.unmap, 2 * PAGE, 1)


@case("unmap.inside-map", ["U2"], "UNMAP at an index inside a map is ENOENT")
def inside_map(t: Context) -> None:
    """A wrong kernel takes off the map that contains the index, or a part of it."""
    dev = t.gntdev()
    index = dev.map_any(3)
    t.refused("ENOENT", "second page, count 1", dev.unmap, index + PAGE, 1)
    t.refused("ENOENT", "second page, count 2", dev.unmap, index + PAGE, 2)
    t.refused("ENOENT", "second page, count 0", dev.unmap, index + PAGE, 0)
    t.accepted("at the start", dev.unmap, index, 3)


@case("unmap.low-bits-ignored", ["U2"], "the low 12 bits of the index are ignored")
def low_bits(t: Context) -> None:
    """A wrong kernel compares bytes and answers ENOENT."""
    dev = t.gntdev()
    dev.map_any()
    index = dev.map_any()
    t.accepted("index + 0xfff", dev.unmap, index + 0xFFF, 1)
    t.refused("ENOENT", "again", dev.unmap, index, 1)


@case("unmap.index-truncated", ["U2"], "the page index is cut to 32 bits before the comparison")
def index_truncated(t: Context) -> None:
    """Linux compares ints; a kernel that compares 64 bits differs (K12), which hurts nobody."""
    dev = t.gntdev()
    index = dev.map_any()
    t.expect(
        t.attempt(dev.unmap, (index + HIGH) % (1 << 64), 1), "ok", "index + 2^44", {"K12": "ENOENT"}
    )


@case("unmap.other-file", ["U2"], "UNMAP does not find maps of another file")
def other_file(t: Context) -> None:
    """A wrong kernel looks up over all files."""
    one, two = t.gntdev(), t.gntdev()
    index = one.map_any()
    t.refused("ENOENT", "through the other file", two.unmap, index, 1)
    t.accepted("through its own", one.unmap, index, 1)


@case("unmap.count-too-small", ["U3"], "UNMAP of a part of a map is ENOENT")
def count_small(t: Context) -> None:
    """A wrong kernel unmaps a part, or all of it."""
    dev, index, _, refs = t.mapped(3)
    t.refused("ENOENT", "2 of 3", dev.unmap, index, 2)
    t.expect(t.peer.states(refs), ["mapped rw"] * 3, "entries")
    t.accepted("3 of 3", dev.unmap, index, 3)


@case("unmap.count-too-large", ["U3"], "UNMAP of more than the map is ENOENT")
def count_large(t: Context) -> None:
    """A wrong kernel runs on into the next map."""
    dev = t.gntdev()
    dev.map_any(2)
    dev.map_any(2)
    t.refused("ENOENT", "4 over two maps of 2", dev.unmap, 0, 4)
    t.refused("ENOENT", "2^32-1", dev.unmap, 0, 0xFFFFFFFF)
    t.accepted("the first", dev.unmap, 0, 2)
    t.accepted("the second", dev.unmap, 2 * PAGE, 2)


@case("unmap.count-zero", ["U4"], "count 0 means the map's count")
def count_zero(t: Context) -> None:
    """A wrong kernel answers EINVAL or ENOENT."""
    dev = t.gntdev()
    dev.map_any(5)
    t.accepted("UNMAP with count 0", dev.unmap, 0, 0)
    t.refused("ENOENT", "again", dev.unmap, 0, 5)


@case("unmap.after-munmap", ["U5", "V1"], "munmap then UNMAP: the grants go with UNMAP")
def after_munmap(t: Context) -> None:
    """A wrong kernel unmaps at munmap, or never."""
    dev, index, address, refs = t.mapped(2)
    t.worker.munmap(address, 2 * PAGE)
    t.expect(
        t.peer.states(refs),
        ["mapped rw"] * 2,
        "entries after munmap",
        {"K7": ["not mapped"] * 2},
    )
    t.accepted("UNMAP", dev.unmap, index, 2)
    t.expect(t.peer.states(refs), ["not mapped"] * 2, "entries after UNMAP")


@case("unmap.never-mapped", ["U5"], "UNMAP of a map that was never mmapped")
def never_mapped(t: Context) -> None:
    """A wrong kernel issues an unmap for what Xen never mapped."""
    dev = t.gntdev()
    ref = t.peer.grant(0)
    index = dev.map([ref])
    t.accepted("UNMAP", dev.unmap, index, 1)
    t.expect(t.peer.state(ref), "not mapped", "entry")


@case(
    "unmap.while-mapped", ["U6"], "UNMAP while mmapped succeeds and changes nothing for the mapping"
)
def while_mapped(t: Context) -> None:
    """A wrong kernel answers EBUSY, or pulls the page from under its user."""
    dev, index, address, refs = t.mapped()
    t.accepted("UNMAP", dev.unmap, index, 1)
    t.expect(t.peer.state(refs[0]), "mapped rw", "entry after UNMAP")
    t.worker.poke(address, b"still here")
    t.expect(t.peer.read(0, 0, 10), b"still here", "page")
    t.worker.munmap(address)
    t.expect(t.peer.state(refs[0]), "not mapped", "entry after munmap")


@case(
    "unmap.while-split",
    ["U6", "V2"],
    "after UNMAP, all grants wait for the last piece of the mapping",
)
def while_split(t: Context) -> None:
    """A wrong kernel unmaps with the first piece."""
    dev, index, address, refs = t.mapped(3)
    dev.unmap(index, 3)
    t.worker.munmap(address + PAGE, PAGE)
    t.expect(
        t.peer.states(refs),
        ["mapped rw"] * 3,
        "middle page munmapped",
        {"K7": ["mapped rw", "not mapped", "mapped rw"]},
    )
    t.worker.munmap(address, PAGE)
    t.expect(t.peer.state(refs[2]), "mapped rw", "last page, first one munmapped too")
    t.worker.munmap(address + 2 * PAGE, PAGE)
    t.expect(t.peer.states(refs), ["not mapped"] * 3, "all munmapped")


@case("unmap.index-free-at-once", ["U6"], "the index can be used again while the old mapping lives")
def index_free(t: Context) -> None:
    """A wrong kernel keeps the index, or mixes up the two maps of one index."""
    dev, index, old, refs = t.mapped()
    dev.unmap(index, 1)
    ref = t.peer.grant(1)
    t.expect(dev.map([ref]), index, "index of the next request")
    new = t.accepted("mmap of the new map", dev.mmap, 1, index)
    t.worker.poke(old, b"old")
    t.worker.poke(new, b"new")
    t.expect(t.peer.read(0, 0, 3), b"old", "page of the old map")
    t.expect(t.peer.read(1, 0, 3), b"new", "page of the new map")
    t.worker.munmap(old)
    t.expect(t.peer.state(refs[0]), "not mapped", "old entry after its munmap")
    t.expect(t.peer.state(ref), "mapped rw", "new entry then")


@case("unmap.twice", ["U7"], "a second UNMAP of the same index is ENOENT")
def unmap_twice(t: Context) -> None:
    """A wrong kernel drops the reference twice."""
    dev = t.gntdev()
    index = dev.map_any()
    dev.unmap(index, 1)
    t.refused("ENOENT", "second UNMAP", dev.unmap, index, 1)


@case(
    "unmap.twice-while-mapped", ["U7"], "a second UNMAP while mmapped is ENOENT and harms nothing"
)
def twice_mapped(t: Context) -> None:
    """A wrong kernel drops the mapping's reference."""
    dev, index, address, refs = t.mapped()
    dev.unmap(index, 1)
    t.refused("ENOENT", "second UNMAP", dev.unmap, index, 1)
    t.expect(t.peer.state(refs[0]), "mapped rw", "entry")
    t.expect(t.attempt(t.worker.peek, address, 8), "ok", "access")


@case("unmap.hits-reused-index", ["U7"], "a second UNMAP hits the map that reused the index")
def hits_reused(t: Context) -> None:
    """A wrong kernel remembers the first map."""
    dev, index, _, refs = t.mapped()
    dev.unmap(index, 1)
    dev.map_any(2)
    t.refused("ENOENT", "UNMAP with the old count", dev.unmap, index, 1)
    t.accepted("UNMAP with the new count", dev.unmap, index, 2)
    t.expect(t.peer.state(refs[0]), "mapped rw", "entry of the first map")


@case("unmap.then-notify", ["U8"], "SET_UNMAP_NOTIFY after UNMAP is ENOENT", needs=["notify"])
def then_notify(t: Context) -> None:
    """A wrong kernel finds a map that has left the file."""
    dev, index, _, _ = t.mapped()
    dev.unmap(index, 1)
    t.refused("ENOENT", "SET_UNMAP_NOTIFY", dev.notify, index)


@case(
    "unmap.armed-notify-stays",
    ["U8"],
    "a notification armed before UNMAP still fires",
    needs=["notify"],
)
def armed_stays(t: Context) -> None:
    """A wrong kernel disarms at UNMAP: the peer never learns that its page was released."""
    dev, index, address, refs = t.mapped()
    t.worker.fill(address, 16, 0xFF)
    t.accepted("SET_UNMAP_NOTIFY", dev.notify, index + 5)
    dev.unmap(index, 1)
    t.expect(t.peer.read(0, 5, 1), b"\xff", "byte after UNMAP")
    t.worker.munmap(address)
    t.expect(t.peer.read(0, 4, 3), b"\xff\x00\xff", "byte and its neighbours after munmap")
    t.expect(t.peer.state(refs[0]), "not mapped", "entry after munmap")
