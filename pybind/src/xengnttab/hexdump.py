# SPDX-License-Identifier: BSD-2-Clause
"""Bytes in readable form."""

from __future__ import annotations

from collections.abc import Iterator

WIDTH = 16


def hexdump(data: bytes) -> Iterator[str]:
    """Lines like those of `hexdump -C`: repeated lines become one asterisk."""
    before: bytes | None = None
    starred = False
    for offset in range(0, len(data), WIDTH):
        line = data[offset : offset + WIDTH]
        if line == before:
            if not starred:
                yield "*"
            starred = True
            continue
        before, starred = line, False
        pairs = [f"{byte:02x}" for byte in line]
        halves = " ".join(pairs[:8]) + "  " + " ".join(pairs[8:])
        text = "".join(chr(byte) if 0x20 <= byte < 0x7F else "." for byte in line)
        yield f"{offset:08x}  {halves:<48}  |{text}|"
    yield f"{len(data):08x}"


def text(data: bytes) -> str:
    """The bytes before the first zero byte as UTF-8; invalid ones are escaped."""
    return data.split(b"\0", 1)[0].decode("utf-8", "backslashreplace")
