# SPDX-License-Identifier: BSD-2-Clause
"""Keeps measurements on disk, line by line, so that an interrupted run can continue."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from .plan import Call, Cost, Figure, Machine, Round

SCHEMA = 1


def _round(data: Mapping[str, Any]) -> Round:
    return Round(data["number"], data["unit"], tuple(Figure(**f) for f in data["figures"]))


def machine_json(machine: Machine) -> dict[str, Any]:
    """Everything about a machine, for JSON."""
    return {
        "dom0": machine.dom0,
        "facts": machine.facts,
        "rounds": [asdict(r) for r in machine.rounds],
        "costs": [asdict(c) for c in machine.costs],
        "profiles": {name: [asdict(c) for c in made] for name, made in machine.profiles.items()},
        "kernel": machine.kernel,
    }


def machine_of(data: Mapping[str, Any]) -> Machine:
    """What `machine_json` wrote."""
    return Machine(
        data["dom0"],
        dict(data["facts"]),
        [_round(r) for r in data["rounds"]],
        [Cost(**c) for c in data["costs"]],
        {name: [Call(**c) for c in made] for name, made in data["profiles"].items()},
        # Older files have none.
        data.get("kernel", {}),
    )


def from_json(text: str) -> list[Machine]:
    """The machines of a disks.json."""
    data = json.loads(text)
    if data.get("schema") != SCHEMA:
        raise ValueError(f"schema {data.get('schema')}, not {SCHEMA}")
    return [machine_of(m) for m in data["machines"]]


@dataclass
class Store:
    """A file with a line for each measurement; the first line names the plan."""

    path: Path
    plan: str

    def begin(self) -> list[dict[str, Any]]:
        """What an earlier run of the same plan has left; results of another plan are dropped."""
        lines = list(self._lines())
        if lines and lines[0] == {"schema": SCHEMA, "plan": self.plan}:
            return lines[1:]
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.path.write_text(json.dumps({"schema": SCHEMA, "plan": self.plan}) + "\n")
        return []

    def _lines(self) -> Iterator[dict[str, Any]]:
        if not self.path.exists():
            return
        for line in self.path.read_text().splitlines():
            try:
                yield json.loads(line)
            except ValueError:  # the last one, cut short
                return

    def add(self, dom0: str, what: str, data: object) -> None:
        with self.path.open("a") as out:
            out.write(json.dumps({"dom0": dom0, "what": what, "data": data}) + "\n")


def restored(dom0: str, lines: list[dict[str, Any]]) -> Machine:
    """What there is for a Dom0."""
    machine = Machine(dom0, {}, [], [], {})
    for line in lines:
        if line["dom0"] != dom0:
            continue
        data = line["data"]
        match line["what"]:
            case "facts":
                machine.facts |= data
            case "round":
                machine.rounds.append(_round(data))
            case "cost":
                machine.costs.append(Cost(**data))
            case "kernel":
                machine.kernel |= data
            case "profile":
                machine.profiles[data["name"]] = [Call(**c) for c in data["calls"]]
    return machine
