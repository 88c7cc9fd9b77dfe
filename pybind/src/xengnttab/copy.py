# SPDX-License-Identifier: BSD-2-Clause
"""The parts of a grant copy: places, segments and their statuses."""

from enum import IntEnum
from typing import NamedTuple, Self

from xengnttab._types import Buffer


class CopyStatus(IntEnum):
    """The result of a segment: Xen's GNTST_ codes; true in a condition only for an error."""

    OKAY = 0
    GENERAL_ERROR = -1
    """not granted to this domain, or not for writing"""
    BAD_DOMAIN = -2
    """no such domain"""
    BAD_GNTREF = -3
    """a reference outside the domain's grant table"""
    BAD_HANDLE = -4
    BAD_VIRT_ADDR = -5
    BAD_DEV_ADDR = -6
    NO_DEVICE_SPACE = -7
    PERMISSION_DENIED = -8
    """Xen's security policy forbids it"""
    BAD_PAGE = -9
    """the page cannot be copied, such as a mapped grant on the local side"""
    BAD_COPY_ARG = -10
    ADDRESS_TOO_BIG = -11
    EAGAIN = -12
    NO_SPACE = -13

    @classmethod
    def _missing_(cls, value: object) -> Self | None:
        # A code of a newer Xen is an error as well.
        if not isinstance(value, int):
            return None
        status = int.__new__(cls, value)
        status._name_ = f"GNTST_{value}"
        status._value_ = value
        return status

    @property
    def text(self) -> str:
        """The status in words."""
        return self.name.lower().replace("_", " ")


class Place(NamedTuple):
    """The place in a domain's memory where a copy begins."""

    domid: int
    """the domain that granted the page"""
    ref: int
    """the page's grant reference"""
    offset: int = 0
    """where in the page the first byte is"""


class Segment(NamedTuple):
    """One part of a copy.  At least one of its ends is a place in a granted page."""

    source: Place | Buffer
    """where to copy from: a place, or a buffer of this process"""
    dest: Place | Buffer
    """where to copy to: a place, or a writable buffer of this process"""
    length: int | None = None
    """how many bytes; None: as long as the buffer"""
