# SPDX-License-Identifier: BSD-2-Clause
"""The figures as tables, charts, HTML and JSON, and the aims."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import jinja2
from rich.console import Console
from speed.figures import ratio, spread
from speed.report import PAGE_END, compact, show_aims, show_machine

from .plan import BACKENDS, BLKBACK, KERNEL, MAIN_MEDIUM, OURS, THEIRS, WORKS, Machine, Place
from .store import SCHEMA, machine_json

TITLES = {"freebsd": "FreeBSD as PVH Dom0", "linux": "Linux as PVH Dom0"}
COLOURS = {OURS: "#1a7f37", THEIRS: "#c62828", BLKBACK: "#1f6feb"}
BLKTAP = (
    "tap is not measured: Linux never had a blktap driver, FreeBSD 15.1 has none; Xen 4.13"
    " dropped blktap2 (its commit 5c883cf036cf), and 4.17's libxl refuses such a disk"
    " (tools/libs/light/libxl_device.c). Since 4.19 (6d7d8d2b3e) libxl can hand a disk to"
    " XenServer's tapback, a process, which Debian does not have. The kernels' own back ends stand"
    " in its place"
)
Rows = list[list[str]]


@dataclass(frozen=True)
class Aim:
    """A ratio of speeds that was to be reached."""

    what: str
    wanted: float  # at least
    found: float
    #: Within one boot, round by round; or between two, by the unit.
    paired: bool = True

    @property
    def met(self) -> bool:
        return self.found >= self.wanted


def across(
    freebsd: Machine, linux: Machine, place: Place, theirs: str, own: str = OURS
) -> float | None:
    """How many times as fast a back end of FreeBSD is as one of a Linux Dom0; both in trips to Xen
    of their own rounds."""
    return ratio(linux.gauged(place, theirs), freebsd.gauged(place, own), paired=False)


def _main(work: str, way: str) -> Place:
    return Place("raw", MAIN_MEDIUM, work, way)


def aims(machines: Sequence[Machine]) -> list[Aim]:
    """The aims for what was measured."""
    by_name = {machine.dom0: machine for machine in machines}
    freebsd, linux = by_name.get("freebsd"), by_name.get("linux")
    found: list[Aim] = []

    def add(what: str, place: Place, wanted: float, value: float | None, paired: bool) -> None:
        if value is not None:
            title = f"{what}, {WORKS[place.work].title}, {place.way}"
            found.append(Aim(title, wanted, value, paired))

    if freebsd is None:
        return found
    for work in ("seq64k", "rand16"):
        for way in ("write", "read"):
            place = _main(work, way)
            value = freebsd.ratio(place, THEIRS, OURS)
            add("FreeBSD: qdisk, ours / base driver's", place, 1.5, value, True)
    for way in ("write", "read"):
        place = _main("seq1m", way)
        value = freebsd.ratio(place, BLKBACK, OURS)
        add("FreeBSD: qdisk, ours / blkback", place, 0.9, value, True)
    if linux is not None:
        for work in WORKS:
            for way in ("write", "read"):
                place = _main(work, way)
                value = across(freebsd, linux, place, THEIRS)
                add("qdisk, FreeBSD's on ours / Linux's", place, 0.9, value, False)
    return found


# ---------------------------------------------------------------- tables


def speed(place: Place, us: float) -> float:
    """MB/s for large requests, requests a second for small ones."""
    block = WORKS[place.work].block
    return block / us if block > 4096 else 1e6 / us


def unit(place: Place) -> str:
    return "MB/s" if WORKS[place.work].block > 4096 else "1/s"


def _cell(place: Place, samples: Sequence[float]) -> str:
    if not samples:
        return ""
    s = spread([speed(place, us) for us in samples])
    digits = 1 if s.median < 100 else 0
    return f"{s.median:.{digits}f} ({s.low:.{digits}f}–{s.high:.{digits}f})"


def _times(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"


def tables(machine: Machine) -> Iterator[tuple[str, list[str], Rows]]:
    """Title, heading and rows of each table."""
    titles = {b.name: b.title for b in BACKENDS[machine.dom0]}
    head = ["", "", *titles.values(), f"ours / {THEIRS}", f"ours / {BLKBACK}"]
    rows = []
    for place in machine.places():
        samples = {name: list(machine.samples(place, name).values()) for name in titles}
        rows.append([
            place.title, unit(place), *(_cell(place, samples[name]) for name in titles),
            *(_times(machine.ratio(place, other, OURS)) for other in (THEIRS, BLKBACK)),
        ])  # fmt: skip
    yield "speed: median and quartiles of the rounds; ratios round by round", head, rows
    if machine.kernel:
        yield _kernel(machine)
    if machine.costs:
        yield _costs(machine, titles)
    for name in machine.profiles:
        yield _profile(machine, name, titles)


def _profile(machine: Machine, name: str, titles: dict[str, str]) -> tuple[str, list[str], Rows]:
    """For one back end and work; if only one request is in flight, also the time outside QEMU."""
    backend, work = name.split()
    made = machine.profiles[name]
    rows = [[c.name, f"{c.each:.2f}", f"{c.us:.0f}"] for c in made if c.us >= 0.5]
    if work == "rand1":
        both = [machine.samples(_main(work, way), backend).values() for way in ("write", "read")]
        if all(both):
            whole = statistics.mean(statistics.median(values) for values in both)
            rest = max(whole - sum(c.us for c in made), 0.0)
            rows.append(["guest, Xen and events: the rest of a request", "", f"{rest:.0f}"])
    title = f"where a request's time goes: {titles[backend]}, {WORKS[work].title}"
    return title, ["", "calls", "µs"], rows


def _kernel(machine: Machine) -> tuple[str, list[str], Rows]:
    """What the back ends make the kernel do, without any of them."""
    unit = machine.kernel["trip"]
    rows = [[title, f"{machine.kernel[name] / 1000:.2f}", f"{machine.kernel[name] / unit:.2f}"]
            for name, title in KERNEL.items()]  # fmt: skip
    return "what Dom0's kernel takes, no guest being there", ["", "µs", "trips to Xen"], rows


def _costs(machine: Machine, titles: dict[str, str]) -> tuple[str, list[str], Rows]:
    head = ["", "", "s of Dom0 a GiB", "µs of Dom0 a request", "KiB a request",
            "grant copies a request", "their hypercalls a request"]  # fmt: skip
    rows = []
    for c in machine.costs:
        made = ["", ""]
        if c.copies:
            made[0] = f"{c.copies / c.requests:.2f}"
        if c.calls:
            made[1] = f"{c.calls / c.requests:.2f}"
        rows.append([
            f"{c.format}, {c.mib} MiB, {WORKS[c.work].title}", titles[c.backend],
            f"{c.per_gib:.0f}", f"{c.us_each:.0f}", f"{c.amount / c.requests / 1024:.1f}", *made,
        ])  # fmt: skip
    return "what it takes of Dom0: writing and reading together", head, rows


def notes(machine: Machine) -> list[str]:
    """Remarks for the tables."""
    units = list(machine.units().values())
    found = [f"{len(machine.rounds)} rounds after one that does not count; all data verified"]
    if units:
        s = spread(units)
        found.append(f"unit, a trip to Xen: {s.median:.1f} ({s.low:.1f}–{s.high:.1f}) µs")
    known = [f"{key} {machine.facts[key]}" for key in ("kernel", "xen", "qemu") if
             machine.facts.get(key)]  # fmt: skip
    return found + ([", ".join(known)] if known else [])


def sure(machines: Sequence[Machine]) -> str | None:
    """How far the unit of two boots can be trusted."""
    spreads = [spread(list(m.units().values())) for m in machines if m.rounds]
    if len(spreads) < 2:
        return None
    worst = max((s.high - s.low) / s.median for s in spreads)
    return (
        f"between boots: the unit's quartiles are {worst * 100:.0f} % of it apart at most, and a"
        " boot's own speed is in no unit: read ratios between Dom0s as good to a third"
    )


def show(console: Console, machines: Sequence[Machine]) -> None:
    for machine in machines:
        title = f"[bold]{machine.dom0}[/]: {TITLES[machine.dom0]}"
        show_machine(console, title, notes(machine), tables(machine))
    show_aims(console, [
        (aim.met, f"{aim.what}: {aim.found:.2f} (at least {aim.wanted})"
         + ("" if aim.paired else ", between boots"))
        for aim in aims(machines)
    ])  # fmt: skip
    console.print(BLKTAP)
    if said := sure(machines):
        console.print(said)


# ---------------------------------------------------------------- charts, HTML, JSON


def chart(machines: Sequence[Machine], target: Path) -> None:
    """A panel for each Dom0: microseconds for a request, by work on the middle raw medium; SVG."""
    import matplotlib as mpl

    mpl.use("svg")
    mpl.rcParams.update({"svg.hashsalt": "xengnt", "font.size": 9, "svg.fonttype": "none"})
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(
        2, len(machines), figsize=(7 * len(machines), 7), squeeze=False, layout="constrained"
    )
    for column, machine in enumerate(machines):
        places = machine.places()
        main = [p for p in places if (p.format, p.mib) == ("raw", MAIN_MEDIUM)]
        other = [p for p in places if (p.format, p.mib) != ("raw", MAIN_MEDIUM)]
        title = TITLES[machine.dom0]
        _bars(axes[0][column], f"{title}: raw, {MAIN_MEDIUM} MiB", machine, main, False)
        _bars(axes[1][column], f"{title}: other media", machine, other, True)
    figure.savefig(target, metadata={"Date": None})
    plt.close(figure)


def _bars(
    axis: Any, title: str, machine: Machine, places: Sequence[Place], medium: bool
) -> None:  # fmt: skip
    names = BACKENDS[machine.dom0]
    width = 0.8 / len(names)
    for number, backend in enumerate(names):
        at, middle, low, high = [], [], [], []
        for row, place in enumerate(places):
            if samples := list(machine.samples(place, backend.name).values()):
                s = spread(samples)
                at.append(row + (number - 1) * width)
                middle.append(s.median)
                low.append(s.median - s.low)
                high.append(s.high - s.median)
        if at:
            axis.bar(at, middle, width, label=backend.title, color=COLOURS[backend.name],
                     yerr=[low, high], error_kw={"elinewidth": 0.7, "capsize": 1.5})  # fmt: skip
    axis.set_yscale("log")
    axis.margins(y=0.25)
    labels = [f"{p.work} {p.way}" + (f"\n{p.format} {p.mib}" if medium else "") for p in places]
    axis.set_xticks(range(len(places)), labels, rotation=60, fontsize=7)
    axis.set_title(title, fontsize=10)
    axis.set_ylabel("µs a request")
    if places:
        axis.legend(fontsize=7, frameon=False)


def as_json(machines: Sequence[Machine]) -> str:
    """Everything that was measured."""
    return compact({
        "schema": SCHEMA,
        "machines": [machine_json(machine) for machine in machines],
        "aims": [
            {**asdict(a), "found": round(a.found, 3), "met": a.met} for a in aims(machines)
        ],
    })  # fmt: skip


_PAGE = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>What guests' disks cost</title><style>
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 80rem; }
table { border-collapse: collapse; margin: .6rem 0 1.4rem; }
th, td { padding: .2rem .8rem; text-align: right; border-bottom: 1px solid #8884; }
th:first-child, td:first-child { text-align: left; }
caption { text-align: left; font-weight: 600; }
img { max-width: 100%; }
.met { color: #1a7f37; } .missed { color: #9a6700; }
</style></head><body><h1>What guests' disks cost</h1>
<img src="disks.svg" alt="microseconds per request by workload and back end">
<p>{{ blktap }}.</p>{% if sure %}<p>{{ sure }}.</p>{% endif %}
{% if aims %}<h2>Aims</h2><ul>{% for a in aims %}
<li class="{{ 'met' if a.met else 'missed' }}">{{ 'met' if a.met else 'missed' }}: {{ a.what }}:
{{ '%.2f'|format(a.found) }} (at least {{ a.wanted }})</li>{% endfor %}</ul>{% endif %}
"""


def write(machines: Sequence[Machine], directory: Path) -> Path:
    """index.html, disks.svg and disks.json."""
    directory.mkdir(parents=True, exist_ok=True)
    chart(machines, directory / "disks.svg")
    (directory / "disks.json").write_text(as_json(machines))
    shown = [
        {"title": TITLES[m.dom0], "notes": notes(m), "tables": list(tables(m))} for m in machines
    ]
    page = jinja2.Environment(autoescape=True).from_string(_PAGE + PAGE_END)
    (directory / "index.html").write_text(
        page.render(machines=shown, aims=aims(machines), blktap=BLKTAP, sure=sure(machines))
    )
    return directory / "index.html"
