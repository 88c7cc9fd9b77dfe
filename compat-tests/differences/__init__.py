# SPDX-License-Identifier: BSD-2-Clause
"""Documented differences from Linux, a file for each target with any (README.md)."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from textwrap import dedent

import jinja2

HERE = Path(__file__).resolve().parent
PAGE = HERE.parents[1] / "docs/differences.md"


@dataclass(frozen=True)
class Row:
    """A row of docs/differences.md."""

    id: str
    # Empty if only the behaviour here is described: rows of a driver that is not ours.
    what: str
    linux: str
    here: str
    why: str
    # Where else to look, or why no case shows it.
    seen: str
    in_force: bool
    # What the console prints about it, in any case or only in its own.
    says: tuple[str, ...] = ()
    says_in_its_cases: tuple[str, ...] = ()
    explains_crash: bool = True

    @property
    def number(self) -> int:
        return int(self.id[1:])

    @property
    def words(self) -> str:
        """For example ``mmap at an odd offset (Linux: EINVAL; here: rounded down)``."""
        text = f"{self.what} (Linux: {self.linux}; here: {self.here})" if self.what else self.here
        return text.replace("`", "")


@dataclass(frozen=True)
class Section:
    title: str
    text: str
    # Headings of the table's columns after the row's own.
    heads: tuple[str, ...]
    rows: tuple[Row, ...]


@dataclass(frozen=True)
class Target:
    name: str
    sections: tuple[tuple[int, Section], ...]
    in_force: frozenset[str]
    # Case -> rows that explain why its expectations are not met.
    defects: dict[str, tuple[str, ...]]
    # Row -> case -> beginnings of the expectations that are not met because of the row.
    expectations: dict[str, dict[str, tuple[str, ...]]]

    @property
    def rows(self) -> dict[str, Row]:
        return {row.id: row for _, section in self.sections for row in section.rows}

    def explained(self, case: str, detail: str, wrong: bool, crashed: bool) -> tuple[str, ...]:
        """The rows that explain a red cell; none if anything is left unexplained.

        `detail` is what the target reports besides the expectations, `wrong` whether one was not
        met.
        """
        rows, its = self.rows, self.defects.get(case, ())
        named = its if wrong or not detail else ()
        said: list[str] = []
        for part in filter(None, detail.split("; ")):
            found = [row.id for row in rows.values() if _matches(row.says, part)]
            found = found or [row for row in its if _matches(rows[row].says_in_its_cases, part)]
            if not found and not crashed:
                return ()
            said += found
        if (crashed and not any(rows[row].explains_crash for row in said)) or (wrong and not named):
            return ()
        return tuple(sorted({*named, *said}, key=lambda row: rows[row].number))

    def expected(self, case: str, unmet: Iterable[str]) -> tuple[str, ...]:
        """The rows that explain each of the expectations that a case did not meet."""
        missed = list(unmet)
        return tuple(
            row
            for row, cases in self.expectations.items()
            if missed and all(what.startswith(cases.get(case, ())) for what in missed)
        )


def _matches(patterns: tuple[str, ...], text: str) -> bool:
    return any(re.search(pattern, text) for pattern in patterns)


def _text(value: str) -> str:
    return " ".join(value.split())


def _row(data: dict[str, object], in_force: bool) -> Row:
    def text(key: str) -> str:
        return _text(str(data.get(key, "")))

    def texts(key: str) -> tuple[str, ...]:
        value = data.get(key, [])
        assert isinstance(value, list)
        return tuple(map(str, value))

    return Row(
        text("id"), text("what"), text("linux"), text("here"), text("why"), text("seen"), in_force,
        texts("says"), texts("says_in_its_cases"), bool(data.get("explains_crash", True)),
    )  # fmt: skip


def _load(path: Path) -> Target:
    data = tomllib.loads(path.read_text("utf-8"))
    sections: list[tuple[int, Section]] = []
    defects: dict[str, tuple[str, ...]] = {}
    for section in data.get("section", ()):
        in_force = section.get("in_force", True)
        rows = tuple(_row(row, in_force) for row in section["row"])
        head = section.get("head")
        heads = (head,) if head else ("case", "Linux", "here", "reason")
        place = Section(section["title"], dedent(section.get("text", "")).strip(), heads, rows)
        sections.append((section["place"], place))
        for row in section["row"]:
            for case in row.get("cases", "").split():
                defects[case] = (*defects.get(case, ()), row["id"])
    like = data.get("like")
    other = of(like).in_force if like else frozenset()
    only = set(data["only"].split()) if "only" in data else other
    own = {row.id for _, section in sections for row in section.rows if row.in_force}
    expectations = {
        row: {case: tuple(begins) for case, begins in cases.items()}
        for row, cases in data.get("expectations", {}).items()
    }
    in_force = frozenset((other & only) - set(data.get("without", "").split()) | own)
    return Target(path.stem, tuple(sections), in_force, defects, expectations)


@cache
def of(name: str) -> Target:
    """What is known about a target; one without a file has no differences."""
    path = HERE / f"{name}.toml"
    return _load(path) if path.is_file() else Target(name, (), frozenset(), {}, {})


def every() -> list[Target]:
    return [of(path.stem) for path in sorted(HERE.glob("*.toml"))]


def rows() -> dict[str, Row]:
    """All rows, by letter and number."""
    found = [row for target in every() for row in target.rows.values()]
    return {row.id: row for row in sorted(found, key=lambda row: (row.id[0] != "K", row.number))}


def shown_by(case: str) -> set[str]:
    """The rows whose files name a case."""
    found = {row for target in every() for row in target.defects.get(case, ())}
    return found | {
        row for target in every() for row, cases in target.expectations.items() if case in cases
    }


def page() -> str:
    """docs/differences.md."""
    merged: dict[tuple[int, str], Section] = {}
    for target in every():
        for place, section in target.sections:
            earlier = merged.get((place, section.title))
            before = earlier.rows if earlier else ()
            text = section.text or (earlier.text if earlier else "")
            both = sorted((*before, *section.rows), key=lambda row: row.number)
            merged[place, section.title] = Section(section.title, text, section.heads, tuple(both))
    environment = jinja2.Environment(
        undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True,
        keep_trailing_newline=True,
    )  # fmt: skip
    template = environment.from_string((HERE / "page.md").read_text("utf-8"))
    return template.render(sections=[merged[key] for key in sorted(merged)])
