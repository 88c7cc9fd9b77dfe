# SPDX-License-Identifier: BSD-2-Clause
"""Calls of libxenevtchn, which is loaded when an event channel is first used."""

from __future__ import annotations

import errno
import os
from functools import cache
from typing import Any

from xengnttab._calls import MISSING, NOT_PERMITTED, CData
from xengnttab._evtchn import ffi
from xengnttab.errors import DeviceError, DeviceMissingError, DevicePermissionError, EventError

SONAME = "libxenevtchn.so.1"


@cache
def library() -> Any:
    try:
        return ffi.dlopen(SONAME)
    except OSError:
        hint = "install libxenevtchn1 (Debian) or xen-tools (FreeBSD)"
        raise DeviceMissingError(errno.ENOENT, f"load {SONAME}", hint) from None


def open_events() -> CData:
    handle = library().xenevtchn_open(ffi.NULL, 0)
    if handle == ffi.NULL:
        number = ffi.errno
        action = "open /dev/xen/evtchn"
        if number in MISSING:
            hint = "not a Xen domain, or the driver is not loaded (Linux: modprobe xen-evtchn)"
            raise DeviceMissingError(number, action, hint)
        if number in NOT_PERMITTED:
            raise DevicePermissionError(number, action, "by default only root may open it")
        raise DeviceError(number, action)
    os.set_inheritable(events_fd(handle), False)
    # Reads must not block: another thread may have taken the event already.
    os.set_blocking(events_fd(handle), False)
    return handle


def close_events(handle: CData) -> None:
    if library().xenevtchn_close(handle) != 0:
        raise DeviceError(ffi.errno, "close /dev/xen/evtchn")


def events_fd(handle: CData) -> int:
    return int(library().xenevtchn_fd(handle))


def bind_unbound(handle: CData, domid: int) -> int:
    port = library().xenevtchn_bind_unbound_port(handle, domid)
    if port < 0:
        raise EventError(ffi.errno, f"make an event channel for domain {domid}")
    return int(port)


def bind_interdomain(handle: CData, domid: int, remote: int) -> int:
    port = library().xenevtchn_bind_interdomain(handle, domid, remote)
    if port < 0:
        raise EventError(ffi.errno, f"bind to event channel {remote} of domain {domid}")
    return int(port)


def notify(handle: CData, port: int) -> None:
    if library().xenevtchn_notify(handle, port) != 0:
        raise EventError(ffi.errno, f"signal event channel {port}")


def unmask(handle: CData, port: int) -> None:
    if library().xenevtchn_unmask(handle, port) != 0:
        raise EventError(ffi.errno, f"unmask event channel {port}")


def pending(handle: CData) -> int | None:
    """Takes an event and returns its port, which is now masked; None if there is no event."""
    port = library().xenevtchn_pending(handle)
    if port >= 0:
        return int(port)
    if ffi.errno in (errno.EAGAIN, errno.EWOULDBLOCK, errno.EINTR):
        return None
    raise EventError(ffi.errno, "read events")
