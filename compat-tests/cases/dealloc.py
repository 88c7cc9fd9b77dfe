# SPDX-License-Identifier: BSD-2-Clause
"""DEALLOC_GREF: removing pages from the file, and when their grants end."""

from __future__ import annotations

from agent.client import PAGE

from . import abi
from .alloc import allocated
from .framework import Context, Loop, case, null_argument, section

section("gntalloc DEALLOC_GREF", 120)


null_argument("dealloc", "D1", "DEALLOC", "gntalloc", abi.DEALLOC_GREF)


@case("dealloc.argument-cut-short", ["D1"], "DEALLOC is EFAULT when the struct is not all readable")
def argument_cut(t: Context) -> None:
    """A wrong kernel reads the 12 bytes it needs."""
    dev, index, _ = allocated(t, 1)
    address = t.page_end(abi.DEALLOC.pack(index, 1)[:12])
    t.refused("EFAULT", "12 of 16 bytes", dev.ioctl, abi.DEALLOC_GREF, address)
    t.accepted("DEALLOC afterwards", dev.dealloc, index, 1)


@case("dealloc.no-such-index", ["D2"], "DEALLOC without a page at the index is EINVAL")
def no_such_index(t: Context) -> None:
    """A wrong kernel answers ENOENT, as gntdev's UNMAP does."""
    dev = t.gntalloc()
    t.refused("EINVAL", "empty file", dev.dealloc, 0, 1)
    index, _ = dev.alloc(2)
    t.refused("EINVAL", "behind the pages", dev.dealloc, index + 2 * PAGE, 1)


@case("dealloc.unaligned-index", ["D2"], "an unaligned index never matches")
def unaligned(t: Context) -> None:
    """A wrong kernel ignores the low bits, as gntdev does."""
    dev, index, refs = allocated(t, 2)
    for byte in (1, 8, PAGE - 1):
        t.refused("EINVAL", f"index + {byte}", dev.dealloc, index + byte, 1)
    t.expect(Loop(t).granted(refs[0]), "granted", "first page")


@case("dealloc.count-zero", ["D3"], "DEALLOC of no pages is EINVAL")
def count_zero(t: Context) -> None:
    """A wrong kernel returns 0, or takes 0 for all."""
    dev, index, refs = allocated(t, 2)
    t.refused("EINVAL", "count 0", dev.dealloc, index, 0)
    t.expect(Loop(t).granted(refs[0]), "granted", "first page")


@case(
    "dealloc.too-many", ["D4"], "DEALLOC of more pages than there are is EINVAL and frees nothing"
)
def too_many(t: Context) -> None:
    """A wrong kernel frees up to the end and then reports an error."""
    loop = Loop(t)
    dev, index, refs = allocated(t, 3)
    t.refused("EINVAL", "4 of 3", dev.dealloc, index, 4)
    t.refused("EINVAL", "2^32-1", dev.dealloc, index, 0xFFFFFFFF)
    t.expect([loop.granted(ref) for ref in refs], ["granted"] * 3, "pages")
    t.accepted("3 of 3", dev.dealloc, index, 3)


@case("dealloc.hole", ["D4"], "DEALLOC over a hole is EINVAL and frees nothing")
def hole(t: Context) -> None:
    """A wrong kernel counts pages, not consecutive ones."""
    loop = Loop(t)
    dev, index, refs = allocated(t, 4)
    dev.dealloc(index + PAGE, 1)
    t.refused("EINVAL", "3 over the hole", dev.dealloc, index, 3)
    t.expect(
        [loop.granted(ref) for ref in refs],
        ["granted", "ended", "granted", "granted"],
        "pages",
    )


@case("dealloc.sub-range", ["D5"], "any part of an allocation can be freed")
def sub_range(t: Context) -> None:
    """A wrong kernel knows only whole allocations."""
    loop = Loop(t)
    dev, index, refs = allocated(t, 5)
    t.accepted("pages 1 and 2", dev.dealloc, index + PAGE, 2)
    t.accepted("page 4", dev.dealloc, index + 4 * PAGE, 1)
    t.expect(
        [loop.granted(ref) for ref in refs],
        ["granted", "ended", "ended", "granted", "ended"],
        "pages",
    )


@case("dealloc.span", ["D5"], "a range over several allocations can be freed")
def span(t: Context) -> None:
    """A wrong kernel stops at the end of an allocation."""
    loop = Loop(t)
    dev, index, first = allocated(t, 2)
    _, second = dev.alloc(2)
    t.accepted("pages 1 to 3", dev.dealloc, index + PAGE, 3)
    t.expect(
        [loop.granted(ref) for ref in first + second],
        ["granted", "ended", "ended", "ended"],
        "pages",
    )


@case("dealloc.ends-grant", ["D6"], "DEALLOC of pages that are not mmapped ends their grants")
def ends_grant(t: Context) -> None:
    """A wrong kernel frees the page and leaves it granted: the peer reads what comes next."""
    loop = Loop(t)
    dev, index, refs = allocated(t, 3)
    t.expect([loop.granted(ref) for ref in refs], ["granted"] * 3, "before DEALLOC")
    t.accepted("DEALLOC", dev.dealloc, index, 3)
    t.expect([loop.granted(ref) for ref in refs], ["ended"] * 3, "after DEALLOC")


@case("dealloc.after-munmap", ["D6"], "DEALLOC after munmap ends the grants")
def after_munmap(t: Context) -> None:
    """A wrong kernel keeps a reference of a mapping that is gone."""
    loop = Loop(t)
    dev, index, refs = allocated(t, 2)
    t.worker.munmap(dev.mmap(2, index), 2 * PAGE)
    t.expect([loop.granted(ref) for ref in refs], ["granted"] * 2, "after munmap")
    dev.dealloc(index, 2)
    t.expect([loop.granted(ref) for ref in refs], ["ended"] * 2, "after DEALLOC")


@case("dealloc.while-mapped", ["D7"], "DEALLOC while mmapped: page and grant live until munmap")
def while_mapped(t: Context) -> None:
    """A wrong kernel frees a page that is in use."""
    loop = Loop(t)
    dev, index, refs = allocated(t, 1)
    address = dev.mmap(1, index)
    t.accepted("DEALLOC", dev.dealloc, index, 1)
    t.expect(loop.granted(refs[0]), "granted", "after DEALLOC")
    t.expect(loop.status_into(refs[0], b"alive"), 0, "status of a copy into the page")
    t.expect(t.worker.peek(address, 5), b"alive", "page")
    t.worker.munmap(address)
    t.expect(loop.granted(refs[0]), "ended", "after munmap")


@case(
    "dealloc.while-mapped-no-mmap", ["D7"], "a page removed from the file cannot be mmapped again"
)
def no_mmap(t: Context) -> None:
    """A wrong kernel finds the page by its mapping."""
    dev, index, _ = allocated(t, 1)
    dev.mmap(1, index)
    dev.dealloc(index, 1)
    t.refused("ENOENT", "mmap", dev.mmap, 1, index)


@case(
    "dealloc.while-mapped-no-notify",
    ["D7"],
    "a page removed from the file cannot be armed any more",
    needs=["notify"],
)
def no_notify(t: Context) -> None:
    """A wrong kernel finds the page by its mapping."""
    dev, index, _ = allocated(t, 1)
    dev.mmap(1, index)
    dev.dealloc(index, 1)
    t.refused("ENOENT", "SET_UNMAP_NOTIFY", dev.notify, index)


@case(
    "dealloc.while-mapped-again", ["D7", "D8"], "a page removed from the file cannot be freed again"
)
def while_mapped_again(t: Context) -> None:
    """A wrong kernel drops the mapping's reference."""
    loop = Loop(t)
    dev, index, refs = allocated(t, 1)
    dev.mmap(1, index)
    dev.dealloc(index, 1)
    t.refused("EINVAL", "second DEALLOC", dev.dealloc, index, 1)
    t.expect(loop.granted(refs[0]), "granted", "page")


@case("dealloc.again", ["D8"], "a second DEALLOC is EINVAL")
def again(t: Context) -> None:
    """A wrong kernel frees twice."""
    dev, index, _ = allocated(t, 2)
    dev.dealloc(index, 2)
    t.refused("EINVAL", "second DEALLOC", dev.dealloc, index, 2)
    t.refused("EINVAL", "of a part", dev.dealloc, index + PAGE, 1)


@case("dealloc.other-file", ["D9"], "DEALLOC does not find pages of another file")
def other_file(t: Context) -> None:
    """A wrong kernel looks up over all files: anyone frees anyone's pages."""
    loop = Loop(t)
    one, index, refs = allocated(t, 2)
    two = t.gntalloc()
    t.refused("EINVAL", "through the other file", two.dealloc, index, 2)
    t.expect([loop.granted(ref) for ref in refs], ["granted"] * 2, "pages")
    t.accepted("through its own", one.dealloc, index, 2)
