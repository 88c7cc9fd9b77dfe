# SPDX-License-Identifier: BSD-2-Clause
"""Instructions per operation of the driver on the harness (tests/bench), and what the Python
package costs over the library (tests/python/binding.py)."""

from __future__ import annotations

import json
import re
import subprocess
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from devtools import environment
from devtools.console import Console, DevError
from devtools.paths import NATIVE, RESULTS

PROGRAM = NATIVE / "tests/bench/bench"
QUIET = 2.0  # seconds without a word
TARGETS = ("harness", "python")


@dataclass(frozen=True)
class Result:
    name: str
    unit: str  # what one of them is: a call, a segment
    units: int  # that were counted together
    instructions: int

    @property
    def each(self) -> float:
        return self.instructions / self.units


def _output(argv: Sequence[str | Path]) -> tuple[int, str]:
    done = subprocess.run(
        [str(a) for a in argv], capture_output=True, text=True, check=False, timeout=600
    )
    return done.returncode, done.stdout + done.stderr


def operations() -> list[tuple[str, str, int]]:
    status, out = _output([PROGRAM])
    if status != 0:
        raise DevError(f"bench: {out.strip()}")
    return [(w[0], w[1], int(w[2])) for w in (line.split() for line in out.splitlines())]


def by_processor(name: str) -> int | None:
    """None where the processor does not count, or not for us."""
    status, out = _output([PROGRAM, name])
    if status == 3:
        return None
    if status != 0:
        raise DevError(f"bench: {out.strip()}")
    return int(out.split()[2])


def by_callgrind(name: str) -> int:
    RESULTS.mkdir(parents=True, exist_ok=True)
    out_file = RESULTS / "callgrind.out"
    status, out = _output(
        ["valgrind", "--tool=callgrind", f"--callgrind-out-file={out_file}",
         "--toggle-collect=measured", PROGRAM, name, "-"]
    )  # fmt: skip
    found = re.search(r"Collected : (\d+)", out)
    if status != 0 or found is None:
        raise DevError(f"bench: {name}: {out.strip().splitlines()[-1] if out.strip() else status}")
    return int(found[1])


def measure(console: Console) -> tuple[str, list[Result]]:
    """Who counted, and what."""
    wanted = operations()
    processor = by_processor(wanted[0][0]) is not None
    results = []
    told = time.monotonic()
    for number, (name, unit, units) in enumerate(wanted, 1):
        count = by_processor(name) if processor else by_callgrind(name)
        results.append(Result(name, unit, units, count or 0))
        if time.monotonic() - told > QUIET:
            told = time.monotonic()
            console.say(f"  … {number} of {len(wanted)} operations")
    return "processor" if processor else "callgrind", results


def table(results: Sequence[Result]) -> str:
    lines = [f"{'operation':<16}{'instructions':>14}  per"]
    lines += [f"{r.name:<16}{r.each:>14.0f}  {r.unit}" for r in results]
    return "\n".join(lines)


def binding(console: Console) -> dict[str, dict[str, int]]:
    """Nanoseconds of the library's calls, and of the Python package's."""
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
    said: dict[str, object] = {"schema": 1}
    quiet = output == "-"
    if "harness" in targets:
        counted_by, results = measure(console)
        said |= {
            "counted_by": counted_by,
            "harness": [{**asdict(r), "each": r.each} for r in results],
        }
        if not quiet:
            print(table(results))
            by = f"counted by {counted_by}"
            print(f"\nuser-space instructions of the driver and the harness, {by}")
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
