# SPDX-License-Identifier: BSD-2-Clause
"""The steps of ./dev test.  Each counts its own tests; a step that cannot run is a failed test."""

from __future__ import annotations

import json
import shutil
import sys
import time
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from devtools import coverage, environment, fuzz, lint, qemu, suite
from devtools.console import Console, DevError, shown
from devtools.freebsd_versions import RELEASES, WITH_HEADERS
from devtools.paths import ASAN, NATIVE, RESULTS, TSAN, freebsd_build

CROSS_TESTS = [
    "tests/lib/test_symbols.py", "tests/lib/test_freebsd_elf.py",
    "tests/lib/test_freebsd_clients.py",
]  # fmt: skip
QEMU_TESTS = "tests/lib/test_freebsd_qemu.py"
# The tests with threads, and those of the code that implements the driver's locks.
TSAN_TESTS = ("model", "kpi", "driver", "faults", "threads")
# A busy machine makes a run slow, never red.
PATIENCE = 4
# Cell states of the parity report that are neither a pass nor a failure.
PARITY_SKIPS = {"skip", "n/a"}


@dataclass
class Tally:
    """The result of one step; each failure has one line for the summary."""

    passed: int = 0
    failed: int = 0
    skipped: int = 0
    failures: list[str] = field(default_factory=list)

    def add(self, ok: bool, name: str) -> None:
        if ok:
            self.passed += 1
        else:
            self.failed += 1
            self.failures.append(name)

    def merge(self, other: Tally) -> None:
        self.passed += other.passed
        self.failed += other.failed
        self.skipped += other.skipped
        self.failures += other.failures


@dataclass(frozen=True)
class Step:
    name: str
    about: str
    run: Callable[[Console, Options], Tally]
    vms: bool = False
    named: bool = False  # too long to run unless asked for by name


@dataclass(frozen=True)
class Options:
    quick: bool = False
    pytest: Sequence[str] = ()


def junit(path: Path) -> Tally:
    """Counts the test cases in a JUnit file; one with any failure or error has failed."""
    tally = Tally()
    for case in ElementTree.parse(path).iter("testcase"):
        children = {child.tag for child in case}
        name = f"{case.get('classname', '')}::{case.get('name', '')}"
        if children & {"failure", "error"}:
            tally.add(False, name)
        elif "skipped" in children:
            tally.skipped += 1
        else:
            tally.add(True, name)
    return tally


def build(console: Console, what: str, where: Path, targets: Sequence[str] = ()) -> Tally:
    """Builds, which counts as one test: without it the results of later tests mean nothing."""
    tally = Tally()
    status, log = console.run(
        f"build {what}",
        [environment.tool("ninja"), "-C", where, *targets],
        env=environment.environment(),
    )
    tally.add(status == 0, f"build {what}: see {shown(log)}")
    if status != 0:
        console.show_tail(log)
    return tally


def meson(
    console: Console, where: Path, extra_env: dict[str, str], tests: dict[str, str] | None = None
) -> Tally:
    """Builds and runs all tests, or only those in `tests`, by name with the file to build."""
    tests = tests or {}
    tally = build(console, where.name, where, list(tests.values()))
    if tally.failed:
        return tally
    report = where / "meson-logs/testlog.junit.xml"
    report.unlink(missing_ok=True)
    status, log = console.run(
        f"meson test {where.name}",
        [
            environment.tool("meson"),
            "test",
            "-C",
            where,
            "--no-rebuild",
            "--print-errorlogs",
            "--timeout-multiplier",
            str(PATIENCE),
            *tests,
        ],
        env={**environment.environment(), **extra_env},
    )
    if status != 0:
        console.show_tail(log)
    found = junit(report) if report.exists() else Tally()
    if status != 0 and not found.failed:
        found.add(False, f"meson test {where.name}: status {status}, see {shown(log)}")
    tally.merge(found)
    return tally


def native(console: Console, options: Options) -> Tally:
    return meson(console, NATIVE, {})


def sanitizers(console: Console, options: Options) -> Tally:
    stop = {
        "ASAN_OPTIONS": "abort_on_error=0:exitcode=98:detect_leaks=1",
        "UBSAN_OPTIONS": "halt_on_error=1:print_stacktrace=1",
    }
    return meson(console, ASAN, stop)


def threads(console: Console, options: Options) -> Tally:
    tests = {name: f"tests/harness/test_{name}" for name in TSAN_TESTS}
    return meson(console, TSAN, {"TSAN_OPTIONS": "halt_on_error=1"}, tests)


def pytest(console: Console, what: str, argv: Sequence[str | Path]) -> Tally:
    RESULTS.mkdir(parents=True, exist_ok=True)
    report = RESULTS / f"{what}.xml"
    report.unlink(missing_ok=True)
    status, log = console.run(
        f"pytest {what}",
        [environment.tool("python3"), "-m", "pytest", f"--junit-xml={report}", *argv],
        env=environment.environment(),
    )
    if status != 0:
        console.show_tail(log)
    tally = junit(report) if report.exists() else Tally()
    # 1 means that tests failed, and those are counted.  Any other status, such as "no tests
    # collected", is an error.
    if status not in (0, 1) or (status == 1 and not tally.failed):
        tally.add(False, f"pytest {what}: status {status}, see {shown(log)}")
    return tally


def typecheck(console: Console, options: Options) -> Tally:
    return pytest(console, "typecheck", ["tests/typecheck"])


def cross(console: Console, options: Options) -> Tally:
    """Builds the library for FreeBSD, checks what its ELF files need and define, builds Xen's
    libraries on it."""
    tally = Tally()
    where = [freebsd_build(major) for major in RELEASES]
    for directory in where:
        tally.merge(build(console, directory.name, directory))
    if not tally.failed:
        built = [str(w / environment.LIBRARY) for w in where]
        named = [f"--library={path}" for path in built]
        tally.merge(pytest(console, "symbols", [*CROSS_TESTS, *named]))
    return tally


def consumer(console: Console, options: Options) -> Tally:
    """Builds QEMU on the library for FreeBSD: 7 minutes on two processors, then from the cache."""
    where = freebsd_build(qemu.RELEASE.major)
    tally = build(console, where.name, where)
    if not tally.failed:
        qemu.build(console, qemu.RELEASE, where / environment.LIBRARY)
        tally.add(True, "build QEMU")
        tally.merge(pytest(console, "qemu", [QEMU_TESTS]))
    return tally


def lints(console: Console, options: Options) -> Tally:
    tally = Tally()
    files = lint.tracked()
    for check in lint.checks():
        status, log = check.run(console, files)
        tally.add(status == 0, f"lint {check.name}: see {shown(log)}")
        if status != 0:
            console.show_tail(log)
    return tally


def unit(console: Console, options: Options) -> Tally:
    """Everything pytest finds, except what other steps run."""
    environment.install_package(console)
    elsewhere = ["--ignore=tests/typecheck", "--ignore-glob=tests/lib/test_freebsd_*.py"]
    if options.quick:
        elsewhere += ["-m", "not dom0"]
    return pytest(console, "unit", options.pytest or elsewhere)


def parity(console: Console, options: Options) -> Tally:
    RESULTS.mkdir(parents=True, exist_ok=True)
    report = RESULTS / "parity.json"
    report.unlink(missing_ok=True)
    targets = ["--targets", "harness"] if options.quick else []
    # The suite prints its own progress and table.
    status = suite.run([*targets, "--json", str(report), "--report", str(RESULTS / "parity")])
    if not report.exists():
        tally = Tally()
        tally.add(False, f"parity: status {status} and no report")
        return tally
    tally = count_parity(json.loads(report.read_text()))
    if status != 0 and not tally.failed:
        tally.add(False, f"parity: status {status}")
    return tally


def count_parity(report: dict[str, object]) -> Tally:
    """Counts one test for each cell of the table (schema 2, docs/report.md)."""
    tally = Tally()
    cases = report["cases"]
    assert isinstance(cases, list)
    for case in cases:
        for target, result in case["results"].items():
            status = result["status"]
            if status in PARITY_SKIPS:
                tally.skipped += 1
            else:
                documented = status in ("diff", "crash") and bool(result["differences"])
                tally.add(status == "pass" or documented, f"{case['id']} on {target}: {status}")
    return tally


def clients(console: Console, options: Options) -> Tally:
    """Counts one test for each step of the runs of third-party programs (schema 1)."""
    tally = Tally()
    if options.quick:
        tally.skipped += 1
        return tally
    RESULTS.mkdir(parents=True, exist_ok=True)
    report = RESULTS / "clients.json"
    report.unlink(missing_ok=True)
    where = ["--json", str(report), "--report", str(RESULTS / "clients")]
    status = suite.run(["--clients", "--quick", *where])
    runs = json.loads(report.read_text())["runs"] if report.exists() else []
    for run in runs:
        for step in run["steps"]:
            name = f"client {step['name']} on {run['target']}: {step['detail'] or step['status']}"
            tally.add(step["status"] == "pass", name)
    if status != 0 and not tally.failed:
        tally.add(False, f"clients: status {status}")
    return tally


def fuzzing(console: Console, options: Options) -> Tally:
    """Replays the corpus, then searches for a minute on each target, in parallel."""
    tally = Tally()
    runs = fuzz.fuzz(console, fuzz.TARGETS, 5 if options.quick else 60, len(fuzz.TARGETS))
    for run in runs:
        report = run.report() if run.status != 0 else []
        tally.add(run.status == 0, "\n".join(["fuzz " + line for line in report[:1]] + report[1:]))
    return tally


def covering(console: Console, options: Options) -> Tally:
    """One test: every branch of the driver is taken or excused."""
    rows, missed = coverage.measure(console)
    wrong = coverage.judge(rows, missed, coverage.exclusions(coverage.EXCLUSIONS.read_text()))
    console.say(f"  {coverage.total_of(rows).percent:.1f} % of the driver's branches")
    tally = Tally()
    tally.add(not wrong, "\n  ".join(["coverage", *wrong]))
    return tally


STEPS = (
    Step("native", "C unit tests and harness, built by this machine's compiler", native),
    Step("sanitizers", "the same under AddressSanitizer and UBSan", sanitizers),
    Step("threads", "the harness's own tests under ThreadSanitizer", threads),
    Step("typecheck", f"the driver as FreeBSD {WITH_HEADERS} objects", typecheck),
    Step("cross", f"libxengnttab for FreeBSD {WITH_HEADERS}, symbol versions", cross),
    Step("lint", "formats, types, manual pages, licence lines", lints),
    Step("fuzz", "a minute of random input for each fuzz target", fuzzing),
    Step("coverage", "branches of the driver that no test takes", covering),
    Step("unit", "Python unit tests", unit),
    Step("parity", "parity suite: real Linux Dom0s and our driver", parity, vms=True),
    Step("clients", "Xen's own programs and QEMU on our library in a Dom0", clients, vms=True),
    Step("qemu", "QEMU 10 built for FreeBSD on our library", consumer, named=True),
)


def run_all(console: Console, options: Options, only: Sequence[str]) -> int:
    """Runs the steps and prints the table; its last line has the totals."""
    names = [step.name for step in STEPS]
    if unknown := [name for name in only if name not in names]:
        raise DevError(f"no step {unknown[0]!r}; there are {', '.join(names)}")
    total = Tally()
    rows = []
    for step in STEPS:
        if step.name not in only if only else step.named:
            continue
        console.say(f"{step.name}: {step.about}")
        start = time.monotonic()
        try:
            tally = step.run(console, options)
        except DevError as error:
            tally = Tally()
            tally.add(False, f"{step.name}: {error}")
        rows.append((step.name, tally, time.monotonic() - start))
        total.merge(tally)
    _print_summary(rows, total)
    return 1 if total.failed else 0


def _print_summary(rows: list[tuple[str, Tally, float]], total: Tally) -> None:
    width = min(shutil.get_terminal_size().columns, 100)
    print(f"\n{'step':<12}{'passed':>8}{'failed':>8}{'skipped':>9}{'seconds':>9}")
    for name, tally, seconds in rows:
        print(f"{name:<12}{tally.passed:>8}{tally.failed:>8}{tally.skipped:>9}{seconds:>9.0f}")
    if total.failures:
        print("\nfailed:")
        for line in total.failures:
            print(f"  {line}"[:width] if sys.stdout.isatty() else f"  {line}")
    print()
    skipped = f", {total.skipped} skipped" if total.skipped else ""
    print(f"{total.passed} passed, {total.failed} failed{skipped}", flush=True)
