# SPDX-License-Identifier: BSD-2-Clause
"""Judgement of expectations, comparison of targets, the reports, the exit status."""

from __future__ import annotations

import io
import json
import re
import xml.etree.ElementTree as ET
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import parity
import pytest
from agent.client import Agent, AgentError, Errno
from cases.framework import (
    Broken,
    Case,
    Check,
    Context,
    NotApplicable,
    Skip,
    Status,
    Stop,
)
from report.results import Cell, Run, TargetRun, compare, judge
from report.screen import print_summary, print_table
from report.writers import as_json, write_all
from rich.console import Console
from targets import TARGETS, Entry, Setting, TargetMissing
from targets.base import Target

from devtools.paths import ROOT


@dataclass
class Facts:
    differences: frozenset[str] = frozenset()
    facts: Mapping[str, str] = field(default_factory=dict)
    lacks: Mapping[str, str] = field(default_factory=dict)

    def reason_against(self, capability: str) -> str | None:
        return self.lacks.get(capability)


def context(*differences: str, lacks: Mapping[str, str] | None = None) -> Context:
    target = Facts(frozenset(differences), lacks=lacks or {})
    return Context(None, target)  # type: ignore[arg-type]


# Expectations


def test_pass_and_fail() -> None:
    t = context()
    assert t.expect(1, 1, "one")
    assert judge(t.checks) == (Status.PASS, ())
    assert not t.expect("EINVAL", "ok", "two")
    assert judge(t.checks) == (Status.FAIL, ())


def test_a_documented_difference_must_be_seen() -> None:
    t = context("K7")
    assert t.expect("not mapped", "mapped rw", "entry", {"K7": "not mapped"})
    assert judge(t.checks) == (Status.DIFF, ("K7",))
    assert _cell(*t.checks).lines == ("entry: Linux: mapped rw, here: not mapped (K7)",)
    # Linux's value although the difference is in force: the document is wrong.
    t = context("K7")
    assert not t.expect("mapped rw", "mapped rw", "entry", {"K7": "not mapped"})
    assert judge(t.checks) == (Status.FAIL, ())
    wrong = "entry: observed mapped rw, expected not mapped (K7; Linux: mapped rw)"
    assert _cell(*t.checks).lines == (wrong,)


def test_a_defect_of_the_whole_cell_shows_linux_too() -> None:
    cell = Cell(Status.DIFF, (Check("a", "1", "1"), Check("mmap", "ENODEV", "EINVAL")), ("E2",))
    assert cell.lines == ("mmap: Linux: EINVAL, here: ENODEV (E2)",)


def test_a_difference_of_another_target_is_no_excuse() -> None:
    t = context("K2")
    assert not t.expect("not mapped", "mapped rw", "entry", {"K7": "not mapped"})
    assert judge(t.checks)[0] is Status.FAIL


def test_the_same_value_is_no_difference() -> None:
    t = context("K3")
    t.expect("EINVAL", "EINVAL", "mmap", {"K3": "EINVAL"})
    assert judge(t.checks) == (Status.PASS, ())


def test_attempt_names_what_happened() -> None:
    t = context()

    def refuses() -> None:
        raise Errno("EBUSY", "x")

    assert t.attempt(refuses) == "EBUSY"
    assert t.attempt(lambda: 5) == "ok"
    assert t.accepted("five", lambda: 5) == 5
    with pytest.raises(Stop):
        t.accepted("refused", refuses)
    assert [check.ok for check in t.checks] == [True, False]
    # A failure of the test bed is not a result of the subject.
    with pytest.raises(AgentError):
        t.attempt(_raise, AgentError("rig"))


def test_need() -> None:
    t = context(lacks={"fork": "one process"})
    t.need("peer")
    with pytest.raises(NotApplicable, match="one process"):
        t.need("fork")


# Comparison with the reference


def _case(name: str = "unit.case", run: Callable[[Context], None] | None = None) -> Case:
    def nothing(t: Context) -> None:
        """A wrong kernel does something else."""

    return Case(name, ("M1",), "a title", "a section", run or nothing)


def _cell(*checks: Check) -> Cell:
    status, ks = judge(checks)
    return Cell(status, checks, ks)


def _run(reference: Cell, other: Cell) -> Run:
    case = _case()
    columns = [
        TargetRun("linux-pvh", {"release": "6.1"}, cells={case.id: reference}),
        TargetRun("harness", {"release": "6.1"}, cells={case.id: other}),
    ]
    run = Run([case], columns)
    compare(run)
    return run


def test_the_same_words_twice_are_two_steps() -> None:
    steps = (Check("index", "0", "0"), Check("index", "8", "8"))
    run = _run(_cell(*steps), _cell(*steps))
    cell = next(iter(run.targets[1].cells.values()))
    assert cell.status is Status.PASS, cell.detail
    other = _run(_cell(*steps), _cell(steps[0], Check("index", "9", "9")))
    cell = next(iter(other.targets[1].cells.values()))
    assert cell.status is Status.FAIL
    assert "index: 9 here, 8 there" in cell.detail


def test_both_pass_but_differ() -> None:
    run = _run(_cell(Check("index", "0", "0")), _cell(Check("index", "1", "1")))
    cell = run.targets[1].cells["unit.case"]
    assert cell.status is Status.FAIL
    assert "without a K row" in cell.detail
    assert not run.ok


def test_both_pass_and_differ_with_a_row() -> None:
    free = ("0", "1")
    cells = [_cell(Check("index", value, value, None, "K23")) for value in free]
    run = _run(*cells)
    cell = run.targets[1].cells["unit.case"]
    assert (cell.status, cell.ks, cell.label) == (Status.DIFF, ("K23",), "diff K23")
    assert cell.lines == ("index: Linux: 0, here: 1 (K23)",)
    assert run.targets[0].cells["unit.case"].status is Status.PASS
    assert run.ok


def test_an_explained_difference_stays_one() -> None:
    explained = Check("e", "none", "none", "K7", linux="rw")
    run = _run(_cell(Check("e", "rw", "rw")), _cell(explained))
    cell = run.targets[1].cells["unit.case"]
    assert cell.label == "diff K7"
    assert cell.lines == ("e: Linux: rw, here: none (K7)",)
    assert run.ok
    assert list(run.differences()) == ["K7"]


def test_a_cell_explained_as_a_whole_stays_a_difference() -> None:
    ours = Cell(Status.DIFF, (Check("index", "7", "0"), Check("mmap", "ok", "ok")), ("K26",))
    run = _run(_cell(Check("index", "0", "0"), Check("mmap", "ok", "ok")), ours)
    cell = run.targets[1].cells["unit.case"]
    assert (cell.label, cell.lines) == ("diff K26", ("index: Linux: 0, here: 7 (K26)",))
    assert run.ok


def test_red_stays_red() -> None:
    run = _run(_cell(Check("e", "a", "a")), Cell(Status.CRASH, detail="gone"))
    assert run.targets[1].cells["unit.case"].status is Status.CRASH
    assert not run.ok


@pytest.mark.parametrize("missing", [True, False])
def test_a_column_that_is_not_there_is_not_success(missing: bool) -> None:
    run = _run(_cell(Check("e", "a", "a")), _cell(Check("e", "a", "a")))
    assert run.ok
    if missing:
        run.targets[1].missing = "no machine"
    else:
        run.targets[1].cells.clear()
    assert not run.ok


# Running a case


class FakeAgent:
    """Begins and ends workers that do not exist."""

    def __init__(self) -> None:
        self.ended: str | None = None
        self.transcript: list[str] = []
        self.kernel_log: list[str] = []
        self.aborted = 0

    def begin(self, name: str) -> None:
        self.ended = None

    def finish(self) -> str:
        return self.ended or "exit 0"

    def abort(self) -> str:
        self.aborted += 1
        return "signal SIGKILL"


class FakeTarget(Target):
    name = "fake"

    def __init__(self, wrong: str | None = None) -> None:
        super().__init__(Setting(Path(), Path(), Path()))
        self.fake = FakeAgent()
        self.wrong = wrong
        self.recovered = 0
        self._lacks = {"fork": "one process"}

    def start(self) -> None: ...

    def stop(self) -> None: ...

    def agent(self) -> Agent:
        return self.fake  # type: ignore[return-value]

    def after(self, case: Case, context: Context, ended: str, said: Sequence[str]) -> str | None:
        return self.wrong

    def recover(self) -> None:
        self.recovered += 1

    def log(self) -> str:
        return "last words"


def _raise(error: Exception) -> None:
    raise error


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (NotApplicable("no fork"), Status.NA),
        (Skip("no file"), Status.SKIP),
        (Broken("no peer"), Status.ERROR),
        (AgentError("nonsense"), Status.ERROR),
        (Errno("EINVAL", "open"), Status.FAIL),
        (TimeoutError("silent"), Status.CRASH),
        (EOFError("closed"), Status.CRASH),
    ],
)
def test_what_an_exception_means(error: Exception, status: Status) -> None:
    target = FakeTarget()
    cell = target.run(_case(run=lambda t: _raise(error)))
    assert cell.status is status
    assert ("last words" in cell.log) == status.red
    assert target.recovered == (status is Status.CRASH)
    assert target.fake.aborted == (status is Status.ERROR)


def test_a_missing_capability_runs_nothing() -> None:
    case = Case("unit.needs", ("O10",), "x", "y", lambda t: _raise(AssertionError()), ("fork",))
    cell = FakeTarget().run(case)
    assert (cell.status, cell.detail) == (Status.NA, "one process")


def test_an_alarm_makes_a_pass_red() -> None:
    cell = FakeTarget("BUG: unable to handle page fault").run(_case())
    assert cell.status is Status.FAIL
    assert "BUG" in cell.detail


def test_a_failed_expectation_is_told() -> None:
    cell = FakeTarget().run(_case(run=lambda t: _ignore(t.expect(1, 2, "a number"))))
    assert cell.status is Status.FAIL
    assert cell.lines == ("a number: observed 1, expected 2",)


def _ignore(_: object) -> None:
    return None


# Reports


@pytest.fixture
def run() -> Run:
    cases = [_case(f"unit.{name}") for name in ("good", "diff", "bad", "crash", "na")]
    check = Check("what <it> does", "EINVAL", "EINVAL")
    cells = [
        Cell(Status.PASS, (check,)),
        Cell(Status.DIFF, (Check("entry", "none", "none", "K7", linux="mapped rw"),), ("K7",)),
        Cell(Status.FAIL, (Check("index", "1", "0"),), log="console [bold]\x1b[31m\x00 text"),
        Cell(Status.CRASH, detail="the machine <hangs> [/]", log="panic"),
        Cell(Status.NA, detail="one process"),
    ]
    column = TargetRun(
        "linux-pv",
        {"release": "6.1.0", "xen": "4.17", "guest": "PV"},
        "xen-gntdev",
        frozenset({"K7"}),
        {case.id: cell for case, cell in zip(cases, cells, strict=True)},
    )
    lost = TargetRun("freebsd", missing="needs base.txz")
    return Run(cases, [column, lost])


def test_a_crash_with_a_row_is_told_and_not_red(tmp_path: Path) -> None:
    item = _case()
    cell = Cell(Status.CRASH, ks=("E6",), detail="panic: it", log="panic: it")
    column = TargetRun("freebsd-base", cells={item.id: cell})
    told = Run([item], [column])
    assert told.ok and told.differences() == {"E6": [(column, item)]}
    write_all(told, tmp_path)
    data = json.loads((tmp_path / "parity.json").read_text())
    result = data["cases"][0]["results"]["freebsd-base"]
    assert (result["status"], result["differences"], result["red"]) == ("crash", ["E6"], False)
    assert "repro" not in result
    assert "panic: it" in (tmp_path / result["log"]).read_text()
    junit = ET.parse(tmp_path / "junit.xml").getroot()
    assert junit.find(".//error") is None
    column.cells[item.id] = Cell(Status.CRASH, detail="panic: it")
    assert not told.ok


def test_json_schema(run: Run, tmp_path: Path) -> None:
    write_all(run, tmp_path)
    data = json.loads((tmp_path / "parity.json").read_text())
    assert data == as_json(run)
    assert data["schema"] == 2
    assert set(data["run"]) == {"date", "commit", "arguments", "machine", "seconds"}
    target = data["targets"]["linux-pv"]
    assert (target["kernel"], target["xen"], target["module"]) == ("6.1.0", "4.17", "xen-gntdev")
    assert target["probed"]["guest"] == "PV"
    assert data["targets"]["freebsd"]["missing"] == "needs base.txz"
    results = {case["id"]: case["results"] for case in data["cases"]}
    statuses = [result["linux-pv"]["status"] for result in results.values()]
    assert statuses == ["pass", "diff", "fail", "crash", "n/a"]
    bad = results["unit.bad"]["linux-pv"]
    assert bad["checks"] == [
        {"what": "index", "observed": "1", "expected": "0", "linux": "0", "differences": []}
    ]
    diff = results["unit.diff"]["linux-pv"]
    assert diff["differences"] == ["K7"]
    assert diff["checks"] == [
        {
            "what": "entry",
            "observed": "none",
            "expected": "none",
            "linux": "mapped rw",
            "differences": ["K7"],
        }
    ]
    assert bad["repro"] == "./dev parity --targets linux-pv --cases unit.bad"
    assert "\x1b[31m" in (tmp_path / bad["log"]).read_text()
    told = {"status", "differences", "red", "checks", "detail", "seconds"}
    assert all(told <= set(result["linux-pv"]) for result in results.values())


def test_junit(run: Run, tmp_path: Path) -> None:
    write_all(run, tmp_path)
    root = ET.parse(tmp_path / "junit.xml").getroot()
    entries = {case.get("name"): case for case in root.iter("testcase")}
    assert entries["unit.bad"].get("classname") == "linux-pv"
    kinds = {name: [child.tag for child in case] for name, case in entries.items()}
    assert "failure" in kinds["unit.bad"]
    assert "error" in kinds["unit.crash"]
    assert "skipped" in kinds["unit.na"]
    assert not {"failure", "error", "skipped"} & {*kinds["unit.good"], *kinds["unit.diff"]}
    assert "error" in kinds["start"]
    assert (root.get("tests"), root.get("failures"), root.get("errors")) == ("6", "1", "2")
    said = entries["unit.diff"].findtext("system-out") or ""
    assert "entry: Linux: mapped rw, here: none (K7)" in said


def test_tap(run: Run, tmp_path: Path) -> None:
    run.targets[0].cells["unit.na"] = Cell(Status.NA, detail="one # process")
    write_all(run, tmp_path)
    lines = (tmp_path / "parity.tap").read_text().splitlines()
    assert (lines[0], lines[-1]) == ("TAP version 14", "1..6")
    points = [line for line in lines if re.match(r"(not )?ok ", line)]
    assert points == [
        "ok 1 - linux-pv unit.good",
        "ok 2 - linux-pv unit.diff (diff K7)",
        "not ok 3 - linux-pv unit.bad (fail)",
        "not ok 4 - linux-pv unit.crash (crash)",
        r"ok 5 - linux-pv unit.na # SKIP one \# process",
        "not ok 6 - freebsd start",
    ]
    assert '    - "entry: Linux: mapped rw, here: none (K7)"' in lines
    assert '    - "index: observed 1, expected 0"' in lines
    assert '  message: "needs base.txz"' in lines


def test_html(run: Run, tmp_path: Path) -> None:
    write_all(run, tmp_path)
    text = (tmp_path / "index.html").read_text()
    assert "what &lt;it&gt; does" not in text, "a passing cell shows no detail"
    assert "the machine &lt;hangs&gt;" in text
    assert not re.search(r"(src|href)=.https?:", text), "the page stands by itself"
    for case in run.cases:
        assert f'id="{case.id}"' in text
    assert "needs base.txz" in text
    assert "./dev parity --targets linux-pv --cases unit.bad" in text
    anchors = set(re.findall(r'id="([^"]+)"', (tmp_path / "differences.html").read_text()))
    assert "K7" in anchors
    assert 'href="differences.html#K7"' in text
    assert 'href="index.html#unit.diff"' in (tmp_path / "differences.html").read_text()


def test_console(run: Run) -> None:
    out = io.StringIO()
    console = Console(file=out, width=160, highlight=False)
    print_table(console, run)
    print_summary(console, run)
    text = out.getvalue()
    assert "diff K7" in text
    assert "unit.diff on linux-pv: entry: Linux: mapped rw, here: none (K7)" in text
    assert "index: observed 1, expected 0" in text
    assert "repeat: ./dev parity --targets linux-pv --cases unit.bad" in text
    assert "the machine <hangs> [/]" in text
    assert "linux-pv: 1 pass, 1 n/a, 1 diff, 1 fail, 1 crash" in text
    assert "needs base.txz" in text


# The command


class QuickTarget(FakeTarget):
    name = "quick"

    def start(self) -> None:
        self.facts = {"os": "unit"}

    def run(self, case: Case) -> Cell:
        return Cell(Status.FAIL if self.wrong else Status.PASS)


def _missing(setting: Setting) -> Target:
    raise TargetMissing("no such machine")


def _broken(setting: Setting) -> Target:
    raise RuntimeError("surprise\nwith more lines")


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    makers: dict[str, Callable[[Setting], Target]] = {
        "good": lambda setting: QuickTarget(),
        "bad": lambda setting: QuickTarget("wrong"),
        "missing": _missing,
        "broken": _broken,
    }
    for name, make in makers.items():
        monkeypatch.setitem(TARGETS, name, Entry(name, make, slow=name == "bad"))


@pytest.mark.parametrize(
    ("targets", "status", "told"),
    [
        ("good", 0, "good: 2 pass"),
        ("good,bad", 1, "bad: 2 fail"),
        ("good,missing", 1, "missing: no such machine"),
        ("broken,good", 1, "broken: RuntimeError: surprise"),
    ],
)
def test_exit_status(
    quick: None,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    targets: str,
    status: int,
    told: str,
) -> None:
    stale = tmp_path / "report/logs/good/old.log"
    stale.parent.mkdir(parents=True)
    stale.write_text("of an earlier run")
    args = ["--targets", targets, "--cases", "mmap.twice,unmap.twice"]
    args += ["--report", str(tmp_path / "report"), "--json", str(tmp_path / "more/p.json")]
    assert parity.main(args) == status
    assert told in capsys.readouterr().out
    assert not stale.exists()
    for name in ("report/index.html", "report/junit.xml", "report/parity.json", "more/p.json"):
        assert (tmp_path / name).stat().st_size > 0


@pytest.mark.parametrize(
    "args", [["--targets", "nowhere"], ["--targets", ","], ["--cases", "nothing-like-it"]]
)
def test_wrong_usage(args: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        parity.main(args)
    assert caught.value.code == 2
    assert "error:" in capsys.readouterr().err.splitlines()[-1]


def test_list(capsys: pytest.CaptureFixture[str]) -> None:
    assert parity.main(["--list", "--cases", "U7"]) == 0
    out = capsys.readouterr().out
    assert "unmap.twice" in out
    assert "linux-pvh" in out
    assert "freebsd-base" in out


@pytest.mark.parametrize("name", ["freebsd", "freebsd-linux", "freebsd-base"])
def test_freebsd_columns_say_what_they_need(name: str, tmp_path: Path) -> None:
    setting = Setting(tmp_path, tmp_path, tmp_path)
    with pytest.raises(TargetMissing, match=r"base\.txz"):
        TARGETS[name].make(setting)
    with pytest.raises(TargetMissing, match=r"kernel\.txz"):
        (tmp_path / "base.txz").touch()
        TARGETS[name].make(Setting(tmp_path, tmp_path, tmp_path, tmp_path))


def test_what_was_not_run_is_told() -> None:
    told = " ".join(parity.not_run(["harness", "freebsd"], None))
    assert not {"harness", "freebsd"} & set(re.findall(r"[\w:@-]+", told.replace("--freebsd", "")))
    for name in TARGETS:
        assert name in ("harness", "freebsd") or re.search(rf"(?<![\w-]){name}(?![\w-])", told)
    assert "ssh:USER@HOST" in told and "release sets" in told
    assert "release sets" not in " ".join(parity.not_run(["harness"], Path("sets")))


def test_where_results_come_from() -> None:
    words = ["--build", "build/native", "--targets", "harness", "--cache", "/somewhere"]
    assert parity.shown_arguments(words) == ["--targets", "harness"]
    origin = parity.origin(["./dev", "parity", "--cases", "mmap.*"], 1.26)
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d UTC", origin.date)
    assert origin.arguments == "./dev parity --cases 'mmap.*'"
    assert origin.commit and origin.seconds == 1.3
    # It describes the machine without its name.
    assert re.fullmatch(r"\w+ \S+ \w+, \d+ processors, \d+ GiB", origin.machine)


def test_without_git_the_version_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    assert parity.commit() == (ROOT / "VERSION").read_text().strip()
