# SPDX-License-Identifier: BSD-2-Clause
"""Wakes a machine whose emulated timer interrupt was lost.

QEMU changes a processor's word of pending interrupts from two threads without a lock when the
processor enters or leaves a guest (SVM): an interrupt of the local APIC's timer that comes in
between is forgotten.  Xen arms that timer once for the next event, so nothing comes any more and
all processors stay halted.  Any other interrupt makes the APIC look again: Xen has one for its
console's serial port.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable
from pathlib import Path

#: XON: the terminals of both systems take it without an echo.
_CHARACTER = b"\x11"
_SECONDS = 1.0
#: What a machine that stands still uses of the processors in a second at most.
_STILL = 0.001


def processor_time(pid: int) -> float:
    """Seconds that the threads of a process have run."""
    total = 0
    for task in Path(f"/proc/{pid}/task").glob("*/schedstat"):
        with contextlib.suppress(OSError, IndexError, ValueError):
            total += int(task.read_text().split()[0])
    return total / 1e9


class Nudge:
    """Writes to a machine's console while the machine uses no processor time."""

    def __init__(self, console: Path, used: Callable[[], float], seconds: float = _SECONDS) -> None:
        """`console` is the FIFO that the serial port reads; `used` tells the seconds that the
        machine has run so far, looked at every `seconds`."""
        # For reading, too: without a reader of its own the open would fail or wait for QEMU.
        self._console = os.open(console, os.O_RDWR | os.O_NONBLOCK)
        self._used = used
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
        before = self._used()
        while not self._end.wait(self._seconds):
            now = self._used()
            if now - before < _STILL:
                with contextlib.suppress(BlockingIOError):
                    os.write(self._console, _CHARACTER)
                self.count += 1
            before = now
