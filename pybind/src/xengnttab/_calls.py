# SPDX-License-Identifier: BSD-2-Clause
"""Calls of libxengnttab, with failures as exceptions.  The only module that sees cffi."""

from __future__ import annotations

import errno
import sys
from collections.abc import Sequence
from typing import Any

from xengnttab._native import ffi, lib
from xengnttab.errors import (
    DeviceError,
    DeviceMissingError,
    DevicePermissionError,
    MapError,
    ShareError,
    UnmapError,
)

# A pointer of cffi: a handle of the library.
CData = Any

# errno of an open without a driver behind the node, or without the node
MISSING = {errno.ENOENT, errno.ENXIO, errno.ENODEV}
NOT_PERMITTED = {errno.EACCES, errno.EPERM}


def module(device: str) -> str:
    """How to get the driver of a device."""
    if sys.platform.startswith("freebsd"):
        return "kldload xengnt"
    return f"modprobe xen-{device}"


def limit(device: str) -> str:
    """Where the limit of a device is."""
    if sys.platform.startswith("freebsd"):
        return f"sysctl hw.xen.{device}.limit"
    return f"/sys/module/xen_{device}/parameters/limit"


def _device_error(device: str) -> DeviceError:
    number = ffi.errno
    action = f"open /dev/xen/{device}"
    if number in MISSING:
        hint = f"not a Xen domain, or the driver is not loaded ({module(device)})"
        return DeviceMissingError(number, action, hint)
    if number in NOT_PERMITTED:
        return DevicePermissionError(number, action, "only root may, by default")
    return DeviceError(number, action)


def open_table() -> CData:
    handle = lib.xengnttab_open(lib.quiet_logger(), 0)
    if handle == ffi.NULL:
        raise _device_error("gntdev")
    return handle


def open_share() -> CData:
    handle = lib.xengntshr_open(lib.quiet_logger(), 0)
    if handle == ffi.NULL:
        raise _device_error("gntalloc")
    return handle


def close_table(handle: CData) -> None:
    if lib.xengnttab_close(handle) != 0:
        raise DeviceError(ffi.errno, "close /dev/xen/gntdev")


def close_share(handle: CData) -> None:
    if lib.xengntshr_close(handle) != 0:
        raise DeviceError(ffi.errno, "close /dev/xen/gntalloc")


def table_fd(handle: CData) -> int:
    return lib.xengnttab_fd(handle)


def share_fd(handle: CData) -> int:
    return lib.xengntshr_fd(handle)


def set_max_grants(handle: CData, count: int) -> None:
    if lib.xengnttab_set_max_grants(handle, count) != 0:
        raise MapError(ffi.errno, f"set the limit to {count} grants")


def map_grants(handle: CData, domids: Sequence[int], refs: Sequence[int], writable: bool) -> int:
    """The address of consecutive pages, one for each reference."""
    prot = lib.PROT_READ | (lib.PROT_WRITE if writable else 0)
    address = lib.xengnttab_map_grant_refs(
        handle, len(refs), ffi.new("uint32_t[]", domids), ffi.new("uint32_t[]", refs), prot
    )
    if address == ffi.NULL:
        number = ffi.errno
        owners = ", ".join(str(domid) for domid in sorted(set(domids)))
        which = ", ".join(str(ref) for ref in refs[:8]) + (", …" if len(refs) > 8 else "")
        how = "for writing" if writable else "for reading"
        hint = ""
        if number == errno.EINVAL:
            # One errno for every grant error (REFERENCE P14), and for too large a request (M3).
            hint = (
                f"not granted to this domain {how}, the granting domain is gone, or more pages"
                f" at once than {limit('gntdev')}"
            )
        raise MapError(number, f"map grant {which} of domain {owners} {how}", hint)
    return int(ffi.cast("uintptr_t", address))


def unmap_grants(handle: CData, address: int, count: int) -> None:
    if lib.xengnttab_unmap(handle, ffi.cast("void *", address), count) != 0:
        raise UnmapError(ffi.errno, f"unmap {count} grants")


def share_pages(
    handle: CData, domid: int, count: int, writable: bool
) -> tuple[int, tuple[int, ...]]:
    """The address of zeroed pages and their grant references."""
    refs = ffi.new("uint32_t[]", count)
    address = lib.xengntshr_share_pages(handle, domid, count, refs, int(writable))
    if address == ffi.NULL:
        number = ffi.errno
        hint = ""
        if number == errno.ENOSPC:
            # REFERENCE A3, A5
            hint = f"the grant table is full, or all users share {limit('gntalloc')} pages"
        raise ShareError(number, f"share {count} pages with domain {domid}", hint)
    return int(ffi.cast("uintptr_t", address)), tuple(refs)


def unshare_pages(handle: CData, address: int, count: int) -> None:
    if lib.xengntshr_unshare(handle, ffi.cast("void *", address), count) != 0:
        raise UnmapError(ffi.errno, f"unshare {count} pages")
