# SPDX-License-Identifier: BSD-2-Clause
"""The benchmark's figures: what the program prints is read, weighed and shown as it is meant."""

from __future__ import annotations

import json
from pathlib import Path

import measure
import pytest
from rich.console import Console
from speed import figures, report
from speed.figures import Broken, Run, joined, parse, ratio, spread

PHASES = ("map", "mmap", "touch", "munmap", "unmap")


def line(case: str, driver: str, size: int, phase: str, *microseconds: float) -> str:
    return f"speed {case} {driver} {size} {phase} " + " ".join(
        str(int(value * 1000)) for value in microseconds
    )


def output(base: float = 30.0, ours: float = 10.0, linux: bool = False) -> list[str]:
    """A whole run of three rounds; each phase costs so much, and 5 for the clock."""
    said = ["FreeBSD is up", "speed begin rounds=3 live=7 ns_a_tick=0.4"]
    said.append(line("clock", "xen", 0, "read", 5, 5, 90))
    said.append(line("call", "xen", 0, "hypercall", 7, 8, 9))
    drivers = {"linux": 20.0} if linux else {"base": base, "ours": ours}
    for size in figures.PAGES:
        for driver, cost in drivers.items():
            said += [line("cycle", driver, size, p, *[cost + 5] * 3) for p in PHASES]
    for driver, cost in drivers.items():
        said += [line("live", driver, 1, p, *[cost + 5] * 3) for p in PHASES]
        said.append(line("copy", driver, 4096, figures.MAP_COPY, *[5 * cost + 5] * 3))
        if driver != "base":
            said.append(line("copy", driver, 4096, figures.COPY, *[cost + 5] * 3))
    return [*said, "speed end"]


def test_the_clock_is_taken_off_every_figure() -> None:
    run = parse(output())
    assert run.clock == 5  # the median: one look was slow
    assert run.total("cycle", "ours", 16, "mmap") == [10, 10, 10]
    assert run.total("cycle", "ours", 16) == [50, 50, 50]
    assert run.total("call", "xen", 0) == [2, 3, 4]


def test_a_whole_cycle_is_not_the_sum_of_its_phases() -> None:
    said = output()
    said.insert(-1, line("cycle", "ours", 16, "whole", 25, 35, 45))
    run = parse(said)
    assert run.total("cycle", "ours", 16) == [20, 30, 40]
    assert run.total("cycle", "ours", 16, "mmap") == [10, 10, 10]
    assert run.total("cycle", "ours", 1) == [50, 50, 50]


def test_a_slower_hour_is_gauged() -> None:
    said = output()
    said.insert(-1, line("cycle", "gauge", 16, "trips", 105, 205, 55))
    said.insert(-1, line("cycle", "ours", 16, "whole", 25, 45, 15))
    run = parse(said)
    assert run.gauged("cycle", "ours", 16) == [0.2, 0.2, 0.2]
    assert run.gauged("cycle", "ours", 1) == run.total("cycle", "ours", 1)
    # The gauge is no driver, and no row of a table.
    assert "gauge" not in run.drivers("cycle")


def test_a_slow_machine_is_not_a_slow_driver() -> None:
    """Linux's guest ran while the machine was half as fast; its driver is as dear as ours."""

    def said(driver: str, cost: float, trips: float) -> list[str]:
        lines = [*output(linux=driver == "linux")[:-1]]
        for size in figures.PAGES:
            lines.append(line("cycle", "gauge", size, "trips", *[trips + 5] * 3))
            lines.append(line("cycle", driver, size, "whole", *[cost + 5] * 3))
        return [*lines, "speed end"]

    runs = {
        "freebsd-domu": parse(said("ours", 100, 50)),
        "linux-domu": parse(said("linux", 200, 100)),
    }
    found = {a.what: a.found for a in figures.aims(runs)}
    assert found["Linux's / ours, 16 pages"] == 1


def test_passes_are_one_run() -> None:
    first, second = parse(output()), parse(output(ours=20.0))
    run = joined([first, second])
    assert run.facts["rounds"] == "6"
    assert run.facts["passes"] == "2"
    assert run.total("cycle", "ours", 1) == [50, 50, 50, 100, 100, 100]
    assert first.total("cycle", "ours", 1) == [50, 50, 50]
    with pytest.raises(Broken, match="not measured the same"):
        joined([first, parse(output(linux=True))])


def test_what_was_not_measured_is_empty() -> None:
    assert parse(output()).total("cycle", "linux", 1) == []
    assert ratio([], [1.0]) is None


@pytest.mark.parametrize(
    ("said", "why"),
    [
        (output()[:-1], "no end"),
        ([*output()[:5], "speed failed ours: map 16 (Cannot allocate memory)"], "ours: map 16"),
        ([*output()[:2], "speed cycle ours one map 1 2 3", "speed end"], "not a line"),
        ([*output()[:2], "speed cycle ours 1 map 1 2", "speed end"], "2 rounds"),
        ([*output()[:2], "speed cycle", "speed end"], "not a line"),
    ],
)
def test_what_cannot_be_believed_is_refused(said: list[str], why: str) -> None:
    with pytest.raises(Broken, match=why):
        parse(said)


def test_quartiles() -> None:
    assert spread([4, 1, 3, 2, 5]) == figures.Spread(3, 2, 4)
    assert spread([7]) == figures.Spread(7, 7, 7)


def test_rounds_are_compared_with_their_neighbours() -> None:
    # A slow moment of the machine meets both: the ratio does not see it.
    assert ratio([2, 20, 2], [1, 10, 1]) == 2
    assert ratio([2, 20, 4], [1, 10, 1], paired=False) == 4


def test_aims_follow_the_figures() -> None:
    runs = {
        "freebsd-domu": parse(output(base=12.0)),
        "linux-domu": parse(output(linux=True)),
        "freebsd-dom0": parse(output(base=100.0)),
    }
    met = {(a.machine, a.what): a.met for a in figures.aims(runs)}
    assert not met["freebsd-domu", "FreeBSD's own / ours, 16 pages"]  # 1.2, wanted 1.5
    assert met["freebsd-domu", "FreeBSD's own / ours, 512 pages"]  # 1.2, wanted 1
    assert met["freebsd-domu", "Linux's / ours, 1 page"]
    assert met["freebsd-domu", "ours, 1 page: alone / beside 7 others"]
    assert met["freebsd-dom0", "FreeBSD's own / ours, 1 page"]  # 10
    slow = {"freebsd-domu": parse(output(base=9.0)), "linux-domu": parse(output(linux=True))}
    assert not any(a.met for a in figures.aims(slow) if "512 pages" in a.what and "own" in a.what)


def test_both_kinds_of_guests_have_aims() -> None:
    runs = {f"freebsd-{kind}": parse(output()) for kind in figures.DOMUS}
    assert {a.machine for a in figures.aims(runs)} == set(runs)


def test_no_aim_without_its_machine() -> None:
    assert figures.aims({"linux-domu": parse(output(linux=True))}) == []


def test_report_and_json(tmp_path: Path) -> None:
    runs = {"freebsd-dom0": parse(output()), "linux-dom0": parse(output(linux=True))}
    page = report.write(runs, tmp_path)
    assert "FreeBSD as PVH Dom0" in page.read_text()
    assert (tmp_path / "speed.svg").read_text().startswith("<?xml")
    data = json.loads((tmp_path / "speed.json").read_text())
    assert data["machines"]["freebsd-dom0"]["clock"] == 5
    again = report.from_json((tmp_path / "speed.json").read_text())
    assert again["freebsd-dom0"].samples == runs["freebsd-dom0"].samples


def test_table_names_the_ratio(capsys: pytest.CaptureFixture[str]) -> None:
    report.show(Console(width=160), {"freebsd-dom0": parse(output())})
    text = capsys.readouterr().out
    assert "3.00" in text  # base 150, ours 50
    assert "missed freebsd-dom0: FreeBSD's own / ours, 1 page: 3.00" in text


def test_a_machine_without_figures_has_no_tables() -> None:
    assert list(report.tables(Run())) == []


@pytest.mark.parametrize(
    ("argv", "why"),
    [
        (["--machines", "mainframe"], "no machine 'mainframe'"),
        (["--rounds", "0"], "1 to 200"),
        (["--live", "5000"], "0 to 2000"),
        ([], "--freebsd DIR is missing"),
    ],
)
def test_wrong_usage(argv: list[str], why: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        measure.main(argv)
    assert ended.value.code == 2
    assert why in capsys.readouterr().err


def test_missing_sets_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "base.txz").touch()
    assert measure.main(["--freebsd", str(tmp_path)]) == 1
    said = capsys.readouterr().err
    assert "kernel.txz, src.txz" in said
    assert "download.freebsd.org" in said


def test_earlier_figures_can_be_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first = tmp_path / "speed.json"
    first.write_text(report.as_json({"freebsd-dom0": parse(output())}))
    assert measure.main(["--show", str(first), "--report", str(tmp_path / "again")]) == 0
    assert "FreeBSD as PVH Dom0" in capsys.readouterr().out
    first.write_text('{"schema": 99}')
    assert measure.main(["--show", str(first), "--report", str(tmp_path / "again")]) == 1
