# SPDX-License-Identifier: BSD-2-Clause
"""The library and libxenvchan on a FreeBSD Dom0 (./dev parity --clients --freebsd DIR).

Shared objects as a FreeBSD user would have them: libxengnttab.so.1 and Xen's libraries, the latter
built from Debian's source package by Xen's make files, loaded by the release's own run-time linker.
Each mode is a boot: our module beside the base driver, our module alone, no module of ours.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from testbed import vm
from testbed.freebsd import FreeBSD
from testbed.freebsd_vm import FreeBSDDom0, Mode

from . import freebsd_programs, freebsd_vchan
from .freebsd_session import Session
from .results import Report, Result
from .shell import Failed

BOOT_SECONDS = 240.0
LIBRARY_SECONDS = 300.0
AMOUNT = 16 << 20
QUICK_AMOUNT = 1 << 20
#: Nodes, as devfs names them, that the library must choose for its two kinds of handle.
NODES: dict[Mode, tuple[str, ...]] = {
    "native": ("xen/xengntdev", "xen/gntalloc"),
    "alone": ("xen/gntdev", "xen/gntalloc"),
    "base": ("xen/gntdev", "xen/gntdev", "base"),
}
MODES: dict[str, str] = {
    "native": "our module beside the base driver",
    "alone": "our module, the base driver disabled by its hint",
    "base": "without our module, on the base driver",
}


@dataclass
class Run:
    """What a step sees."""

    session: Session
    mode: Mode
    amount: int
    mark: int = 0
    extra: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Step:
    name: str
    title: str
    run: Callable[[Run], dict[str, float | int | str]]


def _library(run: Run) -> dict[str, float | int | str]:
    """The program prints a line a part; its failed checks come before the part's name."""
    run.session.start("lib", "/bin/xengnt-gnttab", freebsd_programs.PEER, *NODES[run.mode])
    lines = run.session.finish("lib", LIBRARY_SECONDS)
    failed = [line for line in lines if not line.startswith(("ok ", "gnttab: ", "gntshr: "))]
    passed = sum(line.startswith("ok ") for line in lines)
    if run.session.ended["lib"] != "exit 0" or not passed:
        raise Failed(f"{run.session.ended['lib']}; " + "; ".join(failed))
    return {"parts": passed}


def _vchan(role: str) -> Callable[[Run], dict[str, float | int | str]]:
    return lambda run: freebsd_vchan.transfer(run.session, role, run.amount)


def _log(run: Run) -> dict[str, float | int | str]:
    alarms = run.session.machine.alarms_since(run.mark)
    if alarms:
        raise Failed("; ".join(alarms[:3]))
    return {}


STEPS = (
    Step("library", "each function of libxengnttab, two helper domains as peers", _library),
    Step("vchan-client", "libxenvchan's client, the server in a helper domain", _vchan("client")),
    Step("vchan-server", "libxenvchan's server, the client in a helper domain", _vchan("server")),
    Step("kill-vchan-client", "kill -9 of the client in a transfer: the server is told",
         lambda run: freebsd_vchan.kill(run.session, "client")),
    Step("kill-vchan-server", "kill -9 of the server in a transfer: the client is told",
         lambda run: freebsd_vchan.kill(run.session, "server")),
    Step("log", "neither Xen nor the kernel has complained", _log),
)  # fmt: skip


def choose(names: Sequence[str]) -> list[Step]:
    """The steps to run, in order; a look at the log always ends them."""
    unknown = [name for name in names if name not in {step.name for step in STEPS}]
    if unknown:
        raise ValueError(f"no step {unknown[0]!r} on FreeBSD (--list names all)")
    return [step for step in STEPS if not names or step.name in names or step.name == "log"]


def perform(steps: Sequence[Step], run: Run, say: Callable[[str], None]) -> list[Result]:
    """Runs the steps; one that fails does not keep the others from running."""
    done = [Result(step.name, step.title) for step in steps]
    for step, result in zip(steps, done, strict=True):
        say(f"{step.name}: {step.title}")
        begin = time.monotonic()
        try:
            result.figures = step.run(run)
            result.status = "pass"
        except (Failed, ValueError) as error:
            result.status, result.detail = "fail", str(error)
        except (vm.Died, vm.Hung) as error:
            result.status, result.detail = "fail", str(error)
            result.seconds = time.monotonic() - begin
            say(f"{step.name}: FAILED: {result.detail}")
            break  # the machine is gone
        result.seconds = time.monotonic() - begin
        if result.status == "fail":
            say(f"{step.name}: FAILED: {result.detail}")
    return done


def run_mode(
    mode: Mode,
    sets: Path,
    steps: Sequence[Step],
    amount: int,
    cache: Path,
    work: Path,
    say: Callable[[str], None],
    library: Path | None = None,
) -> Report:
    """One machine from start to end."""
    begin = time.monotonic()
    release = FreeBSD(sets, cache, say)
    programs = freebsd_programs.Programs(release, cache, library)
    report = Report(f"freebsd-{mode}", {}, programs.packages(), programs.library_digest())
    machine = FreeBSDDom0(
        mode, release, work / f"clients-freebsd-{mode}", cache, say, files=programs.files(),
        environment={"xengnt.run": f"/bin/xengnt-relay 0x2f8 {freebsd_programs.SESSION}"},
    )  # fmt: skip
    with machine:
        session = Session(machine, say)
        session.wait_ready(BOOT_SECONDS)
        # What ldconfig(8) knows on an installed system.
        session.environment("LD_LIBRARY_PATH", freebsd_programs.LIBRARIES)
        report.facts = machine.facts
        report.results = perform(steps, Run(session, mode, amount, machine.mark()), say)
    report.seconds = time.monotonic() - begin
    return report


def machines(
    args: argparse.Namespace, names: Sequence[str]
) -> dict[str, Callable[[Path, Callable[[str], None]], Report]]:
    """A machine a mode, by what it is called; ValueError for what does not exist."""
    steps = choose(names)
    amount = QUICK_AMOUNT if args.quick else AMOUNT

    def machine(mode: Mode) -> Callable[[Path, Callable[[str], None]], Report]:
        return lambda work, say: run_mode(
            mode, args.freebsd, steps, amount, args.cache, work, say, args.library
        )

    modes = [name for name in args.modes.split(",") if name]
    for name in modes:
        if name not in MODES:
            raise ValueError(f"no mode {name!r} (there are {', '.join(MODES)})")
    return {f"freebsd-{mode}": machine(mode) for mode in NODES if mode in modes}


def show_steps() -> None:
    """For --list."""
    for name, title in MODES.items():
        print(f"  {name:18} (mode) {title}")
    for step in STEPS:
        print(f"  {step.name:18} {step.title}")
