# SPDX-License-Identifier: BSD-2-Clause
"""Fixtures of the Python tests, which need the package as installed by ./dev build."""

from __future__ import annotations

import errno
import gc
from collections.abc import Iterator
from pathlib import Path

import pytest
import xengnttab._calls
import xengnttab._events
from xengnttab import DeviceMissingError

from tests.python.fake_library import FakeLibrary
from tests.python.machine import Machine


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "dom0: boots a Linux Dom0 on Xen in QEMU")


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeLibrary]:
    """The package on a fake libxengnttab, and without libxenevtchn."""
    library = FakeLibrary()
    monkeypatch.setattr(xengnttab._calls, "lib", library)

    def none() -> None:
        raise DeviceMissingError(errno.ENOENT, "load libxenevtchn.so.1")

    monkeypatch.setattr(xengnttab._events, "library", none)
    yield library
    gc.collect()
    library.end()


@pytest.fixture
def machine(build: Path, tmp_path: Path) -> Iterator[Machine]:
    preload = build / "tests/harness/libxengnt-harness.so"
    if not preload.exists():
        pytest.skip(f"{preload} is not built (needs -Dfreebsd_headers, as ./dev build gives it)")
    machine = Machine(preload, tmp_path / "machine")
    try:
        yield machine
    finally:
        machine.stop()
