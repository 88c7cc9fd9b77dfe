/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef _SYS__MUTEX_H_
#define	_SYS__MUTEX_H_

#include <sys/lock.h>

struct mtx {
	struct lock_object lock_object;
	uint64_t	mtx_host[6];
};

#endif /* !_SYS__MUTEX_H_ */
