/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 The xengnt authors */
/*
 * One granted page: its making, its end, and the list of those whose end has
 * to wait for the peer.
 */

#include "xengnt_vm.h"

#include <sys/systm.h>
#include <sys/errno.h>
#include <sys/kernel.h>
#include <sys/refcount.h>
#include <sys/syslog.h>

#include "xengnt.h"
#include "xengnt_file.h"
#include "xengnt_stats.h"
#include "gntalloc_var.h"

/* As Linux's grant-table core does (REFERENCE 2.14). */
#define	DEFERRED_LOG_TRIES	60
/* An hour: what an administrator's interval is cut down to. */
#define	DEFERRED_MAX_MS		3600000

/* Pages of the whole system (row A3). */
static int gntalloc_limit = 1024;
SYSCTL_INT(_hw_xen_gntalloc, OID_AUTO, limit, CTLFLAG_RWTUN, &gntalloc_limit,
    0, "Largest number of granted pages, system-wide");

static u_int deferred_interval = 1000;
SYSCTL_UINT(_hw_xen_gntalloc, OID_AUTO, deferred_interval, CTLFLAG_RWTUN,
    &deferred_interval, 0,
    "Milliseconds between two looks at the pages that wait for the peer");
static u_int deferred_batch = 10;
SYSCTL_UINT(_hw_xen_gntalloc, OID_AUTO, deferred_batch, CTLFLAG_RWTUN,
    &deferred_batch, 0, "Pages looked at each time; 0: all of them");

static u_int gntalloc_npages;		/* counted against the limit */
SYSCTL_UINT(_hw_xen_gntalloc, OID_AUTO, pages, CTLFLAG_RD, &gntalloc_npages, 0,
    "Granted pages");

static u_int
peer_delay_ms(u_int looks __unused)
{

	return (MIN(deferred_interval, DEFERRED_MAX_MS));
}

static struct xengnt_queue peer_queue = {
	.delay_ms =	peer_delay_ms,
	.batch =	&deferred_batch,
};
SYSCTL_UINT(_hw_xen_gntalloc, OID_AUTO, deferred, CTLFLAG_RD,
    &peer_queue.count, 0, "Pages that wait for the peer to unmap them");

/* 32-bit arithmetic without sign, as on Linux (row A3). */
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

/* Whoever still has the page, I/O say, frees it. */
void
gntalloc_page_rele(vm_page_t m)
{

	if (vm_page_unwire_noq(m))
		vm_page_free(m);
}

/* A zeroed page, granted to domid; 0, ENOMEM or ENOSPC (rows A4, A5). */
int
gntalloc_gref_create(domid_t domid, bool readonly, struct gntalloc_gref **grefp)
{
	struct gntalloc_gref *gref;
	int error;

	gref = malloc(sizeof(*gref), M_XENGNT, M_WAITOK | M_ZERO);
	/* Sleeps when it fails: the pageout daemon has a chance, as Linux's. */
	gref->page = vm_page_alloc_noobj(VM_ALLOC_WIRED | VM_ALLOC_ZERO |
	    VM_ALLOC_WAITFAIL);
	if (gref->page == NULL)
		gref->page = vm_page_alloc_noobj(VM_ALLOC_WIRED |
		    VM_ALLOC_ZERO);
	if (gref->page == NULL) {
		free(gref, M_XENGNT);
		return (ENOMEM);
	}
	/* For good: whoever writes to a page that is not valid panics. */
	gref->page->valid = VM_PAGE_BITS_ALL;
	error = gnttab_grant_foreign_access(domid,
	    atop(VM_PAGE_TO_PHYS(gref->page)), readonly, &gref->ref);
	if (error != 0) {
		gntalloc_page_rele(gref->page);
		free(gref, M_XENGNT);
		return (ENOSPC);
	}
	gref->range.count = 1;
	refcount_init(&gref->users, 1);
	SDT_PROBE2(xengnt, gntalloc, alloc, done, domid, gref->ref);
	*grefp = gref;
	return (0);
}

/* Ends the grant and frees everything, unless the peer maps the page. */
static bool
gref_try_free(struct gntalloc_gref *gref)
{

	/*
	 * The first test only avoids the message of the second, which is the
	 * one that decides: the peer may map in between.
	 */
	if (gnttab_query_foreign_access(gref->ref) != 0 ||
	    gnttab_end_foreign_access_ref(gref->ref) == 0)
		return (false);
	SDT_PROBE1(xengnt, gntalloc, free, done, gref->ref);
	gnttab_free_grant_reference(gref->ref);
	gntalloc_page_rele(gref->page);
	free(gref, M_XENGNT);
	return (true);
}

/* Byte, then event (2.12): whether the peer still maps it or not. */
void
gntalloc_gref_notify(struct gntalloc_gref *gref)
{

	if (xengnt_notify_take_byte(&gref->notify))
		pmap_zero_page_area(gref->page, (int)gref->notify.byte, 1);
	xengnt_notify_send(&gref->notify);
}

static bool
gref_retry(struct xengnt_deferred *deferred)
{
	struct gntalloc_gref *gref;

	gref = __containerof(deferred, struct gntalloc_gref, deferred);
	if (gref_try_free(gref))
		return (true);
	if (++gref->tries == DEFERRED_LOG_TRIES)
		log(LOG_NOTICE, "gntalloc: the peer still maps the page of "
		    "grant reference %u\n", gref->ref);
	return (false);
}

void
gntalloc_gref_rele(struct gntalloc_gref *gref)
{

	if (!refcount_release(&gref->users))
		return;
	gntalloc_gref_notify(gref);
	/* Gone for the limit, even while the peer has it (2.14). */
	gntalloc_unreserve(1);
	if (gref_try_free(gref))
		return;
	SDT_PROBE2(xengnt, gntalloc, free, defer, gref->ref, 0);
	gref->deferred.try_free = gref_retry;
	xengnt_defer(&peer_queue, &gref->deferred);
}

static void
gref_drop(struct xengnt_range *range)
{

	gntalloc_gref_rele(gntalloc_range_gref(range));
}

static void
gref_notify(struct xengnt_range *range)
{

	gntalloc_gref_notify(gntalloc_range_gref(range));
}

static const struct xengnt_list_ops gref_list_ops = {
	.drop =		gref_drop,
	.notify =	gref_notify,
};

static void
gntalloc_init(void)
{

	xengnt_queue_init(&peer_queue, "gntalloc peer");
	gntalloc_mmap_init();
	xengnt_file_list(XENGNT_GREFS, &gref_list_ops);
}

static void
gntalloc_fini(void)
{

	gntalloc_mmap_fini();
	xengnt_queue_fini(&peer_queue);
	KASSERT(gntalloc_npages == 0,
	    ("gntalloc: %u pages at unload", gntalloc_npages));
}

static bool
gntalloc_busy(void)
{

	return (gntalloc_npages != 0 || peer_queue.count != 0);
}

const struct xengnt_device gntalloc_device = {
	.init =		gntalloc_init,
	.fini =		gntalloc_fini,
	.busy =		gntalloc_busy,
};
