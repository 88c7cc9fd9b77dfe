# SPDX-License-Identifier: BSD-2-Clause
"""All public calls of the package, from several threads, with close at random.

python -m tests.python.stress REFS [--examples N] [--seconds S]

Runs in a domain of the harness to which domain 0 has granted the pages REFS (comma-separated)
for writing; test_stress.py starts it.  Hypothesis chooses what each thread does.  Allowed are the
errors that the package documents; anything else, a crash, or a page left over ends it.  The harness
itself ends a process that leaves mappings or grants behind with status 99.

For a debug build of Python and the library with AddressSanitizer (build/asan):

python3-dbg -m venv DIR; DIR/bin/pip install cffi hypothesis meson meson-python ninja
PATH=DIR/bin:$PATH PKG_CONFIG_PATH=build/asan/meson-uninstalled DIR/bin/pip install --no-deps
  --no-build-isolation --config-settings=setup-args=-Dpython.allow_limited_api=false ./pybind
ASAN_OPTIONS=detect_leaks=0 XENGNT_STRESS_PYTHON=DIR/bin/python XENGNT_STRESS_SECONDS=600
  XENGNT_STRESS_PRELOAD=$(gcc -print-file-name=libasan.so) pytest tests/python/test_stress.py
"""

from __future__ import annotations

import argparse
import faulthandler
import gc
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

import hypothesis
from hypothesis import strategies as st
from xengnttab import (
    PAGE_SIZE,
    EventChannel,
    GrantError,
    GrantShare,
    GrantTable,
    Place,
    Segment,
)

# Closed, viewed, or refused by the kernel: as documented.
ALLOWED = (ValueError, BufferError, GrantError)
# For a thread that should have ended long ago.
PATIENCE = 300


class World:
    """What the threads of one example share."""

    def __init__(self, refs: list[int]) -> None:
        self.refs = refs
        self.table, self.share, self.channel = GrantTable(), GrantShare(), EventChannel(0)
        self.pages: list[Any] = []
        self.views: list[memoryview] = []

    def page(self, number: int) -> Any:
        try:
            return self.pages[number % len(self.pages)]
        except (IndexError, ZeroDivisionError):
            raise ValueError("none is left") from None

    def keep(self, pages: Any) -> None:
        self.pages.append(pages)

    def forget(self) -> None:
        """The finalizer ends the pages, unless a view exports them."""
        if self.pages:
            self.pages.pop()

    def release(self) -> None:
        try:
            self.views.pop().release()
        except IndexError:
            raise ValueError("none is left") from None

    def poke(self, number: int) -> None:
        with self.page(number).view() as view:
            if not view.readonly:
                view[number % 7] = 1
            bytes(view[-3:])

    def write(self, number: int) -> None:
        pages = self.page(number)
        if not pages.readonly:
            assert pages.write(b"abc", number % 9) == 3

    def copy(self, number: int) -> None:
        ref = self.refs[number % len(self.refs)]
        buffer = bytearray(16)
        statuses = self.table.copy(
            [
                Segment(Place(0, ref), buffer),
                Segment(buffer, Place(0, ref, 32)),
                Segment(Place(0, 0xFFFFFF), bytearray(4)),
            ]
        )
        assert [bool(status) for status in statuses] == [False, False, True], statuses

    def notified(self, number: int) -> None:
        ref = self.refs[number % len(self.refs)]
        with self.table.map(0, ref, writable=True, notify_byte=5) as mapping:
            mapping.write(b"\1", 5)

    def end(self) -> None:
        """Closes everything that the threads left open."""
        while self.views:
            self.views.pop().release()
        for device in (self.table, self.share, self.channel):
            device.close()
            device.close()
            assert device.closed
        assert all(pages.closed for pages in self.pages)


OPERATIONS: dict[str, Callable[[World, int], object]] = {
    "map": lambda w, n: w.keep(w.table.map(0, w.refs[: 1 + n % len(w.refs)])),
    "map for writing": lambda w, n: w.keep(w.table.map([0, 0], w.refs[:2], writable=True)),
    "map and close": lambda w, n: w.table.map(0, w.refs[0]).close(),
    "map with notification": World.notified,
    "map nonsense": lambda w, n: w.table.map(0, [w.refs[0], 0xFFFFFF]),
    "share": lambda w, n: w.keep(w.share.share(0, 1 + n % 3, writable=bool(n % 2))),
    "share and close": lambda w, n: w.share.share(0).close(),
    "share with notification": lambda w, n: w.share.share(0, notify_byte=n % PAGE_SIZE).close(),
    "close pages": lambda w, n: w.page(n).close(),
    "forget pages": lambda w, n: w.forget(),
    "view": lambda w, n: w.views.append(w.page(n).view()),
    "release": lambda w, n: w.release(),
    "view and release": World.poke,
    "read": lambda w, n: w.page(n).read(3, n % 9),
    "write": World.write,
    "look": lambda w, n: (repr(w.page(n)), w.page(n).views, len(w.page(n)), w.page(n).address),
    "copy": World.copy,
    "copy read": lambda w, n: w.table.read(0, w.refs[0], 8),
    "copy write": lambda w, n: w.table.write(0, w.refs[0], b"xyz", 64),
    "can copy": lambda w, n: w.table.can_copy,
    "set_max_grants": lambda w, n: w.table.set_max_grants(n),
    "fileno": lambda w, n: (w.table.fileno(), w.share.fileno(), w.channel.fileno()),
    "repr": lambda w, n: (repr(w.table), repr(w.share), repr(w.channel)),
    "notify": lambda w, n: w.channel.notify(),
    "pending": lambda w, n: w.channel.pending(),
    "unmask": lambda w, n: w.channel.unmask(),
    "wait": lambda w, n: w.channel.wait(0.001),
    "collect": lambda w, n: gc.collect(n % 3),
}
CLOSES: dict[str, Callable[[World, int], object]] = {
    "close table": lambda w, n: w.table.close(),
    "close share": lambda w, n: w.share.close(),
    "close channel": lambda w, n: w.channel.close(),
}
EVERYTHING = OPERATIONS | CLOSES

step = st.tuples(st.sampled_from(sorted(OPERATIONS)), st.integers(0, 50))
last = st.lists(st.tuples(st.sampled_from(sorted(CLOSES)), st.just(0)), max_size=2)
thread = st.tuples(st.lists(step, max_size=25), last, st.lists(step, max_size=5)).map(
    lambda parts: [*parts[0], *parts[1], *parts[2]]
)


def play(refs: list[int], plans: list[list[tuple[str, int]]]) -> None:
    world = World(refs)
    wrong: list[BaseException] = []
    begin = threading.Barrier(len(plans))

    def run(plan: list[tuple[str, int]]) -> None:
        begin.wait()
        for name, number in plan:
            try:
                EVERYTHING[name](world, number)
            except ALLOWED:
                pass
            except BaseException as error:
                error.add_note(f"in {name} {number}")
                wrong.append(error)
                return

    threads = [threading.Thread(target=run, args=(plan,), daemon=True) for plan in plans]
    for one in threads:
        one.start()
    for one in threads:
        one.join(PATIENCE)
        assert not one.is_alive(), "a thread hangs"
    if wrong:
        raise wrong[0]
    world.end()


def main() -> None:
    parser = argparse.ArgumentParser(description="Drives the package from several threads.")
    parser.add_argument("refs", type=lambda text: [int(ref) for ref in text.split(",")])
    parser.add_argument("--examples", type=int, default=100)
    parser.add_argument("--seconds", type=float, default=0.0, help="go on for so long")
    args = parser.parse_args()
    faulthandler.enable()
    sys.setswitchinterval(1e-5)

    @hypothesis.settings(
        max_examples=args.examples,
        deadline=None,
        database=None,
        suppress_health_check=list(hypothesis.HealthCheck),
    )
    @hypothesis.given(st.lists(thread, min_size=2, max_size=4))
    def example(plans: list[list[tuple[str, int]]]) -> None:
        play(args.refs, plans)

    end = time.monotonic() + args.seconds
    rounds = 0
    while rounds == 0 or time.monotonic() < end:
        example()
        rounds += 1
    print(f"{rounds * args.examples} examples")


if __name__ == "__main__":
    main()
