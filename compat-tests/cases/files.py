# SPDX-License-Identifier: BSD-2-Clause
"""Open, close and what all descriptors can do."""

from __future__ import annotations

from agent.client import PAGE

from . import abi
from .framework import Context, Gntalloc, Gntdev, Loop, case, section

section("Open, close, descriptors", 10)

MODULES = {"gntdev": "xen_gntdev", "gntalloc": "xen_gntalloc"}


def _open_cases(device: str, row: str) -> None:
    for mode in ("rdwr", "rdonly", "wronly"):

        def opens(t: Context, mode: str = mode) -> None:
            """A wrong kernel demands an access mode for the node."""
            fd = t.accepted(f"open {device} {mode}", t.worker.open, device, mode)
            t.accepted("close", t.worker.close, fd)

        case(f"open.{device}-{mode}", [row], f"{device} opens {mode}")(opens)

    def nonblock(t: Context) -> None:
        """A wrong kernel refuses O_NONBLOCK, which has no meaning here."""
        t.accepted("open with O_NONBLOCK", t.worker.open, device, "nonblock")

    case(f"open.{device}-nonblock", [row], f"{device} opens with O_NONBLOCK")(nonblock)

    def node(t: Context) -> None:
        """A wrong kernel offers something other than a character device for root only."""
        stat = t.worker.stat(device)
        t.expect(stat.type, "chr", "type of the node")
        t.expect(oct(stat.mode), "0o600", "mode of the node")
        t.expect(stat.uid, 0, "owner of the node")

    case(
        f"open.{device}-node",
        [row, "1.5"],
        f"{device} is a character device of mode 0600",
        needs=["node"],
    )(node)

    def reading(t: Context) -> None:
        """A wrong kernel has no read method and answers ENODEV, or returns data."""
        fd = t.worker.open(device)
        t.refused("EINVAL", "read", t.worker.read, fd, 16)

    case(f"file.{device}-read", ["O6"], f"read from {device} is EINVAL")(reading)

    def writing(t: Context) -> None:
        """A wrong kernel has no write method and answers ENODEV, or takes data."""
        fd = t.worker.open(device)
        t.refused("EINVAL", "write", t.worker.write, fd, b"x" * 16)

    case(f"file.{device}-write", ["O6"], f"write to {device} is EINVAL")(writing)

    def polling(t: Context) -> None:
        """A wrong kernel blocks poll or reports an error condition."""
        fd = t.worker.open(device)
        events = t.worker.poll(fd)
        t.expect({"in", "out"} <= events, True, "ready to read and to write")
        t.expect(sorted(events & {"err", "hup", "nval"}), [], "error events")

    case(f"file.{device}-poll", ["O6"], f"poll on {device} is always ready", needs=["poll"])(
        polling
    )

    def unknown(t: Context) -> None:
        """A wrong kernel answers EINVAL or ENOSYS, which callers take for something else."""
        fd = t.worker.open(device)
        address = t.worker.alloc()
        for number in (0x04, 0x0D, 0x63, 0xFF):
            word = 0x00104700 | number
            t.refused("ENOTTY", f"number {number}", t.worker.ioctl, fd, word, address)

    case(f"ioctl.{device}-unknown-number", ["O4"], f"unknown numbers on {device} are ENOTTY")(
        unknown
    )

    def busy(t: Context) -> None:
        """A wrong kernel unloads under an open file and crashes at its next use."""
        fd = t.worker.open(device)
        t.expect(t.worker.unload(MODULES[device]), False, "unload with an open file")
        t.accepted("close", t.worker.close, fd)

    case(
        f"module.{device}-busy-open",
        ["O13"],
        f"{device}'s module stays while a file is open",
        needs=["unload"],
    )(busy)


_open_cases("gntdev", "O1")
_open_cases("gntalloc", "O2")


def _mode_cases() -> None:
    for mode in ("rdonly", "wronly"):

        def gntdev(t: Context, mode: str = mode) -> None:
            """A wrong kernel asks for FREAD or FWRITE before it looks at the command."""
            dev = t.gntdev(mode)
            t.expect(t.accepted("MAP", dev.map_any), 0, "index")
            t.accepted("UNMAP", dev.unmap, 0, 1)

        case(f"ioctl.gntdev-{mode}", ["O3"], f"gntdev commands work on a {mode} descriptor")(gntdev)

        def gntalloc(t: Context, mode: str = mode) -> None:
            """A wrong kernel asks for FREAD or FWRITE before it looks at the command."""
            dev = t.gntalloc(mode)
            index, _ = t.accepted("ALLOC", dev.alloc)
            t.accepted("DEALLOC", dev.dealloc, index, 1)

        case(f"ioctl.gntalloc-{mode}", ["O3"], f"gntalloc commands work on a {mode} descriptor")(
            gntalloc
        )


_mode_cases()


@case(
    "ioctl.path-descriptor", ["O3"], "commands on an O_PATH descriptor are EBADF", needs=["o_path"]
)
def path_descriptor(t: Context) -> None:
    """A wrong kernel lets a descriptor without any access reach the driver."""
    dev = t.gntdev("path")
    t.refused("EBADF", "MAP", dev.map_any)


@case(
    "ioctl.wrong-size",
    ["O4"],
    "the right number with another size is ENOTTY",
    needs=["linux_words"],
)
def wrong_size(t: Context) -> None:
    """A wrong kernel switches on the number alone and reads a struct of another size."""
    dev = t.gntdev()
    for size in (0, 8, 16, 25, 32):
        word = size << 16 | 0x4700
        t.refused("ENOTTY", f"MAP with size {size}", dev.ioctl, word, abi.pack_map([(1, 8)]))
    t.expect(dev.map_any(), 0, "index afterwards")


@case(
    "ioctl.wrong-direction",
    ["O4"],
    "the right number with a direction is ENOTTY",
    needs=["linux_words"],
)
def wrong_direction(t: Context) -> None:
    """A wrong kernel ignores the direction bits, which are zero in this ABI."""
    dev = t.gntdev()
    for direction in (1, 2, 3):
        word = direction << 30 | abi.LINUX_WORDS[abi.MAP_GRANT_REF]
        t.refused(
            "ENOTTY", f"MAP with direction {direction}", dev.ioctl, word, abi.pack_map([(1, 8)])
        )


@case("ioctl.wrong-type", ["O4"], "the right number with another type byte is ENOTTY")
def wrong_type(t: Context) -> None:
    """A wrong kernel looks at the low byte only."""
    dev = t.gntdev()
    for letter in "gHF":
        word = 0x00180000 | ord(letter) << 8
        t.refused(
            "ENOTTY",
            f"type {letter}",
            dev.ioctl,
            word,
            abi.pack_map([(1, 8)]),
            diff={"K20": "EINVAL"},
        )


@case("ioctl.alloc-on-gntdev", ["O4"], "gntalloc's commands on gntdev are ENOTTY")
def alloc_on_gntdev(t: Context) -> None:
    """A wrong kernel serves both devices with one table, as FreeBSD's base driver does."""
    dev = t.gntdev()
    t.refused("ENOTTY", "ALLOC", dev.ioctl, abi.ALLOC_GREF, abi.ALLOC.pack(0, 1, 1, 0, 0))
    t.refused("ENOTTY", "DEALLOC", dev.ioctl, abi.DEALLOC_GREF, abi.DEALLOC.pack(0, 1))


@case("ioctl.map-on-gntalloc", ["O4"], "gntdev's commands on gntalloc are ENOTTY")
def map_on_gntalloc(t: Context) -> None:
    """A wrong kernel serves both devices with one table."""
    dev = t.gntalloc()
    t.refused("ENOTTY", "MAP", dev.ioctl, abi.MAP_GRANT_REF, abi.pack_map([(1, 8)]))
    t.refused("ENOTTY", "UNMAP", dev.ioctl, abi.UNMAP_GRANT_REF, abi.UNMAP.pack(0, 1, 0))
    t.refused("ENOTTY", "COPY", dev.ioctl, abi.GRANT_COPY, abi.COPY.pack(0, 0))


@case("ioctl.set-max-grants", ["O4", "X1"], "SET_MAX_GRANTS is ENOTTY")
def set_max_grants(t: Context) -> None:
    """A wrong kernel implements what no mainline Linux does; libxengnttab probes it."""
    dev = t.gntdev()
    t.refused("ENOTTY", "SET_MAX_GRANTS", dev.ioctl, abi.SET_MAX_GRANTS, b"\x10\0\0\0")


@case("ioctl.32-bit-process", ["O5"], "commands of a 32-bit process are ENOTTY", needs=["ioctl32"])
def compat(t: Context) -> None:
    """A wrong kernel reads LP64 structs from a process with other layouts."""
    dev = t.gntdev()
    for name in (abi.MAP_GRANT_REF, abi.UNMAP_GRANT_REF):
        request = f"ioctl32 {dev.fd} 0x{abi.LINUX_WORDS[name]:x} 0"
        t.refused("ENOTTY", name, t.worker.call, request)


@case("close.releases-maps", ["O8"], "the last close unmaps what is no longer mmapped")
def close_releases(t: Context) -> None:
    """A wrong kernel leaves grants mapped that were munmapped but not UNMAPed: a leak."""
    dev, _, address, refs = t.mapped(2)
    t.worker.munmap(address, 2 * PAGE)
    t.accepted("close", dev.close)
    for ref in refs:
        t.expect(t.peer.state(ref), "not mapped", "entry after close")


@case("close.fresh-file-starts-over", ["O8"], "maps go with their file: the next file starts at 0")
def close_starts_over(t: Context) -> None:
    """A wrong kernel keeps indices in the device and not in the open file."""
    dev = t.gntdev()
    t.expect(dev.map_any(3), 0, "index in the first file")
    dev.close()
    t.expect(t.gntdev().map_any(), 0, "index in the second file")


@case("close.gntalloc-ends-grants", ["O8"], "the last close ends the grants of gntalloc")
def close_ends_grants(t: Context) -> None:
    """A wrong kernel leaves a page granted although its owner is gone."""
    loop = Loop(t)
    dev = t.gntalloc()
    _, refs = dev.alloc(2)
    t.expect([loop.granted(ref) for ref in refs], ["granted"] * 2, "before close")
    dev.close()
    t.expect([loop.granted(ref) for ref in refs], ["ended"] * 2, "after close")


@case("close.mapping-outlives-descriptor", ["O9"], "a mapping stays usable after close")
def mapping_outlives(t: Context) -> None:
    """A wrong kernel tears the grant down under the mapping (FreeBSD's cdevpriv rule)."""
    t.peer.write(0, 0, b"before")
    dev, _, address, refs = t.mapped()
    t.accepted("close", dev.close)
    t.expect(t.peer.state(refs[0]), "mapped rw", "entry after close")
    t.expect(t.worker.peek(address, 6), b"before", "page after close")
    t.worker.poke(address, b"after!")
    t.expect(t.peer.read(0, 0, 6), b"after!", "the granter's page")
    t.accepted("munmap", t.worker.munmap, address)
    t.expect(t.peer.state(refs[0]), "not mapped", "entry after munmap")


@case(
    "close.munmapped-map-waits", ["O9"], "after close, a munmapped map waits for the last mapping"
)
def munmapped_waits(t: Context) -> None:
    """A wrong kernel releases at close every map that is not mmapped at that moment."""
    dev, _, first, refs_a = t.mapped()
    _, _, second, refs_b = t.mapped(dev=dev)
    t.worker.munmap(second)
    t.accepted("close", dev.close)
    held = {"K7": "not mapped"}
    t.expect(t.peer.state(refs_b[0]), "mapped rw", "munmapped map after close", held)
    t.expect(t.peer.state(refs_a[0]), "mapped rw", "mmapped map after close")
    t.worker.munmap(first)
    t.expect(t.peer.state(refs_a[0]), "not mapped", "mmapped map after the last munmap")
    t.expect(t.peer.state(refs_b[0]), "not mapped", "munmapped map after the last munmap")


@case(
    "close.each-mapping-counts", ["O9"], "after close, the file goes with the last of two mappings"
)
def each_mapping_counts(t: Context) -> None:
    """A wrong kernel releases the file with the first mapping that goes."""
    dev, _, first, refs_a = t.mapped()
    _, _, second, refs_b = t.mapped(dev=dev)
    dev.close()
    t.worker.munmap(first)
    t.expect(t.peer.state(refs_a[0]), "mapped rw", "first map, munmapped", {"K7": "not mapped"})
    t.expect(t.peer.state(refs_b[0]), "mapped rw", "second map, still mmapped")
    t.worker.munmap(second)
    t.expect(t.peer.state(refs_a[0]), "not mapped", "first map at the end")
    t.expect(t.peer.state(refs_b[0]), "not mapped", "second map at the end")


@case(
    "close.piece-holds-file",
    ["O9", "V2"],
    "after close, one page of a split mapping holds the file",
)
def piece_holds(t: Context) -> None:
    """A wrong kernel counts mmap calls, not pieces, and releases with the first piece."""
    dev, _, address, refs = t.mapped(3)
    dev.close()
    t.worker.munmap(address, PAGE)
    t.worker.munmap(address + 2 * PAGE, PAGE)
    t.expect(t.peer.state(refs[0]), "mapped rw", "first page, munmapped", {"K7": "not mapped"})
    t.expect(t.peer.state(refs[1]), "mapped rw", "middle page, still mmapped")
    t.worker.munmap(address + PAGE, PAGE)
    t.expect(t.peer.states(refs), ["not mapped"] * 3, "all pages at the end")


@case(
    "close.fork-child-holds-file",
    ["O9"],
    "after close, a forked child's mapping holds the file",
    needs=["fork"],
)
def child_holds(t: Context) -> None:
    """A wrong kernel counts the mappings of the opener only."""
    dev, _, address, refs = t.mapped()
    child = t.worker.fork()
    # The child's own copy of the descriptor must not be what holds the file.
    child.close(dev.fd)
    t.worker.munmap(address)
    dev.close()
    t.expect(
        t.peer.state(refs[0]), "mapped rw", "entry, only the child maps it", {"K7": "not mapped"}
    )
    t.expect(t.attempt(child.peek, address, 8), "ok", "access by the child", {"K7": "SIGSEGV"})
    t.attempt(child.munmap, address)
    t.expect(t.peer.state(refs[0]), "not mapped", "entry after the child's munmap")


@case(
    "close.gntalloc-waits",
    ["O9"],
    "after close, unmapped pages stay granted while another is mmapped",
)
def gntalloc_waits(t: Context) -> None:
    """A wrong kernel ends at close every grant that is not mmapped at that moment."""
    loop = Loop(t)
    dev = t.gntalloc()
    index, refs = dev.alloc(2)
    address = dev.mmap(1, index)
    dev.close()
    t.expect([loop.granted(ref) for ref in refs], ["granted"] * 2, "after close")
    t.worker.munmap(address)
    t.expect([loop.granted(ref) for ref in refs], ["ended"] * 2, "after the last munmap")


@case("dup.shares-maps", ["O10"], "a duplicate shares the maps of its original")
def dup_shares(t: Context) -> None:
    """A wrong kernel gives every descriptor its own state."""
    dev = t.gntdev()
    t.expect(dev.map_any(2), 0, "index by the original")
    twin = dev.via(t.worker, t.worker.dup(dev.fd))
    t.expect(twin.map_any(), 2 * PAGE, "index by the duplicate")
    t.accepted("UNMAP by the duplicate", twin.unmap, 0, 2)


@case("dup.last-close-releases", ["O10"], "only the last close of duplicates releases")
def dup_last_close(t: Context) -> None:
    """A wrong kernel releases at the first close and breaks the duplicate's user."""
    loop = Loop(t)
    dev = t.gntalloc()
    _, refs = dev.alloc()
    twin = t.worker.dup(dev.fd)
    dev.close()
    t.expect(loop.granted(refs[0]), "granted", "after the first close")
    t.worker.close(twin)
    t.expect(loop.granted(refs[0]), "ended", "after the last close")


@case("fork.shares-maps", ["O10"], "a forked child shares the open file's maps", needs=["fork"])
def fork_shares(t: Context) -> None:
    """A wrong kernel ties its state to the process that opened."""
    dev = t.gntdev()
    dev.map_any(2)
    child = t.worker.fork()
    t.expect(dev.via(child).map_any(), 2 * PAGE, "index by the child")
    t.expect(dev.map_any(), 3 * PAGE, "next index by the parent")


@case(
    "fork.last-close-releases", ["O10"], "a child's descriptor keeps the file alive", needs=["fork"]
)
def fork_last_close(t: Context) -> None:
    """A wrong kernel releases when the process closes that opened the file."""
    loop = Loop(t)
    dev = t.gntalloc()
    _, refs = dev.alloc()
    child = t.worker.fork()
    dev.close()
    t.expect(loop.granted(refs[0]), "granted", "after the parent's close")
    child.close(dev.fd)
    t.expect(loop.granted(refs[0]), "ended", "after the child's close")


@case(
    "passed-descriptor.shares-maps",
    ["O10"],
    "a descriptor sent over a socket shares the maps",
    needs=["fork"],
)
def passed(t: Context) -> None:
    """A wrong kernel makes new state for the receiver."""
    child = t.worker.fork()
    dev = t.gntdev()
    dev.map_any(2)
    fd = t.worker.send_fd(child, dev.fd)
    t.expect(dev.via(child, fd).map_any(), 2 * PAGE, "index by the receiver")
    dev.close()
    t.expect(dev.via(child, fd).map_any(), 3 * PAGE, "index after the sender's close")


def _dies_with_mapping(t: Context, end: str) -> None:
    child = t.worker.fork()
    refs = t.peer.grants(2)
    dev = Gntdev(t, child, child.open("gntdev"))
    first = dev.map([refs[0]])
    second = dev.map([refs[1]])
    dev.mmap(1, first)
    address = dev.mmap(1, second)
    child.munmap(address)
    t.expect(t.peer.state(refs[0]), "mapped rw", "entry before the end")
    if end == "exit":
        child.exit()
        t.expect(t.worker.wait(child), "exit 0", "how the child ended")
    else:
        t.worker.kill(child, end)
        t.expect(t.worker.wait(child), end, "how the child ended")
    t.expect(t.peer.states(refs), ["not mapped"] * 2, "entries after the end")


@case("exit.releases-grants", ["O11"], "process exit unmaps everything", needs=["fork"])
def exit_releases(t: Context) -> None:
    """A wrong kernel forgets maps when mappings and descriptors go together."""
    _dies_with_mapping(t, "exit")


@case("exit.kill-releases-grants", ["O11"], "SIGKILL unmaps everything", needs=["fork"])
def kill_releases(t: Context) -> None:
    """A wrong kernel relies on the process to clean up."""
    _dies_with_mapping(t, "SIGKILL")


@case(
    "exit.gntalloc-ends-grants", ["O11"], "process exit ends the grants of gntalloc", needs=["fork"]
)
def exit_ends(t: Context) -> None:
    """A wrong kernel leaves pages granted that nobody owns."""
    loop = Loop(t)
    child = t.worker.fork()
    mine = Gntalloc(t, child, child.open("gntalloc"))
    index, refs = mine.alloc(2)
    mine.mmap(1, index)
    t.expect([loop.granted(ref) for ref in refs], ["granted"] * 2, "before the exit")
    child.exit()
    t.worker.wait(child)
    t.expect([loop.granted(ref) for ref in refs], ["ended"] * 2, "after the exit")


@case(
    "exec.descriptor-survives",
    ["O12"],
    "a descriptor without CLOEXEC survives exec with its maps",
    needs=["exec"],
)
def exec_survives(t: Context) -> None:
    """A wrong kernel drops its state when the address space changes."""
    dev = t.gntdev()
    dev.map_any(2)
    t.worker.exec()
    t.forget_memory()
    t.expect(t.accepted("MAP after exec", dev.map_any), 2 * PAGE, "index after exec")


@case(
    "exec.cloexec-closes",
    ["O12"],
    "a descriptor with CLOEXEC does not survive exec",
    needs=["exec"],
)
def exec_cloexec(t: Context) -> None:
    """A wrong kernel keeps the grants of a descriptor that is gone."""
    loop = Loop(t)
    keep = loop.dev.fd
    dev = t.gntalloc("cloexec")
    _, refs = dev.alloc()
    t.expect(loop.granted(refs[0]), "granted", "before exec")
    t.worker.exec()
    t.forget_memory()
    t.refused("EBADF", "ALLOC after exec", dev.alloc)
    t.worker.close(keep)
    t.expect(Loop(t).granted(refs[0]), "ended", "after exec")


@case(
    "exec.mapping-goes",
    ["O12"],
    "exec drops mappings and keeps the map of a surviving descriptor",
    needs=["exec"],
)
def exec_mapping(t: Context) -> None:
    """A wrong kernel leaks the mapping's reference on the map, so UNMAP does not unmap."""
    dev, index, address, refs = t.mapped()
    t.worker.exec()
    t.forget_memory()
    t.refused("SIGSEGV", "access after exec", t.worker.peek, address, 8)
    t.expect(t.peer.state(refs[0]), "mapped rw", "entry after exec", {"K7": "not mapped"})
    t.accepted("UNMAP after exec", dev.unmap, index, 1)
    t.expect(t.peer.state(refs[0]), "not mapped", "entry after UNMAP")


@case(
    "module.gntdev-busy-mapping", ["O13"], "a mapping alone keeps gntdev's module", needs=["unload"]
)
def busy_mapping(t: Context) -> None:
    """A wrong kernel counts descriptors only and unloads under a live mapping."""
    dev, _, address, _ = t.mapped()
    dev.close()
    t.expect(t.worker.unload("xen_gntdev"), False, "unload with a mapping")
    t.worker.munmap(address)


@case(
    "module.gntalloc-busy-mapping",
    ["O13"],
    "a mapping alone keeps gntalloc's module",
    needs=["unload"],
)
def busy_mapping_gntalloc(t: Context) -> None:
    """A wrong kernel counts descriptors only and unloads under a live mapping."""
    dev = t.gntalloc()
    index, _ = dev.alloc()
    address = dev.mmap(1, index)
    dev.close()
    t.expect(t.worker.unload("xen_gntalloc"), False, "unload with a mapping")
    t.worker.munmap(address)
