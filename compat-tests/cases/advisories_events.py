# SPDX-License-Identifier: BSD-2-Clause
"""Known bugs of other drivers that concern event channels (docs/regressions.md)."""

from __future__ import annotations

from collections.abc import Sequence

from . import abi
from .alloc import allocated
from .events import SOON, Channels
from .framework import Context, Gntalloc, Gntdev, case, section

section("Known bugs: event channels", 170)

NEEDS = ("notify", "evtchn")
EVENT = abi.SEND_EVENT
ROUNDS = 3
MAPS = 6


def _arm_and_close(t: Context, dev: Gntdev | Gntalloc, indices: Sequence[int]) -> None:
    """Arms each index with a channel of a file that is then closed."""
    fd = t.worker.open("evtchn")
    ports = t.worker.agent.call_all([f"bind_unbound {fd} 0"] * len(indices))
    for index, port in zip(indices, ports, strict=True):
        dev.notify(index, EVENT, port.int("port"))
    t.worker.close(fd)


@case(
    "advisory.event-channel-closed-under-maps",
    ["6", "N3"],
    "XSA-331, 332, 441: arm, close the event channel's file, trigger, again and again",
    NEEDS,
)
def closed_under_maps(t: Context) -> None:
    """A wrong kernel uses the freed channel, or deadlocks."""
    for _ in range(ROUNDS):
        dev = t.gntdev()
        indices = [dev.map_any() for _ in range(MAPS)]
        _arm_and_close(t, dev, indices)
        for index in indices[::2]:
            dev.unmap(index, 1)
        dev.close()
    channels = Channels(t)
    dev = t.gntdev()
    index = dev.map_any()
    dev.notify(index, EVENT, channels.port())
    dev.unmap(index, 1)
    t.expect(channels.raised(SOON), ["event"], "events of a channel made afterwards")


@case(
    "advisory.event-channel-closed-under-pages",
    ["6", "Y4"],
    "the same with gntalloc's pages",
    NEEDS,
)
def closed_under_pages(t: Context) -> None:
    """A wrong kernel uses the freed channel, or deadlocks."""
    for _ in range(ROUNDS):
        dev, index, _ = allocated(t, MAPS)
        _arm_and_close(t, dev, [index + n * 4096 for n in range(MAPS)])
        dev.dealloc(index, MAPS // 2)
        dev.close()
    channels = Channels(t)
    dev, index, _ = allocated(t, 1)
    dev.notify(index, EVENT, channels.port())
    dev.dealloc(index, 1)
    t.expect(channels.raised(SOON), ["event"], "events of a channel made afterwards")


@case(
    "advisory.port-reused",
    ["6", "N3", "7.6"],
    "a port number that has a new owner gets no stray event",
    NEEDS,
)
def port_reused(t: Context) -> None:
    """A wrong kernel sends to a number that Xen has given to somebody else.

    Linux holds the port, so nobody gets its number; a kernel that cannot hold it does send there
    (K24).
    """
    one, two = Channels(t), Channels(t)
    dev = t.gntdev()
    index = dev.map_any()
    port = one.port()
    dev.notify(index, EVENT, port)
    t.worker.close(one.own)
    # Xen gives out the lowest free number next.
    again = two.port("stranger")
    t.expect(again == port, False, "the number is given out again", {"K24": True})
    dev.unmap(index, 1)
    t.expect(two.raised(), [], "events at its new owner", {"K24": ["stranger"]})


@case(
    "advisory.storm",
    ["6", "N7"],
    "one map armed again and again with ports that come and go",
    NEEDS,
)
def storm(t: Context) -> None:
    """A wrong kernel leaks a reference each time, or also sends to replaced ports."""
    channels = Channels(t)
    dev = t.gntdev()
    index = dev.map_any()
    ports = [channels.port(str(n)) for n in range(3)]
    for n in range(12):
        dev.notify(index, EVENT, ports[n % 3])
        if n % 4 == 3:
            dev.notify(index, 0)
    dev.notify(index, EVENT, ports[1])
    t.expect(channels.raised(), [], "events while armed")
    dev.unmap(index, 1)
    t.expect(channels.raised(SOON), ["1"], "events after UNMAP")
