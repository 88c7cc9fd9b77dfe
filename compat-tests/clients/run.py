# SPDX-License-Identifier: BSD-2-Clause
"""Runs Xen's programs and QEMU on our library in a real Dom0 (./dev parity --clients)."""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import options
from testbed import packages, vm
from testbed.errors import TestbedError
from testbed.freebsd_vm import Target

from . import disks, freebsd, freebsd_programs, images, programs
from .guests import Run, drop_guest
from .places import MEMORY, UFS
from .report import Report, Result, columns, html, table, write
from .shell import Failed, LinuxDom0
from .steps import ALONE, FIRST, STEPS, Step

DOM0_MEMORY = 768
DOM0_MEMORY_LONG = 1664
GUESTS_MEMORY = 320
LINUX: dict[str, vm.Kind] = {"linux-pv": "pv", "linux-pvh": "pvh"}
TARGETS: dict[str, str] = {
    "linux-pv": "Linux PV Dom0",
    "linux-pvh": "Linux PVH Dom0",
    **{name: f"FreeBSD PVH Dom0, {title}" for name, title in freebsd.TARGETS.items()},
}
SHORT_AMOUNT = 1 * disks.MIB
LONG_AMOUNT = 16 * disks.MIB
# Guest and Dom0 share one processor: the control channel must not take it all, and slow emulation
# is not an event storm.
_KERNEL_OPTIONS = "XENGNT_RELAY_LOOKS=64 xen.event_eoi_delay=0 xen.event_loop_timeout=250"


def parser() -> argparse.ArgumentParser:
    """The command line."""
    p = argparse.ArgumentParser(
        prog="./dev parity --clients",
        description="Runs xenstored, xenconsoled, xl, libxenvchan and QEMU's disk on our"
        " libxengnttab.so.1 in a real Dom0, and kills them: Linux, or with --freebsd a FreeBSD"
        " on our driver.  The same steps on every target.",
        epilog="Exit status: 0 if every step passed or does not apply, 1 if"
        " one failed, 2 for wrong usage.  What FreeBSD's own driver lacks does not count as"
        " a failure.",
    )
    p.add_argument("--clients", action="store_true", help=argparse.SUPPRESS)
    p.add_argument("--quick", action="store_true",
                   help="small amounts, and only the steps that ./dev test runs")  # fmt: skip
    p.add_argument("--targets", metavar="NAME,…",
                   help=f"boot each of these: {', '.join(TARGETS)} (default: linux-pv, or with"
                   " --freebsd those of FreeBSD)")  # fmt: skip
    p.add_argument("--steps", metavar="NAME,…", default="",
                   help="only these, and what they need; --list names them")  # fmt: skip
    p.add_argument("--library", metavar="FILE", type=Path,
                   help="a libxengnttab.so.1 in place of the built one")  # fmt: skip
    p.add_argument("--freebsd", metavar="DIR", type=Path,
                   help="directory with FreeBSD's base.txz, kernel.txz and src.txz, for the"
                   " FreeBSD targets")  # fmt: skip
    p.add_argument("--cpus", type=int, default=1, choices=(1, 2),
                   help="processors of a FreeBSD Dom0 (default: 1)")  # fmt: skip
    p.add_argument("--seconds", type=int, default=600,
                   help="length of the step stress (default: %(default)s)")  # fmt: skip
    p.add_argument("--seed", type=int,
                   help="random seed of the step stress, which prints the one it uses")  # fmt: skip
    p.add_argument("--list", action="store_true", help="list the steps, run nothing")
    options.add_places(p, "report", "clients.json and logs")
    return p


def choose(quick: bool, names: Sequence[str]) -> list[Step]:
    """The steps to run, in order.  Most steps need the first ones, which are then included; a check
    of the log ends every run."""
    unknown = [name for name in names if name not in {step.name for step in STEPS}]
    if unknown:
        raise ValueError(f"no step {unknown[0]!r} (--list names all)")
    base = {*FIRST, "log"} if set(names) - ALONE else {"log"}
    return [
        step
        for step in STEPS
        if (not quick or not step.long_only or step.name in names)
        and (not names or step.name in names or step.name in base)
    ]


def perform(steps: Sequence[Step], run: Run, say: Callable[[str], None]) -> list[Result]:
    """Runs the steps; most of them are skipped if one of the first ones fails."""
    done = [Result(step.name, step.title) for step in steps]
    for step, result in zip(steps, done, strict=True):
        if (reason := step.without(run)) is not None:
            result.status, result.detail = "n/a", reason
            continue
        failed = [r.name for r in done if r.status in ("fail", "lacks") and r.name in FIRST]
        if failed and step.name not in ALONE:
            result.detail = f"needs {failed[0]}"
            continue
        say(f"{step.name}: {step.title}")
        begin = time.monotonic()
        try:
            result.figures = step.run(run)
            result.status = "pass"
        except (Failed, ValueError, IndexError) as error:
            result.status, result.detail = "fail", str(error)
        except (vm.Died, vm.Hung) as error:
            result.status, result.detail, result.died = "fail", str(error), True
        result.seconds = time.monotonic() - begin
        if result.status == "fail":
            say(f"{step.name}: FAILED: {result.detail}")
            if run.target == "freebsd-base":
                # Not our code: the row says what a FreeBSD without this project lacks.
                result.status = "lacks"
        if result.died:
            break
        if result.status in ("fail", "lacks"):
            try:
                drop_guest(run)
            except (vm.Died, vm.Hung) as error:
                result.detail, result.died = f"{result.detail}; then {error}", True
                break
    return done


def resume(steps: Sequence[Step], done: Sequence[Result]) -> list[Step]:
    """The steps for a new machine after one died: those after the step in which it died, and before
    them those that they need."""
    dead = next((n for n, result in enumerate(done) if result.died), len(steps) - 1)
    rest = steps[dead + 1 :]
    if not {step.name for step in rest} - {"log", "unload"}:
        return []
    needed = [s for s in steps if s.name in FIRST and s not in rest and s.name != done[dead].name]
    return [*(needed if {s.name for s in rest} - ALONE else ()), *rest]


def run_linux(
    kind: vm.Kind, args: argparse.Namespace, work: Path, say: Callable[[str], None]
) -> Report:
    """One Linux machine from start to end."""
    begin = time.monotonic()
    selection = packages.select(args.cache, say)
    found = programs.collect(args.cache, selection, say)
    own = images.ours(args.build.resolve(), args.library)
    steps = choose(args.quick, _names(args))
    thorough = not args.quick
    # The machine for a short run has one small disk and does not need fio.
    verifier = freebsd_programs.fio_program(args.cache) if thorough else None
    machine = vm.LinuxDom0(
        kind, images.dom0_files(selection, found, own, verifier), work / f"clients-linux-{kind}",
        args.cache, say, kernel_options=_KERNEL_OPTIONS,
        memory=DOM0_MEMORY_LONG if thorough else DOM0_MEMORY, guests=GUESTS_MEMORY,
    )  # fmt: skip
    report = Report(f"linux-{kind}", {}, found.packages, own.digest())
    with machine:
        tools = {name: found.tool_place(name) for name in found.programs}
        library = images.library_path()
        run = Run(
            report.target,
            LinuxDom0(machine, say),
            {**tools, "qemu": found.qemu_place()},
            library,
            own.digest(),
            str(Path(library).parent),
            LONG_AMOUNT if thorough else SHORT_AMOUNT,
            thorough,
            disks.MAIN[:1],
            served=[disks.SERVED] if thorough else [],
            places={UFS: "memory", MEMORY: "memory"},
            mark=machine.mark(),
            seconds=args.seconds,
            seed=args.seed,
        )
        report.results = perform(steps, run, say)
        report.facts = machine.facts
    report.seconds = time.monotonic() - begin
    return report


def run_freebsd(
    target: Target, args: argparse.Namespace, work: Path, say: Callable[[str], None]
) -> Report:
    """One FreeBSD machine from start to end."""
    begin = time.monotonic()
    own = images.ours(args.build.resolve(), None)
    report = Report(target, {}, {}, "", cpus=args.cpus)
    thorough = not args.quick
    steps = chosen = choose(args.quick, _names(args))
    results: dict[str, Result] = {}
    while steps:
        machine = freebsd.Machine(
            target, args.freebsd, args.cache, work, say, own, library=args.library, cpus=args.cpus
        )
        report.packages, report.library = machine.packages, machine.digest
        with machine.machine:
            run = machine.run(amount=LONG_AMOUNT if thorough else SHORT_AMOUNT, thorough=thorough)
            run.seconds, run.seed = args.seconds, args.seed
            done = perform(steps, run, say)
            report.facts = machine.machine.facts
        for result in done:
            if results.get(result.name, result).status == "skip":
                results[result.name] = result
            results.setdefault(result.name, result)
        # A panic of the base driver must not hide what else a FreeBSD without us can do.
        steps = resume(steps, done) if target == "freebsd-base" else []
        if steps:
            say("the machine is gone; a new one continues after that step")
    report.results = [results[step.name] for step in chosen]
    report.seconds = time.monotonic() - begin
    return report


def _names(args: argparse.Namespace) -> list[str]:
    return [n for n in args.steps.split(",") if n]


Machine = Callable[[Path, Callable[[str], None]], Report]


def _machines(args: argparse.Namespace) -> dict[str, Machine]:
    """What to boot, by target; ValueError for what does not exist."""
    choose(args.quick, _names(args))
    chosen = [name for name in (args.targets or "").split(",") if name]
    if unknown := [name for name in chosen if name not in TARGETS]:
        raise ValueError(f"no target {unknown[0]!r} (there are {', '.join(TARGETS)})")
    if args.freebsd is None and (without := [name for name in chosen if name not in LINUX]):
        raise ValueError(f"{without[0]} needs FreeBSD's release sets: --freebsd DIR")
    chosen = chosen or (["linux-pv"] if args.freebsd is None else list(freebsd.TARGETS))
    found: dict[str, Machine] = {
        name: partial(run_linux, kind, args) for name, kind in LINUX.items() if name in chosen
    }
    for name in freebsd.TARGETS:
        if name in chosen:
            found[name] = partial(run_freebsd, name, args)
    return found


def main(argv: Sequence[str] | None = None) -> int:
    """The command line's work."""
    args = parser().parse_args(argv)
    args.cache = args.cache.expanduser().resolve()
    try:
        machines = _machines(args)
    except ValueError as error:
        parser().error(str(error))
    if args.list:
        for step in STEPS:
            print(f"  {step.name:18} {step.title}{' (not with --quick)' * step.long_only}")
        print()
        for name, title in TARGETS.items():
            print(f"  {name:18} {title}")
        return 0
    if shutil.which("qemu-system-x86_64") is None:
        print("./dev parity --clients: qemu-system-x86_64 is not installed", file=sys.stderr)
        return 1
    begin = time.monotonic()

    def say(text: str) -> None:
        print(f"[{time.monotonic() - begin:6.1f}] {text}", file=sys.stderr, flush=True)

    reports = []
    failed = False
    args.report.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="xengnt-clients-") as scratch:
        for name, machine in machines.items():
            try:
                reports.append(machine(Path(scratch), say))
            except TestbedError as error:
                failed = True
                say(f"{name}: {error}")
            for log in Path(scratch).glob("clients-*/console.log"):
                shutil.copy(log, args.report / f"{log.parent.name}.log")
            # After each machine, so that an interrupted run of hours keeps its results.
            for path in (args.report / "clients.json", args.json):
                if path is not None:
                    write(reports, path)
            (args.report / "clients.html").write_text(html(reports))
    for report in reports:
        print(table(report), flush=True)
    if len(reports) > 1:
        print(columns(reports), flush=True)
    return 1 if failed or not all(report.ok for report in reports) else 0
