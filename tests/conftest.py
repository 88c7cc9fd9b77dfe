# SPDX-License-Identifier: BSD-2-Clause
"""Options and fixtures for all tests of the tree."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import settings

from devtools.paths import NATIVE

# A busy machine makes a run slow, never red.
settings.register_profile("patient", deadline=None)
settings.load_profile("patient")

LIBRARY = "libxengnttab-freebsd/libxengnttab.so.1.2"


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("xengnt")
    group.addoption("--build", type=Path, default=NATIVE, help="meson build directory to test")
    named = "built libxengnttab to look at (repeat for more; default: that of --build)"
    group.addoption("--library", type=Path, action="append", default=[], help=named)


@pytest.fixture(scope="session")
def build(request: pytest.FixtureRequest) -> Path:
    """The meson build directory; ./dev builds it first."""
    path: Path = request.config.getoption("--build")
    if not (path / "build.ninja").exists():
        pytest.fail(f"{path} is not built: run ./dev build")
    return path


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Runs a test with the argument `library` once for each named library."""
    if "library" in metafunc.fixturenames:
        config = metafunc.config
        named = config.getoption("--library") or [config.getoption("--build") / LIBRARY]
        metafunc.parametrize("library", named, ids=[p.parent.parent.name for p in named])
