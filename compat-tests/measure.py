# SPDX-License-Identifier: BSD-2-Clause
"""What grants cost on real systems under a real Xen (./dev bench --freebsd DIR)."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(1, str(Path(__file__).resolve().parents[1]))

import disks.run
from clients.shell import Failed
from rich.console import Console
from speed import report
from speed.figures import Run
from speed.machines import MACHINES, Setting
from testbed.errors import TestbedError
from testbed.freebsd_sets import WHERE, FreeBSD, missing

from devtools.paths import cache_dir

ROOT = Path(__file__).resolve().parents[1]


def parser() -> argparse.ArgumentParser:
    """The command line."""
    p = argparse.ArgumentParser(
        prog="./dev bench --freebsd DIR",
        description="Boots FreeBSD and Linux under Xen and measures what mapping, sharing and"
        " copying grants costs there: FreeBSD's own driver and ours in turn in one boot, Linux's"
        " beside them, and Xen's two hypercalls alone. A machine with nothing else to do, please.",
        epilog="Exit status: 0 measured, whatever the figures, 1 a machine failed, 2 wrong usage.",
    )
    p.add_argument("--freebsd", metavar="DIR", type=Path,
                   help="directory with base.txz, kernel.txz and src.txz of a kernel without"
                   " INVARIANTS and WITNESS")  # fmt: skip
    p.add_argument("--machines", metavar="NAME,…", default=",".join(MACHINES),
                   help="dom0: FreeBSD; linux-pvh: Linux as Dom0; domu: both as DomUs; domu-tsc:"
                   " the same with the time-stamp counter read directly"
                   " (default: %(default)s)")  # fmt: skip
    p.add_argument("--rounds", metavar="N", type=int, default=30, help="default: %(default)s")
    p.add_argument("--live", metavar="N", type=int, default=1000,
                   help="maps beside the measured one (default: %(default)s)")  # fmt: skip
    p.add_argument("--show", metavar="FILE", type=Path, action="append", default=[],
                   help="measure nothing, show what an earlier run wrote; repeatable")  # fmt: skip
    p.add_argument("--json", metavar="FILE", type=Path, help="write the figures there, too")
    p.add_argument("--report", metavar="DIR", type=Path, default=ROOT / "report/speed",
                   help="for index.html and speed.json (default: report/speed)")  # fmt: skip
    p.add_argument("--build", metavar="DIR", type=Path, default=ROOT / "build/native",
                   help="meson build directory (default: build/native)")  # fmt: skip
    p.add_argument("--cache", metavar="DIR", type=Path, default=cache_dir(),
                   help="cache directory (%(default)s)")  # fmt: skip
    return p


def measure(args: argparse.Namespace, names: Sequence[str]) -> dict[str, Run]:
    """Every machine that was asked for, one after the other."""
    begin = time.monotonic()

    def say(text: str) -> None:
        print(f"[{time.monotonic() - begin:6.1f}] {text}", file=sys.stderr, flush=True)

    setting = Setting(args.build, args.cache, args.report / "vm", say, args.rounds, args.live)
    release = FreeBSD(args.freebsd, args.cache, say)
    runs: dict[str, Run] = {}
    for name in names:
        runs |= MACHINES[name](setting, release)
    return runs


def main(argv: Sequence[str] | None = None) -> int:
    given = sys.argv[1:] if argv is None else list(argv)
    if "--disks" in given:
        return disks.run.main(given)
    p = parser()
    args = p.parse_args(given)
    names = [name for name in args.machines.split(",") if name]
    if unknown := [name for name in names if name not in MACHINES]:
        p.error(f"no machine {unknown[0]!r} (there are {', '.join(MACHINES)})")
    if not 1 <= args.rounds <= 200:
        p.error("--rounds: 1 to 200")
    if not 0 <= args.live <= 2000:
        p.error("--live: 0 to 2000")
    try:
        if args.show:
            runs: dict[str, Run] = {}
            for path in args.show:
                runs |= report.from_json(path.read_text())
        else:
            if args.freebsd is None:
                p.error(f"--freebsd DIR is missing; {WHERE} has the sets")
            if absent := missing(args.freebsd):
                print(f"./dev bench: {args.freebsd} lacks {', '.join(absent)}; {WHERE} has them",
                      file=sys.stderr)  # fmt: skip
                return 1
            runs = measure(args, names)
    except (TestbedError, Failed, ValueError, KeyError, OSError) as error:
        print(f"./dev bench: {error}", file=sys.stderr)
        return 1
    page = report.write(runs, args.report)
    if args.json is not None:
        args.json.write_text(report.as_json(runs))
    console = Console(highlight=False)
    if not console.is_terminal:
        console = Console(highlight=False, width=140)
    report.show(console, runs)
    console.print(f"\nreport: {page}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
