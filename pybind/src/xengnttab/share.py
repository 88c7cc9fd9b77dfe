# SPDX-License-Identifier: BSD-2-Clause
"""Pages granted to other domains."""

from __future__ import annotations

from typing import Self

from xengnttab import _calls
from xengnttab._handle import Handle
from xengnttab._pages import Pages
from xengnttab.table import MAX_DOMID, check, check_notify

MAX_PAGES = 0x7FFFFFFF


class SharedPages(Pages):
    """Pages of ours that a domain may map by `refs`, one for each page, in order.

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
        domid: int,
        pages: int = 1,
        *,
        writable: bool = False,
        notify_byte: int | None = None,
        notify_port: int | None = None,
    ) -> SharedPages:
        """Makes zeroed pages and grants them to a domain, for writing too if `writable`.

        Raises ShareError when the kernel refuses.  A domain that has pages mapped when the
        sharing ends keeps them until it unmaps them.

        For a single page a notification can be armed, by which the peer learns that the sharing
        has ended: the byte at `notify_byte` becomes zero, then the event channel with the local
        port `notify_port` is signalled.
        """
        check("domain", (domid,), MAX_DOMID)
        if not 1 <= pages <= MAX_PAGES:
            raise ValueError(f"{pages} is no number of pages")
        handle = self._live()
        if check_notify(notify_byte, notify_port, pages):
            address, refs = _calls.share_page_notify(
                handle, domid, writable, notify_byte, notify_port
            )
        else:
            address, refs = _calls.share_pages(handle, domid, pages, writable)
        return SharedPages(self, address, refs, domid=domid, peer_writable=writable)
