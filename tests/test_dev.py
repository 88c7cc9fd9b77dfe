# SPDX-License-Identifier: BSD-2-Clause
"""./dev: its output, its counts, and its one-line errors."""

from __future__ import annotations

import json
import os
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from devtools import (
    cli,
    costs,
    coverage,
    debian,
    environment,
    freebsd_headers,
    fuzz,
    lint,
    stamp,
    steps,
    suite,
)  # fmt: skip
from devtools import console as console_module
from devtools.cformat import keep_author, keep_defines
from devtools.console import Console, DevError
from devtools.freebsd_versions import RELEASES
from devtools.paths import ROOT


class Recorder(Console):
    """Runs nothing; records what would have been run."""

    def __init__(self, status: int = 0) -> None:
        super().__init__()
        self.commands: list[list[str]] = []
        self.status = status

    def say(self, text: str) -> None:
        pass

    def run(self, what: str, argv: Sequence[str | Path], **kwargs: Any) -> tuple[int, Path]:
        self.commands.append([str(arg) for arg in argv])
        return self.status, Path(os.devnull)


def need(package: str, present: bool) -> debian.Need:
    return debian.Need(package, "a test", lambda: present)


def dev(*args: str, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(ROOT / "dev"), *args],
        capture_output=True, text=True, env={**os.environ, **env}, check=False,
    )  # fmt: skip


@pytest.mark.parametrize(("pause", "quiet", "steady"), [(0.01, 9, 0.1), (0.3, 0.1, 9)])
def test_plain_output_tells_that_a_command_is_at_work(
    pause: float, quiet: float, steady: float, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Whether it prints all the time or not at all."""
    monkeypatch.setattr(console_module, "LOGS", tmp_path)
    monkeypatch.setattr(console_module, "HEARTBEAT", quiet)
    monkeypatch.setattr(console_module, "STEADY", steady)
    said: list[str] = []
    console = Console()
    monkeypatch.setattr(console, "_rich", None)
    monkeypatch.setattr(console, "say", said.append)
    lines = int(0.6 / pause)
    script = f"for i in $(seq {lines}); do echo line $i; sleep {pause}; done"
    assert console.run("talk", ["sh", "-c", script])[0] == 0
    assert [line for line in said if " s  line " in line]
    # Each kind of sign has its interval; lines alone are not passed on.
    monkeypatch.setattr(console_module, "HEARTBEAT", 1e6)
    monkeypatch.setattr(console_module, "STEADY", 1e6)
    said.clear()
    assert console.run("talk", ["sh", "-c", "seq 100"])[0] == 0
    assert not [line for line in said if re.search(r" s  \d", line)]


# Packages


def test_nothing_missing_runs_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(debian, "_lists", lambda: True)
    console = Recorder()
    debian.ensure(console, [need("gcc", True)], clang=False)
    assert console.commands == []


def test_not_root_names_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    console = Recorder()
    wanted = [need("gcc", True), need("cpio", False), need("mandoc", False)]
    with pytest.raises(DevError) as caught:
        debian.ensure(console, wanted, clang=False)
    text = str(caught.value)
    assert "\n" not in text
    assert text.endswith("apt-get install --no-install-recommends cpio mandoc")
    assert console.commands == []


def test_root_installs_exactly_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(shutil, "which", lambda name, **_: f"/usr/bin/{name}")
    there = {"gcc": True, "cpio": False}

    class Installing(Recorder):
        def run(self, what: str, argv: Sequence[str | Path], **kwargs: Any) -> tuple[int, Path]:
            if "install" in argv:
                there["cpio"] = True
            return super().run(what, argv, **kwargs)

    console = Installing()
    needs = [debian.Need(name, "", lambda name=name: there[name]) for name in there]  # type: ignore[misc]
    debian.ensure(console, needs, clang=False)
    assert [command[2] for command in console.commands] == ["update", "-y"]
    assert console.commands[1][-1:] == ["cpio"]
    assert "gcc" not in console.commands[1]


def test_apt_that_cannot_install_ends_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(shutil, "which", lambda name, **_: f"/usr/bin/{name}")
    with pytest.raises(DevError, match=r"could not install: apt-get install .* cpio$"):
        debian.ensure(Recorder(status=100), [need("cpio", False)], clang=False)


def test_every_need_says_why() -> None:
    assert all(n.reason for n in debian.NEEDS)
    names = [n.package for n in debian.NEEDS]
    assert len(names) == len(set(names))


def fake_tools(where: Path, *names: str) -> None:
    where.mkdir(exist_ok=True)
    for name in names:
        (where / name).write_text("#!/bin/sh\n")
        (where / name).chmod(0o755)


def test_newest_complete_clang_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    parts = ("clang", "ld.lld", "llvm-ar", "llvm-objcopy")
    fake_tools(tmp_path, *(f"{p}-17" for p in parts), *(f"{p}-19" for p in parts), "clang-21")
    monkeypatch.setenv("PATH", f"{tmp_path / 'absent'}:{tmp_path}")
    found = debian.find_clang()
    assert found == debian.Clang(19, "-19")
    assert found.tool("clang") == str(tmp_path / "clang-19")


def test_old_clang_does_not_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_tools(tmp_path, "clang-14", "ld.lld-14", "llvm-ar-14", "llvm-objcopy-14")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert debian.find_clang() is None


def test_clang_packages_without_apt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert debian.clang_packages() == ["clang-19", "lld-19", "llvm-19", "libclang-rt-19-dev"]


def test_fuzzer_library_alone_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(debian, "find_clang", lambda: debian.Clang(19, "-19"))
    monkeypatch.setattr(debian, "has_fuzzer", lambda clang: False)
    assert debian.missing_clang() == ["libclang-rt-19-dev"]


# Command line


@pytest.mark.parametrize(
    "command", ["", "test", "lint", "format", "build", "clean", "fuzz", "bench", "coverage", "docs"]
)
def test_help(command: str) -> None:
    done = dev(*filter(None, [command]), "--help")
    assert done.returncode == 0
    assert done.stdout.startswith("usage: ./dev")


def test_boot_is_the_test_bed_with_its_options(monkeypatch: pytest.MonkeyPatch) -> None:
    called: list[object] = []

    def call(argv: Sequence[str], *, env: dict[str, str], **_: object) -> int:
        called.extend([argv, env])
        return 3

    monkeypatch.setattr("subprocess.call", call)
    assert suite.boot(["--shell", "--xen", "x=1"]) == 3
    argv, env = called
    assert isinstance(argv, list) and isinstance(env, dict)
    assert argv[1:] == ["-m", "testbed", "boot", "--shell", "--xen", "x=1"]
    assert (Path(env["PYTHONPATH"]) / "testbed/__main__.py").is_file()


def test_parity_help_without_environment(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setattr(environment, "VENV", tmp_path / "none")
    assert cli.main(["parity", "--help"]) == 0
    told = capsys.readouterr().out
    assert "--targets" in told
    from targets import TARGETS

    for name, item in TARGETS.items():
        assert re.search(rf"^  {name} +{re.escape(item.title)}", told, re.M)
    assert "ssh:USER@HOST" in told


def test_parity_help_needs_no_package_of_the_environment() -> None:
    """./dev runs in the machine's own Python, which has none of them."""
    done = subprocess.run(
        [sys.executable, "-E", "-S", str(ROOT / "dev"), "parity", "--help"],
        capture_output=True, text=True, check=False, cwd=ROOT,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "--targets" in done.stdout


def test_a_list_that_is_not_read_to_its_end_is_no_error() -> None:
    command = f"{sys.executable} compat-tests/parity.py --list | head -1"
    done = subprocess.run(
        command, shell=True, capture_output=True, text=True, check=False, cwd=ROOT
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_unknown_command_is_wrong_usage() -> None:
    done = dev("frobnicate")
    assert done.returncode == 2
    assert "frobnicate" in done.stderr


def test_unknown_step_is_named() -> None:
    with pytest.raises(DevError, match="no step 'nonsense'"):
        steps.run_all(Recorder(), steps.Options(), ["nonsense"])


def test_foreign_machine_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "system", lambda: "FreeBSD")
    with pytest.raises(DevError, match="this is FreeBSD"):
        environment.check_machine()


# Fuzzing


def test_costs_are_read_from_what_the_test_of_counts_prints() -> None:
    said = "[ RUN ]\ncost: MAP_GRANT_REF of 16: 0 1 2 98\ncost: gntalloc's mmap of 1: 0 1 1 42\n"
    (first, second) = costs.read(said)
    assert (first.name, first.count, first.hypercalls, first.blocks) == ("MAP_GRANT_REF", 16, 0, 98)
    assert (second.allocations, second.locks) == (1, 1)
    lines = costs.table([first, second, first]).splitlines()
    assert [line.split()[-1] for line in lines] == ["blocks", "98", "42"]
    assert costs.read("[ PASSED ]\n") == []


def test_counts_of_a_fuzzer() -> None:
    log = "#8\tNEW    cov: 5 ft: 6 corp: 1/2b\n#20\tREDUCE cov: 7 ft: 8 corp: 3/9b lim: 4\n"
    assert fuzz.last_counts(log) == {"execs": 20, "cov": 7, "corpus": 3}
    assert fuzz.last_counts(log + "stat::number_of_executed_units: 31\n")["execs"] == 31


def test_a_corpus_becomes_a_file_for_each_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "ioctl.txt").write_text("# a comment\nopen 00ff\nclose 0a\n")
    monkeypatch.setattr(fuzz, "CORPUS", tmp_path)
    monkeypatch.setattr(fuzz, "FUZZ", tmp_path / "build")
    (tmp_path / "build/corpus/ioctl").mkdir(parents=True)
    (tmp_path / "build/corpus/ioctl/stale").touch()
    files = {p.name: p.read_bytes() for p in fuzz.corpus("ioctl").iterdir()}
    assert files == {"open": b"\0\xff", "close": b"\n"}
    with pytest.raises(DevError, match="no corpus for 'copy'"):
        fuzz.corpus("copy")


def fake_fuzzer(tmp_path: Path, script: str) -> fuzz.Run:
    crashes = tmp_path / "crashes"
    crashes.mkdir()
    return fuzz.Run("ioctl", "search", ["sh", "-c", script], tmp_path / "log", crashes, 60.0)


def test_crash_of_a_fuzzer_is_reported(tmp_path: Path) -> None:
    broken = "echo 'fuzz: a.c:1: not so: x'; echo x >crashes/ioctl-crash-1; exit 77"
    run = fake_fuzzer(tmp_path, f"cd {tmp_path}; {broken}")
    fuzz.run_all(Recorder(), [run], 1)
    assert run.status == 77
    report = "\n".join(run.report())
    assert "not so: x" in report
    assert "fuzz_ioctl" in report.splitlines()[-1] and "ioctl-crash-1" in report.splitlines()[-1]


def test_fuzzer_that_hangs_is_stopped(tmp_path: Path) -> None:
    run = fake_fuzzer(tmp_path, "sleep 100")
    run.limit = 0.1
    fuzz.run_all(Recorder(), [run], 1)
    assert run.status not in (0, None)


def test_unknown_fuzz_target_is_named() -> None:
    with pytest.raises(DevError, match="no fuzz target 'nonsense'"):
        fuzz.fuzz(Recorder(), ["nonsense"], 1, 1)


# Coverage


def lines(*branches: tuple[int, list[int]]) -> dict[str, object]:
    made = [
        {"line_number": n, "branches": [{"count": c} for c in counts]} for n, counts in branches
    ]
    return {"files": [{"file": "kernel/a.c", "lines": made}]}


SOURCE = {"kernel/a.c": ["if (x)", "KASSERT(y,", "while (z)"]}


def test_branches_are_counted_and_missed_ones_named() -> None:
    rows, missed = coverage.analyse(lines((1, [3, 0]), (2, [1, 0]), (3, [1, 1])), SOURCE)
    assert rows == [coverage.Row("kernel/a.c", 4, 3)]
    assert missed == [coverage.Missed("kernel/a.c", 1, "if (x)", 1, 2)]


def test_two_objects_of_one_line_add_up() -> None:
    rows, missed = coverage.analyse(lines((1, [3, 0]), (1, [0, 2])), SOURCE)
    assert (rows[0].taken, missed) == (2, [])


def test_new_gap_fails_and_a_listed_one_does_not() -> None:
    rows = [coverage.Row("kernel/a.c", 100, 98)]
    gap = coverage.Missed("kernel/a.c", 1, "if (x)", 1, 2)
    listed = coverage.exclusions("# why\nkernel/a.c | if (x) | cannot happen\n")
    assert coverage.judge(rows, [gap], listed) == []
    assert len(coverage.judge(rows, [gap], [])) == 1
    # Each entry of the list excuses one line of the source.
    assert len(coverage.judge(rows, [gap, gap], listed)) == 1


def test_too_little_coverage_fails_whatever_is_listed() -> None:
    wrong = coverage.judge([coverage.Row("kernel/a.c", 100, 94)], [], [])
    assert wrong == ["94.0 % of the branches are taken, less than 95 %"]


def test_exclusion_without_a_reason_is_refused() -> None:
    with pytest.raises(DevError, match="reason"):
        coverage.exclusions("kernel/a.c | if (x)\n")


# Counting


def test_junit_counts(tmp_path: Path) -> None:
    report = tmp_path / "r.xml"
    report.write_text(
        "<testsuites><testsuite><testcase name='a'/><testcase name='b'><failure/></testcase>"
        "<testcase name='c'><error/></testcase><testcase name='d'><skipped/></testcase>"
        "</testsuite></testsuites>"
    )
    tally = steps.junit(report)
    assert (tally.passed, tally.failed, tally.skipped) == (1, 2, 1)


def test_parity_cells_count() -> None:
    cells = {
        "linux-pvh": {"status": "pass", "differences": []},
        "linux-pv": {"status": "diff", "differences": ["K7"]},
        "freebsd-base": {"status": "crash", "differences": ["E6"]},
        "harness": {"status": "crash", "differences": []},
        "freebsd": {"status": "skip", "differences": []},
    }
    tally = steps.count_parity({"schema": 2, "cases": [{"id": "map-one", "results": cells}]})
    assert (tally.passed, tally.failed, tally.skipped) == (3, 1, 1)
    assert tally.failures == ["map-one on harness: crash"]


def test_unknown_parity_status_is_a_failure() -> None:
    cells = {
        "harness": {"status": "splendid", "differences": ["K1"]},
        "linux-pv": {"status": "diff", "differences": []},
    }
    tally = steps.count_parity({"cases": [{"id": "x", "results": cells}]})
    assert (tally.passed, tally.failed) == (0, 2)


def run_steps(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *tallies: steps.Tally
) -> tuple[int, str]:
    made = tuple(
        steps.Step(f"s{i}", "", lambda c, o, t=t: t)  # type: ignore[misc]
        for i, t in enumerate(tallies)
    )
    monkeypatch.setattr(steps, "STEPS", made)
    status = steps.run_all(Recorder(), steps.Options(), [])
    return status, capsys.readouterr().out


def test_last_line_sums_all_steps(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    status, out = run_steps(monkeypatch, capsys, steps.Tally(2, 0), steps.Tally(3, 0, 4))
    assert status == 0
    assert out.splitlines()[-1] == "5 passed, 0 failed, 4 skipped"


def test_a_long_step_runs_only_by_its_name(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def named(console: Console, options: steps.Options) -> steps.Tally:
        return steps.Tally(7)

    monkeypatch.setattr(steps, "STEPS", (steps.Step("long", "", named, named=True),))
    steps.run_all(Recorder(), steps.Options(), [])
    assert capsys.readouterr().out.splitlines()[-1] == "0 passed, 0 failed"
    steps.run_all(Recorder(), steps.Options(), ["long"])
    assert capsys.readouterr().out.splitlines()[-1] == "7 passed, 0 failed"


def test_one_failure_fails_all(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    bad = steps.Tally(1, 1, failures=["that one"])
    status, out = run_steps(monkeypatch, capsys, steps.Tally(7), bad)
    assert status == 1
    assert out.splitlines()[-1] == "8 passed, 1 failed"
    assert "that one" in out


def test_pytest_that_collects_nothing_is_a_failure(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(steps, "RESULTS", tmp_path)
    tally = steps.pytest(Recorder(status=5), "nothing", [])
    assert (tally.passed, tally.failed) == (0, 1)


def test_parity_without_report_is_a_failure(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(steps, "RESULTS", tmp_path)
    monkeypatch.setattr(suite, "run", lambda args: 0)
    assert steps.parity(Recorder(), steps.Options()).failed == 1


def test_parity_status_is_believed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """All cells are green, but the suite's exit status says otherwise."""
    monkeypatch.setattr(steps, "RESULTS", tmp_path)

    def fake(args: Sequence[str]) -> int:
        target = Path(args[args.index("--json") + 1])
        cells = {"harness": {"status": "pass"}}
        target.write_text(json.dumps({"cases": [{"id": "x", "results": cells}]}))
        return 1

    monkeypatch.setattr(suite, "run", fake)
    tally = steps.parity(Recorder(), steps.Options(quick=True))
    assert (tally.passed, tally.failed) == (1, 1)


# Stamps, formats


def test_stamp_follows_content(tmp_path: Path) -> None:
    mark = tmp_path / "deep/stamp"
    key = stamp.digest("a", "b")
    assert not stamp.fresh(mark, key)
    stamp.write(mark, key)
    assert stamp.fresh(mark, key)
    assert not stamp.fresh(mark, stamp.digest("ab"))


def test_licence_line(tmp_path: Path) -> None:
    good, shebang, bad = (tmp_path / n for n in ("a.c", "b.py", "c.h"))
    good.write_text(f"/* {lint.SPDX} */\n")
    shebang.write_text(f"#!/bin/sh\n# {lint.SPDX}\n")
    bad.write_text(f"int x;\n/* {lint.SPDX} */\n")
    assert lint.missing_spdx([good, shebang, bad]) == [bad]


def test_a_document_names_files_that_exist(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "`devtools/lint.py`, `kernel/*.c`, tests/fuzz/, `docs/results/DATE/x` and x/docs/y\n"
    )
    assert lint.absent_files([page]) == []
    page.write_text("`kernel/include/xen/gntdev.h`, `tests/compat/test_gone.py`\n")
    assert lint.absent_files([page]) == [
        f"{page}: names what is not here: tests/compat/test_gone.py"
    ]


def test_a_document_that_is_not_here_is_not_cited(tmp_path: Path) -> None:
    path = tmp_path / "file.c"
    path.write_text("/* row M3 */\n/* the reference column, REFERENCE = 1 */\n")
    assert lint.absent_documents([path]) == []
    for words in ("ABSENT 2.7", "ABSENT P14", "DESIGN" + " 3"):
        path.write_text(f"int x;\n/* as {words} says */\n".replace("ABSENT", "REFERENCE"))
        (line,) = lint.absent_documents([path])
        assert line.startswith(f"{path}:2: cites what is not here: ")


def test_commits_are_judged() -> None:
    good = "1a\nkernel: count pages once\n\nThey were counted twice.\n\0\n"
    assert lint.wrong_commits(good) == []
    both = "2b\ncases, docs: say so\n\nWhy.\n\0\n"
    assert lint.wrong_commits(good + both) == []
    bad = [
        ("3c\nkernel: " + "x" * 70 + "\nWhy.\n\0", "3c: subject of 78 characters"),
        ("4d\nCount pages once\nWhy.\n\0", "4d: subject without an area"),
        ("5e\nkernel: count pages once\n\n\0", "5e: no body"),
    ]
    for text, told in bad:
        (line,) = lint.wrong_commits(good + text)
        assert line.startswith(told)


def judged(before: str, after: str) -> str:
    return keep_author(before, keep_defines(before, after))


def test_format_keeps_tabs_and_defines() -> None:
    before = "#define\tA\t\t1\nint\ta;\nif(x)\n"
    assert judged(before, "#define A 1\nint a;\nif (x)\n") == "#define\tA\t\t1\nint\ta;\nif (x)\n"


def test_format_leaves_breaks_inside_a_statement() -> None:
    before = "\treturn (call(first,\n\t    second));\n"
    assert judged(before, "\treturn (call(first, second));\n") == before


def test_format_mends_indents_of_statements() -> None:
    right = "\tif (x)\n\t\treturn (1);\n\treturn (2);\n"
    wrong = right.replace("\t\treturn", "\t    return")
    assert judged(wrong, right) == right


def test_format_reads_on_after_a_line_that_begins_with_a_star() -> None:
    start = "\tif (f(a) ||\n\t    *s == '\\0')\n\t\treturn (-1);\n"
    right = start + "\terrno = 0;\n"
    wrong = start + "\t  errno = 0;\n"
    assert judged(wrong, right) == right


def test_format_mends_long_lines() -> None:
    arguments = ", ".join(["argument"] * 9)
    before = f"\tcall({arguments});\n"
    after = before.replace(", arg", ",\n\t    arg", 1)
    assert judged(before, after) == after


# FreeBSD


@pytest.mark.parametrize("major", sorted(RELEASES))
def test_headers_and_sysroot(major: int) -> None:
    headers = freebsd_headers.headers_dir() / str(major)
    assert (headers / "generic-freebsd/sys/tree.h").is_file()
    assert (headers / "x86_64-freebsd-none/machine/pmap.h").is_file()
    root = freebsd_headers.sysroot_dir(RELEASES[major])
    assert (root / "usr/lib/libpthread.so").resolve().name == "libthr.so.3"
    assert (root / "usr/include/machine/endian.h").is_file()


@pytest.mark.parametrize("major", sorted(RELEASES))
@pytest.mark.parametrize("pie", [["-fno-pie"], ["-fPIE", "-pie"]], ids=["plain", "pie"])
def test_sysroot_links_programs(tmp_path: Path, major: int, pie: list[str]) -> None:
    clang = environment.require_clang()
    source = tmp_path / "a.c"
    source.write_text(
        "#include <pthread.h>\n#include <stdio.h>\nstatic pthread_mutex_t m;\n"
        'int main(void) { return pthread_mutex_lock(&m) + puts(""); }\n'
    )
    release = RELEASES[major]
    done = subprocess.run(
        [clang.tool("clang"), f"--target={release.triple}", *pie, "-Wall", "-Werror",
         f"--sysroot={freebsd_headers.sysroot_dir(release)}", f"--ld-path={clang.tool('ld.lld')}",
         "-Wl,--fatal-warnings", "-o", str(tmp_path / "a"), str(source), "-lpthread"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
