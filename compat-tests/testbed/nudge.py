# SPDX-License-Identifier: BSD-2-Clause
"""Wakes a machine whose emulated timer interrupt was lost.

QEMU changes a processor's word of pending interrupts from two threads without a lock when the
processor enters or leaves a guest (SVM), and forgets a local APIC timer interrupt that comes in
between.  Xen arms that timer once for the next event, so there is no other: all domains sleep, or
one of them spins for ever.  QEMU's main loop, which runs its timers, then has nothing to do;
otherwise Xen sets one at least every second.  Any other interrupt makes the APIC check again, and
Xen has one for its console's serial port.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable
from pathlib import Path

#: XON: the terminals of both systems accept it without an echo.
_CHARACTER = b"\x11"
#: Xen adjusts its clocks every second.
_SECONDS = 1.5


def wakes(pid: int) -> int:
    """How often a process's main thread has been scheduled."""
    try:
        return int(Path(f"/proc/{pid}/task/{pid}/schedstat").read_text().split()[2])
    except (OSError, IndexError, ValueError):
        return -1


class Nudge:
    """Writes to a machine's console while its main loop has nothing to do."""

    def __init__(self, console: Path, looks: Callable[[], int], seconds: float = _SECONDS) -> None:
        """`console` is the FIFO that the serial port reads; `looks` returns how often the main loop
        has run so far, and is called every `seconds`."""
        # Also for reading: without a reader of our own the open would fail or wait for QEMU.
        self._console = os.open(console, os.O_RDWR | os.O_NONBLOCK)
        self._looks = looks
        self._seconds = seconds
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="nudge", daemon=True)
        #: How often the machine had to be woken.
        self.count = 0
        self._thread.start()

    def close(self) -> None:
        """Ends the watch."""
        self._end.set()
        self._thread.join()
        os.close(self._console)

    def _watch(self) -> None:
        before = self._looks()
        while not self._end.wait(self._seconds):
            now = self._looks()
            if now == before:
                with contextlib.suppress(BlockingIOError):
                    os.write(self._console, _CHARACTER)
                self.count += 1
            before = now
