#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Runs the parity cases on several systems and prints one table (./dev parity)."""

from __future__ import annotations

import argparse
import contextlib
import fnmatch
import os
import platform
import shlex
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
sys.path.insert(0, str(Path(__file__).resolve().parent))

import cases
import differences
import options
from cases import rows
from cases.framework import Case
from report import documents
from report.results import Origin, Run, TargetRun, compare
from report.screen import Live, make_console, print_summary, print_table
from report.writers import write_all, write_json
from targets import DEFAULT, REMOTE, TARGETS, Entry, Setting, TargetMissing, entry
from testbed import packages
from testbed.errors import TestbedError

from devtools.paths import ROOT

ABI = ROOT / "docs/abi.md"
OUTPUTS = (
    *("logs", "index.html", "parity.json", "junit.xml", "parity.tap"),
    *documents.SOURCES,
)


def parser() -> argparse.ArgumentParser:
    p = argparse.ArgumentParser(
        prog="./dev parity",
        description="Runs the same cases on several systems and prints one table.",
        epilog="Exit status: 0 if every difference from linux-pvh is documented, 1 if one is not "
        "or a target could not run, 2 for wrong usage.",
    )
    p.add_argument(
        "--targets",
        metavar="NAME,…",
        default=",".join(DEFAULT),
        help=f"systems to run on (default: %(default)s), of: {', '.join((*TARGETS, REMOTE[0]))}",
    )
    p.add_argument(
        "--cases",
        metavar="PATTERN",
        action="append",
        default=[],
        help="only cases of this name, row (P10, K3), glob (mmap.*) or part of a name; repeatable",
    )
    p.add_argument(
        "--clients",
        action="store_true",
        help="run Xen's own programs and QEMU on our library instead (see --clients --help)",
    )
    p.add_argument("--list", action="store_true", help="list cases and targets and exit")
    p.add_argument(
        "--rows",
        action="store_true",
        help="list each rule of docs/abi.md and its cases; with --write, put them into "
        "that page and make docs/differences.md",
    )
    p.add_argument("--write", action="store_true", help=argparse.SUPPRESS)
    options.add_places(p, "report", "index.html, parity.json, junit.xml and parity.tap")
    p.add_argument(
        "--xen", metavar="FILE", type=Path, help="your own hypervisor instead of Debian's"
    )
    p.add_argument(
        "--kernel",
        metavar="FILE|DIR",
        type=Path,
        help="your own Linux kernel for the Linux targets: an image with Xen's drivers in it, "
        "or a directory with boot/vmlinuz-* and lib/modules",
    )
    freebsd = os.environ.get("FREEBSD_DIST")
    p.add_argument(
        "--freebsd",
        metavar="DIR",
        type=Path,
        default=Path(freebsd) if freebsd else None,
        help="directory with FreeBSD's base.txz, kernel.txz and src.txz (or FREEBSD_DIST)",
    )
    p.add_argument(
        "--cpus",
        type=int,
        default=2,
        choices=(1, 2),
        help="processors of a FreeBSD Dom0 (default: 2)",
    )
    p.add_argument(
        "--preload",
        action="store_true",
        help='FreeBSD Dom0s have our driver when the kernel starts, as xengnt_load="YES" does',
    )
    return p


def select(every: Sequence[Case], patterns: Sequence[str]) -> list[Case]:
    """Cases selected by a pattern: by name, row, glob, or part of the name."""
    words = [word for pattern in patterns for word in pattern.split(",") if word]
    if not words:
        return list(every)
    chosen: set[str] = set()
    for word in words:
        named = (
            [case.id for case in every if case.id == word]
            or [case.id for case in every if word in case.rows]
            or [case.id for case in every if word in rows.shown(case)]
            or [case.id for case in every if fnmatch.fnmatchcase(case.id, word)]
            or [case.id for case in every if word.lower() in case.id]
        )
        if not named:
            raise ValueError(f"no case is called {word!r} (./dev parity --list names all)")
        chosen.update(named)
    return [case for case in every if case.id in chosen]


def run_target(name: str, chosen: Sequence[Case], setting: Setting, live: Live) -> TargetRun:
    """Runs one target from start to end; never raises for an error of the target."""
    column = TargetRun(name)
    begun = time.monotonic()
    live.say(name, "starting")
    try:
        target = entry(name).make(setting)
        with target:
            column.facts = target.facts
            column.module = target.module
            column.differences = target.differences
            for case in chosen:
                cell = target.run(case)
                column.cells[case.id] = cell
                live.cell(name, case.id, cell)
    except Exception as error:  # the other targets continue
        text = str(error) or type(error).__name__
        if not isinstance(error, (TargetMissing, TestbedError)):
            text = f"{type(error).__name__}: {text}"
        column.missing = text.splitlines()[0]
        live.say(name, column.missing)
    column.seconds = time.monotonic() - begun
    return column


def run_all(names: Sequence[str], chosen: list[Case], setting: Setting, live: Live) -> Run:
    """Runs quick targets first, then those that boot something, each in its own thread."""
    columns: dict[str, TargetRun] = {}

    def run_one(name: str) -> None:
        columns[name] = run_target(name, chosen, setting, live)

    for name in names:
        if not entry(name).slow:
            run_one(name)
    threads = [
        threading.Thread(target=run_one, args=(name,), name=name, daemon=True)
        for name in names
        if entry(name).slow
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        # A join without a time limit could not be interrupted.
        while thread.is_alive():
            thread.join(0.5)
    run = Run(chosen, [columns[name] for name in names])
    compare(run)
    return run


def shown_arguments(argv: Sequence[str]) -> list[str]:
    """The user's own arguments, without the directories that ./dev adds."""
    words: list[str] = []
    rest = iter(argv)
    for word in rest:
        if word in ("--build", "--cache"):
            next(rest, None)
        else:
            words.append(word)
    return words


def commit() -> str:
    """The tree's commit according to git, or else the version."""
    words = ["git", "-C", str(ROOT), "describe", "--always", "--dirty", "--tags"]
    with contextlib.suppress(OSError, subprocess.CalledProcessError):
        return subprocess.check_output(words, stderr=subprocess.DEVNULL, text=True).strip()
    return (ROOT / "VERSION").read_text("utf-8").strip()


def origin(words: Sequence[str], seconds: float) -> Origin:
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return Origin(
        date=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        commit=commit(),
        arguments=shlex.join(words),
        machine=f"{platform.system()} {platform.release()} {platform.machine()}, "
        f"{os.cpu_count()} processors, {memory:.0f} GiB",
        seconds=round(seconds, 1),
    )


def print_list(chosen: Sequence[Case]) -> None:
    section = None
    for case in chosen:
        if case.section != section:
            section = case.section
            print(f"\n{section}")
        print(f"  {case.id:38} {' '.join(case.rows):10} {case.title}")
    print(f"\n{len(chosen)} cases\n\nTargets")
    for name, item in TARGETS.items():
        print(f"  {name:20} {item.title}{' *' if name in DEFAULT else ''}")
    print(f"  {REMOTE[0]:20} {REMOTE[1]}")
    print("  (* by default)")


def print_rows(every: Sequence[Case]) -> bool:
    """Prints each row with its cases or the reason for none; returns whether all have either."""
    accounts = rows.account(every)
    for item in accounts:
        print(f"{item.row:5} {' '.join(item.cases) or item.reason or 'OPEN'}")
        if item.cases and item.reason:
            print(f"      {item.reason}")
    missing = [item.row for item in accounts if item.open]
    print(f"\n{len(accounts)} rows, {len(every)} cases, open: {', '.join(missing) or 'none'}")
    return not missing


def _entry(name: str) -> Entry | None:
    try:
        return entry(name)
    except (KeyError, ValueError):
        return None


def not_run(names: Sequence[str], freebsd: Path | None) -> list[str]:
    """Every target that was not requested, and what it needs."""
    absent = [name for name in TARGETS if name not in names]
    sets = [name for name in absent if "freebsd" in name]
    rest = [name for name in absent if name not in sets] + [REMOTE[0]]
    need = "" if freebsd else " (they need FreeBSD's release sets: --freebsd DIR)"
    return [", ".join(sets) + need] * bool(sets) + [f"{', '.join(rest)} (--targets)"]


def main(argv: Sequence[str] | None = None) -> int:
    if "--clients" in (sys.argv[1:] if argv is None else argv):
        from clients import run as clients

        return clients.main(argv)
    args = parser().parse_args(argv)
    names = list(dict.fromkeys(name for name in args.targets.split(",") if name))
    unknown = [name for name in names if _entry(name) is None]
    if unknown or not names:
        wrong = ", ".join(unknown) or "none given"
        known = ", ".join((*TARGETS, REMOTE[0]))
        parser().error(f"unknown target: {wrong} (known: {known})")
    try:
        packages.use(packages.Own(args.xen, args.kernel))
    except TestbedError as error:
        parser().error(str(error))
    try:
        chosen = select(cases.load(), args.cases)
    except ValueError as error:
        parser().error(str(error))
    if args.rows and args.write:
        ABI.write_text(rows.with_cases(ABI.read_text("utf-8"), cases.load()), "utf-8")
        differences.PAGE.write_text(differences.page(), "utf-8")
        return 0
    if args.rows:
        return 0 if print_rows(cases.load()) else 1
    if args.list:
        print_list(chosen)
        return 0

    console = make_console()
    # An earlier run's files would be taken for this one's.
    for old in OUTPUTS:
        path = args.report / old
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
    work = args.report / "vm"
    work.mkdir(parents=True, exist_ok=True)
    with Live(console, names, len(chosen)) as live:
        setting = Setting(
            build=args.build.resolve(),
            cache=args.cache.expanduser().resolve(),
            work=work.resolve(),
            freebsd=args.freebsd,
            cpus=args.cpus,
            preload=args.preload,
            progress=live.say,
        )
        begun = time.monotonic()
        run = run_all(names, chosen, setting, live)
    words = ["./dev", "parity", *shown_arguments(sys.argv[1:] if argv is None else argv)]
    run.origin = origin(words, time.monotonic() - begun)
    print_table(console, run)
    print_summary(console, run)
    write_all(run, args.report)
    if args.json is not None:
        write_json(run, args.json)
    for line in not_run(names, args.freebsd):
        console.print(f"not run: {line}", style="dim", soft_wrap=True)
    console.print(f"report: {args.report / 'index.html'}", soft_wrap=True, style="dim")
    return 0 if run.ok else 1


if __name__ == "__main__":
    try:
        sys.exit(main())
    except BrokenPipeError:
        # The reader has seen enough (| head).
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
    except KeyboardInterrupt:
        print("./dev parity: interrupted", file=sys.stderr)
        sys.exit(130)
