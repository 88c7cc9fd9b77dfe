# SPDX-License-Identifier: BSD-2-Clause
"""Event channels: how domains that share memory signal each other."""

from __future__ import annotations

import select
import threading
import time
from contextlib import suppress
from typing import SupportsIndex

from xengnttab import _events
from xengnttab._device import Device
from xengnttab._numbers import MAX_PORT, PEERS, number

# A wait checks the channel at least this often: FreeBSD's evtchn(4) can lose a wake-up, and
# another thread may have closed the channel.
LOOK_SECONDS = 0.25
# The same where asyncio cannot watch the device: FreeBSD's does not support kqueue(2).
POLL_SECONDS = 0.01


class EventChannel(Device):
    """One end of an event channel between this domain and another: a context manager.

    `EventChannel(domid)` makes a channel that the other domain may bind to, once it has been told
    `port`.  `EventChannel(domid, remote_port)` binds to a channel that the other domain has made;
    Xen then marks an event as pending here, because some may have been lost before.

    An event means that the channel was signalled at least once.  When `pending` or a wait takes
    it, the channel is masked: later events are kept until `unmask` or the next wait is called.

    Needs libxenevtchn.so.1 (DeviceMissingError without it) and `/dev/xen/evtchn`.
    """

    class calls:
        open = staticmethod(_events.open_events)
        close = staticmethod(_events.close_events)
        fd = staticmethod(_events.events_fd)

    port: int
    """the number of our end, to pass as `notify_port` of a mapping or of a sharing"""
    domid: int
    """the other domain"""

    def __init__(self, domid: SupportsIndex, remote_port: SupportsIndex | None = None) -> None:
        self.domid = number("domain", domid, PEERS)
        remote = None if remote_port is None else number("port", remote_port, MAX_PORT)
        self._reading = threading.RLock()
        self._masked = False
        super().__init__()
        try:
            with self._held() as handle:
                if remote is None:
                    self.port = _events.bind_unbound(handle, self.domid)
                else:
                    self.port = _events.bind_interdomain(handle, self.domid, remote)
        except BaseException:
            self.close()
            raise

    def fileno(self) -> int:
        """A descriptor that is readable while there is an event.

        On FreeBSD poll it with a timeout and call `pending` each time, because the driver can lose
        a wake-up.  It does not work with kqueue(2).
        """
        return super().fileno()

    def notify(self) -> None:
        """Signals the other end."""
        with self._held() as handle:
            _events.notify(handle, self.port)

    def pending(self) -> bool:
        """Takes an event and returns True if there is one; never waits."""
        return self._taken(0)

    def unmask(self) -> None:
        """Unmasks the port, so that the next event can arrive."""
        with self._held() as handle:
            self._masked = False
            _events.unmask(handle, self.port)

    def wait(self, timeout: float | None = None) -> bool:
        """Waits for an event and takes it; False if none came within `timeout` seconds.

        ValueError when another thread closes the channel meanwhile.
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        self._unmask_taken()
        while True:
            left = LOOK_SECONDS if deadline is None else deadline - time.monotonic()
            if self._taken(min(max(left, 0), LOOK_SECONDS)):
                return True
            if left <= 0:
                return False

    async def wait_async(self, timeout: float | None = None) -> bool:
        """`wait` for asyncio.  One task at a time may wait for a channel."""
        import asyncio  # not at the top: the import is slow, and few need it

        deadline = None if timeout is None else time.monotonic() + timeout
        self._unmask_taken()
        loop = asyncio.get_running_loop()
        ready = asyncio.Event()
        descriptor = self.fileno()
        try:
            loop.add_reader(descriptor, ready.set)
            watched, step = True, LOOK_SECONDS
        except (OSError, NotImplementedError):
            watched, step = False, POLL_SECONDS
        try:
            while not self.pending():
                left = step if deadline is None else deadline - time.monotonic()
                if left <= 0:
                    return False
                with suppress(TimeoutError):
                    await asyncio.wait_for(ready.wait(), min(left, step))
                ready.clear()
            return True
        finally:
            if watched:
                loop.remove_reader(descriptor)

    def _unmask_taken(self) -> None:
        if self._masked:
            self.unmask()

    def _taken(self, seconds: float) -> bool:
        """Waits for an event for a limited time."""
        with self._held() as handle:
            poll = select.poll()
            poll.register(_events.events_fd(handle), select.POLLIN)
            if not poll.poll(seconds * 1000):
                return False
            with self._reading:
                if _events.pending(handle) is None:
                    return False
                self._masked = True
                return True

    def __repr__(self) -> str:
        text = super().__repr__()
        return text if self.closed else f"{text[:-1]}, port {self.port} with domain {self.domid}>"
