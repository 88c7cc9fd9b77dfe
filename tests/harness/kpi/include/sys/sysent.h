/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef _SYS_SYSENT_H_
#define	_SYS_SYSENT_H_

#include <sys/proc.h>

struct sysentvec {
	uint32_t	sv_flags;
};

#define	SV_ILP32	0x000100
#define	SV_LP64		0x000200
#define	SV_PROC_FLAG(p, x)	((p)->p_sysent->sv_flags & (x))
#define	SV_CURPROC_FLAG(x)	SV_PROC_FLAG(curproc, x)

#endif /* !_SYS_SYSENT_H_ */
