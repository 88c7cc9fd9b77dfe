#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# speed DEVICE MIB: writes and reads the raw device without the cache.
clock() { cut -d' ' -f1 /proc/uptime; }
a=$(clock)
dd if=/dev/zero of=$1 bs=1M count=$2 conv=fsync 2>/dev/null || exit 1
b=$(clock)
echo 3 >/proc/sys/vm/drop_caches
dd if=$1 of=/dev/null bs=1M count=$2 2>/dev/null || exit 1
echo "speed: begin=$a written=$b read=$(clock)"
