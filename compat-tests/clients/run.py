# SPDX-License-Identifier: BSD-2-Clause
"""Runs programs that nobody here wrote on our library in a real Dom0 (./dev parity --clients)."""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from testbed import packages, vm
from testbed.errors import TestbedError

from devtools.paths import cache_dir

from . import freebsd, images, programs, results
from .results import Report, Result
from .shell import Dom0, Failed
from .steps import SIZES_LONG, SIZES_SHORT, STEPS, Run, Step

ROOT = Path(__file__).resolve().parents[2]

DOM0_MEMORY = 768
GUESTS_MEMORY = 320
SHORT_AMOUNT = 1 * images.MIB
LONG_AMOUNT = 64 * images.MIB
# Guest and Dom0 share one processor: the control channel must not eat it, and what is slow under
# emulation is no event storm.
_KERNEL_OPTIONS = "XENGNT_RELAY_LOOKS=64 xen.event_eoi_delay=0 xen.event_loop_timeout=250"


def parser() -> argparse.ArgumentParser:
    """The command line."""
    p = argparse.ArgumentParser(
        prog="./dev parity --clients",
        description="Runs xenstored, xenconsoled, xl, libxenvchan and QEMU's disk on our"
        " libxengnttab.so.1 in a real Linux Dom0, and kills them; or, with --freebsd, libxenvchan"
        " and each function of the library on a FreeBSD Dom0.",
        epilog="Exit status: 0 when every step was well, 1 when one was not, 2 for wrong usage.",
    )
    p.add_argument("--clients", action="store_true", help=argparse.SUPPRESS)
    p.add_argument("--quick", action="store_true",
                   help="small amounts, and only the steps that ./dev test runs")  # fmt: skip
    p.add_argument("--kind", choices=("pv", "pvh", "both"), default="pv",
                   help="kind of Dom0 (default: pv)")  # fmt: skip
    p.add_argument("--steps", metavar="NAME,…", default="",
                   help="only these, and what they need; --list names them")  # fmt: skip
    p.add_argument("--library", metavar="FILE", type=Path,
                   help="a libxengnttab.so.1 in place of the built one")  # fmt: skip
    p.add_argument("--freebsd", metavar="DIR", type=Path,
                   help="instead: the library and libxenvchan on a FreeBSD Dom0, from a release's"
                   " base.txz, kernel.txz and src.txz")  # fmt: skip
    p.add_argument("--modes", metavar="NAME,…", default=",".join(freebsd.MODES),
                   help="with --freebsd: boots (default: %(default)s)")  # fmt: skip
    p.add_argument("--list", action="store_true", help="list the steps, run nothing")
    p.add_argument("--json", metavar="FILE", type=Path, help="write the results there, too")
    p.add_argument("--report", metavar="DIR", type=Path, default=ROOT / "report",
                   help="directory for clients.json and logs (default: report)")  # fmt: skip
    p.add_argument("--build", metavar="DIR", type=Path, default=ROOT / "build/native",
                   help="meson build directory (default: build/native)")  # fmt: skip
    p.add_argument("--cache", metavar="DIR", type=Path, default=cache_dir(),
                   help="cache directory (%(default)s)")  # fmt: skip
    return p


def choose(kind: str, quick: bool, names: Sequence[str]) -> list[Step]:
    """The steps to run, in order.  Those that start something are there whenever another is."""
    unknown = [name for name in names if name not in {step.name for step in STEPS}]
    if unknown:
        raise ValueError(f"no step {unknown[0]!r} (--list names all)")
    base = ("xenstored", "xenconsoled", "guest", "log")
    return [
        step
        for step in STEPS
        if (kind == "pv" or not step.pv_only)
        and (not quick or not step.long_only or step.name in names)
        and (not names or step.name in names or step.name in base)
    ]


def perform(steps: Sequence[Step], run: Run, say: Callable[[str], None]) -> list[Result]:
    """Runs the steps; without the first ones the rest makes no sense."""
    done = [Result(step.name, step.title) for step in steps]
    for step, result in zip(steps, done, strict=True):
        if any(r.status == "fail" and r.name in ("xenstored", "guest") for r in done):
            result.detail = "what it needs has failed"
            continue
        say(f"{step.name}: {step.title}")
        begin = time.monotonic()
        try:
            result.figures = step.run(run)
            result.status = "pass"
        except (Failed, ValueError) as error:
            result.status, result.detail = "fail", str(error)
            say(f"{step.name}: FAILED: {error}")
        except (vm.Died, vm.Hung) as error:
            result.status, result.detail = "fail", str(error)
            say(f"{step.name}: FAILED: {error}")
            result.seconds = time.monotonic() - begin
            break  # the machine is gone
        result.seconds = time.monotonic() - begin
    return done


def run_kind(
    kind: vm.Kind, args: argparse.Namespace, work: Path, say: Callable[[str], None]
) -> Report:
    """One machine from start to end."""
    begin = time.monotonic()
    selection = packages.select(args.cache, say)
    found = programs.collect(args.cache, selection, say)
    own = images.ours(args.build.resolve(), args.library)
    steps = choose(kind, args.quick, [n for n in args.steps.split(",") if n])
    report = Report(kind, {}, found.packages, own.digest())
    machine = vm.LinuxDom0(
        kind, images.dom0_files(selection, found, own), work / f"clients-{kind}", args.cache, say,
        kernel_options=_KERNEL_OPTIONS, memory=DOM0_MEMORY, guests=GUESTS_MEMORY,
    )  # fmt: skip
    with machine:
        run = Run(
            Dom0(machine, say),
            found,
            own.digest(),
            SHORT_AMOUNT if args.quick else LONG_AMOUNT,
            SIZES_SHORT if args.quick else SIZES_LONG,
            not args.quick,
            mark=machine.mark(),
        )
        report.facts = machine.facts
        report.results = perform(steps, run, say)
    report.seconds = time.monotonic() - begin
    return report


Machine = Callable[[Path, Callable[[str], None]], Report]


def _linux(args: argparse.Namespace, names: Sequence[str]) -> dict[str, Machine]:
    """A machine a kind of Dom0, by what it is called."""
    kinds: list[vm.Kind] = ["pv", "pvh"] if args.kind == "both" else [args.kind]
    choose(kinds[0], args.quick, names)

    def machine(kind: vm.Kind) -> Machine:
        return lambda work, say: run_kind(kind, args, work, say)

    return {f"linux-{kind}": machine(kind) for kind in kinds}


def main(argv: Sequence[str] | None = None) -> int:
    """The command line's work."""
    args = parser().parse_args(argv)
    names = [n for n in args.steps.split(",") if n]
    args.cache = args.cache.expanduser().resolve()
    try:
        machines = freebsd.machines(args, names) if args.freebsd else _linux(args, names)
    except ValueError as error:
        parser().error(str(error))
    if args.list and args.freebsd:
        freebsd.show_steps()
        return 0
    if args.list:
        for step in STEPS:
            note = " (PV Dom0)" * step.pv_only + " (not with --quick)" * step.long_only
            print(f"  {step.name:18} {step.title}{note}")
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
    for report in reports:
        print(results.table(report), flush=True)
    for path in (args.report / "clients.json", args.json):
        if path is not None:
            results.write(reports, path)
    return 1 if failed or not all(report.ok for report in reports) else 0
