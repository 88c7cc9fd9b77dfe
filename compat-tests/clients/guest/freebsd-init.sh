#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# Runs in the FreeBSD guest after init: a shell that reads the guest's console.
export PATH=/bin:/sbin:/usr/bin:/usr/sbin
mount -t tmpfs tmpfs /tmp
mkdir /tmp/mnt
stty raw -echo opost -onlcr
echo "guest: up $(uname -r) $(sysctl -n kern.vm_guest) 0"
while :; do
	cat | sh
	echo "guest: shell ended"
	sleep 1
done
