# SPDX-License-Identifier: BSD-2-Clause
"""ALLOC_GREF.  Copies through the domain's own references show what is granted (row C17)."""

from __future__ import annotations

from agent.client import PAGE

from . import abi
from .framework import Context, Gntalloc, Loop, case, null_argument, section

section("gntalloc ALLOC_GREF", 110)


def request(count: int, flags: int = abi.WRITABLE, domid: int = 0, first: int = 0) -> bytes:
    return abi.ALLOC.pack(domid, flags, count, 0, first)


null_argument("alloc", "A1", "ALLOC", "gntalloc", abi.ALLOC_GREF)


@case(
    "alloc.argument-cut-short", ["A1"], "ALLOC is EFAULT when the fixed struct is not all readable"
)
def argument_cut(t: Context) -> None:
    """A wrong kernel reads the fields it needs and allocates."""
    dev = t.gntalloc()
    address = t.page_end(request(1)[:20])
    t.refused("EFAULT", "20 of 24 bytes", dev.ioctl, abi.ALLOC_GREF, address)
    t.expect(dev.alloc()[0], 0, "index afterwards")


ALLOCATION_WARNING = (r"WARNING: .*(page_alloc|kmalloc|slab|util\.c)", r"Call Trace")


@case(
    "alloc.count-enormous",
    ["A2"],
    "ALLOC of more ids than one kernel buffer holds fails and moves nothing",
    allow=ALLOCATION_WARNING,
)
def enormous(t: Context) -> None:
    """A wrong kernel multiplies in 32 bits, or sleeps for gigabytes."""
    dev = t.gntalloc()
    for count in (1048577, 0x40000001, 0xFFFFFFFF):
        # Until 2026 Linux allocated the buffer before it checked the limit.
        seen = t.attempt(dev.ioctl, abi.ALLOC_GREF, request(count))
        t.expect_either(seen, ("ENOSPC", "ENOMEM"), f"count {count}", "K23")
    t.expect(dev.alloc()[0], 0, "index afterwards")


@case(
    "alloc.count-enormous-within-limit",
    ["A2"],
    "ALLOC of more ids than one kernel buffer holds is ENOMEM when the limit allows them",
    needs=["limit"],
    allow=ALLOCATION_WARNING,
)
def enormous_within_limit(t: Context) -> None:
    """A wrong kernel takes page after page until the machine has no memory left."""
    t.set_limit("gntalloc", 0x7FFFFFFF)
    dev = t.gntalloc()
    t.refused("ENOMEM", "2^30 + 1 pages", dev.ioctl, abi.ALLOC_GREF, request(0x40000001))
    t.expect(dev.alloc()[0], 0, "index afterwards")


@case("alloc.over-limit", ["A3"], "ALLOC over the limit is ENOSPC and moves nothing")
def over_limit(t: Context) -> None:
    """A wrong kernel answers ENOMEM, or advances the index counter."""
    dev = t.gntalloc()
    t.refused("ENOSPC", "100000 pages", dev.ioctl, abi.ALLOC_GREF, request(100000))
    t.expect(dev.alloc()[0], 0, "index afterwards")


@case("alloc.limit-inclusive", ["A3"], "exactly the limit can be allocated", needs=["limit"])
def limit_inclusive(t: Context) -> None:
    """A wrong kernel is off by one."""
    t.set_limit("gntalloc", 4)
    dev = t.gntalloc()
    t.refused("ENOSPC", "5 at limit 4", dev.alloc, 5)
    index, _ = t.accepted("4 at limit 4", dev.alloc, 4)
    t.expect(index, 0, "index")
    t.refused("ENOSPC", "one more", dev.alloc, 1)


@case("alloc.limit-system-wide", ["A3"], "the limit counts the pages of all files", needs=["limit"])
def limit_system_wide(t: Context) -> None:
    """A wrong kernel limits each file: the system has no bound."""
    t.set_limit("gntalloc", 4)
    one, two = t.gntalloc(), t.gntalloc()
    one.alloc(3)
    t.refused("ENOSPC", "2 by another file", two.alloc, 2)
    t.accepted("1 by another file", two.alloc, 1)


@case(
    "alloc.limit-dealloc-returns", ["A3"], "DEALLOC gives pages back to the limit", needs=["limit"]
)
def limit_dealloc(t: Context) -> None:
    """A wrong kernel counts what was ever allocated."""
    t.set_limit("gntalloc", 4)
    dev = t.gntalloc()
    index, _ = dev.alloc(4)
    dev.dealloc(index + PAGE, 2)
    t.refused("ENOSPC", "3 of 2 free", dev.alloc, 3)
    t.accepted("2 of 2 free", dev.alloc, 2)


@case("alloc.limit-close-returns", ["A3"], "close gives pages back to the limit", needs=["limit"])
def limit_close(t: Context) -> None:
    """A wrong kernel does not subtract the pages of a closed file."""
    t.set_limit("gntalloc", 4)
    dev = t.gntalloc()
    dev.alloc(4)
    dev.close()
    t.accepted("4 by the next file", t.gntalloc().alloc, 4)


@case(
    "alloc.limit-mapping-counts",
    ["A3", "D7"],
    "a page kept only by its mapping still counts",
    needs=["limit"],
)
def limit_mapping(t: Context) -> None:
    """A wrong kernel stops counting pages at DEALLOC that still exist, so there is no bound."""
    t.set_limit("gntalloc", 4)
    dev = t.gntalloc()
    index, _ = dev.alloc(4)
    address = dev.mmap(1, index)
    dev.dealloc(index, 4)
    t.refused("ENOSPC", "4 while one is mapped", dev.alloc, 4)
    t.accepted("3 while one is mapped", dev.alloc, 3)
    t.worker.munmap(address)
    t.accepted("1 after munmap", dev.alloc, 1)


@case(
    "alloc.result-not-writable",
    ["A6"],
    "ALLOC is EFAULT when the result cannot be written; pages stay",
)
def result_not_writable(t: Context) -> None:
    """Linux keeps the pages until close; a kernel that frees them gives the index out again."""
    dev = t.gntalloc()
    address = t.read_only(request(2))
    t.refused("EFAULT", "ALLOC in a read-only page", dev.ioctl, abi.ALLOC_GREF, address)
    t.accepted("mmap of the unreported pages", dev.mmap, 2, 0)
    t.expect(dev.alloc()[0] // PAGE, 2, "next page index")


@case(
    "alloc.ids-not-writable", ["A6"], "ALLOC is EFAULT when the ids cannot be written; pages stay"
)
def ids_not_writable(t: Context) -> None:
    """A wrong kernel writes the ids first, or frees the pages."""
    dev = t.gntalloc()
    index, _ = dev.alloc(1)
    address = t.page_end(request(8))
    t.refused("EFAULT", "room for 2 of 8 ids", dev.ioctl, abi.ALLOC_GREF, address)
    t.expect(t.worker.u64(address + 8) // PAGE, 1, "page index, written before the ids")
    t.accepted("mmap of the pages", dev.mmap, 8, index + PAGE)
    t.expect(dev.alloc()[0] // PAGE, 9, "next page index")


@case("alloc.count-zero", ["A7"], "ALLOC of no pages returns the current index")
def count_zero(t: Context) -> None:
    """A wrong kernel answers EINVAL, as gntdev's MAP does."""
    dev = t.gntalloc()
    dev.alloc(3)
    at = t.accepted("ALLOC with count 0", dev.ioctl, abi.ALLOC_GREF, request(0, first=0xABCD))
    t.expect(t.worker.u64(at + 8) // PAGE, 3, "page index")
    t.expect(hex(t.worker.u32(at + 16)), "0xabcd", "first id")
    t.expect(dev.alloc()[0] // PAGE, 3, "next page index")


@case("alloc.read-only-refuses-write", ["A8"], "without WRITABLE the peer cannot write")
def read_only_refuses(t: Context) -> None:
    """A wrong kernel grants write access that was not given."""
    loop = Loop(t)
    _, refs = t.gntalloc().alloc(flags=0)
    t.expect(loop.status_into(refs[0]), -1, "status of a copy into the page")


@case(
    "alloc.read-only-allows-read", ["A8"], "without WRITABLE the peer can read, and the owner write"
)
def read_only_allows(t: Context) -> None:
    """A wrong kernel makes the owner's mapping read-only too."""
    loop = Loop(t)
    dev = t.gntalloc()
    index, refs = dev.alloc(flags=0)
    address = t.accepted("mmap rw", dev.mmap, 1, index)
    t.accepted("store by the owner", t.worker.poke, address, b"from the owner")
    t.expect(loop.status_from(refs[0]), 0, "status of a copy out of the page")
    t.expect(loop.read(refs[0], 14), b"from the owner", "what the peer reads")


@case("alloc.writable", ["A8"], "with WRITABLE the peer's writes appear")
def writable(t: Context) -> None:
    """A wrong kernel grants read-only, or another page."""
    loop = Loop(t)
    dev = t.gntalloc()
    index, refs = dev.alloc()
    address = dev.mmap(1, index)
    t.expect(loop.status_into(refs[0], b"from the peer"), 0, "status of a copy into the page")
    t.expect(t.worker.peek(address, 13), b"from the peer", "page")


@case("alloc.unknown-flags", ["A9"], "unknown flag bits are ignored")
def unknown_flags(t: Context) -> None:
    """A wrong kernel answers EINVAL, or takes another bit for WRITABLE."""
    loop = Loop(t)
    dev = t.gntalloc()
    _, refs = t.accepted("flags 0xfffe", dev.alloc, 1, t.own, 0xFFFE)
    t.expect(loop.status_into(refs[0]), -1, "copy into the page, flags 0xfffe")
    _, refs = t.accepted("flags 0xffff", dev.alloc, 1, t.own, 0xFFFF)
    t.expect(loop.status_into(refs[0]), 0, "copy into the page, flags 0xffff")


def _domain_cases() -> None:
    for name, domid in (("self", abi.DOMID_SELF), ("absent", 31000), ("maximum", 0xFFFF)):

        def accepted(t: Context, domid: int = domid) -> None:
            """A wrong kernel looks whether the domain exists: it may be made later."""
            dev = t.gntalloc()
            index, _ = t.accepted("ALLOC", dev.alloc, 1, domid)
            t.accepted("mmap", dev.mmap, 1, index)
            t.accepted("DEALLOC", dev.dealloc, index, 1)

        case(f"alloc.domain-{name}", ["A10"], f"a grant to domain 0x{domid:x} is accepted")(
            accepted
        )


_domain_cases()


@case("alloc.other-domain-useless", ["A10"], "a grant to another domain is not one to this domain")
def other_domain(t: Context) -> None:
    """A wrong kernel grants to everybody."""
    loop = Loop(t)
    _, refs = t.gntalloc().alloc(domid=31000)
    t.expect(loop.status_from(refs[0]), -1, "status of a copy by this domain")


@case("alloc.zero-filled", ["A11"], "pages are zero-filled")
def zero_filled(t: Context) -> None:
    """A wrong kernel shows old data to the peer."""
    # Dirty pages are freed first, so that a careless allocator would hand them out again.
    dev = t.gntalloc()
    index, _ = dev.alloc(8)
    address = dev.mmap(8, index)
    t.worker.fill(address, 8 * PAGE, 0xEE)
    t.worker.munmap(address, 8 * PAGE)
    dev.dealloc(index, 8)
    index, refs = dev.alloc(8)
    t.expect(Loop(t).read(refs[0], 64), bytes(64), "what the peer reads")
    t.expect(t.worker.check(dev.mmap(8, index), 8 * PAGE, 0), True, "all bytes are zero")


@case(
    "alloc.references-differ",
    ["A11"],
    "each page has its own reference, none of the reserved ones",
)
def references_differ(t: Context) -> None:
    """A wrong kernel returns one reference several times."""
    _, refs = t.gntalloc().alloc(16)
    t.expect(len(set(refs)), 16, "different references")
    t.expect(min(refs) >= 8, True, "none of the 8 reserved references")


@case("alloc.reference-is-page", ["A11"], "the n-th reference grants the n-th page")
def reference_is_page(t: Context) -> None:
    """A wrong kernel mixes up references and pages."""
    loop = Loop(t)
    dev = t.gntalloc()
    index, refs = dev.alloc(4)
    address = dev.mmap(4, index)
    for n in range(4):
        t.worker.poke(address + n * PAGE, bytes([0x61 + n]))
    t.expect(b"".join(loop.read(ref, 1) for ref in refs), b"abcd", "first byte by reference")


@case("alloc.index-packed", ["A11"], "each index is the sum of the earlier counts")
def index_packed(t: Context) -> None:
    """A wrong kernel counts references, not bytes."""
    dev = t.gntalloc()
    t.expect([dev.alloc(n)[0] // PAGE for n in (1, 3, 2, 1)], [0, 1, 4, 6], "page indices")


@case("alloc.index-never-reused", ["A11"], "an index is never used again")
def never_reused(t: Context) -> None:
    """A wrong kernel fills holes, as gntdev does."""
    dev = t.gntalloc()
    for n in range(4):
        index, _ = dev.alloc(2)
        t.expect(index // PAGE, 2 * n, f"page index of allocation {n}")
        dev.dealloc(index, 2)


@case("alloc.index-per-file", ["A11"], "each open file has its own indices")
def index_per_file(t: Context) -> None:
    """A wrong kernel numbers the pages of the whole device."""
    one, two = t.gntalloc(), t.gntalloc()
    t.expect(one.alloc(2)[0] // PAGE, 0, "first file")
    t.expect(two.alloc(1)[0] // PAGE, 0, "second file")
    t.expect(one.alloc(1)[0] // PAGE, 2, "first file again")


@case("alloc.many", ["A11"], "300 pages in one request")
def many(t: Context) -> None:
    """A wrong kernel handles only as many pages as fit one page of ids, or of the table."""
    dev = t.gntalloc()
    index, refs = dev.alloc(300)
    t.expect(len(set(refs)), 300, "different references")
    t.expect(dev.alloc()[0] // PAGE, 300, "next page index")
    t.accepted("DEALLOC of all", dev.dealloc, index, 300)


def allocated(t: Context, count: int) -> tuple[Gntalloc, int, list[int]]:
    dev = t.gntalloc()
    index, refs = dev.alloc(count)
    return dev, index, refs
