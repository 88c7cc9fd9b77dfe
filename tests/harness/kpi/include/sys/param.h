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

#define	NBBY	8
#define	MAXPATHLEN 1024

#define	howmany(x, y)	(((x) + ((y) - 1)) / (y))
#define	nitems(x)	(sizeof((x)) / sizeof((x)[0]))
#define	rounddown(x, y)	(((x) / (y)) * (y))
#define	rounddown2(x, y) ((x) & ~((y) - 1))
#define	roundup(x, y)	((((x) + ((y) - 1)) / (y)) * (y))
#define	roundup2(x, y)	(((x) + ((y) - 1)) & (~((y) - 1)))
#define	powerof2(x)	((((x) - 1) & (x)) == 0)
#define	MIN(a, b)	(((a) < (b)) ? (a) : (b))
#define	MAX(a, b)	(((a) > (b)) ? (a) : (b))

#define	round_page(x)	(((unsigned long)(x) + PAGE_MASK) & ~(unsigned long)PAGE_MASK)
#define	trunc_page(x)	((unsigned long)(x) & ~(unsigned long)PAGE_MASK)
#define	atop(x)		((unsigned long)(x) >> PAGE_SHIFT)
#define	ptoa(x)		((unsigned long)(x) << PAGE_SHIFT)

#define	PDROP		0x400
#define	PCATCH		0x100

#endif /* !_SYS_PARAM_H_ */
