# SPDX-License-Identifier: BSD-2-Clause
"""The figures as tables, a chart, HTML and JSON."""

from __future__ import annotations

import json
import re
import statistics
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import jinja2
from rich.console import Console
from rich.table import Table

from .figures import (
    ANSWERED,
    ANSWERS,
    BYTES,
    COPY,
    DOMUS,
    DRIVERS,
    LANE_PAGES,
    LANES,
    MAP_COPY,
    PAGES,
    SHARED,
    WHOLE,
    Aim,
    Run,
    aims,
    ratio,
    spread,
)  # fmt: skip

SCHEMA = 1
TITLES = {
    "freebsd-dom0": "FreeBSD as PVH Dom0, a helper domain grants",
    "freebsd-dom0-smp": "the same Dom0 with two processors",
    "linux-dom0": "Linux as PVH Dom0, a helper domain grants (for orientation: other firmware)",
    "freebsd-domu": "FreeBSD as PVH DomU, the Linux Dom0 grants",
    "linux-domu": "Linux as PVH DomU of the same Dom0",
    "freebsd-domu-tsc": "FreeBSD as PVH DomU, no emulated time-stamp counter",
    "linux-domu-tsc": "Linux as PVH DomU of the same Dom0, no emulated time-stamp counter",
}
_CASES: tuple[tuple[str, str, Sequence[int]], ...] = (
    ("cycle", "map, mmap, touch, munmap, unmap; pages", PAGES),
    ("live", "the same beside {live} other maps; pages", (1,)),
    ("readonly", "the same, mapped and touched for reading; pages", PAGES),
    ("share", "allocate, mmap, touch, munmap, deallocate; pages", SHARED),
)
_COLOURS = {"ours": "#1a7f37", "base": "#c62828", "linux": "#1f6feb", "xen": "#8b8b8b"}


def _cell(values: Sequence[float]) -> str:
    if not values:
        return ""
    s = spread(values)
    return f"{s.median:.0f} ({s.low:.0f}–{s.high:.0f})"


def _times(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"


Rows = list[list[str]]


def tables(run: Run) -> Iterator[tuple[str, list[str], Rows]]:
    """Title, heading and rows of each table of a machine, in microseconds: median and quartiles."""
    for case, title, sizes in _CASES:
        drivers = run.drivers(case)
        rows = []
        for size in sizes:
            totals = {driver: run.total(case, driver, size) for driver in drivers}
            if not any(totals.values()):
                continue
            row = [str(size), *(_cell(totals[d]) for d in drivers)]
            if "base" in drivers:
                row.append(_times(ratio(totals["base"], totals["ours"])))
            if "xen" in drivers and (own := totals.get("ours") or totals.get("linux")):
                row.append(_times(ratio(own, totals["xen"])))
            rows.append(row)
        if not rows:
            continue
        head = ["", *(f"{DRIVERS[d]}, µs" for d in drivers)]
        head += ["FreeBSD's own / ours"] * ("base" in drivers)
        head += ["driver / Xen"] * ("xen" in drivers and len(rows[0]) > len(head))
        yield title.format(live=run.facts.get("live", "many")), head, rows
    yield from _phases(run)
    yield from _faults(run)
    yield from _copies(run)
    yield from _lanes(run)
    yield from _answers(run)


def _phases(run: Run) -> Iterator[tuple[str, list[str], Rows]]:
    rows = []
    names: list[str] = []
    for size in PAGES:
        for driver in run.drivers("cycle"):
            phases = run.samples.get(("cycle", driver, size), {})
            names = names or [p for p in phases if p != WHOLE and driver != "xen"]
            if phases:
                rows.append((size, driver, phases))
    if names:
        yield "median of each phase; pages", ["", "", *(f"{n}, µs" for n in names)], [
            [str(size), DRIVERS[driver],
             *(f"{statistics.median(phases[n]):.0f}" if n in phases else "" for n in names)]
            for size, driver, phases in rows
        ]  # fmt: skip


def _faults(run: Run) -> Iterator[tuple[str, list[str], Rows]]:
    drivers = [d for d in DRIVERS if any(place[1] == d for place in run.faults)]
    rows = []
    for case, title in (("cycle", "mapped"), ("readonly", "mapped to read"), ("share", "shared")):
        for size in PAGES:
            counts = [run.faults_a_cycle(case, driver, size) for driver in drivers]
            if any(count is not None for count in counts):
                shown = ("" if count is None else f"{count:.1f}" for count in counts)
                rows.append([f"{title}, {size}", *shown])
    if rows:
        yield "page faults a cycle; pages", ["", *(DRIVERS[d] for d in drivers)], rows


def _lanes(run: Run) -> Iterator[tuple[str, list[str], Rows]]:
    """Two on two processors: how much both do in a second, compared with one."""
    drivers = [d for d in DRIVERS if any(d in run.drivers(case) for case in LANES)]
    rows = [
        [f"{case}, {size}", *(_times(run.scaling(case, driver, size)) for driver in drivers)]
        for case in LANES
        for size in LANE_PAGES
        if run.drivers(case)
    ]
    if rows:
        head = ["", *(DRIVERS[d] for d in drivers)]
        yield "cycles a second of two on two processors / of one; pages", head, rows


def _answers(run: Run) -> Iterator[tuple[str, list[str], Rows]]:
    drivers = run.drivers("answers")
    rows = []
    for size in ANSWERED:
        values = {driver: run.total("answers", driver, size) for driver in drivers}
        if any(values.values()):
            row = [str(size), *(_cell([v / ANSWERS for v in values[d]]) for d in drivers)]
            if "base" in drivers:
                row.append(_times(ratio(values["base"], values["ours"])))
            rows.append(row)
    if rows:
        head = ["", *(f"mapped by {DRIVERS[d]}, µs" for d in drivers)]
        head += ["FreeBSD's own / ours"] * ("base" in drivers)
        yield "to another domain and back, with events; bytes", head, rows


def _copies(run: Run) -> Iterator[tuple[str, list[str], Rows]]:
    drivers = [d for d in run.drivers("copy") if d != "xen"]
    if not drivers:
        return
    own = "ours" if "ours" in drivers else drivers[0]
    alone = "xen" in run.drivers("copy")
    head = ["", f"grant copy, {DRIVERS[own]}, µs", *[f"{DRIVERS['xen']}, µs"] * alone]
    head += [f"map, memcpy, unmap, {DRIVERS[d]}, µs" for d in drivers]
    head += [f"{DRIVERS[d]} / copy" for d in drivers]
    rows = []
    for size in BYTES:
        copy = run.total("copy", own, size, COPY)
        mapped = {d: run.total("copy", d, size, MAP_COPY) for d in drivers}
        if copy:
            rows.append([
                str(size), _cell(copy), *[_cell(run.total("copy", "xen", size))] * alone,
                *(_cell(mapped[d]) for d in drivers),
                *(_times(ratio(mapped[d], copy)) for d in drivers),
            ])  # fmt: skip
    yield "one copy; bytes", head, rows


def notes(run: Run) -> list[str]:
    """Remarks for the tables: how they were made, and the cost of a call of Xen."""
    found = [f"{run.facts.get('rounds', '?')} rounds after one that does not count"]
    if call := run.total("call", "xen", 0):
        found.append(f"an empty hypercall through privcmd {_cell(call)} µs")
    found.append(f"reading the clock, {run.clock:.0f} µs, is taken off every figure")
    kernel = run.facts.get("kernel_build") or run.facts.get("kernel")
    return found + ([f"kernel: {kernel}"] if kernel else [])


def show_table(
    console: Console, title: str, head: Sequence[str], rows: Sequence[Sequence[str]]
) -> None:
    """Prints a table whose first column is text and the others numbers; rows may be short."""
    table = Table(title=title, title_justify="left", box=None, pad_edge=False)
    for number, text in enumerate(head):
        table.add_column(text, justify="right" if number else "left", overflow="fold")
    for row in rows:
        table.add_row(*row, *[""] * (len(head) - len(row)))
    console.print(table)


def show_machine(
    console: Console,
    title: str,
    remarks: Iterable[str],
    every: Iterable[tuple[str, Sequence[str], Sequence[Sequence[str]]]],
) -> None:
    console.print(f"\n{title}")
    for remark in remarks:
        console.print(f"  {remark}")
    for table in every:
        show_table(console, *table)


def show_aims(console: Console, found: Sequence[tuple[bool, str]]) -> None:
    if found:
        console.print("\n[bold]aims[/]")
    for met, text in found:
        console.print(f"  {'[green]met[/]   ' if met else '[yellow]missed[/]'} {text}")


def show(console: Console, runs: dict[str, Run]) -> None:
    for machine, run in runs.items():
        show_machine(console, f"[bold]{machine}[/]: {TITLES[machine]}", notes(run), tables(run))
    show_aims(console, [
        (aim.met, f"{aim.machine}: {aim.what}: {aim.found:.2f} ({aim.bound})")
        for aim in aims(runs)
    ])  # fmt: skip


def chart(runs: dict[str, Run], target: Path) -> None:
    """Microseconds for each page of a whole cycle, by size, with quartiles as whiskers; SVG."""
    import matplotlib as mpl

    mpl.use("svg")
    mpl.rcParams.update({"svg.hashsalt": "xengnt", "font.size": 9, "svg.fonttype": "none"})
    import matplotlib.pyplot as plt

    panels: list[tuple[str, dict[str, Run]]] = []
    if dom0 := runs.get("freebsd-dom0"):
        panels.append(("FreeBSD PVH Dom0", dict.fromkeys(("base", "ours", "xen"), dom0)))
    for kind, title in zip(DOMUS, ("PVH DomUs of one Dom0", "the same, TSC direct"), strict=True):
        if domu := runs.get(f"freebsd-{kind}"):
            found = dict.fromkeys(("base", "ours", "xen"), domu)
            panels.append((title, found | {"linux": runs.get(f"linux-{kind}", domu)}))
    figure, axes = plt.subplots(
        1, len(panels) + 1, figsize=(4 * len(panels) + 4, 3.4), squeeze=False, layout="constrained"
    )
    for axis, (title, drivers) in zip(axes[0], panels, strict=False):
        _bars(axis, title, "µs a page", PAGES, {
            DRIVERS[d]: (_COLOURS[d], [
                [v / size for v in run.total("cycle", d, size)] for size in PAGES
            ]) for d, run in drivers.items()
        })  # fmt: skip
    where = next((runs[m] for m in TITLES if m in runs and "freebsd" in m), None)
    if where is not None and panels:
        _bars(axes[0][-1], "one copy, " + panels[0][0], "µs", BYTES, {
            "our grant copy": (_COLOURS["ours"],
                               [where.total("copy", "ours", b, COPY) for b in BYTES]),
            "our map, memcpy, unmap": ("#7fbf92",
                                       [where.total("copy", "ours", b, MAP_COPY) for b in BYTES]),
            "FreeBSD's own map, memcpy, unmap": (
                _COLOURS["base"], [where.total("copy", "base", b, MAP_COPY) for b in BYTES]),
        })  # fmt: skip
    figure.savefig(target, metadata={"Date": None})
    plt.close(figure)


def _bars(
    axis: Any, title: str, unit: str, sizes: Sequence[int],
    series: dict[str, tuple[str, list[list[float]]]],
) -> None:  # fmt: skip
    series = {name: value for name, value in series.items() if any(value[1])}
    width = 0.8 / max(len(series), 1)
    for number, (name, (colour, values)) in enumerate(series.items()):
        spreads = [spread(v) if v else None for v in values]
        places = [i + (number - (len(series) - 1) / 2) * width for i in range(len(sizes))]
        axis.bar(
            places, [s.median if s else 0 for s in spreads], width, label=name, color=colour,
            yerr=[[s.median - s.low if s else 0 for s in spreads],
                  [s.high - s.median if s else 0 for s in spreads]],
            error_kw={"elinewidth": 0.7, "capsize": 1.5},
        )  # fmt: skip
    axis.set_yscale("log")
    axis.margins(y=0.25)  # for the legend
    axis.set_xticks(range(len(sizes)), [str(size) for size in sizes])
    axis.set_title(title, fontsize=10)
    axis.set_ylabel(unit)
    if series:
        axis.legend(fontsize=7, frameon=False)


def compact(data: object) -> str:
    """JSON with a line for each list or object that contains no other."""
    text = json.dumps(data, indent=1)
    # Line breaks in strings are escaped.
    return re.sub(r"[\[{][^\[\]{}]*[\]}]", lambda m: re.sub(r"\n *", " ", m.group()), text) + "\n"


def as_json(runs: dict[str, Run]) -> str:
    """Everything that was measured, a number for each round, in microseconds."""
    return compact({
        "schema": SCHEMA,
        "machines": {
            name: {
                "facts": run.facts,
                "clock": round(run.clock, 2),
                "faults": [[*place, count] for place, count in run.faults.items()],
                "samples": [
                    {"case": case, "driver": driver, "size": size,
                     "phases": {p: [round(v, 2) for v in values] for p, values in phases.items()}}
                    for (case, driver, size), phases in run.samples.items()
                ],
            } for name, run in runs.items()
        },
        "aims": [
            {"machine": a.machine, "what": a.what, "wanted": round(a.wanted, 3),
             "most": a.most, "found": round(a.found, 3), "met": a.met} for a in aims(runs)
        ],
    })  # fmt: skip


def from_json(text: str) -> dict[str, Run]:
    """What `as_json` wrote."""
    data = json.loads(text)
    if data.get("schema") != SCHEMA:
        raise ValueError(f"schema {data.get('schema')}, not {SCHEMA}")
    return {
        name: Run(m["facts"], m["clock"], {
            (s["case"], s["driver"], s["size"]): s["phases"] for s in m["samples"]
        }, {
            (case, driver, size): count for case, driver, size, count in m.get("faults", [])
        }) for name, m in data["machines"].items()
    }  # fmt: skip


#: The end of a page: notes and tables of each machine.
PAGE_END = """\
{% for m in machines %}<h2>{{ m.title }}</h2>
<ul>{% for note in m.notes %}<li>{{ note }}</li>{% endfor %}</ul>
{% for title, head, rows in m.tables %}<table><caption>{{ title }}</caption>
<tr>{% for text in head %}<th>{{ text }}</th>{% endfor %}</tr>
{% for row in rows %}<tr>{% for text in row %}<td>{{ text }}</td>{% endfor %}</tr>{% endfor %}
</table>{% endfor %}{% endfor %}</body></html>
"""
_PAGE = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>What grants cost</title><style>
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 72rem; }
table { border-collapse: collapse; margin: .6rem 0 1.4rem; }
th, td { padding: .2rem .8rem; text-align: right; border-bottom: 1px solid #8884; }
caption { text-align: left; font-weight: 600; }
img { max-width: 100%; }
.met { color: #1a7f37; } .missed { color: #9a6700; }
</style></head><body><h1>What grants cost</h1>
<img src="speed.svg" alt="microseconds per page by size and driver">
{% if aims %}<h2>Aims</h2><ul>{% for a in aims %}
<li class="{{ 'met' if a.met else 'missed' }}">{{ 'met' if a.met else 'missed' }}:
{{ a.machine }}: {{ a.what }}: {{ '%.2f'|format(a.found) }}
({{ a.bound }})</li>{% endfor %}</ul>{% endif %}
"""


def write(runs: dict[str, Run], directory: Path) -> Path:
    """index.html, speed.svg and speed.json."""
    directory.mkdir(parents=True, exist_ok=True)
    chart(runs, directory / "speed.svg")
    (directory / "speed.json").write_text(as_json(runs))
    machines = [
        {"title": TITLES[name], "notes": notes(run), "tables": list(tables(run))}
        for name, run in runs.items()
    ]
    found: list[Aim] = aims(runs)
    page = jinja2.Environment(autoescape=True).from_string(_PAGE + PAGE_END)
    (directory / "index.html").write_text(page.render(machines=machines, aims=found))
    return directory / "index.html"
