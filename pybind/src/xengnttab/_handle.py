# SPDX-License-Identifier: BSD-2-Clause
"""What a grant table and a grant allocator have in common: an open device with pages of it."""

from __future__ import annotations

import os
import weakref
from types import TracebackType
from typing import TYPE_CHECKING, ClassVar, Protocol, Self

if TYPE_CHECKING:
    from xengnttab._calls import CData
    from xengnttab._pages import Pages


class Calls(Protocol):
    """The library's functions on one kind of device."""

    def open(self) -> CData: ...
    def close(self, handle: CData) -> None: ...
    def fd(self, handle: CData) -> int: ...
    def unmap(self, handle: CData, address: int, count: int) -> None: ...


class Handle:
    """An open device.  Closing it closes the pages that came from it."""

    calls: ClassVar[Calls]

    def __init__(self) -> None:
        self._pages: weakref.WeakSet[Pages] = weakref.WeakSet()
        # After a fork only close is allowed: the pages are the parent's.
        self._process = os.getpid()
        self._handle: CData = self.calls.open()
        self._closer = weakref.finalize(self, self.calls.close, self._handle)
        self._closer.atexit = False

    @property
    def closed(self) -> bool:
        return not self._closer.alive

    def _live(self) -> CData:
        """The library's handle; ValueError as of a closed file."""
        if self.closed:
            raise ValueError(f"{type(self).__name__} is closed")
        return self._handle

    def fileno(self) -> int:
        """The descriptor of the device: to pass on, there is nothing to wait for on it."""
        return self.calls.fd(self._live())

    def close(self) -> None:
        """Closes the device and all pages that came from it.

        Raises BufferError, with nothing closed, while any of the pages has exported views.
        """
        pages = list(self._pages)
        for page in pages:
            if page.views:
                raise BufferError(f"{page!r} has exported views: release them, or their owner")
        for page in pages:
            page.close()
        if self._closer.detach():
            self.calls.close(self._handle)

    def _unmap(self, address: int, count: int) -> None:
        if not self.closed and os.getpid() == self._process:
            self.calls.unmap(self._handle, address, count)

    def __enter__(self) -> Self:
        self._live()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        state = "closed" if self.closed else f"fd {self.fileno()}"
        return f"<{type(self).__name__}: {state}>"
