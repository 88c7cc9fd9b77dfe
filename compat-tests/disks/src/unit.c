/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * xengnt-unit: the cost of a trip to Xen and back in a guest, in nanoseconds.
 */
#include <cpuid.h>
#include <stdio.h>
#include <time.h>

#define	TRIPS	200

static long long
now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (t.tv_sec * 1000000000LL + t.tv_nsec);
}

int
main(void)
{
	unsigned int a, b, c, d;
	long long begin;

	begin = now();
	/* Xen handles CPUID for every guest. */
	for (int i = 0; i < TRIPS; i++)
		__cpuid(0x40000000, a, b, c, d);
	printf("unit: ns=%lld\n", (now() - begin) / TRIPS);
	return (a + b + c + d == 0);
}
