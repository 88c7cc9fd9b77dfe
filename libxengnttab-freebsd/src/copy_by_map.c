/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Grant copy for a driver without it: map, copy, unmap.  As far as the library
 * can know them, the results are those of Linux's GRANT_COPY (rows C3-C7, C10,
 * C11, C15).
 */
#include <sys/mman.h>

#include <errno.h>
#include <string.h>

#include "private.h"

/* One end of a copy: memory of ours, or a page that was mapped for it. */
struct side {
	char *start;
	void *page;	/* NULL: nothing to unmap */
};

static bool
reaches_beyond(const union xengnttab_copy_ptr *ptr, uint16_t len)
{
	return ((size_t)ptr->foreign.offset + len > GRANT_PAGE_SIZE);
}

/*
 * Returns 0, or -1 and errno if the whole copy fails.  If Xen refuses the
 * grant, the reason goes to *status.
 */
static int
side_open(xengnttab_handle *xgt, struct side *side,
    const union xengnttab_copy_ptr *ptr, bool foreign, int prot,
    int16_t *status)
{
	uint32_t domid, ref;
	const struct map_request req = {
		.count = 1,
		.domids = &domid,
		.refs = &ref,
		.prot = prot,
		.notify_offset = NO_OFFSET,
		.notify_port = NO_PORT,
		.refusable = true,
	};

	side->page = NULL;
	if (!foreign) {
		side->start = ptr->virt;
		return (0);
	}
	domid = ptr->foreign.domid;
	ref = ptr->foreign.ref;
	/* A domain that maps a grant of its own loses the page (3.11). */
	if (domid == DOMID_SELF) {
		*status = GNTST_bad_domain;
		return (0);
	}
	side->page = osdep_gnttab_map(xgt, &req);
	if (side->page == NULL) {
		if (errno != EINVAL)
			return (-1);
		/* The driver has this errno for all of Xen's reasons. */
		*status = GNTST_general_error;
		return (0);
	}
	side->start = (char *)side->page + ptr->foreign.offset;
	return (0);
}

static int
side_close(xengnttab_handle *xgt, struct side *side)
{
	if (side->page == NULL)
		return (0);
	return (osdep_gnttab_unmap(xgt, side->page, 1));
}

static int
copy_one(xengnttab_handle *xgt, xengnttab_grant_copy_segment_t *seg)
{
	struct side source = { 0 }, dest = { 0 };
	bool from, to;
	int error, rc;

	from = (seg->flags & GNTCOPY_source_gref) != 0;
	to = (seg->flags & GNTCOPY_dest_gref) != 0;
	if ((!from && !to) ||
	    (from && reaches_beyond(&seg->source, seg->len)) ||
	    (to && reaches_beyond(&seg->dest, seg->len))) {
		errno = EINVAL;
		return (-1);
	}
	seg->status = GNTST_okay;
	if (seg->len == 0)
		return (0);
	rc = side_open(xgt, &source, &seg->source, from, PROT_READ,
	    &seg->status);
	if (rc == 0 && seg->status == GNTST_okay)
		rc = side_open(xgt, &dest, &seg->dest, to,
		    PROT_READ | PROT_WRITE, &seg->status);
	/* Both may be the same page. */
	if (rc == 0 && seg->status == GNTST_okay)
		memmove(dest.start, source.start, seg->len);
	error = errno;
	if (side_close(xgt, &dest) != 0 && rc == 0) {
		rc = -1;
		error = errno;
	}
	if (side_close(xgt, &source) != 0 && rc == 0) {
		rc = -1;
		error = errno;
	}
	errno = error;
	return (rc);
}

int
copy_by_map(xengnttab_handle *xgt, uint32_t count,
    xengnttab_grant_copy_segment_t *segs)
{
	uint32_t i;

	for (i = 0; i < count; i++) {
		if (copy_one(xgt, &segs[i]) != 0)
			return (-1);
	}
	return (0);
}
