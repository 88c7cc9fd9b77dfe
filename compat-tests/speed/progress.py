# SPDX-License-Identifier: BSD-2-Clause
"""How long a run will still take, and what an interrupted run has already measured."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from . import report
from .figures import Run

#: Seconds of a whole run on two processors, until an earlier run gives a better value.
SECONDS = {"dom0": 200.0, "dom0-smp": 120.0, "linux-pvh": 240.0, "domu": 420.0, "domu-tsc": 420.0}


class Progress:
    """Machines of a run and how long each takes, from the last time they ran in full."""

    def __init__(
        self, names: Sequence[str], known: Path, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._known = known
        self._clock = clock
        self._begun = clock()
        told = json.loads(known.read_text()) if known.exists() else {}
        self._seconds: dict[str, float] = {**SECONDS, **told}
        self._left = list(names)
        self._started = self._begun
        # How this run's machines compare with what was expected of them.
        self._spent = self._expected = 0.0

    def start(self) -> None:
        """The first of the machines that are left begins."""
        self._started = self._clock()

    def done(self) -> None:
        name = self._left.pop(0)
        took = self._clock() - self._started
        self._spent += took
        self._expected += self._seconds[name]
        self._seconds[name] = round(took, 1)
        self._known.parent.mkdir(parents=True, exist_ok=True)
        self._known.write_text(json.dumps(self._seconds))

    def left(self) -> float:
        """Seconds that the rest will take."""
        if not self._left:
            return 0.0
        pace = self._spent / self._expected if self._expected else 1.0
        current, *others = (self._seconds[name] * pace for name in self._left)
        running = self._clock() - self._started
        # A machine that takes longer than expected needs some time yet.
        return max(current - running, current * 0.1) + sum(others)

    def __str__(self) -> str:
        return f"{self._clock() - self._begun:6.1f} s, {self.left() / 60:4.1f} min left"


class Kept:
    """Figures of each machine of a run that has not ended."""

    def __init__(self, directory: Path, key: str) -> None:
        self._directory = directory
        self._key = key

    def _path(self, name: str) -> Path:
        return self._directory / f"{name}.json"

    def put(self, name: str, runs: dict[str, Run]) -> None:
        self._directory.mkdir(parents=True, exist_ok=True)
        text = json.dumps({"key": self._key, "figures": report.as_json(runs)})
        scratch = self._path(name).with_suffix(".new")
        scratch.write_text(text)
        scratch.replace(self._path(name))

    def get(self, name: str) -> dict[str, Run] | None:
        """The figures measured with the same options and program, or None."""
        path = self._path(name)
        if not path.exists():
            return None
        said = json.loads(path.read_text())
        return report.from_json(said["figures"]) if said["key"] == self._key else None

    def clear(self) -> None:
        for path in self._directory.glob("*.json"):
            path.unlink()
