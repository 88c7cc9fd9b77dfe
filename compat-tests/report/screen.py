# SPDX-License-Identifier: BSD-2-Clause
"""Live progress and the table on the terminal."""

from __future__ import annotations

import threading
import time

import differences
from cases.framework import Status
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn
from rich.table import Table

from .results import Cell, Run

STYLES = {
    Status.PASS: "green",
    Status.NA: "dim",
    Status.SKIP: "dim",
    Status.DIFF: "yellow",
    Status.FAIL: "bold red",
    Status.ERROR: "bold red",
    Status.CRASH: "bold white on red",
}
PLAIN_SECONDS = 5.0


def make_console() -> Console:
    console = Console(highlight=False)
    if not console.is_terminal:
        console = Console(highlight=False, width=120)
    return console


class Live:
    """One line for each target: bars on a terminal, a line every few seconds elsewhere."""

    def __init__(self, console: Console, names: list[str], total: int) -> None:
        self._console = console
        self._total = total
        self._begun = time.monotonic()
        self._lock = threading.Lock()
        self._done = dict.fromkeys(names, 0)
        self._red = dict.fromkeys(names, 0)
        self._said = dict.fromkeys(names, 0.0)
        self._width = max((len(name) for name in names), default=0)
        self._progress: Progress | None = None
        self._tasks: dict[str, TaskID] = {}
        if console.is_terminal:
            self._progress = Progress(
                TextColumn("{task.fields[target]}"),
                BarColumn(bar_width=30),
                MofNCompleteColumn(),
                TextColumn("{task.description}"),
                console=console,
                transient=True,
            )
            for name in names:
                self._tasks[name] = self._progress.add_task(
                    "waiting", total=total, target=name.ljust(self._width)
                )

    def __enter__(self) -> Live:
        if self._progress is not None:
            self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._progress is not None:
            self._progress.stop()

    def _plain(self, target: str, text: str) -> None:
        elapsed = time.monotonic() - self._begun
        self._console.print(
            f"[{elapsed:5.0f} s] {target.ljust(self._width)}  {text}", markup=False, soft_wrap=True
        )

    def say(self, target: str, text: str) -> None:
        """Shows what a target is doing."""
        with self._lock:
            if self._progress is not None and target in self._tasks:
                self._progress.update(self._tasks[target], description=escape(text))
            else:
                self._plain(target, text)

    def cell(self, target: str, case: str, cell: Cell) -> None:
        """Shows a finished case."""
        with self._lock:
            self._done[target] += 1
            self._red[target] += cell.red
            red = f", [red]{self._red[target]} red[/]" if self._red[target] else ""
            if self._progress is not None:
                self._progress.update(
                    self._tasks[target], advance=1, description=f"{escape(case)}{red}"
                )
                return
            now = time.monotonic()
            last = self._done[target] == self._total
            if cell.red:
                self._plain(
                    target, f"{case}: {cell.label} ({cell.detail or '; '.join(cell.lines)})"
                )
            elif last or now - self._said[target] >= PLAIN_SECONDS:
                self._said[target] = now
                self._plain(target, f"{self._done[target]} of {self._total} cases")


def _cell_text(cell: Cell | None) -> str:
    if cell is None:
        return "[dim]–[/]"
    return f"[{STYLES[cell.status]}]{cell.label}[/]"


def print_table(console: Console, run: Run) -> None:
    table = Table(show_edge=False, pad_edge=False, box=None, header_style="bold")
    table.add_column("case", overflow="fold")
    table.add_column("rows", style="dim")
    for target in run.targets:
        table.add_column(target.name, no_wrap=True)
    section = None
    for case in run.cases:
        if case.section != section:
            section = case.section
            table.add_row()
            table.add_row(f"[bold underline]{section}[/]")
        cells = [_cell_text(target.cells.get(case.id)) for target in run.targets]
        table.add_row(case.id, " ".join(case.rows), *cells)
    console.print(table)


def print_summary(console: Console, run: Run) -> None:
    shown = run.differences()
    if shown:
        console.print("\n[bold]Documented differences[/]")
        for k, places in shown.items():
            console.print(f"  [yellow]{k}[/]  {escape(differences.rows()[k].words)}")
            # What each case saw, once for all targets with the same result.
            seen: dict[tuple[str, str], list[str]] = {}
            for target, case in places:
                cell = target.cells[case.id]
                answers = [told for told in cell.told if k in told.rows]
                for text in map(str, answers) if answers else [cell.detail]:
                    seen.setdefault((case.id, text), []).append(target.name)
            for (name, text), targets in seen.items():
                console.print(
                    f"       {name} on {', '.join(targets)}: {escape(text)}",
                    style="dim",
                    soft_wrap=True,
                )
    failures = run.failures()
    if failures:
        console.print("\n[bold red]Failures[/]")
        for target, case, cell in failures:
            console.print(
                f"  [bold red]{cell.label}[/]  {target.name}  {case.id}  "
                f"[dim]{' '.join(case.rows)}[/]  {escape(case.title)}"
            )
            if cell.detail:
                console.print(f"        {escape(cell.detail)}")
            for line in cell.lines:
                console.print(f"        {escape(line)}")
            console.print(
                f"        repeat: {run.repro(target.name, case.id)}", soft_wrap=True, style="cyan"
            )
    reasons: dict[tuple[str, str], int] = {}
    for target in run.targets:
        for cell in target.cells.values():
            if cell.status in (Status.NA, Status.SKIP):
                key = (target.name, cell.detail)
                reasons[key] = reasons.get(key, 0) + 1
    if reasons:
        console.print("\n[bold]Not applicable[/]")
        for (name, reason), count in reasons.items():
            console.print(f"  {name}: {count} because {escape(reason)}", style="dim")
    console.print()
    for target in run.targets:
        if target.missing:
            console.print(f"[bold red]{target.name}[/]: {escape(target.missing)}", soft_wrap=True)
            continue
        counts = target.counts()
        told = ", ".join(
            f"[{STYLES[status]}]{counts[status]} {status}[/]" for status in Status if counts[status]
        )
        what = " ".join(
            target.facts[key] for key in ("os", "release", "guest") if target.facts.get(key)
        )
        xen = f", Xen {target.facts['xen']}" if target.facts.get("xen") else ""
        console.print(
            f"[bold]{target.name}[/]: {told or 'no case'}  [dim]({escape(what + xen)}, "
            f"{target.seconds:.0f} s)[/]"
        )
