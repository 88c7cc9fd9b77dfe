# SPDX-License-Identifier: BSD-2-Clause
"""What the command prints: JSON for programs, tables and progress for people."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable, Sequence
from typing import Any


def report(args: argparse.Namespace, human: str, **fields: Any) -> None:
    """Says at once what was done: a reader at the other end of a pipe waits for it."""
    print(json.dumps(fields) if args.json else human, flush=True)


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Columns under a heading; numbers to the right."""
    lines = [list(head), *([cell(value) for value in row] for row in rows)]
    right = [
        all(line[i][:1].isdigit() or line[i] in ("", "-") for line in lines[1:])
        for i in range(len(head))
    ]
    widths = [max(len(line[i]) for line in lines) for i in range(len(head))]
    return "\n".join(
        "  ".join(
            text.rjust(width) if to_right else text.ljust(width)
            for text, width, to_right in zip(line, widths, right, strict=True)
        ).rstrip()
        for line in lines
    )


def cell(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if value is None:
        return "-"
    return f"{value:.1f}" if isinstance(value, float) else str(value)


class Progress:
    """One line on a terminal that is rewritten, and nothing anywhere else."""

    def __init__(self) -> None:
        self.on = sys.stderr is not None and sys.stderr.isatty()

    def say(self, text: str) -> None:
        if self.on:
            print(f"\r\x1b[K{text}", end="", file=sys.stderr, flush=True)

    def end(self) -> None:
        self.say("")
