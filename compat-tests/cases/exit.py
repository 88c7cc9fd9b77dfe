# SPDX-License-Identifier: BSD-2-Clause
"""How the other side learns that a process has died.

The processes are shaped like libxenvchan's: they open the grant device before the event channel
device, the liveness byte is in a control page, and ring pages are mapped beside it.
"""

from __future__ import annotations

from agent.client import PAGE, Worker

from . import abi
from .events import BOTH, BYTE, FIRED, KEPT, SOON, Channels, Held, Shared, Watched, around
from .framework import Context, Gntalloc, Gntdev, case, section

section("The end of a process, and libxenvchan", 160)

NEEDS = ("notify", "evtchn", "fork")
HELD = (*NEEDS, "hold")
EVENT = abi.SEND_EVENT


def end(t: Context, child: Worker, how: str) -> None:
    """Ends a child, by exit or by a signal, and waits until nothing of it is left."""
    if how == "exit":
        child.exit()
    else:
        t.worker.kill(child, how)
    t.worker.wait(child)


def mapping_child(t: Context) -> tuple[Worker, Watched]:
    """A child that maps an armed page; its grant device has the lower descriptor."""
    child = t.worker.fork()
    dev = Gntdev(t, child, child.open("gntdev"))
    return child, Watched(t, dev=dev, channels=Channels(t, owner=child))


def granting_child(t: Context, looks: int = 1) -> tuple[Worker, Shared]:
    """A child that grants an armed page, which a pipe of ours holds."""
    held = Held(t, looks)
    child = t.worker.fork()
    dev = Gntalloc(t, child, child.open("gntalloc"))
    channels = Channels(t, owner=child)
    return child, Shared(t, worker=child, dev=dev, channels=channels, held=held)


@case("exit.nothing-armed", ["2.17"], "a process that armed nothing notifies nobody", NEEDS)
def nothing_armed(t: Context) -> None:
    """Shows that the other cases see the notification and not the end of the event channel."""
    child = t.worker.fork()
    dev = Gntdev(t, child, child.open("gntdev"))
    watched = Watched(t, dev=dev, channels=Channels(t, owner=child), arm=False)
    end(t, child, "SIGKILL")
    t.expect(watched.look(30), "kept, not mapped, no event", "child gone")


@case("exit.mapping", ["2.17", "O11"], "exit fires for a mapped page", NEEDS)
def exit_mapping(t: Context) -> None:
    """A wrong kernel closes the event channel first and has nowhere to send to."""
    child, watched = mapping_child(t)
    t.expect(watched.look(), KEPT, "child alive")
    end(t, child, "exit")
    t.expect(watched.look(SOON), FIRED, "child gone")


@case("exit.mapping-killed", ["2.17", "O11"], "SIGKILL fires for a mapped page", NEEDS)
def kill_mapping(t: Context) -> None:
    """A wrong kernel relies on the process to clean up."""
    child, watched = mapping_child(t)
    end(t, child, "SIGKILL")
    t.expect(watched.look(SOON), FIRED, "child gone")


@case("exit.mapping-crashed", ["2.17", "O11"], "a crash fires for a mapped page", NEEDS)
def crash_mapping(t: Context) -> None:
    """A wrong kernel loses the notification in its core dump code."""
    child, watched = mapping_child(t)
    end(t, child, "SIGSEGV")
    t.expect(watched.look(SOON), FIRED, "child gone")


@case(
    "exit.event-channel-opened-first",
    ["2.17", "7.6"],
    "the order in which the devices were opened does not matter",
    NEEDS,
)
def opened_first(t: Context) -> None:
    """Linux holds the port; FreeBSD closes descriptors in order, before the address space goes
    (K9)."""
    child = t.worker.fork()
    watched = Watched(t, channels=Channels(t, owner=child), worker=child)
    end(t, child, "SIGKILL")
    wait = 30 if "K9" in t.target.differences else SOON
    lost = {"K9": "cleared, not mapped, no event"}
    t.expect(watched.look(wait), FIRED, "child gone", lost)


@case("exit.never-mmapped", ["2.17", "O11"], "a map without a mapping fires, too", NEEDS)
def exit_never_mmapped(t: Context) -> None:
    """A wrong kernel looks at the address space only."""
    child = t.worker.fork()
    dev = Gntdev(t, child, child.open("gntdev"))
    watched = Watched(t, dev=dev, channels=Channels(t, owner=child), mmap=False)
    end(t, child, "SIGKILL")
    t.expect(watched.look(SOON), "kept, not mapped, event", "child gone")


@case(
    "exit.after-close",
    ["2.17", "O9"],
    "a mapping whose descriptor was closed fires at the end of the process",
    NEEDS,
)
def exit_after_close(t: Context) -> None:
    """A wrong kernel looks at the descriptors only."""
    child, watched = mapping_child(t)
    watched.dev.close()
    end(t, child, "SIGKILL")
    t.expect(watched.look(SOON), FIRED, "child gone")


@case(
    "exit.after-unmap",
    ["2.17", "U6"],
    "a mapping whose map was UNMAPed fires at the end of the process",
    NEEDS,
)
def exit_after_unmap(t: Context) -> None:
    """A wrong kernel looks at the listed maps only."""
    child, watched = mapping_child(t)
    watched.unmap()
    end(t, child, "SIGKILL")
    t.expect(watched.look(SOON), FIRED, "child gone")


@case(
    "exit.index-order",
    ["2.17", "O11"],
    "the maps of a dying process fire in the order of their indices",
    NEEDS,
)
def exit_order(t: Context) -> None:
    """A wrong kernel goes by age or address, or backwards."""
    child = t.worker.fork()
    dev = Gntdev(t, child, child.open("gntdev"))
    channels = Channels(t, owner=child)
    indices = [dev.map([ref]) for ref in t.peer.grants(4)]
    # The highest index gets the first mapping; one has none.
    for name in (3, 0, 1):
        dev.mmap(1, indices[name])
    for name in (2, 0, 3, 1):
        dev.notify(indices[name] + BYTE, BOTH, channels.port(str(name)))
    end(t, child, "SIGKILL")
    channels.expect_in_order(t, ["0", "1", "2", "3"], "events")


@case(
    "exit.parent-holds",
    ["2.17", "V8"],
    "what a parent still maps does not fire when the child that armed it dies",
    NEEDS,
)
def parent_holds(t: Context) -> None:
    """A wrong kernel fires early for a mapping that is shared with another process."""
    watched = Watched(t, arm=False)
    child = t.worker.fork()
    Gntdev(t, child, watched.dev.fd).notify(watched.index + BYTE, BOTH, watched.port)
    end(t, child, "SIGKILL")
    t.expect(watched.look(30), KEPT, "child gone")
    watched.end()
    t.expect(watched.look(SOON), FIRED, "after UNMAP")


@case(
    "exit.page-in-use",
    ["2.17", "Z4"],
    "a page in use when the process dies: byte at once, event when it is free",
    (*NEEDS, "pin", "vmsplice"),
)
def exit_in_use(t: Context) -> None:
    """A wrong kernel unmaps a page that a device is writing to, or forgets to send the event."""
    out, into = t.worker.pipe()
    child, watched = mapping_child(t)
    child.vmsplice(into, watched.address, 8)
    end(t, child, "SIGKILL")
    t.expect(watched.look(), "cleared, mapped, no event", "child gone")
    t.worker.read(out, 8)
    t.expect(watched.channels.raised(SOON), ["event"], "events when the page is free")
    t.expect(watched.look(), "cleared, not mapped, no event", "when the event is there")


@case("exit.granting", ["2.17", "O11"], "exit fires for a granted page", HELD)
def exit_granting(t: Context) -> None:
    """A wrong kernel closes the event channel first and has nowhere to send to."""
    child, shared = granting_child(t, looks=2)
    t.expect(shared.look(), "kept, no event", "child alive")
    end(t, child, "exit")
    t.expect(shared.look(SOON), "cleared, event", "child gone")


@case("exit.granting-killed", ["2.17", "O11"], "SIGKILL fires for a granted page", HELD)
def kill_granting(t: Context) -> None:
    """A wrong kernel relies on the process to clean up."""
    child, shared = granting_child(t)
    end(t, child, "SIGKILL")
    t.expect(shared.look(SOON), "cleared, event", "child gone")


@case(
    "exit.granting-after-dealloc",
    ["2.17", "D7"],
    "a mapped page after DEALLOC fires at the end of the process",
    HELD,
)
def granting_after_dealloc(t: Context) -> None:
    """A wrong kernel looks at the listed pages only."""
    child, shared = granting_child(t)
    shared.dealloc()
    end(t, child, "SIGKILL")
    t.expect(shared.look(SOON), "cleared, event", "child gone")


@case(
    "exit.granting-parent-holds",
    ["2.17", "B10"],
    "what a parent still maps does not fire when a child with a copy dies",
    HELD,
)
def granting_parent_holds(t: Context) -> None:
    """A wrong kernel fires early for a mapping that is shared with another process."""
    shared = Shared(t, looks=2, arm=False)
    child = t.worker.fork()
    Gntalloc(t, child, shared.dev.fd).notify(shared.index + BYTE, BOTH, shared.ports[0])
    end(t, child, "SIGKILL")
    t.expect(shared.look(30), "kept, no event", "child gone")
    shared.end()
    t.expect(shared.look(SOON), "cleared, event", "after DEALLOC")


# libxenvchan


def vchan_client(t: Context) -> tuple[Worker, Watched, list[int]]:
    """gnttab handle, then evtchn; a control page with notification, ring pages rw and r."""
    child, control = mapping_child(t)
    dev, rings = control.dev, []
    for prot in ("rw", "r"):
        refs = [t.peer.grant(page) for page in (1, 2)]
        rings += refs
        dev.mmap(2, dev.map(refs), prot)
    return child, control, rings


@case("vchan.client-killed", ["5.2", "2.17"], "a vchan client's death is seen by the server", NEEDS)
def client_killed(t: Context) -> None:
    """A wrong kernel leaves the server waiting for ever."""
    child, control, rings = vchan_client(t)
    t.expect(control.look(), KEPT, "client alive")
    end(t, child, "SIGKILL")
    t.expect(control.look(SOON), FIRED, "client gone")
    t.expect(t.peer.states(rings), ["not mapped"] * 4, "ring pages")


@case("vchan.server-killed", ["5.2", "2.17"], "a vchan server's death is seen by the client", HELD)
def server_killed(t: Context) -> None:
    """A wrong kernel leaves the client waiting for ever."""
    child, control = granting_child(t, looks=2)
    _, rings = control.dev.alloc(4)
    control.dev.mmap(4, control.index + PAGE)
    t.expect(control.look(), "kept, no event", "server alive")
    end(t, child, "SIGKILL")
    t.expect(control.look(SOON), "cleared, event", "server gone")
    t.expect(len(rings), 4, "ring pages")


@case("vchan.client-closes", ["5.2"], "a vchan client's orderly end is seen by the server", NEEDS)
def client_closes(t: Context) -> None:
    """A wrong kernel fires for the rings, or waits for the handle."""
    child, control, _ = vchan_client(t)
    control.munmap()
    control.unmap()
    t.expect(control.look(SOON), FIRED, "control page unmapped")
    child.close(control.dev.fd)
    end(t, child, "exit")
    t.expect(control.channels.raised(30), [], "events afterwards")


@case("vchan.server-closes", ["5.2"], "a vchan server's orderly end is seen by the client", HELD)
def server_closes(t: Context) -> None:
    """A wrong kernel fires with the first of unshare's two steps."""
    child, control = granting_child(t, looks=2)
    control.dealloc()
    t.expect(control.look(), "kept, no event", "control page taken off")
    control.munmap()
    t.expect(control.look(SOON), "cleared, event", "munmapped, too")
    child.close(control.dev.fd)
    end(t, child, "exit")
    t.expect(control.channels.raised(30), [], "events afterwards")


@case("vchan.both-ways", ["5.2"], "server and client talk over one event channel", NEEDS)
def both_ways(t: Context) -> None:
    """A wrong kernel mixes up the notification with the traffic on the same channel."""
    child, control, _ = vchan_client(t)
    channels = control.channels
    child.notify(channels.own, control.port)
    t.expect(control.look(SOON), "kept, mapped, event", "client wrote")
    end(t, child, "SIGKILL")
    t.expect(control.look(SOON), FIRED, "client gone")
    t.expect(around(t.peer.read(0, BYTE - 1, 3)), "cleared", "what the server reads then")
