# SPDX-License-Identifier: BSD-2-Clause
"""What the command prints: JSON for programs, tables and progress for people.

All output of the command goes through here, for three reasons: a stream may be closed, full or
without a reader; its encoding may lack a character; and a terminal obeys control characters that
come from another domain, a file or an argument.
"""

from __future__ import annotations

import argparse
import errno
import json
import os
import sys
from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import Any, BinaryIO, TextIO


class OutputError(Exception):
    """Output that cannot be written; `quiet` when its reader has gone."""

    def __init__(self, where: str, error: OSError) -> None:
        super().__init__(f"cannot write to {where}: {error.strerror or error}")
        self.quiet = error.errno == errno.EPIPE


def escaped(text: str) -> str:
    """The text without anything that a terminal would obey instead of showing it.

    Newlines and tabs stay.  Other control characters, those that change the direction of writing,
    and anything else that is not printable are escaped.
    """
    return "".join(
        char
        if char.isprintable() or char in "\n\t"
        else char.encode("unicode_escape", "surrogatepass").decode("ascii")
        for char in text
    )


def on_terminal(stream: TextIO | None) -> bool:
    return stream is not None and stream.isatty()


def _abandon(stream: TextIO) -> None:
    """Discards the stream's buffer, which the interpreter would fail to write at its end."""
    with suppress(OSError, ValueError):
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, stream.fileno())
        os.close(null)


def _put(stream: TextIO | None, where: str, data: str | bytes) -> None:
    if stream is None:
        raise OutputError(where, OSError(errno.EBADF, os.strerror(errno.EBADF)))
    try:
        if isinstance(data, bytes):
            stream.flush()
            stream.buffer.write(data)
        else:
            # Characters that the stream's encoding lacks are escaped.
            encoding = stream.encoding or "utf-8"
            stream.write(data.encode(encoding, "backslashreplace").decode(encoding))
        stream.flush()
    except OSError as error:
        _abandon(stream)
        raise OutputError(where, error) from None


def put(text: str) -> None:
    """Writes text to standard output at once, because the reader of a pipe may wait for it."""
    _put(sys.stdout, "standard output", text)


def put_bytes(data: bytes) -> None:
    _put(sys.stdout, "standard output", data)


def complain(text: str) -> None:
    """Writes a line to standard error only; a failure to do so is ignored."""
    with suppress(OutputError):
        _put(sys.stderr, "standard error", escaped(text) + "\n")


def to_file(file: BinaryIO, data: bytes) -> None:
    try:
        with file:
            file.write(data)
    except OSError as error:
        raise OutputError(escaped(str(file.name)), error) from None


def put_json(kind: str, fields: dict[str, Any]) -> None:
    put(json.dumps({"type": kind, **fields}) + "\n")


def report(
    args: argparse.Namespace,
    human: str,
    *,
    aside: bool = False,
    kind: str = "status",
    **fields: Any,
) -> None:
    """Reports what was done; on standard error if `aside`, as the content is on standard output."""
    if args.json:
        put_json(kind, fields)
    elif aside:
        complain(human)
    else:
        put((escaped(human) if on_terminal(sys.stdout) else human) + "\n")


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Columns under a heading; columns of numbers are right-aligned."""
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
    """A line that is rewritten in place on a terminal; without a terminal nothing is printed."""

    def __init__(self) -> None:
        self.on = on_terminal(sys.stderr)

    def say(self, text: str) -> None:
        if self.on:
            with suppress(OutputError):
                _put(sys.stderr, "standard error", f"\r\x1b[K{text}")

    def end(self) -> None:
        self.say("")
