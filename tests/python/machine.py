# SPDX-License-Identifier: BSD-2-Clause
"""The command and Python programs on the harness, each process a domain."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

# a hanging process is killed long before the test's own limit
PATIENCE = 120


class Machine:
    """Starts the command in domains that share one memory, and ends what a test has left
    running."""

    def __init__(self, preload: Path, memory: Path) -> None:
        self.preload = preload
        self.memory = memory
        self.running: list[subprocess.Popen[str]] = []

    def env(self, domid: int) -> dict[str, str]:
        """The environment that makes a process a domain."""
        return {
            "LD_PRELOAD": str(self.preload),
            "XENGNT_HARNESS_MACHINE": str(self.memory),
            "XENGNT_HARNESS_DOMID": str(domid),
        }

    def start(
        self, domid: int, *arguments: str | bytes, program: str = "", **options: Any
    ) -> subprocess.Popen[str]:
        code = ["-c", program] if program else ["-m", "xengnttab"]
        pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
        env = {**os.environ, **self.env(domid), **options.pop("env", {})}
        process = subprocess.Popen(
            [sys.executable, *code, *arguments], env=env, **{"text": True, **pipes, **options}
        )
        self.running.append(process)
        return process

    def run(
        self, domid: int, *arguments: str | bytes, program: str = "", **options: Any
    ) -> tuple[int, str, str]:
        process = self.start(domid, *arguments, program=program, **options)
        out, err = process.communicate(timeout=PATIENCE)
        return process.returncode, out, err

    def run_bytes(self, domid: int, *arguments: str) -> tuple[int, bytes, bytes]:
        """Like run, with the output in bytes."""
        process: Any = self.start(domid, *arguments, text=False)
        out, err = process.communicate(timeout=PATIENCE)
        return process.returncode, out, err

    def share(self, domid: int, *arguments: str | bytes) -> tuple[subprocess.Popen[str], list[str]]:
        """Starts a process that holds shared pages; returns it and their references."""
        process = self.start(domid, "share", "--json", *arguments)
        assert process.stdout is not None
        line = process.stdout.readline()
        if not line:
            pytest.fail(f"xengnttab share ended: {process.communicate()[1]}")
        return process, [str(ref) for ref in json.loads(line)["refs"]]

    def stop(self) -> None:
        for process in self.running:
            process.kill()
            process.communicate()


def let_go(process: subprocess.Popen[str]) -> str:
    """Presses Enter; returns what the process printed afterwards."""
    out, err = process.communicate("\n", timeout=PATIENCE)
    assert (process.returncode, err) == (0, "")
    return out
