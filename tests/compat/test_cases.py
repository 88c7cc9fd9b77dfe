# SPDX-License-Identifier: BSD-2-Clause
"""The list of cases: complete, documented, named after rows that exist."""

from __future__ import annotations

import re

import cases
import pytest
from cases.framework import Case, Context, case
from cases.k_rows import K_ROWS
from cases.untestable import COVERED, UNTESTABLE
from parity import select

ALL = cases.load()
ROW = re.compile(r"([A-Z])(\d+)")
LATER = {"X1", "V1", "V2", "V7", "V8", "Z4"}  # rows of later sections that a case touches on its way


def test_there_are_enough() -> None:
    assert len(ALL) >= 100


@pytest.mark.parametrize("letter", COVERED)
def test_every_row_has_a_case_or_a_reason(letter: str) -> None:
    rows = {row for item in ALL for row in item.rows}
    wanted = {f"{letter}{n}" for n in range(1, COVERED[letter] + 1)}
    assert wanted - rows - UNTESTABLE.keys() == set()
    assert wanted & rows & UNTESTABLE.keys() == set(), "a case for a row said to be untestable"


def test_rows_exist() -> None:
    for item in ALL:
        for row in item.rows:
            match = ROW.fullmatch(row)
            if match is None:
                assert re.fullmatch(r"\d(\.\d+)?", row), f"{item.id}: {row}"
            else:
                last = COVERED.get(match[1], 0)
                assert row in LATER or 1 <= int(match[2]) <= last, f"{item.id}: {row}"


def test_ids_read_well() -> None:
    ids = [item.id for item in ALL]
    assert len(set(ids)) == len(ids)
    for name in ids:
        assert re.fullmatch(r"[a-z]+(-[a-z]+)*\.[a-z0-9]+(-[a-z0-9]+)*", name), name


def test_each_says_what_a_wrong_kernel_does() -> None:
    for item in ALL:
        assert len((item.run.__doc__ or "").split()) >= 5, item.id
        assert item.section, item.id


def test_reasons_are_given() -> None:
    for row, reason in UNTESTABLE.items():
        assert ROW.fullmatch(row), row
        assert len(reason) > 20, row
    assert all(re.fullmatch(r"K\d+", k) for k in K_ROWS)


def test_a_case_without_a_row_or_words_is_refused() -> None:
    def silent(t: Context) -> None: ...

    def spoken(t: Context) -> None:
        """A wrong kernel does this."""

    with pytest.raises(ValueError, match="two cases"):
        case(ALL[0].id, ["M1"], "again")(spoken)
    with pytest.raises(ValueError, match="names no row"):
        case("unit.rowless", [], "no row")(spoken)
    with pytest.raises(ValueError, match="wrong kernel"):
        case("unit.silent", ["M1"], "no words")(silent)
    assert len(cases.load()) == len(ALL)


def _ids(chosen: list[Case]) -> list[str]:
    return [item.id for item in chosen]


def test_selection() -> None:
    assert select(ALL, []) == ALL
    assert _ids(select(ALL, ["mmap.twice"])) == ["mmap.twice"]
    assert _ids(select(ALL, ["U7"])) == [item.id for item in ALL if "U7" in item.rows]
    assert all(name.startswith("map.") for name in _ids(select(ALL, ["map.*"])))
    assert "unmap.twice" in _ids(select(ALL, ["twice"]))
    both = _ids(select(ALL, ["mmap.twice,unmap.twice"]))
    assert both == ["mmap.twice", "unmap.twice"]
    with pytest.raises(ValueError, match="nothing-like-it"):
        select(ALL, ["nothing-like-it"])
