/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef _SYS_MALLOC_H_
#define	_SYS_MALLOC_H_

#include <sys/types.h>

#define	M_NOWAIT	0x0001
#define	M_WAITOK	0x0002
#define	M_ZERO		0x0100

struct malloc_type {
	const char	*ks_shortdesc;
	/* For the leak check. */
	struct malloc_type *ks_next;
	volatile u_long	ks_allocs;
	volatile u_long	ks_bytes;
	volatile u_long	ks_requests;
	bool		ks_known;
};

#define	MALLOC_DEFINE(type, shortdesc, longdesc)			\
	struct malloc_type type[1] = { { .ks_shortdesc = shortdesc } }
#define	MALLOC_DECLARE(type)	extern struct malloc_type type[1]

void	*malloc(size_t size, struct malloc_type *type, int flags)
    __kpi_symbol(malloc) __nodiscard;
void	free(void *addr, struct malloc_type *type) __kpi_symbol(free);

#endif /* !_SYS_MALLOC_H_ */
