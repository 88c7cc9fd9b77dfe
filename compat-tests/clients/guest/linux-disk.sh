#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# disk DEVICE SIZE...: makes an ext4, fills, changes, reads and checks it.
# Ends with "disk: files=N begin=S written=S read=S end=S fsck=STATUS".
dev=$1
shift
mnt=/mnt/${dev##*/}
tmp=/tmp/${dev##*/}
mkdir -p $mnt $tmp
fail() { echo "disk: failed: $*"; exit 1; }
clock() { cut -d' ' -f1 /proc/uptime; }
# Reads must not come from a cache.
remount() {
	umount $mnt || fail "umount before $1"
	echo 3 >/proc/sys/vm/drop_caches
	mount -t ext4 $dev $mnt || fail "mount before $1"
}
check() {
	sha256sum -c $tmp/sums >$tmp/checked 2>&1 ||
	    fail "$1: $(grep -v OK $tmp/checked | head -1)"
}
i=0
while [ ! -b $dev ]; do
	i=$((i + 1))
	[ $i -lt 100 ] || fail "no $dev"
	sleep 0.2
done
begin=$(clock)
# By path, because the shell prefers its built-in tools.  The lazy parts would only write zeros.
/sbin/mke2fs -q -F -t ext4 -E lazy_itable_init=1,lazy_journal_init=1 $dev || fail mke2fs
mount -t ext4 $dev $mnt || fail mount
: >$tmp/sums
for size; do
	head -c $size /dev/urandom >$mnt/file.$size || fail "write $size"
	# From what was written, not from what is read back.
	sha256sum $mnt/file.$size >>$tmp/sums
done
sync
written=$(clock)
remount reading
n=0
for size; do
	[ $(stat -c %s $mnt/file.$size) = $size ] || fail "size of $size"
	n=$((n + 1))
done
check contents
read=$(clock)
# Overwritten in the middle, punched, removed, sparse, grown.
dd if=/dev/urandom of=$mnt/file.$size bs=4096 seek=3 count=5 conv=notrunc 2>/dev/null
/bin/fallocate -p -o 32768 -l 12288 $mnt/file.$size || fail "punching a hole"
rm $mnt/file.4096
dd if=/dev/urandom of=$mnt/sparse bs=1000 seek=3000 count=2 2>/dev/null
cat $mnt/file.4097 >>$mnt/file.511
sha256sum $mnt/file.* $mnt/sparse >$tmp/sums || fail "sums of what was changed"
sync
remount "reading the changes"
check changes
umount $mnt || fail "last umount"
/sbin/e2fsck -f -n $dev >$tmp/fsck 2>&1
status=$?
tail -1 $tmp/fsck
echo "disk: files=$n begin=$begin written=$written read=$read end=$(clock) fsck=$status"
exit $status
