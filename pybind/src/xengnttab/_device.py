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
    the object itself until `close()`: the last user closes the handle.  So no call uses a freed
    handle, and no thread waits for another.
    """

    calls: ClassVar[Calls]

    def __init__(self) -> None:
        # After a fork only close is allowed (xengnttab.h).
        self._process = os.getpid()
        # Never held for long.  Re-entrant, because finalizers of pages can run at any point.
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
        """Steps that come before the close.  Called under the lock; an exception keeps it open."""
        return []

    def close(self) -> None:
        """Closes the device.  Does nothing the second time.

        If another thread is in a call, the device is closed when that call returns.
        """
        if self._inherited():
            # Without the lock: its holder may be a thread that this process does not have.
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
