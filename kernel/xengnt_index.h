/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 The xengnt authors */
/*
 * Index ranges of one open file: which pages of its offset space belong to
 * which map (gntdev) or gref (gntalloc).
 *
 * Pure logic, in pages, without locks and vm headers, so that it can be tested
 * alone; the caller serialises.  Every operation is O(log n); Linux walks a
 * list and gets the same results.
 */
#ifndef _XENGNT_INDEX_H_
#define	_XENGNT_INDEX_H_

#include <sys/types.h>
#include <sys/tree.h>

struct xengnt_range {
	RB_ENTRY(xengnt_range) link;
	uint64_t	start;		/* first page */
	uint64_t	count;		/* pages, at least 1 */
	uint64_t	gap;		/* free pages before start */
	uint64_t	max_gap;	/* largest gap in this subtree */
};

RB_HEAD(xengnt_index, xengnt_range);

/* Places r (count set) where Linux's gntdev would and sets r->start. */
void	xengnt_index_first_fit(struct xengnt_index *, struct xengnt_range *r);

/* Inserts r (start and count set); the pages must be free. */
void	xengnt_index_insert(struct xengnt_index *, struct xengnt_range *r);

void	xengnt_index_remove(struct xengnt_index *, struct xengnt_range *r);

/* The range that starts at page, or NULL. */
struct xengnt_range *xengnt_index_find(struct xengnt_index *, uint64_t page);

/* The range that page is in, or NULL. */
struct xengnt_range *xengnt_index_find_containing(struct xengnt_index *,
	    uint64_t page);

struct xengnt_range *xengnt_index_first(struct xengnt_index *);

/* The range that begins where r ends, or NULL. */
struct xengnt_range *xengnt_index_adjacent(struct xengnt_range *r);

#endif /* !_XENGNT_INDEX_H_ */
