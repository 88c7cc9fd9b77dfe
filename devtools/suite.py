# SPDX-License-Identifier: BSD-2-Clause
"""The parity suite, a program of its own; `./dev` imports this before any package is there."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence

from devtools import environment
from devtools.paths import NATIVE, ROOT, cache_dir

PARITY = ROOT / "compat-tests/parity.py"


def run(args: Sequence[str]) -> int:
    sys.stdout.flush()
    env = {**os.environ, **environment.environment()}
    return subprocess.call(command(args), cwd=ROOT, env=env)


def command(args: Sequence[str]) -> list[str]:
    return [str(environment.tool("python3")), str(PARITY), "--build", str(NATIVE),
            "--cache", str(cache_dir()), *args]  # fmt: skip
