# SPDX-License-Identifier: BSD-2-Clause
"""The benchmark's figures: reading the program's output, computing and showing them."""

from __future__ import annotations

import json
import re
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace

import measure
import pytest
from rich.console import Console
from speed import figures, machines, ratios, report
from speed.figures import Broken, Run, joined, parse, ratio, spread
from speed.progress import SECONDS, Progress
from testbed import domu
from testbed.errors import TestbedError
from testbed.freebsd_sets import SETS, FreeBSD
from testbed.image import File

PHASES = ("map", "mmap", "touch", "munmap", "unmap")


def line(case: str, driver: str, size: int, phase: str, *microseconds: float) -> str:
    return f"speed {case} {driver} {size} {phase} " + " ".join(
        str(int(value * 1000)) for value in microseconds
    )


def output(base: float = 30.0, ours: float = 10.0, linux: bool = False) -> list[str]:
    """A whole run of three rounds with the given cost of each phase, and 5 for the clock."""
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
    # The gauge is not a driver and not a row of a table.
    assert "gauge" not in run.drivers("cycle")


def test_a_slow_machine_is_not_a_slow_driver() -> None:
    """Linux's guest ran while the machine was half as fast; its driver costs as much as ours."""

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
    assert found["ours / Linux's, 16 pages"] == 1


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
    # A slow moment of the machine affects both, so the ratio does not change.
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
    assert met["freebsd-domu", "ours / Linux's, 1 page"]
    assert met["freebsd-domu", "ours, 1 page: beside 7 others / alone"]
    assert met["freebsd-dom0", "FreeBSD's own / ours, 1 page"]  # 10
    slow = {
        "freebsd-domu": parse(output(base=19.0, ours=21.0)),
        "linux-domu": parse(output(linux=True)),
    }
    found = [a for a in figures.aims(slow) if "512 pages" in a.what]
    assert len(found) == 2 and not any(a.met for a in found)


def with_lines(*lines: str) -> Run:
    return parse([*output()[:-1], *lines, "speed end"])


@pytest.mark.parametrize(("ours", "met"), [(17.0, False), (15.0, True)])
def test_what_a_driver_adds_to_xen(ours: float, met: bool) -> None:
    run = with_lines(
        line("cycle", "xen", 1, "whole", *[15.0] * 3),
        line("cycle", "ours", 1, "whole", *[5 + ours] * 3),
    )
    (aim,) = [a for a in figures.aims({"freebsd-dom0": run}) if "Xen alone" in a.what]
    assert (aim.met, aim.found, aim.bound) == (met, ours / 10, "at most 1.60")


def test_xen_alone_is_compared_round_by_round() -> None:
    """The machine is twice as slow in two rounds of three, but not for the same driver."""
    run = with_lines(
        line("cycle", "xen", 16, "whole", *(5 + v for v in (10, 20, 20))),
        line("cycle", "ours", 16, "whole", *(5 + v for v in (11, 22, 11))),
    )
    (aim,) = [a for a in figures.aims({"freebsd-dom0": run}) if "Xen alone, 16" in a.what]
    assert aim.found == pytest.approx(1.1)


def test_two_lanes_against_two_of_xen() -> None:
    """One takes 10; two of Xen's take 10 together, two of ours 20, which is no faster than one."""
    lines = [
        line("threads", driver, 16, phase, *[5 + spent] * 3)
        for driver, one, two in (("xen", 10, 10), ("ours", 10, 20))
        for phase, spent in (("one", one), ("two", two))
    ]
    run = with_lines(*lines)
    assert run.scaling("threads", "xen", 16) == 2
    assert run.scaling("threads", "ours", 16) == 1
    assert run.scaling("processes", "ours", 16) is None
    (aim,) = [a for a in figures.aims({"freebsd-dom0-smp": run}) if "two threads" in a.what]
    assert aim.found == 0.5 and not aim.met
    titles = {title: rows for title, _, rows in report.tables(run)}
    assert titles["cycles a second of two on two processors / of one; pages"] == [
        ["threads, 1", "", ""], ["threads, 16", "1.00", "2.00"],
    ]  # fmt: skip


def test_faults_are_counted_by_cycle() -> None:
    said = [*output()[:-1], "speed faults cycle ours 16 3", "speed faults share ours 512 30"]
    run = parse([*said, "speed end"])
    assert run.faults_a_cycle("cycle", "ours", 16) == 1
    assert joined([run, run]).faults_a_cycle("share", "ours", 512) == 10
    titles = {title: rows for title, _, rows in report.tables(run)}
    assert titles["page faults a cycle; pages"] == [["mapped, 16", "1.0"], ["shared, 512", "10.0"]]
    with pytest.raises(Broken, match="not a line"):
        parse([*said, "speed faults cycle ours 16", "speed end"])


def test_a_figure_is_of_several_answers() -> None:
    run = with_lines(
        line("answers", "ours", 64, "whole", *[5 + 100] * 3),
        line("answers", "base", 64, "whole", *[5 + 150] * 3),
    )
    shown = [row for _, _, rows in report.tables(run) for row in rows]
    assert ["64", "10 (10–10)", "15 (15–15)", "1.50"] in shown


def test_answers_between_guests_are_gauged() -> None:
    """Linux's guest ran while the machine was half as fast; its answers cost as much as ours."""

    def said(trips: float, **drivers: float) -> Run:
        return with_lines(
            line("answers", "gauge", 64, "trips", *[5 + trips] * 3),
            *(line("answers", d, 64, "whole", *[5 + cost] * 3) for d, cost in drivers.items()),
        )

    runs = {
        "freebsd-domu": said(50, ours=100, base=150),
        "linux-domu": said(100, linux=200),
    }
    tables = dict(ratios.tables([runs]))
    assert tables["freebsd-domu, more"]["64 bytes and back"] == {
        "base / ours": [1.5], "ours / Linux's": [1.0],
    }  # fmt: skip
    # Linux as Dom0 runs on other firmware, and is not compared.
    alone = {"freebsd-dom0": runs["freebsd-domu"], "linux-dom0": runs["linux-domu"]}
    tables = dict(ratios.tables([alone]))
    assert tables["freebsd-dom0, more"]["64 bytes and back"] == {"base / ours": [1.5]}


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
        (["--live", "50000"], "0 to 20000"),
        (["--only", "cycle,cycles"], "no part 'cycles'"),
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


def test_numbers_are_on_one_line() -> None:
    data = {"a": [1, 2.5], "b": {"c": "two  blanks, a\nbreak"}, "d": [[1], []]}
    text = report.compact(data)
    assert json.loads(text) == data
    assert text.splitlines()[1:4] == [
        ' "a": [ 1, 2.5 ],', ' "b": { "c": "two  blanks, a\\nbreak" },', ' "d": ['
    ]  # fmt: skip


def test_two_runs_side_by_side(tmp_path: Path) -> None:
    first, second = tmp_path / "1.json", tmp_path / "2.json"
    xen = line("cycle", "xen", 16, "whole", *[5 + 40] * 3)
    least = line("cycle", "xen+mmap", 1, "whole", *[5 + 25] * 3)
    for path, ours in ((first, 10.0), (second, 14.0)):
        run = parse([*output(base=30.0, ours=ours)[:-1], xen, least, "speed end"])
        path.write_text(report.as_json({"freebsd-dom0": run}))
    target = tmp_path / "ratios.md"
    argv = ["--show", str(first), "--show", str(second), "--report", str(tmp_path / "r")]
    assert measure.main([*argv, "--markdown", str(target)]) == 0
    text = target.read_text()
    assert "| | base / ours | ours / Xen and mmap | ours / Xen |" in text
    assert "| 1 | 3.00, 2.14 | 2.00, 2.80 |  |" in text
    assert "| 16 | 3.00, 2.14 |  | 1.25, 1.75 |" in text  # by run
    assert "| 1 beside 7 others / 1 alone |" not in text and "| 1 beside 7 / 1 alone |" in text
    assert "| freebsd-dom0 | ours / Xen alone, 16 pages | at most 1.20 |" in text
    assert "1.25, 1.75 | **missed** |" in text


def test_a_part_alone_has_a_page_without_warnings(tmp_path: Path) -> None:
    said = ["speed begin rounds=3 live=7 ns_a_tick=0.4"]
    said += [line("answers", "ours", 64, "whole", *[100] * 3), "speed end"]
    runs = {"freebsd-domu-tsc": parse(said)}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        report.write(runs, tmp_path)
    assert "aim" not in ratios.markdown([runs])


def test_runs_that_agree_are_one_figure() -> None:
    assert ratios.shown([1.0, 1.15]) == "1.07"
    assert ratios.shown([1.0, 1.3]) == "1.00, 1.30"
    assert ratios.shown([0.0, 0.02]) == "0.01"
    assert ratios.shown([]) == ""


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_time_left(tmp_path: Path) -> None:
    known, clock = tmp_path / "a/seconds.json", Clock()
    it = Progress(["dom0", "domu"], known, clock)
    it.start()
    assert it.left() == SECONDS["dom0"] + SECONDS["domu"]
    clock.now += 50
    assert it.left() == SECONDS["dom0"] - 50 + SECONDS["domu"]
    clock.now += 2 * SECONDS["dom0"] - 50
    it.done()  # twice as slow as expected, and so will the next be
    it.start()
    assert it.left() == 2 * SECONDS["domu"]
    clock.now += 30
    assert (
        str(it)
        == f"{2 * SECONDS['dom0'] + 30:6.1f} s, {(2 * SECONDS['domu'] - 30) / 60:4.1f} min left"
    )
    it.done()
    assert it.left() == 0
    assert Progress(["domu"], known, clock).left() == 30


def test_an_interrupted_run_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    made: list[str] = []

    def machine(
        name: str, broken: bool = False
    ) -> Callable[[machines.Setting, FreeBSD], dict[str, Run]]:
        def make(*_: object) -> dict[str, Run]:
            made.append(name)
            if broken:
                raise TestbedError("the machine fell silent")
            return {f"freebsd-{name}": parse(output())}

        return make

    for name in SETS:
        (tmp_path / name).touch()
    argv = ["--freebsd", str(tmp_path), "--machines", "dom0,domu", "--report", str(tmp_path / "r")]
    monkeypatch.setitem(machines.MACHINES, "dom0", machine("dom0"))
    monkeypatch.setitem(machines.MACHINES, "domu", machine("domu", True))
    assert measure.main(argv) == 1
    assert "fell silent" in capsys.readouterr().err
    monkeypatch.setitem(machines.MACHINES, "domu", machine("domu"))
    # Figures with other options do not count.
    assert measure.main([*argv, "--rounds", "7", "--machines", "dom0"]) == 0
    assert made == ["dom0", "domu", "dom0"]
    made.clear()
    monkeypatch.setitem(machines.MACHINES, "domu", machine("domu", True))
    assert measure.main(argv) == 1
    monkeypatch.setitem(machines.MACHINES, "domu", machine("domu"))
    assert measure.main(argv) == 0
    assert made == ["dom0", "domu", "domu"]
    assert "measured before the interruption: dom0" in capsys.readouterr().err
    figures = json.loads((tmp_path / "r/speed.json").read_text())
    assert list(figures["machines"]) == ["freebsd-dom0", "freebsd-domu"]
    made.clear()
    assert measure.main(argv) == 0
    assert made == ["dom0", "domu"]  # a whole run leaves nothing


def test_parts_are_bits_in_the_programs_order(tmp_path: Path) -> None:
    program = machines.SOURCE.read_text()
    table = program[program.index("} parts[] = {") :]
    functions = re.findall(r"^\t\{ (\w+),", table[: table.index("};")], re.MULTILINE)
    named = ["cycles", "readonly", "shares", "copies", "with_live", "in_threads", "in_processes",
             "ping_pong"]  # fmt: skip
    assert functions == named and len(named) == len(figures.PARTS)
    some = machines.Setting(tmp_path, tmp_path, tmp_path, print, 3, 0, ["cycle", "copy"])
    assert some.options == "--rounds 3 --live 0 --parts 0x9"
    everything = machines.Setting(tmp_path, tmp_path, tmp_path, print, 200, 20000)
    # The limit of FreeBSD's kernel environment, with the longest references and port.
    granted = "--refs 0 32767 --questions 32767 4095"
    assert len(f"{machines.PROGRAM} {granted} {everything.options} base ours") < 128


class FakeHost:
    """Dom0 of `machines.domus`: grants, and what its guests were told to run."""

    xl = "xl"

    def __init__(self, files: Sequence[File]) -> None:
        self.next_domid = 1
        self.files = [file.dst for file in files]
        self.held: list[str] = []
        self.commands: list[str] = []
        self.dom0, self.machine = self, self
        self.facts: dict[str, str] = {}

    def __enter__(self) -> FakeHost:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def must(self, _: str) -> None:
        pass

    def grant(self, domid: int, count: int) -> list[int]:
        return list(range(1000 * domid, 1000 * domid + count))

    def hold(self, command: str, _: str) -> list[int]:
        self.held.append(command)
        domid = int(command.split()[-1])
        return [1000 * domid + 600, 50 + domid]

    def start(self, name: str, command: str, settings: object) -> FakeHost:
        self.commands.append(command)
        self.next_domid += 1
        self.said = output(linux=name == "linux")
        return self

    def lines(self, *_: object) -> Iterator[str]:
        return iter(self.said)

    def destroy(self) -> None:
        pass


@pytest.mark.parametrize("only", [["cycle", "answers"], ["cycle"]])
def test_each_guest_asks_the_process_that_grants_to_it(
    only: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hosts: list[FakeHost] = []

    def make(*_: object, files: Sequence[File], **__: object) -> FakeHost:
        hosts.append(FakeHost(files))
        return hosts[-1]

    monkeypatch.setattr(domu, "Host", make)
    for name in ("freebsd_program", "linux_program"):
        monkeypatch.setattr(machines, name, lambda _: File(b"", machines.PROGRAM))
    setting = machines.Setting(tmp_path, tmp_path, tmp_path, print, 9, 0, only)
    release = SimpleNamespace(version="15.1")
    assert set(machines.domus(setting, release, "domu")) == {"freebsd-domu", "linux-domu"}  # type: ignore[arg-type]
    (host,) = hosts
    answers = "answers" in only
    domids = range(1, 2 * machines.PASSES + 1)
    assert host.held == [f"{machines.PROGRAM} --answer {n}" for n in domids if answers]
    assert machines.PROGRAM in host.files
    for domid, command in zip(domids, host.commands, strict=True):
        drivers = "base ours" if domid % 2 else "linux"
        asked = f" --questions {domid}600 {50 + domid}" * answers
        parts = "0x81" if answers else "0x1"
        assert command == (
            f"{machines.PROGRAM} --refs 0 {domid}000{asked} --rounds 3 --live 0"
            f" --parts {parts} {drivers}"
        )


def test_two_processors_alone_have_a_page(tmp_path: Path) -> None:
    run = with_lines(line("threads", "ours", 1, "one", *[15.0] * 3))
    assert report.write({"freebsd-dom0-smp": run}, tmp_path).is_file()


def test_figures_stay_until_they_are_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def make(*_: object) -> dict[str, Run]:
        return {"freebsd-dom0": parse(output())}

    def full(*_: object) -> Path:
        raise OSError("no space")

    for name in SETS:
        (tmp_path / name).touch()
    monkeypatch.setitem(machines.MACHINES, "dom0", make)
    monkeypatch.setattr(report, "write", full)
    argv = ["--freebsd", str(tmp_path), "--machines", "dom0", "--report", str(tmp_path / "r")]
    with pytest.raises(OSError, match="no space"):
        measure.main(argv)
    assert (tmp_path / "r/unfinished/dom0.json").exists()


def test_what_is_measured_nowhere_boots_nothing(tmp_path: Path) -> None:
    setting = machines.Setting(tmp_path, tmp_path, tmp_path, print, 3, 0, ["copy"])
    assert machines.two_processors(setting, None) == {}  # type: ignore[arg-type]
