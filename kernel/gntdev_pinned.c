/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Maps whose pages are still used by somebody's I/O when their last
 * reference goes (REFERENCE 2.9, rows Z).  Their grants stay mapped until
 * the pages are let go; nobody waits for that.
 */

#include "xengnt_vm.h"

#include <sys/systm.h>
#include <sys/kernel.h>
#include <sys/lock.h>
#include <sys/mutex.h>
#include <sys/queue.h>
#include <sys/taskqueue.h>

#include <machine/atomic.h>

#include "xengnt.h"
#include "xengnt_arena.h"
#include "xengnt_stats.h"
#include "gntdev.h"

/* The nth look comes 5 * n ms after the one before, up to a second. */
#define	DELAY_STEP_MS	5
#define	DELAY_MAX_MS	1000

static struct {
	struct mtx	mtx;		/* guards the rest */
	LIST_HEAD(, gntdev_map) maps;
	u_int		nmaps;
	u_int		looks;		/* since the last map came */
	struct timeout_task task;
} pinned;

SYSCTL_UINT(_hw_xen_gntdev, OID_AUTO, deferred, CTLFLAG_RD, &pinned.nmaps, 0,
    "Unmapped mappings that wait for I/O on their pages");

bool
gntdev_map_is_pinned(const struct gntdev_map *map)
{
	u_int i, refs;

	for (i = 0; i < map->count; i++) {
		if (map->map_ops[i].handle == GNTDEV_NO_HANDLE)
			continue;
		refs = atomic_load_acq_int(&map->slots[i]->page->ref_count);
		/* A placeholder's page has one wiring of its own. */
		if (VPRC_WIRE_COUNT(refs) > 1)
			return (true);
	}
	return (false);
}

static void
pinned_schedule(void)
{
	u_int ms;

	mtx_assert(&pinned.mtx, MA_OWNED);
	ms = MIN(DELAY_STEP_MS * (pinned.looks + 1), DELAY_MAX_MS);
	taskqueue_enqueue_timeout(taskqueue_thread, &pinned.task,
	    MAX(1, hz * ms / 1000));
}

void
gntdev_pinned_add(struct gntdev_map *map)
{

	SDT_PROBE2(xengnt, gntdev, release, defer, ptoa(map->range.start),
	    map->count);
	/* The file may go; the module may not. */
	xengnt_hold_more();
	mtx_lock(&pinned.mtx);
	LIST_INSERT_HEAD(&pinned.maps, map, pinned);
	pinned.nmaps++;
	pinned.looks = 0;
	pinned_schedule();
	mtx_unlock(&pinned.mtx);
}

static void
pinned_task(void *arg __unused, int pending __unused)
{
	LIST_HEAD(, gntdev_map) ready;
	struct gntdev_map *map, *next;

	LIST_INIT(&ready);
	mtx_lock(&pinned.mtx);
	LIST_FOREACH_SAFE(map, &pinned.maps, pinned, next) {
		/* No mapping is left that could pin them anew. */
		if (gntdev_map_is_pinned(map))
			continue;
		LIST_REMOVE(map, pinned);
		LIST_INSERT_HEAD(&ready, map, pinned);
		pinned.nmaps--;
	}
	pinned.looks++;
	if (pinned.nmaps != 0)
		pinned_schedule();
	mtx_unlock(&pinned.mtx);
	LIST_FOREACH_SAFE(map, &ready, pinned, next) {
		gntdev_map_finish(map);
		xengnt_unhold();
	}
}

void
gntdev_pinned_init(void)
{

	mtx_init(&pinned.mtx, "gntdev pinned", NULL, MTX_DEF);
	LIST_INIT(&pinned.maps);
	TIMEOUT_TASK_INIT(taskqueue_thread, &pinned.task, 0, pinned_task,
	    NULL);
}

void
gntdev_pinned_fini(void)
{

	/* The list is empty: its maps hold the module.  The task may run. */
	taskqueue_drain_timeout(taskqueue_thread, &pinned.task);
	mtx_destroy(&pinned.mtx);
}
