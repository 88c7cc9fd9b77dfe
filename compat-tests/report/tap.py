# SPDX-License-Identifier: BSD-2-Clause
"""parity.tap: the results in the Test Anything Protocol, version 14, a test point for each cell."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from cases.framework import Case, Status

from .results import Cell, Run, TargetRun


def _plain(text: str) -> str:
    """Text on one line, without the character that begins a directive."""
    return " ".join(text.split()).replace("\\", "\\\\").replace("#", "\\#")


def _point(number: int, run: Run, target: TargetRun, case: Case, cell: Cell) -> Iterator[str]:
    name = _plain(f"{target.name} {case.id}")
    if cell.status in (Status.NA, Status.SKIP):
        yield f"ok {number} - {name} # SKIP {_plain(cell.detail)}"
        return
    label = "" if cell.status is Status.PASS else f" ({_plain(cell.label)})"
    yield f"{'not ok' if cell.red else 'ok'} {number} - {name}{label}"
    if cell.status is Status.PASS:
        return
    # JSON strings are valid YAML.
    yield "  ---"
    if cell.detail:
        yield f"  message: {json.dumps(cell.detail)}"
    if cell.told:
        yield "  checks:"
        for line in cell.lines:
            yield f"    - {json.dumps(line)}"
    if cell.red:
        yield f"  repeat: {json.dumps(run.repro(target.name, case.id))}"
    yield "  ..."


def lines(run: Run) -> Iterator[str]:
    points = 0
    yield "TAP version 14"
    for target in run.targets:
        if target.missing:
            points += 1
            yield f"not ok {points} - {target.name} start"
            yield "  ---"
            yield f"  message: {json.dumps(target.missing)}"
            yield "  ..."
        for case in run.cases:
            if (cell := target.cells.get(case.id)) is not None:
                points += 1
                yield from _point(points, run, target, case, cell)
    yield f"1..{points}"


def write(run: Run, path: Path) -> None:
    path.write_text("".join(f"{line}\n" for line in lines(run)), "utf-8")
