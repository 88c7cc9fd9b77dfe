/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef _SYS_RWLOCK_H_
#define	_SYS_RWLOCK_H_

#include <sys/lock.h>

struct rwlock {
	struct lock_object lock_object;
	uint64_t	rw_host[8];
};

#define	RA_LOCKED	LA_LOCKED
#define	RA_WLOCKED	LA_XLOCKED

void	rw_init(struct rwlock *, const char *name);
void	rw_destroy(struct rwlock *);
void	rw_wlock(struct rwlock *);
void	rw_wunlock(struct rwlock *);
void	kpi_rw_assert(const struct rwlock *, int what, const char *file,
	    int line);
#define	rw_assert(rw, what)	kpi_rw_assert((rw), (what), __FILE__, __LINE__)
int	rw_wowned(const struct rwlock *);

#endif /* !_SYS_RWLOCK_H_ */
