# SPDX-License-Identifier: BSD-2-Clause
"""What a run of real clients has shown, as a table and as JSON."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

SCHEMA = 1
_MARK = {"pass": "ok", "fail": "FAILED", "skip": "not run"}


@dataclass
class Result:
    """One step."""

    name: str
    title: str
    status: str = "skip"  # pass, fail, skip
    seconds: float = 0.0
    figures: dict[str, float | int | str] = field(default_factory=dict)
    detail: str = ""


@dataclass
class Report:
    """One run on one kind of Dom0: pv or pvh of Linux, or freebsd and what it is like."""

    kind: str
    facts: dict[str, str]
    packages: dict[str, str]
    library: str  # digest
    results: list[Result] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def target(self) -> str:
        return self.kind if self.kind.startswith("freebsd-") else f"linux-{self.kind}"

    @property
    def ok(self) -> bool:
        """All steps have run, and well."""
        return bool(self.results) and all(r.status == "pass" for r in self.results)


def shown(value: float | int | str) -> str:
    """A figure as people read it."""
    return f"{value:.1f}" if isinstance(value, float) else str(value)


def table(report: Report) -> str:
    """The result as text."""
    lines = [f"real clients on {report.target}"]
    width = max((len(r.name) for r in report.results), default=0)
    for result in report.results:
        figures = ", ".join(f"{key} {shown(value)}" for key, value in result.figures.items())
        text = result.detail if result.status == "fail" else figures or result.detail
        lines.append(
            f"  {result.name:<{width}}  {_MARK[result.status]:<7} {result.seconds:7.1f} s  {text}"
        )
    passed = sum(r.status == "pass" for r in report.results)
    lines.append(f"  {passed} of {len(report.results)} in {report.seconds:.0f} s")
    return "\n".join(line.rstrip() for line in lines)


def as_json(reports: Iterable[Report]) -> str:
    """The results for programs."""
    runs = [
        {
            "target": report.target,
            "ok": report.ok,
            "seconds": round(report.seconds, 1),
            "library_sha256": report.library,
            "facts": report.facts,
            "packages": report.packages,
            "steps": [
                {
                    "name": r.name,
                    "title": r.title,
                    "status": r.status,
                    "seconds": round(r.seconds, 1),
                    "figures": r.figures,
                    "detail": r.detail,
                }
                for r in report.results
            ],
        }
        for report in reports
    ]
    return json.dumps({"schema": SCHEMA, "runs": runs}, indent=1) + "\n"


def write(reports: Iterable[Report], path: Path) -> None:
    """The JSON in a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(as_json(reports))
