# SPDX-License-Identifier: BSD-2-Clause
"""The list of cases: complete, documented, named after rows that exist."""

from __future__ import annotations

import fnmatch
import re
import sys
from itertools import pairwise
from pathlib import Path

import cases
import differences
import pytest
from cases.framework import Case, Context, case, section
from cases.rows import account, documented, with_cases
from cases.untestable import COVERED, SECTIONS, UNTESTABLE
from parity import print_rows, select

ALL = cases.load()
ROW = re.compile(r"([A-Z])(\d+)")


def test_there_are_enough() -> None:
    assert len(ALL) >= 100


@pytest.mark.parametrize("letter", COVERED)
def test_every_row_has_a_case_or_a_reason(letter: str) -> None:
    rows = {row for item in ALL for row in item.rows}
    wanted = {f"{letter}{n}" for n in COVERED[letter]}
    assert wanted - rows - UNTESTABLE.keys() == set()
    assert wanted & rows & UNTESTABLE.keys() == set(), "a case for a row said to be untestable"


def test_rows_exist() -> None:
    for item in ALL:
        for row in item.rows:
            match = ROW.fullmatch(row)
            if match is None:
                assert re.fullmatch(r"\d(\.\d+)?", row), f"{item.id}: {row}"
            else:
                known = COVERED.get(match[1], ())
                assert int(match[2]) in known, f"{item.id}: {row}"


def test_every_section_and_difference_is_accounted_for() -> None:
    assert [item.row for item in account(ALL) if item.open] == []


def test_a_row_without_anything_is_open(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("cases.rows.SECTIONS", ("9.9",))
    assert [item.row for item in account(ALL) if item.open] == ["9.9"]
    assert not print_rows(ALL)
    assert "open: 9.9" in capsys.readouterr().out


def test_rows_are_listed_with_cases_and_reasons(capsys: pytest.CaptureFixture[str]) -> None:
    assert print_rows(ALL)
    lines = capsys.readouterr().out.splitlines()
    assert any(line.startswith("M2    map.count-zero") for line in lines)
    assert any(line.startswith("B13   a Linux bug") for line in lines)
    assert any(line.startswith("K15 (") and "notify.port-of-a-virq" in line for line in lines)


ABI = Path(__file__).resolve().parents[2] / "docs/abi.md"
# "row M3", "rows O8, O9, B12", "Rows C4 to C13": what code and documents cite.
CITED = re.compile(r"\b[Rr]ows? ((?:[A-Z]\d+\b(?:, | and | or | to |-)?)+)")


def test_each_rule_of_the_abi_stands_there_once_and_is_tested() -> None:
    text = ABI.read_text("utf-8")
    found = documented(text)
    assert len(found) == len(set(found))
    wanted = {f"{letter}{n}" for letter, numbers in COVERED.items() for n in numbers}
    # Rows about a system's memory management may lack cases.
    waiting = {row for row in found if row[0] == "W" and "W" not in COVERED}
    assert set(found) == wanted | set(SECTIONS) | waiting
    # ./dev parity --rows --write
    assert with_cases(text, ALL) == text, "docs/abi.md: its cases are not those there are"
    assert "`map.count-zero`" in text


def test_what_is_cited_is_in_the_abi() -> None:
    root = ABI.parents[1]
    known = {*documented(ABI.read_text("utf-8")), *differences.rows()}
    wrong = []
    for top in ("kernel", "libxengnttab-freebsd", "pybind", "compat-tests", "tests", "docs"):
        for path in (root / top).rglob("*"):
            if path.suffix not in (".c", ".h", ".py", ".md", ".4", ".7") or path == ABI:
                continue
            for match in CITED.finditer(path.read_text("utf-8")):
                cited = re.findall(r"[A-Z]\d+", match[1])
                wrong += [f"{path.relative_to(root)}: {row}" for row in cited if row not in known]
    assert wrong == []


def test_each_difference_has_its_place_in_the_document() -> None:
    text = (ABI.parent / "differences.md").read_text("utf-8")
    anchors = re.findall(r'<a id="([A-Z]\d+)"></a>\1\b', text)
    assert sorted(anchors) == sorted(differences.rows())
    # ./dev parity --rows --write
    assert text == differences.page()
    # A letter has one meaning: differences do not use letters of the ABI's rows.
    letters = {row[0] for row in documented(ABI.read_text("utf-8"))}
    assert not {row[0] for row in differences.rows()} & letters


def test_another_system_adds_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for path in differences.HERE.glob("*"):
        if path.is_file():
            (tmp_path / path.name).write_bytes(path.read_bytes())
    (tmp_path / "netbsd.toml").write_text(
        'like = "freebsd"\nwithout = "K2"\n[[section]]\ntitle = "On NetBSD"\nplace = 15\n'
        '[[section.row]]\nid = "Q1"\nwhat = "poll"\nlinux = "ready"\nhere = "EINVAL"\nwhy = "no"\n'
        'cases = "file.gntdev-poll"\nsays = ["no poll"]\n',
        "utf-8",
    )
    monkeypatch.setattr(differences, "HERE", tmp_path)
    differences.of.cache_clear()
    try:
        known = differences.of("netbsd")
        assert known.in_force == differences.of("freebsd").in_force - {"K2"} | {"Q1"}
        assert '| <a id="Q1"></a>Q1 | poll | ready | EINVAL | no |' in differences.page()
        assert differences.shown_by("file.gntdev-poll") == {"Q1"}
        assert known.explained("file.gntdev-poll", "", True, False) == ("Q1",)
        assert known.explained("file.gntdev-read", "", True, False) == ()
        assert known.explained("file.gntdev-read", "log: no poll", False, True) == ("Q1",)
    finally:
        differences.of.cache_clear()
    assert differences.of("nowhere").in_force == frozenset()


def test_a_rule_that_is_not_there_is_noticed() -> None:
    cited = CITED.findall("(rows " + "O8, O9 and B99)")
    assert re.findall(r"[A-Z]\d+", cited[0]) == ["O8", "O9", "B99"]
    line = '| <a id="M2"></a>M2 | count is 0 | EINVAL | `gone.case` |'
    assert "`map.count-zero`" in with_cases(line, ALL)
    assert "gone.case" not in with_cases(line, ALL)
    assert documented(line) == ["M2"]


def _sources() -> str:
    here = Path(__file__).resolve().parent.parent
    files = [path for ext in ("c", "h", "py") for path in here.rglob(f"*.{ext}")]
    return "\n".join(path.read_text("utf-8") for path in files)


@pytest.mark.parametrize("page", ["regressions.md", "security.md", "upstream/freebsd-gntdev.md"])
def test_documents_name_tests_that_exist(page: str) -> None:
    text = (Path(__file__).resolve().parents[2] / "docs" / page).read_text("utf-8")
    words = set(re.findall(r"`([a-z0-9_.*-]+)`", text))
    ids = [item.id for item in ALL]
    groups = {name.split(".")[0] for name in ids}
    sources = _sources()
    missing = []
    for word in sorted(words):
        if re.match(r"(test|fuzz|run)_", word):
            if re.search(rf"\b{word}\b", sources) is None and not list(
                (Path(__file__).resolve().parent.parent).rglob(f"{word}.*")
            ):
                missing.append(word)
        elif "/" in word or ("*" not in word and word.split(".")[0] not in groups):
            continue
        elif "." in word and not fnmatch.filter(ids, word):
            missing.append(word)
    assert missing == []
    assert len(words) > 10


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
    assert all(re.fullmatch(r"[A-Z]\d+", row) for row in differences.rows())


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


def test_a_module_is_found_by_being_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "found_here.py").write_text("SEEN = True\n", "utf-8")
    monkeypatch.setattr(cases, "__path__", [*cases.__path__, str(tmp_path)])
    assert len(cases.load()) == len(ALL)
    assert sys.modules.pop("cases.found_here").SEEN
    assert not list(Path(cases.__file__).parent.glob("s[0-9]*.py"))


def test_sections_stand_in_their_order() -> None:
    sections = list(dict.fromkeys(item.section for item in ALL))
    # All cases of a section are together, and those about the whole boot come last.
    assert len(sections) == 1 + sum(a.section != b.section for a, b in pairwise(ALL))
    assert sections[0].startswith("Open, close")
    assert next(item.id for item in ALL if item.section == sections[-1]).startswith("system.")
    with pytest.raises(ValueError, match="two sections"):
        section(sections[0], 7)


def _ids(chosen: list[Case]) -> list[str]:
    return [item.id for item in chosen]


def test_selection() -> None:
    assert select(ALL, []) == ALL
    assert _ids(select(ALL, ["mmap.twice"])) == ["mmap.twice"]
    assert _ids(select(ALL, ["U7"])) == [item.id for item in ALL if "U7" in item.rows]
    assert all(name.startswith("map.") for name in _ids(select(ALL, ["map.*"])))
    assert "unmap.twice" in _ids(select(ALL, ["twice"]))
    # A documented difference selects the cases that show it, through any function they call.
    assert _ids(select(ALL, ["K3"])) == ["mmap.offset-unaligned", "share.offset-unaligned"]
    assert "map.count-over-limit" in _ids(select(ALL, ["E4"]))
    assert "share.rdonly-read" in _ids(select(ALL, ["K26"]))
    both = _ids(select(ALL, ["mmap.twice,unmap.twice"]))
    assert both == ["mmap.twice", "unmap.twice"]
    with pytest.raises(ValueError, match="nothing-like-it"):
        select(ALL, ["nothing-like-it"])
