/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef _SYS_TIME_H_
#define	_SYS_TIME_H_

#include <sys/types.h>

struct timeval {
	time_t	tv_sec;
	long	tv_usec;
};

#define	SBT_1S	((sbintime_t)1 << 32)
#define	SBT_1M	(SBT_1S * 60)
#define	SBT_1MS	(SBT_1S / 1000)
#define	SBT_1US	(SBT_1S / 1000000)

int ratecheck(struct timeval *, const struct timeval *) __kpi_symbol(ratecheck);
int	ppsratecheck(struct timeval *, int *, int) __kpi_symbol(ppsratecheck);

#endif /* !_SYS_TIME_H_ */
