# SPDX-License-Identifier: BSD-2-Clause
"""A short run of stress.py, which explains longer ones."""

from __future__ import annotations

import os
import subprocess
import sys

from devtools.paths import ROOT
from tests.python.machine import Machine


def test_all_calls_from_several_threads(machine: Machine) -> None:
    seconds = float(os.environ.get("XENGNT_STRESS_SECONDS", "0"))
    python = os.environ.get("XENGNT_STRESS_PYTHON", sys.executable)
    env = {**os.environ, **machine.env(1), "PYTHONPATH": str(ROOT)}
    if before := os.environ.get("XENGNT_STRESS_PRELOAD"):
        env["LD_PRELOAD"] = f"{before}:{env['LD_PRELOAD']}"
    sharer, refs = machine.share(0, "1", "--writable", "--pages", "3", "--hold", "forever")
    command = [python, "-m", "tests.python.stress", ",".join(refs), "--seconds", str(seconds)]
    done = subprocess.run(
        command, cwd=ROOT, env=env, capture_output=True, text=True, check=False,
        timeout=600 + seconds,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, ""), done.stderr[-4000:]
    assert done.stdout.endswith(" examples\n")
    print(done.stdout, file=sys.stderr)
    sharer.kill()
