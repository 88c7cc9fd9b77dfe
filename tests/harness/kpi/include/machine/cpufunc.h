/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef _MACHINE_CPUFUNC_H_
#define	_MACHINE_CPUFUNC_H_

#include <sys/types.h>

void	cpuid_count(u_int ax, u_int cx, u_int *p);

#endif /* !_MACHINE_CPUFUNC_H_ */
