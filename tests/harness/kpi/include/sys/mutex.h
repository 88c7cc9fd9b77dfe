/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef _SYS_MUTEX_H_
#define	_SYS_MUTEX_H_

#include <sys/_mutex.h>

#define	MTX_DEF		0x00
#define	MTX_SPIN	0x01
#define	MTX_RECURSE	0x04
#define	MTX_NOWITNESS	0x08
#define	MTX_DUPOK	0x20
#define	MTX_NEW		0x40

#define	MA_OWNED	LA_XLOCKED
#define	MA_NOTOWNED	LA_UNLOCKED
#define	MA_RECURSED	LA_RECURSED
#define	MA_NOTRECURSED	LA_NOTRECURSED

void	mtx_init(struct mtx *, const char *name, const char *type, int opts)
    __kpi_symbol(mtx_init);
void	mtx_destroy(struct mtx *) __kpi_symbol(mtx_destroy);
void	mtx_lock(struct mtx *) __kpi_symbol(mtx_lock);
int	mtx_trylock(struct mtx *) __kpi_symbol(mtx_trylock);
void	mtx_unlock(struct mtx *) __kpi_symbol(mtx_unlock);
void	kpi_mtx_assert(const struct mtx *, int what, const char *file,
	    int line);
#define	mtx_assert(m, what)	kpi_mtx_assert((m), (what), __FILE__, __LINE__)
int	mtx_owned(const struct mtx *);
int	mtx_initialized(const struct mtx *);

#endif /* !_SYS_MUTEX_H_ */
