# SPDX-License-Identifier: BSD-2-Clause
"""The parity suite and the benchmark, programs of their own.  Imported before any package is."""

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


def command(args: Sequence[str]) -> list[str]:
    return _command(PARITY, args)


def _call(argv: Sequence[str]) -> int:
    sys.stdout.flush()
    env = {**os.environ, **environment.environment()}
    return subprocess.call(argv, cwd=ROOT, env=env)


def _command(program: Path, args: Sequence[str]) -> list[str]:
    return [str(environment.tool("python3")), str(program), "--build", str(NATIVE),
            "--cache", str(cache_dir()), *args]  # fmt: skip
