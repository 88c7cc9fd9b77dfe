# SPDX-License-Identifier: BSD-2-Clause
"""Runs the programs of compat-tests/.  Imported before any package is installed."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from devtools import environment
from devtools.paths import NATIVE, ROOT, cache_dir

PARITY = ROOT / "compat-tests/parity.py"
BENCH = ROOT / "compat-tests/measure.py"


def run(args: Sequence[str]) -> int:
    """The parity suite."""
    return _call(command(args))


def bench(args: Sequence[str]) -> int:
    """The benchmark on real systems."""
    return _call(_command(BENCH, args))


def boot(args: Sequence[str]) -> int:
    """Boots a machine for interactive use."""
    python = str(environment.tool("python3"))
    return _call([python, "-m", "testbed", "boot", *args], PYTHONPATH=str(ROOT / "compat-tests"))


def command(args: Sequence[str]) -> list[str]:
    return _command(PARITY, args)


def _call(argv: Sequence[str], **more: str) -> int:
    sys.stdout.flush()
    env = {**os.environ, **environment.environment(), **more}
    return subprocess.call(argv, cwd=ROOT, env=env)


def _command(program: Path, args: Sequence[str]) -> list[str]:
    return [str(environment.tool("python3")), str(program), "--build", str(NATIVE),
            "--cache", str(cache_dir()), *args]  # fmt: skip
