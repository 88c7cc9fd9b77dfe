# SPDX-License-Identifier: BSD-2-Clause
"""The ``local`` target: its message if there is no device, and a case on it."""

from __future__ import annotations

from pathlib import Path

import cases
import pytest
from cases.framework import Status
from targets import Setting, TargetMissing
from targets.local import LocalTarget


def _nodes(tmp_path: Path, *names: str) -> Path:
    dev = tmp_path / "dev"
    dev.mkdir()
    for name in names:
        (dev / name).touch()
    return dev


def _built(tmp_path: Path) -> Setting:
    place = tmp_path / "build/compat-tests/agent"
    place.mkdir(parents=True)
    (place / "xengnt-agent").touch()
    return Setting(tmp_path / "build", tmp_path, tmp_path)


@pytest.mark.parametrize(
    ("names", "message"),
    [((), "no .*/gntalloc"), (("gntalloc",), "no .*/gntdev"), (("gntdev",), "no .*/gntalloc")],
)
def test_a_missing_node_is_named(tmp_path: Path, names: tuple[str, ...], message: str) -> None:
    target = LocalTarget(_built(tmp_path), _nodes(tmp_path, *names))
    with pytest.raises(TargetMissing, match=message):
        target.__enter__()


def test_a_missing_build_is_said(tmp_path: Path) -> None:
    target = LocalTarget(Setting(tmp_path, tmp_path, tmp_path), tmp_path)
    with pytest.raises(TargetMissing, match="xengnt-agent is not built"):
        target.__enter__()


def test_our_own_name_is_preferred(tmp_path: Path) -> None:
    dev = _nodes(tmp_path, "gntalloc", "gntdev", "xengntdev")
    assert LocalTarget(_built(tmp_path), dev)._nodes() == ["--gntdev", str(dev / "xengntdev")]


def test_it_runs_a_case(build: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On the harness's driver, whose preload library provides the nodes."""
    preload = build / "tests/harness/libxengnt-harness.so"
    agent = build / "compat-tests/agent/xengnt-agent-dyn"
    if not preload.exists() or not agent.exists():
        pytest.skip("the harness is not part of this build")
    setting = Setting(tmp_path / "build", tmp_path, tmp_path)
    place = setting.build / "compat-tests/agent/xengnt-agent"
    place.parent.mkdir(parents=True)
    place.symlink_to(agent.resolve())
    monkeypatch.setenv("LD_PRELOAD", str(preload.resolve()))
    chosen = next(case for case in cases.load() if case.id == "alloc.read-only-refuses-write")
    with LocalTarget(setting, _nodes(tmp_path, "gntalloc", "gntdev")) as target:
        monkeypatch.delenv("LD_PRELOAD")
        cell = target.run(chosen)
    assert cell.status is Status.PASS, cell.log
