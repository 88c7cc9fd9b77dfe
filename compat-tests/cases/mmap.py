# SPDX-License-Identifier: BSD-2-Clause
"""mmap of gntdev, and what Xen refuses."""

from __future__ import annotations

from agent.client import PAGE

from . import abi
from .framework import Context, case, section

section("gntdev mmap", 30)

READONLY = abi.GTF_PERMIT | abi.GTF_READONLY
# Beyond 32 bits of page index: Linux truncates the number to an int.
HIGH = 1 << 44


@case("mmap.length-zero", ["P1"], "mmap of no bytes is EINVAL")
def length_zero(t: Context) -> None:
    """A wrong kernel rounds 0 up, or uses up the map's only mmap."""
    dev = t.gntdev()
    index = dev.map([t.peer.grant(0)])
    t.refused("EINVAL", "length 0", t.worker.mmap, dev.fd, 0, index, diff={"K25": "ok"})
    t.accepted("mmap afterwards", dev.mmap, 1, index)


@case("mmap.offset-unaligned", ["P2"], "an unaligned offset is EINVAL")
def offset_unaligned(t: Context) -> None:
    """A wrong kernel rounds the offset down and maps something else than asked for."""
    dev = t.gntdev()
    index = dev.map(t.peer.grants(2))
    # FreeBSD rounds the offset down and extends the length, which is then that of the map.
    t.refused("EINVAL", "offset + 1", t.worker.mmap, dev.fd, PAGE, index + 1, diff={"K3": "ok"})


@case(
    "mmap.offset-unaligned-one-page", ["P2"], "an unaligned offset into a map of one page is EINVAL"
)
def offset_unaligned_one(t: Context) -> None:
    """A wrong kernel maps a page at an address that carries the remainder."""
    dev = t.gntdev()
    index = dev.map([t.peer.grant(0)])
    t.refused("EINVAL", "offset + 0x800", dev.mmap, 1, index + 0x800)


def _wronly_cases() -> None:
    for prot in ("r", "w", "none"):

        def refused(t: Context, prot: str = prot) -> None:
            """A wrong kernel maps readable memory through a descriptor that cannot read."""
            dev = t.gntdev("wronly")
            index = dev.map([t.peer.grant(0)])
            t.refused("EACCES", f"mmap {prot}", dev.mmap, 1, index, prot)

        case(f"mmap.wronly-{prot}", ["P3"], f"mmap ({prot}) of a write-only descriptor is EACCES")(
            refused
        )


_wronly_cases()


@case("mmap.rdonly-write", ["P4"], "a shared writable mmap of a read-only descriptor is EACCES")
def rdonly_write(t: Context) -> None:
    """A wrong kernel lets a read-only descriptor write to the granter."""
    dev = t.gntdev("rdonly")
    index = dev.map([t.peer.grant(0)])
    t.refused("EACCES", "mmap rw", dev.mmap, 1, index)
    t.accepted("mmap r afterwards", dev.mmap, 1, index, "r")


@case("mmap.rdonly-read", ["P5"], "a shared read-only mmap of a read-only descriptor works")
def rdonly_read(t: Context) -> None:
    """A wrong kernel refuses it, or maps the grant writable."""
    dev = t.gntdev("rdonly")
    t.peer.write(0, 0, b"readable")
    ref = t.peer.grant(0)
    address = t.accepted("mmap r", dev.mmap, 1, dev.map([ref]), "r")
    t.expect(t.peer.state(ref), "mapped ro", "entry")
    t.expect(t.worker.peek(address, 8), b"readable", "page")


@case("mmap.rdonly-mprotect", ["P5"], "mprotect cannot make that mapping writable")
def rdonly_mprotect(t: Context) -> None:
    """A wrong kernel hands out write access through mprotect."""
    dev = t.gntdev("rdonly")
    address = dev.mmap(1, dev.map([t.peer.grant(0)]), "r")
    t.refused("EACCES", "mprotect rw", t.worker.mprotect, address, PAGE, "rw")


@case("mmap.private-write", ["P6"], "a private writable mmap is EINVAL")
def private_write(t: Context) -> None:
    """A wrong kernel makes a copy that the granter never sees."""
    dev = t.gntdev()
    index = dev.map([t.peer.grant(0)])
    # FreeBSD's generic layer allows write access only to shared mappings.
    t.refused("EINVAL", "private rw", dev.mmap, 1, index, "rw", "private", diff={"K2": "EACCES"})


@case(
    "mmap.private-write-keeps-map", ["P6", "P10"], "a refused private mmap does not use up the map"
)
def private_keeps(t: Context) -> None:
    """A wrong kernel marks the map as used before it checks the flags."""
    dev = t.gntdev()
    index = dev.map([t.peer.grant(0)])
    t.attempt(dev.mmap, 1, index, "rw", "private")
    t.accepted("shared mmap afterwards", dev.mmap, 1, index)


@case("mmap.own-grant", ["P14"], "mmap of a grant of one's own domain is EINVAL", ["own_grant"])
def own_grant(t: Context) -> None:
    """A wrong kernel asks Xen, which takes the page behind the placeholder away (K17)."""
    _, refs = t.gntalloc().alloc()
    for domid in (0, abi.DOMID_SELF):
        dev = t.gntdev()
        index = dev.map(refs, domid)
        t.refused("EINVAL", f"mmap of a grant of domain 0x{domid:x}", dev.mmap, 1, index)
        t.accepted("UNMAP", dev.unmap, index, 1)


@case("mmap.neither-flag", ["P7"], "mmap neither shared nor private is EINVAL")
def neither(t: Context) -> None:
    """A wrong kernel takes one of the two for granted (K6: FreeBSD's generic layer checks it)."""
    dev = t.gntdev()
    index = dev.map(t.peer.grants(1))
    t.refused("EINVAL", "mmap without a flag", dev.mmap, 1, index, "r", "none")
    t.accepted("shared mmap afterwards", dev.mmap, 1, index, "r")


@case("mmap.private-read", ["P7"], "a private read-only mmap is a read-only grant mapping")
def private_read(t: Context) -> None:
    """A wrong kernel refuses it, or copies the page: later changes stay unseen."""
    dev = t.gntdev()
    ref = t.peer.grant(0)
    index = dev.map([ref])
    t.refused("ok", "private r", dev.mmap, 1, index, "r", "private", diff={"K2": "EINVAL"})
    t.expect(t.peer.state(ref), "mapped ro", "entry", {"K2": "not mapped"})


@case(
    "mmap.private-read-follows", ["P7"], "a private read-only mmap shows the granter's later writes"
)
def private_follows(t: Context) -> None:
    """A wrong kernel maps a copy."""
    dev = t.gntdev()
    index = dev.map([t.peer.grant(0)])
    if "K2" in t.target.differences:
        t.refused("ok", "private r", dev.mmap, 1, index, "r", "private", diff={"K2": "EINVAL"})
        return
    address = t.accepted("private r", dev.mmap, 1, index, "r", "private")
    t.peer.write(0, 0, b"written later")
    t.expect(t.worker.peek(address, 13), b"written later", "page")


@case("mmap.no-such-index", ["P8"], "mmap at an offset without a map is EINVAL")
def no_such_index(t: Context) -> None:
    """A wrong kernel answers as gntalloc does (ENOENT), or maps something."""
    dev = t.gntdev()
    t.refused("EINVAL", "empty file", dev.mmap, 1, 0)
    dev.map_any()
    t.refused("EINVAL", "behind the last map", dev.mmap, 1, PAGE)


@case("mmap.inside-map", ["P8"], "mmap at an offset inside a map is EINVAL")
def inside_map(t: Context) -> None:
    """A wrong kernel finds the map that contains the offset."""
    dev = t.gntdev()
    index = dev.map(t.peer.grants(3))
    t.refused("EINVAL", "second page, 1 page", dev.mmap, 1, index + PAGE)
    t.refused("EINVAL", "second page, 3 pages", dev.mmap, 3, index + PAGE)
    t.accepted("mmap at the start", dev.mmap, 3, index)


@case("mmap.index-of-other-file", ["P8"], "mmap does not find maps of another file")
def other_file(t: Context) -> None:
    """A wrong kernel looks up over all files."""
    one, two = t.gntdev(), t.gntdev()
    index = one.map([t.peer.grant(0)])
    t.refused("EINVAL", "through the other file", two.mmap, 1, index)


@case("mmap.index-truncated", ["P8"], "the page index is cut to 32 bits before the comparison")
def index_truncated(t: Context) -> None:
    """Linux compares ints; a kernel that compares 64 bits differs (K12), which hurts nobody."""
    dev = t.gntdev()
    index = dev.map([t.peer.grant(0)])
    seen = t.attempt(dev.mmap, 1, index + HIGH)
    t.expect(seen, "ok", "offset + 2^44", {"K12": "EINVAL"})


@case("mmap.too-short", ["P9"], "mmap of fewer pages than the map has is EINVAL")
def too_short(t: Context) -> None:
    """A wrong kernel maps a part and loses track of the rest."""
    dev = t.gntdev()
    index = dev.map(t.peer.grants(3))
    t.refused("EINVAL", "2 of 3 pages", dev.mmap, 2, index)


@case("mmap.too-long", ["P9"], "mmap of more pages than the map has is EINVAL")
def too_long(t: Context) -> None:
    """A wrong kernel maps what lies behind."""
    dev = t.gntdev()
    index = dev.map(t.peer.grants(2))
    dev.map([t.peer.grant(2)])
    t.refused("EINVAL", "3 pages of a map of 2", dev.mmap, 3, index)


@case("mmap.length-rounded-up", ["P9"], "the length is rounded up to pages before the comparison")
def length_rounded(t: Context) -> None:
    """A wrong kernel compares bytes."""
    dev = t.gntdev()
    index = dev.map(t.peer.grants(2))
    t.accepted("4097 bytes of a map of 2 pages", t.worker.mmap, dev.fd, PAGE + 1, index)


@case("mmap.wrong-length-keeps-map", ["P9", "P10"], "a refused length does not use up the map")
def wrong_length_keeps(t: Context) -> None:
    """A wrong kernel marks the map as used before it checks the length."""
    dev = t.gntdev()
    index = dev.map(t.peer.grants(2))
    t.attempt(dev.mmap, 1, index)
    t.attempt(dev.mmap, 3, index)
    t.accepted("mmap of the right length", dev.mmap, 2, index)


@case("mmap.twice", ["P10"], "a second mmap of a mapped map is EINVAL")
def twice(t: Context) -> None:
    """A wrong kernel shares the grants, or maps the slots again, which kills the domain."""
    dev, index, _, _ = t.mapped()
    t.refused("EINVAL", "second mmap", dev.mmap, 1, index)
    t.refused("EINVAL", "second mmap, read-only", dev.mmap, 1, index, "r")


@case("mmap.again-after-munmap", ["P10"], "mmap after munmap without UNMAP is EINVAL")
def again_after_munmap(t: Context) -> None:
    """A wrong kernel (Linux before 6.1) forgets that the map was used."""
    dev, index, address, _ = t.mapped()
    t.worker.munmap(address)
    t.refused("EINVAL", "mmap after munmap", dev.mmap, 1, index)


@case("mmap.again-after-failure", ["P10", "P14"], "mmap after one that Xen refused is EINVAL")
def again_after_failure(t: Context) -> None:
    """A wrong kernel maps the slots of the successful half once more."""
    dev = t.gntdev()
    ref = t.peer.grant(0, flags=0)
    index = dev.map([ref])
    t.refused("EINVAL", "mmap of an entry that permits nothing", dev.mmap, 1, index)
    t.peer.set_flags(ref, abi.GTF_PERMIT)
    t.refused("EINVAL", "mmap once it does", dev.mmap, 1, index)
    t.expect(t.peer.state(ref), "not mapped", "entry")


@case("mmap.entry-rw", ["P12"], "a writable mmap maps the grant for reading and writing")
def entry_rw(t: Context) -> None:
    """A wrong kernel asks Xen for another access than the mapping needs."""
    _, _, _, refs = t.mapped()
    t.expect(t.peer.state(refs[0]), "mapped rw", "entry")


@case("mmap.entry-write-only", ["P12"], "a write-only mmap maps the grant for reading and writing")
def entry_w(t: Context) -> None:
    """A wrong kernel takes the missing PROT_READ for read-only."""
    _, _, _, refs = t.mapped(prot="w")
    t.expect(t.peer.state(refs[0]), "mapped rw", "entry")


@case("mmap.entry-read-only", ["P12"], "a read-only mmap maps the grant read-only")
def entry_ro(t: Context) -> None:
    """A wrong kernel takes write access that the caller did not ask for."""
    _, _, address, refs = t.mapped(prot="r")
    t.expect(t.peer.state(refs[0]), "mapped ro", "entry")
    t.refused("SIGSEGV", "store", t.worker.poke, address, b"x")


@case("mmap.entry-none", ["P12"], "an mmap without access maps the grant read-only")
def entry_none(t: Context) -> None:
    """A wrong kernel maps it writable, or not at all."""
    _, _, address, refs = t.mapped(prot="none")
    t.expect(t.peer.state(refs[0]), "mapped ro", "entry")
    # On PV, Xen writes the page-table entry and makes it readable for user space.
    t.refused("SIGSEGV", "load", t.worker.peek, address, 8, diff={"K7": "ok"})
    t.refused("SIGSEGV", "store", t.worker.poke, address, b"x")


@case("mmap.read-only-grant", ["P12", "2.15"], "a read-only mmap of a read-only grant works")
def read_only_grant(t: Context) -> None:
    """A wrong kernel always asks for write access and is refused by Xen."""
    dev = t.gntdev()
    t.peer.write(0, 0, b"look")
    ref = t.peer.grant(0, READONLY)
    address = t.accepted("mmap r", dev.mmap, 1, dev.map([ref]), "r")
    t.expect(t.worker.peek(address, 4), b"look", "page")


@case(
    "mmap.write-to-read-only-grant",
    ["P14", "2.15"],
    "a writable mmap of a read-only grant is EINVAL",
)
def write_read_only_grant(t: Context) -> None:
    """A wrong kernel answers EACCES or maps it read-only."""
    dev = t.gntdev()
    ref = t.peer.grant(0, READONLY)
    t.refused("EINVAL", "mmap rw", dev.mmap, 1, dev.map([ref]))
    t.expect(t.peer.state(ref), "not mapped", "entry")


@case("mmap.entry-not-granted", ["P14", "2.15"], "mmap of an entry that is not in use is EINVAL")
def not_granted(t: Context) -> None:
    """A wrong kernel overlooks the status of the operation and maps nothing."""
    dev = t.gntdev()
    t.refused("EINVAL", "mmap", dev.mmap, 1, dev.map([t.peer.unused_ref()]))


@case(
    "mmap.reference-out-of-table", ["P14", "2.15"], "mmap of a reference beyond the table is EINVAL"
)
def out_of_table(t: Context) -> None:
    """A wrong kernel gives each grant error its own errno."""
    dev = t.gntdev()
    t.refused("EINVAL", "first beyond", dev.mmap, 1, dev.map([t.peer.entries]))
    t.refused("EINVAL", "2^32-1", dev.mmap, 1, dev.map([0xFFFFFFFF]))


@case("mmap.no-such-domain", ["P14", "2.15"], "mmap of a grant of no domain is EINVAL")
def no_such_domain(t: Context) -> None:
    """A wrong kernel gives each grant error its own errno (ESRCH, ENOENT)."""
    dev = t.gntdev()
    t.refused("EINVAL", "domain 32000", dev.mmap, 1, dev.map([8], 32000))


@case("mmap.other-grantee", ["P14", "2.15"], "mmap of a grant made to another domain is EINVAL")
def other_grantee(t: Context) -> None:
    """A wrong kernel answers EPERM or EACCES."""
    dev = t.gntdev()
    ref = t.peer.grant(0, domid=5)
    t.refused("EINVAL", "mmap", dev.mmap, 1, dev.map([ref]))
    t.expect(t.peer.state(ref), "not mapped", "entry")


@case(
    "mmap.granter-gone",
    ["P14", "2.15"],
    "mmap of a grant of a destroyed domain is EINVAL",
    needs=["peer"],
)
def granter_gone(t: Context) -> None:
    """A wrong kernel trusts what was true when the map was made."""
    dev = t.gntdev()
    index = dev.map([t.peer.grant(0)])
    t.peer.destroy()
    t.refused("EINVAL", "mmap", dev.mmap, 1, index)


@case(
    "mmap.partial-failure-until-unmap",
    ["P14"],
    "what was mapped before a failure stays until UNMAP",
)
def partial_unmap(t: Context) -> None:
    """A wrong kernel leaks the good half for ever, or reports success."""
    dev = t.gntdev()
    good = t.peer.grant(0)
    index = dev.map([good, t.peer.unused_ref()])
    t.refused("EINVAL", "mmap of a good and a bad reference", dev.mmap, 2, index)
    t.expect(
        t.peer.state(good), "mapped rw", "the good one after the failure", {"K7": "not mapped"}
    )
    t.accepted("UNMAP", dev.unmap, index, 2)
    t.expect(t.peer.state(good), "not mapped", "the good one after UNMAP")


@case(
    "mmap.partial-failure-until-close",
    ["P14", "O8"],
    "what was mapped before a failure stays until close",
)
def partial_close(t: Context) -> None:
    """A wrong kernel unmaps at close only what mmap reported as mapped."""
    dev = t.gntdev()
    refs = [t.peer.grant(0), t.peer.unused_ref(), t.peer.grant(1)]
    t.refused("EINVAL", "mmap with a bad one in the middle", dev.mmap, 3, dev.map(refs))
    good = [refs[0], refs[2]]
    t.expect(
        t.peer.states(good),
        ["mapped rw"] * 2,
        "the good ones after the failure",
        {"K7": ["not mapped"] * 2},
    )
    dev.close()
    t.expect(t.peer.states(good), ["not mapped"] * 2, "after close")


@case(
    "mmap.pin-overflow",
    ["P14", "2.15"],
    "300 mappings of one grant are more than Xen counts: EINVAL",
)
def pin_overflow(t: Context) -> None:
    """A wrong kernel overlooks that the last of many operations failed."""
    dev = t.gntdev()
    ref = t.peer.grant(0)
    index = dev.map([ref] * 300)
    t.refused("EINVAL", "mmap", dev.mmap, 300, index)
    t.accepted("UNMAP", dev.unmap, index, 300)
    t.expect(t.peer.state(ref), "not mapped", "entry after UNMAP")


@case(
    "mmap.failure-leaves-no-mapping", ["P14"], "a refused mmap leaves the address space as it was"
)
def failure_no_mapping(t: Context) -> None:
    """A wrong kernel returns an error and leaves pages behind at a fixed address."""
    dev = t.gntdev()
    index = dev.map([t.peer.unused_ref()])
    address = t.worker.alloc()
    t.worker.munmap(address)
    t.refused("EINVAL", "mmap", dev.mmap, 1, index, "rw", "shared+fixed", address)
    t.refused("SIGSEGV", "access", t.worker.peek, address, 1)


@case("mmap.eager", ["P16"], "mmap maps the grants at once, not at the first touch")
def eager(t: Context) -> None:
    """A wrong kernel maps on fault: the granter sees nothing until then."""
    _, _, _, refs = t.mapped(4)
    t.expect(t.peer.states(refs), ["mapped rw"] * 4, "entries, nothing touched")


@case("mmap.page-order", ["P16"], "the pages appear in the order of the references")
def page_order(t: Context) -> None:
    """A wrong kernel mixes up slots and pages."""
    dev = t.gntdev()
    count = 8
    for page in range(count):
        t.peer.write(page, 0, bytes([0x40 + page]) * 4)
    refs = t.peer.grants(count)
    address = dev.mmap(count, dev.map(list(reversed(refs))))
    seen = b"".join(t.worker.peek(address + n * PAGE, 1) for n in range(count))
    t.expect(seen, bytes(0x40 + page for page in reversed(range(count))), "first bytes")


@case(
    "mmap.stores-reach-granter",
    ["P16"],
    "stores reach the granter's page, and its stores come back",
)
def stores_reach(t: Context) -> None:
    """A wrong kernel maps a copy or another page."""
    _, _, address, _ = t.mapped(2)
    t.worker.poke(address + PAGE + 100, b"to the granter")
    t.expect(t.peer.read(1, 100, 14), b"to the granter", "page seen by the granter")
    t.peer.write(0, 4000, b"from the granter")
    t.expect(t.worker.peek(address + 4000, 16), b"from the granter", "page seen here")


@case("mmap.whole-page", ["P16"], "every byte of a mapped page is the granter's")
def whole_page(t: Context) -> None:
    """A wrong kernel maps with a shifted frame or a short length."""
    _, _, address, _ = t.mapped(1)
    t.worker.fill(address, PAGE, 0xA5)
    t.expect(t.peer.read(0, 0, 8), b"\xa5" * 8, "first bytes")
    t.expect(t.peer.read(0, PAGE - 8, 8), b"\xa5" * 8, "last bytes")


@case("mmap.large-map", ["P16"], "a map of 600 grants is mapped whole")
def large_map(t: Context) -> None:
    """A wrong kernel handles one batch and forgets the rest."""
    dev = t.gntdev()
    # Few of each: Xen counts the mappings of one entry in a few bits.
    refs = t.peer.grants(60)
    count = 10 * len(refs)
    index = dev.map(refs * 10)
    address = t.accepted(f"mmap of {count} pages", dev.mmap, count, index)
    t.worker.poke(address + 300 * PAGE, b"first")
    t.expect(t.worker.peek(address + 540 * PAGE, 5), b"first", "another mapping of that page")
    t.worker.poke(address + (count - 1) * PAGE, b"last")
    t.expect(t.peer.read(59, 0, 4), b"last", "last page")
    t.worker.munmap(address, count * PAGE)
    dev.unmap(index, count)
    t.expect(set(t.peer.states(refs)), {"not mapped"}, "entries at the end")


@case("mmap.vma-flags", ["P16", "V9"], "the mapping is neither grown nor dumped", needs=["smaps"])
def vma_flags(t: Context) -> None:
    """A wrong kernel writes another domain's memory into core files."""
    _, _, address, _ = t.mapped()
    text = t.worker.readfile("/proc/self/smaps")
    flags: set[str] = set()
    inside = False
    for line in text.splitlines():
        if line[:1] in "0123456789abcdef" and "-" in line.split(" ")[0]:
            inside = line.startswith(f"{address:08x}-")
        elif inside and line.startswith("VmFlags:"):
            flags = set(line.split()[1:])
    t.expect("de" in flags, True, "VM_DONTEXPAND")
    t.expect("dd" in flags, True, "VM_DONTDUMP")
    t.expect("dc" in flags, False, "VM_DONTCOPY", {"K7": True})


@case("mmap.fixed-over-memory", ["P17"], "MAP_FIXED replaces ordinary memory")
def fixed_over_memory(t: Context) -> None:
    """A wrong kernel maps elsewhere or keeps the old pages."""
    dev = t.gntdev()
    t.peer.write(0, 0, b"granted")
    address = t.worker.alloc(3 * PAGE)
    t.worker.fill(address, 3 * PAGE, 0x11)
    index = dev.map([t.peer.grant(0)])
    at = t.accepted("mmap", dev.mmap, 1, index, "rw", "shared+fixed", address + PAGE)
    t.expect(at == address + PAGE, True, "at the address asked for")
    t.expect(t.worker.peek(address + PAGE, 7), b"granted", "page")
    t.expect(t.worker.peek(address + 2 * PAGE, 2), b"\x11\x11", "the page behind")


@case("mmap.fixed-over-mapping", ["P17", "V1"], "MAP_FIXED over a grant mapping drops that one")
def fixed_over_mapping(t: Context) -> None:
    """A wrong kernel keeps the old grant in use, or unmaps the new one."""
    dev, first, address, refs = t.mapped()
    second_ref = t.peer.grant(1)
    second = dev.map([second_ref])
    dev.unmap(first, 1)
    t.accepted("mmap", dev.mmap, 1, second, "rw", "shared+fixed", address)
    t.expect(t.peer.state(refs[0]), "not mapped", "the replaced grant")
    t.expect(t.peer.state(second_ref), "mapped rw", "the new grant")


def _flag_cases() -> None:
    for flag in ("populate", "locked", "noreserve"):

        def accepted(t: Context, flag: str = flag) -> None:
            """A wrong kernel treats the flag specially and refuses or faults."""
            dev = t.gntdev()
            ref = t.peer.grant(0)
            address = t.accepted("mmap", dev.mmap, 1, dev.map([ref]), "rw", f"shared+{flag}")
            t.worker.poke(address, b"ok")
            t.expect(t.peer.read(0, 0, 2), b"ok", "page")

        case(
            f"mmap.flag-{flag}",
            ["P17"],
            f"MAP_{flag.upper()} changes nothing",
            needs=[f"map_{flag}"],
        )(accepted)


_flag_cases()


@case("mmap.executable", ["P17"], "PROT_EXEC is accepted")
def executable(t: Context) -> None:
    """A wrong kernel refuses executable mappings."""
    _, _, _, refs = t.mapped(prot="rx")
    t.expect(t.peer.state(refs[0]), "mapped ro", "entry")


@case("mmap.after-unmap-ioctl", ["P18"], "mmap at an index that was UNMAPed is EINVAL")
def after_unmap_ioctl(t: Context) -> None:
    """A wrong kernel finds the map, which still exists, through its mapping."""
    dev, index, address, _ = t.mapped()
    dev.unmap(index, 1)
    t.refused("EINVAL", "mmap while the old mapping lives", dev.mmap, 1, index)
    t.worker.munmap(address)
    t.refused("EINVAL", "mmap after munmap", dev.mmap, 1, index)
