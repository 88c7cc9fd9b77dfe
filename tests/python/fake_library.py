# SPDX-License-Identifier: BSD-2-Clause
"""A fake libxengnttab for the package."""

from __future__ import annotations

import errno
import mmap
import os
from typing import Any

from xengnttab._native import ffi


class FakeLibrary:
    """libxengnttab as the package sees it: writes down the calls, fails on request.

    Memory is real, so that a use after unmap would be seen as one.
    """

    PROT_READ = mmap.PROT_READ
    PROT_WRITE = mmap.PROT_WRITE
    GNTCOPY_source_gref = 1
    GNTCOPY_dest_gref = 2

    def __init__(self) -> None:
        self.log: list[tuple[Any, ...]] = []
        self.failures: dict[str, int] = {}
        self.memory: dict[int, mmap.mmap] = {}
        self.statuses: dict[int, int] = {}
        self.table_fd, self.share_fd = (os.open(os.devnull, os.O_RDWR) for _ in range(2))

    def end(self) -> None:
        os.close(self.table_fd)
        os.close(self.share_fd)

    def _call(self, name: str, *args: Any) -> bool:
        """True if the call is to fail; sets errno as the library would."""
        self.log.append((name, *args))
        number = self.failures.pop(name, 0)
        ffi.errno = number or errno.EDOM
        return number != 0

    def names(self) -> list[str]:
        return [name for name, *_ in self.log]

    def _area(self, count: int) -> Any:
        memory = mmap.mmap(-1, count * mmap.PAGESIZE)
        pointer = ffi.from_buffer("char[]", memory)
        address = int(ffi.cast("uintptr_t", pointer))
        del pointer
        self.memory[address] = memory
        return ffi.cast("void *", address)

    def _gone(self, address: Any) -> None:
        del self.memory[int(ffi.cast("uintptr_t", address))]

    def quiet_logger(self) -> Any:
        return ffi.NULL

    def _open(self, name: str) -> Any:
        handle = "struct xengntdev_handle *"
        return ffi.NULL if self._call(name) else ffi.cast(handle, 0x1000)

    def xengnttab_open(self, _logger: Any, _flags: int) -> Any:
        return self._open("xengnttab_open")

    def xengntshr_open(self, _logger: Any, _flags: int) -> Any:
        return self._open("xengntshr_open")

    def xengnttab_close(self, _handle: Any) -> int:
        return -self._call("xengnttab_close")

    def xengntshr_close(self, _handle: Any) -> int:
        return -self._call("xengntshr_close")

    def xengnttab_fd(self, _handle: Any) -> int:
        return self.table_fd

    def xengntshr_fd(self, _handle: Any) -> int:
        return self.share_fd

    def xengnttab_set_max_grants(self, _handle: Any, count: int) -> int:
        return -self._call("xengnttab_set_max_grants", count)

    def xengnttab_map_grant_refs(
        self, _handle: Any, count: int, domids: Any, refs: Any, prot: int
    ) -> Any:
        if self._call("xengnttab_map_grant_refs", list(domids), list(refs), prot):
            return ffi.NULL
        return self._area(count)

    def xengnttab_map_grant_ref_notify(
        self, _handle: Any, domid: int, ref: int, prot: int, offset: int, port: int
    ) -> Any:
        if self._call("xengnttab_map_grant_ref_notify", domid, ref, prot, offset, port):
            return ffi.NULL
        return self._area(1)

    def xengnttab_grant_copy(self, _handle: Any, count: int, segs: Any) -> int:
        """Granted memory is all 'g'; the reference determines the status of a segment."""
        if self._call("xengnttab_grant_copy", count):
            return -1
        for segment in segs[0:count] if count else []:
            ref = 0
            if segment.flags & self.GNTCOPY_dest_gref:
                ref = segment.dest.foreign.ref
            if segment.flags & self.GNTCOPY_source_gref:
                ref = segment.source.foreign.ref
            segment.status = self.statuses.get(ref, 0)
            ends = [
                (end.foreign.domid, end.foreign.ref, end.foreign.offset)
                if segment.flags & flag
                else bytes(ffi.buffer(end.virt, segment.len))
                for end, flag in ((segment.source, 1), (segment.dest, 2))
            ]
            self.log.append(("segment", *ends, segment.len))
            if not segment.flags & self.GNTCOPY_dest_gref and not segment.status:
                ffi.memmove(segment.dest.virt, b"g" * segment.len, segment.len)
        return 0

    def xengnttab_dmabuf_imp_release(self, _handle: Any, _fd: int) -> int:
        return -self._call("xengnttab_dmabuf_imp_release")

    def xengnttab_unmap(self, _handle: Any, address: Any, count: int) -> int:
        if self._call("xengnttab_unmap", count):
            return -1
        self._gone(address)
        return 0

    def xengntshr_share_pages(
        self, _handle: Any, domid: int, count: int, refs: Any, writable: int
    ) -> Any:
        if self._call("xengntshr_share_pages", domid, count, writable):
            return ffi.NULL
        for number in range(count):
            refs[number] = 100 + number
        return self._area(count)

    def xengntshr_share_page_notify(
        self, _handle: Any, domid: int, ref: Any, writable: int, offset: int, port: int
    ) -> Any:
        if self._call("xengntshr_share_page_notify", domid, writable, offset, port):
            return ffi.NULL
        ref[0] = 100
        return self._area(1)

    def xengntshr_unshare(self, _handle: Any, address: Any, count: int) -> int:
        if self._call("xengntshr_unshare", count):
            return -1
        self._gone(address)
        return 0
