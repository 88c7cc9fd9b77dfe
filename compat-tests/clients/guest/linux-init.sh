#!/bin/busybox sh
# SPDX-License-Identifier: BSD-2-Clause
# Process 1 of the Linux guest: a shell that reads the guest's console.
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
# Under emulation the work of an event is often done already; the kernel then waits ever longer.
for limit in /sys/bus/xen/devices/*/xenbus/spurious_threshold; do
	echo 65535 >$limit
done
# One process that wakes now and then, instead of a new one each time.
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
