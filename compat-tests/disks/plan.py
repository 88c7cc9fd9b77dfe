# SPDX-License-Identifier: BSD-2-Clause
"""What is measured, in which order, and how fio's lines are read.  Nothing here starts a
program."""

from __future__ import annotations

import itertools
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

MIB = 1 << 20
#: Where the images are in Dom0: a file system in memory.
IMAGES = "/tmp/images"
#: MiB of the media; works that need many rounds run on the middle one.
MEDIA = (64, 512, 4096)
MAIN_MEDIUM = 512
FORMATS = ("raw", "qcow2")


class Broken(ValueError):
    """A figure is missing, or the data differs from what was written."""


@dataclass(frozen=True)
class Backend:
    """Who serves a disk."""

    name: str
    title: str
    kind: str = "qdisk"  # of xl.cfg(5): qdisk or phy

    @property
    def formats(self) -> tuple[str, ...]:
        """A kernel's back end knows no image formats."""
        return FORMATS if self.kind == "qdisk" else ("raw",)


OURS = "ours"
THEIRS = "theirs"
BLKBACK = "blkback"
BACKENDS: dict[str, tuple[Backend, ...]] = {
    "freebsd": (
        Backend(OURS, "qdisk, our library and driver"),
        Backend(THEIRS, "qdisk, Xen's library and the base driver"),
        Backend(BLKBACK, "FreeBSD's blkback", "phy"),
    ),
    "linux": (
        Backend(OURS, "qdisk, our library"),
        Backend(THEIRS, "qdisk, Debian's library"),
        Backend(BLKBACK, "Linux's blkback on loop", "phy"),
    ),
}


@dataclass(frozen=True)
class Work:
    """What fio does: writes, then reads the same data back and compares it."""

    name: str
    title: str
    rw: str
    block: int
    depth: int
    amount: int  # bytes
    more: tuple[str, ...] = ()
    #: Whether reading back is a figure, too.
    reads: bool = True

    @property
    def requests(self) -> int:
        return self.amount // self.block


WORKS = {
    work.name: work
    for work in (
        Work("seq64k", "sequential, 64 KiB", "write", 64 << 10, 1, 24 * (64 << 10)),
        Work("seq1m", "sequential, 1 MiB", "write", MIB, 1, 4 * MIB),
        Work("rand1", "random, 4 KiB, depth 1", "randwrite", 4096, 1, 48 * 4096),
        Work("rand16", "random, 4 KiB, depth 16", "randwrite", 4096, 16, 160 * 4096),
        Work("fsync", "4 KiB, fsync after each", "write", 4096, 1, 24 * 4096, ("fsync=1",), False),
    )
}
#: On the other media and formats, and only in some of the rounds.
SHORT = ("seq64k", "rand16")
OTHERS = 2


@dataclass(frozen=True)
class Disk:
    """An image, who serves it to the guest, and its name there."""

    vdev: str
    backend: Backend
    format: str
    mib: int

    @property
    def path(self) -> str:
        return f"{IMAGES}/{self.vdev}.{self.format}"

    @property
    def device(self) -> str:
        return f"/dev/{self.vdev}"

    @property
    def empty(self) -> str:
        """The empty qcow2 image in Dom0's root."""
        return f"/guest/{self.mib}.qcow2"

    @property
    def make(self) -> str:
        """The command that makes the image."""
        if self.format == "qcow2":
            return f"cp {self.empty} {self.path} && chmod 600 {self.path}"
        return f"truncate -s {self.mib * MIB} {self.path}"


def devid(vdev: str) -> int:
    """The device's number in xenstore (xen-vbd-interface(7)); only for a to p."""
    number = ord(vdev.removeprefix("xvd")) - ord("a")
    if not 0 <= number < 16:
        raise ValueError(f"no number for {vdev}")
    return 202 << 8 | number << 4


@dataclass(frozen=True)
class Nodes:
    """A disk in xenstore, as libxl writes it; the states come last and start everything."""

    front: str
    back: str
    values: dict[str, str]


def nodes(domid: int, disk: Disk, physical: dict[str, str]) -> Nodes:
    """`physical` is what a hot-plug script would write for a kernel's back end."""
    number = devid(disk.vdev)
    front = f"/local/domain/{domid}/device/vbd/{number}"
    qdisk = disk.backend.kind == "qdisk"
    back = f"/local/domain/0/backend/{'qdisk' if qdisk else 'vbd'}/{domid}/{number}"
    form = "aio" if disk.format == "raw" else disk.format
    behind = {
        "frontend": front, "frontend-id": str(domid), "online": "1", "removable": "0",
        "bootable": "1", "dev": disk.vdev, "type": disk.backend.kind, "mode": "w",
        "device-type": "disk", "discard-enable": "1", "specification": "xen",
        "params": f"{form}:{disk.path}" if qdisk else disk.path, **({} if qdisk else physical),
    }  # fmt: skip
    before = {
        "backend": back, "backend-id": "0", "virtual-device": str(number), "device-type": "disk",
        "trusted": "1",
    }  # fmt: skip
    return Nodes(
        front, back,
        {**{f"{back}/{k}": v for k, v in behind.items()},
         **{f"{front}/{k}": v for k, v in before.items()}},
    )  # fmt: skip


def _vdevs() -> Iterable[str]:
    """xvdb, xvdc, …; xvda is the guest's own."""
    return (f"xvd{chr(ord('b') + n)}" for n in range(25))


@dataclass(frozen=True)
class Group:
    """Equal disks of different back ends, measured in turn, and what is done on them."""

    disks: tuple[Disk, ...]
    works: tuple[Work, ...]

    @property
    def name(self) -> str:
        return f"{self.disks[0].format} {self.disks[0].mib} MiB"

    @property
    def main(self) -> bool:
        """Whether it is measured in each round, with all works."""
        return (self.disks[0].format, self.disks[0].mib) == ("raw", MAIN_MEDIUM)


def due(of: Sequence[Group], round_: int) -> list[Group]:
    """The groups of a round: all but the main one take part only in some."""
    found = [group for group in of if group.main or round_ % OTHERS == 0]
    return found or list(of)


def groups(dom0: str, only: Sequence[str] = ()) -> list[Group]:
    """All groups of a Dom0, or those that the words of `only` leave; each word narrows its own
    kind."""
    vdevs = iter(_vdevs())
    found = []
    for form, mib in itertools.product(FORMATS, MEDIA):
        # A disk keeps its name whatever else is left out.
        every = [Disk(next(vdevs), b, form, mib) for b in BACKENDS[dom0] if form in b.formats]
        disks = tuple(d for d in every if _wanted(d.backend.name, _BACKEND_WORDS, only))
        works = tuple(
            work
            for work in WORKS.values()
            if (form, mib) == ("raw", MAIN_MEDIUM) or work.name in SHORT
            if _wanted(work.name, tuple(WORKS), only)
        )
        wanted = _wanted(form, FORMATS, only) and _wanted(str(mib), _MEDIUM_WORDS, only)
        if disks and works and wanted and _wanted(dom0, tuple(BACKENDS), only):
            found.append(Group(disks, works))
    return found


_BACKEND_WORDS = (OURS, THEIRS, BLKBACK)
_MEDIUM_WORDS = tuple(map(str, MEDIA))
#: What --only understands.
WORDS = (*BACKENDS, *_BACKEND_WORDS, *FORMATS, *_MEDIUM_WORDS, *WORKS)


def _wanted(name: str, words: Sequence[str], only: Sequence[str]) -> bool:
    chosen = [word for word in only if word in words]
    return not chosen or name in chosen


def check_only(only: Sequence[str]) -> None:
    """ValueError for an unknown word."""
    if unknown := [word for word in only if word not in WORDS]:
        raise ValueError(f"--only: no {unknown[0]!r} (there are {', '.join(WORDS)})")


# ---------------------------------------------------------------- fio

_GLOBAL = f"""[global]
stonewall
thread
direct=1
ioengine=io_uring
gtod_reduce=1
allow_file_create=0
randrepeat=1
verify=pattern
verify_interval={4096}
verify_fatal=1
do_verify=1
"""


def salt(number: int, round_: int) -> int:
    """Another pattern in each job of each round, so that old data is not taken for new."""
    return (round_ % 251 + 1) << 24 | (number + 1) << 8 | 0x5A


def job_file(group: Group, round_: int, amount: float = 1.0) -> str:
    """fio's jobs for a group: each work on all disks in turn, starting with another disk in each
    round."""
    text = [_GLOBAL]
    number = 0
    for work in group.works:
        first = (round_ if group.main else round_ // OTHERS) % len(group.disks)
        for disk in (*group.disks[first:], *group.disks[:first]):
            blocks = max(round(work.requests * amount), 1)
            text.append("\n".join([
                f"[{disk.vdev}:{work.name}]", f"filename={disk.device}", f"size={disk.mib}m",
                f"rw={work.rw}", f"bs={work.block}", f"iodepth={work.depth}",
                f"io_size={blocks * work.block}",
                f"verify_pattern=0x{salt(number, round_):08x}%o", *work.more, "",
            ]))  # fmt: skip
            number += 1
    return "".join(text)


#: Fields of fio's terse output, version 3: name, error, KiB and ms read, KiB and ms written.
FIELDS = "3,5,6,9,47,50"


@dataclass(frozen=True)
class Figure:
    """One work on one disk in one round."""

    backend: str
    format: str
    mib: int
    work: str
    way: str  # read or write
    amount: int  # bytes
    ms: int

    @property
    def us_each(self) -> float:
        """Microseconds for a request."""
        return self.ms * 1000 / (self.amount / WORKS[self.work].block)

    @property
    def place(self) -> Place:
        return Place(self.format, self.mib, self.work, self.way)


@dataclass(frozen=True)
class Place:
    """A row of the tables."""

    format: str
    mib: int
    work: str
    way: str

    @property
    def title(self) -> str:
        return f"{self.format}, {self.mib} MiB, {WORKS[self.work].title}, {self.way}"


def figures(group: Group, lines: Iterable[str]) -> list[Figure]:
    """Reads what `cut` left of fio's lines; every job must be there, without an error."""
    found = []
    disks = {disk.vdev: disk for disk in group.disks}
    missing = {(vdev, work.name) for vdev in disks for work in group.works}
    for line in lines:
        words = line.strip().split(";")
        vdev, _, name = words[0].partition(":")
        if (vdev, name) not in missing:
            continue
        try:
            error, read, read_ms, written, written_ms = map(int, words[1:])
        except ValueError:
            raise Broken(f"not a line of fio's: {line.strip()!r}") from None
        work, disk = WORKS[name], disks[vdev]
        where = f"{disk.backend.title}, {group.name}, {work.title}"
        if error:
            raise Broken(f"{where}: fio says error {error}")
        if read != written or written <= 0:
            raise Broken(f"{where}: {written} KiB written, {read} read back")
        missing.remove((vdev, name))
        ways = [("write", written, written_ms)] + [("read", read, read_ms)] * work.reads
        for way, kib, ms in ways:
            found.append(Figure(disk.backend.name, disk.format, disk.mib, name, way, kib << 10,
                                max(ms, 1)))  # fmt: skip
    if missing:
        vdev, name = min(missing)
        raise Broken(f"fio has no figure of {disks[vdev].backend.title}, {group.name}, {name}")
    return found


# ---------------------------------------------------------------- results


@dataclass(frozen=True)
class Round:
    """All groups once, and the cost of a trip to Xen at that time."""

    number: int
    unit: float  # µs
    figures: tuple[Figure, ...]


@dataclass(frozen=True)
class Cost:
    """What a work cost in Dom0, counting all of its processor time."""

    backend: str
    format: str
    mib: int
    work: str
    amount: int  # bytes, both ways
    requests: int  # that the guest's driver made
    seconds: float  # of Dom0's processor
    copies: int | None = None  # grant copies, where our driver counts them
    calls: int | None = None  # hypercalls that made them

    @property
    def per_gib(self) -> float:
        return self.seconds / self.amount * 2**30

    @property
    def us_each(self) -> float:
        return self.seconds * 1e6 / self.requests


@dataclass(frozen=True)
class Call:
    """A kind of QEMU's system calls, or "QEMU itself": everything between two calls."""

    name: str
    each: float  # number for each request of the guest
    us: float  # for each request, without the clock's own cost


#: What xengnt-kernelcosts times.
KERNEL = {
    "trip": "a trip to Xen and back (CPUID)",
    "call": "a system call that does nothing",
    "poll": "ppoll of 16 descriptors, one of them ready",
    "wake": "waking a thread by a byte in a pipe",
    "event": "waking a thread by an event: notify, ppoll, read, unmask",
    "read": "pread of 64 KiB of an image",
    "write": "pwrite of 64 KiB of an image",
}


@dataclass
class Machine:
    """One Dom0's boot, or several with the same plan."""

    dom0: str
    facts: dict[str, str]
    rounds: list[Round]
    costs: list[Cost]
    profiles: dict[str, list[Call]]  # by "BACKEND WORK"
    kernel: dict[str, float] = field(default_factory=dict)  # ns of what xengnt-kernelcosts times

    def places(self) -> list[Place]:
        return list(dict.fromkeys(f.place for r in self.rounds for f in r.figures))

    def samples(self, place: Place, backend: str) -> dict[int, float]:
        """µs for a request, by number of the round."""
        return {
            r.number: f.us_each
            for r in self.rounds
            for f in r.figures
            if f.place == place and f.backend == backend
        }

    def units(self) -> dict[int, float]:
        return {r.number: r.unit for r in self.rounds}

    def gauged(self, place: Place, backend: str) -> list[float]:
        """A request in trips to Xen of the same round, for comparing boots."""
        units = self.units()
        return [us / units[number] for number, us in self.samples(place, backend).items()]

    def ratio(self, place: Place, dearer: str, cheaper: str) -> float | None:
        """How many times as fast the second is, round by round."""
        a, b = self.samples(place, dearer), self.samples(place, cheaper)
        common = [a[n] / b[n] for n in a if n in b]
        return statistics.median(common) if common else None
