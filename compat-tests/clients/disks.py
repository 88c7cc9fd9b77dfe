# SPDX-License-Identifier: BSD-2-Clause
"""The guest's disks, and the steps that read and write them."""

from __future__ import annotations

from dataclasses import dataclass

from .guests import (
    Figures,
    Run,
    create_guest,
    destroy_guest,
    ensure_guest,
    numbers,
    reboot_guest,
)
from .places import MEMORY, UFS
from .shell import Failed, Guest

MIB = 1 << 20

# Around the sizes of a page, a sector, a ring segment, several requests.
SIZES_SHORT = (0, 1, 511, 4095, 4096, 4097, 65536, 1048579)
SIZES = (*SIZES_SHORT, 8 * MIB + 1)
SIZES_LONG = (*SIZES, 64 * MIB)

_MEDIA = (16 * MIB, 256 * MIB, 2048 * MIB, 16384 * MIB)
_MEDIA_PASSES = 2
#: KiB that fio writes in each pass, anywhere on the medium.
_MEDIA_KIB = 3072


@dataclass(frozen=True)
class Disk:
    """An image, and the guest's name for it."""

    vdev: str
    format: str  # raw or qcow2
    place: str
    size: int
    access: str = "rw"

    @property
    def path(self) -> str:
        return f"{self.place}/{self.vdev}.{self.format}"

    @property
    def device(self) -> str:
        return f"/dev/{self.vdev}"

    @property
    def line(self) -> str:
        """In the syntax of xl.cfg(5) and `xl block-attach`."""
        return (
            f"format={self.format},vdev={self.vdev},access={self.access},backendtype=qdisk,"
            f"target={self.path}"
        )

    @property
    def arguments(self) -> list[str]:
        """In the syntax of QEMU's own command line; libxl does not know such a disk."""
        read_only = f"read-only={'on' if self.access == 'ro' else 'off'}"
        image = f"file.driver=file,file.filename={self.path},file.{read_only}"
        return [
            "-blockdev", f"driver={self.format},node-name={self.vdev},{read_only},{image}",
            "-device", f"xen-disk,vdev={self.vdev},drive={self.vdev}",
        ]  # fmt: skip

    @property
    def empty(self) -> str:
        """An empty qcow2 image of this size, in Dom0's own image."""
        return f"/guest/{self.size // MIB}.qcow2"

    @property
    def make(self) -> str:
        """The command that makes the image."""
        if self.format == "qcow2":
            return f"cp {self.empty} {self.path} && chmod 600 {self.path}"
        return f"rm -f {self.path} && truncate -s {self.size} {self.path}"


SYSTEM = Disk("xvda", "qcow2", UFS, 256 * MIB)
MAIN = (
    SYSTEM,
    Disk("xvdb", "raw", UFS, 256 * MIB),
    Disk("xvdc", "qcow2", MEMORY, 256 * MIB),
    Disk("xvdd", "raw", MEMORY, 256 * MIB),
)
MEDIA = tuple(
    Disk(f"xvd{'efghijkl'[n]}", form, place, size)
    for n, (size, (form, place)) in enumerate(
        (size, kind) for size in _MEDIA for kind in (("raw", UFS), ("qcow2", MEMORY))
    )
)
READ_ONLY = Disk("xvdm", "raw", MEMORY, 4 * MIB, "ro")
#: The workaround for a QEMU that refuses the former (docs/known-problems.md).
SERVED = Disk("xvdo", "raw", MEMORY, 4 * MIB, "ro")
#: A whole number neither of pages nor of sectors.
ODD = Disk("xvdn", "raw", UFS, MIB + 3 * 512 + 100)
ATTACHED = Disk("xvdp", "qcow2", MEMORY, 256 * MIB)
#: The FreeBSD guest's.
FREEBSD = (
    Disk("xvda", "qcow2", f"{UFS}/freebsd", 256 * MIB),
    Disk("xvdb", "raw", f"{MEMORY}/freebsd", 256 * MIB),
)
#: Sizes of the empty qcow2 images that the steps copy.
QCOW2_SIZES = sorted({d.size for d in (*MAIN, *MEDIA, ATTACHED, *FREEBSD) if d.format == "qcow2"})


def _copied(run: Run, before: dict[str, int], written: int) -> Figures:
    """What our driver has counted since `before`: QEMU moves a disk's data by grant copy."""
    after = run.dom0.counters()
    if not after:
        return {}
    ops = after["gntdev.copy_ops"] - before["gntdev.copy_ops"]
    amount = after["gntdev.copy_bytes"] - before["gntdev.copy_bytes"]
    if ops <= 0 or amount < written:
        raise Failed(f"{written} bytes were written, {amount} copied by {ops} grant copies")
    if after["gntdev.maps"] < 1:
        raise Failed("the driver counts no mapping: no ring is mapped")
    return {"grant copies": ops, "MiB copied": amount / MIB}


def check_disk(run: Run, guest: Guest, device: str, path: str, sizes: tuple[int, ...]) -> Figures:
    """The guest makes a file system, fills it, reads it back, changes it and checks it."""
    status, said = guest.run(
        f"disk {device} {' '.join(map(str, sizes))}", show=run.dom0.writing(path)
    )
    found = numbers(said, "disk")
    if status != 0 or found["fsck"] != 0 or found["files"] != len(sizes):
        raise Failed(f"guest: {device}: {said.strip().splitlines()[-1]}")
    return {"s": found["end"] - found["begin"]}


def _offer(run: Run, guest: Guest, disk: Disk) -> None:
    """Makes an image and tells xl to give it to the running guest."""
    run.dom0.must(disk.make, f"making {disk.path}")
    run.dom0.must(
        f"{run.tool('xl')} block-attach {guest.name} '{disk.line}' >/tmp/attach.log 2>&1",
        "xl block-attach",
    )


def attach(run: Run, guest: Guest, disk: Disk) -> None:
    """Gives the running guest a new disk, and waits until it has the device."""
    _offer(run, guest, disk)
    guest.must(_until(f"[ -b {disk.device} ]", _SLOW))


def detach(run: Run, guest: Guest, disk: Disk) -> int:
    """Takes a disk from the running guest; returns how often xl had to be called.

    QEMU removes its end from xenstore as soon as it is closed.  xl, which waits for "closed", may
    find nothing and then fails; a second call finishes the work (docs/known-problems.md).
    """
    command = f"{run.tool('xl')} block-detach {guest.name} {disk.vdev} >/tmp/detach.log 2>&1"
    calls = 1
    if run.dom0.run(command)[0] != 0:
        said = run.dom0.run("cat /tmp/detach.log")[1]
        if "unable to remove device with path" not in said:
            raise Failed(f"xl block-detach: {said.splitlines()[:1]}")
        run.dom0.must(command, "xl block-detach, the second time")
        calls = 2
    guest.must(_until(f"[ ! -b {disk.device} ]", _SLOW))
    return calls


#: Seconds in which a disk must appear or disappear.  QEMU on the base driver has taken more than 30
#: on a busy machine.
_SLOW = 120


def _until(condition: str, seconds: int = 20) -> str:
    """A command of the guest that waits for a condition, for at most this many of its seconds."""
    return (
        f"i=0; until {condition}; do i=$((i + 1)); [ $i -lt {seconds * 5} ] || break; sleep 0.2;"
        f" done; {condition}"
    )


def _sizes(run: Run, disk: Disk) -> tuple[int, ...]:
    if not run.thorough:
        return SIZES_SHORT
    return SIZES_LONG if disk is SYSTEM else SIZES


def qdisk(run: Run) -> Figures:
    """On raw and qcow2 images in a file system and in memory."""
    guest = ensure_guest(run)
    before = run.dom0.counters()
    figures: Figures = {}
    written = 0
    for disk in MAIN[1:]:
        attach(run, guest, disk)
    for disk in MAIN:
        sizes = _sizes(run, disk)
        found = check_disk(run, guest, disk.device, disk.path, sizes)
        written += sum(sizes)
        figures[f"{disk.format} {run.place(disk.place)} s"] = found["s"]
        used = run.dom0.size(disk.path)
        if used < sum(sizes):
            raise Failed(f"{disk.path} has only {used} bytes")
    figures["MiB written"] = written / MIB
    figures["fsck"] = 0
    return {**figures, **_copied(run, before, written)}


def qdisk_freebsd(run: Run) -> Figures:
    """The FreeBSD guest's disks: UFS, its own tools."""
    guest = run.other
    if guest is None:
        raise Failed("there is no FreeBSD guest")
    try:
        return _check_freebsd(run, guest)
    finally:
        destroy_guest(run, guest)
        run.other = None


def _check_freebsd(run: Run, guest: Guest) -> Figures:
    before = run.dom0.counters()
    figures: Figures = {}
    written = 0
    for number, disk in enumerate(FREEBSD):
        sizes = SIZES_LONG if run.thorough and number == 0 else SIZES
        found = check_disk(run, guest, f"/dev/xbd{number}", disk.path, sizes)
        written += sum(sizes)
        figures[f"{disk.format} s"] = found["s"]
    figures["MiB written"] = written / MIB
    figures["fsck"] = 0
    return {**figures, **_copied(run, before, written)}


def qdisk_media(run: Run) -> Figures:
    """Media of several sizes: random writes that fio verifies, then files and fsck."""
    guest = ensure_guest(run)
    before = run.dom0.counters()
    written = 0
    for disk in MEDIA:
        kib = min(_MEDIA_KIB, disk.size // 1024 // 2)
        attach(run, guest, disk)
        said = guest.must(
            f"media {disk.device} {kib} {_MEDIA_PASSES}", show=run.dom0.writing(disk.path)
        )
        found = numbers(said, "media")
        if found["sectors"] != disk.size // 512 or found["passes"] != _MEDIA_PASSES:
            raise Failed(f"guest: {disk.device}: {said.strip().splitlines()[-1]}")
        check_disk(run, guest, disk.device, disk.path, SIZES_SHORT)
        written += int(found["kib"]) * 1024 + sum(SIZES_SHORT)
        detach(run, guest, disk)
        run.dom0.must(f"rm {disk.path}")
    return {
        "media": len(MEDIA),
        "largest GiB": max(_MEDIA) // 2**30,
        "MiB written": written / MIB,
        "verify errors": 0,
        **_copied(run, before, written),
    }


def _fill(disk: Disk, mib: int) -> str:
    """A shell command that writes random bytes and compares the disk with them."""
    name = f"/tmp/fill.{disk.vdev}"
    return (
        f"head -c {mib * MIB} /dev/urandom >{name}"
        f" && dd if={name} of={disk.device} bs=256k conv=fsync 2>/dev/null"
        f" && dd if={disk.device} bs=256k count={mib * 4} iflag=direct 2>/dev/null | cmp - {name}"
        f" && rm {name}"
    )


def qdisk_many(run: Run) -> Figures:
    """Four disks at once; one attached and detached; one read-only; one of an odd size."""
    guest, dom0 = ensure_guest(run), run.dom0
    before = dom0.counters()
    mib = 4
    for disk in MAIN[1:]:
        if guest.run(f"[ -b {disk.device} ]")[0] != 0:
            attach(run, guest, disk)
    # Each in its own process; all must succeed.
    jobs = "; ".join(f"( {_fill(disk, mib)} ) & p{n}=$!" for n, disk in enumerate(MAIN))
    waits = " && ".join(f"wait $p{n}" for n in range(len(MAIN)))
    guest.must(f"{jobs}; {waits}", show=dom0.writing(" ".join(d.path for d in MAIN)))
    figures: Figures = {"at once": len(MAIN)}

    attach(run, guest, ATTACHED)
    guest.must(_fill(ATTACHED, mib))
    calls = detach(run, guest, ATTACHED)
    if dom0.size(ATTACHED.path) < mib * MIB:
        raise Failed(f"{ATTACHED.path} does not hold what was written")
    figures["attached, detached"] = 1
    figures["xl block-detach called"] = calls

    attach(run, guest, ODD)
    # QEMU rounds up; beyond the file's end the disk reads as zeros.
    sectors = int(guest.must(f"cat /sys/block/{ODD.vdev}/size").strip())
    if sectors != -(-ODD.size // 512):
        raise Failed(f"a file of {ODD.size} bytes is a disk of {sectors} sectors")
    whole = ODD.size // 512 - 1
    guest.must(
        f"head -c 512 /dev/urandom >/tmp/odd && dd if=/tmp/odd of={ODD.device} bs=512 seek={whole}"
        f" conv=fsync 2>/dev/null && dd if={ODD.device} bs=512 skip={whole} count=1 iflag=direct"
        " 2>/dev/null | cmp - /tmp/odd"
    )
    # QEMU may fill up the last sector.
    if not ODD.size <= dom0.size(ODD.path) <= sectors * 512:
        raise Failed(f"{ODD.path} has {dom0.size(ODD.path)} bytes now")
    figures["odd sectors"] = sectors
    figures.update(_copied(run, before, 2 * (len(MAIN) + 1) * mib * MIB))
    figures.update(_read_only(run, guest))
    return figures


def _read_only(run: Run, guest: Guest) -> Figures:
    """A disk that the guest must not write: by xl, where QEMU refuses raw files, and by QEMU's own
    command line, the workaround (docs/known-problems.md)."""
    _offer(run, guest, READ_ONLY)
    by_xl = "writes refused"
    if guest.run(_until(f"[ -b {READ_ONLY.device} ]"))[0] == 0:
        _check_read_only(guest, READ_ONLY)
    elif "Block node is read-only" in run.dom0.run("cat /var/log/xen/qemu*")[1]:
        by_xl = "QEMU refuses the disk"
    else:
        raise Failed(f"no {READ_ONLY.device}, and QEMU does not say why")
    _check_read_only(guest, SERVED)
    return {"read-only by xl": by_xl, "by QEMU's options": "writes refused"}


def _check_read_only(guest: Guest, disk: Disk) -> None:
    """Checks that the guest can read the disk and cannot write it."""
    sum_before = guest.dom0.digest(disk.path)
    answers = guest.must(
        f"cat /sys/block/{disk.vdev}/ro; dd if=/dev/urandom of={disk.device} bs=4096"
        f" count=1 conv=fsync 2>&1 && echo written; dd if={disk.device} of=/dev/null bs=64k"
        " 2>/dev/null && echo read"
    ).splitlines()
    if answers[0] != "1" or "written" in answers or answers[-1] != "read":
        raise Failed(f"the read-only disk: {' '.join(answers)}")
    if guest.dom0.digest(disk.path) != sum_before:
        raise Failed("the read-only image has changed")


_MOUNT = f"mkdir -p /mnt/r && mount -t ext4 {SYSTEM.device} /mnt/r"


def _synced(guest: Guest, name: str, mib: int) -> str:
    """Writes and syncs a file; returns its SHA-256."""
    path = f"/mnt/r/{name}"
    said = guest.must(
        f"head -c {mib * MIB} /dev/urandom >{path} && sync && sha256sum <{path}",
        show=guest.dom0.writing(SYSTEM.path),
    )
    return said.split()[0]


def _still(guest: Guest, sums: dict[str, str]) -> None:
    for name, want in sums.items():
        got = guest.must(f"sha256sum </mnt/r/{name}").split()[0]
        if got != want:
            raise Failed(f"{name} was synced and has changed")


def write_for_ever(guest: Guest) -> None:
    """Starts a process in the guest that writes until the guest ends."""
    guest.must(
        "(while :; do dd if=/dev/urandom of=/mnt/r/loop bs=64k count=64 conv=fsync; done)"
        " >/dev/null 2>&1 & sleep 2"
    )


def qdisk_restart(run: Run) -> Figures:
    """The guest reboots, is destroyed in the middle of a write, and is created again."""
    guest = ensure_guest(run)
    guest.must(f"/sbin/mke2fs -q -F -t ext4 {SYSTEM.device} && {_MOUNT}")
    sums = {"one": _synced(guest, "one", 4)}
    guest = reboot_guest(run)
    guest.must(_MOUNT)
    _still(guest, sums)
    sums["two"] = _synced(guest, "two", 4)
    write_for_ever(guest)
    destroy_guest(run, guest)
    guest = create_guest(run)
    said = guest.must(
        f"/sbin/e2fsck -f -y {SYSTEM.device} >/tmp/fsck 2>&1; echo repair=$?;"
        f" /sbin/e2fsck -f -n {SYSTEM.device} >/tmp/fsck 2>&1; echo left=$?; {_MOUNT}"
    )
    repaired, left = (int(line.partition("=")[2]) for line in said.split()[:2])
    if repaired not in (0, 1) or left != 0:
        raise Failed(f"e2fsck after the guest was destroyed: {said.split()}")
    _still(guest, sums)
    return {"files kept": len(sums), "fsck repaired": repaired, "fsck": left}


def disk_speed(run: Run) -> Figures:
    """Raw reads and writes that bypass the guest's cache."""
    amount = 8
    guest = ensure_guest(run)
    said = guest.must(f"speed {SYSTEM.device} {amount}", show=run.dom0.writing(SYSTEM.path))
    found = numbers(said, "speed")
    size = amount * MIB / 1e6
    return {
        "write MB/s": size / max(found["written"] - found["begin"], 0.01),
        "read MB/s": size / max(found["read"] - found["written"], 0.01),
    }
