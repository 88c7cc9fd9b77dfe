# SPDX-License-Identifier: BSD-2-Clause
"""Options shared by the programs of compat-tests/."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from devtools.paths import NATIVE, ROOT, cache_dir


@dataclass(frozen=True)
class Places:
    """Where a benchmark finds and puts its files, and how it reports progress."""

    build: Path
    cache: Path
    work: Path
    say: Callable[[str], None]


def console(width: int) -> Console:
    """A console that prints tables up to this width into a file or pipe."""
    terminal = Console(highlight=False)
    return terminal if terminal.is_terminal else Console(highlight=False, width=width)


def add_places(p: argparse.ArgumentParser, report: str, files: str) -> None:
    """Adds where results go, and where programs and packages come from."""
    p.add_argument("--json", metavar="FILE", type=Path, help="also write the results to FILE")
    p.add_argument("--report", metavar="DIR", type=Path, default=ROOT / report,
                   help=f"directory for {files} (default: {report})")  # fmt: skip
    p.add_argument("--build", metavar="DIR", type=Path, default=NATIVE,
                   help="meson build directory (default: build/native)")  # fmt: skip
    p.add_argument("--cache", metavar="DIR", type=Path, default=cache_dir(),
                   help="cache directory (%(default)s)")  # fmt: skip


def add_figures(p: argparse.ArgumentParser) -> None:
    """Adds the options of both benchmarks on real systems."""
    p.add_argument("--freebsd", metavar="DIR", type=Path,
                   help="directory with base.txz, kernel.txz and src.txz of a kernel without"
                   " INVARIANTS and WITNESS")  # fmt: skip
    p.add_argument("--show", metavar="FILE", type=Path, action="append", default=[],
                   help="measure nothing, show what an earlier run wrote; repeatable")  # fmt: skip
    p.add_argument("--markdown", metavar="FILE", type=Path,
                   help="write ratios to FILE, those of several --show side by side")  # fmt: skip
