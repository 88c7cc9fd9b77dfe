# SPDX-License-Identifier: BSD-2-Clause
"""Errors of the kernel as exceptions: an errno, its name, and what was being done."""

from __future__ import annotations

import errno
import os

from xengnttab.copy import CopyStatus


class GrantError(OSError):
    """A grant operation that the kernel refused.

    `errno` and `strerror` are those of any OSError, `action` says what was tried, `hint` what the
    errno means here, where that is known.
    """

    def __init__(self, number: int, action: str, hint: str = "") -> None:
        super().__init__(number, os.strerror(number))
        self.action = action
        self.hint = hint

    @property
    def name(self) -> str:
        """The errno's name, such as EINVAL."""
        assert self.errno is not None
        return errno.errorcode.get(self.errno, f"errno {self.errno}")

    def __str__(self) -> str:
        text = f"cannot {self.action}: {self.strerror} ({self.name})"
        return f"{text}: {self.hint}" if self.hint else text

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), (self.errno, self.action, self.hint)


class DeviceError(GrantError):
    """The grant device cannot be opened."""


class DeviceMissingError(DeviceError, FileNotFoundError):
    """There is no grant device: its module is not loaded, or this is not a Xen domain."""


class DevicePermissionError(DeviceError, PermissionError):
    """The grant device exists, but this user may not open it."""


class MapError(GrantError):
    """Grants of another domain cannot be mapped."""


class ShareError(GrantError):
    """Pages cannot be granted to another domain."""


class EventError(GrantError):
    """An event channel that cannot be bound, signalled or read."""


class CopyError(GrantError):
    """A copy that the kernel refused as a whole, or one whose status is an error.

    `status` is that status, if known.  After a refusal it is unknown what was copied.
    """

    def __init__(
        self, number: int, action: str, hint: str = "", status: CopyStatus | None = None
    ) -> None:
        super().__init__(number, action, hint)
        self.status = status

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), (self.errno, self.action, self.hint, self.status)


class UnmapError(GrantError):
    """Ending a mapping or a sharing failed; the pages are closed nevertheless."""
