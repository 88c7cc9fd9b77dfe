/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef _SYS_SX_H_
#define	_SYS_SX_H_

#include <sys/_sx.h>

#define	SX_DUPOK	0x01
#define	SX_RECURSE	0x20

#define	SA_LOCKED	LA_LOCKED
#define	SA_XLOCKED	LA_XLOCKED

void	sx_init_flags(struct sx *, const char *name, int opts);
#define	sx_init(sx, name)	sx_init_flags((sx), (name), 0)
void	sx_destroy(struct sx *);
void	sx_xlock(struct sx *);
void	sx_xunlock(struct sx *);
void	sx_slock(struct sx *);
void	sx_sunlock(struct sx *);
void	kpi_sx_assert(const struct sx *, int what, const char *file, int line);
#define	sx_assert(sx, what)	kpi_sx_assert((sx), (what), __FILE__, __LINE__)

#endif /* !_SYS_SX_H_ */
