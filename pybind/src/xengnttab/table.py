# SPDX-License-Identifier: BSD-2-Clause
"""Grants of other domains."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Self

from xengnttab import _calls
from xengnttab._handle import Handle
from xengnttab._pages import Pages

MAX_DOMID = 0xFFFF
MAX_REF = 0xFFFFFFFF


class Grant(NamedTuple):
    """One granted page."""

    domid: int
    """the domain that granted it"""
    ref: int
    """its grant reference, valid in that domain's table"""


class Mapping(Pages):
    """Mapped grants: one page for each, in the order of the request."""

    domids: tuple[int, ...]

    def __new__(
        cls,
        handle: Handle,
        address: int,
        refs: tuple[int, ...],
        writable: bool,
        domids: tuple[int, ...] = (),
    ) -> Self:
        mapping = super().__new__(cls, handle, address, refs, writable)
        mapping.domids = domids
        return mapping

    @property
    def grants(self) -> tuple[Grant, ...]:
        return tuple(map(Grant, self.domids, self.refs))


class GrantTable(Handle):
    """The grant device, through which pages of other domains are mapped."""

    class calls:
        open = staticmethod(_calls.open_table)
        close = staticmethod(_calls.close_table)
        fd = staticmethod(_calls.table_fd)
        unmap = staticmethod(_calls.unmap_grants)

    def map(
        self,
        domid: int | Sequence[int],
        refs: int | Sequence[int],
        *,
        writable: bool = False,
    ) -> Mapping:
        """Maps grants at consecutive addresses, all of them or none.

        domid is the domain that granted all the references, or a sequence with the domain of each.
        Raises MapError when the kernel or Xen refuses.
        """
        wanted = (refs,) if isinstance(refs, int) else tuple(refs)
        owners = (domid,) * len(wanted) if isinstance(domid, int) else tuple(domid)
        if not wanted:
            raise ValueError("no grant reference to map")
        if len(owners) != len(wanted):
            raise ValueError(f"{len(owners)} domains for {len(wanted)} grant references")
        check("domain", owners, MAX_DOMID)
        check("grant reference", wanted, MAX_REF)
        handle = self._live()
        address = _calls.map_grants(handle, owners, wanted, writable)
        return Mapping(self, address, wanted, writable, owners)

    def set_max_grants(self, count: int) -> None:
        """Announces how many grants will be mapped at once; most kernels do not care."""
        check("limit", (count,), MAX_REF)
        _calls.set_max_grants(self._live(), count)


def check(what: str, numbers: Sequence[int], largest: int) -> None:
    """ValueError for a number that the library would cut off."""
    for number in numbers:
        if not 0 <= number <= largest:
            raise ValueError(f"{what} {number} is not between 0 and {largest}")
