# SPDX-License-Identifier: BSD-2-Clause
"""The results of a run of the clients, as a table and as JSON."""

from __future__ import annotations

import html as markup
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

SCHEMA = 2
_MARK = {"pass": "ok", "fail": "FAILED", "lacks": "lacks", "n/a": "n/a", "skip": "not run"}


@dataclass
class Result:
    """One step."""

    name: str
    title: str
    #: pass, fail, n/a (no meaning there), lacks (FreeBSD without this project cannot), skip
    status: str = "skip"
    seconds: float = 0.0
    figures: dict[str, float | int | str] = field(default_factory=dict)
    detail: str = ""
    died: bool = False  # and the machine with it


@dataclass
class Report:
    """One run on one target: linux-pv, linux-pvh, freebsd, freebsd-alone, freebsd-base."""

    target: str
    facts: dict[str, str]
    packages: dict[str, str]
    library: str  # digest
    results: list[Result] = field(default_factory=list)
    seconds: float = 0.0
    cpus: int = 1

    @property
    def ok(self) -> bool:
        """Whether every step that applies has run and passed; what the base driver lacks does not
        count."""
        wanted = {"pass", "n/a"} if self.target != "freebsd-base" else {*_MARK} - {"fail"}
        return bool(self.results) and all(r.status in wanted for r in self.results)


def shown(value: float | int | str) -> str:
    """A figure as text."""
    return f"{value:.1f}" if isinstance(value, float) else str(value)


def table(report: Report) -> str:
    """The result as text."""
    lines = [f"real clients on {report.target}"]
    width = max((len(r.name) for r in report.results), default=0)
    for result in report.results:
        figures = ", ".join(f"{key} {shown(value)}" for key, value in result.figures.items())
        text = figures if result.status == "pass" else result.detail
        lines.append(
            f"  {result.name:<{width}}  {_MARK[result.status]:<7} {result.seconds:7.1f} s  {text}"
        )
    counts = ", ".join(
        f"{sum(r.status == status for r in report.results)} {word}"
        for status, word in (("pass", "passed"), ("fail", "failed"), ("lacks", "lacking"),
                             ("n/a", "n/a"), ("skip", "not run"))
        if status == "pass" or any(r.status == status for r in report.results)
    )  # fmt: skip
    lines.append(f"  {counts} in {report.seconds:.0f} s")
    return "\n".join(line.rstrip() for line in lines)


def _rows(reports: Sequence[Report]) -> dict[str, list[Result | None]]:
    """The steps by name, with the result of each report or None."""
    names = dict.fromkeys(r.name for report in reports for r in report.results)
    return {
        name: [next((r for r in report.results if r.name == name), None) for report in reports]
        for name in names
    }


def columns(reports: Sequence[Report]) -> str:
    """One table with a column for each system."""
    rows = _rows(reports)
    width = max(map(len, rows), default=0)
    widths = [max(len(report.target), 14) for report in reports]
    head = " ".join(f"{r.target:<{w}}" for r, w in zip(reports, widths, strict=True))
    lines = ["", f"  {'':<{width}}  {head}"]
    for name, results in rows.items():
        cells = []
        for result, w in zip(results, widths, strict=True):
            seconds = f" {result.seconds:5.0f} s" if result and result.seconds >= 0.5 else ""
            cells.append(f"{(_MARK[result.status] if result else '') + seconds:<{w}}")
        lines.append(f"  {name:<{width}}  {' '.join(cells)}".rstrip())
    return "\n".join(lines)


_PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Clients</title>
<style>
:root {{ color-scheme: light dark }}
body {{ font: 15px/1.45 system-ui, sans-serif; margin: 1.5rem }}
div {{ overflow-x: auto }}
table {{ border-collapse: collapse }}
th, td {{ border: 1px solid #8886; padding: .35rem .6rem; text-align: left; vertical-align: top }}
td small {{ display: block; opacity: .75 }}
.pass b {{ color: light-dark(#1a6b30, #6fd08c) }}
.fail b {{ color: light-dark(#b3261e, #ff9d94) }}
.lacks b {{ color: light-dark(#7a4f00, #f0c060) }}
</style>
<h1>Xen's programs on libxengnttab</h1>
<p>Each column is a system, each row a step.  <b>lacks</b>: FreeBSD without this project does not
do it.  Machine-readable: <a href="clients.json">clients.json</a>.</p>
<div><table>
<tr><th>step</th>{head}</tr>
{rows}
</table></div>
</html>
"""


def html(reports: Sequence[Report]) -> str:
    """The same as a page."""

    def about(report: Report) -> str:
        facts = [f"{key} {report.facts[key]}" for key in ("kernel", "xen") if key in report.facts]
        text = ", ".join([*facts, f"{report.cpus} CPU", f"{report.seconds:.0f} s"])
        return f"<th>{markup.escape(report.target)}<small>{markup.escape(text)}</small></th>"

    def cell(result: Result | None) -> str:
        if result is None:
            return "<td></td>"
        figures = ", ".join(f"{key} {shown(value)}" for key, value in result.figures.items())
        text = figures if result.status == "pass" else result.detail
        return (
            f'<td class="{result.status.replace("/", "")}"><b>{_MARK[result.status]}</b>'
            f" {result.seconds:.0f} s<small>{markup.escape(text)}</small></td>"
        )

    titles = {r.name: r.title for report in reports for r in report.results}
    rows = "\n".join(
        f"<tr><th>{markup.escape(name)}<small>{markup.escape(titles[name])}</small></th>"
        + "".join(map(cell, results))
        + "</tr>"
        for name, results in _rows(reports).items()
    )
    return _PAGE.format(head="".join(map(about, reports)), rows=rows)


def as_json(reports: Iterable[Report]) -> str:
    """The results for programs."""
    runs = [
        {
            "target": report.target,
            "ok": report.ok,
            "seconds": round(report.seconds, 1),
            "cpus": report.cpus,
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
