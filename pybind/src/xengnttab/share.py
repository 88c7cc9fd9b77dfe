# SPDX-License-Identifier: BSD-2-Clause
"""Pages granted to other domains."""

from __future__ import annotations

from typing import Self

from xengnttab import _calls
from xengnttab._handle import Handle
from xengnttab._pages import Pages
from xengnttab.table import MAX_DOMID, check

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

    def share(self, domid: int, pages: int = 1, *, writable: bool = False) -> SharedPages:
        """Makes zeroed pages and grants them to a domain, for writing too if `writable`.

        Raises ShareError when the kernel refuses.  A domain that has pages mapped when the
        sharing ends keeps them until it unmaps them.
        """
        check("domain", (domid,), MAX_DOMID)
        if not 1 <= pages <= MAX_PAGES:
            raise ValueError(f"{pages} is no number of pages")
        address, refs = _calls.share_pages(self._live(), domid, pages, writable)
        return SharedPages(self, address, refs, domid=domid, peer_writable=writable)
