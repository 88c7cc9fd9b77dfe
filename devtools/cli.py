# SPDX-License-Identifier: BSD-2-Clause
"""The command line of ./dev."""

from __future__ import annotations

import argparse
import os
import platform
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from devtools import debian, environment, suite
from devtools.console import Console, DevError
from devtools.freebsd_versions import RELEASES
from devtools.paths import ASAN, BUILD, NATIVE, ROOT, cache_dir, freebsd_build

DESCRIPTION = """\
Builds, tests and measures this project.  Each command first installs what is missing: Debian
packages (as root), a Python environment in build/venv, FreeBSD's headers in the cache, the meson
builds.
"""
EPILOG = """\
environment:
  XENGNT_CACHE      cache directory (default: $XDG_CACHE_HOME/xengnt or ~/.cache/xengnt)
  FREEBSD_DIST      directory with FreeBSD's base.txz, kernel.txz and src.txz

exit status: 0 success, 1 something failed or is missing, 2 wrong usage.
"""
PARITY_EPILOG = """\
Options are passed to compat-tests/parity.py; the important ones are

  --targets NAME,…   systems to run on, see below
  --cases PATTERN    only the cases of this name, row (P10, K3) or glob
  --freebsd DIR      FreeBSD's release sets, for the FreeBSD targets
  --xen FILE, --kernel FILE
                     your own hypervisor or Linux kernel
  --list             print the cases and exit
  --json FILE        also write the results to FILE
  --clients          run Xen's own programs and QEMU on our library instead

After set-up, './dev parity --help' lists all of them.
"""


def _targets() -> str:
    """The list of targets; module `targets` needs only Python's standard library."""
    sys.path.insert(0, str(ROOT / "compat-tests"))
    from targets import DEFAULT, REMOTE, TARGETS

    known = {name: item.title + " *" * (name in DEFAULT) for name, item in TARGETS.items()}
    lines = (f"  {name:<20} {title}\n" for name, title in (*known.items(), REMOTE))
    return f"\nTargets (* by default)\n{''.join(lines)}"


def parser() -> argparse.ArgumentParser:
    raw = argparse.RawDescriptionHelpFormatter
    top = argparse.ArgumentParser(
        prog="./dev", description=DESCRIPTION, epilog=EPILOG, formatter_class=raw
    )
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")
    commands.add_parser(
        "parity", add_help=False, help="run the parity suite and print its table",
        description="Runs the parity suite.", epilog=PARITY_EPILOG, formatter_class=raw,
    )  # fmt: skip
    commands.add_parser("boot", add_help=False, help="boot a Dom0 and get a shell on it")
    test = commands.add_parser(
        "test", help="run every test that needs no FreeBSD release",
        description="Runs every test that needs no FreeBSD release, then prints a table of"
        " the steps with totals.  Arguments after the options are passed to pytest; then only the"
        " unit step runs, unless --step names others.",
    )  # fmt: skip
    test.add_argument("--quick", action="store_true",
                      help="no virtual machines; parity runs on the harness only")  # fmt: skip
    test.add_argument("--step", action="append", default=[], metavar="NAME",
                      help="only this step (repeat for more): native, sanitizers, threads,"
                      " typecheck, cross, lint, fuzz, coverage, unit, parity,"
                      " clients; and qemu, which runs only if named: QEMU 10 built for FreeBSD on"
                      " our library (7 minutes on two processors, then cached)")  # fmt: skip
    test.add_argument("pytest", nargs=argparse.REMAINDER, metavar="ARGS",
                      help="arguments for pytest")  # fmt: skip
    _tools(commands)
    commands.add_parser("lint", help="run the linters", description="Runs the linters alone.")
    fmt = "format C and Python files in place"
    commands.add_parser("format", help=fmt, description=fmt.capitalize() + ".")
    build = commands.add_parser(
        "build", help="set up and build", description="Sets up and builds for this machine."
    )
    build.add_argument("--all", action="store_true",
                       help="also the sanitizer and FreeBSD builds")  # fmt: skip
    commands.add_parser(
        "docs", help="make the Python package's documentation",
        description="Makes HTML pages of the Python package's docstrings in build/docs.",
    )  # fmt: skip
    clean = commands.add_parser(
        "clean", help="remove build products",
        description="Removes the build directories (and the environment with --all).",
    )  # fmt: skip
    clean.add_argument(
        "--all", action="store_true", help="all of build/, including the environment"
    )
    clean.add_argument("--cache", action="store_true", help="also the cache (downloads, images)")
    return top


def _tools(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Longer checks of the driver on the harness."""
    fuzz = commands.add_parser(
        "fuzz", help="fuzz the driver on the harness",
        description="Runs the fuzz targets of tests/fuzz: first the committed corpus, then a search"
        " of N seconds each.  New inputs are kept in build/fuzz/found, inputs that break"
        " something in build/test/crashes, with the command that reproduces it printed.",
    )  # fmt: skip
    fuzz.add_argument("target", nargs="*", help="ioctl, copy (default: both)")
    seconds = "length of the search for each target in seconds (default: 60; 0: only the corpus)"
    fuzz.add_argument("--seconds", type=int, default=60, metavar="N", help=seconds)
    fuzz.add_argument("--jobs", type=int, default=os.cpu_count() or 1, metavar="N",
                      help="how many targets run at once (default: one a processor)")  # fmt: skip
    commands.add_parser(
        "coverage", help="branch coverage of the driver by the tests of this machine",
        description="Builds for coverage, runs the C tests, the fuzz corpus and the parity cases on"
        " the harness and prints a table of branches per file.  Fails under 95 % and for a"
        " branch that is neither taken nor listed, with its reason, in tests/coverage-exclusions.",
    )  # fmt: skip
    bench = commands.add_parser(
        "bench", help="cost of the driver's operations, or times on a real FreeBSD",
        description="Counts hypercalls, allocations, locks and basic blocks of the driver's"
        " operations on the harness: they compare one version with another, not with a kernel."
        "  With --freebsd it measures real systems under Xen instead: our driver, FreeBSD's own and"
        " Linux's; compat-tests/measure.py has more options, which are passed on (--rounds,"
        " --machines, --report, --show).",
    )  # fmt: skip
    bench.add_argument("--targets", default="harness", metavar="NAME,…",
                       help="harness (default): the driver; python: the package")  # fmt: skip
    bench.add_argument("--freebsd", metavar="DIR",
                       help="measure on FreeBSD and Linux under Xen: directory with base.txz,"
                       " kernel.txz and src.txz of a kernel without INVARIANTS")  # fmt: skip
    bench.add_argument("--disks", action="store_true",
                       help="measure guests' disks instead of grants; compat-tests/disks has more"
                       " options, which are passed on (--only, --rounds, --resume, --report,"
                       " --show)")  # fmt: skip
    bench.add_argument(
        "--json",
        metavar="FILE",
        help="also write the results to FILE (-: standard output, nothing else)",
    )


def main(argv: Sequence[str] | None = None) -> int:
    args, rest = parser().parse_known_args(argv)
    real = args.command == "bench" and (args.freebsd is not None or args.disks)
    if rest and args.command not in ("parity", "boot") and not real:
        parser().error(f"unrecognized arguments: {' '.join(rest)}")
    try:
        if args.command == "clean":
            return _clean(args)
        if args.command == "parity" and {"-h", "--help"} & set(rest):
            return _parity_help(rest)
        return _run(args, rest)
    except DevError as error:
        print(f"./dev: {error}", file=sys.stderr)
        return 1
    except OSError as error:
        print(f"./dev: {error.filename or 'system'}: {error.strerror or error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("./dev: interrupted", file=sys.stderr)
        return 130


def _run(args: argparse.Namespace, rest: list[str]) -> int:
    if platform.system() == "FreeBSD":
        from devtools import freebsd_host

        return freebsd_host.run(args.command, rest)
    environment.check_machine()
    environment.ensure_venv(Console())
    # From here on everything in requirements.txt can be imported.
    from devtools import steps

    console = Console()
    everything = args.command == "test" or (args.command == "build" and args.all)
    if args.command != "format":
        environment.set_up(console, cross=everything)
    match args.command:
        case "parity":
            _freebsd_packages(console, rest)
            environment.compile_(console, NATIVE)
            environment.install_package(console)
            return suite.run(rest)
        case "boot":
            _freebsd_packages(console, rest)
            environment.compile_(console, NATIVE)
            return suite.boot(rest)
        case "test":
            wanted = args.step or (["unit"] if args.pytest else [])
            options = steps.Options(quick=args.quick, pytest=args.pytest)
            if wanted and "native" not in wanted:
                environment.compile_(console, NATIVE)  # needed by the other steps
            return steps.run_all(console, options, wanted)
        case "fuzz":
            from devtools import fuzz

            return fuzz.main(console, args.target, args.seconds, max(1, args.jobs))
        case "coverage":
            from devtools import coverage

            return coverage.main(console)
        case "bench":
            from devtools import costs

            if args.freebsd is not None or args.disks:
                needs = [*debian.FREEBSD_NEEDS]
                if args.disks:
                    needs += [*debian.CLIENTS_NEEDS, *debian.DISKS_NEEDS]
                debian.ensure(console, needs)
                environment.compile_(console, NATIVE)
                more = ["--disks"] * args.disks
                more += ["--freebsd", args.freebsd] if args.freebsd else []
                more += ["--json", args.json] if args.json else []
                return suite.bench([*more, *rest])
            return costs.main(console, args.targets.split(","), args.json)
        case "docs":
            return _docs(console)
        case "lint":
            return steps.run_all(console, steps.Options(), ["lint"])
        case "format":
            return _format(console)
        case _:
            environment.compile_(console, NATIVE)
            environment.install_package(console)
            if args.all:
                for where in (ASAN, *(freebsd_build(m) for m in RELEASES)):
                    environment.compile_(console, where)
            return 0


def _freebsd_packages(console: Console, rest: Sequence[str]) -> None:
    """Installs what a FreeBSD machine needs, if the options name one."""
    named = any(word.partition("=")[0] == "--freebsd" for word in rest)
    if not named and not os.environ.get("FREEBSD_DIST"):
        return
    more = debian.CLIENTS_NEEDS if "--clients" in rest else ()
    debian.ensure(console, (*debian.FREEBSD_NEEDS, *more))


def _parity_help(rest: list[str]) -> int:
    if environment.tool("python3").exists():
        return suite.run(rest)
    print("usage: ./dev parity [OPTIONS]\n\nRuns the parity suite and prints its table.\n")
    print(PARITY_EPILOG, end="")
    print(_targets(), end="")
    return 0


def _docs(console: Console) -> int:
    environment.compile_(console, NATIVE)
    environment.install_package(console)
    where = BUILD / "docs/python"
    console.check("Python documentation", [environment.tool("pdoc"), "-o", where, "xengnttab"])
    print(where / "index.html")
    return 0


def _format(console: Console) -> int:
    from devtools import lint

    c_files = [p for p in lint.tracked() if p.suffix in (".c", ".h")]
    console.check(
        "clang-format", [environment.tool("python3"), "-m", "devtools.cformat", "--write", *c_files]
    )
    console.check("ruff format", [environment.tool("ruff"), "format", "."])
    console.check("ruff fix", [environment.tool("ruff"), "check", "--fix", "--exit-zero", "."])
    return 0


def _clean(args: argparse.Namespace) -> int:
    if args.all:
        shutil.rmtree(BUILD, ignore_errors=True)
    elif BUILD.exists():
        for path in BUILD.iterdir():
            if path.is_dir() and path.name != "venv":
                shutil.rmtree(path)
    shutil.rmtree(ROOT / "report", ignore_errors=True)
    if args.cache:
        if cache_dir().resolve() in (Path("/"), Path.home()):
            raise DevError(f"refusing to remove {cache_dir()}")
        shutil.rmtree(cache_dir(), ignore_errors=True)
    return 0
