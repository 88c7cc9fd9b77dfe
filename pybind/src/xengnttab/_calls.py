# SPDX-License-Identifier: BSD-2-Clause
"""Calls of libxengnttab, with failures as exceptions.  The only module that uses cffi."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Sequence
from typing import Any

from xengnttab._native import ffi, lib
from xengnttab._numbers import PAGE_SIZE
from xengnttab.copy import CopyStatus, Place, Segment
from xengnttab.errors import (
    CopyError,
    DeviceError,
    DeviceMissingError,
    DevicePermissionError,
    MapError,
    ShareError,
    UnmapError,
)

# A pointer of cffi: a handle of the library.
CData = Any

# "no byte" and "no event" in a notification
NONE = 0xFFFFFFFF

# errnos of open when the node, or the driver behind it, is missing
MISSING = {errno.ENOENT, errno.ENXIO, errno.ENODEV}
NOT_PERMITTED = {errno.EACCES, errno.EPERM}


def module(device: str) -> str:
    """The command that loads the driver of a device."""
    if sys.platform.startswith("freebsd"):
        return "kldload xengnt"
    return f"modprobe xen-{device}"


def limit(device: str) -> str:
    """Where the limit of a device is set."""
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
        return DevicePermissionError(number, action, "by default only root may open it")
    return DeviceError(number, action)


def open_table() -> CData:
    handle = lib.xengnttab_open(lib.quiet_logger(), 0)
    if handle == ffi.NULL:
        raise _device_error("gntdev")
    os.set_inheritable(table_fd(handle), False)
    return handle


def open_share() -> CData:
    handle = lib.xengntshr_open(lib.quiet_logger(), 0)
    if handle == ffi.NULL:
        raise _device_error("gntalloc")
    # Like Xen's, the library leaves this descriptor open across exec.
    os.set_inheritable(share_fd(handle), False)
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
            # One errno for every grant error (row P14), and for too large a request (row M3).
            hint = (
                f"not granted to this domain {how}, the granting domain is gone, or more pages"
                f" at once than {limit('gntdev')}"
            )
        raise MapError(number, f"map grant {which} of domain {owners} {how}", hint)
    return int(ffi.cast("uintptr_t", address))


def map_grant_notify(
    handle: CData, domid: int, ref: int, writable: bool, offset: int | None, port: int | None
) -> int:
    """The address of one page, with a notification armed for the end of its mapping."""
    prot = lib.PROT_READ | (lib.PROT_WRITE if writable else 0)
    address = lib.xengnttab_map_grant_ref_notify(
        handle, domid, ref, prot, NONE if offset is None else offset, NONE if port is None else port
    )
    if address == ffi.NULL:
        action = f"map grant {ref} of domain {domid} with a notification"
        raise MapError(ffi.errno, action, _notify_hint(ffi.errno))
    return int(ffi.cast("uintptr_t", address))


def _notify_hint(number: int) -> str:
    if number == errno.EINVAL:
        return (
            "not granted to this domain, a byte to clear in a page not mapped for writing, or an"
            " event channel that is not this domain's"
        )
    return ""


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
            # Rows A3 and A5.
            hint = f"the grant table is full, or too many pages are shared ({limit('gntalloc')})"
        raise ShareError(number, f"share {count} pages with domain {domid}", hint)
    return int(ffi.cast("uintptr_t", address)), tuple(refs)


def share_page_notify(
    handle: CData, domid: int, writable: bool, offset: int | None, port: int | None
) -> tuple[int, tuple[int, ...]]:
    """As share_pages for one page, with a notification armed for the end of the sharing."""
    ref = ffi.new("uint32_t *")
    address = lib.xengntshr_share_page_notify(
        handle, domid, ref, int(writable),
        NONE if offset is None else offset, NONE if port is None else port,
    )  # fmt: skip
    if address == ffi.NULL:
        action = f"share a page with domain {domid} with a notification"
        raise ShareError(ffi.errno, action, _notify_hint(ffi.errno))
    return int(ffi.cast("uintptr_t", address)), (ref[0],)


def can_copy(handle: CData) -> bool:
    return bool(lib.xengnttab_grant_copy(handle, 0, ffi.NULL) == 0)


def copy(handle: CData, segments: Sequence[Segment]) -> list[CopyStatus]:
    """The status of each segment, after all have been tried."""
    array = ffi.new("xengnttab_grant_copy_segment_t[]", len(segments))
    buffers = []  # pinned until the copy is done
    try:
        for item, (source, dest, length) in zip(array, segments, strict=True):
            rooms = []
            for side, end, flag in (
                (item.source, source, lib.GNTCOPY_source_gref),
                (item.dest, dest, lib.GNTCOPY_dest_gref),
            ):
                if isinstance(end, Place):
                    side.foreign.domid, side.foreign.ref, side.foreign.offset = end
                    item.flags |= flag
                else:
                    local = ffi.from_buffer("char[]", end, require_writable=end is dest)
                    buffers.append(local)
                    side.virt = local
                    rooms.append(len(local))
            item.len = _length(length, rooms)
        if lib.xengnttab_grant_copy(handle, len(segments), array) != 0:
            raise CopyError(ffi.errno, f"copy {len(segments)} segments", _copy_hint(ffi.errno))
    finally:
        for local in buffers:
            ffi.release(local)
    return [CopyStatus(item.status) for item in array]


def _length(length: int | None, rooms: Sequence[int]) -> int:
    if length is None:
        if not rooms:
            raise ValueError("a segment without a buffer needs a length")
        length = min(rooms)
    if not 0 <= length <= PAGE_SIZE:
        raise ValueError(f"a segment of {length} bytes does not fit into a page")
    if any(length > room for room in rooms):
        raise ValueError(f"a segment of {length} bytes does not fit into its buffer")
    return length


def _copy_hint(number: int) -> str:
    if number == errno.ENOTTY:
        return "this kernel has no grant copy"
    if number == errno.EINVAL:
        return "a segment has no granted end, or reaches beyond its page"
    return ""


def dmabuf_errno(handle: CData) -> int:
    """The kernel's answer to a request for an impossible DMA buffer."""
    if lib.xengnttab_dmabuf_imp_release(handle, NONE) == 0:
        return 0
    return ffi.errno


def unshare_pages(handle: CData, address: int, count: int) -> None:
    if lib.xengntshr_unshare(handle, ffi.cast("void *", address), count) != 0:
        raise UnmapError(ffi.errno, f"unshare {count} pages")
