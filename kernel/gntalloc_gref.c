/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One granted page: its making, its end, and the list of those whose end has
 * to wait for the peer.
 */

#include "xengnt_vm.h"

#include <sys/systm.h>
#include <sys/errno.h>
#include <sys/kernel.h>
#include <sys/lock.h>
#include <sys/mutex.h>
#include <sys/refcount.h>
#include <sys/syslog.h>
#include <sys/taskqueue.h>

#include "xengnt.h"
#include "xengnt_stats.h"
#include "gntalloc.h"

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

static struct {
	struct mtx	mtx;		/* guards all of it */
	uint32_t	npages;		/* counted against the limit */
	u_int		ndeferred;
	struct gntalloc_grefs deferred;
	struct timeout_task task;
} gntalloc;

SYSCTL_UINT(_hw_xen_gntalloc, OID_AUTO, pages, CTLFLAG_RD, &gntalloc.npages, 0,
    "Granted pages");
SYSCTL_UINT(_hw_xen_gntalloc, OID_AUTO, deferred, CTLFLAG_RD,
    &gntalloc.ndeferred, 0, "Pages that wait for the peer to unmap them");

/* 32-bit arithmetic without sign, as on Linux (row A3). */
int
gntalloc_reserve(uint32_t count)
{
	int error;

	error = 0;
	mtx_lock(&gntalloc.mtx);
	if (gntalloc.npages + count > (uint32_t)gntalloc_limit)
		error = ENOSPC;
	else
		gntalloc.npages += count;
	mtx_unlock(&gntalloc.mtx);
	return (error);
}

void
gntalloc_unreserve(uint32_t count)
{

	mtx_lock(&gntalloc.mtx);
	gntalloc.npages -= count;
	mtx_unlock(&gntalloc.mtx);
}

static void
page_free(vm_page_t m)
{

	/* Whoever still holds the page, physio say, frees it (REFERENCE 7.2). */
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
	gref->page = vm_page_alloc_noobj(VM_ALLOC_WIRED | VM_ALLOC_ZERO);
	if (gref->page == NULL) {
		free(gref, M_XENGNT);
		return (ENOMEM);
	}
	/* For good: whoever writes to a page that is not valid panics. */
	gref->page->valid = VM_PAGE_BITS_ALL;
	error = gnttab_grant_foreign_access(domid,
	    atop(VM_PAGE_TO_PHYS(gref->page)), readonly, &gref->ref);
	if (error != 0) {
		page_free(gref->page);
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
	page_free(gref->page);
	free(gref, M_XENGNT);
	return (true);
}

/* Byte, then event (2.12): whether the peer still maps it or not. */
void
gntalloc_gref_fire(struct gntalloc_gref *gref)
{

	if (xengnt_notify_take_byte(&gref->notify))
		pmap_zero_page_area(gref->page, (int)gref->notify.byte, 1);
	xengnt_notify_send(&gref->notify);
}

static void
deferred_schedule(void)
{
	uint64_t ms;

	mtx_assert(&gntalloc.mtx, MA_OWNED);
	ms = MIN(deferred_interval, DEFERRED_MAX_MS);
	/* At least a tick: an interval of 0 would be a busy loop. */
	taskqueue_enqueue_timeout(taskqueue_thread, &gntalloc.task,
	    (int)MAX(ms * hz / 1000, 1));
}

void
gntalloc_gref_rele(struct gntalloc_gref *gref)
{

	if (!refcount_release(&gref->users))
		return;
	gntalloc_gref_fire(gref);
	/* Gone for the limit, even while the peer has it (2.14). */
	gntalloc_unreserve(1);
	if (gref_try_free(gref))
		return;
	SDT_PROBE2(xengnt, gntalloc, free, defer, gref->ref, 0);
	xengnt_hold_more();
	mtx_lock(&gntalloc.mtx);
	TAILQ_INSERT_TAIL(&gntalloc.deferred, gref, link);
	if (gntalloc.ndeferred++ == 0)
		deferred_schedule();
	mtx_unlock(&gntalloc.mtx);
}

/* The file does not list the gref any more. */
void
gntalloc_gref_drop(struct xengnt_range *range)
{

	gntalloc_gref_rele(gntalloc_range_gref(range));
}

/* Looks at some of the list, in turn, time and again while there is any. */
static void
deferred_task(void *arg __unused, int pending __unused)
{
	struct gntalloc_gref *gref;
	u_int n;
	bool done;

	mtx_lock(&gntalloc.mtx);
	n = gntalloc.ndeferred;
	if (deferred_batch != 0 && n > deferred_batch)
		n = deferred_batch;
	for (; n > 0; n--) {
		gref = TAILQ_FIRST(&gntalloc.deferred);
		TAILQ_REMOVE(&gntalloc.deferred, gref, link);
		mtx_unlock(&gntalloc.mtx);
		done = gref_try_free(gref);
		if (!done && ++gref->tries == DEFERRED_LOG_TRIES)
			log(LOG_NOTICE, "gntalloc: the peer still maps the "
			    "page of grant reference %u\n", gref->ref);
		mtx_lock(&gntalloc.mtx);
		if (done) {
			gntalloc.ndeferred--;
			xengnt_unhold();
		} else
			TAILQ_INSERT_TAIL(&gntalloc.deferred, gref, link);
	}
	if (gntalloc.ndeferred > 0)
		deferred_schedule();
	mtx_unlock(&gntalloc.mtx);
}

void
gntalloc_deferred_init(void)
{

	mtx_init(&gntalloc.mtx, "gntalloc", NULL, MTX_DEF);
	TAILQ_INIT(&gntalloc.deferred);
	TIMEOUT_TASK_INIT(taskqueue_thread, &gntalloc.task, 0, deferred_task,
	    NULL);
}

void
gntalloc_deferred_fini(void)
{

	/* The list is empty: its pages hold the module.  The task may run. */
	taskqueue_drain_timeout(taskqueue_thread, &gntalloc.task);
	KASSERT(gntalloc.npages == 0,
	    ("gntalloc: %u pages at unload", gntalloc.npages));
	mtx_destroy(&gntalloc.mtx);
}
