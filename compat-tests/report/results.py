# SPDX-License-Identifier: BSD-2-Clause
"""The results of a run, and the comparison of its targets with the reference."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from cases.framework import Case, Check, Status

REFERENCE = "linux-pvh"


@dataclass(frozen=True)
class Cell:
    """One case on one target."""

    status: Status
    checks: tuple[Check, ...] = ()
    # Rows that explain a ``diff`` or a ``crash``.
    ks: tuple[str, ...] = ()
    detail: str = ""
    seconds: float = 0.0
    # What the system and the agent printed meanwhile, kept for a red cell.
    log: str = ""

    @property
    def label(self) -> str:
        return " ".join((self.status.value, *self.ks))

    @property
    def red(self) -> bool:
        """Wrong, and not explained by a row."""
        return self.status.red and not self.ks

    @property
    def told(self) -> tuple[Told, ...]:
        """The checks worth showing: in a red cell the failed ones, otherwise all that a row
        explains."""
        wrong = [check for check in self.checks if not check.ok]
        if self.ks or not wrong:
            wrong = [check for check in self.checks if check.k or not check.ok]
        return tuple(
            Told(
                check.what,
                check.observed,
                check.expected,
                check.expected if check.linux is None else check.linux,
                (check.k,) if check.k else self.ks,
                check.ok or bool(self.ks),
            )
            for check in wrong
        )

    @property
    def lines(self) -> tuple[str, ...]:
        return tuple(str(told) for told in self.told)


@dataclass(frozen=True)
class Told:
    """One check as shown to readers: Linux's value and this target's."""

    what: str
    here: str
    expected: str
    linux: str
    rows: tuple[str, ...]
    explained: bool

    @property
    def answer(self) -> str:
        if self.explained:
            return f"Linux: {self.linux}, here: {self.here} ({' '.join(self.rows)})"
        wanted = f"expected {self.expected}"
        if self.rows:
            wanted += f" ({' '.join(self.rows)}; Linux: {self.linux})"
        return f"observed {self.here}, {wanted}"

    def __str__(self) -> str:
        return f"{self.what}: {self.answer}"


def judge(checks: Sequence[Check]) -> tuple[Status, tuple[str, ...]]:
    """pass, fail or diff, from the expectations of a case that ran to its end."""
    if any(not check.ok for check in checks):
        return Status.FAIL, ()
    ks = tuple(sorted({check.k for check in checks if check.k}))
    return (Status.DIFF, ks) if ks else (Status.PASS, ())


@dataclass
class TargetRun:
    """A target and its cells."""

    name: str
    facts: Mapping[str, str] = field(default_factory=dict)
    module: str = ""
    differences: frozenset[str] = frozenset()
    cells: dict[str, Cell] = field(default_factory=dict)
    # Why the whole target is missing, if it is.
    missing: str = ""
    seconds: float = 0.0

    def counts(self) -> Counter[Status]:
        return Counter(cell.status for cell in self.cells.values())


@dataclass(frozen=True)
class Origin:
    """Where the results of a run come from."""

    date: str = ""
    commit: str = ""
    arguments: str = ""
    machine: str = ""
    seconds: float = 0.0


@dataclass
class Run:
    cases: list[Case]
    targets: list[TargetRun]
    command: str = "./dev parity"
    origin: Origin = Origin()

    @property
    def reference(self) -> TargetRun | None:
        return next((t for t in self.targets if t.name == REFERENCE and not t.missing), None)

    def repro(self, target: str, case: str) -> str:
        return f"{self.command} --targets {target} --cases {case}"

    def failures(self) -> list[tuple[TargetRun, Case, Cell]]:
        return [
            (target, case, cell)
            for target in self.targets
            for case in self.cases
            if (cell := target.cells.get(case.id)) is not None and cell.red
        ]

    def differences(self) -> dict[str, list[tuple[TargetRun, Case]]]:
        """Row -> where it was seen."""
        found: dict[str, list[tuple[TargetRun, Case]]] = {}
        for target in self.targets:
            for case in self.cases:
                for k in target.cells[case.id].ks if case.id in target.cells else ():
                    found.setdefault(k, []).append((target, case))
        return dict(sorted(found.items(), key=lambda item: (item[0][0], int(item[0][1:]))))

    @property
    def ok(self) -> bool:
        """Whether nothing is red, and every requested target has run and is not empty."""
        columns = [target for target in self.targets if not target.missing]
        return (
            bool(columns)
            and len(columns) == len(self.targets)
            and all(target.cells.keys() >= {case.id for case in self.cases} for target in columns)
            and not self.failures()
        )


def compare(run: Run) -> None:
    """Turns passing cells red that differ from the reference without a K row.

    An expectation is the same for every target, so two passing cells can differ only if the case
    accepts several values; that needs a K row, too.
    """
    reference = run.reference
    if reference is None:
        return
    for target in run.targets:
        if target is reference:
            continue
        for case in run.cases:
            ours, theirs = target.cells.get(case.id), reference.cells.get(case.id)
            if ours is not None and theirs is not None:
                target.cells[case.id] = _compared(ours, theirs)


def _steps(cell: Cell) -> Iterator[tuple[tuple[str, int], Check]]:
    """The checks by text, numbered if the same text comes again."""
    seen: Counter[str] = Counter()
    for check in cell.checks:
        yield (check.what, seen[check.what]), check
        seen[check.what] += 1


def _compared(ours: Cell, theirs: Cell) -> Cell:
    if ours.status not in (Status.PASS, Status.DIFF) or theirs.status not in (
        Status.PASS,
        Status.DIFF,
    ):
        return ours
    wanted = {step: check.observed for step, check in _steps(theirs)}
    ks = set(ours.ks)
    checks = list(ours.checks)
    for at, (step, check) in enumerate(_steps(ours)):
        # A step that the reference did not reach is checked only by the case.  A failed one is
        # explained by a row of the whole cell, or the cell would not be a difference.
        if check.k or not check.ok or wanted.get(step, check.observed) == check.observed:
            continue
        if check.free is None:
            return replace(
                ours,
                status=Status.FAIL,
                detail=f"differs from {REFERENCE} without a K row: {check.what}: "
                f"{check.observed} here, {wanted[step]} there",
            )
        ks.add(check.free)
        checks[at] = replace(check, k=check.free, linux=wanted[step])
    if ks:
        return replace(ours, status=Status.DIFF, ks=tuple(sorted(ks)), checks=tuple(checks))
    return ours
