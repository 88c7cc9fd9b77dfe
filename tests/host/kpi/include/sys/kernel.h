/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef _SYS_KERNEL_H_
#define	_SYS_KERNEL_H_

#include <sys/types.h>

extern int hz __kpi_symbol(hz);
extern volatile int ticks __kpi_symbol(ticks);

#endif /* !_SYS_KERNEL_H_ */
