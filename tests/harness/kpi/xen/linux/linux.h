/* SPDX-License-Identifier: BSD-2-Clause */
/* Linux's types: <machine/../linux/linux.h>, which FreeBSD does not install. */
#ifndef _LINUX_LINUX_H_
#define	_LINUX_LINUX_H_

#include <sys/types.h>

#include <compat/linux/linux.h>

typedef int32_t		l_int;
typedef uint32_t	l_uint;
typedef int64_t		l_long;
typedef uint64_t	l_ulong;
typedef l_ulong		l_uintptr_t;

#endif /* !_LINUX_LINUX_H_ */
