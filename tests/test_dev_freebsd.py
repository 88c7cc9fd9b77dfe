# SPDX-License-Identifier: BSD-2-Clause
"""What ./dev does on FreeBSD, as far as another system can tell."""

from __future__ import annotations

import platform
import re
import subprocess
import sys
from pathlib import Path

import pytest

from devtools import cli, freebsd_host, freebsd_versions, steps
from devtools.console import DevError
from devtools.freebsd_versions import ALL, NEWEST, VERSIONS, WITH_HEADERS, Release
from devtools.paths import ROOT


def test_only_parity_runs_there(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(platform, "system", lambda: "FreeBSD")
    assert cli.main(["test"]) == 1
    assert "parity only, not test; see docs/freebsd-host.md" in capsys.readouterr().err


def test_what_is_missing_is_named_at_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(freebsd_host, "XEN_HEADERS", tmp_path)
    with pytest.raises(DevError, match=r"pkg install meson ninja .*xen-tools"):
        freebsd_host.check()


def test_it_builds_and_runs_the_local_column(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(freebsd_host, "NATIVE", tmp_path / "native")
    python = tmp_path / "python3"
    first = freebsd_host.commands(python, ["--cases", "copy.*"])
    assert [str(argv[0]) for argv in first][2:] == ["meson", "ninja", str(python)]
    assert first[-1][-4:] == ["--targets", "local", "--cases", "copy.*"]
    python.touch()
    (tmp_path / "native").mkdir()
    (tmp_path / "native/build.ninja").touch()
    again = freebsd_host.commands(python, ["--targets", "local"])
    assert [str(argv[0]) for argv in again] == ["ninja", str(python)]
    assert again[-1].count("--targets") == 1


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
    text = (ROOT / "tests/host/kpi/include/sys/param.h").read_text("utf-8")
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
