# SPDX-License-Identifier: BSD-2-Clause
"""Branch coverage of the driver by all tests that run on this machine, and its limit.

A branch that no test takes must be listed, with the reason, in tests/coverage-exclusions.  At least
95 % must be taken whatever that file says.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from devtools import environment, freebsd_headers, suite
from devtools.console import Console, DevError, shown
from devtools.paths import COVERAGE, RESULTS, ROOT, cache_dir

EXCLUSIONS = ROOT / "tests/coverage-exclusions"
LEAST = 95.0
# Assertions, which are never false by design, and what FreeBSD's queue and tree macros expand to:
# not branches of ours.
ASSERTION = re.compile(r"\b(KASSERT|CTASSERT|mtx_assert|sx_assert|DECLARE_MODULE)\s?\(")
MACRO = re.compile(r"\b(TAILQ|LIST|SLIST|RB)_(INSERT|REMOVE|GENERATE)\w*\s?\(")


@dataclass(frozen=True)
class Missed:
    """Branches of one source line that no test takes."""

    file: str
    line: int
    text: str
    missed: int
    branches: int


@dataclass(frozen=True)
class Row:
    file: str
    branches: int
    taken: int

    @property
    def percent(self) -> float:
        return 100.0 * self.taken / self.branches if self.branches else 100.0


@dataclass(frozen=True)
class Exclusion:
    file: str
    text: str
    reason: str


def exclusions(text: str) -> list[Exclusion]:
    """Lines "file | source text | reason"; # begins a comment."""
    found = []
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        parts = [part.strip() for part in line.split(" | ")]
        if len(parts) != 3 or not all(parts):
            raise DevError(f"{shown(EXCLUSIONS)}:{number}: not 'file | source text | reason'")
        found.append(Exclusion(*parts))
    return found


def ours(text: str) -> bool:
    """Whether a line's branches are the driver's own decisions."""
    return not ASSERTION.search(text) and not MACRO.search(text)


def analyse(
    report: Mapping[str, object], sources: Mapping[str, Sequence[str]]
) -> tuple[list[Row], list[Missed]]:
    """Reads gcovr's JSON; adds up the objects compiled from one source line."""
    rows, missed = [], []
    files = report["files"]
    assert isinstance(files, list)
    for entry in files:
        name = entry["file"]
        lines: dict[int, dict[int, int]] = {}
        for line in entry["lines"]:
            counts = lines.setdefault(line["line_number"], {})
            for n, branch in enumerate(line.get("branches") or []):
                counts[n] = counts.get(n, 0) + branch["count"]
        branches = taken = 0
        for number, counts in sorted(lines.items()):
            text = sources[name][number - 1].strip()
            if not counts or not ours(text):
                continue
            none = sum(count == 0 for count in counts.values())
            branches += len(counts)
            taken += len(counts) - none
            if none:
                missed.append(Missed(name, number, text, none, len(counts)))
        if branches:
            rows.append(Row(name, branches, taken))
    return rows, missed


def judge(
    rows: Sequence[Row], missed: Sequence[Missed], excluded: Sequence[Exclusion]
) -> list[str]:
    """What is wrong, one line each."""
    # Each entry excuses one line with that text.
    known = Counter((e.file, e.text) for e in excluded)
    wrong = []
    for m in missed:
        if known[m.file, m.text] > 0:
            known[m.file, m.text] -= 1
            continue
        said = f"{m.missed} of {m.branches} branches never taken: {m.text}"
        wrong.append(f"{m.file}:{m.line}: {said}")
    total = total_of(rows)
    if total.percent < LEAST:
        wrong.append(f"{total.percent:.1f} % of the branches are taken, less than {LEAST:.0f} %")
    return wrong


def total_of(rows: Sequence[Row]) -> Row:
    return Row("total", sum(r.branches for r in rows), sum(r.taken for r in rows))


def measure(console: Console) -> tuple[list[Row], list[Missed]]:
    """Builds for coverage and runs the C tests, the fuzz corpus and the parity cases."""
    with environment.exclusive(console):
        environment.configure(
            console,
            COVERAGE,
            [
                f"-Dfreebsd_headers={freebsd_headers.headers_dir()}",
                "-Db_coverage=true",
                "-Dbuildtype=debug",
                # GCC's warning is wrong without optimisation.  The tests have threads: counts that
                # are not atomic get lost, or add up to negative sums, which gcovr refuses.
                "-Dc_args=['-Wno-maybe-uninitialized', '-fprofile-update=atomic']",
            ],
        )
    environment.compile_(console, COVERAGE)
    for old in COVERAGE.rglob("*.gcda"):
        old.unlink()
    env = environment.environment()
    console.check(
        "coverage: C tests",
        [environment.tool("meson"), "test", "-C", COVERAGE, "--no-rebuild", "--print-errorlogs",
         "--timeout-multiplier", "4"],
        env=env,
    )  # fmt: skip
    # The parity step, not this one, reports cases that fail.
    console.run(
        "coverage: parity cases",
        [environment.tool("python3"), suite.PARITY, "--build", COVERAGE, "--cache", cache_dir(),
         "--targets", "harness", "--report", RESULTS / "coverage-parity"],
        env=env,
    )  # fmt: skip
    RESULTS.mkdir(parents=True, exist_ok=True)
    report = RESULTS / "coverage.json"
    console.check(
        "coverage: report",
        [environment.tool("gcovr"), "--root", ROOT, "--filter", "kernel/", "--object-directory",
         COVERAGE, "--merge-mode-functions", "merge-use-line-min", "--json", report, COVERAGE],
        env=env,
    )  # fmt: skip
    found = json.loads(report.read_text())
    sources = {f["file"]: (ROOT / f["file"]).read_text().splitlines() for f in found["files"]}
    return analyse(found, sources)


def table(rows: Sequence[Row]) -> str:
    lines = [f"{'file':<34}{'branches':>9}{'taken':>7}{'':>8}"]
    lines += [
        f"{r.file:<34}{r.branches:>9}{r.taken:>7}{r.percent:>7.1f}%"
        for r in [*sorted(rows, key=lambda r: r.file), total_of(rows)]
    ]
    return "\n".join(lines)


def main(console: Console) -> int:
    rows, missed = measure(console)
    excluded = exclusions(EXCLUSIONS.read_text())
    wrong = judge(rows, missed, excluded)
    print(table(rows))
    used = {(m.file, m.text) for m in missed}
    reasons = [e for e in excluded if (e.file, e.text) in used]
    print(f"\nnot taken, for a reason ({shown(EXCLUSIONS)}): {len(reasons)} lines")
    for line in wrong:
        print(f"FAILED: {line}")
    for e in excluded:
        if (e.file, e.text) not in used:
            print(f"no longer needed: {e.file} | {e.text}")
    return 1 if wrong else 0
