# SPDX-License-Identifier: BSD-2-Clause
"""Pages granted to other domains."""

from __future__ import annotations

from functools import partial
from typing import Self, SupportsIndex

from xengnttab import _calls
from xengnttab._handle import Handle
from xengnttab._numbers import MAX_PAGES, PEERS, notification, number
from xengnttab._pages import Pages


class SharedPages(Pages):
    """Pages that we granted to a domain, which maps them by `refs`, one per page, in order.

    We can always write; `peer_writable` says whether the domain can.
    """

    domid: int
    peer_writable: bool

    def __new__(
        cls,
        handle: Handle,
        address: int,
        refs: tuple[int, ...],
        writable: bool = True,
        domid: int = 0,
        peer_writable: bool = False,
    ) -> Self:
        pages = super().__new__(cls, handle, address, refs, writable)
        pages.domid = domid
        pages.peer_writable = peer_writable
        return pages


class GrantShare(Handle):
    """The grant allocator, which makes pages and grants them to other domains."""

    class calls:
        open = staticmethod(_calls.open_share)
        close = staticmethod(_calls.close_share)
        fd = staticmethod(_calls.share_fd)
        unmap = staticmethod(_calls.unshare_pages)

    def share(
        self,
        domid: SupportsIndex,
        pages: SupportsIndex = 1,
        *,
        writable: bool = False,
        notify_byte: SupportsIndex | None = None,
        notify_port: SupportsIndex | None = None,
    ) -> SharedPages:
        """Makes zeroed pages and grants them to a domain, for writing too if `writable`.

        Raises ShareError when the kernel refuses.  A domain that has pages mapped when the
        sharing ends keeps them until it unmaps them.

        For a single page you can arm a notification, which tells the peer that the sharing has
        ended: the byte at `notify_byte` becomes zero, then the event channel with the local
        port `notify_port` is signalled.
        """
        peer = number("domain", domid, PEERS)
        count = number("number of pages", pages, MAX_PAGES, 1)
        byte, port = notification(notify_byte, notify_port, count)
        with self._held() as handle:
            if byte is None and port is None:
                address, refs = _calls.share_pages(handle, peer, count, writable)
            else:
                address, refs = _calls.share_page_notify(handle, peer, writable, byte, port)
            make = partial(SharedPages, self, address, refs, domid=peer, peer_writable=writable)
            return self._own(make, address, count)
