/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef _SYS_MUTEX_H_
#define	_SYS_MUTEX_H_

#include <sys/_mutex.h>

#define	MTX_DEF		0x00
#define	MTX_SPIN	0x01
#define	MTX_RECURSE	0x04
#define	MTX_DUPOK	0x20

#define	MA_OWNED	LA_XLOCKED

void	mtx_init(struct mtx *, const char *name, const char *type, int opts)
    __kpi_symbol(mtx_init);
void	mtx_destroy(struct mtx *) __kpi_symbol(mtx_destroy);
void	mtx_lock(struct mtx *) __kpi_symbol(mtx_lock);
void	mtx_unlock(struct mtx *) __kpi_symbol(mtx_unlock);
void	kpi_mtx_assert(const struct mtx *, int what, const char *file,
	    int line);
#define	mtx_assert(m, what)	kpi_mtx_assert((m), (what), __FILE__, __LINE__)
int	mtx_initialized(const struct mtx *);

#endif /* !_SYS_MUTEX_H_ */
