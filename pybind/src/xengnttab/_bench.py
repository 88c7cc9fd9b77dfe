# SPDX-License-Identifier: BSD-2-Clause
"""The command bench: how long calls take here.  Compare figures of one machine only."""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import NamedTuple

from xengnttab._arguments import OK, UsageError
from xengnttab._numbers import PAGE_SIZE
from xengnttab._terminal import Progress, report, table
from xengnttab.copy import Place, Segment
from xengnttab.share import GrantShare
from xengnttab.table import GrantTable

DOMID_SELF = 0x7FF0
SHARED = (1, 16, 64)
LEAST = 5


class Figure(NamedTuple):
    """A measured call; times are in microseconds."""

    name: str
    pages: int
    calls: int
    median: float
    p99: float
    a_page: float


def measure(name: str, pages: int, seconds: float, call: Callable[[], object]) -> Figure:
    call()  # warm
    times: list[float] = []
    end = time.perf_counter() + seconds
    while len(times) < LEAST or time.perf_counter() < end:
        begun = time.perf_counter()
        call()
        times.append((time.perf_counter() - begun) * 1e6)
    times.sort()
    median = statistics.median(times)
    p99 = times[min(len(times) - 1, int(len(times) * 0.99))]
    return Figure(name, pages, len(times), round(median, 2), round(p99, 2),
                  round(median / pages, 2))  # fmt: skip


def _share(share: GrantShare, pages: int) -> None:
    share.share(0, pages).close()


def _map(grants: GrantTable, domid: int, refs: list[int]) -> None:
    grants.map(domid, refs).close()


def calls(domid: int | None, refs: list[int]) -> Iterator[tuple[str, int, Callable[[], object]]]:
    """The measured calls.  They never map a page that this domain granted itself."""
    with GrantShare() as share, GrantTable() as grants:
        yield "no-op (set_max_grants)", 1, lambda: grants.set_max_grants(1024)
        for pages in SHARED:
            yield "share, unshare", pages, partial(_share, share, pages)
        if grants.can_copy:
            buffer = bytearray(PAGE_SIZE)
            # Granted to Dom0: in other domains Xen refuses the copy, and the figure is left out.
            with share.share(0, writable=True) as own:
                from_own = [Segment(Place(DOMID_SELF, own.refs[0]), buffer)]
                if not grants.copy(from_own)[0]:
                    yield "copy from own page", 1, lambda: grants.copy(from_own)
        if domid is None:
            return
        counts = [n for n in (1, 2, 4, 8, 16, 32, 64, 256, 512) if n < len(refs)] + [len(refs)]
        for pages in counts:
            yield "map, unmap", pages, partial(_map, grants, domid, refs[:pages])

        def by_mapping() -> None:
            with grants.map(domid, refs[0]) as mapping:
                mapping.read()

        yield "map, read, unmap", 1, by_mapping
        if grants.can_copy:
            yield "copy", 1, lambda: grants.read(domid, refs[0])


def run_bench(args: argparse.Namespace) -> int:
    if args.domid is not None and not args.refs:
        raise UsageError("no grant reference to map")
    progress = Progress()
    figures = []
    for name, pages, call in calls(args.domid, args.refs):
        progress.say(f"{name}, {pages} pages ...")
        figures.append(measure(name, pages, args.seconds, call))
    progress.end()
    head = ("call", "pages", "calls", "median us", "p99 us", "us per page")
    report(
        args, table(head, figures),
        command="bench", unit="microseconds", figures=[figure._asdict() for figure in figures],
    )  # fmt: skip
    return OK
