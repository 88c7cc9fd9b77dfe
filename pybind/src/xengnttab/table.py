# SPDX-License-Identifier: BSD-2-Clause
"""Grants of other domains."""

from __future__ import annotations

import errno
from collections.abc import Iterable
from functools import partial
from typing import NamedTuple, Self, SupportsIndex, cast

from xengnttab import _calls
from xengnttab._handle import Handle
from xengnttab._numbers import (
    MAX_DOMID,
    MAX_REF,
    PAGE_SIZE,
    is_number,
    notification,
    number,
    numbers,
)
from xengnttab._pages import Pages
from xengnttab._types import Buffer
from xengnttab.copy import CopyStatus, Place, Segment
from xengnttab.errors import CopyError


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
        """Domain and reference of each page."""
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
        domid: SupportsIndex | Iterable[SupportsIndex],
        refs: SupportsIndex | Iterable[SupportsIndex],
        *,
        writable: bool = False,
        notify_byte: SupportsIndex | None = None,
        notify_port: SupportsIndex | None = None,
    ) -> Mapping:
        """Maps grants at consecutive addresses, all of them or none.

        domid is the domain that granted all the references, or a sequence with the domain of each.
        Raises MapError when the kernel or Xen refuses.

        For a single grant you can arm a notification, which tells the peer that the mapping has
        ended, for whatever reason: the byte at `notify_byte` becomes zero (the page has to be
        `writable`), then the event channel with the local port `notify_port` is signalled.
        """
        wanted = numbers("grant reference", _several(refs), MAX_REF)
        if not wanted:
            raise ValueError("no grant reference to map")
        owners = numbers("domain", _several(domid), MAX_DOMID)
        if is_number(domid):
            owners *= len(wanted)
        if len(owners) != len(wanted):
            raise ValueError(f"{len(owners)} domains for {len(wanted)} grant references")
        byte, port = notification(notify_byte, notify_port, len(wanted))
        with self._held() as handle:
            if byte is None and port is None:
                address = _calls.map_grants(handle, owners, wanted, writable)
            else:
                address = _calls.map_grant_notify(
                    handle, owners[0], wanted[0], writable, byte, port
                )
            make = partial(Mapping, self, address, wanted, writable, owners)
            return self._own(make, address, len(wanted))

    @property
    def can_copy(self) -> bool:
        """Whether `copy` works here."""
        with self._held() as handle:
            return _calls.can_copy(handle)

    def copy(self, segments: Iterable[Segment]) -> list[CopyStatus]:
        """Has the hypervisor copy between granted pages and memory, without mapping any.

        All segments are tried, in order; the list has the status of each.  Raises CopyError when
        the kernel refuses the request as a whole.

        >>> buffer = bytearray(64)
        >>> table.copy([Segment(Place(1, 8), buffer), Segment(b"answer", Place(1, 9, 16))])
        [<CopyStatus.OKAY: 0>, <CopyStatus.GENERAL_ERROR: -1>]
        """
        wanted = [_checked(Segment(*item)) for item in segments]
        with self._held() as handle:
            return _calls.copy(handle, wanted)

    def read(
        self,
        domid: SupportsIndex,
        ref: SupportsIndex,
        length: SupportsIndex = PAGE_SIZE,
        offset: SupportsIndex = 0,
    ) -> bytes:
        """Copies bytes out of a granted page; CopyError if Xen refuses."""
        buffer = bytearray(number("length", length, PAGE_SIZE))
        self._copy_one(Segment(_place(domid, ref, offset), buffer), f"copy from grant {ref}")
        return bytes(buffer)

    def write(
        self, domid: SupportsIndex, ref: SupportsIndex, data: Buffer, offset: SupportsIndex = 0
    ) -> None:
        """Copies bytes into a granted page; CopyError when it is not granted for writing."""
        self._copy_one(Segment(data, _place(domid, ref, offset)), f"copy to grant {ref}")

    def _copy_one(self, segment: Segment, action: str) -> None:
        (status,) = self.copy([segment])
        if status:
            raise CopyError(errno.EIO, action, f"{status.text} ({status.value})", status)

    def set_max_grants(self, count: SupportsIndex) -> None:
        """Announces how many grants will be mapped at once; most kernels ignore it."""
        wanted = number("limit", count, MAX_REF)
        with self._held() as handle:
            _calls.set_max_grants(handle, wanted)


def _several(value: SupportsIndex | Iterable[SupportsIndex]) -> Iterable[SupportsIndex]:
    if is_number(value):
        return (cast(SupportsIndex, value),)
    return cast(Iterable[SupportsIndex], value)


def _place(domid: SupportsIndex, ref: SupportsIndex, offset: SupportsIndex) -> Place:
    return Place(
        number("domain", domid, MAX_DOMID),
        number("grant reference", ref, MAX_REF),
        number("offset", offset, PAGE_SIZE),
    )


def _checked(segment: Segment) -> Segment:
    source, dest, length = segment
    if not isinstance(source, Place) and not isinstance(dest, Place):
        raise ValueError("one end of a segment must be a place in a granted page")
    return Segment(
        _place(*source) if isinstance(source, Place) else source,
        _place(*dest) if isinstance(dest, Place) else dest,
        None if length is None else number("length", length, PAGE_SIZE),
    )
