/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef _SYS_COUNTER_H_
#define	_SYS_COUNTER_H_

#include <sys/types.h>

typedef uint64_t *counter_u64_t;

uint64_t counter_u64_fetch(counter_u64_t);

static __inline void
counter_u64_add(counter_u64_t c, int64_t v)
{

	__atomic_fetch_add(c, (uint64_t)v, __ATOMIC_RELAXED);
}

/* Here it needs neither an allocation nor a place in the kernel's start-up. */
#define	COUNTER_U64_DEFINE_EARLY(c)					\
	static uint64_t __CONCAT(kpi_counter_, c);			\
	counter_u64_t c = &__CONCAT(kpi_counter_, c)

#endif /* !_SYS_COUNTER_H_ */
