# SPDX-License-Identifier: BSD-2-Clause
"""REFERENCE 2.12: SET_UNMAP_NOTIFY of gntalloc, and when a notification fires."""

from __future__ import annotations

from agent.client import PAGE

from . import abi
from .alloc import allocated
from .events import BOTH, BYTE, MARK, SOON, Channels, Held, Shared
from .framework import Context, Gntalloc, Loop, case, section

section("gntalloc SET_UNMAP_NOTIFY", 130)

NOTIFY = ("notify",)
EVENTS = ("notify", "evtchn")
# To look at a page that is no longer granted, somebody must hold it.
HELD = (*EVENTS, "hold")
EVENT = abi.SEND_EVENT
COMMAND = abi.GNTALLOC_SET_UNMAP_NOTIFY


# The request


@case("share-notify.null-argument", ["Y1"], "SET_UNMAP_NOTIFY of a null pointer is EFAULT", NOTIFY)
def null_argument(t: Context) -> None:
    """A wrong kernel reads the argument without care."""
    t.refused("EFAULT", "SET_UNMAP_NOTIFY at 0", t.gntalloc().ioctl, COMMAND, 0)


@case(
    "share-notify.argument-cut-short",
    ["Y1"],
    "SET_UNMAP_NOTIFY is EFAULT when the struct is not all readable",
    NOTIFY,
)
def argument_cut(t: Context) -> None:
    """A wrong kernel reads the 12 bytes that it needs for CLEAR_BYTE."""
    dev, index, _ = allocated(t, 1)
    address = t.page_end(abi.NOTIFY.pack(index, abi.CLEAR_BYTE, 0)[:12])
    t.refused("EFAULT", "12 of 16 bytes", dev.ioctl, COMMAND, address)


@case("share-notify.unknown-index", ["Y2"], "an index without a page is ENOENT", NOTIFY)
def unknown_index(t: Context) -> None:
    """A wrong kernel answers EINVAL, as gntalloc's DEALLOC does."""
    dev = t.gntalloc()
    t.refused("ENOENT", "empty file", dev.notify, 0)
    index, _ = dev.alloc(2)
    t.refused("ENOENT", "first byte behind the pages", dev.notify, index + 2 * PAGE)
    t.refused("ENOENT", "far behind", dev.notify, 0xFFFFFFFFFFFFFFFF)


@case(
    "share-notify.index-before-action",
    ["Y2", "Y3"],
    "the index is judged before action and port",
    NOTIFY,
)
def index_first(t: Context) -> None:
    """A wrong kernel judges the action first, as gntdev does: EINVAL."""
    dev = t.gntalloc()
    t.refused("ENOENT", "action 4, no page", dev.notify, 0, 4)
    t.refused("ENOENT", "port 0, no page", dev.notify, 0, EVENT, 0)
    t.refused("ENOENT", "action 0, no page", dev.notify, 0, 0)


@case("share-notify.other-file", ["Y2"], "a page of another file is ENOENT", NOTIFY)
def other_file(t: Context) -> None:
    """A wrong kernel looks up over all files."""
    one, index, _ = allocated(t, 1)
    two = t.gntalloc()
    t.refused("ENOENT", "through the other file", two.notify, index)
    t.accepted("through its own", one.notify, index)


@case("share-notify.after-dealloc", ["Y2"], "a page that DEALLOC took off is ENOENT", NOTIFY)
def after_dealloc(t: Context) -> None:
    """A wrong kernel arms a page that has another owner by now."""
    dev, index, _ = allocated(t, 3)
    dev.dealloc(index + PAGE, 1)
    t.refused("ENOENT", "the page", dev.notify, index + PAGE + 7)
    t.accepted("the one before", dev.notify, index + PAGE - 1)
    t.accepted("the one after", dev.notify, index + 2 * PAGE)


@case("share-notify.unknown-action", ["Y3"], "an action with unknown bits is EINVAL", NOTIFY)
def unknown_action(t: Context) -> None:
    """A wrong kernel ignores bits that it does not know."""
    dev, index, _ = allocated(t, 1)
    for action in (4, 5, 0x80000000, 0xFFFFFFFF):
        t.refused("EINVAL", f"action 0x{action:x}", dev.notify, index, action)


@case("share-notify.port-ineligible", ["Y4"], "SEND_EVENT with a port not bound is EINVAL", EVENTS)
def port_closed(t: Context) -> None:
    """A wrong kernel keeps any number and sends to whoever gets the port next."""
    dev, index, _ = allocated(t, 1)
    fd = t.worker.open("evtchn")
    port = t.worker.bind_unbound(fd, 0)
    t.accepted("while bound", dev.notify, index, EVENT, port)
    dev.notify(index, 0)
    t.worker.unbind(fd, port)
    t.refused("EINVAL", "after unbind", dev.notify, index, EVENT, port)
    for wild in (0, 1 << 17, 0xFFFFFFFF):
        t.refused("EINVAL", f"port 0x{wild:x}", dev.notify, index, BOTH, wild)


@case(
    "share-notify.port-of-the-kernel",
    ["Y4"],
    "ports of the kernel's own timers and interrupts are EINVAL",
    (*EVENTS, "evtchn_status"),
)
def port_kernel(t: Context) -> None:
    """A wrong kernel lets a user process raise the kernel's own interrupts."""
    dev, index, _ = allocated(t, 1)
    agent = t.worker.agent
    low = agent.call_all([f"peer evtchn_status {port}" for port in range(1, 13)])
    own = [n for n, reply in enumerate(low, 1) if reply.text("status") in ("virq", "ipi", "pirq")]
    t.expect(bool(own), True, "the kernel has such ports")
    t.expect(
        {t.attempt(dev.notify, index, EVENT, port) for port in own}, {"EINVAL"}, "SET_UNMAP_NOTIFY"
    )


@case(
    "share-notify.port-unknown-to-evtchn",
    ["Y4"],
    "a port that was not bound through /dev/xen/evtchn is EINVAL",
    (*EVENTS, "evtchn_status"),
)
def port_unknown(t: Context) -> None:
    """Linux knows who bound a port; a kernel that asks Xen alone takes it (K15)."""
    dev, index, _ = allocated(t, 1)
    agent = t.worker.agent
    port = agent.peer("evtchn_alloc 0").int("port")
    seen = t.attempt(dev.notify, index, EVENT, port)
    dev.notify(index, 0)
    agent.peer(f"evtchn_close {port}")
    t.expect(seen, "EINVAL", "SET_UNMAP_NOTIFY", {"K15": "ok"})


@case("share-notify.port-ignored", ["Y5"], "CLEAR_BYTE alone ignores the port", NOTIFY)
def port_ignored(t: Context) -> None:
    """A wrong kernel checks a number that it has no use for."""
    dev, index, _ = allocated(t, 1)
    t.accepted("port 2^32-1", dev.notify, index, abi.CLEAR_BYTE, 0xFFFFFFFF)


@case("share-notify.one-per-page", ["Y5"], "each page has its own notification", HELD)
def one_per_page(t: Context) -> None:
    """A wrong kernel keeps one an allocation, as gntdev does with maps."""
    shared = Shared(t, count=3, arm=False)
    for page in (2, 0):
        shared.arm(page)
    shared.end()
    t.expect(
        [shared.held.byte() for _ in range(3)], ["cleared", "kept", "cleared"], "bytes of the pages"
    )
    t.expect(shared.channels.gathered(2), ["event-0", "event-2"], "events")


@case("share-notify.last-call-wins", ["Y5"], "a later call replaces action, byte and port", HELD)
def last_wins(t: Context) -> None:
    """A wrong kernel adds up what the calls ask for."""
    shared = Shared(t)
    shared.dev.notify(shared.index, EVENT, shared.channels.port("second"))
    shared.end()
    t.expect(shared.look(SOON), "kept, second", "after DEALLOC")


@case(
    "share-notify.refused-keeps-earlier",
    ["Y3", "Y4", "Y5"],
    "a refused request leaves the earlier notification in force",
    HELD,
)
def refused_keeps(t: Context) -> None:
    """A wrong kernel drops the old notification before it judges the new one."""
    shared = Shared(t)
    t.refused("EINVAL", "port 0", shared.dev.notify, shared.index, EVENT, 0)
    t.refused("EINVAL", "action 4", shared.dev.notify, shared.index, 4)
    shared.end()
    t.expect(shared.look(SOON), "cleared, event", "after DEALLOC")


@case(
    "share-notify.replaced-port-is-free",
    ["Y5", "Y6"],
    "a port that was replaced is no longer held",
    (*EVENTS, "evtchn_status"),
)
def replaced_free(t: Context) -> None:
    """A wrong kernel leaks the reference on the old event channel."""
    dev, index, _ = allocated(t, 1)
    fd = t.worker.open("evtchn")
    ports = [t.worker.bind_unbound(fd, 0) for _ in range(3)]
    dev.notify(index, EVENT, ports[0])
    dev.notify(index, EVENT, ports[1])
    dev.notify(index, abi.CLEAR_BYTE)
    dev.notify(index, EVENT, ports[2])
    dev.notify(index, 0)
    for port in ports:
        t.worker.unbind(fd, port)
    status = [t.worker.agent.peer(f"evtchn_status {port}").text("status") for port in ports]
    t.expect(status, ["closed"] * 3, "ports after unbind")


@case(
    "share-notify.armed-port-is-held",
    ["Y4", "Y5"],
    "an armed port stays open after unbind, until the page is gone",
    (*EVENTS, "evtchn_status"),
)
def armed_held(t: Context) -> None:
    """Linux holds a reference; FreeBSD offers none that is safe to hold (K24)."""
    dev, index, _ = allocated(t, 1)
    fd = t.worker.open("evtchn")
    port = t.worker.bind_unbound(fd, 0)
    dev.notify(index, EVENT, port)
    t.worker.unbind(fd, port)

    def status() -> str:
        return t.worker.agent.peer(f"evtchn_status {port}").text("status")

    t.expect(status(), "unbound", "port after unbind", {"K24": "closed"})
    dev.dealloc(index, 1)
    t.expect(status(), "closed", "port after DEALLOC")


@case(
    "share-notify.byte-anywhere",
    ["Y5"],
    "any byte of the page may be the one, and no other changes",
    (*NOTIFY, "hold"),
)
def byte_anywhere(t: Context) -> None:
    """A wrong kernel clears the whole page, a word, or the byte of another page."""
    held = Held(t)
    dev = t.gntalloc()
    for offset in (0, 0x801, PAGE - 1):
        index, _ = dev.alloc()
        address = dev.mmap(1, index)
        t.worker.fill(address, PAGE, MARK)
        t.worker.vmsplice(held.into, address, PAGE)
        dev.notify(index + offset)
        t.worker.munmap(address)
        dev.dealloc(index, 1)
        page = t.worker.read(held.out, PAGE)
        zeros = [at for at, byte in enumerate(page) if byte != MARK]
        t.expect(zeros, [offset], f"bytes changed, offset 0x{offset:x}")


@case("share-notify.clear", ["Y6"], "action 0 takes the notification back", HELD)
def clear(t: Context) -> None:
    """A wrong kernel refuses it, or keeps the notification."""
    shared = Shared(t)
    t.accepted("action 0", shared.arm, 0, 0)
    shared.end()
    t.expect(shared.look(), "kept, no event", "after DEALLOC")


@case("share-notify.clear-never-armed", ["Y6"], "action 0 where nothing is armed is 0", NOTIFY)
def clear_never(t: Context) -> None:
    """A wrong kernel answers ENOENT."""
    dev, index, _ = allocated(t, 1)
    t.accepted("action 0, garbage port", dev.notify, index + 5, 0, 0xDEADBEEF)


# Firing


@case("share-notify.munmap-then-dealloc", ["2.12", "D6"], "munmap, DEALLOC: all at DEALLOC", HELD)
def munmap_dealloc(t: Context) -> None:
    """A wrong kernel fires with the mapping."""
    loop = Loop(t)
    shared = Shared(t, looks=2)
    shared.munmap()
    t.expect(shared.look(), "kept, no event", "after munmap")
    t.expect(loop.granted(shared.refs[0]), "granted", "page after munmap")
    shared.dealloc()
    t.expect(shared.look(SOON), "cleared, event", "after DEALLOC")
    t.expect(loop.granted(shared.refs[0]), "ended", "page after DEALLOC")


@case("share-notify.dealloc-then-munmap", ["2.12", "D7"], "DEALLOC, munmap: all at munmap", HELD)
def dealloc_munmap(t: Context) -> None:
    """A wrong kernel fires with DEALLOC, while the owner still stores (time-line T3)."""
    loop = Loop(t)
    shared = Shared(t, looks=2)
    shared.dealloc()
    t.expect(shared.look(), "kept, no event", "after DEALLOC")
    t.accepted("store after DEALLOC", t.worker.poke, shared.address, b"x")
    t.expect(loop.granted(shared.refs[0]), "granted", "page after DEALLOC")
    shared.munmap()
    t.expect(shared.look(SOON), "cleared, event", "after munmap")
    t.expect(loop.granted(shared.refs[0]), "ended", "page after munmap")


@case("share-notify.never-mmapped", ["2.12", "D6"], "a page never mmapped fires, too", EVENTS)
def never_mmapped(t: Context) -> None:
    """A wrong kernel fires from the mapping's end only."""
    channels = Channels(t)
    dev, index, _ = allocated(t, 1)
    dev.notify(index, BOTH, channels.port())
    t.expect(channels.raised(), [], "events before DEALLOC")
    dev.dealloc(index, 1)
    t.expect(channels.raised(SOON), ["event"], "events after DEALLOC")


@case("share-notify.event-only", ["2.12"], "SEND_EVENT alone leaves the page as it is", HELD)
def event_only(t: Context) -> None:
    """A wrong kernel clears the byte that the index points to."""
    shared = Shared(t, arm=False)
    shared.arm(0, EVENT)
    shared.end()
    t.expect(shared.look(SOON), "kept, event", "after DEALLOC")


@case("share-notify.byte-only", ["2.12"], "CLEAR_BYTE alone sends no event", HELD)
def byte_only(t: Context) -> None:
    """A wrong kernel sends to the port of an action that was not asked for."""
    shared = Shared(t, arm=False)
    shared.arm(0, abi.CLEAR_BYTE)
    shared.end()
    t.expect(shared.look(), "cleared, no event", "after DEALLOC")


@case("share-notify.several-mappings", ["2.12", "B6"], "the last of several mappings fires", HELD)
def several(t: Context) -> None:
    """A wrong kernel fires with the first mapping that goes."""
    shared = Shared(t, looks=3)
    second = shared.dev.mmap(1, shared.index)
    shared.dealloc()
    shared.munmap()
    t.expect(shared.look(), "kept, no event", "one of two mappings left")
    third = t.attempt(shared.dev.mmap, 1, shared.index)
    t.expect(third, "ENOENT", "another mmap after DEALLOC")
    t.worker.munmap(second)
    t.expect(shared.look(SOON), "cleared, event", "no mapping left")


@case("share-notify.partial-munmap", ["2.12", "B11"], "pages wait for the whole mapping", HELD)
def partial(t: Context) -> None:
    """A wrong kernel fires page by page."""
    shared = Shared(t, count=2)
    shared.dealloc()
    t.worker.munmap(shared.address, PAGE)
    t.expect(shared.channels.raised(), [], "events when the first page is munmapped")
    t.worker.munmap(shared.address + PAGE, PAGE)
    t.expect(shared.channels.gathered(2), ["event-0", "event-1"], "events when both are")
    t.expect([shared.held.byte() for _ in range(2)], ["cleared"] * 2, "bytes")


@case("share-notify.partial-dealloc", ["2.12", "D5"], "DEALLOC of one page fires for that", HELD)
def partial_dealloc(t: Context) -> None:
    """A wrong kernel fires for the whole allocation, or for none."""
    shared = Shared(t, count=3)
    shared.munmap()
    shared.dev.dealloc(shared.index + PAGE, 1)
    t.expect(shared.channels.raised(SOON), ["event-1"], "events")
    t.expect([shared.held.byte() for _ in range(3)], ["kept", "cleared", "kept"], "bytes")


@case("share-notify.close", ["2.12", "O8"], "close of an armed file fires in index order", HELD)
def close(t: Context) -> None:
    """A wrong kernel forgets the notifications of a file that goes, or goes backwards."""
    shared = Shared(t, count=3, arm=False)
    for page in (1, 2, 0):
        shared.arm(page)
    shared.munmap()
    t.expect(shared.channels.raised(), [], "events after munmap")
    shared.dev.close()
    t.expect(shared.channels.gathered(3), ["event-0", "event-1", "event-2"], "events after close")
    t.expect([shared.held.byte() for _ in range(3)], ["cleared"] * 3, "bytes")


@case("share-notify.close-while-mapped", ["2.12", "O9"], "after close, the munmap fires", HELD)
def close_mapped(t: Context) -> None:
    """A wrong kernel fires at close, while the mapping is in use."""
    shared = Shared(t, looks=2)
    shared.dev.close()
    t.expect(shared.look(), "kept, no event", "after close")
    t.accepted("store after close", t.worker.poke, shared.address, b"x")
    shared.munmap()
    t.expect(shared.look(SOON), "cleared, event", "after munmap")


@case(
    "share-notify.close-waits-for-all",
    ["2.12", "O9"],
    "after close, pages without a mapping wait for the file",
    EVENTS,
)
def close_waits(t: Context) -> None:
    """A wrong kernel drops at close what has no mapping (time-line T4)."""
    channels = Channels(t)
    dev, index, _ = allocated(t, 3)
    for page in range(3):
        dev.notify(index + page * PAGE, EVENT, channels.port(str(page)))
    address = dev.mmap(1, index + PAGE)
    dev.close()
    t.expect(channels.raised(), [], "events after close")
    t.worker.munmap(address)
    t.expect(channels.gathered(3), ["0", "1", "2"], "events after munmap")


@case("share-notify.dup", ["2.12", "O10"], "a second descriptor keeps the file", EVENTS)
def dup(t: Context) -> None:
    """A wrong kernel fires with any close."""
    channels = Channels(t)
    dev, index, _ = allocated(t, 1)
    dev.notify(index, BOTH, channels.port())
    other = t.worker.dup(dev.fd)
    dev.close()
    t.expect(channels.raised(), [], "events, one of two closed")
    t.worker.close(other)
    t.expect(channels.raised(SOON), ["event"], "events, both closed")


@case(
    "share-notify.event-channel-closed-first",
    ["2.12", "7.6"],
    "the event comes though the event channel's file was closed before",
    HELD,
)
def evtchn_first(t: Context) -> None:
    """Linux holds the port; a kernel that does not must at least clear the byte (K24)."""
    shared = Shared(t)
    t.worker.close(shared.channels.own)
    shared.end()
    wait = 0 if "K24" in t.target.differences else SOON
    t.expect(shared.look(wait), "cleared, event", "after DEALLOC", {"K24": "cleared, no event"})


@case(
    "share-notify.child-holds",
    ["2.12", "B10", "B11"],
    "a child's copy of mapping and descriptor keeps everything",
    (*HELD, "fork"),
)
def child_holds(t: Context) -> None:
    """A wrong kernel fires with the parent, or with the child's descriptor."""
    shared = Shared(t, looks=3)
    child = t.worker.fork()
    shared.munmap()
    shared.dev.close()
    t.expect(shared.look(), "kept, no event", "parent done")
    child.close(shared.dev.fd)
    t.expect(shared.look(), "kept, no event", "child has the mapping only")
    child.exit()
    t.worker.wait(child)
    t.expect(shared.look(SOON), "cleared, event", "child gone")


@case(
    "share-notify.child-leaves",
    ["2.12", "B10"],
    "a child that inherited everything and goes changes nothing",
    (*HELD, "fork"),
)
def child_leaves(t: Context) -> None:
    """A wrong kernel takes the child's end for the owner's."""
    shared = Shared(t, looks=2)
    child = t.worker.fork()
    t.worker.kill(child)
    t.worker.wait(child)
    t.expect(shared.look(), "kept, no event", "child killed")
    shared.end()
    t.expect(shared.look(SOON), "cleared, event", "after DEALLOC")


@case(
    "share-notify.descriptor-passed",
    ["2.12", "O10"],
    "a descriptor passed to another process keeps the file",
    (*EVENTS, "fork"),
)
def passed(t: Context) -> None:
    """A wrong kernel ties the pages to the process that made them."""
    child = t.worker.fork()
    channels = Channels(t)
    dev, index, _ = allocated(t, 1)
    dev.notify(index, BOTH, channels.port())
    fd = t.worker.send_fd(child, dev.fd)
    dev.close()
    t.expect(channels.raised(), [], "events, closed by the sender")
    Gntalloc(t, child, fd).dealloc(index, 1)
    t.expect(channels.raised(SOON), ["event"], "events, DEALLOC by the receiver")


@case(
    "share-notify.exec",
    ["2.12", "O12"],
    "exec takes the mapping: what DEALLOC took off before fires, the rest waits",
    (*EVENTS, "exec"),
)
def exec_fires(t: Context) -> None:
    """A wrong kernel fires for all pages of the old address space, or for none."""
    channels = Channels(t)
    dev, index, _ = allocated(t, 2)
    dev.mmap(2, index)
    for page in range(2):
        dev.notify(index + page * PAGE + BYTE, BOTH, channels.port(str(page)))
    dev.dealloc(index, 1)
    t.worker.exec()
    t.expect(channels.raised(SOON), ["0"], "events after exec")
    dev.close()
    t.expect(channels.raised(SOON), ["1"], "events after close by the new program")
