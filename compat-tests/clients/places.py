# SPDX-License-Identifier: BSD-2-Clause
"""Where things are in Dom0's image and in the guests'."""

from __future__ import annotations

KERNEL = "/guest/kernel"
INITRD = "/guest/initrd"
FREEBSD_KERNEL = "/guest/freebsd.kernel"
FREEBSD_RAMDISK = "/guest/freebsd.ramdisk"
#: Either end of a channel, in Dom0 and in the guest.
CHANNEL = "/bin/xengnt-vchan"
#: Directories of disk images in Dom0: a file system of the system's own, and memory.
UFS = "/tmp/ufs"
MEMORY = "/tmp/images"
