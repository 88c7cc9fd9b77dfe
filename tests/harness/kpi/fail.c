/* SPDX-License-Identifier: BSD-2-Clause */
/* Which resource fails, and when. */

#include <sys/param.h>
#include <sys/systm.h>

#include "kpi.h"

bool (*harness_fail_hook)(enum harness_fail);

static struct {
	unsigned	kinds;
	uint64_t	nth;		/* 0: none by number */
	uint64_t	one_in;		/* 0: none by chance */
	volatile uint64_t random;
	volatile uint64_t seen;
	volatile uint64_t failed;
} plan;

/* The kernel's own allocations, which wait rather than fail, are spared. */
static __thread u_int spared;

void
kpi_spare(bool on)
{

	spared += on ? 1 : -1u;
}

bool
xengnt_harness_fail(enum harness_fail kind)
{
	bool (*hook)(enum harness_fail);

	if (spared != 0)
		return (false);
	hook = __atomic_load_n(&harness_fail_hook, __ATOMIC_ACQUIRE);
	return (hook != NULL && hook(kind));
}

/* splitmix64: any number is a good seed. */
static uint64_t
plan_random(void)
{
	uint64_t z;

	z = atomic_fetchadd_64(&plan.random, 0x9e3779b97f4a7c15u) +
	    0x9e3779b97f4a7c15u;
	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
	z = (z ^ z >> 27) * 0x94d049bb133111ebu;
	return (z ^ z >> 31);
}

static bool
plan_hook(enum harness_fail kind)
{
	uint64_t n;
	bool fail;

	if ((plan.kinds & 1u << kind) == 0)
		return (false);
	n = atomic_fetchadd_64(&plan.seen, 1) + 1;
	fail = n == plan.nth ||
	    (plan.one_in != 0 && plan_random() % plan.one_in == 0);
	if (fail)
		atomic_add_64(&plan.failed, 1);
	return (fail);
}

u_int
kpi_faults_made(void)
{

	return ((u_int)atomic_load_64(&plan.failed));
}

void
harness_faults_start(unsigned kinds, uint64_t nth, uint64_t one_in,
    uint64_t seed)
{

	/* A task may still be in the hook of the previous plan. */
	harness_faults_stop(NULL);
	plan.kinds = kinds;
	plan.nth = nth;
	plan.one_in = one_in;
	plan.random = seed;
	plan.seen = plan.failed = 0;
	__atomic_store_n(&harness_fail_hook, plan_hook, __ATOMIC_RELEASE);
}

uint64_t
harness_faults_stop(uint64_t *failed)
{

	__atomic_store_n(&harness_fail_hook, NULL, __ATOMIC_RELEASE);
	kpi_barrier();
	if (failed != NULL)
		*failed = plan.failed;
	return (plan.seen);
}
