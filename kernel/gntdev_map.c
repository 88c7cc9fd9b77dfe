/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 The xengnt authors */
/* A map and its notification, from MAP_GRANT_REF to the end. */

#include <sys/param.h>
#include <sys/systm.h>
#include <sys/kernel.h>
#include <sys/refcount.h>

#include <xen/gntdev.h>

#include "xengnt.h"
#include "xengnt_arena.h"
#include "xengnt_file.h"
#include "xengnt_stats.h"
#include "gntdev_var.h"

static u_int gntdev_limit = 65536;
SYSCTL_UINT(_hw_xen_gntdev, OID_AUTO, limit, CTLFLAG_RWTUN, &gntdev_limit, 0,
    "Largest number of grants in one mapping");

/*
 * Up to this count an allocation sleeps until there is memory.  Larger ones,
 * possible only if an administrator raises the limit, fail instead of sleeping
 * for ever.
 */
#define	SLEEP_COUNT	65536

/* References are copied in this many at a time. */
#define	COPYIN_REFS	64

static struct gntdev_map *
map_alloc(u_int count)
{
	struct gntdev_map *map;
	size_t size;
	u_int i;

	size = sizeof(map->slots[0]) + sizeof(map->map_ops[0]) +
	    sizeof(map->unmap_ops[0]);
	map = malloc(sizeof(*map) + size * count, M_XENGNT,
	    M_ZERO | (count <= SLEEP_COUNT ? M_WAITOK : M_NOWAIT));
	if (map == NULL)
		return (NULL);
	map->count = count;
	map->range.count = count;
	map->slots = (struct xengnt_slot **)(map + 1);
	map->map_ops = (struct gnttab_map_grant_ref *)(map->slots + count);
	map->unmap_ops =
	    (struct gnttab_unmap_grant_ref *)(map->map_ops + count);
	/* 0 is a valid handle: mark every grant as not mapped. */
	for (i = 0; i < count; i++)
		map->map_ops[i].handle = GNTDEV_NO_HANDLE;
	refcount_init(&map->refs, 1);
	return (map);
}

static struct xengnt_queue io_queue = {
	.name =		"gntdev I/O",
	.delay_ms =	xengnt_io_delay_ms,
};
SYSCTL_UINT(_hw_xen_gntdev, OID_AUTO, deferred, CTLFLAG_RD, &io_queue.count, 0,
    "Unmapped mappings that wait for I/O on their pages");

static bool
map_in_use(const struct gntdev_map *map)
{
	u_int i;

	for (i = 0; i < map->count; i++)
		if (map->map_ops[i].handle != GNTDEV_NO_HANDLE &&
		    xengnt_page_in_use(map->slots[i]->page))
			return (true);
	return (false);
}

/* The last reference is gone, so no mapping can start more I/O on the pages. */
static bool
map_try_free(struct xengnt_deferred *deferred)
{
	struct gntdev_map *map;

	map = __containerof(deferred, struct gntdev_map, deferred);
	if (map_in_use(map))
		return (false);
	gntdev_grants_unmap(map);
	/* After the unmapping, and also if nothing was mapped. */
	xengnt_notify_send(&map->notify);
	SDT_PROBE2(xengnt, gntdev, release, done, ptoa(map->range.start),
	    map->count);
	xengnt_arena_put(map->slots, map->count);
	free(map, M_XENGNT);
	counter_u64_add(xengnt_maps, -1);
	return (true);
}

/*
 * Stores through the placeholder's kernel address.  Xen drops a store to a
 * read-only grant.
 */
static void
map_clear_byte(struct gntdev_map *map)
{
	uint64_t byte;

	byte = map->notify.byte;
	if ((map->notify.action & UNMAP_NOTIFY_CLEAR_BYTE) != 0 &&
	    map->map_ops[atop(byte)].handle != GNTDEV_NO_HANDLE)
		*(volatile char *)(map->slots[atop(byte)]->va +
		    (byte & PAGE_MASK)) = 0;
}

void
gntdev_map_rele(struct gntdev_map *map)
{

	if (!refcount_release(&map->refs))
		return;
	map_clear_byte(map);
	map->deferred.try_free = map_try_free;
	if (map_try_free(&map->deferred))
		return;
	SDT_PROBE2(xengnt, gntdev, release, defer, ptoa(map->range.start),
	    map->count);
	xengnt_defer(&io_queue, &map->deferred);
}

static void
maps_drop(struct xengnt_index *list)
{
	struct xengnt_range *range;

	while ((range = xengnt_index_first(list)) != NULL) {
		xengnt_index_remove(list, range);
		gntdev_map_rele(gntdev_range_map(range));
	}
}

static bool
gntdev_busy(void)
{

	return (counter_u64_fetch(xengnt_grants) != 0);
}

const struct xengnt_device gntdev_device = {
	.queues =	{ &io_queue },
	.busy =		gntdev_busy,
	.drop =		maps_drop,
};

/* Copies in the array behind the fixed struct, a piece at a time. */
static int
map_copyin_refs(struct gntdev_map *map, const char *urefs)
{
	struct ioctl_gntdev_grant_ref refs[COPYIN_REFS];
	u_int done, i, n;
	int error;

	for (done = 0; done < map->count; done += n) {
		n = MIN(map->count - done, COPYIN_REFS);
		error = copyin(urefs + (size_t)done * sizeof(refs[0]), refs,
		    n * sizeof(refs[0]));
		if (error != 0)
			return (error);
		for (i = 0; i < n; i++) {
			/* Truncated to 16 bits, as on Linux. */
			map->map_ops[done + i].dom = (domid_t)refs[i].domid;
			map->map_ops[done + i].ref = refs[i].ref;
		}
	}
	return (0);
}

int
gntdev_map(struct xengnt_file *file, struct ioctl_gntdev_map_grant_ref *op,
    char *uop, const char *urefs)
{
	struct gntdev_map *map;
	int error;

	if (op->count == 0 || op->count > gntdev_limit)
		return (EINVAL);
	map = map_alloc(op->count);
	if (map == NULL)
		return (ENOMEM);
	/* Fail here for want of placeholders, not in mmap(2). */
	error = xengnt_arena_take(map->slots, map->count);
	if (error != 0) {
		free(map, M_XENGNT);
		return (error);
	}
	counter_u64_add(xengnt_maps, 1);
	error = map_copyin_refs(map, urefs);
	if (error != 0)
		goto fail;

	/*
	 * Keep the lock until the caller knows the index: after a failed
	 * copyout nobody else may have taken the map off the list.
	 */
	sx_xlock(&file->lock);
	xengnt_index_first_fit(&file->lists[XENGNT_MAPS], &map->range);
	op->index = ptoa(map->range.start);
	SDT_PROBE2(xengnt, gntdev, map, done, op->index, map->count);
	if (uop != NULL)
		error = copyout(op, uop, sizeof(*op));
	if (error != 0)
		xengnt_index_remove(&file->lists[XENGNT_MAPS], &map->range);
	sx_xunlock(&file->lock);
	if (error == 0)
		return (0);
fail:
	gntdev_map_rele(map);
	return (error);
}

int
gntdev_unmap(struct xengnt_file *file,
    const struct ioctl_gntdev_unmap_grant_ref *op)
{
	struct xengnt_range *range;

	sx_xlock(&file->lock);
	/* The low bits of the index are ignored. */
	range = xengnt_index_find(&file->lists[XENGNT_MAPS], atop(op->index));
	/* Only the whole map can be unmapped; count 0 means that, too. */
	if (range != NULL && op->count != 0 && op->count != range->count)
		range = NULL;
	if (range != NULL)
		xengnt_index_remove(&file->lists[XENGNT_MAPS], range);
	sx_xunlock(&file->lock);
	if (range == NULL)
		return (ENOENT);
	SDT_PROBE2(xengnt, gntdev, unmap, done, op->index, range->count);
	gntdev_map_rele(gntdev_range_map(range));
	return (0);
}

/* A wrong action or port is reported before a wrong index. */
int
gntdev_set_notify(struct xengnt_file *file,
    const struct ioctl_gntdev_unmap_notify *op)
{
	struct xengnt_range *range;
	struct gntdev_map *map;
	int error;

	error = xengnt_notify_check(op->action, op->event_channel_port);
	if (error != 0)
		return (error);
	sx_xlock(&file->lock);
	range = xengnt_index_find_containing(&file->lists[XENGNT_MAPS],
	    atop(op->index));
	if (range == NULL) {
		error = ENOENT;
		goto out;
	}
	map = gntdev_range_map(range);
	if ((op->action & UNMAP_NOTIFY_CLEAR_BYTE) != 0 && map->in_use &&
	    map->readonly) {
		error = EINVAL;
		goto out;
	}
	xengnt_notify_arm(&map->notify, op->action, op->event_channel_port,
	    op->index - ptoa(range->start));
out:
	sx_xunlock(&file->lock);
	return (error);
}
