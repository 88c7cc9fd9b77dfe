# SPDX-License-Identifier: BSD-2-Clause
"""parity.json, junit.xml, index.html and the logs of red cells."""

from __future__ import annotations

import itertools
import json
import re
from pathlib import Path
from typing import Any

import jinja2
import junitparser
from cases.framework import Case, Status
from cases.k_rows import ROWS

from .results import Cell, Run, TargetRun

SCHEMA = 1


def log_path(target: str, case: str) -> str:
    """Where the log of a red cell lies, relative to the report."""
    return f"logs/{target}/{case}.log"


def as_json(run: Run) -> dict[str, Any]:
    """Schema 1 of DESIGN section 3."""
    return {
        "schema": SCHEMA,
        "ok": run.ok,
        "targets": {target.name: _target_json(target) for target in run.targets},
        "cases": [
            {
                "id": case.id,
                "rows": list(case.rows),
                "title": case.title,
                "section": case.section,
                "results": {
                    target.name: _cell_json(run, target, case, target.cells[case.id])
                    for target in run.targets
                    if case.id in target.cells
                },
            }
            for case in run.cases
        ],
    }


def _target_json(target: TargetRun) -> dict[str, Any]:
    facts = dict(target.facts)
    data: dict[str, Any] = {
        "kernel": facts.get("release", ""),
        "xen": facts.get("xen", ""),
        "module": target.module,
        "probed": facts,
        "differences": sorted(target.differences, key=lambda k: int(k[1:])),
        "seconds": round(target.seconds, 1),
    }
    if target.missing:
        data["missing"] = target.missing
    return data


def _cell_json(run: Run, target: TargetRun, case: Case, cell: Cell) -> dict[str, Any]:
    data: dict[str, Any] = {
        "status": cell.label,
        "observed": cell.observed,
        "expected": cell.expected,
        "detail": cell.detail,
        "seconds": cell.seconds,
    }
    if cell.red:
        data["repro"] = run.repro(target.name, case.id)
    if cell.log:
        data["log"] = log_path(target.name, case.id)
    return data


def write_json(run: Run, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(as_json(run), indent=1, ensure_ascii=False) + "\n", "utf-8")


# What XML 1.0 has no character for: a console may say anything.
_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def _xml(text: str) -> str:
    return _NOT_XML.sub("?", text)


def _junit_case(run: Run, target: TargetRun, case: Case, cell: Cell) -> junitparser.TestCase:
    entry = junitparser.TestCase(case.id, classname=target.name, time=cell.seconds)
    told = f"observed {cell.observed}\nexpected {cell.expected}"
    if cell.status is Status.FAIL:
        entry.result = [junitparser.Failure(_xml(cell.detail or told), "fail")]
    elif cell.red:
        entry.result = [junitparser.Error(_xml(cell.detail), str(cell.status))]
    elif cell.status in (Status.SKIP, Status.NA):
        entry.result = [junitparser.Skipped(_xml(cell.detail), str(cell.status))]
    if cell.red:
        text = f"{told}\nrepeat: {run.repro(target.name, case.id)}\n\n{cell.log}"
        entry.system_out = _xml(text)
    elif cell.ks:
        entry.system_out = _xml(f"{cell.label}\n{told}\n{cell.detail}")
    return entry


def write_junit(run: Run, path: Path) -> None:
    xml = junitparser.JUnitXml("parity")
    for target in run.targets:
        suite = junitparser.TestSuite(target.name)
        for key, value in sorted(target.facts.items()):
            suite.add_property(key, _xml(value))
        if target.missing:
            entry = junitparser.TestCase("start", classname=target.name)
            entry.result = [junitparser.Error(_xml(target.missing), "missing")]
            suite.add_testcase(entry)
        for case in run.cases:
            if case.id in target.cells:
                suite.add_testcase(_junit_case(run, target, case, target.cells[case.id]))
        xml.add_testsuite(suite)
    xml.update_statistics()  # type: ignore[no-untyped-call]
    path.parent.mkdir(parents=True, exist_ok=True)
    xml.write(str(path), pretty=True)


def _sections(cases: list[Case]) -> list[tuple[str, list[Case]]]:
    sections: dict[str, list[Case]] = {}
    for case in cases:
        sections.setdefault(case.section, []).append(case)
    return list(sections.items())


def _wrong_docstring(case: Case) -> str:
    return " ".join((case.run.__doc__ or "").split())


def write_html(run: Run, path: Path) -> None:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    template = environment.get_template("template.html")
    text = template.render(
        run=run,
        sections=_sections(run.cases),
        statuses=[str(status) for status in Status],
        k_rows=ROWS,
        doc=_wrong_docstring,
        log_path=log_path,
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, "utf-8")


def write_logs(run: Run, directory: Path) -> None:
    for target, case in itertools.product(run.targets, run.cases):
        cell = target.cells.get(case.id)
        if cell is not None and cell.log:
            path = directory / log_path(target.name, case.id)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(
                f"{case.id} on {target.name}: {cell.label}\n{cell.detail}\n"
                f"observed: {cell.observed}\nexpected: {cell.expected}\n"
                f"repeat: {run.repro(target.name, case.id)}\n\n{cell.log}\n",
                "utf-8",
            )


def write_all(run: Run, directory: Path) -> None:
    directory.mkdir(parents=True, exist_ok=True)
    write_logs(run, directory)
    write_json(run, directory / "parity.json")
    write_junit(run, directory / "junit.xml")
    write_html(run, directory / "index.html")
