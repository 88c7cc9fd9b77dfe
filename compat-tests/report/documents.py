# SPDX-License-Identifier: BSD-2-Clause
"""Pages beside the report that explain its rows: docs/*.md, with links back to the cells."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from html import escape
from pathlib import Path

from markdown_it import MarkdownIt
from markupsafe import Markup

from .results import Run

DOCS = Path(__file__).resolve().parents[2] / "docs"
#: Page of the report -> what it is made from.
SOURCES = {"differences.html": "differences.md", "abi.html": "abi.md"}
# The anchor at the beginning of a table's row.
_ANCHOR = re.compile(r'<a id="([A-Z0-9.]+)"></a>')


@dataclass(frozen=True)
class Page:
    name: str
    title: str
    body: Markup
    # The rows that have an anchor in the page.
    rows: frozenset[str]


def _back(places: dict[str, list[str]]) -> str:
    """Links to cases of the report, each with the targets to look at."""
    return ", ".join(
        f'<a href="index.html#{escape(case)}">{escape(case)}</a>'
        + (f" ({escape(', '.join(targets))})" if targets else "")
        for case, targets in places.items()
    )


def _with_links(html: str, seen: Callable[[str], dict[str, list[str]]]) -> str:
    """Adds a column with links back to each table that has reported rows."""

    def row(match: re.Match[str]) -> str:
        text = match[0]
        anchor = _ANCHOR.search(text)
        cell = f"<td>{_back(seen(anchor[1]))}</td>" if anchor else "<th>in this report</th>"
        return text.replace("</tr>", f"{cell}</tr>")

    def table(match: re.Match[str]) -> str:
        if not any(map(seen, _ANCHOR.findall(match[0]))):
            return match[0]
        return re.sub(r"<tr>.*?</tr>", row, match[0], flags=re.S)

    return re.sub(r"<table>.*?</table>", table, html, flags=re.S)


def _links(html: str, cases: frozenset[str]) -> str:
    """Turns links to documents and cases into links within the report; other files are not
    there."""

    def case(match: re.Match[str]) -> str:
        name = match[1]
        return f'<a href="index.html#{name}">{match[0]}</a>' if name in cases else match[0]

    html = re.sub(r"<code>([a-z0-9.-]+)</code>", case, html)
    for page, source in SOURCES.items():
        html = html.replace(f'href="{source}', f'href="{page}')
    return re.sub(r'<a href="[^":#]*\.md[^"]*">(.*?)</a>', r"\1", html, flags=re.S)


def pages(run: Run) -> list[Page]:
    differences = run.differences()

    def seen(row: str) -> dict[str, list[str]]:
        places: dict[str, list[str]] = {}
        for target, case in differences.get(row, ()):
            places.setdefault(case.id, []).append(target.name)
        return places

    cases = frozenset(case.id for case in run.cases)
    found = []
    for name, source in SOURCES.items():
        path = DOCS / source
        if not path.is_file():
            continue
        text = path.read_text("utf-8")
        html = MarkdownIt("commonmark", {"html": True}).enable("table").render(text)
        title = next(line[2:] for line in text.splitlines() if line.startswith("# "))
        rows = frozenset(_ANCHOR.findall(html))
        found.append(Page(name, title, Markup(_with_links(_links(html, cases), seen)), rows))
    return found
