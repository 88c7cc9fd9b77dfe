/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 The xengnt authors */
/*
 * The six commands of FreeBSD's own gntdev on our node, so that programs built
 * for it keep working.  Results and errors are those of Linux's commands; only
 * the arguments are passed differently.
 */

#include <sys/param.h>
#include <sys/systm.h>
#include <sys/kernel.h>

#include <vm/vm.h>

#include <xen/gntdev_base.h>

#include "xengnt.h"
#include "xengnt_file.h"
#include "gntalloc_var.h"
#include "gntdev_var.h"

CTASSERT(BASE_SET_UNMAP_NOTIFY == 0x80104500);
CTASSERT(BASE_ALLOC_GREF == 0xc0184501);
CTASSERT(BASE_DEALLOC_GREF == 0x80104502);
CTASSERT(BASE_MAP_GRANT_REF == 0xc0184503);
CTASSERT(BASE_UNMAP_GRANT_REF == 0x80104504);
CTASSERT(BASE_GET_OFFSET_FOR_VADDR == 0xc0184505);

static int
base_map(struct xengnt_file *file, struct base_map_grant_ref *op)
{
	struct ioctl_gntdev_map_grant_ref map = { .count = op->count };
	int error;

	error = gntdev_map(file, &map, NULL, (const char *)op->refs);
	if (error == 0)
		op->index = map.index;
	return (error);
}

static int
base_alloc(struct xengnt_file *file, struct base_alloc_gref *op)
{
	struct ioctl_gntalloc_alloc_gref alloc = {
		.domid = op->domid, .flags = op->flags, .count = op->count
	};
	int error;

	error = gntalloc_alloc(file, &alloc, NULL, (char *)op->gref_ids);
	if (error == 0)
		op->index = alloc.index;
	return (error);
}

static int
base_set_notify(struct xengnt_file *file,
    const struct ioctl_gntdev_unmap_notify *op)
{
	struct ioctl_gntalloc_unmap_notify gref_op = { .index = op->index,
		.action = op->action,
		.event_channel_port = op->event_channel_port };

	if (atop(op->index) < GNTDEV_BASE_FIRST_GREF)
		return (gntdev_set_notify(file, op));
	return (gntalloc_set_notify(file, &gref_op));
}

/* mmap(2) at the indices of grefs on gntdev's node. */
int
gntdev_base_mmap(struct xengnt_file *file, vm_ooffset_t *offset,
    vm_size_t size, vm_object_t *object, int nprot)
{
	int error;

	error = gntalloc_mmap(file, offset, size, object, nprot);
	/* An unknown index is ENOENT on gntalloc, EINVAL on gntdev. */
	return (error == ENOENT ? EINVAL : error);
}

/* data is the kernel's copy of the struct; sys_ioctl() copies it in and out. */
int
gntdev_base_ioctl(struct xengnt_file *file, u_long cmd, void *data)
{
	switch (cmd) {
	case BASE_SET_UNMAP_NOTIFY:
		return (base_set_notify(file, data));
	case BASE_ALLOC_GREF:
		return (base_alloc(file, data));
	case BASE_DEALLOC_GREF:
		return (gntalloc_dealloc(file, data));
	case BASE_MAP_GRANT_REF:
		return (base_map(file, data));
	case BASE_UNMAP_GRANT_REF:
		return (gntdev_unmap(file, data));
	case BASE_GET_OFFSET_FOR_VADDR:
		return (gntdev_get_offset(data));
	default:
		return (ENOTTY);
	}
}
