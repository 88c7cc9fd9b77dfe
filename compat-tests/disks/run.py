# SPDX-License-Identifier: BSD-2-Clause
"""What guests' disks cost on real systems under a real Xen (./dev bench --disks --freebsd DIR)."""

from __future__ import annotations

import argparse
import hashlib
import shutil
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict

import options
from clients.shell import Failed
from testbed.errors import TestbedError
from testbed.freebsd_sets import WHERE, missing

from devtools.console import DevError

from . import ratios, report
from .machines import Setting, system
from .plan import (
    BACKENDS,
    BLKBACK,
    OTHERS,
    WORKS,
    Broken,
    Disk,
    Group,
    Machine,
    Work,
    check_only,
    groups,
)
from .session import COST_WORKS, PROFILE_WORKS, Session, begin
from .store import Store, from_json, restored

#: The round that fills the images and is not counted.
_WARM = 250
#: Seconds from boot to the first round, until one has been seen.
_BOOT = 240.0
#: Seconds that a look at Dom0 takes in addition to fio.
_START = 3.0


def parser() -> argparse.ArgumentParser:
    """The command line."""
    p = argparse.ArgumentParser(
        prog="./dev bench --disks --freebsd DIR",
        description="Boots FreeBSD and Linux as Dom0 under Xen, each with one Linux guest that has"
        " disks of every back end at the same time, and measures them in turn with fio: QEMU's on"
        " our library, QEMU's on the other library, the kernel's own. Every byte is read back and"
        " compared. Run it on an otherwise idle machine.",
        epilog="Exit status: 0 measured, whatever the figures, 1 a machine failed, 2 wrong usage.",
    )
    p.add_argument("--disks", action="store_true", help=argparse.SUPPRESS)
    options.add_figures(p)
    p.add_argument("--only", metavar="WORD,…", default="",
                   help="a part: freebsd, linux; ours, theirs, blkback; raw, qcow2; 64, 512, 4096;"
                   f" {', '.join(WORKS)}")  # fmt: skip
    p.add_argument("--rounds", metavar="N", type=int, default=10, help="default: %(default)s")
    p.add_argument("--resume", action="store_true",
                   help="continue an interrupted run of the same plan")  # fmt: skip
    options.add_places(p, "report/disks", "index.html and disks.json")
    return p


Say = Callable[[str], None]


def left(rounds: int, each: float, windows: int, later: int) -> str:
    """The time that a run still takes, as text: this Dom0's rounds and looks, and as much for each
    Dom0 that has not been booted."""
    here = rounds * each + windows * (_START + each / 8)
    more = later * (_BOOT + (rounds + 2) * each + windows * (_START + each / 8))
    minutes = (here + more) / 60
    return f"about {minutes:.0f} min left" if minutes >= 1 else "less than a minute left"


def looks(plan: Sequence[Group], works: Sequence[str]) -> list[tuple[Disk, Work]]:
    """The disks on the middle raw medium, each with each of its works."""
    return [
        (disk, work)
        for group in plan
        if group.main
        for work in group.works
        if work.name in works
        for disk in group.disks
    ]


def rounds(
    session: Session, machine: Machine, store: Store, wanted: int, later: int, say: Say
) -> None:
    """Measures the missing rounds; keeps each as soon as it is done."""
    say("a round that does not count")
    begin = time.monotonic()
    session.round(_WARM)
    windows = len(looks(session.groups, COST_WORKS))
    taken = list[float]()
    for number in range(len(machine.rounds), wanted):
        taken.append(time.monotonic() - begin)
        each = statistics.mean(taken[-OTHERS:])
        say(f"round {number + 1} of {wanted}: {left(wanted - number, each, windows, later)}")
        begin = time.monotonic()
        done = session.round(number)
        machine.rounds.append(done)
        store.add(machine.dom0, "round", asdict(done))


def costs(session: Session, machine: Machine, store: Store, say: Say) -> None:
    """Measures the missing costs in Dom0."""
    known = {(c.backend, c.format, c.mib, c.work) for c in machine.costs}
    missing = [
        (disk, work)
        for disk, work in looks(session.groups, COST_WORKS)
        if (disk.backend.name, disk.format, disk.mib, work.name) not in known
    ]
    if not missing:
        return
    idle = session.idle()
    say(f"Dom0 with nothing to do takes {idle * 100:.1f} % of a processor")
    for number, (disk, work) in enumerate(missing, 1):
        title = f"{disk.backend.title}, {work.title}"
        say(f"what it takes of Dom0, {number} of {len(missing)}: {title}")
        found = session.cost(disk, work, idle)
        machine.costs.append(found)
        store.add(machine.dom0, "cost", asdict(found))


def profiles(session: Session, machine: Machine, store: Store, say: Say) -> None:
    """Measures where QEMU's time goes, on FreeBSD only (ktrace(2))."""
    if machine.dom0 != "freebsd":
        return
    for disk, work in looks(session.groups, PROFILE_WORKS):
        name = f"{disk.backend.name} {work.name}"
        if disk.backend.name == BLKBACK or name in machine.profiles:
            continue
        say(f"profile: {disk.backend.title}, {work.title}")
        made = session.profile(disk, work)
        machine.profiles[name] = made
        store.add(machine.dom0, "profile", {"name": name, "calls": [asdict(c) for c in made]})


def complete(machine: Machine, plan: Sequence[Group], wanted: int) -> bool:
    """Whether a boot would find nothing to measure."""
    traced = [d for d, _ in looks(plan, PROFILE_WORKS) if d.backend.name != BLKBACK]
    return (
        len(machine.rounds) >= wanted
        and len(machine.costs) >= len(looks(plan, COST_WORKS))
        and (machine.dom0 != "freebsd" or len(machine.profiles) >= len(traced))
    )


def one(
    machine: Machine, plan: Sequence[Group], setting: Setting, store: Store, wanted: int, later: int
) -> None:
    """A boot, from power-on to its last figure."""
    booted = system(machine.dom0, setting)
    with booted.machine:
        session = begin(booted, plan, setting.say)
        facts = {**booted.machine.facts, **booted.facts()}
        machine.facts |= facts
        store.add(machine.dom0, "facts", facts)
        machine.kernel |= session.kernel
        store.add(machine.dom0, "kernel", session.kernel)
        rounds(session, machine, store, wanted, later, setting.say)
        costs(session, machine, store, setting.say)
        profiles(session, machine, store, setting.say)
        alarms = booted.machine.alarms_since(session.run.mark)
        if alarms:
            raise Failed(f"{machine.dom0}: {alarms[0]}")


def measure(args: argparse.Namespace, plans: dict[str, list[Group]]) -> list[Machine]:
    """Every Dom0 of the plan in turn."""
    start = time.monotonic()

    def say(text: str) -> None:
        print(f"[{time.monotonic() - start:6.1f}] {text}", file=sys.stderr, flush=True)

    key = hashlib.sha256(repr((args.rounds, plans)).encode()).hexdigest()[:16]
    store = Store(args.report / "progress.jsonl", key)
    if not args.resume:
        store.path.unlink(missing_ok=True)
    lines = store.begin()
    setting = Setting(args.build.resolve(), args.cache, args.report / "vm", say, args.freebsd)
    machines = [restored(dom0, lines) for dom0 in plans]
    waiting = [m for m in machines if not complete(m, plans[m.dom0], args.rounds)]
    for number, machine in enumerate(waiting, 1):
        plan = plans[machine.dom0]
        one(machine, plan, setting, store, args.rounds, len(waiting) - number)
    return machines


def main(argv: Sequence[str] | None = None) -> int:
    """The command line's work."""
    p = parser()
    args = p.parse_args(argv)
    args.cache = args.cache.expanduser().resolve()
    only = [word for word in args.only.split(",") if word]
    try:
        check_only(only)
    except ValueError as error:
        p.error(str(error))
    if not 1 <= args.rounds <= 200:
        p.error("--rounds: 1 to 200")
    plans = {dom0: plan for dom0 in BACKENDS if (plan := groups(dom0, only))}
    if not plans:
        p.error("--only leaves nothing to measure")
    try:
        if args.show:
            several = [from_json(path.read_text()) for path in args.show]
            machines = [machine for run in several for machine in run]
        else:
            if args.freebsd is None and "freebsd" in plans:
                p.error(f"--freebsd DIR is missing; {WHERE} has the sets")
            if "freebsd" in plans and (absent := missing(args.freebsd)):
                print(f"./dev bench: {args.freebsd} lacks {', '.join(absent)}; {WHERE} has them",
                      file=sys.stderr)  # fmt: skip
                return 1
            if shutil.which("qemu-system-x86_64") is None:
                print("./dev bench: qemu-system-x86_64 is not installed", file=sys.stderr)
                return 1
            machines = measure(args, plans)
            several = [machines]
    except KeyboardInterrupt:
        print("./dev bench --disks: interrupted; --resume continues the run",
              file=sys.stderr)  # fmt: skip
        return 130
    except (TestbedError, DevError, Failed, Broken, ValueError, KeyError, OSError) as error:
        print(f"./dev bench --disks: {error}", file=sys.stderr)
        if not args.show:
            print("  (--resume continues the run)", file=sys.stderr)
        return 1
    page = report.write(machines, args.report)
    if args.json is not None:
        args.json.parent.mkdir(parents=True, exist_ok=True)
        args.json.write_text(report.as_json(machines))
    if args.markdown is not None:
        args.markdown.write_text(ratios.markdown(several))
    console = options.console(180)
    report.show(console, machines)
    console.print(f"\nreport: {page}")
    return 0
