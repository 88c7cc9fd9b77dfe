/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 The xengnt authors */
/*
 * Granted pages: how they are made and freed, and the queue of those that the
 * peer still maps.
 */

#include <sys/param.h>
#include <sys/systm.h>
#include <sys/kernel.h>
#include <sys/refcount.h>
#include <sys/syslog.h>

#include <vm/vm.h>
#include <vm/pmap.h>
#include <vm/vm_page.h>

#include <xen/gntalloc.h>

#include "xengnt.h"
#include "xengnt_file.h"
#include "xengnt_stats.h"
#include "gntalloc_var.h"

/* Tries before a message, as in Linux's grant-table core. */
#define	DEFERRED_LOG_TRIES	60
/* One hour, the upper bound of hw.xen.gntalloc.deferred_interval. */
#define	DEFERRED_MAX_MS		3600000

static int gntalloc_limit = 1024;
SYSCTL_INT(_hw_xen_gntalloc, OID_AUTO, limit, CTLFLAG_RWTUN, &gntalloc_limit,
    0, "Largest number of granted pages, system-wide");

static u_int deferred_interval = 1000;
SYSCTL_UINT(_hw_xen_gntalloc, OID_AUTO, deferred_interval, CTLFLAG_RWTUN,
    &deferred_interval, 0,
    "Milliseconds between two tries to free the pages that wait for the peer");
static u_int deferred_batch = 10;
SYSCTL_UINT(_hw_xen_gntalloc, OID_AUTO, deferred_batch, CTLFLAG_RWTUN,
    &deferred_batch, 0, "Pages tried each time; 0: all of them");

static u_int gntalloc_npages;		/* counted against the limit */
SYSCTL_UINT(_hw_xen_gntalloc, OID_AUTO, pages, CTLFLAG_RD, &gntalloc_npages, 0,
    "Granted pages");

static u_int
peer_delay_ms(u_int tries __unused)
{

	return (MIN(deferred_interval, DEFERRED_MAX_MS));
}

static struct xengnt_queue peer_queue = {
	.name =		"gntalloc peer",
	.delay_ms =	peer_delay_ms,
	.batch =	&deferred_batch,
};
SYSCTL_UINT(_hw_xen_gntalloc, OID_AUTO, deferred, CTLFLAG_RD,
    &peer_queue.count, 0, "Pages that wait for the peer to unmap them");

/* Unsigned 32-bit arithmetic, as on Linux. */
int
gntalloc_reserve(uint32_t count)
{
	u_int old;

	old = atomic_load_int(&gntalloc_npages);
	do {
		if (old + count > (u_int)gntalloc_limit)
			return (ENOSPC);
	} while (atomic_fcmpset_int(&gntalloc_npages, &old, old + count) == 0);
	return (0);
}

void
gntalloc_unreserve(uint32_t count)
{

	atomic_subtract_int(&gntalloc_npages, count);
}

/* Frees the page; if I/O still uses it, the end of that I/O frees it. */
void
gntalloc_page_rele(vm_page_t m)
{

	if (vm_page_unwire_noq(m))
		vm_page_free(m);
}

/* Allocates a zeroed page and grants it to domid by a reference from refs. */
static struct gntalloc_gref *
gref_create(domid_t domid, bool readonly, grant_ref_t *refs)
{
	struct gntalloc_gref *gref;

	gref = malloc(sizeof(*gref), M_XENGNT, M_WAITOK | M_ZERO);
	/*
	 * Sleeps before it fails, so that the pageout daemon can free memory
	 * for the second try, as on Linux.
	 */
	gref->page = vm_page_alloc_noobj(VM_ALLOC_WIRED | VM_ALLOC_ZERO |
	    VM_ALLOC_WAITFAIL);
	if (gref->page == NULL)
		gref->page = vm_page_alloc_noobj(VM_ALLOC_WIRED |
		    VM_ALLOC_ZERO);
	if (gref->page == NULL) {
		free(gref, M_XENGNT);
		return (NULL);
	}
	/* Never cleared: writing to a page that is not valid panics. */
	gref->page->valid = VM_PAGE_BITS_ALL;
	gref->ref = gnttab_claim_grant_reference(refs);
	gnttab_grant_foreign_access_ref(gref->ref, domid,
	    atop(VM_PAGE_TO_PHYS(gref->page)), readonly);
	gref->range.count = 1;
	refcount_init(&gref->users, 1);
	SDT_PROBE2(xengnt, gntalloc, alloc, done, domid, gref->ref);
	return (gref);
}

/*
 * Makes count grefs or none, which the caller has reserved.  Failure, ENOMEM or
 * ENOSPC, ends the reservation.
 */
int
gntalloc_grefs_create(struct gntalloc_grefs *grefs, uint32_t count,
    domid_t domid, bool readonly)
{
	struct gntalloc_gref *gref;
	grant_ref_t refs;

	if (count == 0)
		return (0);
	if (count > UINT16_MAX ||
	    gnttab_alloc_grant_references((uint16_t)count, &refs) != 0) {
		gntalloc_unreserve(count);
		return (ENOSPC);
	}
	for (; count > 0; count--) {
		gref = gref_create(domid, readonly, &refs);
		if (gref == NULL) {
			gnttab_free_grant_references(refs);
			gntalloc_unreserve(count);
			gntalloc_grefs_free(grefs);
			return (ENOMEM);
		}
		TAILQ_INSERT_TAIL(grefs, gref, link);
	}
	return (0);
}

/*
 * Ends the grant and frees the gref, unless the peer maps the page.  The
 * reference goes to the head of *refs.
 */
static bool
gref_try_free(struct gntalloc_gref *gref, grant_ref_t *refs)
{

	/*
	 * The second call decides: the peer may map the page in between.  The
	 * first one only avoids the message that the second would print.
	 */
	if (gnttab_query_foreign_access(gref->ref) != 0 ||
	    gnttab_end_foreign_access_ref(gref->ref) == 0)
		return (false);
	SDT_PROBE1(xengnt, gntalloc, free, done, gref->ref);
	gnttab_release_grant_reference(refs, gref->ref);
	gntalloc_page_rele(gref->page);
	free(gref, M_XENGNT);
	return (true);
}

static bool
gref_retry(struct xengnt_deferred *deferred)
{
	struct gntalloc_gref *gref;
	grant_ref_t refs;

	gref = __containerof(deferred, struct gntalloc_gref, deferred);
	refs = GNTTAB_LIST_END;
	if (gref_try_free(gref, &refs)) {
		gnttab_free_grant_references(refs);
		return (true);
	}
	if (++gref->tries == DEFERRED_LOG_TRIES)
		log(LOG_NOTICE, "gntalloc: the peer still maps the page of "
		    "grant reference %u\n", gref->ref);
	return (false);
}

void
gntalloc_gref_rele(struct gntalloc_gref *gref, struct gntalloc_grefs *dead)
{

	if (refcount_release(&gref->users))
		TAILQ_INSERT_TAIL(dead, gref, link);
}

void
gntalloc_grefs_free(struct gntalloc_grefs *dead)
{
	struct gntalloc_gref *gref, *next;
	grant_ref_t refs;
	uint32_t count;

	refs = GNTTAB_LIST_END;
	count = 0;
	TAILQ_FOREACH_SAFE(gref, dead, link, next) {
		count++;
		/* Byte, then event, even if the peer still maps the page. */
		if ((gref->notify.action & UNMAP_NOTIFY_CLEAR_BYTE) != 0)
			pmap_zero_page_area(gref->page,
			    (int)gref->notify.byte, 1);
		xengnt_notify_send(&gref->notify);
		if (gref_try_free(gref, &refs))
			continue;
		SDT_PROBE2(xengnt, gntalloc, free, defer, gref->ref, 0);
		gref->deferred.try_free = gref_retry;
		xengnt_defer(&peer_queue, &gref->deferred);
	}
	gnttab_free_grant_references(refs);
	/* Pages that the peer still maps do not count against the limit. */
	gntalloc_unreserve(count);
}

static void
grefs_drop(struct xengnt_index *list)
{
	struct gntalloc_grefs dead;
	struct xengnt_range *range;

	TAILQ_INIT(&dead);
	while ((range = xengnt_index_first(list)) != NULL) {
		xengnt_index_remove(list, range);
		gntalloc_gref_rele(gntalloc_range_gref(range), &dead);
	}
	gntalloc_grefs_free(&dead);
}

static bool
gntalloc_busy(void)
{

	return (gntalloc_npages != 0 || peer_queue.count != 0);
}

const struct xengnt_device gntalloc_device = {
	.queues =	{ &peer_queue, &gntalloc_io_queue },
	.busy =		gntalloc_busy,
	.drop =		grefs_drop,
};
