/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 The xengnt authors */
/*
 * The hypercalls behind a map: one maps all of its grants, one unmaps them,
 * whatever the number of pages.
 */

#include <sys/param.h>
#include <sys/systm.h>
#include <sys/kernel.h>

#include "xengnt.h"
#include "xengnt_arena.h"
#include "xengnt_stats.h"
#include "gntdev_var.h"

/*
 * Mapping a page of our own would lose it: Xen takes its original address away.
 * Linux allows that; we refuse it (K17).
 */
static bool
grant_is_own(const struct gnttab_map_grant_ref *op)
{

	return (op->dom == DOMID_SELF || op->dom == xengnt_own_domid);
}

/*
 * Maps every grant of the map at its slot; called once in a map's life.  If any
 * grant cannot be mapped, the error is EINVAL, and the others stay mapped until
 * the map is freed.
 */
int
gntdev_grants_map(struct gntdev_map *map)
{
	struct gnttab_map_grant_ref *op;
	u_int i, mapped;
	int error, slept;

	for (i = 0; i < map->count; i++) {
		op = &map->map_ops[i];
		if (grant_is_own(op))
			return (EINVAL);
		op->host_addr = map->slots[i]->pa;
		op->flags = GNTMAP_host_map |
		    (map->readonly ? GNTMAP_readonly : 0);
		op->status = GNTST_general_error;
	}
	error = xengnt_grant_op(GNTTABOP_map_grant_ref, map->map_ops,
	    map->count);
	mapped = 0;
	slept = 0;
	for (i = 0; i < map->count; i++) {
		op = &map->map_ops[i];
		xengnt_retry_eagain(GNTTABOP_map_grant_ref, op, &op->status,
		    &slept);
		if (op->status != GNTST_okay) {
			/* Xen may have overwritten it. */
			op->handle = GNTDEV_NO_HANDLE;
			if (error == 0)
				error = EINVAL;
		} else
			mapped++;
	}
	counter_u64_add(xengnt_grants, mapped);
	return (error);
}

/*
 * Unmaps the mapped grants.  A slot whose unmap Xen does not confirm is removed
 * from map->slots and never used again: mapping over it would crash the domain.
 */
void
gntdev_grants_unmap(struct gntdev_map *map)
{
	struct gnttab_unmap_grant_ref *op;
	u_int i, n;
	int error;

	n = 0;
	for (i = 0; i < map->count; i++) {
		if (map->map_ops[i].handle == GNTDEV_NO_HANDLE)
			continue;
		op = &map->unmap_ops[n++];
		op->host_addr = map->slots[i]->pa;
		op->dev_bus_addr = 0;
		op->handle = map->map_ops[i].handle;
		op->status = GNTST_general_error;
	}
	if (n == 0)
		return;
	counter_u64_add(xengnt_grants, -(int64_t)n);
	error = xengnt_grant_op(GNTTABOP_unmap_grant_ref, map->unmap_ops, n);
	op = map->unmap_ops;
	for (i = 0; i < map->count; i++) {
		if (map->map_ops[i].handle == GNTDEV_NO_HANDLE)
			continue;
		if (error != 0 || op->status != GNTST_okay) {
			xengnt_arena_leak(map->slots[i]);
			map->slots[i] = NULL;
		}
		op++;
	}
}
