# SPDX-License-Identifier: BSD-2-Clause
"""GET_OFFSET_FOR_VADDR: which index and count an address belongs to."""

from __future__ import annotations

from agent.client import PAGE

from . import abi
from .framework import Context, case, null_argument, section

section("gntdev GET_OFFSET_FOR_VADDR", 50)


null_argument("offset", "G1", "GET_OFFSET", "gntdev", abi.GET_OFFSET_FOR_VADDR)


@case(
    "offset.argument-cut-short", ["G1"], "GET_OFFSET is EFAULT when the struct is not all readable"
)
def argument_cut(t: Context) -> None:
    """A wrong kernel reads only the address, and finds out when it writes."""
    dev, _, address, _ = t.mapped()
    at = t.page_end(abi.OFFSET.pack(address, 0, 0, 0)[:16])
    t.refused("EFAULT", "16 of 24 bytes", dev.ioctl, abi.GET_OFFSET_FOR_VADDR, at)
    t.expect(t.worker.u64(at + 8), 0, "offset field")


@case("offset.ordinary-memory", ["G2"], "GET_OFFSET of ordinary memory is EINVAL")
def ordinary(t: Context) -> None:
    """A wrong kernel takes another object's handle for a map."""
    dev = t.gntdev()
    t.refused("EINVAL", "anonymous memory", dev.offset, t.worker.alloc())


@case("offset.above-everything", ["G2"], "GET_OFFSET above all mappings is EINVAL")
def above(t: Context) -> None:
    """A wrong kernel runs off the end of the address space."""
    dev = t.gntdev()
    t.refused("EINVAL", "address 2^64-1", dev.offset, (1 << 64) - 1)
    t.refused("EINVAL", "address 2^64-4096", dev.offset, (1 << 64) - PAGE)


@case("offset.gntalloc-mapping", ["G2"], "GET_OFFSET of a gntalloc mapping is EINVAL")
def gntalloc_mapping(t: Context) -> None:
    """A wrong kernel takes a page of the other device for its own."""
    alloc = t.gntalloc()
    index, _ = alloc.alloc()
    t.refused("EINVAL", "gntalloc's page", t.gntdev().offset, alloc.mmap(1, index))


@case("offset.start", ["G3"], "GET_OFFSET at the start: the map's index and count")
def start(t: Context) -> None:
    """A wrong kernel returns the offset of something else."""
    dev = t.gntdev()
    dev.map_any(2)
    _, index, address, _ = t.mapped(3, dev=dev)
    t.expect(index, 2 * PAGE, "index")
    t.expect(dev.offset(address), (2 * PAGE, 3), "offset and count")


@case("offset.any-page", ["G3"], "GET_OFFSET anywhere inside gives the start of the map")
def any_page(t: Context) -> None:
    """A wrong kernel adds the distance from the start."""
    dev = t.gntdev()
    dev.map_any(2)
    _, _, address, _ = t.mapped(3, dev=dev)
    for page in (1, 2):
        t.expect(dev.offset(address + page * PAGE), (2 * PAGE, 3), f"page {page}")


@case("offset.any-alignment", ["G3"], "GET_OFFSET takes any alignment")
def any_alignment(t: Context) -> None:
    """A wrong kernel refuses addresses within a page."""
    dev, _, address, _ = t.mapped(2)
    for byte in (1, 0x7FF, PAGE - 1, 2 * PAGE - 1):
        t.expect(dev.offset(address + byte), (0, 2), f"byte {byte}")


@case("offset.pad-untouched", ["G3"], "GET_OFFSET keeps the address and the pad")
def pad_untouched(t: Context) -> None:
    """A wrong kernel writes back less or other fields than Linux."""
    dev, _, address, _ = t.mapped()
    at = dev.ioctl(abi.GET_OFFSET_FOR_VADDR, abi.OFFSET.pack(address, 0, 0, 0x55667788))
    t.expect(t.worker.u64(at) == address, True, "vaddr kept")
    t.expect(hex(t.worker.u32(at + 20)), "0x55667788", "pad")


@case(
    "offset.read-only-mapping",
    ["G3"],
    "GET_OFFSET works on a read-only mapping and on one without access",
)
def read_only(t: Context) -> None:
    """A wrong kernel looks the page up as if to access it."""
    dev = t.gntdev()
    _, first, a, _ = t.mapped(1, "r", dev)
    _, second, b, _ = t.mapped(1, "none", dev)
    t.expect(dev.offset(a), (first, 1), "read-only")
    t.expect(dev.offset(b), (second, 1), "no access")


@case("offset.hole-below", ["G4"], "GET_OFFSET in the hole below a mapping finds that mapping")
def hole_below(t: Context) -> None:
    """A wrong kernel checks the lower bound, which Linux's find_vma does not."""
    dev = t.gntdev()
    index = dev.map([t.peer.grant(0)])
    base = t.worker.alloc(32 * PAGE)
    # Prepared before the hole exists, so that nothing else is placed in it.
    argument = t.argument(t.worker, abi.OFFSET.pack(base + 8 * PAGE, 0, 0, 0))
    t.worker.munmap(base, 32 * PAGE)
    dev.mmap(1, index, "rw", "shared+fixed", base + 16 * PAGE)
    t.accepted("GET_OFFSET in the hole", dev.ioctl, abi.GET_OFFSET_FOR_VADDR, argument)
    t.expect(
        (t.worker.u64(argument + 8), t.worker.u32(argument + 16)), (index, 1), "offset and count"
    )


@case("offset.other-descriptor", ["G5"], "GET_OFFSET works through any gntdev descriptor")
def other_descriptor(t: Context) -> None:
    """A wrong kernel searches only the maps of the descriptor."""
    _, index, address, _ = t.mapped(2)
    t.expect(t.gntdev().offset(address), (index, 2), "through another file")


@case("offset.other-thread", ["G3"], "GET_OFFSET works in every thread of the process")
def other_thread(t: Context) -> None:
    """A wrong kernel ties the mapping to the thread that made it."""
    dev, index, address, _ = t.mapped(2)
    thread = t.worker.thread()
    t.expect(dev.via(thread).offset(address + PAGE), (index, 2), "in another thread")


@case("offset.after-partial-munmap", ["G6"], "GET_OFFSET on what is left gives the full count")
def after_partial(t: Context) -> None:
    """A wrong kernel compares the size of the mapping with the map (FreeBSD's base driver)."""
    dev = t.gntdev()
    dev.map_any()
    _, index, address, _ = t.mapped(4, dev=dev)
    t.worker.munmap(address, PAGE)
    t.expect(dev.offset(address + PAGE), (index, 4), "first page gone")
    t.worker.munmap(address + 2 * PAGE, PAGE)
    t.expect(dev.offset(address + PAGE), (index, 4), "lower piece")
    t.expect(dev.offset(address + 3 * PAGE), (index, 4), "upper piece")


@case(
    "offset.after-mprotect-split",
    ["G6"],
    "GET_OFFSET on a mapping split by mprotect gives the full count",
)
def after_mprotect(t: Context) -> None:
    """A wrong kernel takes each piece for a mapping of its own."""
    dev, index, address, _ = t.mapped(3)
    t.worker.mprotect(address + PAGE, PAGE, "r")
    for page in range(3):
        t.expect(dev.offset(address + page * PAGE), (index, 3), f"page {page}")


@case("offset.after-unmap-ioctl", ["G7"], "GET_OFFSET after UNMAP still gives the old index")
def after_unmap(t: Context) -> None:
    """A wrong kernel looks in the list of the file, or gives the map that reused the index."""
    dev = t.gntdev()
    dev.map_any(2)
    _, index, address, _ = t.mapped(2, dev=dev)
    dev.unmap(index, 2)
    t.expect(dev.offset(address), (index, 2), "after UNMAP")
    t.expect(dev.map_any(5), index, "index reused")
    t.expect(dev.offset(address), (index, 2), "after the reuse")


@case(
    "offset.after-close", ["G7", "O9"], "GET_OFFSET works on a mapping whose descriptor is closed"
)
def after_close(t: Context) -> None:
    """A wrong kernel frees what the mapping still needs."""
    dev, index, address, _ = t.mapped(2)
    dev.close()
    t.expect(t.gntdev().offset(address), (index, 2), "after close")


@case("offset.after-munmap", ["G8"], "GET_OFFSET after munmap is EINVAL")
def after_munmap(t: Context) -> None:
    """A wrong kernel remembers addresses."""
    dev, _, address, _ = t.mapped(2)
    # Ordinary memory on both sides, so that the next mapping above is not a grant's.
    t.worker.munmap(address, 2 * PAGE)
    t.worker.mmap(-1, 2 * PAGE, 0, "rw", "private+anon+fixed", address)
    t.refused("EINVAL", "GET_OFFSET", dev.offset, address)


@case(
    "offset.in-child",
    ["G9", "V7"],
    "GET_OFFSET works in a forked child that inherited the mapping",
    needs=["fork"],
)
def in_child(t: Context) -> None:
    """A wrong kernel does not pass the mapping on, or ties it to the parent."""
    dev, index, address, _ = t.mapped(2)
    child = t.worker.fork()
    mine = dev.via(child)
    seen = t.attempt(mine.offset, address)
    t.expect(seen, "ok", "GET_OFFSET in the child", {"K7": "EINVAL"})
    if seen == "ok":
        t.expect(mine.offset(address), (index, 2), "offset and count")


@case(
    "offset.result-not-writable", ["G10"], "GET_OFFSET is EFAULT when the result cannot be written"
)
def not_writable(t: Context) -> None:
    """A wrong kernel reports success and nobody learns the offset."""
    dev, _, address, _ = t.mapped()
    at = t.read_only(abi.OFFSET.pack(address, 0, 0, 0))
    t.refused("EFAULT", "GET_OFFSET in a read-only page", dev.ioctl, abi.GET_OFFSET_FOR_VADDR, at)
