/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 The xengnt authors */
/* SET_UNMAP_NOTIFY of gntdev, and the byte that it clears. */

#include <sys/param.h>
#include <sys/systm.h>
#include <sys/kernel.h>

#include <xen/gntdev.h>

#include "xengnt.h"
#include "xengnt_arena.h"
#include "xengnt_file.h"
#include "gntdev_var.h"

/* A wrong action or port is told before a wrong index. */
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

/*
 * Through the placeholder's kernel address.  Xen drops a store to a read-only
 * grant.
 */
void
gntdev_map_clear_byte(struct gntdev_map *map)
{
	uint64_t byte;

	byte = map->notify.byte;
	if ((map->notify.action & UNMAP_NOTIFY_CLEAR_BYTE) != 0 &&
	    map->map_ops[atop(byte)].handle != GNTDEV_NO_HANDLE)
		*(volatile char *)(map->slots[atop(byte)]->va +
		    (byte & PAGE_MASK)) = 0;
}
