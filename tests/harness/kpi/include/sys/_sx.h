/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef _SYS__SX_H_
#define	_SYS__SX_H_

#include <sys/lock.h>

struct sx {
	struct lock_object lock_object;
	uint64_t	sx_host[8];
};

#endif /* !_SYS__SX_H_ */
