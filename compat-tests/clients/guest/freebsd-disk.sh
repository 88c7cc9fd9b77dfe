#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# disk DEVICE SIZE...: makes a UFS, fills, changes, reads and checks it.
# Ends with "disk: files=N begin=S written=S read=S end=S fsck=STATUS".
dev=$1
shift
mnt=/tmp/mnt/${dev##*/}
tmp=/tmp/${dev##*/}
mkdir -p $mnt $tmp
fail() { echo "disk: failed: $*"; exit 1; }
clock() { date +%s; }
# Reads must not come from a cache; unmounting drops that of a file system.
remount() {
	umount $mnt || fail "umount before $1"
	mount $dev $mnt || fail "mount before $1"
}
check() {
	for name in $(cut -d' ' -f2 $tmp/sums); do
		want=$(grep " $name\$" $tmp/sums | cut -d' ' -f1)
		[ "$(sha256 -q $mnt/$name)" = "$want" ] || fail "$1: $name"
	done
}
i=0
while [ ! -c $dev ]; do
	i=$((i + 1))
	[ $i -lt 100 ] || fail "no $dev"
	sleep 0.2
done
begin=$(clock)
newfs -U $dev >$tmp/newfs 2>&1 || fail "newfs: $(tail -1 $tmp/newfs)"
mount $dev $mnt || fail mount
: >$tmp/sums
for size; do
	# head(1) takes no count of 0.
	: >$mnt/file.$size
	[ $size = 0 ] || head -c $size /dev/urandom >$mnt/file.$size || fail "write $size"
	echo "$(sha256 -q $mnt/file.$size) file.$size" >>$tmp/sums
done
sync
written=$(clock)
remount reading
n=0
for size; do
	[ $(stat -f %z $mnt/file.$size) = $size ] || fail "size of $size"
	n=$((n + 1))
done
check contents
read=$(clock)
# Overwritten in the middle, punched, removed, sparse, grown.
dd if=/dev/urandom of=$mnt/file.$size bs=4096 seek=3 count=5 conv=notrunc 2>/dev/null
if [ $(uname -K) -ge 1400000 ]; then
	truncate -d -o 32768 -l 12288 $mnt/file.$size || fail "punching a hole"
else
	# FreeBSD 13 has no fspacectl(2).  UFS writes zeroes for that call, too.
	dd if=/dev/zero of=$mnt/file.$size bs=4096 seek=8 count=3 conv=notrunc 2>/dev/null
fi
rm $mnt/file.4096
dd if=/dev/urandom of=$mnt/sparse bs=1000 seek=3000 count=2 2>/dev/null
cat $mnt/file.4097 >>$mnt/file.511
: >$tmp/sums
for name in $(ls $mnt); do
	[ -d $mnt/$name ] || echo "$(sha256 -q $mnt/$name) $name" >>$tmp/sums
done
sync
remount "reading the changes"
check changes
umount $mnt || fail "last umount"
fsck_ffs -n -f $dev >$tmp/fsck 2>&1
status=$?
# If it may not repair, it prints that and exits with 0.
grep -q 'INCONSISTENCY\|CORRECT?\|SALVAGE?\|BAD\|FILE SYSTEM.*DIRTY' $tmp/fsck && status=99
tail -1 $tmp/fsck
echo "disk: files=$n begin=$begin written=$written read=$read end=$(clock) fsck=$status"
exit $status
