# SPDX-License-Identifier: BSD-2-Clause
"""What Linux's gntdev and gntalloc do, in the plainest words.

Lists and loops only, nothing shared with the driver.  Every call returns the name of an errno or
``ok``; values come on the side.  One byte of each page stands for all of it.
"""

from __future__ import annotations

from dataclasses import dataclass, field

PAGE = 4096
# The byte that is stored and checked, and also the one that CLEAR_BYTE clears.
BYTE = 16
OKAY, GENERAL_ERROR = 0, -1
CLEAR_BYTE = 1


@dataclass
class PeerPage:
    """A page of the helper domain and the reference that grants it."""

    ref: int
    granted: bool
    readonly: bool
    byte: int = 0


@dataclass(eq=False)
class Map:
    """One MAP_GRANT_REF request."""

    file: File
    pages: list[PeerPage]
    index: int = 0
    listed: bool = True
    in_use: bool = False
    readonly: bool = False
    # Grants that are mapped, by position.
    live: set[int] = field(default_factory=set)
    notify: int | None = None  # page of the byte, when CLEAR_BYTE is armed

    @property
    def count(self) -> int:
        return len(self.pages)


@dataclass(eq=False)
class Gref:
    """One page of gntalloc."""

    file: File
    index: int
    ref: int
    listed: bool = True
    users: int = 1
    byte: int = 0
    notify: bool = False


@dataclass(eq=False)
class Vma:
    """What one mmap has made; some of its pages may be gone."""

    file: File
    address: int
    writable: bool
    map: Map | None
    grefs: list[Gref]
    left: set[int] = field(default_factory=set)

    @property
    def count(self) -> int:
        return self.map.count if self.map is not None else len(self.grefs)


@dataclass(eq=False)
class File:
    alloc: bool
    readable: bool
    writable: bool
    descriptors: list[int] = field(default_factory=list)
    maps: list[Map] = field(default_factory=list)
    grefs: list[Gref] = field(default_factory=list)
    next_index: int = 0
    # The requests of ALLOC: first index and count.
    requests: list[tuple[int, int]] = field(default_factory=list)


class Linux:
    def __init__(self, peer: list[PeerPage]) -> None:
        self.peer = peer
        self.files: list[File] = []
        self.vmas: list[Vma] = []
        self.maps: list[Map] = []  # that live
        self.grefs: list[Gref] = []

    # Files (2.1)

    def opened(self, alloc: bool, mode: str, fd: int) -> File:
        file = File(alloc, mode != "wronly", mode != "rdonly", [fd])
        self.files.append(file)
        return file

    def closed(self, file: File, fd: int) -> None:
        file.descriptors.remove(fd)
        self._release(file)

    def _release(self, file: File) -> None:
        """O8, O9: happens with the last descriptor and the last VMA of the file."""
        if file.descriptors or any(vma.file is file for vma in self.vmas):
            return
        for map_ in list(file.maps):
            self._unlist(map_)
        for gref in list(file.grefs):
            self._drop(gref)
        if file in self.files:
            self.files.remove(file)

    # gntdev (2.2 to 2.6)

    def map(self, file: File, pages: list[PeerPage]) -> tuple[str, int]:
        if file.alloc:
            return "ENOTTY", 0
        if not pages:
            return "EINVAL", 0
        new = Map(file, pages)
        candidate, place = 0, 0
        for place, other in enumerate(file.maps):  # noqa: B007 - used after the loop
            if candidate + new.count < other.index:
                break
            candidate = other.index + other.count
        else:
            place = len(file.maps)
        new.index = candidate
        file.maps.insert(place, new)
        self.maps.append(new)
        return "ok", candidate * PAGE

    def _unlist(self, map_: Map) -> None:
        map_.listed = False
        map_.file.maps.remove(map_)
        self._last_put(map_)

    def _last_put(self, map_: Map) -> None:
        if map_.listed or any(vma.map is map_ for vma in self.vmas):
            return
        if map_.notify in map_.live and not map_.readonly:
            map_.pages[map_.notify or 0].byte = 0
        map_.live.clear()
        self.maps.remove(map_)

    def unmap(self, file: File, index: int, count: int) -> str:
        if file.alloc:
            return "ENOTTY"
        for map_ in file.maps:
            if map_.index == index // PAGE and count in (0, map_.count):
                self._unlist(map_)
                return "ok"
        return "ENOENT"

    def notify(self, file: File, index: int, action: int) -> str:
        if file.alloc:
            for gref in file.grefs:
                if gref.index == index - index % PAGE:
                    if action & ~3:
                        return "EINVAL"
                    gref.notify = action == CLEAR_BYTE
                    return "ok"
            return "ENOENT"
        if action & ~3:
            return "EINVAL"
        for map_ in file.maps:
            if map_.index <= index // PAGE < map_.index + map_.count:
                if action == CLEAR_BYTE and map_.in_use and map_.readonly:
                    return "EINVAL"
                map_.notify = index // PAGE - map_.index if action == CLEAR_BYTE else None
                return "ok"
        return "ENOENT"

    def offset(self, vma: Vma) -> tuple[str, int, int]:
        if vma.map is None:
            return "EINVAL", 0, 0
        return "ok", vma.map.index * PAGE, vma.map.count

    # gntalloc (2.10 to 2.13)

    def alloc(self, file: File, count: int) -> tuple[str, int]:
        if not file.alloc:
            return "ENOTTY", 0
        index = file.next_index
        file.next_index += count * PAGE
        if count:
            file.requests.append((index, count))
        return "ok", index

    def granted(self, file: File, index: int, refs: list[int]) -> None:
        """Records the references of an ALLOC's new pages."""
        for n, ref in enumerate(refs):
            gref = Gref(file, index + n * PAGE, ref)
            file.grefs.append(gref)
            self.grefs.append(gref)

    def _run(self, file: File, index: int, count: int) -> list[Gref]:
        found = {gref.index: gref for gref in file.grefs}
        wanted = [index + n * PAGE for n in range(count)]
        return [found[at] for at in wanted] if wanted and all(w in found for w in wanted) else []

    def dealloc(self, file: File, index: int, count: int) -> str:
        if not file.alloc:
            return "ENOTTY"
        run = self._run(file, index, count)
        for gref in run:
            self._drop(gref)
        return "ok" if run else "EINVAL"

    def _drop(self, gref: Gref) -> None:
        gref.listed = False
        gref.file.grefs.remove(gref)
        self._put(gref)

    def _put(self, gref: Gref) -> None:
        gref.users -= 1
        if gref.users == 0:
            self.grefs.remove(gref)

    # Both: mmap and munmap (2.3, 2.13, 2.9)

    def mmap(self, file: File, index: int, count: int, write: bool) -> tuple[str, Vma | None]:
        if not file.readable or (write and not file.writable):
            return "EACCES", None  # P3, P4
        if file.alloc:
            return self._mmap_alloc(file, index, count, write)
        map_ = next((m for m in file.maps if m.index * PAGE == index and m.count == count), None)
        if map_ is None or map_.in_use:
            return "EINVAL", None  # P8, P9, P10
        map_.in_use = True
        map_.readonly = not write
        good = {
            n for n, page in enumerate(map_.pages) if page.granted and not (write and page.readonly)
        }
        map_.live = good
        if len(good) != count:
            return "EINVAL", None  # P14: the good ones stay mapped
        return "ok", self._vma(Vma(file, 0, write, map_, []))

    def _mmap_alloc(
        self, file: File, index: int, count: int, write: bool
    ) -> tuple[str, Vma | None]:
        if not file.writable:
            return "EINVAL", None  # B2 by P5
        run = self._run(file, index, count)
        if not run:
            return "ENOENT", None
        for gref in run:
            gref.users += 1
        return "ok", self._vma(Vma(file, 0, write, None, run))

    def _vma(self, vma: Vma) -> Vma:
        vma.left = set(range(vma.count))
        self.vmas.append(vma)
        return vma

    def munmap(self, vma: Vma, first: int, count: int) -> None:
        vma.left -= set(range(first, first + count))
        if vma.left:
            return  # V2, B11: every piece counts
        self.vmas.remove(vma)
        if vma.map is not None:
            self._last_put(vma.map)
        for gref in vma.grefs:
            self._put(gref)
        self._release(vma.file)

    # Contents

    def store(self, vma: Vma, page: int, byte: int) -> None:
        if vma.map is not None:
            vma.map.pages[page].byte = byte
        else:
            vma.grefs[page].byte = byte

    def load(self, vma: Vma, page: int) -> int:
        return vma.map.pages[page].byte if vma.map is not None else vma.grefs[page].byte

    def copy(self, page: PeerPage, into: bool) -> int:
        """Status of a copy out of a peer's page or into it (C15, C18)."""
        if not page.granted or (into and page.readonly):
            return GENERAL_ERROR
        return OKAY

    # What can be seen from outside

    def state(self, page: PeerPage) -> str:
        users = [m for m in self.maps for n in m.live if m.pages[n] is page]
        if any(not m.readonly for m in users):
            return "mapped rw"
        return "mapped ro" if users else "not mapped"

    def in_force(self, ref: int) -> bool:
        return any(gref.ref == ref for gref in self.grefs)
