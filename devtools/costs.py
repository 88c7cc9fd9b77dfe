# SPDX-License-Identifier: BSD-2-Clause
"""Counted costs of the driver's operations (tests/harness/test_counts.c), and the Python package's
costs on top of the library's (tests/python/binding.py)."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Sequence
from dataclasses import asdict, astuple, dataclass
from pathlib import Path

from devtools import environment
from devtools.console import Console, DevError
from devtools.paths import NATIVE, RESULTS

PROGRAM = NATIVE / "tests/harness/test_counts"
TARGETS = ("harness", "python")
_COST = re.compile(r"cost: (.+) of (\d+): (\d+) (\d+) (\d+) (\d+)$", re.M)


@dataclass(frozen=True)
class Cost:
    """Of one operation on a number of pages or segments."""

    name: str
    count: int
    hypercalls: int
    allocations: int
    locks: int
    blocks: int  # of the driver's code


def read(text: str) -> list[Cost]:
    return [Cost(name, *map(int, numbers)) for name, *numbers in _COST.findall(text)]


def measure() -> list[Cost]:
    done = subprocess.run([PROGRAM], capture_output=True, text=True, check=False, timeout=600)
    found = read(done.stdout + done.stderr)
    if done.returncode != 0 or not found:
        raise DevError(f"{PROGRAM} failed: run it to see why")
    return found


def table(costs: Sequence[Cost]) -> str:
    """A table with a line for each operation and size."""
    head = ("operation", "of", "hypercalls", "allocations", "locks", "blocks")
    return "\n".join(
        f"{line[0]:<18}{line[1]:>5}{line[2]:>12}{line[3]:>13}{line[4]:>7}{line[5]:>8}"
        for line in (head, *map(astuple, dict.fromkeys(costs)))
    )


def binding(console: Console) -> dict[str, dict[str, int]]:
    """Nanoseconds of the library's calls and of the Python package's."""
    environment.install_package(console)
    RESULTS.mkdir(parents=True, exist_ok=True)
    found = RESULTS / "binding.json"
    program = ["-m", "tests.python.binding", "--json", str(found)]
    command = [str(environment.tool("python3")), *program]
    console.check("the package's calls and the library's", command)
    figures: dict[str, dict[str, int]] = json.loads(found.read_text())["figures"]
    return figures


def main(console: Console, targets: Sequence[str], output: str | None) -> int:
    if unknown := [t for t in targets if t not in TARGETS]:
        raise DevError(f"bench: no target {unknown[0]!r}; there are {' and '.join(TARGETS)}")
    environment.compile_(console, NATIVE)
    said: dict[str, object] = {"schema": 2}
    quiet = output == "-"
    if "harness" in targets:
        costs = measure()
        said["harness"] = [asdict(cost) for cost in costs]
        if not quiet:
            print(table(costs))
            print("\nblocks: basic blocks of the driver, without what the kernel and Xen do")
    if "python" in targets:
        from tests.python.binding import text

        figures = binding(console)
        said["python"] = figures
        if not quiet:
            print(text(figures))
    if quiet:
        print(json.dumps(said, indent=1))
    elif output is not None:
        Path(output).write_text(json.dumps(said, indent=1) + "\n")
    return 0
