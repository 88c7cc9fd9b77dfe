# SPDX-License-Identifier: BSD-2-Clause
"""SET_UNMAP_NOTIFY of gntdev, and when a notification fires."""

from __future__ import annotations

from agent.client import PAGE

from . import abi
from .events import BOTH, BYTE, FIRED, KEPT, MARK, PV_UNMAPPED, SOON, Channels, Watched, around
from .framework import Context, Gntdev, case, section
from .in_flight import InFlight

SECTION = ("gntdev SET_UNMAP_NOTIFY", 60)
section(*SECTION)

NOTIFY = ("notify",)
EVENTS = ("notify", "evtchn")
EVENT = abi.SEND_EVENT


# The request


@case("notify.action-before-index", ["N2"], "the action is checked before the index", NOTIFY)
def action_before_index(t: Context) -> None:
    """A wrong kernel looks for the map first, as gntalloc does: ENOENT."""
    t.refused("EINVAL", "action 4, no map", t.gntdev().notify, 0, 4)


@case("notify.port-closed", ["N3"], "a port that is not bound is EINVAL", EVENTS)
def port_closed(t: Context) -> None:
    """A wrong kernel accepts any number and sends to the port's next owner."""
    dev = t.gntdev()
    index = dev.map_any()
    fd = t.worker.open("evtchn")
    port = t.worker.bind_unbound(fd, 0)
    t.accepted("while bound", dev.notify, index, EVENT, port)
    dev.notify(index, 0)
    t.worker.unbind(fd, port)
    t.refused("EINVAL", "after unbind", dev.notify, index, EVENT, port)
    t.refused("EINVAL", "with CLEAR_BYTE", dev.notify, index, BOTH, port)


@case("notify.port-number-wild", ["N3"], "port numbers out of range are EINVAL", EVENTS)
def port_wild(t: Context) -> None:
    """A wrong kernel uses the number as an index into a table."""
    dev = t.gntdev()
    index = dev.map_any()
    for port in (0, 1 << 12, 1 << 17, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF):
        t.refused("EINVAL", f"port 0x{port:x}", dev.notify, index, EVENT, port)


@case("notify.port-before-index", ["N3"], "the port is checked before the index", EVENTS)
def port_before_index(t: Context) -> None:
    """A wrong kernel looks for the map first: ENOENT."""
    t.refused("EINVAL", "port 0, no map", t.gntdev().notify, 0, EVENT, 0)


@case(
    "notify.port-of-a-virq",
    ["N3"],
    "a virtual interrupt bound through /dev/xen/evtchn is eligible on Linux",
    (*EVENTS, "virq"),
)
def port_virq(t: Context) -> None:
    """Linux checks who bound it; a kernel that asks Xen for its type refuses it (K15)."""
    dev = t.gntdev()
    index = dev.map_any()
    # VIRQ_DOM_EXC: xenstored's, which does not run here.
    port = t.worker.bind_virq(t.worker.open("evtchn"), 3)
    t.expect(t.attempt(dev.notify, index, EVENT, port), "ok", "armed", {"K15": "EINVAL"})
    # Xen lets nobody raise it; that does not matter here.
    t.accepted("UNMAP", dev.unmap, index, 1)


def _armed_with(t: Context, channels: Channels) -> None:
    dev = t.gntdev()
    index = dev.map_any()
    t.accepted("SET_UNMAP_NOTIFY", dev.notify, index, EVENT, channels.port())
    dev.unmap(index, 1)
    t.expect(channels.raised(SOON), ["event"], "events")


@case("notify.port-of-another-file", ["N3"], "any open evtchn file's port may be armed", EVENTS)
def port_other_file(t: Context) -> None:
    """A wrong kernel accepts only ports of one of the caller's files."""
    _armed_with(t, Channels(t))


@case(
    "notify.port-of-another-process",
    ["N3"],
    "a port that another process bound may be armed",
    (*EVENTS, "fork"),
)
def port_other_process(t: Context) -> None:
    """A wrong kernel accepts only ports of the caller."""
    _armed_with(t, Channels(t, owner=t.worker.fork()))


@case(
    "notify.port-not-yet-connected",
    ["N3"],
    "an unbound port may be armed before it is connected",
    EVENTS,
)
def port_unconnected(t: Context) -> None:
    """A wrong kernel remembers the state of the port when it was armed."""
    channels = Channels(t)
    dev = t.gntdev()
    index = dev.map_any()
    port = t.worker.bind_unbound(channels.own, channels.domid)
    t.accepted("armed while unbound", dev.notify, index, EVENT, port)
    channels.connect(port)
    dev.unmap(index, 1)
    t.expect(channels.raised(SOON), ["event"], "events")


@case("notify.port-never-connected", ["N3"], "an event without a receiver goes nowhere", EVENTS)
def port_alone(t: Context) -> None:
    """A wrong kernel fails UNMAP, or complains in the log."""
    dev = t.gntdev()
    index = dev.map_any()
    dev.notify(index, EVENT, t.worker.bind_unbound(t.worker.open("evtchn"), 0))
    t.accepted("UNMAP", dev.unmap, index, 1)


@case("notify.other-end-gone", ["N3"], "an event whose other end was closed goes nowhere", EVENTS)
def other_end_gone(t: Context) -> None:
    """A wrong kernel fails UNMAP, or sends to a port that now belongs to somebody else."""
    watched = Watched(t)
    t.worker.close(watched.channels.watch)
    other = Channels(t)
    other.port("not for us")
    watched.munmap()
    t.accepted("UNMAP", watched.unmap)
    t.expect(other.raised(), [], "events at a channel made since")
    t.expect(around(t.peer.read(0, BYTE - 1, 3)), "cleared", "byte")


@case("notify.after-unmap", ["N4"], "a map removed by UNMAP is ENOENT, even while mmapped", NOTIFY)
def after_unmap(t: Context) -> None:
    """A wrong kernel finds the map by its mapping."""
    dev, index, _, _ = t.mapped()
    dev.unmap(index, 1)
    t.refused("ENOENT", "SET_UNMAP_NOTIFY", dev.notify, index)


@case("notify.before-mmap", ["N4"], "a map can be armed before it is mmapped", EVENTS)
def before_mmap(t: Context) -> None:
    """A wrong kernel wants a mapping, as FreeBSD's base driver does."""
    watched = Watched(t, mmap=False)
    watched.address = watched.dev.mmap(1, watched.index)
    t.expect(watched.look(), KEPT, "mmapped")
    watched.end()
    t.expect(watched.look(SOON), FIRED, "after UNMAP")


@case(
    "notify.refused-drops-port",
    ["N4", "N5"],
    "a refused request does not hold the event channel open",
    (*EVENTS, "evtchn_status"),
)
def refused_drops(t: Context) -> None:
    """A wrong kernel leaks the reference that it took before it looked for the map."""
    dev, index, _, _ = t.mapped(prot="r")
    fd = t.worker.open("evtchn")
    port = t.worker.bind_unbound(fd, 0)
    t.refused("ENOENT", "unknown index", dev.notify, index + PAGE, EVENT, port)
    t.refused("EINVAL", "CLEAR_BYTE of a read-only mapping", dev.notify, index, BOTH, port)
    t.worker.unbind(fd, port)
    status = t.worker.agent.peer(f"evtchn_status {port}").text("status")
    t.expect(status, "closed", "port after unbind")


@case("notify.clear-read-only", ["N5"], "CLEAR_BYTE of a read-only mapping is EINVAL", EVENTS)
def clear_read_only(t: Context) -> None:
    """A wrong kernel stores into a read-only grant, which Xen discards or turns into a fault."""
    watched = Watched(t, prot="r", arm=False)
    for action in (abi.CLEAR_BYTE, BOTH):
        t.refused("EINVAL", f"action {action}", watched.arm, action)
    t.accepted("SEND_EVENT alone", watched.arm, EVENT)
    watched.end()
    t.expect(watched.look(SOON), "kept, not mapped, event", "after UNMAP")


@case(
    "notify.clear-after-read-only",
    ["N5"],
    "CLEAR_BYTE of a map whose read-only mapping is gone is EINVAL, too",
    NOTIFY,
)
def clear_after_read_only(t: Context) -> None:
    """A wrong kernel checks the mapping, not how the grants were mapped."""
    dev, index, address, _ = t.mapped(prot="r")
    t.worker.munmap(address)
    t.refused("EINVAL", "after munmap", dev.notify, index)
    bad = dev.map([t.peer.unused_ref()])
    t.refused("EINVAL", "mmap r of a bad reference", dev.mmap, 1, bad, "r")
    t.refused("EINVAL", "after the failed mmap", dev.notify, bad)


@case(
    "notify.clear-later-read-only",
    ["N6"],
    "arming and then mmapping read-only is not refused, and the byte stays",
    (*EVENTS, "late_read_only"),
)
def clear_later_read_only(t: Context) -> None:
    """A wrong kernel faults on its own store, or loses the event with the byte."""
    watched = Watched(t, mmap=False)
    watched.address = t.accepted("mmap r", watched.dev.mmap, 1, watched.index, "r")
    watched.end()
    t.expect(watched.look(SOON), "kept, not mapped, event", "after UNMAP")


@case("notify.one-per-map", ["N7"], "a map has one notification, however many pages", EVENTS)
def one_per_map(t: Context) -> None:
    """A wrong kernel keeps one for each page, as gntalloc does."""
    watched = Watched(t, count=3, arm=False)
    channels = watched.channels
    second = channels.port("second")
    for page, port in ((0, watched.port), (2, second)):
        watched.dev.notify(watched.index + page * PAGE + BYTE, BOTH, port)
    watched.end()
    t.expect(
        [around(t.peer.read(page, BYTE - 1, 3)) for page in range(3)],
        ["kept", "kept", "cleared"],
        "bytes",
    )
    t.expect(channels.raised(SOON), ["second"], "events")


@case("notify.byte-anywhere", ["N7"], "any byte of any page of the map may be armed", NOTIFY)
def byte_anywhere(t: Context) -> None:
    """A wrong kernel clears the first page, a whole word, or a byte beside it."""
    refs = t.peer.grants(3)
    dev = t.gntdev()
    for offset in (0, PAGE - 1, PAGE, 3 * PAGE - 1):
        index = dev.map(refs)
        address = dev.mmap(3, index)
        t.worker.fill(address, 3 * PAGE, MARK)
        dev.notify(index + offset)
        t.worker.munmap(address, 3 * PAGE)
        dev.unmap(index, 3)
        pages = b"".join(t.peer.read(page, 0, PAGE) for page in range(3))
        zeros = [at for at, byte in enumerate(pages) if byte != MARK]
        t.expect(zeros, [offset], f"bytes changed, offset 0x{offset:x}")


@case("notify.clear-unknown-index", ["N9"], "action 0 at an unknown index is ENOENT", NOTIFY)
def clear_unknown(t: Context) -> None:
    """A wrong kernel finds nothing to do and returns success."""
    dev = t.gntdev()
    index = dev.map_any()
    t.refused("ENOENT", "behind the map", dev.notify, index + PAGE, 0)


# Firing


@case("notify.munmap-then-unmap", ["2.6", "V1"], "munmap, then UNMAP: all at UNMAP", EVENTS)
def munmap_unmap(t: Context) -> None:
    """A wrong kernel fires at munmap, which a PV Dom0 does with the byte (K7)."""
    watched = Watched(t)
    t.expect(watched.look(), KEPT, "armed")
    watched.munmap()
    t.expect(watched.look(), KEPT, "after munmap", {"K7": PV_UNMAPPED})
    watched.unmap()
    t.expect(watched.look(SOON), FIRED, "after UNMAP")


@case("notify.unmap-then-munmap", ["2.6", "U6"], "UNMAP, then munmap: all at munmap", EVENTS)
def unmap_munmap(t: Context) -> None:
    """A wrong kernel fires while the pages can still be written."""
    watched = Watched(t)
    watched.unmap()
    t.expect(watched.look(), KEPT, "after UNMAP")
    t.accepted("store after UNMAP", t.worker.poke, watched.address, b"x")
    watched.munmap()
    t.expect(watched.look(SOON), FIRED, "after munmap")


@case("notify.never-mmapped", ["2.6"], "the event is sent for a map that was never mmapped", EVENTS)
def never_mmapped(t: Context) -> None:
    """A wrong kernel fires only after an unmap hypercall, or stores to an unmapped page."""
    watched = Watched(t, mmap=False)
    watched.unmap()
    t.expect(watched.look(SOON), "kept, not mapped, event", "after UNMAP")


@case("notify.failed-mmap", ["2.6"], "after a failed mmap the map is still armed", EVENTS)
def failed_mmap(t: Context) -> None:
    """A wrong kernel drops the notification with the mapping."""
    channels = Channels(t)
    refs = [t.peer.grant(0), t.peer.unused_ref()]
    dev = t.gntdev()
    index = dev.map(refs)
    dev.notify(index, EVENT, channels.port())
    t.refused("EINVAL", "mmap of a bad reference", dev.mmap, 2, index)
    t.expect(channels.raised(), [], "events after mmap")
    dev.unmap(index, 2)
    t.expect(channels.raised(SOON), ["event"], "events after UNMAP")


@case("notify.partial-munmap", ["2.6", "V2"], "the last piece of a mapping fires", EVENTS)
def partial(t: Context) -> None:
    """A wrong kernel fires with the first piece, or with the armed page's."""
    watched = Watched(t, count=3, page=1)
    watched.unmap()
    for page in (1, 0):
        t.worker.munmap(watched.address + page * PAGE, PAGE)
        t.expect(watched.look(), KEPT, f"page {page} munmapped", {"K7": PV_UNMAPPED})
    t.worker.munmap(watched.address + 2 * PAGE, PAGE)
    t.expect(watched.look(SOON), FIRED, "all munmapped")


@case(
    "notify.order",
    ["2.6", "Z4"],
    "first the byte, then the unmapping, then the event",
    (*EVENTS, "pin"),
)
def order(t: Context) -> None:
    """A wrong kernel notifies the peer too early: it reuses a page that is still mapped."""
    watched = Watched(t, 2)
    # While the pipe holds the page the driver cannot unmap it, so this state lasts.
    held = InFlight(t, watched.address)
    watched.end()
    t.expect(watched.look(), "cleared, mapped, no event", "after UNMAP, the page still in use")
    held.finish()
    t.expect(watched.channels.raised(SOON), ["event"], "events when it is not")
    t.expect(watched.look(), "cleared, not mapped, no event", "when the event is there")


# Lifetimes


@case("notify.close", ["2.6", "O8"], "close of an armed file fires", EVENTS)
def close(t: Context) -> None:
    """A wrong kernel forgets the notifications of a closed file."""
    watched = Watched(t)
    watched.munmap()
    t.expect(watched.look(), KEPT, "after munmap", {"K7": PV_UNMAPPED})
    watched.dev.close()
    t.expect(watched.look(SOON), FIRED, "after close")


@case("notify.close-never-mmapped", ["2.6", "O8"], "close fires for a map never mmapped", EVENTS)
def close_never(t: Context) -> None:
    """A wrong kernel frees such a map without checking its notification."""
    watched = Watched(t, mmap=False)
    watched.dev.close()
    t.expect(watched.look(SOON), "kept, not mapped, event", "after close")


@case(
    "notify.release-in-index-order",
    ["2.6", "O8", "O9"],
    "a file's maps fire in the order of their indices",
    EVENTS,
)
def release_order(t: Context) -> None:
    """A wrong kernel goes by age, or in reverse."""
    channels = Channels(t)
    dev = t.gntdev()
    # Neither the ports nor the calls are in the order of the indices.
    indices = [dev.map_any(2) for _ in range(4)]
    for name in (2, 0, 3, 1):
        dev.notify(indices[name], EVENT, channels.port(str(name)))
    dev.unmap(indices[0], 2)
    t.expect(channels.raised(SOON), ["0"], "events after UNMAP of the first")
    # The youngest map gets the hole, the lowest index.
    again = dev.map_any()
    dev.notify(again, EVENT, channels.port("youngest"))
    dev.close()
    channels.expect_in_order(t, ["youngest", "1", "2", "3"], "events after close")


@case(
    "notify.release-waits-for-others",
    ["2.6", "O9"],
    "after close, maps without a mapping wait for the file",
    EVENTS,
)
def release_waits(t: Context) -> None:
    """A wrong kernel drops at close what has no mapping left."""
    channels = Channels(t)
    dev = t.gntdev()
    a = Watched(t, dev=dev, channels=channels)
    b = dev.map_any()
    dev.notify(b, EVENT, channels.port("unmapped one"))
    dev.close()
    t.expect(channels.raised(), [], "events after close")
    a.munmap()
    t.expect(channels.gathered(2), ["event", "unmapped one"], "events after munmap")


@case("notify.dup", ["2.6", "O10"], "a second descriptor keeps the file and its maps", EVENTS)
def dup(t: Context) -> None:
    """A wrong kernel fires at any close."""
    watched = Watched(t)
    other = t.worker.dup(watched.dev.fd)
    watched.munmap()
    watched.dev.close()
    t.expect(watched.look(), KEPT, "one of two closed", {"K7": PV_UNMAPPED})
    t.worker.close(other)
    t.expect(watched.look(SOON), FIRED, "both closed")


@case(
    "notify.port-unbound-first",
    ["2.6", "7.6"],
    "the event is sent even if the port was unbound before",
    EVENTS,
)
def unbound_first(t: Context) -> None:
    """Linux holds the port; a kernel that does not must at least clear the byte (K24)."""
    watched = Watched(t)
    t.worker.unbind(watched.channels.own, watched.port)
    watched.end()
    diff = {"K24": "cleared, not mapped, no event"}
    wait = 0 if "K24" in t.target.differences else SOON
    t.expect(watched.look(wait), FIRED, "after UNMAP", diff)


@case(
    "notify.child-holds",
    ["2.6", "V7", "V8"],
    "a child's copy of mapping and descriptor keeps everything",
    (*EVENTS, "fork"),
)
def child_holds(t: Context) -> None:
    """A wrong kernel fires when the parent is done."""
    watched = Watched(t)
    child = t.worker.fork()
    watched.munmap()
    t.expect(watched.look(), KEPT, "munmapped by the parent", {"K7": PV_UNMAPPED})
    watched.dev.close()
    t.expect(watched.look(), KEPT, "closed, too", {"K7": PV_UNMAPPED})
    child.exit()
    t.worker.wait(child)
    t.expect(watched.look(SOON), FIRED, "child gone")


@case(
    "notify.child-mapping-holds",
    ["2.6", "V7"],
    "a child's copy of the mapping alone keeps everything",
    (*EVENTS, "fork"),
)
def child_mapping(t: Context) -> None:
    """A wrong kernel counts descriptors; on PV a child inherits no mapping (K7)."""
    watched = Watched(t)
    child = t.worker.fork()
    child.close(watched.dev.fd)
    watched.end()
    t.expect(watched.look(), KEPT, "parent done", {"K7": FIRED})
    child.exit()
    t.worker.wait(child)
    seen = {"K7": "cleared, not mapped, no event"}
    t.expect(watched.look(0 if "K7" in t.target.differences else SOON), FIRED, "child gone", seen)


@case(
    "notify.descriptor-passed",
    ["2.6", "O10"],
    "a descriptor passed to another process keeps the file",
    (*EVENTS, "fork"),
)
def passed(t: Context) -> None:
    """A wrong kernel ties the maps to the process that made them."""
    child = t.worker.fork()
    watched = Watched(t)
    fd = t.worker.send_fd(child, watched.dev.fd)
    watched.munmap()
    watched.dev.close()
    t.expect(watched.look(), KEPT, "closed by the sender", {"K7": PV_UNMAPPED})
    Gntdev(t, child, fd).unmap(watched.index, 1)
    t.expect(watched.look(SOON), FIRED, "UNMAP by the receiver")


@case(
    "notify.exec-keeps",
    ["2.6", "O12"],
    "exec drops the mapping and leaves an inherited file armed",
    (*EVENTS, "exec"),
)
def exec_keeps(t: Context) -> None:
    """A wrong kernel fires when the old address space goes."""
    watched = Watched(t)
    t.worker.exec()
    t.expect(watched.look(), KEPT, "after exec", {"K7": PV_UNMAPPED})
    watched.unmap()
    t.expect(watched.look(SOON), FIRED, "after UNMAP by the new program")


@case(
    "notify.exec-closes",
    ["2.6", "O12"],
    "exec fires for a file that is closed by it",
    (*EVENTS, "exec"),
)
def exec_closes(t: Context) -> None:
    """A wrong kernel loses the notification between address space and descriptors."""
    watched = Watched(t, dev=t.gntdev("cloexec"))
    t.worker.exec()
    t.expect(watched.look(SOON), FIRED, "after exec")
