# SPDX-License-Identifier: BSD-2-Clause
"""Options shared by the programs of compat-tests/."""

from __future__ import annotations

import argparse
from pathlib import Path

from devtools.paths import NATIVE, ROOT, cache_dir


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
