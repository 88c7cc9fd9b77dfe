# SPDX-License-Identifier: BSD-2-Clause
"""The package is a thin layer: it adds only microseconds to a call of the library."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.python.binding import ENDS, compare, text

# Ten times what a quiet machine takes; an accidental copy or loop costs more.
MOST_NS = 20_000


def test_cost_of_a_call(build: Path) -> None:
    if not (build / "tests/harness/libxengnt-harness.so").exists():
        pytest.skip("the harness is not built")
    figures = compare(build, rounds=2)
    print(text(figures))
    assert set(figures) >= {"set_max_grants", "copy_nothing", "copy_4096", "share_1", "share_16"}
    assert all(set(ways) == set(ENDS) for ways in figures.values())
    for name in ("set_max_grants", "copy_nothing"):
        assert figures[name]["python"] - figures[name]["library"] < MOST_NS, name
