# SPDX-License-Identifier: BSD-2-Clause
"""parity.json, junit.xml, parity.tap, index.html, its documents and the logs of red cells."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import differences
import jinja2
import junitparser
from cases.framework import Case, Status

from . import documents, tap
from .results import Cell, Run, TargetRun

# docs/report.md describes it.
SCHEMA = 2


def log_path(target: str, case: str) -> str:
    """Path of a red cell's log, relative to the report."""
    return f"logs/{target}/{case}.log"


def as_json(run: Run) -> dict[str, Any]:
    """Everything about a run (docs/report.md)."""
    return {
        "schema": SCHEMA,
        "ok": run.ok,
        "run": asdict(run.origin),
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
        "status": str(cell.status),
        "differences": list(cell.ks),
        "red": cell.red,
        "checks": [
            {
                "what": told.what,
                "observed": told.here,
                "expected": told.expected,
                "linux": told.linux,
                "differences": list(told.rows),
            }
            for told in cell.told
        ],
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


# Characters that XML 1.0 cannot represent; a console may contain any.
_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def _xml(text: str) -> str:
    return _NOT_XML.sub("?", text)


def _junit_case(run: Run, target: TargetRun, case: Case, cell: Cell) -> junitparser.TestCase:
    entry = junitparser.TestCase(case.id, classname=target.name, time=cell.seconds)
    told = "\n".join(cell.lines)
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
        entry.system_out = _xml("\n".join(filter(None, (cell.label, told, cell.detail))))
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
    xml.write(str(path))


def _sections(cases: list[Case]) -> list[tuple[str, list[Case]]]:
    sections: dict[str, list[Case]] = {}
    for case in cases:
        sections.setdefault(case.section, []).append(case)
    return list(sections.items())


def _wrong_docstring(case: Case) -> str:
    return " ".join((case.run.__doc__ or "").split())


def section_state(cases: Sequence[Case], target: TargetRun) -> tuple[str, str]:
    """A square of the heat map: its worst state, and its text."""
    cells = [target.cells[case.id] for case in cases if case.id in target.cells]
    red = sum(cell.red for cell in cells)
    explained = sum(bool(cell.ks) and not cell.red for cell in cells)
    passed = sum(cell.status is Status.PASS for cell in cells)
    if target.missing or not cells:
        return "none", "–"
    counts = ((passed, ""), (explained, " diff"), (red, " red"))
    text = " + ".join(f"{count}{word}" for count, word in counts if count)
    if not text:
        return "na", "n/a"
    return ("red" if red else "diff" if explained else "pass"), text


def _folded(cases: Sequence[Case], run: Run) -> bool:
    """Whether there are only passes and what cannot be tested."""
    quiet = {Status.PASS, Status.NA, Status.SKIP}
    return all(
        target.cells[case.id].status in quiet
        for target, case in itertools.product(run.targets, cases)
        if case.id in target.cells
    )


def _unequal(run: Run, case: Case) -> list[tuple[str, list[str]]]:
    """Where a case differs, and where that is unexplained."""
    cells = [
        (target.name, target.cells[case.id]) for target in run.targets if case.id in target.cells
    ]
    found = {
        "red": [name for name, cell in cells if cell.red],
        "diff": [name for name, cell in cells if cell.ks and not cell.red],
    }
    return [(word, names) for word, names in found.items() if names]


def _console(target: TargetRun, directory: Path) -> str:
    """Path of the console log of a booted system, relative to the report."""
    path = Path("vm", target.name, "console.log")
    return str(path) if (directory / path).is_file() else ""


def write_html(run: Run, path: Path) -> None:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    pages = documents.pages(run)
    page_of = {row: page.name for page in pages for row in page.rows}
    path.parent.mkdir(parents=True, exist_ok=True)
    text = environment.get_template("template.html").render(
        run=run,
        page_of=page_of.get,
        sections=_sections(run.cases),
        statuses=[str(status) for status in Status],
        words={name: row.words for name, row in differences.rows().items()},
        doc=_wrong_docstring,
        log_path=log_path,
        state=section_state,
        folded=_folded,
        unequal=lambda case: _unequal(run, case),
        console=lambda target: _console(target, path.parent),
    )
    path.write_text(text, "utf-8")
    for page in pages:
        text = environment.get_template("document.html").render(page=page)
        (path.parent / page.name).write_text(text, "utf-8")


def write_logs(run: Run, directory: Path) -> None:
    for target, case in itertools.product(run.targets, run.cases):
        cell = target.cells.get(case.id)
        if cell is not None and cell.log:
            path = directory / log_path(target.name, case.id)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(
                f"{case.id} on {target.name}: {cell.label}\n{cell.detail}\n"
                + "".join(f"{line}\n" for line in cell.lines)
                + f"repeat: {run.repro(target.name, case.id)}\n\n{cell.log}\n",
                "utf-8",
            )


def write_all(run: Run, directory: Path) -> None:
    directory.mkdir(parents=True, exist_ok=True)
    write_logs(run, directory)
    write_json(run, directory / "parity.json")
    write_junit(run, directory / "junit.xml")
    tap.write(run, directory / "parity.tap")
    write_html(run, directory / "index.html")
