/* SPDX-License-Identifier: BSD-2-Clause */
/* MAP_GRANT_REF, UNMAP_GRANT_REF and the life of a map. */

#include "compat.h"

#include <sys/systm.h>
#include <sys/errno.h>
#include <sys/kernel.h>
#include <sys/refcount.h>

#include <xen/gntdev.h>

#include "xengnt.h"
#include "xengnt_arena.h"
#include "xengnt_file.h"
#include "gntdev.h"

/* The largest single request, in pages (row M3). */
static u_int gntdev_limit = 65536;
SYSCTL_UINT(_hw_xen_gntdev, OID_AUTO, limit, CTLFLAG_RWTUN, &gntdev_limit, 0,
    "Largest number of grants in one mapping");

/*
 * Up to here an allocation sleeps rather than fail; beyond, where only an
 * administrator's higher limit leads, it fails rather than wait for ever.
 */
#define	SURE_COUNT	65536

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
	    M_ZERO | (count <= SURE_COUNT ? M_WAITOK : M_NOWAIT));
	if (map == NULL)
		return (NULL);
	map->count = count;
	map->range.count = count;
	map->slots = (struct xengnt_slot **)(map + 1);
	map->map_ops = (struct gnttab_map_grant_ref *)(map->slots + count);
	map->unmap_ops =
	    (struct gnttab_unmap_grant_ref *)(map->map_ops + count);
	/* 0 is a handle: say that nothing is mapped. */
	for (i = 0; i < count; i++)
		map->map_ops[i].handle = GNTDEV_NO_HANDLE;
	refcount_init(&map->refs, 1);
	return (map);
}

void
gntdev_map_hold(struct gntdev_map *map)
{

	refcount_acquire(&map->refs);
}

void
gntdev_map_rele(struct gntdev_map *map)
{

	if (!refcount_release(&map->refs))
		return;
	gntdev_grants_unmap(map);
	xengnt_arena_put(map->slots, map->count);
	free(map, M_XENGNT);
}

/* The file does not list the map any more. */
void
gntdev_map_drop(struct xengnt_range *range)
{

	gntdev_map_rele(__containerof(range, struct gntdev_map, range));
}

/* Copies in the array behind the fixed struct, in bounded pieces. */
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
			/* Truncated to 16 bits, as on Linux (row M7). */
			map->map_ops[done + i].dom = (domid_t)refs[i].domid;
			map->map_ops[done + i].ref = refs[i].ref;
		}
	}
	return (0);
}

/* REFERENCE 2.2; the order of the checks is the order of its rows. */
int
gntdev_ioctl_map(struct xengnt_file *file, char *uarg)
{
	struct ioctl_gntdev_map_grant_ref op;
	struct gntdev_map *map;
	int error;

	error = copyin(uarg, &op, sizeof(op));
	if (error != 0)
		return (error);
	if (op.count == 0 || op.count > gntdev_limit)
		return (EINVAL);
	map = map_alloc(op.count);
	if (map == NULL)
		return (ENOMEM);
	/* Placeholders belong to the request, not to mmap(2) (row M4). */
	error = xengnt_arena_take(map->slots, map->count);
	if (error != 0) {
		free(map, M_XENGNT);
		return (error);
	}
	error = map_copyin_refs(map,
	    uarg + offsetof(struct ioctl_gntdev_map_grant_ref, refs));
	if (error != 0)
		goto fail;

	/*
	 * The lock is kept until the caller knows the index: nobody else may
	 * take the map off the list before a failed copyout does (row M6).
	 */
	sx_xlock(&file->lock);
	xengnt_index_first_fit(&file->ranges, &map->range);
	op.index = ptoa(map->range.start);
	error = copyout(&op, uarg, sizeof(op));
	if (error != 0)
		xengnt_index_remove(&file->ranges, &map->range);
	sx_xunlock(&file->lock);
	if (error == 0)
		return (0);
fail:
	gntdev_map_rele(map);
	return (error);
}

/* REFERENCE 2.4. */
int
gntdev_ioctl_unmap(struct xengnt_file *file, char *uarg)
{
	struct ioctl_gntdev_unmap_grant_ref op;
	struct xengnt_range *range;
	int error;

	error = copyin(uarg, &op, sizeof(op));
	if (error != 0)
		return (error);
	sx_xlock(&file->lock);
	/* The low bits of the index do not count (row U2). */
	range = xengnt_index_find(&file->ranges, atop(op.index));
	/* Nothing but the whole map; count 0 stands for it (U3, U4). */
	if (range != NULL && op.count != 0 && op.count != range->count)
		range = NULL;
	if (range != NULL)
		xengnt_index_remove(&file->ranges, range);
	sx_xunlock(&file->lock);
	if (range == NULL)
		return (ENOENT);
	gntdev_map_drop(range);
	return (0);
}
