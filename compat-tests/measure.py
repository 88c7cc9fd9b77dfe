# SPDX-License-Identifier: BSD-2-Clause
"""What grants cost on real systems under a real Xen (./dev bench --freebsd DIR)."""

from __future__ import annotations

import argparse
import hashlib
import sys
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(1, str(Path(__file__).resolve().parents[1]))

import disks.run
import options
from clients.shell import Failed
from speed import ratios, report
from speed.figures import PARTS, Run
from speed.machines import MACHINES, Setting
from speed.progress import Kept, Progress
from testbed.errors import TestbedError
from testbed.freebsd_sets import WHERE, FreeBSD, missing

from devtools.paths import ROOT

KERNEL = ROOT / "kernel"


def parser() -> argparse.ArgumentParser:
    """The command line."""
    p = argparse.ArgumentParser(
        prog="./dev bench --freebsd DIR",
        description="Boots FreeBSD and Linux under Xen and measures what mapping, sharing and"
        " copying grants costs there: FreeBSD's own driver and ours in turn in one boot, Linux's"
        " beside them, and Xen's two hypercalls alone. Run it on an otherwise idle machine.",
        epilog="Exit status: 0 measured, whatever the figures, 1 a machine failed, 2 wrong usage.",
    )
    options.add_figures(p)
    p.add_argument("--machines", metavar="NAME,…", default=",".join(MACHINES),
                   help="dom0: FreeBSD; dom0-smp: the same with two processors;"
                   " linux-pvh: Linux as Dom0; domu: both as DomUs; domu-tsc: the same with the"
                   " time-stamp counter read directly (default: %(default)s)")  # fmt: skip
    p.add_argument("--only", metavar="PART,…", default=",".join(PARTS),
                   help="measure these parts only (default: %(default)s)")  # fmt: skip
    p.add_argument("--fresh", action="store_true",
                   help="measure again what an interrupted run has measured")  # fmt: skip
    p.add_argument("--rounds", metavar="N", type=int, default=30, help="default: %(default)s")
    p.add_argument("--live", metavar="N", type=int, default=10000,
                   help="maps beside the measured one (default: %(default)s)")  # fmt: skip
    options.add_places(p, "report/speed", "index.html and speed.json")
    return p


def key(args: argparse.Namespace) -> str:
    """Runs with the same key have comparable figures."""
    sources = [*KERNEL.rglob("*.[ch]"), *Path(report.__file__).parent.glob("*.[ch]")]
    digest = hashlib.sha256()
    for path in sorted(sources):
        digest.update(path.read_bytes())
    words = (args.freebsd.resolve(), args.rounds, args.live, args.only, digest.hexdigest())
    return " ".join(map(str, words))


def measure(args: argparse.Namespace, names: Sequence[str], only: Sequence[str]) -> dict[str, Run]:
    """Every requested machine in turn."""
    kept = Kept(args.report / "unfinished", key(args))
    if args.fresh:
        kept.clear()
    found = {name: runs for name in names if (runs := kept.get(name)) is not None}
    todo = [name for name in names if name not in found]
    progress = Progress(todo, args.report / "seconds.json")

    def say(text: str) -> None:
        print(f"[{progress}] {text}", file=sys.stderr, flush=True)

    if found:
        say(f"measured before the interruption: {', '.join(found)} (--fresh: again)")
    setting = Setting(args.build, args.cache, args.report / "vm", say, args.rounds, args.live, only)
    release = FreeBSD(args.freebsd, args.cache, say)
    for name in todo:
        progress.start()
        found[name] = MACHINES[name](setting, release)
        kept.put(name, found[name])
        progress.done()
    return {machine: run for name in names for machine, run in found[name].items()}


def main(argv: Sequence[str] | None = None) -> int:
    given = sys.argv[1:] if argv is None else list(argv)
    if "--disks" in given:
        return disks.run.main(given)
    p = parser()
    args = p.parse_args(given)
    names = [name for name in args.machines.split(",") if name]
    if unknown := [name for name in names if name not in MACHINES]:
        p.error(f"no machine {unknown[0]!r} (there are {', '.join(MACHINES)})")
    only = [name for name in args.only.split(",") if name]
    if unknown := [name for name in only if name not in PARTS]:
        p.error(f"no part {unknown[0]!r} (there are {', '.join(PARTS)})")
    if not 1 <= args.rounds <= 200:
        p.error("--rounds: 1 to 200")
    if not 0 <= args.live <= 20000:
        p.error("--live: 0 to 20000")
    try:
        if args.show:
            several = [report.from_json(path.read_text()) for path in args.show]
            runs = {name: run for each in several for name, run in each.items()}
        else:
            if args.freebsd is None:
                p.error(f"--freebsd DIR is missing; {WHERE} has the sets")
            if absent := missing(args.freebsd):
                print(f"./dev bench: {args.freebsd} lacks {', '.join(absent)}; {WHERE} has them",
                      file=sys.stderr)  # fmt: skip
                return 1
            runs = measure(args, names, only)
            several = [runs]
    except (TestbedError, Failed, ValueError, KeyError, OSError) as error:
        print(f"./dev bench: {error}", file=sys.stderr)
        return 1
    page = report.write(runs, args.report)
    if not args.show:
        Kept(args.report / "unfinished", key(args)).clear()
    if args.json is not None:
        args.json.write_text(report.as_json(runs))
    if args.markdown is not None:
        args.markdown.write_text(ratios.markdown(several))
    console = options.console(140)
    report.show(console, runs)
    console.print(f"\nreport: {page}")
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        print("./dev bench: interrupted; the same command continues the run", file=sys.stderr)
        sys.exit(130)
