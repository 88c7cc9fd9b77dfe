# SPDX-License-Identifier: BSD-2-Clause
"""I/O that uses pages of a mapping for as long as a case wants: a pipe that nobody reads.

Linux puts the pages themselves into the pipe (vmsplice).  FreeBSD does so for a write(2) of 8 KiB
or more, until they are read; the writer sleeps, so a thread does it.
"""

from __future__ import annotations

from agent.client import PAGE, Pending, Worker

from .framework import Broken, Context

#: The shortest write whose pages FreeBSD uses; it copies shorter ones.
LENGTH = 2 * PAGE
# Only a failure checks this often.
LOOKS = 3000


class InFlight:
    """Whole pages from an address on, held by a pipe until :meth:`finish`."""

    def __init__(
        self, t: Context, address: int, length: int = LENGTH, worker: Worker | None = None
    ) -> None:
        self.worker = worker or t.worker
        self.length = length
        self.out, into = self.worker.pipe()
        self._thread: Worker | None = None
        self._written: Pending | None = None
        if t.target.reason_against("vmsplice") is None:
            self.worker.vmsplice(into, address, length)
            return
        self._thread = self.worker.thread()
        self._written = self._thread.submit(f"writefrom {into} 0x{address:x} {length}")
        # FreeBSD's pipes can be written at both ends, so poll(2) itself does not wait.
        for _ in range(LOOKS):
            if "in" in self.worker.poll(self.out):
                return
            self.worker.sleep(10)
        self._written.result(1.0)
        raise Broken("nothing arrived in the pipe")

    def finish(self) -> int:
        """Reads the pipe, so that the pages are free; returns the address of what it held."""
        buffer = self.worker.alloc(self.length)
        done = 0
        while done < self.length:
            done += self.worker.read_to(self.out, buffer + done, self.length - done)
        if self._written is not None and self._thread is not None:
            self._written.result()
            self._thread.exit()
            self.worker.wait(self._thread)
            self._thread = self._written = None
        return buffer

    def bytes(self, length: int = 16) -> bytes:
        """:meth:`finish`, and the first bytes of what the pipe held."""
        return self.worker.peek(self.finish(), length)
