#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# Starts QEMU without the "-vnc none" that libxl always passes: this one is built without VNC and
# would refuse the option.
n=$#
while [ $n -gt 0 ]; do
	argument=$1
	shift
	n=$((n - 1))
	if [ "$argument" = -vnc ]; then
		shift
		n=$((n - 1))
	else
		set -- "$@" "$argument"
	fi
done
exec "${0%/*}/qemu-system-i386" "$@"
