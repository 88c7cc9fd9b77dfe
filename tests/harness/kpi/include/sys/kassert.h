/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef _SYS_KASSERT_H_
#define	_SYS_KASSERT_H_

#include <sys/cdefs.h>

void panic(const char *fmt, ...) __kpi_symbol(panic) __dead2 __printflike(1, 2);

/* The harness is always built with INVARIANTS. */
#define	KASSERT(exp, msg) do {						\
	if (__predict_false(!(exp)))					\
		panic msg;						\
} while (0)
#define	CTASSERT(x)	_Static_assert(x, "compile-time assertion failed")

#endif /* !_SYS_KASSERT_H_ */
