/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef _SYS_LOCK_H_
#define	_SYS_LOCK_H_

#include <sys/types.h>

struct thread;
struct kpi_lock_class;

/* Every lock of the shim begins with this and knows who holds it. */
struct lock_object {
	const char	*lo_name;
	u_int		lo_magic;
	u_int		lo_kind;
	u_int		lo_opts;
	u_int		lo_recurse;
	struct thread	*volatile lo_owner;	/* exclusive owner */
	volatile u_int	lo_shared;		/* holders for reading */
	struct kpi_lock_class *lo_class;	/* all of that name */
};

#define	LA_UNLOCKED	0
#define	LA_LOCKED	1
#define	LA_SLOCKED	2
#define	LA_XLOCKED	4
#define	LA_RECURSED	8
#define	LA_NOTRECURSED	16

#endif /* !_SYS_LOCK_H_ */
