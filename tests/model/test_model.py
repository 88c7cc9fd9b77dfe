# SPDX-License-Identifier: BSD-2-Clause
"""The model of Linux, compared with our driver and with Linux itself."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test
from targets import TARGETS, Setting, TargetMissing

from devtools.paths import cache_dir

from .linux_model import PAGE, Linux, PeerPage
from .random_operations import GrantDevices

COMMON = settings(
    deadline=None, database=None, suppress_health_check=list(HealthCheck), print_blob=False
)


def setting(build: Path, tmp_path: Path) -> Setting:
    if not (build / "compat-tests/agent/xengnt-agent-dyn").exists():
        pytest.skip("the agent is not part of this build")
    return Setting(build, cache_dir(), tmp_path)


def test_our_driver_follows_the_model(build: Path, tmp_path: Path) -> None:
    with TARGETS["harness"].make(setting(build, tmp_path)) as target:
        GrantDevices.target = target
        run_state_machine_as_test(
            GrantDevices, settings=settings(COMMON, max_examples=120, stateful_step_count=40)
        )
    assert GrantDevices.operations > 500


@pytest.mark.dom0
def test_linux_follows_the_model(build: Path, tmp_path: Path) -> None:
    """The same sequences in every run: the model must say what Linux 6.1 and newer does."""
    if shutil.which("qemu-system-x86_64") is None:
        pytest.skip("qemu-system-x86_64 is not installed")
    try:
        with TARGETS["linux-pvh"].make(setting(build, tmp_path)) as target:
            GrantDevices.target = target
            GrantDevices.operations = 0
            fixed = settings(
                COMMON,
                derandomize=True,
                max_examples=5,
                stateful_step_count=30,
                phases=[Phase.generate],
            )
            run_state_machine_as_test(GrantDevices, settings=fixed)
    except TargetMissing as missing:
        pytest.skip(str(missing))
    assert GrantDevices.operations > 50


# The model itself, where it is easily wrong


def linux() -> Linux:
    return Linux([PeerPage(8 + n, granted=n != 3, readonly=n == 2) for n in range(4)])


def test_a_hole_must_be_larger_than_the_request() -> None:
    it = linux()
    file = it.opened(False, "rdwr", 3)
    page = it.peer[:1]
    assert [it.map(file, page * n)[1] // PAGE for n in (2, 2, 1)] == [0, 2, 4]
    assert it.unmap(file, 2 * PAGE, 0) == "ok"
    assert it.map(file, page * 2)[1] // PAGE == 5
    assert it.map(file, page)[1] // PAGE == 2


def test_a_failed_mmap_keeps_what_it_mapped() -> None:
    it = linux()
    file = it.opened(False, "rdwr", 3)
    it.map(file, [it.peer[0], it.peer[3]])
    assert it.mmap(file, 0, 2, True) == ("EINVAL", None)
    assert it.state(it.peer[0]) == "mapped rw"
    it.closed(file, 3)
    assert it.state(it.peer[0]) == "not mapped"


def test_a_mapping_keeps_the_whole_file() -> None:
    it = linux()
    file = it.opened(True, "rdwr", 3)
    it.granted(file, it.alloc(file, 2)[1], [20, 21])
    _, vma = it.mmap(file, 0, 1, True)
    assert vma is not None
    it.closed(file, 3)
    assert it.in_force(21)
    it.munmap(vma, 0, 1)
    assert not it.in_force(20) and not it.in_force(21)
