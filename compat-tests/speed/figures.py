# SPDX-License-Identifier: BSD-2-Clause
"""The benchmark program's output and what it means: medians, quartiles, ratios, aims."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

#: Pages of a mapping, pages shared, bytes of a copy.
PAGES = (1, 16, 64, 512)
SHARED = PAGES
BYTES = (512, 1024, 2048, 4096, 16384, 65536)

#: Drivers in the order of the tables.
DRIVERS = {
    "ours": "ours",
    "base": "FreeBSD's own",
    "linux": "Linux's",
    "xen": "Xen alone",
    "xen+mmap": "Xen and mmap",
}
#: DomUs as xl makes them, and with direct access to the processor's time-stamp counter.
DOMUS = ("domu", "domu-tsc")
COPY = "grant-copy"
MAP_COPY = "map-memcpy-unmap"
#: A whole cycle without looks at the clock between its calls.
WHOLE = "whole"
#: Ten trips to Xen and back in every round: how fast the machine was at that time.
GAUGE = "gauge"
#: Parts of the program in its order, as --only takes them.
PARTS = ("cycle", "readonly", "share", "copy", "live", "threads", "processes", "answers")
#: Two at once, by their kind; the number of pages in each one's cycles.
LANES = ("threads", "processes")
LANE_PAGES = (1, 16)
#: Bytes of a question and its answer; the number of questions behind a figure.
ANSWERED = (64, 4096)
ANSWERS = 10


class Broken(ValueError):
    """The program failed, or its output makes no sense."""


@dataclass(frozen=True)
class Spread:
    """A figure over its rounds: median and quartiles, in microseconds."""

    median: float
    low: float
    high: float


def spread(values: Sequence[float]) -> Spread:
    if len(values) == 1:
        return Spread(values[0], values[0], values[0])
    low, middle, high = statistics.quantiles(values, n=4, method="inclusive")
    return Spread(middle, low, high)


@dataclass
class Run:
    """One run of the program: microseconds in each round, without the cost of reading the clock."""

    facts: dict[str, str] = field(default_factory=dict)
    clock: float = 0.0
    samples: dict[tuple[str, str, int], dict[str, list[float]]] = field(default_factory=dict)
    faults: dict[tuple[str, str, int], int] = field(default_factory=dict)  # of all rounds

    def total(self, case: str, driver: str, size: int, phase: str | None = None) -> list[float]:
        """Microseconds in each round for one phase, or for all together; [] if not measured."""
        phases = self.samples.get((case, driver, size), {})
        if phase is None and WHOLE in phases:
            phase = WHOLE
        wanted = phases.values() if phase is None else [phases[p] for p in phases if p == phase]
        return [sum(parts) for parts in zip(*wanted, strict=True)]

    def gauged(self, case: str, driver: str, size: int) -> list[float]:
        """The cost of a cycle in trips to Xen and back of its own round, for comparing it with
        another run, or another part of this one, in which the machine was faster or slower."""
        trips = self.total(case, GAUGE, size)
        values = self.total(case, driver, size)
        return [v / t for v, t in zip(values, trips, strict=True)] if trips and values else values

    def faults_a_cycle(self, case: str, driver: str, size: int) -> float | None:
        count = self.faults.get((case, driver, size))
        return None if count is None else count / int(self.facts["rounds"])

    def scaling(self, case: str, driver: str, size: int) -> float | None:
        """How many times as much two lanes do in a second as one."""
        one, two = (self.total(case, driver, size, phase) for phase in ("one", "two"))
        value = ratio(one, two)
        return None if value is None else 2 * value

    def drivers(self, case: str) -> list[str]:
        return [d for d in DRIVERS if any(key[:2] == (case, d) for key in self.samples)]


def parse(lines: Iterable[str]) -> Run:
    """Reads the program's output; other lines may come in between."""
    run = Run()
    ended = False
    for line in lines:
        words = line.split()
        if not words or words[0] != "speed":
            continue
        if words[1:2] == ["failed"]:
            raise Broken(" ".join(words[2:]))
        if words[1:2] == ["end"]:
            ended = True
        elif words[1:2] == ["begin"]:
            run.facts = dict(word.split("=", 1) for word in words[2:])
        elif words[1:2] == ["faults"]:
            try:
                case, driver, size, count = words[2:]
                run.faults[case, driver, int(size)] = int(count)
            except ValueError:
                raise Broken(f"not a line of the benchmark: {line.strip()!r}") from None
        else:
            try:
                case, driver, size, phase = words[1:5]
                values = [int(word) / 1000 for word in words[5:]]
                place = run.samples.setdefault((case, driver, int(size)), {})
            except ValueError:
                raise Broken(f"not a line of the benchmark: {line.strip()!r}") from None
            if len(values) != int(run.facts.get("rounds", "0")):
                raise Broken(f"{case} {driver} {size} {phase}: {len(values)} rounds")
            place[phase] = values
    if not ended:
        raise Broken("the output has no end")
    # In a virtual machine, Xen may emulate reading the time-stamp counter.
    clock = run.samples.pop(("clock", "xen", 0), {}).get("read")
    run.clock = statistics.median(clock) if clock else 0.0
    for phases in run.samples.values():
        for phase, values in phases.items():
            phases[phase] = [max(value - run.clock, 0.0) for value in values]
    return run


def joined(runs: Sequence[Run]) -> Run:
    """Several passes of one program in one machine, as a single run."""
    whole = Run(dict(runs[0].facts), statistics.median(run.clock for run in runs))
    whole.facts["rounds"] = str(sum(int(run.facts["rounds"]) for run in runs))
    whole.facts["passes"] = str(len(runs))
    for run in runs:
        if run.samples.keys() != runs[0].samples.keys():
            raise Broken("the passes have not measured the same")
        for place, phases in run.samples.items():
            for phase, values in phases.items():
                whole.samples.setdefault(place, {}).setdefault(phase, []).extend(values)
        for place, count in run.faults.items():
            whole.faults[place] = whole.faults.get(place, 0) + count
    return whole


def ratio(dearer: Sequence[float], cheaper: Sequence[float], paired: bool = True) -> float | None:
    """How many times as expensive; round by round if both were measured in turn."""
    if not dearer or not cheaper:
        return None
    if paired:
        return statistics.median(a / max(b, 1e-3) for a, b in zip(dearer, cheaper, strict=True))
    return statistics.median(dearer) / max(statistics.median(cheaper), 1e-3)


@dataclass(frozen=True)
class Aim:
    """A figure that was to be reached."""

    machine: str
    what: str
    wanted: float
    found: float
    most: bool = False  # or at least

    @property
    def met(self) -> bool:
        return self.found <= self.wanted if self.most else self.found >= self.wanted

    @property
    def bound(self) -> str:
        return f"at {'most' if self.most else 'least'} {self.wanted:.2f}"


def _pages(number: int) -> str:
    return f"{number} page{'s' * (number > 1)}"


def _against_base(machine: str, run: Run, wanted: dict[int, float]) -> list[Aim]:
    found = []
    for pages, least in wanted.items():
        value = ratio(run.total("cycle", "base", pages), run.total("cycle", "ours", pages))
        if value is not None:
            what = f"FreeBSD's own / ours, {_pages(pages)}"
            found.append(Aim(machine, what, least, value))
    return found


def _against_xen(machine: str, run: Run) -> list[Aim]:
    """The cost of a driver on top of the two hypercalls that none can do without."""
    found = []
    for pages in PAGES:
        ours, alone = (run.total("cycle", driver, pages) for driver in ("ours", "xen"))
        if (value := ratio(ours, alone)) is not None:
            most = 1.6 if pages == 1 else 1.2
            found.append(Aim(machine, f"ours / Xen alone, {_pages(pages)}", most, value, most=True))
    return found


def _copies(machine: str, run: Run) -> list[Aim]:
    copy = run.total("copy", "ours", 4096, COPY)
    value = ratio(run.total("copy", "base", 4096, MAP_COPY), copy)
    what = "FreeBSD's own map+memcpy+unmap / our grant copy, 4 KiB"
    return [] if value is None else [Aim(machine, what, 3.0, value)]


def _beside(machine: str, run: Run) -> list[Aim]:
    one, many = (run.gauged(case, "ours", 1) for case in ("cycle", "live"))
    value = ratio(many, one, paired=False)
    live = run.facts.get("live", "many")
    what = f"ours, 1 page: beside {live} others / alone"
    return [] if value is None else [Aim(machine, what, 1.2, value, most=True)]


def _lanes(machine: str, run: Run) -> list[Aim]:
    """Two lanes on two processors should gain as much over one as two with bare hypercalls do."""
    found = []
    for case in LANES:
        for pages in LANE_PAGES:
            ours, alone = (run.scaling(case, driver, pages) for driver in ("ours", "xen"))
            if ours is not None and alone is not None:
                what = f"two {case} / one, ours against Xen alone, {_pages(pages)}"
                found.append(Aim(machine, what, 0.9, ours / alone))
    return found


def _against_linux(machine: str, domu: Run, linux: Run) -> list[Aim]:
    found = []
    for case, what in (("cycle", ""), ("share", "shared, ")):
        for pages in PAGES:
            ours, theirs = domu.gauged(case, "ours", pages), linux.gauged(case, "linux", pages)
            value = ratio(ours, theirs, paired=False)
            if value is not None:
                text = f"ours / Linux's, {what}{_pages(pages)}"
                found.append(Aim(machine, text, 1.0, value, most=True))
    return found


def aims(runs: dict[str, Run]) -> list[Aim]:
    """The aims for the machines that were measured."""
    found = []
    for machine in ("freebsd-dom0", "freebsd-dom0-smp"):
        if dom0 := runs.get(machine):
            if machine == "freebsd-dom0":
                found += _against_base(machine, dom0, dict.fromkeys(PAGES, 10.0))
                found += _copies(machine, dom0)
            found += _against_xen(machine, dom0) + _beside(machine, dom0) + _lanes(machine, dom0)
    for kind in DOMUS:
        machine = f"freebsd-{kind}"
        if domu := runs.get(machine):
            found += _against_base(machine, domu, {1: 1.5, 16: 1.5, 64: 1.5, 512: 1.0})
            found += _copies(machine, domu)
            found += _against_xen(machine, domu) + _beside(machine, domu)
            if linux := runs.get(f"linux-{kind}"):
                found += _against_linux(machine, domu, linux)
    return found
