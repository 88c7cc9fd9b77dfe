/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 The xengnt authors */

#include <sys/param.h>

struct xengnt_range;
static void range_augment(struct xengnt_range *r);
/* Read by sys/tree.h when it is included. */
#define	RB_AUGMENT(r)	range_augment(r)

#include "xengnt_index.h"

static int
range_cmp(const struct xengnt_range *a, const struct xengnt_range *b)
{

	/* Not a subtraction: the difference of two u64 does not fit an int. */
	return ((a->start > b->start) - (a->start < b->start));
}

static void
range_augment(struct xengnt_range *r)
{
	struct xengnt_range *child;

	r->max_gap = r->gap;
	child = RB_LEFT(r, link);
	if (child != NULL && child->max_gap > r->max_gap)
		r->max_gap = child->max_gap;
	child = RB_RIGHT(r, link);
	if (child != NULL && child->max_gap > r->max_gap)
		r->max_gap = child->max_gap;
}

RB_GENERATE_STATIC(xengnt_index, xengnt_range, link, range_cmp);

static uint64_t
range_end(const struct xengnt_range *r)
{

	return (r == NULL ? 0 : r->start + r->count);
}

void
xengnt_index_insert(struct xengnt_index *idx, struct xengnt_range *r)
{
	struct xengnt_range *next;

	next = RB_NFIND(xengnt_index, idx, r);
	if (next != NULL) {
		r->gap = next->gap - (next->start - r->start);
		next->gap = next->start - range_end(r);
	} else
		r->gap = r->start - range_end(RB_MAX(xengnt_index, idx));
	r->max_gap = r->gap;
	RB_INSERT(xengnt_index, idx, r);
	if (next != NULL)
		RB_UPDATE_AUGMENT(next, link);
}

/*
 * Uses the lowest gap that is *larger* than needed, or the place behind the
 * last range.  Linux compares with a strict less-than, so a gap of exactly
 * count pages stays unused.
 */
void
xengnt_index_first_fit(struct xengnt_index *idx, struct xengnt_range *r)
{
	struct xengnt_range *n;

	n = RB_ROOT(idx);
	if (n == NULL || n->max_gap <= r->count)
		r->start = range_end(RB_MAX(xengnt_index, idx));
	else {
		for (;;) {
			if (RB_LEFT(n, link) != NULL &&
			    RB_LEFT(n, link)->max_gap > r->count)
				n = RB_LEFT(n, link);
			else if (n->gap > r->count)
				break;
			else
				n = RB_RIGHT(n, link);
		}
		r->start = n->start - n->gap;
	}
	xengnt_index_insert(idx, r);
}

void
xengnt_index_remove(struct xengnt_index *idx, struct xengnt_range *r)
{
	struct xengnt_range *next;

	next = RB_NEXT(xengnt_index, idx, r);
	RB_REMOVE(xengnt_index, idx, r);
	if (next != NULL) {
		next->gap += r->gap + r->count;
		RB_UPDATE_AUGMENT(next, link);
	}
}

struct xengnt_range *
xengnt_index_find(struct xengnt_index *idx, uint64_t page)
{
	struct xengnt_range key;

	key.start = page;
	return (RB_FIND(xengnt_index, idx, &key));
}

struct xengnt_range *
xengnt_index_find_containing(struct xengnt_index *idx, uint64_t page)
{
	struct xengnt_range key, *r;

	key.start = page;
	r = RB_NFIND(xengnt_index, idx, &key);
	if (r != NULL && r->start == page)
		return (r);
	r = r == NULL ? RB_MAX(xengnt_index, idx) :
	    RB_PREV(xengnt_index, idx, r);
	return (r != NULL && page - r->start < r->count ? r : NULL);
}

struct xengnt_range *
xengnt_index_first(struct xengnt_index *idx)
{

	return (RB_MIN(xengnt_index, idx));
}

struct xengnt_range *
xengnt_index_adjacent(struct xengnt_range *r)
{
	struct xengnt_range *next;

	next = RB_NEXT(xengnt_index, NULL, r);
	return (next != NULL && next->gap == 0 ? next : NULL);
}
