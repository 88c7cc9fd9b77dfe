/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef _SYS_TIME_H_
#define	_SYS_TIME_H_

#include <sys/types.h>

struct timeval {
	time_t	tv_sec;
	long	tv_usec;
};

#define	SBT_1S	((sbintime_t)1 << 32)
#define	SBT_1MS	(SBT_1S / 1000)

#endif /* !_SYS_TIME_H_ */
