/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 The xengnt authors */
/*
 * mmap(2) of granted pages.
 *
 * A page may be mapped many times, but a vm_page can be in only one VM object.
 * So each mmap has its own fictitious pages, with the addresses of the real
 * ones.
 */

#include <sys/param.h>
#include <sys/systm.h>
#include <sys/kernel.h>
#include <sys/lock.h>
#include <sys/refcount.h>

#include <vm/vm.h>
#include <vm/pmap.h>
#include <vm/vm_page.h>

#include "xengnt.h"
#include "xengnt_file.h"
#include "gntalloc_var.h"

/* One page of an mmap: a user of its gref until the whole mmap is gone. */
struct share_page {
	struct vm_page	fake;
	struct gntalloc_gref *gref;
	vm_page_t	kept;		/* real page that I/O still uses */
};

struct share {
	struct xengnt_area area;
	struct xengnt_deferred deferred; /* waits for I/O on its pages */
	bool		free;		/* no I/O at the last try */
	struct share_page pages[];
};

struct xengnt_queue gntalloc_io_queue = {
	.name =		"gntalloc I/O",
	.delay_ms =	xengnt_io_delay_ms,
};
SYSCTL_UINT(_hw_xen_gntalloc, OID_AUTO, in_flight, CTLFLAG_RD,
    &gntalloc_io_queue.count, 0,
    "Removed mappings whose pages I/O still uses");

static struct share *
area_share(struct xengnt_area *area)
{

	return (__containerof(area, struct share, area));
}

static vm_page_t
share_page(struct xengnt_area *area, vm_pindex_t pidx)
{

	return (&area_share(area)->pages[pidx].fake);
}

/* Releases the pages once all I/O on them is over. */
static bool
share_try_free(struct xengnt_deferred *deferred)
{
	struct share *share;
	u_int i;

	share = __containerof(deferred, struct share, deferred);
	for (i = 0; i < share->area.npages; i++)
		if (xengnt_page_in_use(&share->pages[i].fake))
			return (false);
	/*
	 * vm_page_unwire() may read a page's flags after it has released the
	 * page, so the fictitious pages stay until the next try.
	 */
	if (!share->free) {
		share->free = true;
		return (false);
	}
	for (i = 0; i < share->area.npages; i++)
		if (share->pages[i].kept != NULL)
			gntalloc_page_rele(share->pages[i].kept);
	free(share, M_XENGNT);
	return (true);
}

/*
 * Releases the grefs at once.  A real page that I/O uses through its fictitious
 * page is kept.
 */
static void
share_destroy(struct xengnt_area *area)
{
	struct gntalloc_grefs dead;
	struct share *share;
	struct share_page *p;
	bool busy;
	u_int i;

	share = area_share(area);
	TAILQ_INIT(&dead);
	busy = false;
	for (i = 0; i < area->npages; i++) {
		p = &share->pages[i];
		if (xengnt_page_in_use(&p->fake)) {
			p->kept = p->gref->page;
			vm_page_wire(p->kept);
			busy = true;
		}
		gntalloc_gref_rele(p->gref, &dead);
	}
	gntalloc_grefs_free(&dead);
	if (busy) {
		share->deferred.try_free = share_try_free;
		xengnt_defer(&gntalloc_io_queue, &share->deferred);
	} else
		free(share, M_XENGNT);
}

static const struct xengnt_area_ops share_area_ops = {
	.page =		share_page,
	.destroy =	share_destroy,
};

/* offset and size are whole pages; size is not 0. */
int
gntalloc_mmap(struct xengnt_file *file, vm_ooffset_t *offset, vm_size_t size,
    vm_object_t *object, int nprot)
{
	struct gntalloc_gref *gref;
	struct share *share;
	struct share_page *p;
	struct xengnt_range *range;
	u_int i, n;

	sx_xlock(&file->lock);
	/* Finding the run first bounds the allocation below. */
	gref = gntalloc_find_run(file, atop((vm_ooffset_t)*offset),
	    atop(size));
	if (gref == NULL) {
		sx_xunlock(&file->lock);
		return (ENOENT);
	}
	n = atop(size);
	share = malloc(sizeof(*share) + n * sizeof(share->pages[0]), M_XENGNT,
	    M_WAITOK | M_ZERO);
	range = &gref->range;
	for (i = 0; i < n; i++) {
		p = &share->pages[i];
		p->gref = gntalloc_range_gref(range);
		refcount_acquire(&p->gref->users);
		vm_page_initfake(&p->fake, VM_PAGE_TO_PHYS(p->gref->page),
		    pmap_page_get_memattr(p->gref->page));
		vm_page_xunbusy(&p->fake);
		range = xengnt_index_adjacent(range);
	}
	sx_xunlock(&file->lock);

	*object = xengnt_area_object(&share->area, &share_area_ops, file, n,
	    nprot);
	if (*object == NULL) {
		share_destroy(&share->area);
		return (ENOMEM);
	}
	*offset = 0;
	return (0);
}
