# SPDX-License-Identifier: BSD-2-Clause
"""MAP_GRANT_REF and the allocation of indices."""

from __future__ import annotations

import random

from agent.client import PAGE

from . import abi
from .framework import Context, Gntdev, case, null_argument, section

section("gntdev MAP_GRANT_REF", 20)


null_argument("map", "M1", "MAP", "gntdev", abi.MAP_GRANT_REF)


@case("map.argument-cut-short", ["M1"], "MAP is EFAULT when the fixed struct is not all readable")
def argument_cut(t: Context) -> None:
    """A wrong kernel copies the fields one by one and misses the unreadable end."""
    address = t.page_end(abi.pack_map([(1, 8)])[:16])
    dev = t.gntdev()
    t.refused("EFAULT", "MAP with 16 of 24 bytes", dev.ioctl, abi.MAP_GRANT_REF, address)
    t.expect(dev.map_any(), 0, "index afterwards")


@case("map.count-zero", ["M2"], "MAP of no grants is EINVAL")
def count_zero(t: Context) -> None:
    """A wrong kernel hands out an index for nothing."""
    dev = t.gntdev()
    t.refused("EINVAL", "MAP with count 0", dev.map_grants, [])
    t.expect(dev.map_any(), 0, "index afterwards")


@case("map.count-over-limit", ["M3"], "MAP of 65537 grants is EINVAL")
def over_limit(t: Context) -> None:
    """A wrong kernel allocates whatever it is asked for."""
    dev = t.gntdev()
    count = 65537
    address = t.worker.alloc(16 + 8 * count)
    t.worker.poke(address, abi.MAP.pack(count, 0, 0))
    t.worker.refs(address + 16, count, 1, 8, 0)
    t.refused("EINVAL", f"MAP with count {count}", dev.ioctl, abi.MAP_GRANT_REF, address)


@case("map.count-maximum", ["M3"], "MAP of 2^32-1 grants is EINVAL")
def count_maximum(t: Context) -> None:
    """A wrong kernel multiplies in 32 bits and copies a short array."""
    data = abi.pack_map([(1, 8)], count=0xFFFFFFFF)
    t.refused("EINVAL", "MAP with count 0xffffffff", t.gntdev().ioctl, abi.MAP_GRANT_REF, data)


@case("map.count-before-array", ["M3"], "the count is checked before the array is read")
def count_before_array(t: Context) -> None:
    """A wrong kernel reads the array first and answers EFAULT."""
    address = t.page_end(abi.pack_map([(1, 8)], count=65537))
    t.refused("EINVAL", "count 65537, no array", t.gntdev().ioctl, abi.MAP_GRANT_REF, address)


@case(
    "map.limit-is-a-parameter", ["M3"], "the limit can be changed and is inclusive", needs=["limit"]
)
def limit_parameter(t: Context) -> None:
    """A wrong kernel compares with >=, or with a constant."""
    t.set_limit("gntdev", 8)
    dev = t.gntdev()
    t.expect(dev.map_any(8), 0, "index of 8 at limit 8")
    t.refused("EINVAL", "9 at limit 8", dev.map_any, 9)


@case(
    "map.limit-per-request",
    ["M3", "M9"],
    "the limit is for one request, not for the file",
    needs=["limit"],
)
def limit_per_request(t: Context) -> None:
    """A wrong kernel (Linux up to 5.4) adds up the requests of a file."""
    t.set_limit("gntdev", 4)
    dev = t.gntdev()
    for n in range(3):
        t.expect(dev.map_any(4), n * 4 * PAGE, f"index of request {n}")


@case(
    "map.no-memory",
    ["M4"],
    "MAP of more grants than memory allows is ENOMEM, before the array is read",
    needs=["limit", "small_memory"],
    allow=[
        r"page allocation failure",
        r"vmalloc",
        r"exceeds total pages",
        r"WARNING",
        r"Call Trace",
    ],
)
def no_memory(t: Context) -> None:
    """A wrong kernel sleeps for memory it will never get, or reads the array first."""
    # So many that not even an array of single bytes fits: Linux allocates several arrays, and one
    # that nearly fits starts its OOM killer.
    t.set_limit("gntdev", 450_000_000)
    address = t.page_end(abi.pack_map([(1, 8)], count=400_000_000))
    dev = t.gntdev()
    t.refused("ENOMEM", "400 million grants", dev.ioctl, abi.MAP_GRANT_REF, address)
    t.expect(dev.map_any(), 0, "index afterwards")


@case("map.array-cut-short", ["M5"], "MAP is EFAULT when the array is not all readable")
def array_cut(t: Context) -> None:
    """A wrong kernel leaves a half-filled map behind."""
    dev = t.gntdev()
    address = t.page_end(abi.pack_map([(1, 8)] * 3, count=4))
    t.refused("EFAULT", "3 of 4 references readable", dev.ioctl, abi.MAP_GRANT_REF, address)
    t.expect(dev.map_any(), 0, "index afterwards")


@case("map.array-second-page", ["M5"], "MAP reads an array that crosses pages")
def array_second_page(t: Context) -> None:
    """A wrong kernel copies only what lies in the first page."""
    dev = t.gntdev()
    count = 1500
    address = t.worker.alloc(16 + 8 * count)
    t.worker.poke(address, abi.MAP.pack(count, 0, 0))
    t.worker.refs(address + 16, count, 1, 8, 0)
    t.accepted(f"MAP of {count}", dev.ioctl, abi.MAP_GRANT_REF, address)
    t.expect(dev.map_any(), count * PAGE, "next index")


@case("map.result-not-writable", ["M6"], "MAP is EFAULT when the result cannot be written")
def result_not_writable(t: Context) -> None:
    """A wrong kernel reports success for an index that nobody has got."""
    dev = t.gntdev()
    address = t.read_only(abi.pack_map([(1, 8)]))
    t.refused("EFAULT", "MAP in a read-only page", dev.ioctl, abi.MAP_GRANT_REF, address)
    # The newest kernels remove the map again, others keep it until close.
    t.expect_either(dev.map_any(), (0, PAGE), "next index", "K23")


@case(
    "map.index-multiple-of-page",
    ["M7"],
    "MAP returns a page-aligned index and keeps the other fields",
)
def index_written(t: Context) -> None:
    """A wrong kernel writes over pad or the first reference."""
    dev = t.gntdev()
    dev.map_any(3)
    at = dev.ioctl(abi.MAP_GRANT_REF, abi.pack_map([(5, 77), (6, 78)], pad=0x11223344))
    t.expect(t.worker.u64(at + 8), 3 * PAGE, "index")
    t.expect(t.worker.u32(at), 2, "count")
    t.expect(hex(t.worker.u32(at + 4)), "0x11223344", "pad")
    t.expect((t.worker.u32(at + 16), t.worker.u32(at + 20)), (5, 77), "first reference")
    t.expect((t.worker.u32(at + 24), t.worker.u32(at + 28)), (6, 78), "second reference")


@case("map.bad-domain-undetected", ["M7"], "MAP does not look at the domain")
def bad_domain(t: Context) -> None:
    """A wrong kernel maps in the ioctl and refuses here what mmap has to refuse."""
    dev = t.gntdev()
    t.expect(t.accepted("MAP of domain 32000", dev.map, [8], 32000), 0, "index")


@case("map.bad-reference-undetected", ["M7"], "MAP does not look at the references")
def bad_reference(t: Context) -> None:
    """A wrong kernel maps in the ioctl and refuses here what mmap has to refuse."""
    dev = t.gntdev()
    t.expect(t.accepted("MAP of reference 2^32-1", dev.map, [0xFFFFFFFF], 1), 0, "index")


@case("map.no-hypercall-yet", ["M7"], "MAP leaves the grant alone until mmap")
def no_hypercall(t: Context) -> None:
    """A wrong kernel maps in the ioctl: the granter sees it in use."""
    dev = t.gntdev()
    ref = t.peer.grant(0)
    index = dev.map([ref])
    t.expect(t.peer.state(ref), "not mapped", "entry after MAP")
    dev.mmap(1, index)
    t.expect(t.peer.state(ref), "mapped rw", "entry after mmap")


@case("map.domain-truncated", ["M7"], "the domain is silently cut to 16 bits")
def domain_truncated(t: Context) -> None:
    """A wrong kernel refuses the high bits or passes them on."""
    dev = t.gntdev()
    ref = t.peer.grant(0)
    index = t.accepted("MAP", dev.map, [ref], t.peer.domid | 0x10000)
    t.accepted("mmap", dev.mmap, 1, index)
    t.expect(t.peer.state(ref), "mapped rw", "entry after mmap")


@case("map.same-reference-in-request", ["M8"], "one reference twice in one request is mapped twice")
def same_in_request(t: Context) -> None:
    """A wrong kernel refuses the second one."""
    dev = t.gntdev()
    ref = t.peer.grant(0)
    index = t.accepted("MAP", dev.map, [ref, ref])
    address = t.accepted("mmap", dev.mmap, 2, index)
    t.worker.poke(address, b"both")
    t.expect(t.worker.peek(address + PAGE, 4), b"both", "the second mapping of the page")


@case("map.same-reference-in-requests", ["M8"], "one reference in two requests is mapped twice")
def same_in_requests(t: Context) -> None:
    """A wrong kernel refuses the second one, or unmaps both with the first."""
    dev = t.gntdev()
    ref = t.peer.grant(0)
    first, second = dev.map([ref]), dev.map([ref])
    a, b = dev.mmap(1, first), t.accepted("second mmap", dev.mmap, 1, second)
    t.worker.munmap(a)
    dev.unmap(first, 1)
    t.expect(t.peer.state(ref), "mapped rw", "entry, one mapping is left")
    t.expect(t.attempt(t.worker.poke, b, b"x"), "ok", "access to the one that is left")
    t.worker.munmap(b)
    dev.unmap(second, 1)
    t.expect(t.peer.state(ref), "not mapped", "entry at the end")


@case("map.same-reference-two-files", ["M8"], "one reference in two files is mapped twice")
def same_two_files(t: Context) -> None:
    """A wrong kernel keeps one table of references for all files."""
    one, two = t.gntdev(), t.gntdev()
    ref = t.peer.grant(0)
    a, b = one.mmap(1, one.map([ref])), t.accepted("mmap", two.mmap, 1, two.map([ref]))
    t.worker.poke(a, b"same page")
    t.expect(t.worker.peek(b, 9), b"same page", "through the other file")


@case("map.many-maps", ["M9"], "the number of maps of a file is not limited")
def many_maps(t: Context) -> None:
    """A wrong kernel has a small fixed table."""
    dev = t.gntdev()
    wanted = [n * PAGE for n in range(40)]
    t.expect([dev.map_any() for _ in wanted] == wanted, True, "40 maps, packed")


@case("index.fresh-file", ["M7"], "the first index of a file is 0")
def fresh_file(t: Context) -> None:
    """A wrong kernel starts elsewhere (FreeBSD's base driver: at the top)."""
    t.expect(t.gntdev().map_any(), 0, "first index")


@case("index.packed", ["M7"], "each index is the sum of the earlier counts")
def packed(t: Context) -> None:
    """A wrong kernel rounds sizes or leaves gaps."""
    dev = t.gntdev()
    t.expect([dev.map_any(n) // PAGE for n in (1, 3, 2, 5)], [0, 1, 4, 6], "page indices")


@case("index.last-reused", ["M7"], "after UNMAP of the last map its index comes again")
def last_reused(t: Context) -> None:
    """A wrong kernel counts upwards for ever."""
    dev = t.gntdev()
    dev.map_any(2)
    last = dev.map_any(2)
    dev.unmap(last, 2)
    t.expect(dev.map_any(7) // PAGE, 2, "page index")


def _hole(dev: Gntdev, count: int) -> None:
    """Leaves a hole of this size at page 1, between two maps of a page."""
    dev.map_any(1)
    hole = dev.map_any(count)
    dev.map_any(1)
    dev.unmap(hole, count)


@case("index.exact-hole-skipped", ["M7"], "a hole of exactly the size is not used")
def exact_hole(t: Context) -> None:
    """A wrong kernel compares with <= : Linux needs one page more than asked for."""
    dev = t.gntdev()
    _hole(dev, 2)
    t.expect(dev.map_any(2) // PAGE, 4, "page index of a request as large as the hole")


@case("index.larger-hole-used", ["M7"], "a larger hole is used from its low end")
def larger_hole(t: Context) -> None:
    """A wrong kernel takes the high end, or the end of the list."""
    dev = t.gntdev()
    _hole(dev, 4)
    t.expect(dev.map_any(2) // PAGE, 1, "first request into the hole")
    t.expect(dev.map_any(1) // PAGE, 3, "second request into the hole")
    t.expect(dev.map_any(1) // PAGE, 6, "what is left has exactly the size: not used")


@case("index.first-hole-wins", ["M7"], "of several holes the first that is large enough is used")
def first_hole(t: Context) -> None:
    """A wrong kernel looks for the best fit, or from the end."""
    dev = t.gntdev()
    spans = [dev.map_any(n) for n in (3, 1, 5, 1, 3, 1)]
    for at, count in ((0, 3), (2, 5), (4, 3)):
        dev.unmap(spans[at], count)
    t.expect(dev.map_any(3) // PAGE, 4, "3 pages: the hole of 5, not that of exactly 3")
    t.expect(dev.map_any(2) // PAGE, 0, "2 pages: the first hole")


@case(
    "index.exact-holes-before-larger",
    ["M7"],
    "holes of exactly the size are passed over for a larger one",
)
def exact_before_larger(t: Context) -> None:
    """A wrong kernel takes an exact hole that its search happens to meet first."""
    for larger in (1, 4):
        dev = t.gntdev()
        sizes = [5 if n == larger else 2 for n in range(5)]
        holes = []
        for size in sizes:
            holes.append((dev.map_any(size), size))
            dev.map_any(1)
        for index, size in holes:
            dev.unmap(index, size)
        t.expect(dev.map_any(2), holes[larger][0], f"2 pages, hole {larger} of 5 is larger")


def _first_fit(spans: list[tuple[int, int]], count: int) -> int:
    """Linux's walk of its sorted list: a hole must be larger than the request."""
    candidate = 0
    for start, length in spans:
        if candidate + count < start:
            break
        candidate = start + length
    return candidate


@case(
    "index.random-sequence", ["M7"], "a long random sequence of MAP and UNMAP gives Linux's indices"
)
def random_sequence(t: Context) -> None:
    """A wrong kernel passes the cases above and fails in a crowded file."""
    chance = random.Random(4711)
    dev = t.gntdev()
    spans: list[tuple[int, int]] = []
    for step in range(70):
        if spans and chance.random() < 0.4:
            start, count = spans.pop(chance.randrange(len(spans)))
            dev.unmap(start * PAGE, count)
            continue
        count = chance.randint(1, 6)
        wanted = _first_fit(spans, count)
        index = dev.map_any(count) // PAGE
        if index != wanted:
            t.expect(index, wanted, f"step {step}: {count} pages among {spans}")
            return
        spans.append((wanted, count))
        spans.sort()
    t.expect(len(spans) > 10, True, "many maps at the end")


@case("index.hole-at-start", ["M7"], "a hole at the start of the file is used like any other")
def hole_at_start(t: Context) -> None:
    """A wrong kernel never looks before the first map."""
    dev = t.gntdev()
    dev.map_any(3)
    dev.map_any(1)
    dev.unmap(0, 3)
    t.expect(dev.map_any(3) // PAGE, 4, "3 pages: exactly the hole, not used")
    t.expect(dev.map_any(2) // PAGE, 0, "2 pages: the start")


@case("index.empty-starts-over", ["M7"], "without any map the file starts at 0 again")
def empty_starts_over(t: Context) -> None:
    """A wrong kernel remembers the last index."""
    dev = t.gntdev()
    indices = [dev.map_any(2) for _ in range(3)]
    for index in indices:
        dev.unmap(index, 2)
    t.expect(dev.map_any() // PAGE, 0, "page index")


@case("index.per-file", ["M7"], "each open file has its own indices")
def per_file(t: Context) -> None:
    """A wrong kernel numbers over the whole device."""
    one, two = t.gntdev(), t.gntdev()
    t.expect(one.map_any(3), 0, "first file")
    t.expect(two.map_any(2), 0, "second file")
    t.expect(one.map_any() // PAGE, 3, "first file again")
    t.expect(two.map_any() // PAGE, 2, "second file again")
