# SPDX-License-Identifier: BSD-2-Clause
"""What covers each row of docs/abi.md: cases, a documented difference, or a reason for none."""

from __future__ import annotations

import inspect
import re
from collections.abc import Sequence
from dataclasses import dataclass
from types import FunctionType

import differences

from .framework import Case
from .untestable import CAUSES, COVERED, SECTIONS, UNTESTABLE

_K = re.compile(r"\bK\d+\b")


@dataclass(frozen=True)
class Account:
    row: str
    cases: tuple[str, ...]
    # Why there is no case, or where to look instead.
    reason: str = ""

    @property
    def open(self) -> bool:
        return not self.cases and not self.reason


def shown(case: Case) -> set[str]:
    """The differences that a case names, and those whose files name the case."""
    return {*_K.findall(_text(case.run, set())), *differences.shown_by(case.id)}


def _text(thing: object, seen: set[int]) -> str:
    """Source of a function, of the cases' functions that it calls, and of constants it names."""
    if id(thing) in seen:
        return ""
    seen.add(id(thing))
    if not isinstance(thing, FunctionType):
        return repr(thing) if isinstance(thing, (str, dict, tuple, frozenset)) else ""
    if not thing.__module__.startswith("cases."):
        return ""
    named = [thing.__globals__.get(name) for name in thing.__code__.co_names]
    named += [cell.cell_contents for cell in thing.__closure__ or ()]
    return "\n".join((inspect.getsource(thing), *(_text(item, seen) for item in named)))


def account(every: Sequence[Case]) -> list[Account]:
    """All rows in order: lettered ones, sections, causes of 2.15, documented differences."""
    accounts = []
    names = [f"{letter}{n}" for letter, numbers in COVERED.items() for n in numbers]
    for row in (*names, *SECTIONS):
        cases = tuple(case.id for case in every if row in case.rows)
        accounts.append(Account(row, cases, UNTESTABLE.get(row, "")))
    accounts += [Account(cause, (), reason) for cause, reason in CAUSES.items()]
    spoken = {case.id: shown(case) for case in every}
    for known in differences.rows().values():
        if known.what:
            cases = tuple(name for name, ks in spoken.items() if known.id in ks)
            accounts.append(Account(f"{known.id} ({known.what})", cases, known.seen))
    return accounts


# A row's line in docs/abi.md; with_cases() fills in its last column.
_LINE = re.compile(r'^(\| <a id="([A-Z0-9.]+)"></a>.*\|)[^|]*\|$', re.M)


def documented(text: str) -> list[str]:
    """The rows that docs/abi.md has, in its order."""
    return [match[2] for match in _LINE.finditer(text)]


def with_cases(text: str, every: Sequence[Case]) -> str:
    """docs/abi.md with the cases of each row in its last column, or the reason for none."""

    def line(match: re.Match[str]) -> str:
        cases = ", ".join(f"`{case.id}`" for case in every if match[2] in case.rows)
        reason = UNTESTABLE.get(match[2], "")
        return f"{match[1]} {cases or (f'none: {reason}' if reason else 'none')} |"

    return _LINE.sub(line, text)
