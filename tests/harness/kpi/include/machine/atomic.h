/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef _MACHINE_ATOMIC_H_
#define	_MACHINE_ATOMIC_H_

#include <sys/types.h>

/*
 * On FreeBSD the plain forms have no ordering.  Here all are sequentially
 * consistent except those called _relaxed_, which is close to amd64.
 */
#define	__KPI_ATOMIC(name, type)					\
static __inline void							\
atomic_add_##name(volatile type *p, type v)				\
{									\
	__atomic_fetch_add(p, v, __ATOMIC_SEQ_CST);			\
}									\
static __inline void							\
atomic_subtract_##name(volatile type *p, type v)			\
{									\
	__atomic_fetch_sub(p, v, __ATOMIC_SEQ_CST);			\
}									\
static __inline void							\
atomic_set_##name(volatile type *p, type v)				\
{									\
	__atomic_fetch_or(p, v, __ATOMIC_SEQ_CST);			\
}									\
static __inline void							\
atomic_clear_##name(volatile type *p, type v)				\
{									\
	__atomic_fetch_and(p, ~v, __ATOMIC_SEQ_CST);			\
}									\
static __inline type							\
atomic_fetchadd_##name(volatile type *p, type v)			\
{									\
	return (__atomic_fetch_add(p, v, __ATOMIC_SEQ_CST));		\
}									\
static __inline type							\
atomic_swap_##name(volatile type *p, type v)				\
{									\
	return (__atomic_exchange_n(p, v, __ATOMIC_SEQ_CST));		\
}									\
static __inline type							\
atomic_readandclear_##name(volatile type *p)				\
{									\
	return (__atomic_exchange_n(p, 0, __ATOMIC_SEQ_CST));		\
}									\
static __inline int							\
atomic_cmpset_##name(volatile type *p, type old, type new)		\
{									\
	return (__atomic_compare_exchange_n(p, &old, new, 0,		\
	    __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST));			\
}									\
static __inline int							\
atomic_fcmpset_##name(volatile type *p, type *old, type new)		\
{									\
	return (__atomic_compare_exchange_n(p, old, new, 0,		\
	    __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST));			\
}									\
static __inline type							\
atomic_load_##name(const volatile type *p)				\
{									\
	return (__atomic_load_n(p, __ATOMIC_RELAXED));			\
}									\
static __inline type							\
atomic_load_acq_##name(const volatile type *p)				\
{									\
	return (__atomic_load_n(p, __ATOMIC_ACQUIRE));			\
}									\
static __inline void							\
atomic_store_##name(volatile type *p, type v)				\
{									\
	__atomic_store_n(p, v, __ATOMIC_RELAXED);			\
}									\
static __inline void							\
atomic_store_rel_##name(volatile type *p, type v)			\
{									\
	__atomic_store_n(p, v, __ATOMIC_RELEASE);			\
}

__KPI_ATOMIC(int, u_int)
__KPI_ATOMIC(long, u_long)
__KPI_ATOMIC(32, uint32_t)
__KPI_ATOMIC(64, uint64_t)

#define	atomic_subtract_rel_int	atomic_subtract_int
#define	atomic_cmpset_acq_int	atomic_cmpset_int

#define	atomic_load_ptr(p)	__atomic_load_n((p), __ATOMIC_RELAXED)
#define	atomic_store_ptr(p, v)	__atomic_store_n((p), (v), __ATOMIC_RELAXED)

static __inline void
atomic_thread_fence_acq(void)
{

	__atomic_thread_fence(__ATOMIC_ACQUIRE);
}

static __inline void
atomic_thread_fence_rel(void)
{

	__atomic_thread_fence(__ATOMIC_RELEASE);
}

static __inline void
atomic_thread_fence_seq_cst(void)
{

	__atomic_thread_fence(__ATOMIC_SEQ_CST);
}

#endif /* !_MACHINE_ATOMIC_H_ */
