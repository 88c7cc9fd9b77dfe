# SPDX-License-Identifier: BSD-2-Clause
"""clang-format for style(9): its verdict on lines and indents, ours on tabs inside a line.

Usage: python3 -m devtools.cformat [--write] FILE…
"""

from __future__ import annotations

import argparse
import difflib
import re
import subprocess
import sys
from pathlib import Path

# style(9) sets tabs inside a line (members, #define, comments behind code); clang-format cannot.
INNER = re.compile(r"(?<=\S)[ \t]+")


# A macro definition with its continuation lines, and whatever layout its author gave it.
DEFINE = re.compile(r"^[ \t]*#[ \t]*define\b(?:.*\\\n)*.*\n", re.M)


def keep_defines(before: str, after: str) -> str:
    originals = iter(DEFINE.findall(before))
    return DEFINE.sub(lambda match: next(originals, match[0]), after)


def keep_tabs(before: str, after: str) -> str:
    """after, with each line that differs only in white space inside it as it was in before."""
    old, new = before.splitlines(True), after.splitlines(True)
    plain_old, plain_new = ([INNER.sub(" ", line) for line in lines] for lines in (old, new))
    matcher = difflib.SequenceMatcher(None, plain_old, plain_new, autojunk=False)
    for start_old, start_new, size in matcher.get_matching_blocks():
        new[start_new : start_new + size] = old[start_old : start_old + size]
    return "".join(new)


def formatted(path: Path, text: str, clang_format: str = "clang-format") -> str:
    done = subprocess.run(
        [clang_format, f"--assume-filename={path}"],
        input=text, capture_output=True, text=True, check=True,
    )  # fmt: skip
    return keep_tabs(text, keep_defines(text, done.stdout))


def main() -> int:
    parser = argparse.ArgumentParser(prog="devtools.cformat", description=__doc__)
    parser.add_argument("--write", action="store_true", help="format in place")
    parser.add_argument("files", nargs="*", type=Path)
    args = parser.parse_args()
    # The one of requirements.txt, not the system's.
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
