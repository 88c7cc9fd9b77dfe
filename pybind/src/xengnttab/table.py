# SPDX-License-Identifier: BSD-2-Clause
"""Grants of other domains."""

from __future__ import annotations

import errno
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, NamedTuple, Self

from xengnttab import _calls
from xengnttab._handle import Handle
from xengnttab._pages import PAGE_SIZE, Pages
from xengnttab.copy import CopyStatus, Place, Segment
from xengnttab.errors import CopyError

if TYPE_CHECKING:
    from typing_extensions import Buffer

MAX_DOMID = 0xFFFF
MAX_REF = 0xFFFFFFFF
MAX_PORT = 0xFFFFFFFE


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
        domid: int | Sequence[int],
        refs: int | Sequence[int],
        *,
        writable: bool = False,
        notify_byte: int | None = None,
        notify_port: int | None = None,
    ) -> Mapping:
        """Maps grants at consecutive addresses, all of them or none.

        domid is the domain that granted all the references, or a sequence with the domain of each.
        Raises MapError when the kernel or Xen refuses.

        For a single grant a notification can be armed, by which the peer learns that the mapping
        has ended, whatever ended it: the byte at `notify_byte` becomes zero (the page has to be
        `writable`), then the event channel with the local port `notify_port` is signalled.
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
        if check_notify(notify_byte, notify_port, len(wanted)):
            address = _calls.map_grant_notify(
                handle, owners[0], wanted[0], writable, notify_byte, notify_port
            )
        else:
            address = _calls.map_grants(handle, owners, wanted, writable)
        return Mapping(self, address, wanted, writable, owners)

    @property
    def can_copy(self) -> bool:
        """Whether `copy` works here."""
        return _calls.can_copy(self._live())

    def copy(self, segments: Iterable[Segment]) -> list[CopyStatus]:
        """Has the hypervisor copy between granted pages and memory, without mapping any.

        All segments are tried, in order; the list says what became of each.  Raises CopyError when
        the kernel refuses the request as a whole.

        >>> buffer = bytearray(64)
        >>> table.copy([Segment(Place(1, 8), buffer), Segment(b"answer", Place(1, 9, 16))])
        [<CopyStatus.OKAY: 0>, <CopyStatus.GENERAL_ERROR: -1>]
        """
        wanted = [item if isinstance(item, Segment) else Segment(*item) for item in segments]
        for segment in wanted:
            ends = [end for end in segment[:2] if isinstance(end, Place)]
            if not ends:
                raise ValueError("one end of a segment must be a place in a granted page")
            check("domain", [end.domid for end in ends], MAX_DOMID)
            check("grant reference", [end.ref for end in ends], MAX_REF)
            check("offset", [end.offset for end in ends], PAGE_SIZE)
        return _calls.copy(self._live(), wanted)

    def read(self, domid: int, ref: int, length: int = PAGE_SIZE, offset: int = 0) -> bytes:
        """A copy of bytes of a granted page; CopyError when they are not to be had."""
        buffer = bytearray(length)
        self._copy_one(Segment(Place(domid, ref, offset), buffer), f"copy from grant {ref}")
        return bytes(buffer)

    def write(self, domid: int, ref: int, data: Buffer, offset: int = 0) -> None:
        """Copies bytes into a granted page; CopyError when it is not granted for writing."""
        self._copy_one(Segment(data, Place(domid, ref, offset)), f"copy to grant {ref}")

    def _copy_one(self, segment: Segment, action: str) -> None:
        (status,) = self.copy([segment])
        if status:
            raise CopyError(errno.EIO, action, f"{status.text} ({status.value})", status)

    def set_max_grants(self, count: int) -> None:
        """Announces how many grants will be mapped at once; most kernels do not care."""
        check("limit", (count,), MAX_REF)
        _calls.set_max_grants(self._live(), count)


def check_notify(byte: int | None, port: int | None, pages: int) -> bool:
    """Whether a notification is wanted; ValueError for one that cannot be."""
    if byte is None and port is None:
        return False
    if pages != 1:
        raise ValueError(f"a notification is about one page, not {pages}")
    check("byte", [] if byte is None else [byte], PAGE_SIZE - 1)
    check("port", [] if port is None else [port], MAX_PORT)
    return True


def check(what: str, numbers: Sequence[int], largest: int) -> None:
    """ValueError for a number that the library would cut off."""
    for number in numbers:
        if not 0 <= number <= largest:
            raise ValueError(f"{what} {number} is not between 0 and {largest}")
