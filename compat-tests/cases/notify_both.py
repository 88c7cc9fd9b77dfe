# SPDX-License-Identifier: BSD-2-Clause
"""SET_UNMAP_NOTIFY, as far as the two devices agree: each body is a case for each device."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from agent.client import PAGE

from . import abi, notify, share_notify
from .events import SOON, Shared, Watched
from .framework import Context, case, section

EVENT = abi.SEND_EVENT
NOTIFY = ("notify",)
EVENTS = ("notify", "evtchn")
STATUS = (*EVENTS, "evtchn_status")
#: Placeholder for what a device needs for checking a page that is no longer mapped.
LOOKS = ("looks",)


@dataclass(frozen=True)
class Side:
    """One of the devices: how its pages are listed, armed, checked and removed."""

    group: str
    section: tuple[str, int]
    command: str
    #: The command that removes a page from its file.
    end: str
    looks: tuple[str, ...]
    device: Callable[[Context], Any]
    #: Lists this many pages more; returns their index.
    listed: Callable[[Any, int], int]
    drop: Callable[[Any, int], None]
    #: A page that can be checked this often, armed or not.
    page: Callable[[Context, int, bool], Any]
    #: The result of a check: byte, whether the page is mapped, event.
    says: Callable[[str, bool, str], str]

    def one(self, t: Context) -> tuple[Any, int]:
        dev = self.device(t)
        return dev, self.listed(dev, 1)

    def armed(self, t: Context, looks: int = 1, arm: bool = True) -> Any:
        return self.page(t, looks, arm)


GNTDEV = Side(
    "notify", notify.SECTION, abi.SET_UNMAP_NOTIFY, "UNMAP", EVENTS,
    device=lambda t: t.gntdev(),
    listed=lambda dev, count: dev.map_any(count),
    drop=lambda dev, index: dev.unmap(index, 1),
    page=lambda t, looks, arm: Watched(t, arm=arm),
    says=lambda byte, granted, event: f"{byte}, {'' if granted else 'not '}mapped, {event}",
)  # fmt: skip
GNTALLOC = Side(
    # A page that is no longer granted can be checked only if somebody holds it.
    "share-notify", share_notify.SECTION, abi.GNTALLOC_SET_UNMAP_NOTIFY, "DEALLOC",
    (*EVENTS, "hold"),
    device=lambda t: t.gntalloc(),
    listed=lambda dev, count: dev.alloc(count)[0],
    drop=lambda dev, index: dev.dealloc(index, 1),
    page=lambda t, looks, arm: Shared(t, looks=looks, arm=arm),
    says=lambda byte, granted, event: f"{byte}, {event}",
)  # fmt: skip

Body = Callable[[Context, Side], None]


def both(
    names: str, gntdev: Sequence[str], gntalloc: Sequence[str], titles: str, needs: Sequence[str]
) -> Callable[[Body], Body]:
    """Makes a case for each device.  Name and title may differ, "gntdev's|other"."""

    def register(body: Body) -> Body:
        for n, (side, rows) in enumerate(((GNTDEV, gntdev), (GNTALLOC, gntalloc))):
            name, title = names.split("|")[-1 if n else 0], titles.split("|")[-1 if n else 0]
            section(*side.section)
            wants = side.looks + tuple(needs[1:]) if needs[0] == LOOKS[0] else needs
            case(f"{side.group}.{name}", rows, title, wants)(_of(side, body))
        return body

    return register


def _of(side: Side, body: Body) -> Callable[[Context], None]:
    def run(t: Context) -> None:
        body(t, side)

    run.__doc__ = body.__doc__
    return run


# The request


@both("null-argument", ["N1"], ["Y1"], "SET_UNMAP_NOTIFY of a null pointer is EFAULT", NOTIFY)
def null_argument(t: Context, side: Side) -> None:
    """A wrong kernel reads the argument without checking the address."""
    t.refused("EFAULT", "SET_UNMAP_NOTIFY at 0", side.device(t).ioctl, side.command, 0)


@both(
    "argument-cut-short",
    ["N1"],
    ["Y1"],
    "SET_UNMAP_NOTIFY is EFAULT when the struct is not all readable",
    NOTIFY,
)
def argument_cut(t: Context, side: Side) -> None:
    """A wrong kernel reads the 12 bytes that it needs for CLEAR_BYTE."""
    dev, index = side.one(t)
    address = t.page_end(abi.NOTIFY.pack(index, abi.CLEAR_BYTE, 0)[:12])
    t.refused("EFAULT", "12 of 16 bytes", dev.ioctl, side.command, address)


@both("unknown-action", ["N2"], ["Y3"], "an action with unknown bits is EINVAL", NOTIFY)
def unknown_action(t: Context, side: Side) -> None:
    """A wrong kernel ignores bits that it does not know."""
    dev, index = side.one(t)
    for action in (4, 5, 0x80000000, 0xFFFFFFFF):
        t.refused("EINVAL", f"action 0x{action:x}", dev.notify, index, action)


@both(
    "port-of-the-kernel",
    ["N3"],
    ["Y4"],
    "ports of the kernel's own timers and interrupts are EINVAL",
    STATUS,
)
def port_kernel(t: Context, side: Side) -> None:
    """A wrong kernel lets a user process raise the kernel's own interrupts."""
    dev, index = side.one(t)
    agent = t.worker.agent
    low = agent.call_all([f"peer evtchn_status {port}" for port in range(1, 13)])
    own = [n for n, reply in enumerate(low, 1) if reply.text("status") in ("virq", "ipi", "pirq")]
    t.expect(bool(own), True, "the kernel has such ports")
    t.expect(
        {t.attempt(dev.notify, index, EVENT, port) for port in own}, {"EINVAL"}, "SET_UNMAP_NOTIFY"
    )


@both(
    "port-unknown-to-evtchn",
    ["N3"],
    ["Y4"],
    "a port that was not bound through /dev/xen/evtchn is EINVAL",
    STATUS,
)
def port_unknown(t: Context, side: Side) -> None:
    """Linux knows who bound a port; a kernel that only asks Xen accepts it (K15)."""
    dev, index = side.one(t)
    agent = t.worker.agent
    port = agent.peer("evtchn_alloc 0").int("port")
    seen = t.attempt(dev.notify, index, EVENT, port)
    dev.notify(index, 0)
    agent.peer(f"evtchn_close {port}")
    t.expect(seen, "EINVAL", "SET_UNMAP_NOTIFY", {"K15": "ok"})


@both("port-ignored", ["N10"], ["Y5"], "CLEAR_BYTE alone ignores the port", NOTIFY)
def port_ignored(t: Context, side: Side) -> None:
    """A wrong kernel checks a number that it does not use."""
    dev, index = side.one(t)
    for port in (0, 1, 0xFFFFFFFF):
        t.accepted(f"port 0x{port:x}", dev.notify, index, abi.CLEAR_BYTE, port)


@both(
    "refused-port-keeps-earlier|refused-keeps-earlier",
    ["N3", "N7"],
    ["Y3", "Y4", "Y5"],
    "a refused request leaves the earlier notification in force",
    LOOKS,
)
def refused_keeps(t: Context, side: Side) -> None:
    """A wrong kernel drops the old notification before it checks the new one."""
    page = side.armed(t)
    t.refused("EINVAL", "port 0", page.dev.notify, page.index, EVENT, 0)
    t.refused("EINVAL", "action 4", page.dev.notify, page.index, 4)
    page.end()
    t.expect(page.look(SOON), side.says("cleared", False, "event"), f"after {side.end}")


@both(
    "unknown-index",
    ["N4"],
    ["Y2"],
    "an index without a map is ENOENT|an index without a page is ENOENT",
    NOTIFY,
)
def unknown_index(t: Context, side: Side) -> None:
    """A wrong kernel answers EINVAL, as FreeBSD's base driver and gntalloc's DEALLOC do."""
    dev = side.device(t)
    t.refused("ENOENT", "empty file", dev.notify, 0)
    index = side.listed(dev, 2)
    t.refused("ENOENT", "first byte behind the pages", dev.notify, index + 2 * PAGE)
    t.refused("ENOENT", "far behind", dev.notify, 0xFFFFFFFFFFFFFFFF)


@both(
    "other-file",
    ["N4"],
    ["Y2"],
    "a map of another file is ENOENT|a page of another file is ENOENT",
    NOTIFY,
)
def other_file(t: Context, side: Side) -> None:
    """A wrong kernel looks up over all files."""
    one, index = side.one(t)
    two = side.device(t)
    t.refused("ENOENT", "through the other file", two.notify, index)
    t.accepted("through its own", one.notify, index)


@both("last-call-wins", ["N7"], ["Y5"], "a later call replaces action, byte and port", LOOKS)
def last_wins(t: Context, side: Side) -> None:
    """A wrong kernel combines what the calls ask for."""
    page = side.armed(t)
    page.dev.notify(page.index, EVENT, page.channels.port("second"))
    page.end()
    t.expect(page.look(SOON), side.says("kept", False, "second"), f"after {side.end}")


@both(
    "replaced-port-is-free",
    ["N7", "N8"],
    ["Y5", "Y6"],
    "a port that was replaced is no longer held",
    STATUS,
)
def replaced_free(t: Context, side: Side) -> None:
    """A wrong kernel leaks the reference on the old event channel."""
    dev, index = side.one(t)
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


@both(
    "armed-port-is-held",
    ["N3", "N7"],
    ["Y4", "Y5"],
    "an armed port stays open after unbind, until the notification is gone"
    "|an armed port stays open after unbind, until the page is gone",
    STATUS,
)
def armed_held(t: Context, side: Side) -> None:
    """Linux holds a reference; FreeBSD offers none that is safe to hold (K24)."""
    dev, index = side.one(t)
    fd = t.worker.open("evtchn")
    port = t.worker.bind_unbound(fd, 0)
    dev.notify(index, EVENT, port)
    t.worker.unbind(fd, port)

    def status() -> str:
        return t.worker.agent.peer(f"evtchn_status {port}").text("status")

    t.expect(status(), "unbound", "port after unbind", {"K24": "closed"})
    side.drop(dev, index)
    t.expect(status(), "closed", f"port after {side.end}")


@both("clear", ["N8"], ["Y6"], "action 0 takes the notification back", LOOKS)
def clear(t: Context, side: Side) -> None:
    """A wrong kernel refuses it, or keeps the notification."""
    page = side.armed(t)
    page.arm(action=0)
    page.end()
    t.expect(page.look(), side.says("kept", False, "no event"), f"after {side.end}")


@both("clear-never-armed", ["N8"], ["Y6"], "action 0 succeeds if nothing is armed", NOTIFY)
def clear_never(t: Context, side: Side) -> None:
    """A wrong kernel answers ENOENT."""
    dev, index = side.one(t)
    t.accepted("action 0, garbage port", dev.notify, index + 5, 0, 0xDEADBEEF)


# Firing


@both("event-only", ["2.6"], ["2.12"], "SEND_EVENT alone leaves the page as it is", LOOKS)
def event_only(t: Context, side: Side) -> None:
    """A wrong kernel clears the byte that the index points to."""
    page = side.armed(t, arm=False)
    page.arm(action=EVENT)
    page.end()
    t.expect(page.look(SOON), side.says("kept", False, "event"), f"after {side.end}")


@both("byte-only", ["2.6"], ["2.12"], "CLEAR_BYTE alone sends no event", LOOKS)
def byte_only(t: Context, side: Side) -> None:
    """A wrong kernel sends to the port of an action that was not asked for."""
    page = side.armed(t, arm=False)
    page.arm(action=abi.CLEAR_BYTE)
    page.end()
    t.expect(page.look(), side.says("cleared", False, "no event"), f"after {side.end}")


@both(
    "close-while-mapped",
    ["2.6", "O9"],
    ["2.12", "O9"],
    "after close, the last munmap fires|after close, the munmap fires",
    LOOKS,
)
def close_mapped(t: Context, side: Side) -> None:
    """A wrong kernel fires at close, while the mapping is in use."""
    page = side.armed(t, looks=2)
    page.dev.close()
    t.expect(page.look(), side.says("kept", True, "no event"), "after close")
    t.accepted("store after close", t.worker.poke, page.address, b"x")
    page.munmap()
    t.expect(page.look(SOON), side.says("cleared", False, "event"), "after munmap")


@both(
    "event-channel-closed-first",
    ["2.6", "7.6"],
    ["2.12", "7.6"],
    "the event is sent even if the event channel's file was closed before",
    LOOKS,
)
def evtchn_first(t: Context, side: Side) -> None:
    """Linux holds the port; a kernel that does not must at least clear the byte (K24)."""
    page = side.armed(t)
    t.worker.close(page.channels.own)
    page.end()
    # If the event is lost, there is no use in waiting for it.
    seen = page.look(0 if "K24" in t.target.differences else SOON)
    lost = side.says("cleared", False, "no event")
    t.expect(seen, side.says("cleared", False, "event"), f"after {side.end}", {"K24": lost})


@both(
    "child-leaves",
    ["2.6", "V8"],
    ["2.12", "B10"],
    "a child that inherited everything exits, and nothing changes",
    (*LOOKS, "fork"),
)
def child_leaves(t: Context, side: Side) -> None:
    """A wrong kernel treats the child's end as the owner's."""
    page = side.armed(t, looks=3)
    for signal in ("", "SIGKILL"):
        child = t.worker.fork()
        if signal:
            t.worker.kill(child, signal)
        else:
            child.exit()
        t.worker.wait(child)
        kept = side.says("kept", True, "no event")
        t.expect(page.look(), kept, f"child ended by {signal or 'exit'}")
    page.end()
    t.expect(page.look(SOON), side.says("cleared", False, "event"), f"after {side.end}")
