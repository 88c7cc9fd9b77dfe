/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef _SYS_KERNEL_H_
#define	_SYS_KERNEL_H_

#include <sys/types.h>

extern int hz __kpi_symbol(hz);
extern volatile int ticks __kpi_symbol(ticks);

enum sysinit_sub_id {
	SI_SUB_KLD = 0x2000000,
	SI_SUB_DRIVERS = 0x3100000,
};
enum sysinit_elem_order {
	SI_ORDER_FIRST = 0,
	SI_ORDER_MIDDLE = 0x1000000,
	SI_ORDER_ANY = 0xfffffff,
};

/* At the start of the program; modules are never removed. */
#define	SYSINIT(uniquifier, subsystem, order, func, ident)		\
	static void __attribute__((__constructor__))			\
	__CONCAT(kpi_sysinit_, uniquifier)(void)			\
	{								\
		(void)(subsystem);					\
		(void)(order);						\
		(void)(func)(ident);					\
	}								\
	struct __hack
#define	SYSUNINIT(uniquifier, subsystem, order, func, ident)		\
	struct __hack

#endif /* !_SYS_KERNEL_H_ */
