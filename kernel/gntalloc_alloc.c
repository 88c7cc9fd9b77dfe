/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 The xengnt authors */
/* ALLOC_GREF, DEALLOC_GREF and SET_UNMAP_NOTIFY of gntalloc. */

#include <sys/param.h>
#include <sys/systm.h>
#include <sys/kernel.h>

#include <xen/gntalloc.h>

#include "xengnt.h"
#include "xengnt_file.h"
#include "gntalloc_var.h"

/* Linux fails to allocate a buffer for more references than this. */
#define	ALLOC_MAX	1048576

/* References are copied out this many at a time. */
#define	COPYOUT_IDS	64

/* Copies the grefs' references, in order, to the array behind the struct. */
static int
copyout_ids(struct gntalloc_grefs *grefs, char *uids)
{
	grant_ref_t ids[COPYOUT_IDS];
	struct gntalloc_gref *gref;
	u_int n;
	int error;

	n = 0;
	error = 0;
	TAILQ_FOREACH(gref, grefs, link) {
		ids[n++] = gref->ref;
		if (n < COPYOUT_IDS && TAILQ_NEXT(gref, link) != NULL)
			continue;
		error = copyout(ids, uids, n * sizeof(ids[0]));
		if (error != 0)
			break;
		uids += n * sizeof(ids[0]);
		n = 0;
	}
	return (error);
}

/* As on Linux, the limit (ENOSPC) is checked before ALLOC_MAX (ENOMEM). */
int
gntalloc_alloc(struct xengnt_file *file, struct ioctl_gntalloc_alloc_gref *op,
    char *uop, char *uids)
{
	struct gntalloc_grefs grefs;
	struct gntalloc_gref *gref;
	uint64_t page;
	int error;

	error = gntalloc_reserve(op->count);
	if (error != 0)
		return (error);
	if (op->count > ALLOC_MAX) {
		gntalloc_unreserve(op->count);
		return (ENOMEM);
	}

	/* From here on the indices are spent, even if the request fails. */
	sx_xlock(&file->lock);
	page = file->next_gref;
	file->next_gref += op->count;
	sx_xunlock(&file->lock);
	op->index = ptoa(page);

	TAILQ_INIT(&grefs);
	error = gntalloc_grefs_create(&grefs, op->count, op->domid,
	    (op->flags & GNTALLOC_FLAG_WRITABLE) == 0);
	if (error != 0)
		return (error);

	/*
	 * The lock keeps the grefs together until the caller knows their
	 * references.  After a fault they stay allocated until close.
	 */
	sx_xlock(&file->lock);
	TAILQ_FOREACH(gref, &grefs, link) {
		gref->range.start = page++;
		xengnt_index_insert(&file->lists[XENGNT_GREFS], &gref->range);
	}
	if (uop != NULL)
		error = copyout(op, uop, sizeof(*op));
	if (error == 0)
		error = copyout_ids(&grefs, uids);
	sx_xunlock(&file->lock);
	return (error);
}

/*
 * Finds count grefs at consecutive pages from page on; returns the first or
 * NULL.  The walk is bounded by the grefs in the list, however large count is.
 */
struct gntalloc_gref *
gntalloc_find_run(struct xengnt_file *file, uint64_t page, uint64_t count)
{
	struct xengnt_range *first, *range;

	sx_assert(&file->lock, SA_XLOCKED);
	first = range = xengnt_index_find(&file->lists[XENGNT_GREFS], page);
	while (range != NULL && --count > 0)
		range = xengnt_index_adjacent(range);
	return (range == NULL ? NULL : gntalloc_range_gref(first));
}

/* Deallocates the whole range or nothing. */
int
gntalloc_dealloc(struct xengnt_file *file,
    const struct ioctl_gntalloc_dealloc_gref *op)
{
	struct gntalloc_grefs dead;
	struct gntalloc_gref *gref;
	struct xengnt_range *range, *next;
	uint32_t i;

	if (op->count == 0 || (op->index & PAGE_MASK) != 0)
		return (EINVAL);
	TAILQ_INIT(&dead);
	sx_xlock(&file->lock);
	gref = gntalloc_find_run(file, atop(op->index), op->count);
	if (gref == NULL) {
		sx_xunlock(&file->lock);
		return (EINVAL);
	}
	range = &gref->range;
	for (i = 0; i < op->count; i++) {
		next = xengnt_index_adjacent(range);
		xengnt_index_remove(&file->lists[XENGNT_GREFS], range);
		gntalloc_gref_rele(gntalloc_range_gref(range), &dead);
		range = next;
	}
	sx_xunlock(&file->lock);
	gntalloc_grefs_free(&dead);
	return (0);
}

/* Each page has its own.  A wrong index is reported before a wrong action. */
int
gntalloc_set_notify(struct xengnt_file *file,
    const struct ioctl_gntalloc_unmap_notify *op)
{
	struct xengnt_range *range;
	int error;

	error = xengnt_notify_check(op->action, op->event_channel_port);
	sx_xlock(&file->lock);
	range = xengnt_index_find(&file->lists[XENGNT_GREFS], atop(op->index));
	if (range == NULL)
		error = ENOENT;
	if (error == 0)
		xengnt_notify_arm(&gntalloc_range_gref(range)->notify,
		    op->action, op->event_channel_port,
		    op->index & PAGE_MASK);
	sx_xunlock(&file->lock);
	return (error);
}
