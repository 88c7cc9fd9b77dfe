# SPDX-License-Identifier: BSD-2-Clause
"""Completion for shells: shtab makes it from the parser that reads the arguments."""

from __future__ import annotations

import argparse
from collections.abc import Iterator

from xengnttab._arguments import UsageError

SHELLS = ("bash", "zsh", "fish")
FILES = {"file", "output"}


def parsers(
    parser: argparse.ArgumentParser, path: str = ""
) -> Iterator[tuple[str, argparse.ArgumentParser]]:
    """A parser and those of its commands, each with the words that select it."""
    yield path, parser
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for name, below in action.choices.items():
                yield from parsers(below, f"{path} {name}")


def script(parser: argparse.ArgumentParser, shell: str) -> str:
    try:
        import shtab
    except ImportError:
        raise UsageError(
            "completion needs the Python package shtab: pip install 'xengnttab[completion]'"
        ) from None
    for _, one in parsers(parser):
        for action in one._actions:
            if action.dest in FILES:
                action.complete = shtab.FILE  # type: ignore[attr-defined]
    return str(shtab.complete(parser, shell)) + "\n"
