# SPDX-License-Identifier: BSD-2-Clause
"""clang-format for style(9).

clang-format checks indentation, spaces, braces and blank lines.  Two things it cannot do as
style(9) does are left to the author: tabs inside a line (members, #define, comments behind code),
and where a statement is broken if its lines fit into 80 columns.

Usage: python3 -m devtools.cformat [--write] FILE…
"""

from __future__ import annotations

import argparse
import difflib
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

COLUMNS = 80
# A macro definition with its continuation lines, in the author's layout.
DEFINE = re.compile(r"^[ \t]*#[ \t]*define\b(?:.*\\\n)*.*\n", re.M)
# Ignored when the lines of a statement are joined.
QUOTED = re.compile(r'"(?:\\.|[^"\\])*"|\'(?:\\.|[^\'\\])*\'|/\*.*?\*/|//.*')
INNER = re.compile(r"(?<=\S)\s+")
LOOSE = re.compile(r"(?<=[(\[]) | (?=[)\]\[])|(?<=\)) (?=\()|(?<=\*) ")
OPEN_END = re.compile(r"(?:[,=+?(|]|&&|&|\?|\w\)? :|<<|>>|<|>=|<=|==|!=|-|/|\"\s*)$")
NO_CODE = re.compile(r"\s*(?:/\*|\*(?:[ \t/]|$)|#)")
GOES_ON = re.compile(r"\s+(?:__attribute__|[?:&|+=\"]|==)")


def keep_defines(before: str, after: str) -> str:
    originals = iter(DEFINE.findall(before))
    return DEFINE.sub(lambda match: next(originals, match[0]), after)


def statements(text: str) -> Iterator[str]:
    """The text in pieces: each is a line with its continuation lines."""
    piece, depth, open_end = "", 0, False
    for line in text.splitlines(True):
        bare = QUOTED.sub(lambda m: "" if m[0].startswith("/") else '""', line).rstrip()
        goes_on = line[:1] in " \t" and (depth > 0 or open_end or GOES_ON.match(line))
        if piece and not goes_on:
            yield piece
            piece, depth = "", 0
        piece += line
        # Comments and preprocessor lines open nothing.
        if not NO_CODE.match(line):
            depth = max(
                0, depth + sum(bare.count(c) for c in "([") - sum(bare.count(c) for c in ")]")
            )
            open_end = bool(OPEN_END.search(bare))
        else:
            open_end = False
    if piece:
        yield piece


def _plain(piece: str) -> str:
    return LOOSE.sub("", INNER.sub(" ", piece.rstrip()))


def _fits(piece: str) -> bool:
    return all(len(line.expandtabs(8)) <= COLUMNS for line in piece.splitlines())


def keep_author(before: str, after: str) -> str:
    """Returns after, but takes from before each statement that differs only in what is left to the
    author."""
    old, new = list(statements(before)), list(statements(after))
    matcher = difflib.SequenceMatcher(
        None, [_plain(piece) for piece in old], [_plain(piece) for piece in new], autojunk=False
    )
    for at_old, at_new, size in matcher.get_matching_blocks():
        for i in range(size):
            if _fits(old[at_old + i]):
                new[at_new + i] = old[at_old + i]
    return "".join(new)


def formatted(path: Path, text: str, clang_format: str = "clang-format") -> str:
    done = subprocess.run(
        [clang_format, f"--assume-filename={path}"],
        input=text, capture_output=True, text=True, check=True,
    )  # fmt: skip
    return keep_author(text, keep_defines(text, done.stdout))


def main() -> int:
    parser = argparse.ArgumentParser(prog="devtools.cformat", description=__doc__)
    parser.add_argument("--write", action="store_true", help="format in place")
    parser.add_argument("files", nargs="*", type=Path)
    args = parser.parse_args()
    # The one from requirements.txt, not the system's.
    clang_format = str(Path(sys.prefix) / "bin/clang-format")
    differ = False
    for path in args.files:
        text = path.read_text()
        better = formatted(path, text, clang_format)
        if better == text:
            continue
        differ = True
        if args.write:
            path.write_text(better)
        else:
            lines = (text.splitlines(True), better.splitlines(True))
            sys.stdout.writelines(
                difflib.unified_diff(*lines, str(path), f"{path} (formatted)", n=1)
            )
    return 1 if differ and not args.write else 0


if __name__ == "__main__":
    sys.exit(main())
