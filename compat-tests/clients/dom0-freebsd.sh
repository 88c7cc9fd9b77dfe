#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# The shell of a FreeBSD Dom0 behind the control channel.  The root is read-only, so memory is
# mounted where Xen's tools write, and a UFS on md(4) for disk images.
exec 2>&1
export PATH=/bin:/sbin:/usr/bin:/usr/sbin:/usr/local/bin:/usr/local/sbin
prepare() {
	mount -t tmpfs tmpfs /tmp &&
	mount -t tmpfs tmpfs /var &&
	mkdir -p /var/run/xen /var/run/xenstored /var/lib/xenstored /var/lib/xen \
	    /var/log/xen/console /tmp/ufs /tmp/images &&
	ldconfig -m /usr/local/lib &&
	unit=$(mdconfig -a -t swap -s 768m) &&
	newfs -U /dev/$unit >/tmp/newfs.log &&
	mount /dev/$unit /tmp/ufs &&
	cd /tmp
}
prepare || echo "xengnt-shell: the machine is not what it should be"
echo '! ready'
exec /bin/sh
