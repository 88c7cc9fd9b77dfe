# SPDX-License-Identifier: BSD-2-Clause
"""The state of a FreeBSD after all other cases, in the same boot.

The peer program reports it: that is a native one on every target, even on that of the Linux agent.
"""

from __future__ import annotations

from agent.client import Errno

from .framework import Broken, Context, NotApplicable, case, section
from .library_calls import Library

#: A counter of the driver, and its value while nobody uses the driver.
IDLE = (
    "hw.xen.gntdev.maps",
    "hw.xen.gntdev.grants",
    "hw.xen.gntdev.deferred",
    "hw.xen.gntdev.slots.leaked",
    "hw.xen.gntalloc.pages",
    "hw.xen.gntalloc.deferred",
    "hw.xen.gntalloc.in_flight",
)
#: Kernel memory in bytes, wired pages; what they may grow by in the second half of the cycles, for
#: the page table of a cache and the like: far less than one page a cycle.
MEMORY = (("vm.kmem_map_size", 16 * 4096), ("vm.stats.vm.v_wire_count", 16))
CYCLES, BURST = 100, 10
#: Number of checks, half a second apart, for what the driver frees at its next retry.
LOOKS = 120


def _number(t: Context, name: str) -> int:
    try:
        return t.worker.agent.peer(f"sysctl {name}").int("value")
    except Errno as error:
        raise Broken(f"sysctl {name}: {error} {error.detail}") from error


def _idle(t: Context) -> list[int]:
    """The driver's counters once it has freed what waited for I/O or for a peer."""
    for _ in range(LOOKS):
        numbers = [_number(t, name) for name in IDLE]
        if not any(numbers):
            break
        t.worker.sleep(500)
    return numbers


def _modules(t: Context) -> str:
    if "modules" not in t.target.facts:
        raise NotApplicable("runs only at the end of a FreeBSD Dom0's run")
    modules = t.target.facts.get("modules", "")
    if not modules:
        raise NotApplicable("no module of ours is loaded on this target")
    return modules


section("FreeBSD when the cases are over", 1000)


@case("system.library", ["7.6"], "the library uses our driver, whatever its node", ["peer"])
def library(t: Context) -> None:
    """A wrong library prefers the base driver's node beside ours."""
    _modules(t)
    t.need("library")
    lib = Library(t, "library")
    handle = lib.open()
    before = _number(t, "hw.xen.gntdev.grants")
    address = lib.map(handle, "r", [t.peer.grant(0)])
    t.expect(_number(t, "hw.xen.gntdev.grants") - before, 1, "grants that our driver counts")
    lib.unmap(handle, address, 1)
    t.expect(_number(t, "hw.xen.gntdev.grants"), before, "grants afterwards")


@case("system.counters", ["2.12"], "the driver's counters are at their start values")
def counters(t: Context) -> None:
    """A wrong driver has lost a page, a placeholder or a grant in one of the cases."""
    _modules(t)
    for name, number in zip(IDLE, _idle(t), strict=True):
        t.expect(number, 0, name)
    total = _number(t, "hw.xen.gntdev.slots.total")
    t.expect(_number(t, "hw.xen.gntdev.slots.free"), total, "free placeholders")


@case("system.cycles", ["O13"], "the modules unload, and load again a hundred times")
def cycles(t: Context) -> None:
    """A wrong module stays, leaves something behind at each unload, or panics."""
    modules = _modules(t)
    agent = t.worker.agent
    _idle(t)

    def burst(count: int) -> set[str]:
        """Types of vmstat -m that grew in every ten cycles, at least a little in each."""
        leaks: set[str] | None = None
        for _ in range(count // BURST):
            agent.peer("malloc mark")
            t.accepted(f"{BURST} cycles", agent.peer, f"cycles {BURST} {modules}")
            grown = agent.peer("malloc grown").text("grown")
            items = [item.rsplit(":", 1) for item in grown.split(",") if item]
            names = {name for name, size in items if int(size) >= BURST * 16}
            leaks = names if leaks is None else leaks & names
        return leaks or set()

    burst(CYCLES // 2)
    before = [_number(t, name) for name, _ in MEMORY]
    # What the kernel itself enlarges now and then, such as vmem(9)'s tables, grows once.
    leaks = burst(CYCLES // 2)
    t.expect(", ".join(sorted(leaks)), "", "types of vmstat -m that grow with each cycle")
    for (name, most), earlier in zip(MEMORY, before, strict=True):
        grown = _number(t, name) - earlier
        t.expect(grown <= most, True, f"{name} grows by {most} at most")
        if grown > most:
            t.expect(grown, f"at most {most}", f"growth of {name}")
    # A module whose device did not attach would load and unload as well.
    t.accepted("MAP afterwards", t.gntdev().map_any)
    t.accepted("ALLOC afterwards", t.gntalloc().alloc)


@case("system.console", ["6"], "no panic, lock-order reversal or leak on the console")
def console(t: Context) -> None:
    """A wrong driver takes locks in two orders, or a module leaves memory or a zone behind."""
    if "modules" not in t.target.facts:
        raise NotApplicable("runs only at the end of a FreeBSD Dom0's run")
    # The target checks the whole console when this case has ended.
