# SPDX-License-Identifier: BSD-2-Clause
"""What ./dev does on FreeBSD, as far as another system can tell."""

from __future__ import annotations

import platform
from pathlib import Path

import pytest

from devtools import cli, freebsd_host
from devtools.console import DevError


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
