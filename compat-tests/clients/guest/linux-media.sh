#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# media DEVICE KIB PASSES: random writes all over the device, each read back and compared with its
# CRC-32C by fio.  Ends with "media: sectors=N kib=N passes=N status=N".
dev=$1
name=${dev##*/}
sectors=$(cat /sys/block/$name/size) || exit 1
pass=0
while [ $pass -lt $3 ]; do
	# Another seed each pass; --io_size bounds what is written, not where.
	/bin/fio --name=pass$pass --filename=$dev --rw=randwrite --bsrange=512-65536 \
	    --blockalign=512 --io_size=${2}k --direct=1 --ioengine=psync --verify=crc32c \
	    --eta=never --verify_fatal=1 --randseed=$((pass + 77)) --output=/tmp/$name.fio --thread \
	    --fallocate=none --random_generator=tausworthe64 --norandommap=0
	status=$?
	[ $status = 0 ] || { grep -i -m 3 'verify\|error\|fio:' /tmp/$name.fio; break; }
	pass=$((pass + 1))
done
echo "media: sectors=$sectors kib=$(($2 * pass)) passes=$pass status=$status"
exit $status
