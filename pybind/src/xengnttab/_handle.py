# SPDX-License-Identifier: BSD-2-Clause
"""What a grant table and a grant allocator have in common: an open device with its pages."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, ClassVar, Protocol, TypeVar

from xengnttab import _device
from xengnttab._area import release
from xengnttab._calls import CData
from xengnttab._device import Device

if TYPE_CHECKING:
    from xengnttab._pages import Pages

P = TypeVar("P", bound="Pages")


class Calls(_device.Calls, Protocol):
    """The library's functions on a device with pages."""

    def unmap(self, handle: CData, address: int, count: int) -> None: ...


class Handle(Device):
    """An open device.  Closing it closes the pages made through it."""

    calls: ClassVar[Calls]

    def __init__(self) -> None:
        # By address: the number of pages and the object.  Whoever removes an entry unmaps its
        # pages, so that only one of their close, their finalizer and the device's close does.
        self._ranges: dict[int, tuple[int, weakref.ref[Pages]]] = {}
        super().__init__()

    def fileno(self) -> int:
        """The descriptor of the device, to pass on; it has no events to wait for."""
        return super().fileno()

    def _own(self, make: Callable[[], P], address: int, count: int) -> P:
        """The object for pages that a running call has just made; on failure they are released."""
        try:
            pages = make()
            with self._lock:
                self._check_open()
                self._ranges[address] = count, weakref.ref(pages)
        except BaseException:
            self.calls.unmap(self._handle, address, count)
            raise
        return pages

    def _unmap(self, address: int) -> None:
        if self._inherited():
            return  # the pages are the parent's
        with self._lock:
            count, _ = self._ranges.pop(address, (0, None))
            if count == 0:
                return
            self._users += 1
        try:
            self.calls.unmap(self._handle, address, count)
        finally:
            self._leave()

    def _to_end(self) -> list[Callable[[], None]]:
        ranges = list(self._ranges.items())
        release([pages for _, (_, ref) in ranges if (pages := ref()) is not None])
        self._ranges = {}
        return [
            partial(self.calls.unmap, self._handle, address, count)
            for address, (count, _) in ranges
        ]

    def close(self) -> None:
        """Closes the device and all pages that came from it.  Does nothing the second time.

        Raises BufferError, with nothing closed, while any of the pages has exported views.  When
        the kernel refuses to unmap some pages, the others and the device are closed all the same,
        and the first refusal is raised.

        If another thread is in a call, the device is closed when that call returns; what it mapped
        or shared is undone, and it raises ValueError.
        """
        super().close()
