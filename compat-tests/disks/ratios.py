# SPDX-License-Identifier: BSD-2-Clause
"""The figures of several runs side by side, as Markdown."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

from speed.ratios import shown, table, verdict

from .plan import BACKENDS, BLKBACK, KERNEL, MAIN_MEDIUM, OURS, THEIRS, WORKS, Machine, Place
from .report import TITLES, Aim, across, aims, speed, unit

Row = list[str]
Run = dict[str, Machine]


def _each(values: Sequence[float | None], places: int | None = None) -> str:
    """A figure for each run that has it."""
    known = [value for value in values if value is not None]

    def text(value: float) -> str:
        digits = places if places is not None else 1 if value < 100 else 0
        return f"{value:.{digits}f}"

    return ", ".join(map(text, known))


def _median(machine: Machine, place: Place, backend: str) -> float | None:
    samples = machine.samples(place, backend)
    return statistics.median(speed(place, us) for us in samples.values()) if samples else None


def _places(of: Sequence[Machine], main: bool) -> list[Place]:
    every = dict.fromkeys(place for machine in of for place in machine.places())
    return [p for p in every if ((p.format, p.mib) == ("raw", MAIN_MEDIUM)) == main]


def _speeds(dom0: str, runs: Sequence[Run], main: bool) -> tuple[list[str], list[Row]]:
    """The main medium, or the others.  Linux's table also compares the two systems."""
    of = [run[dom0] for run in runs if dom0 in run]
    pairs = [(run["freebsd"], run["linux"]) for run in runs if {"freebsd", "linux"} <= run.keys()]
    if dom0 != "linux":
        pairs = []
    head = ["", "", *(b.title for b in BACKENDS[dom0]), f"ours / {THEIRS}", f"ours / {BLKBACK}"]
    if pairs:
        head += ["FreeBSD's qdisk on ours / Linux's", "FreeBSD's blkback / Linux's"]
    rows = []
    for place in _places(of, main):
        title = f"{WORKS[place.work].title}, {place.way}"
        row = [title if main else f"{place.format}, {place.mib} MiB, {title}", unit(place)]
        row += [_each([_median(m, place, b.name) for m in of]) for b in BACKENDS[dom0]]
        row += [shown([m.ratio(place, other, OURS) for m in of]) for other in (THEIRS, BLKBACK)]
        if pairs:
            row.append(shown([across(*pair, place, THEIRS) for pair in pairs]))
            row.append(shown([across(*pair, place, BLKBACK, BLKBACK) for pair in pairs]))
        rows.append(row)
    return head, rows


def _costs(runs: Sequence[Run]) -> tuple[list[str], list[Row]]:
    made = [(dom0, c) for run in runs for dom0, machine in run.items() for c in machine.costs]
    works = list(dict.fromkeys(cost.work for _, cost in made))
    rows = []
    for dom0, backends in BACKENDS.items():
        for backend in backends:
            row = [TITLES[dom0], backend.title]
            for work in works:
                each = [c for d, c in made if (d, c.backend, c.work) == (dom0, backend.name, work)]
                micros = _each([c.us_each for c in each], 0)
                row.append(f"{micros} ({_each([c.per_gib for c in each], 0)})" if each else "")
            if any(row[2:]):
                rows.append(row)
    return ["", "", *(WORKS[work].title for work in works)], rows


def _profile(runs: Sequence[Run]) -> tuple[list[str], list[Row]]:
    """µs for a request in QEMU's process; what is below half of one everywhere is left out."""
    profiles = [run["freebsd"].profiles for run in runs if "freebsd" in run]
    columns = list(dict.fromkeys(name for profile in profiles for name in profile))
    calls = dict.fromkeys(c.name for p in profiles for made in p.values() for c in made)
    rows = []
    for call in calls:
        cells = []
        for column in columns:
            found = [c.us for p in profiles for c in p.get(column, []) if c.name == call]
            cells.append(_each(found, 0) if max(found, default=0) >= 0.5 else "")
        if any(cells):
            rows.append([call, *cells])
    titles = {b.name: b.title for b in BACKENDS["freebsd"]}
    words = [column.split() for column in columns]
    return ["", *(f"{titles[name]}, {WORKS[work].title}" for name, work in words)], rows


def _kernel(runs: Sequence[Run]) -> tuple[list[str], list[Row]]:
    of = {d: [run[d] for run in runs if d in run and run[d].kernel] for d in BACKENDS}
    there = [dom0 for dom0, machines in of.items() if machines]
    rows = []
    for name, title in KERNEL.items():
        row = [title]
        row += [_each([m.kernel[name] / 1000 for m in of[d]], 1) for d in there]
        row += [_each([m.kernel[name] / m.kernel["trip"] for m in of[d]], 2) for d in there]
        rows.append(row)
    head = [f"{TITLES[d]}, {what}" for what in ("µs", "trips to Xen") for d in there]
    return ["", *head], rows if there else []


def _aims(runs: Sequence[Run]) -> tuple[list[str], list[Row]]:
    reached: dict[tuple[str, float], list[Aim]] = {}
    for run in runs:
        for aim in aims(list(run.values())):
            reached.setdefault((aim.what, aim.wanted), []).append(aim)
    rows = [
        [what, f"{wanted}", _each([aim.found for aim in each], 2), verdict(a.met for a in each)]
        for (what, wanted), each in reached.items()
    ]
    return ["aim", "at least", "found", ""], rows


def markdown(found: Sequence[Sequence[Machine]]) -> str:
    """Every table; each element of `found` is a run.  Cells have a figure for each run, ratios only
    one if the runs agree within a fifth."""
    runs = [{machine.dom0: machine for machine in machines} for machines in found]
    lines: list[str] = []
    for dom0, title in TITLES.items():
        lines += table(f"{title}: raw, {MAIN_MEDIUM} MiB", *_speeds(dom0, runs, main=True))
    for dom0, title in TITLES.items():
        lines += table(f"{title}: other media", *_speeds(dom0, runs, main=False))
    lines += table("Dom0's processor: µs for a request (s for a GiB)", *_costs(runs))
    lines += table("a request in QEMU's process, µs", *_profile(runs))
    lines += table("what Dom0's kernel takes, no guest being there", *_kernel(runs))
    lines += table("aims", *_aims(runs))
    return "\n".join(lines).strip() + "\n"
