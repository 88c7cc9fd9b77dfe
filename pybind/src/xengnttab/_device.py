# SPDX-License-Identifier: BSD-2-Clause
"""An open device of the library: which process may use it, and when it is closed."""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import ClassVar, Protocol, Self

from xengnttab._calls import CData
from xengnttab.errors import GrantError


class Calls(Protocol):
    """The library's functions on one kind of device."""

    def open(self) -> CData: ...
    def close(self, handle: CData) -> None: ...
    def fd(self, handle: CData) -> int: ...


class Device:
    """An open device.

    Several threads may use it.  Each call counts as a user of the library's handle, and so does
    the object itself until `close()`: the last to finish closes the handle.  So no call ever meets
    a handle that was freed, and nobody waits for anybody.
    """

    calls: ClassVar[Calls]

    def __init__(self) -> None:
        # After a fork only close is allowed (xengnttab.h).
        self._process = os.getpid()
        # Held for a few lines only.  Re-entrant: finalizers of forgotten pages run anywhere.
        self._lock = threading.RLock()
        self._users = 1
        self._closed = False
        self._handle: CData = self.calls.open()
        self._closer = weakref.finalize(self, self.calls.close, self._handle)
        self._closer.atexit = False

    @property
    def closed(self) -> bool:
        return self._closed

    def _inherited(self) -> bool:
        """True in a process that inherited the device by fork."""
        return os.getpid() != self._process

    def _check_open(self) -> None:
        """ValueError as for a closed file; RuntimeError after a fork."""
        if self._closed:
            raise ValueError(f"{type(self).__name__} is closed")
        if self._inherited():
            raise RuntimeError(
                f"{type(self).__name__} was opened by process {self._process}:"
                " after a fork only that process may use it"
            )

    @contextmanager
    def _held(self) -> Iterator[CData]:
        """The library's handle for one call; it stays open until the call has returned."""
        self._check_open()
        with self._lock:
            self._check_open()
            self._users += 1
        try:
            yield self._handle
        finally:
            self._leave()

    def _leave(self) -> None:
        with self._lock:
            self._users -= 1
            last = self._users == 0
        if last:
            self._close_handle()

    def _close_handle(self) -> None:
        if self._closer.detach():
            self.calls.close(self._handle)

    def fileno(self) -> int:
        """The descriptor of the device."""
        with self._held() as handle:
            return self.calls.fd(handle)

    def _to_end(self) -> list[Callable[[], None]]:
        """What must end before the device, called under the lock; an exception keeps it open."""
        return []

    def close(self) -> None:
        """Closes the device.  Does nothing the second time.

        A call of another thread that is under way is not cut short: the device is closed when it
        returns.
        """
        if self._inherited():
            # No lock: the thread that had it is not in this process.
            self._closed = True
            self._close_handle()
            return
        with self._lock:
            if self._closed:
                return
            steps = self._to_end()
            self._closed = True
        problems: list[GrantError] = []
        for step in (*steps, self._leave):
            try:
                step()
            except GrantError as error:
                problems.append(error)
        if problems:
            first, *others = problems
            for other in others:
                first.add_note(f"and {other}")
            raise first

    def __enter__(self) -> Self:
        self._check_open()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        if self._closed:
            state = "closed"
        elif self._inherited():
            state = f"of process {self._process}"
        else:
            state = f"fd {self.fileno()}"
        return f"<{type(self).__name__}: {state}>"
