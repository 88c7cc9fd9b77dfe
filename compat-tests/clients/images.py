# SPDX-License-Identifier: BSD-2-Clause
"""What the Dom0 and its guest have on their file systems (both live in memory)."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from testbed import image, packages
from testbed.errors import TestbedError
from testbed.image import File

from . import qcow2
from .programs import LIBDIR, LIBRARY, VCHAN, Programs, library_files

MIB = 1 << 20
DISK = 64 * MIB

KERNEL = "/guest/kernel"
INITRD = "/guest/initrd"
DISK_IMAGE = "/guest/disk.qcow2"
CHANNEL = "/bin/xengnt-vchan"
DEBUG_KEY = "/bin/xengnt-debugkey"

# The control channel's program is a shell; busybox has all the small tools.
_SHELL = b"""#!/bin/sh
exec 2>&1
/bin/busybox mkdir -p /usr/bin
/bin/busybox --install -s /usr/bin
export PATH=$PATH:/usr/bin
mkdir -p /var/run/xen /var/run/xenstored /var/lib/xenstored /var/lib/xen /var/log/xen/console \
	/var/lock /etc/xen
cd /tmp
echo '! ready'
exec /bin/sh
"""

_GUEST_INIT = b"""#!/bin/busybox sh
# SPDX-License-Identifier: BSD-2-Clause
/bin/busybox mkdir -p /usr/bin /proc /sys /dev /tmp /mnt
/bin/busybox --install -s /usr/bin
export PATH=/bin:/sbin:/usr/bin HOME=/
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev
for module in $(cat /lib/xengnt/modules); do
	insmod /lib/xengnt/$module || echo "guest: cannot load $module"
done
dmesg -n 4
# Slow as we are, an event often finds its work done; the kernel then waits longer and longer.
for limit in /sys/bus/xen/devices/*/xenbus/spurious_threshold; do
	echo 65535 >$limit
done
# Something that wakes now and then, without a process each time.
mkfifo /tmp/never
(exec 9<>/tmp/never; while :; do read -t 0.2 nothing <&9; done) &
exec </dev/hvc0 >/dev/hvc0 2>&1
stty -echo -onlcr
echo "guest: up $(uname -r) $(cat /sys/hypervisor/guest_type) $(cut -d' ' -f1 /proc/uptime)"
while :; do
	# Through a pipe: a shell on a terminal would show prompts.
	cat | sh
	echo "guest: shell ended"
	sleep 1
done
"""

# Files of many sizes through the guest's page cache and back from the disk.
_GUEST_DISK = b"""#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# disk DEVICE SIZE...: makes a file system, fills and reads it, and has it checked.
dev=$1
shift
fail() { echo "disk: failed: $*"; exit 1; }
clock() { cut -d' ' -f1 /proc/uptime; }
i=0
while [ ! -b $dev ]; do
	i=$((i + 1))
	[ $i -lt 100 ] || fail "no $dev"
	sleep 0.2
done
begin=$(clock)
# By their paths: the shell prefers what it has itself.
/sbin/mke2fs -q -F -t ext4 $dev || fail mke2fs
mount -t ext4 $dev /mnt || fail mount
: >/tmp/sums
for size; do
	head -c $size /dev/urandom >/mnt/file.$size || fail "write $size"
	# From what was written, not from what is read back.
	sha256sum /mnt/file.$size >>/tmp/sums
done
sync
umount /mnt || fail umount
written=$(clock)
# Nothing of it may come out of a cache.
echo 3 >/proc/sys/vm/drop_caches
mount -t ext4 $dev /mnt || fail "mount again"
n=0
for size; do
	[ $(stat -c %s /mnt/file.$size) = $size ] || fail "size of $size"
	n=$((n + 1))
done
sha256sum -c /tmp/sums >/tmp/checked 2>&1 || fail "contents: $(grep -v OK /tmp/checked | head -1)"
read=$(clock)
# Holes, a file that is overwritten in the middle, one that goes, one that grows.
dd if=/dev/urandom of=/mnt/file.$size bs=4096 seek=3 count=5 conv=notrunc 2>/dev/null
rm /mnt/file.4096
dd if=/dev/urandom of=/mnt/sparse bs=1000 seek=3000 count=2 2>/dev/null
cat /mnt/file.4097 >>/mnt/file.511
sha256sum /mnt/* >/tmp/sums 2>/dev/null
umount /mnt || fail "umount again"
echo 3 >/proc/sys/vm/drop_caches
mount -t ext4 $dev /mnt || fail "third mount"
sha256sum -c /tmp/sums >/tmp/checked 2>&1 || fail "changes: $(grep -v OK /tmp/checked | head -1)"
umount /mnt || fail "last umount"
/sbin/e2fsck -f -n $dev >/tmp/fsck 2>&1
status=$?
tail -1 /tmp/fsck
echo "disk: files=$n begin=$begin written=$written read=$read end=$(clock) fsck=$status"
exit $status
"""

_GUEST_SPEED = b"""#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# speed DEVICE MIB: writes and reads the raw device past the cache.
clock() { cut -d' ' -f1 /proc/uptime; }
a=$(clock)
dd if=/dev/zero of=$1 bs=1M count=$2 conv=fsync 2>/dev/null || exit 1
b=$(clock)
echo 3 >/proc/sys/vm/drop_caches
dd if=$1 of=/dev/null bs=1M count=$2 2>/dev/null || exit 1
echo "speed: begin=$a written=$b read=$(clock)"
"""


@dataclass(frozen=True)
class Ours:
    """What the build has."""

    library: Path
    relay: Path
    channel: Path
    debug_key: Path

    def digest(self) -> str:
        """Of the library: a process has loaded the file with this contents."""
        return hashlib.sha256(self.library.read_bytes()).hexdigest()


def ours(build: Path, library: Path | None = None) -> Ours:
    """The files of a build directory; `library` in place of the built one."""

    def find(*names: str) -> Path:
        path = next((build / name for name in names if (build / name).is_file()), None)
        if path is None:
            raise TestbedError(f"{build / names[0]} is not built (./dev build)")
        return path.resolve()

    return Ours(
        library or find(f"libxengnttab-freebsd/{LIBRARY}"),
        find("compat-tests/agent/peer/xengnt-relay", "compat-tests/agent/xengnt-relay"),
        find("compat-tests/clients/src/xengnt-vchan"),
        find("compat-tests/clients/src/xengnt-debugkey"),
    )


def guest_initrd(selection: packages.Selection, programs: Programs, own: Ours) -> bytes:
    """The guest's file system: tools, modules, and its end of a channel."""
    archive = image.Archive()
    for place in ("dev", "proc", "sys", "tmp", "mnt", "usr/bin"):
        archive.directory(place)
    archive.character_device("dev/console", 5, 1, 0o600)
    archive.character_device("dev/null", 1, 3, 0o666)
    archive.file("init", _GUEST_INIT, 0o755)
    archive.file("bin/busybox", selection.busybox.read_bytes(), 0o755)
    archive.symlink("bin/sh", "busybox")
    archive.file("bin/disk", _GUEST_DISK, 0o755)
    archive.file("bin/speed", _GUEST_SPEED, 0o755)
    for name in ("mke2fs", "e2fsck"):
        archive.file(f"sbin/{name}", programs.programs[name].read_bytes(), 0o755)
    archive.file(CHANNEL, own.channel.read_bytes(), 0o755)
    libraries = {**programs.guest_libraries, LIBRARY: own.library}
    for file in library_files(libraries):
        archive.file(file.dst, file.contents(), 0o755)
    names = []
    for module in programs.guest_modules:
        names.append(module.name)
        archive.file(f"lib/xengnt/{module.name}", module.read_bytes(), 0o644)
    archive.file("lib/xengnt/modules", "\n".join(names).encode() + b"\n", 0o644)
    return archive.bytes()


def dom0_files(selection: packages.Selection, programs: Programs, own: Ours) -> list[File]:
    """What Dom0 has beside the testbed's own: Debian's programs, and one library of ours."""
    tools = [name for name in programs.programs if name not in ("mke2fs", "e2fsck")]
    files = []
    for name in tools:
        place = programs.qemu_place() if "qemu" in name else programs.tool_place(name)
        files.append(File(programs.programs[name], place))
    files += [
        File(path, f"/usr/share/qemu/keymaps/{path.name}", 0o644) for path in programs.keymaps
    ]
    # There is no other file of this name in the image.
    libraries = {**programs.dom0_libraries, LIBRARY: own.library}
    assert VCHAN.format(programs.release) in libraries
    files += library_files(libraries)
    files += [
        File(own.relay, image.RELAY),
        File(own.channel, CHANNEL),
        File(own.debug_key, DEBUG_KEY),
        File(_SHELL, image.AGENT),
        File(b"", "/etc/xen/xl.conf", 0o644),
        File(selection.kernel, KERNEL, 0o644),
        File(guest_initrd(selection, programs, own), INITRD, 0o644),
        File(qcow2.empty(DISK), DISK_IMAGE, 0o644),
    ]
    return files


def library_path() -> str:
    """Where the library is in Dom0."""
    return f"{LIBDIR}/{LIBRARY}"
