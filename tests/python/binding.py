# SPDX-License-Identifier: BSD-2-Clause
"""What a call costs more through the Python package than through the C library.

python -m tests.python.binding [--build DIR] [--rounds N] [--json FILE]

Both make the same calls on the driver of the harness, turn by turn; counted is processor time,
and of all rounds the one that the rest of the machine disturbed least.  `library` is the C program
tests/lib/calls.c, `cffi` the bare binding as the package uses it, `python` the package's objects.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from devtools.paths import NATIVE, ROOT

ROUNDS = 9
ENDS = ("library", "cffi", "python")


def calls() -> dict[str, tuple[int, dict[str, Callable[[], object]]]]:
    """For each call: the number of repetitions, and the call in each way."""
    from xengnttab import GrantShare, GrantTable, Place, Segment
    from xengnttab._native import ffi, lib

    table, share = GrantTable(), GrantShare()
    page = share.share(0, writable=True)
    buffer = bytearray(4096)
    handle, shr = table._handle, share._handle
    segment = ffi.new("xengnttab_grant_copy_segment_t[]", 1)
    local = ffi.from_buffer("char[]", buffer)
    item = segment[0]
    item.source.foreign.ref, item.source.foreign.domid = page.refs[0], 0
    item.dest.virt, item.len, item.flags = local, 4096, lib.GNTCOPY_source_gref
    refs = ffi.new("uint32_t[]", 16)
    parts = [Segment(Place(0, page.refs[0]), buffer)]

    def bare_share(count: int) -> None:
        lib.xengntshr_unshare(shr, lib.xengntshr_share_pages(shr, 0, count, refs, 1), count)

    def whole_share(count: int) -> None:
        share.share(0, count, writable=True).close()

    # The harness checks elsewhere what Python frees at the end of the process.
    keep.extend((table, share, page, local, segment))
    return {
        "set_max_grants": (20000, {
            "cffi": lambda: lib.xengnttab_set_max_grants(handle, 1024),
            "python": lambda: table.set_max_grants(1024),
        }),
        "copy_nothing": (20000, {
            "cffi": lambda: lib.xengnttab_grant_copy(handle, 0, ffi.NULL),
            "python": lambda: table.can_copy,
        }),
        "copy_4096": (500, {
            "cffi": lambda: lib.xengnttab_grant_copy(handle, 1, segment),
            "python": lambda: table.copy(parts),
        }),
        "share_1": (300, {
            "cffi": lambda: bare_share(1),
            "python": lambda: whole_share(1),
        }),
        "share_16": (100, {
            "cffi": lambda: bare_share(16),
            "python": lambda: whole_share(16),
        }),
    }  # fmt: skip


keep: list[object] = []


def measure() -> None:
    """One round in its own process under the harness; prints lines WAY NAME NS."""
    for name, (times, ways) in calls().items():
        for way, call in ways.items():
            call()
            begun = time.process_time_ns()
            for _ in range(times):
                call()
            print(way, name, (time.process_time_ns() - begun) // times)


def compare(build: Path, rounds: int) -> dict[str, dict[str, int]]:
    """The least nanoseconds, by call and way."""
    env = {**os.environ, "LD_PRELOAD": str(build.resolve() / "tests/harness/libxengnt-harness.so")}
    found: dict[str, dict[str, list[int]]] = {}
    for _ in range(rounds):
        for command in (
            [str(build.resolve() / "tests/lib/calls"), "1"],
            [sys.executable, "-m", "tests.python.binding", "--measure"],
        ):
            said = subprocess.run(
                command, cwd=ROOT, env=env, stdout=subprocess.PIPE, text=True, check=True
            )
            for line in said.stdout.splitlines():
                *way, name, figure = line.split()
                by_way = found.setdefault(name, {way: [] for way in ENDS})
                by_way[way[0] if way else "library"].append(int(figure))
    return {
        name: {way: min(figures) for way, figures in by_way.items()}
        for name, by_way in found.items()
    }


def text(figures: dict[str, dict[str, int]]) -> str:
    lines = [f"{'ns a call':<16}{'library':>10}{'cffi':>10}{'python':>10}{'binding':>10}"]
    lines += [
        f"{name:<16}{ways['library']:>10.0f}{ways['cffi']:>10.0f}{ways['python']:>10.0f}"
        f"{ways['python'] - ways['library']:>+10.0f}"
        for name, ways in figures.items()
    ]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description="Compares the package's calls with the library's.")
    parser.add_argument("--build", type=Path, default=NATIVE)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--json", type=Path, help="write the figures there, too")
    parser.add_argument("--measure", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.measure:
        measure()
        return
    figures = compare(args.build, args.rounds)
    print(text(figures))
    if args.json:
        args.json.write_text(json.dumps({"unit": "ns a call", "figures": figures}, indent=2))


if __name__ == "__main__":
    main()
