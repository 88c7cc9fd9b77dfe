# SPDX-License-Identifier: BSD-2-Clause
"""Consecutive pages of memory that belong to an open device."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from operator import index
from typing import Self

from xengnttab._area import Area
from xengnttab._handle import Handle
from xengnttab._numbers import PAGE_SIZE
from xengnttab._types import Buffer


class Pages(Area):
    """Memory shared with another domain: a context manager and a buffer.

    `memoryview(pages)` shows the memory itself.  The pages cannot be closed while such a view
    exists (BufferError); a view that was released or garbage-collected no longer counts.  After
    close every use raises ValueError.  Pages without references to them are closed.

    They belong to the process that made them.  In a forked child every use raises RuntimeError,
    and views made before the fork must not be touched: on some systems the memory is not there.

    The other domain may change the memory at any time.
    """

    refs: tuple[int, ...]

    def __new__(cls, handle: Handle, address: int, refs: tuple[int, ...], writable: bool) -> Self:
        pages = super().__new__(cls, address, len(refs) * PAGE_SIZE, not writable)
        pages.refs = refs
        # The finalizer keeps the handle alive as long as it has pages.
        closer = weakref.finalize(pages, handle._unmap, address)
        closer.atexit = False
        pages._closer = closer
        return pages

    _closer: Callable[[], object]

    def close(self) -> None:
        """Ends the mapping or the sharing.  Does nothing the second time.

        Raises BufferError while there are views, and RuntimeError in a forked child: only the
        process that made the pages can end them.
        """
        self._release()
        self._closer()

    def view(self) -> memoryview:
        """The memory; `with pages.view() as view:` releases it at a known point."""
        return memoryview(self)

    def read(self, size: int = -1, offset: int = 0) -> bytes:
        """A copy of `size` bytes from `offset` on, by default of all to the end."""
        size, offset = index(size), index(offset)
        self._check(offset, max(size, 0))
        with memoryview(self) as view:
            return bytes(view[offset:] if size < 0 else view[offset : offset + size])

    def write(self, data: Buffer, offset: int = 0) -> int:
        """Writes bytes at `offset`, all of them or none; TypeError on read-only pages."""
        offset = index(offset)
        with memoryview(data).cast("B") as source, memoryview(self) as view:
            self._check(offset, len(source))
            view[offset : offset + len(source)] = source
            return len(source)

    def _check(self, offset: int, size: int) -> None:
        if offset < 0 or offset + size > len(self):
            raise ValueError(f"{size} bytes at offset {offset} do not fit into {len(self)} bytes")

    def __enter__(self) -> Self:
        len(self)
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        # In a forked child close() would raise, too, and hide the exception that ended the block.
        if kind is None or not self.inherited:
            self.close()

    def __repr__(self) -> str:
        state = "closed" if self.closed else "read-only" if self.readonly else "writable"
        if self.inherited:
            state = "of another process"
        return f"<{type(self).__name__} of {len(self.refs)} pages, {state}>"
