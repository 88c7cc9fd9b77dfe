# SPDX-License-Identifier: BSD-2-Clause
"""The input of ./dev docs is complete: everything public has a docstring."""

from __future__ import annotations

import inspect
import subprocess
import sys
import typing
from collections.abc import Iterator
from pathlib import Path

import xengnttab


def public() -> Iterator[tuple[str, object]]:
    yield "xengnttab", xengnttab
    for name in xengnttab.__all__:
        thing = getattr(xengnttab, name)
        if not inspect.isclass(thing):
            continue
        yield name, thing
        for member, value in inspect.getmembers(thing):
            function = inspect.isfunction(value) or isinstance(value, property)
            if function and not member.startswith("_"):
                yield f"{name}.{member}", value


def test_everything_public_is_documented() -> None:
    named = dict(public())
    assert len(named) > 30
    # Attributes that every file object has.
    silent = {"closed"}
    bare = [
        name
        for name, thing in named.items()
        if not inspect.getdoc(thing) and name.rpartition(".")[2] not in silent
    ]
    assert bare == []


def test_annotations_can_be_resolved() -> None:
    """For tools that read them at run time: pdoc, dependency injection, typeguard."""
    seen = 0
    for name in xengnttab.__all__:
        thing = getattr(xengnttab, name)
        if not inspect.isclass(thing):
            continue
        typing.get_type_hints(thing)
        for _, member in inspect.getmembers(thing):
            function = member.fget if isinstance(member, property) else member
            if inspect.isfunction(function):
                typing.get_type_hints(function)
                seen += 1
    assert seen > 30
    hints = typing.get_type_hints(xengnttab.Segment)
    assert set(hints) == {"source", "dest", "length"}


def test_pages_are_made_without_a_warning(tmp_path: Path) -> None:
    command = [sys.executable, "-W", "error", "-m", "pdoc", "-o", str(tmp_path), "xengnttab"]
    subprocess.run(command, check=True)
    page = (tmp_path / "xengnttab.html").read_text()
    assert all(f'id="{name}"' in page for name in xengnttab.__all__)


def test_all_is_all() -> None:
    """`from xengnttab import *` gives what the pages show, in order."""
    assert sorted(xengnttab.__all__) == sorted(set(xengnttab.__all__))
    assert all(hasattr(xengnttab, name) for name in xengnttab.__all__)
    errors = {name for name in xengnttab.__all__ if name.endswith("Error")}
    assert all(issubclass(getattr(xengnttab, name), xengnttab.GrantError) for name in errors)
