# SPDX-License-Identifier: BSD-2-Clause
"""Waits for the end of a sharing or a mapping: a time, a signal, Enter, the end of the input."""

from __future__ import annotations

import os
import select
import signal
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from enum import Enum

# No signal tells a job that it is in the foreground now, so it checks this often.
BACKGROUND_SECONDS = 0.2
ENDS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Ended(Enum):
    """What ended a wait."""

    TIME = "time"
    SIGNAL = "signal"
    LINE = "line"
    INPUT = "end of input"
    AT_ONCE = "no input"


@contextmanager
def signals() -> Iterator[socket.socket]:
    """A socket that becomes readable when a signal asks to stop; signals never cut the clean-up.

    A signal that was ignored before (by nohup, or by a shell for a background job) stays ignored.
    """
    reader, writer = socket.socketpair()
    with reader, writer:
        reader.setblocking(False)
        writer.setblocking(False)
        before = signal.set_wakeup_fd(writer.fileno(), warn_on_full_buffer=False)
        handlers = {
            number: signal.signal(number, lambda *_: None)
            for number in ENDS
            if signal.getsignal(number) is not signal.SIG_IGN
        }
        # A read by a background job should fail instead of stopping the job.
        handlers[signal.SIGTTIN] = signal.signal(signal.SIGTTIN, signal.SIG_IGN)
        try:
            yield reader
        finally:
            for number, handler in handlers.items():
                signal.signal(number, handler)
            signal.set_wakeup_fd(before)


def asked(stop: socket.socket) -> bool:
    """Whether one of the signals that end a wait has arrived; the socket gets others, too."""
    try:
        return any(number in ENDS for number in stop.recv(64))
    except BlockingIOError:
        return False


def stdin() -> int | None:
    """The descriptor of standard input, if it is open."""
    try:
        return sys.stdin.fileno()
    except (AttributeError, OSError, ValueError):
        return None


def foreground(descriptor: int) -> bool:
    """Whether this process may read: not from a terminal of which it is a background job."""
    try:
        # isatty first, because FreeBSD answers for a pipe as well: the group that gets its signals.
        return not os.isatty(descriptor) or os.tcgetpgrp(descriptor) == os.getpgrp()
    except OSError:
        return True  # no terminal, or one that controls no jobs of ours


def hold(seconds: float | None, stop: socket.socket, source: int | None) -> Ended:
    """Waits for `seconds`, or if None for a line or the end of `source`; any signal ends it, too.

    The line is read, so that the shell does not get it; nothing after it is.
    """
    if seconds == 0:
        return Ended.TIME
    timed = seconds is not None
    if not timed and source is None:
        return Ended.AT_ONCE
    deadline = time.monotonic() + (seconds or 0)
    first = True
    while True:
        # poll(2), not epoll or kqueue, because it works for regular files and their end.
        poll = select.poll()
        poll.register(stop, select.POLLIN)
        left: float | None = None
        readable = not timed and source is not None and foreground(source)
        if timed:
            left = deadline - time.monotonic()
            if left <= 0:
                return Ended.TIME
            # The largest wait of poll(2) is a C int of milliseconds.
            left = min(left, 1e6)
        elif first:
            left = 0
        elif not readable:
            left = BACKGROUND_SECONDS
        if readable and source is not None:
            poll.register(source, select.POLLIN)
        ready = [descriptor for descriptor, _ in poll.poll(None if left is None else left * 1000)]
        if stop.fileno() in ready and asked(stop):
            return Ended.SIGNAL
        if source in ready and source is not None and foreground(source):
            found = _take(source)
            if found == b"":
                return Ended.AT_ONCE if first else Ended.INPUT
            if found in (b"\n", b"\r"):
                return Ended.LINE
        first = False


def _take(source: int) -> bytes | None:
    """A byte, b"" at the end, or None if there is nothing to read."""
    try:
        return os.read(source, 1)
    except BlockingIOError:
        return None
    except OSError:
        # The job was put into the background just now, or the terminal is gone.
        return b"" if foreground(source) else None
