# SPDX-License-Identifier: BSD-2-Clause
"""What several runs of the benchmark agree on: ratios, as Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from .figures import (
    ANSWERED,
    COPY,
    LANE_PAGES,
    LANES,
    MAP_COPY,
    PAGES,
    Aim,
    Run,
    aims,
    ratio,
)

#: Two runs that differ by more are shown separately.
AGREE = 1.2

#: The rows and columns of a table, and the figure of each run.
Table = dict[str, dict[str, list[float]]]


def _cycles(run: Run, linux: Run | None) -> Iterator[tuple[str, str, float | None]]:
    for case, title in (("cycle", ""), ("readonly", "read-only, "), ("share", "shared, ")):
        for pages in PAGES:
            row = f"{title}{pages}"
            ours = run.total(case, "ours", pages)
            yield row, "base / ours", ratio(run.total(case, "base", pages), ours)
            # Xen's two hypercalls cost the same whatever is done with the pages; they are measured
            # in the rounds of the writable cycles.
            alone = run.total("cycle", "xen", pages) if case != "share" else []
            yield row, "ours / Xen", ratio(ours, alone, paired=case == "cycle")
            least = run.total(case, "xen+mmap", pages)
            yield row, "ours / Xen and mmap", ratio(ours, least)
            if linux is not None:
                theirs = linux.gauged(case, "linux", pages)
                mine = run.gauged(case, "ours", pages)
                yield row, "ours / Linux's", ratio(mine, theirs, paired=False)
                alone = linux.total("cycle", "xen", pages) if case == "cycle" else []
                mine = linux.total(case, "linux", pages)
                yield row, "Linux's / Xen", ratio(mine, alone)
            for driver in ("ours", "base"):
                yield row, f"faults, {driver}", run.faults_a_cycle(case, driver, pages)
            if linux is not None:
                yield row, "faults, Linux", linux.faults_a_cycle(case, "linux", pages)
    for driver in ("ours", "base"):
        one, many = (run.gauged(case, driver, 1) for case in ("cycle", "live"))
        row = f"1 beside {run.facts.get('live', 'many')} / 1 alone"
        yield row, f"faults, {driver}", None
        yield row, driver, ratio(many, one, paired=False)


def _others(run: Run, linux: Run | None) -> Iterator[tuple[str, str, float | None]]:
    for size in (512, 4096, 65536):
        row = f"copy of {size} bytes"
        copy = run.total("copy", "ours", size, COPY)
        yield row, "copy / Xen", ratio(copy, run.total("copy", "xen", size))
        for driver in ("ours", "base"):
            mapped = run.total("copy", driver, size, MAP_COPY)
            yield row, f"map, memcpy, unmap by {driver} / copy", ratio(mapped, copy)
    for case in LANES:
        for pages in LANE_PAGES:
            for driver in ("ours", "base", "xen", "xen+mmap"):
                yield f"two {case} / one, pages: {pages}", driver, run.scaling(case, driver, pages)
            ours, alone = (run.total(case, driver, pages, "two") for driver in ("ours", "xen"))
            yield f"two {case} / one, pages: {pages}", "two ours / two Xen", ratio(ours, alone)
    for size in ANSWERED:
        base, ours = (run.total("answers", driver, size) for driver in ("base", "ours"))
        yield f"{size} bytes and back", "base / ours", ratio(base, ours)
        if linux is not None:
            ours = run.gauged("answers", "ours", size)
            theirs = linux.gauged("answers", "linux", size)
            yield f"{size} bytes and back", "ours / Linux's", ratio(ours, theirs, paired=False)


def _machine(name: str, runs: Mapping[str, Run]) -> Iterator[tuple[str, str, str, float]]:
    linux = runs.get(name.replace("freebsd", "linux", 1)) if "domu" in name else None
    run = runs[name]
    for title, found in (("cycles", _cycles(run, linux)), ("more", _others(run, linux))):
        for row, column, value in found:
            if value is not None:
                yield title, row, column, value


def tables(found: Sequence[Mapping[str, Run]]) -> Iterator[tuple[str, Table]]:
    """A title and a table for each kind of figure of each machine."""
    names = [name for name in found[0] if name.startswith("freebsd")]
    for name in names:
        made: dict[str, Table] = {}
        for runs in found:
            if name in runs:
                for title, row, column, value in _machine(name, runs):
                    made.setdefault(title, {}).setdefault(row, {}).setdefault(column, []).append(
                        value
                    )
        for title, table in made.items():
            yield f"{name}, {title}", table


def shown(values: Iterable[float | None]) -> str:
    """One figure if the runs agree, otherwise each run's; nothing for a run without it."""
    known = [value for value in values if value is not None]
    if not known:
        return ""
    low, high = min(known), max(known)
    if high <= low * AGREE or high - low < 0.05:
        return f"{sum(known) / len(known):.2f}"
    return ", ".join(f"{value:.2f}" for value in known)


def verdict(met: Iterable[bool]) -> str:
    """What several runs say of an aim."""
    every = set(met)
    return "met in one run" if len(every) > 1 else "met" if every == {True} else "**missed**"


def table(title: str, head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Lines of a Markdown table under a title, which may be empty; none without rows."""
    if not rows:
        return []
    return [
        *(["", f"**{title}**"] if title else []),
        "",
        "|" + "".join(f" {cell} |" if cell else " |" for cell in head),
        "|" + "---|" * len(head),
        *(f"| {' | '.join(row)} |" for row in rows),
    ]


def markdown(found: Sequence[Mapping[str, Run]]) -> str:
    """Every table, and every aim with each run's result."""
    lines = []
    for title, cells in tables(found):
        columns = list(dict.fromkeys(column for row in cells.values() for column in row))
        lines += table(title, ["", *columns], [
            [name, *(shown(row.get(column, [])) for column in columns)]
            for name, row in cells.items()
        ])  # fmt: skip
    reached: dict[tuple[str, str, str], list[Aim]] = {}
    for runs in found:
        for aim in aims(dict(runs)):
            reached.setdefault((aim.machine, aim.what, aim.bound), []).append(aim)
    lines += table("", ["machine", "aim", "", "found", ""], [
        [*what, shown(aim.found for aim in each), verdict(aim.met for aim in each)]
        for what, each in reached.items()
    ])  # fmt: skip
    return "\n".join(lines).strip() + "\n"
