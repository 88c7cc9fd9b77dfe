# SPDX-License-Identifier: BSD-2-Clause
"""SET_UNMAP_NOTIFY of gntalloc, and when a notification fires."""

from __future__ import annotations

from agent.client import PAGE

from . import abi
from .alloc import allocated
from .events import BOTH, BYTE, MARK, SOON, Channels, Held, Shared
from .framework import Context, Gntalloc, Loop, case, section

SECTION = ("gntalloc SET_UNMAP_NOTIFY", 130)
section(*SECTION)

NOTIFY = ("notify",)
EVENTS = ("notify", "evtchn")
# A page that is no longer granted can be checked only if somebody holds it.
HELD = (*EVENTS, "hold")
EVENT = abi.SEND_EVENT
COMMAND = abi.GNTALLOC_SET_UNMAP_NOTIFY


# The request


@case(
    "share-notify.index-before-action",
    ["Y2", "Y3"],
    "the index is checked before action and port",
    NOTIFY,
)
def index_first(t: Context) -> None:
    """A wrong kernel checks the action first, as gntdev does: EINVAL."""
    dev = t.gntalloc()
    t.refused("ENOENT", "action 4, no page", dev.notify, 0, 4)
    t.refused("ENOENT", "port 0, no page", dev.notify, 0, EVENT, 0)
    t.refused("ENOENT", "action 0, no page", dev.notify, 0, 0)


@case("share-notify.after-dealloc", ["Y2"], "a page removed by DEALLOC is ENOENT", NOTIFY)
def after_dealloc(t: Context) -> None:
    """A wrong kernel arms a page that has another owner by now."""
    dev, index, _ = allocated(t, 3)
    dev.dealloc(index + PAGE, 1)
    t.refused("ENOENT", "the page", dev.notify, index + PAGE + 7)
    t.accepted("the one before", dev.notify, index + PAGE - 1)
    t.accepted("the one after", dev.notify, index + 2 * PAGE)


@case("share-notify.port-ineligible", ["Y4"], "SEND_EVENT with a port not bound is EINVAL", EVENTS)
def port_closed(t: Context) -> None:
    """A wrong kernel accepts any number and sends to the port's next owner."""
    dev, index, _ = allocated(t, 1)
    fd = t.worker.open("evtchn")
    port = t.worker.bind_unbound(fd, 0)
    t.accepted("while bound", dev.notify, index, EVENT, port)
    dev.notify(index, 0)
    t.worker.unbind(fd, port)
    t.refused("EINVAL", "after unbind", dev.notify, index, EVENT, port)
    for wild in (0, 1 << 17, 0xFFFFFFFF):
        t.refused("EINVAL", f"port 0x{wild:x}", dev.notify, index, BOTH, wild)


@case("share-notify.one-per-page", ["Y5"], "each page has its own notification", HELD)
def one_per_page(t: Context) -> None:
    """A wrong kernel keeps one for each allocation, as gntdev does for maps."""
    shared = Shared(t, count=3, arm=False)
    for page in (2, 0):
        shared.arm(page)
    shared.end()
    t.expect(
        [shared.held.byte() for _ in range(3)], ["cleared", "kept", "cleared"], "bytes of the pages"
    )
    t.expect(shared.channels.gathered(2), ["event-0", "event-2"], "events")


@case(
    "share-notify.byte-anywhere",
    ["Y5"],
    "any byte of the page may be armed, and no other changes",
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


# Firing


@case("share-notify.munmap-then-dealloc", ["2.12", "D6"], "munmap, DEALLOC: all at DEALLOC", HELD)
def munmap_dealloc(t: Context) -> None:
    """A wrong kernel fires at munmap."""
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
    """A wrong kernel fires with DEALLOC, while the owner still stores."""
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
    """A wrong kernel fires only at the end of a mapping."""
    channels = Channels(t)
    dev, index, _ = allocated(t, 1)
    dev.notify(index, BOTH, channels.port())
    t.expect(channels.raised(), [], "events before DEALLOC")
    dev.dealloc(index, 1)
    t.expect(channels.raised(SOON), ["event"], "events after DEALLOC")


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
    """A wrong kernel forgets the notifications of a closed file, or goes in reverse."""
    shared = Shared(t, count=3, arm=False)
    for page in (1, 2, 0):
        shared.arm(page)
    shared.munmap()
    t.expect(shared.channels.raised(), [], "events after munmap")
    shared.dev.close()
    t.expect(shared.channels.gathered(3), ["event-0", "event-1", "event-2"], "events after close")
    t.expect([shared.held.byte() for _ in range(3)], ["cleared"] * 3, "bytes")


@case(
    "share-notify.close-waits-for-all",
    ["2.12", "O9"],
    "after close, pages without a mapping wait for the file",
    EVENTS,
)
def close_waits(t: Context) -> None:
    """A wrong kernel drops at close what has no mapping."""
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
    """A wrong kernel fires at any close."""
    channels = Channels(t)
    dev, index, _ = allocated(t, 1)
    dev.notify(index, BOTH, channels.port())
    other = t.worker.dup(dev.fd)
    dev.close()
    t.expect(channels.raised(), [], "events, one of two closed")
    t.worker.close(other)
    t.expect(channels.raised(SOON), ["event"], "events, both closed")


@case(
    "share-notify.child-holds",
    ["2.12", "B10", "B11"],
    "a child's copy of mapping and descriptor keeps everything",
    (*HELD, "fork"),
)
def child_holds(t: Context) -> None:
    """A wrong kernel fires when the parent closes, or the child."""
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
    "exec drops the mapping: pages removed by DEALLOC fire, the rest waits",
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
