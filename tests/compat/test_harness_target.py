# SPDX-License-Identifier: BSD-2-Clause
"""The ``harness`` target end to end: agent, preload library and driver of this build."""

from __future__ import annotations

from pathlib import Path

import cases
import pytest
from cases.framework import Case, Context, Status
from targets import TARGETS, Setting, TargetMissing


def _setting(build: Path, tmp_path: Path) -> Setting:
    if not (build / "tests/harness/libxengnt-harness.so").exists():
        pytest.skip("the harness is not part of this build")
    return Setting(build, tmp_path, tmp_path)


@pytest.mark.parametrize(
    "name", ["mmap.twice", "close.munmapped-map-waits", "alloc.read-only-refuses-write"]
)
def test_a_case_passes(build: Path, tmp_path: Path, name: str) -> None:
    chosen = next(case for case in cases.load() if case.id == name)
    with TARGETS["harness"].make(_setting(build, tmp_path)) as target:
        cell = target.run(chosen)
    assert cell.status is Status.PASS, cell.log
    assert len(cell.checks) >= 1


def test_wrong_expectations_are_noticed(build: Path, tmp_path: Path) -> None:
    def wrong(t: Context) -> None:
        dev, index, address, refs = t.mapped()
        t.expect(t.peer.state(refs[0]), "not mapped", "entry while mapped")
        t.refused("ok", "second mmap", dev.mmap, 1, index)
        t.worker.munmap(address)

    case = Case("unit.wrong", ("P10",), "wrong on purpose", "unit", wrong)
    with TARGETS["harness"].make(_setting(build, tmp_path)) as target:
        cell = target.run(case)
    assert cell.status is Status.FAIL
    assert cell.lines == (
        "entry while mapped: observed mapped rw, expected not mapped",
        "second mmap: observed EINVAL, expected ok",
    )


def test_a_missing_build_is_said(tmp_path: Path) -> None:
    with pytest.raises(TargetMissing, match="xengnt-agent-dyn"):
        with TARGETS["harness"].make(Setting(tmp_path, tmp_path, tmp_path)):
            pass
