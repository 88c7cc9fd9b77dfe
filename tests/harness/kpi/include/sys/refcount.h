/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef _SYS_REFCOUNT_H_
#define	_SYS_REFCOUNT_H_

#include <sys/systm.h>

/* As refcount(9) with INVARIANTS: nothing comes back from zero. */
static __inline void
refcount_init(volatile u_int *count, u_int value)
{

	atomic_store_int(count, value);
}

static __inline u_int
refcount_load(volatile u_int *count)
{

	return (atomic_load_int(count));
}

static __inline u_int
refcount_acquire(volatile u_int *count)
{
	u_int old;

	old = atomic_fetchadd_int(count, 1);
	KASSERT(old != 0, ("refcount %p: acquired after the last release",
	    count));
	KASSERT(old < 0x7fffffff, ("refcount %p overflow", count));
	return (old);
}

static __inline bool
refcount_acquire_if_not_zero(volatile u_int *count)
{
	u_int old;

	old = refcount_load(count);
	do {
		if (old == 0)
			return (false);
	} while (atomic_fcmpset_int(count, &old, old + 1) == 0);
	return (true);
}

static __inline bool
refcount_release(volatile u_int *count)
{
	u_int old;

	old = atomic_fetchadd_int(count, -1u);
	KASSERT(old != 0, ("refcount %p: released below zero", count));
	return (old == 1);
}

static __inline bool
refcount_release_if_not_last(volatile u_int *count)
{
	u_int old;

	old = refcount_load(count);
	do {
		if (old == 1)
			return (false);
		KASSERT(old != 0, ("refcount %p: released below zero", count));
	} while (atomic_fcmpset_int(count, &old, old - 1) == 0);
	return (true);
}

#endif /* !_SYS_REFCOUNT_H_ */
