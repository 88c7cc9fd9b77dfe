# SPDX-License-Identifier: BSD-2-Clause
"""Fixtures of the Python tests, which need the package as installed by ./dev build."""

from __future__ import annotations

import pytest
import xengnttab._calls

from tests.python.fake_library import FakeLibrary


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "dom0: boots a Linux Dom0 on Xen in QEMU")


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> FakeLibrary:
    library = FakeLibrary()
    monkeypatch.setattr(xengnttab._calls, "lib", library)
    return library
