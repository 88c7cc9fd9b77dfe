# SPDX-License-Identifier: BSD-2-Clause
"""Refuses numbers that the library would truncate or misread."""

from __future__ import annotations

from collections.abc import Iterable
from operator import index
from typing import SupportsIndex

PAGE_SIZE = 4096
MAX_DOMID = 0xFFFF
# No domain has a number from 0x7FF0 on: Xen reserves them (DOMID_SELF, DOMID_IO, ...).
PEERS = 0x7FEF
MAX_REF = 0xFFFFFFFF
MAX_PORT = 0xFFFFFFFE
# 4 GiB: more than any grant table has entries for.
MAX_PAGES = 1 << 20


def number(what: str, value: SupportsIndex, largest: int, smallest: int = 0) -> int:
    """An int from any integer type; TypeError or ValueError names what was wrong."""
    try:
        found = index(value)
    except TypeError:
        kind = type(value).__name__
        raise TypeError(f"{what} must be an integer, not {kind} {value!r}") from None
    if not smallest <= found <= largest:
        raise ValueError(f"{what} {found} is not between {smallest} and {largest}")
    return found


def numbers(what: str, values: Iterable[SupportsIndex], largest: int) -> tuple[int, ...]:
    return tuple(number(what, value, largest) for value in values)


def is_number(value: object) -> bool:
    try:
        index(value)  # type: ignore[arg-type]
    except TypeError:
        return False
    return True


def notification(
    byte: SupportsIndex | None, port: SupportsIndex | None, pages: int
) -> tuple[int | None, int | None]:
    """The byte and the port of a notification, if any; ValueError if they are impossible."""
    if byte is None and port is None:
        return None, None
    if pages != 1:
        raise ValueError(f"a notification can only be armed for one page, not for {pages}")
    return (
        None if byte is None else number("byte", byte, PAGE_SIZE - 1),
        None if port is None else number("port", port, MAX_PORT),
    )
