# SPDX-License-Identifier: BSD-2-Clause
"""./dev on FreeBSD, as far as another system can test it."""

from __future__ import annotations

import os
import platform
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from devtools import cli, freebsd_headers, freebsd_host, freebsd_versions, steps
from devtools.console import DevError
from devtools.freebsd_versions import ALL, NEWEST, RELEASES, VERSIONS, WITH_HEADERS, Release
from devtools.paths import ROOT
from tests import freebsd_suite


def test_only_parity_runs_there(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(platform, "system", lambda: "FreeBSD")
    assert cli.main(["test"]) == 1
    assert "parity only, not test; see docs/freebsd-host.md" in capsys.readouterr().err


def test_what_is_missing_is_named_at_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(freebsd_host, "XEN_HEADERS", tmp_path)
    with pytest.raises(DevError, match=r"cc \(.*xenctrl\.h \(pkg install xen-tools\).*--build DIR"):
        freebsd_host.run("parity", [])


class Calls(list[list[str]]):
    def __call__(self, argv: Sequence[str | Path], **_: object) -> int:
        self.append([str(word) for word in argv])
        return 0


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Calls:
    """A system with cc and Xen's headers; records what would be run there."""
    found = Calls()
    monkeypatch.setattr(subprocess, "call", found)
    monkeypatch.setattr(freebsd_host, "NATIVE", tmp_path / "native")
    monkeypatch.setattr(freebsd_host, "XEN_HEADERS", tmp_path)
    (tmp_path / "xenctrl.h").touch()
    return found


def test_it_compiles_and_runs_the_local_column(calls: Calls, tmp_path: Path) -> None:
    assert freebsd_host.run("parity", ["--cases", "copy.*"]) == 0
    *built, suite = calls
    assert [argv[0] for argv in built] == ["cc"] * 3
    where = tmp_path / "native/compat-tests/agent"
    assert {argv[-1] for argv in built} == {
        f"{where}/xengnt-{name}" for name in ("agent", "agent-lib", "peer")
    }
    assert where.is_dir()
    assert suite[2:] == [
        "--cases", "copy.*", "--build", str(tmp_path / "native"), "--targets", "local",
    ]  # fmt: skip


def test_programs_may_have_been_built_elsewhere(calls: Calls, tmp_path: Path) -> None:
    for options in (["--build", "dir"], ["--build=dir"]):
        calls.clear()
        (tmp_path / "xenctrl.h").unlink(missing_ok=True)
        assert freebsd_host.run("parity", ["--targets", "local", *options]) == 0
        assert [argv[2:] for argv in calls] == [["--targets", "local", *options]]


def test_packages_the_system_lacks_are_installed(
    calls: Calls, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(freebsd_host, "VENV", tmp_path / "venv")
    assert freebsd_host.python() == Path(sys.executable)
    monkeypatch.setitem(freebsd_host.PACKAGES, "no_such_module", "no-such-package")
    assert freebsd_host.run("parity", ["--list"]) == 0
    venv, pip, suite = calls
    assert venv[1:] == ["-m", "venv", str(tmp_path / "venv")]
    assert pip[:4] == [f"{tmp_path}/venv/bin/python3", "-m", "pip", "install"]
    assert "no-such-package" in pip and suite[0] == pip[0]


@pytest.mark.parametrize("major", RELEASES)
def test_each_command_compiles(major: int, tmp_path: Path) -> None:
    """With this machine's compiler for FreeBSD; on FreeBSD it is called cc."""
    if not freebsd_headers.sysroot_dir(RELEASES[major]).exists():
        pytest.skip("there is no compiler for FreeBSD: ./dev build --all")
    for program in freebsd_suite.compiled(RELEASES[major], tmp_path / "build"):
        assert b"FreeBSD" in program.read_bytes()


def test_the_suite_needs_no_other_package(tmp_path: Path) -> None:
    """From the command line to the page, with a Python that has only those packages."""
    for path in freebsd_suite.packages():
        (tmp_path / path.name).symlink_to(path)
    done = subprocess.run(
        [sys.executable, "-S", ROOT / "compat-tests/parity.py", "--targets", "local", "--build",
         tmp_path, "--report", tmp_path / "report", "--cases", "copy.count-zero"],
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(tmp_path)},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 1 and "Traceback" not in done.stdout + done.stderr, done.stderr
    assert "xengnt-agent is not built" in done.stdout
    assert (tmp_path / "report/index.html").is_file()


def test_versions_are_named_as_the_table_has_them() -> None:
    readme = (ROOT / "README.md").read_text("utf-8")
    assert f"compiles for FreeBSD {ALL} without a warning" in " ".join(readme.split())
    assert f"headers of FreeBSD {WITH_HEADERS}" in " ".join(readme.split())
    architecture = (ROOT / "docs/architecture.md").read_text("utf-8")
    assert f"installed headers of FreeBSD {WITH_HEADERS}" in " ".join(architecture.split())
    about = {step.name: step.about for step in steps.STEPS}
    assert WITH_HEADERS in about["typecheck"] and WITH_HEADERS in about["cross"]
    numbers = [release.version for release in VERSIONS]
    assert numbers == sorted(numbers) and len({release.major for release in VERSIONS}) == len(
        numbers
    )


def test_the_harness_is_of_the_newest_version() -> None:
    text = (ROOT / "tests/harness/kpi/include/sys/param.h").read_text("utf-8")
    found = re.search(r"__FreeBSD_version\s+(\d+)", text)
    assert found is not None and int(found[1]) // 100000 == NEWEST.major
    said = subprocess.run(
        [sys.executable, freebsd_versions.__file__], capture_output=True, text=True, check=True
    )
    assert said.stdout.strip() == str(NEWEST.major)


def test_another_version_is_one_line() -> None:
    current = Release("16", 1600012)
    assert (current.major, current.number) == (16, "16.0")
    assert current.triple == "x86_64-unknown-freebsd16.0"
    names = [release.name for release in (*VERSIONS, current)]
    assert freebsd_versions.spoken(names) == f"{ALL.replace(' and ', ', ')} and 16"
    assert freebsd_versions.spoken(["15"]) == "15"
