/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The index allocator, compared with a naive model: the walk of a list, as in
 * Linux's driver.  A tree that places, finds or removes differently fails.
 */
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <setjmp.h>
#include <cmocka.h>

#include "xengnt_index.h"

#define	MAX_RANGES	600

/* The model: ranges sorted by start. */
static struct {
	uint64_t	start[MAX_RANGES];
	uint64_t	count[MAX_RANGES];
	struct xengnt_range *range[MAX_RANGES];
	unsigned	n;
} model;

static void
model_insert(unsigned at, uint64_t start, struct xengnt_range *r)
{

	for (unsigned i = model.n++; i > at; i--) {
		model.start[i] = model.start[i - 1];
		model.count[i] = model.count[i - 1];
		model.range[i] = model.range[i - 1];
	}
	model.start[at] = start;
	model.count[at] = r->count;
	model.range[at] = r;
}

static void
model_remove(unsigned at)
{

	model.n--;
	for (unsigned i = at; i < model.n; i++) {
		model.start[i] = model.start[i + 1];
		model.count[i] = model.count[i + 1];
		model.range[i] = model.range[i + 1];
	}
}

/* Linux's walk: before the first entry that leaves more than enough room. */
static uint64_t
model_first_fit(struct xengnt_range *r)
{
	uint64_t candidate = 0;
	unsigned at;

	for (at = 0; at < model.n; at++) {
		if (candidate + r->count < model.start[at])
			break;
		candidate = model.start[at] + model.count[at];
	}
	model_insert(at, candidate, r);
	return (candidate);
}

static uint64_t
subtree_max(struct xengnt_range *r, uint64_t *nodes)
{
	uint64_t max, sub;

	if (r == NULL)
		return (0);
	++*nodes;
	max = r->gap;
	sub = subtree_max(RB_LEFT(r, link), nodes);
	max = sub > max ? sub : max;
	sub = subtree_max(RB_RIGHT(r, link), nodes);
	max = sub > max ? sub : max;
	assert_int_equal(r->max_gap, max);
	return (max);
}

static void
check(struct xengnt_index *idx)
{
	uint64_t end = 0, nodes = 0;

	for (unsigned i = 0; i < model.n; i++) {
		struct xengnt_range *r = model.range[i];
		bool next_adjacent = i + 1 < model.n &&
		    model.start[i + 1] == model.start[i] + model.count[i];

		assert_int_equal(r->start, model.start[i]);
		assert_int_equal(r->gap, r->start - end);
		end = r->start + r->count;
		assert_ptr_equal(xengnt_index_find(idx, r->start), r);
		if (r->count > 1)
			assert_null(xengnt_index_find(idx, r->start + 1));
		assert_ptr_equal(xengnt_index_adjacent(r),
		    next_adjacent ? model.range[i + 1] : NULL);
	}
	assert_null(xengnt_index_find(idx, end));
	assert_ptr_equal(xengnt_index_first(idx),
	    model.n == 0 ? NULL : model.range[0]);
	subtree_max(RB_ROOT(idx), &nodes);
	assert_int_equal(nodes, model.n);
}

static uint64_t seed;

static unsigned
pick(unsigned n)
{

	seed = seed * UINT64_C(6364136223846793005) + 1442695040888963407u;
	return ((unsigned)(seed >> 33) % n);
}

static void
random_against_model(unsigned max_count, unsigned steps)
{
	struct xengnt_index idx = RB_INITIALIZER(&idx);
	struct xengnt_range *r;
	unsigned at;

	model.n = 0;
	for (unsigned i = 0; i < steps; i++) {
		/* Grows to some hundred ranges, then stays there. */
		if (model.n < MAX_RANGES && pick(500) >= model.n / 2 + 100) {
			r = calloc(1, sizeof(*r));
			r->count = 1 + pick(max_count);
			xengnt_index_first_fit(&idx, r);
			assert_int_equal(r->start, model_first_fit(r));
		} else if (model.n > 0) {
			at = pick(model.n);
			r = model.range[at];
			xengnt_index_remove(&idx, r);
			model_remove(at);
			free(r);
		}
		if (i % 16 == 0)
			check(&idx);
	}
	while (model.n > 0) {
		r = model.range[0];
		xengnt_index_remove(&idx, r);
		model_remove(0);
		free(r);
		check(&idx);
	}
}

static void
test_random_small_counts(void **state)
{

	(void)state;
	seed = 1;
	random_against_model(4, 20000);
}

static void
test_random_large_counts(void **state)
{

	(void)state;
	seed = 2;
	random_against_model(65536, 20000);
}

/* A gap of exactly the count stays unused; one page more is taken. */
static void
test_gap_is_strict(void **state)
{
	struct xengnt_index idx = RB_INITIALIZER(&idx);
	struct xengnt_range r[4] = { { .count = 2 }, { .count = 3 },
	    { .count = 1 }, { .count = 3 } };
	struct xengnt_range fits = { .count = 2 };

	(void)state;
	for (int i = 0; i < 3; i++)
		xengnt_index_first_fit(&idx, &r[i]);
	assert_int_equal(r[1].start, 2);
	assert_int_equal(r[2].start, 5);
	xengnt_index_remove(&idx, &r[1]);
	xengnt_index_first_fit(&idx, &r[3]);
	assert_int_equal(r[3].start, 6);
	xengnt_index_first_fit(&idx, &fits);
	assert_int_equal(fits.start, 2);
}

/* As in gntalloc: indices that are never reused, and runs with holes. */
static void
test_explicit_insert(void **state)
{
	struct xengnt_index idx = RB_INITIALIZER(&idx);
	struct xengnt_range r[6] = { 0 };

	(void)state;
	for (int i = 0; i < 6; i++) {
		r[i].start = 10 + (uint64_t)i;
		r[i].count = 1;
		xengnt_index_insert(&idx, &r[i]);
	}
	assert_ptr_equal(xengnt_index_adjacent(&r[0]), &r[1]);
	xengnt_index_remove(&idx, &r[1]);
	assert_null(xengnt_index_adjacent(&r[0]));
	assert_null(xengnt_index_find(&idx, 11));
	assert_ptr_equal(xengnt_index_adjacent(&r[2]), &r[3]);
	assert_null(xengnt_index_adjacent(&r[5]));
}

/* Starts whose difference does not fit an int. */
static void
test_order_of_far_starts(void **state)
{
	struct xengnt_index idx = RB_INITIALIZER(&idx);
	struct xengnt_range a = { .start = 0, .count = 1 };
	struct xengnt_range b = { .start = UINT64_C(1) << 32, .count = 1 };
	struct xengnt_range c = { .start = UINT64_C(1) << 40, .count = 1 };

	(void)state;
	xengnt_index_insert(&idx, &c);
	xengnt_index_insert(&idx, &a);
	xengnt_index_insert(&idx, &b);
	assert_ptr_equal(xengnt_index_first(&idx), &a);
	assert_ptr_equal(xengnt_index_find(&idx, b.start), &b);
	assert_ptr_equal(xengnt_index_find(&idx, c.start), &c);
	assert_null(xengnt_index_find(&idx, UINT64_C(1) << 33));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_gap_is_strict),
		cmocka_unit_test(test_explicit_insert),
		cmocka_unit_test(test_order_of_far_starts),
		cmocka_unit_test(test_random_small_counts),
		cmocka_unit_test(test_random_large_counts),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
