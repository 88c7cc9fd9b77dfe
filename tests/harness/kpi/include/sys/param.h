/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef _SYS_PARAM_H_
#define	_SYS_PARAM_H_

#define	__FreeBSD_version	1501502

#include <sys/types.h>
#include <sys/errno.h>
#include <sys/time.h>
#include <machine/param.h>

#ifndef NULL
#define	NULL	((void *)0)
#endif
#define	PWAIT	0

#define	MAXPATHLEN 1024

#define	nitems(x)	(sizeof((x)) / sizeof((x)[0]))
#define	roundup(x, y)	((((x) + ((y) - 1)) / (y)) * (y))
#define	MIN(a, b)	(((a) < (b)) ? (a) : (b))
#define	MAX(a, b)	(((a) > (b)) ? (a) : (b))

#define	round_page(x)	(((unsigned long)(x) + PAGE_MASK) & ~(unsigned long)PAGE_MASK)
#define	trunc_page(x)	((unsigned long)(x) & ~(unsigned long)PAGE_MASK)
#define	atop(x)		((unsigned long)(x) >> PAGE_SHIFT)
#define	ptoa(x)		((unsigned long)(x) << PAGE_SHIFT)

#define	PCATCH		0x100

#endif /* !_SYS_PARAM_H_ */
