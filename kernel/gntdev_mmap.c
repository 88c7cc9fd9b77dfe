/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 The xengnt authors */
/* mmap(2) of a map, and the search for a map by address. */

#include <sys/param.h>
#include <sys/systm.h>
#include <sys/kernel.h>
#include <sys/lock.h>
#include <sys/proc.h>
#include <sys/refcount.h>

#include <vm/vm.h>
#include <vm/vm_param.h>
#include <vm/pmap.h>
#include <vm/vm_map.h>
#include <vm/vm_page.h>

#include <xen/gntdev.h>

#include "xengnt.h"
#include "xengnt_arena.h"
#include "xengnt_file.h"
#include "xengnt_stats.h"
#include "gntdev_var.h"

static struct gntdev_map *
area_map(struct xengnt_area *area)
{

	return (__containerof(area, struct gntdev_map, area));
}

static vm_page_t
map_area_page(struct xengnt_area *area, vm_pindex_t pidx)
{

	return (area_map(area)->slots[pidx]->page);
}

static void
map_area_destroy(struct xengnt_area *area)
{

	gntdev_map_rele(area_map(area));
}

static const struct xengnt_area_ops map_area_ops = {
	.page =		map_area_page,
	.destroy =	map_area_destroy,
};

/* offset and size are whole pages; size is not 0. */
int
gntdev_mmap(struct xengnt_file *file, vm_ooffset_t *offset, vm_size_t size,
    vm_object_t *object, int nprot)
{
	struct xengnt_range *range;
	struct gntdev_map *map;
	vm_object_t obj;
	int error;

	sx_xlock(&file->lock);
	range = xengnt_index_find(&file->lists[XENGNT_MAPS],
	    atop((vm_ooffset_t)*offset));
	map = NULL;
	/* A map can only be mapped as a whole, and only once. */
	if (range != NULL && range->count == atop(size)) {
		map = gntdev_range_map(range);
		if (map->in_use)
			map = NULL;
	}
	if (map == NULL) {
		sx_xunlock(&file->lock);
		return (EINVAL);
	}
	map->in_use = true;
	map->readonly = (nprot & VM_PROT_WRITE) == 0;
	refcount_acquire(&map->refs);
	sx_xunlock(&file->lock);

	error = gntdev_grants_map(map);
	SDT_PROBE4(xengnt, gntdev, mmap, done, *offset, map->count,
	    map->readonly, error);
	if (error != 0)
		goto fail;
	obj = xengnt_area_object(&map->area, &map_area_ops, file, map->count,
	    nprot);
	if (obj == NULL) {
		error = ENOMEM;
		goto fail;
	}
	/* The object starts at the map's first page. */
	*offset = 0;
	*object = obj;
	return (0);
fail:
	gntdev_map_rele(map);
	return (error);
}

/*
 * Searches the caller's address space, whatever the file, and takes the first
 * mapping that ends above the address, like Linux's find_vma().
 */
int
gntdev_get_offset(struct ioctl_gntdev_get_offset_for_vaddr *op)
{
	struct xengnt_area *area;
	struct gntdev_map *gmap;
	vm_map_entry_t entry;
	vm_map_t map;
	int error;

	map = &curproc->p_vmspace->vm_map;
	vm_map_lock_read(map);
	if (!vm_map_lookup_entry(map, op->vaddr, &entry))
		entry = vm_map_entry_succ(entry);
	area = entry == &map->header ? NULL : xengnt_entry_area(entry);
	error = EINVAL;
	if (area != NULL && area->ops == &map_area_ops) {
		/* Report the whole map, wherever in it vaddr is. */
		gmap = area_map(area);
		op->offset = ptoa(gmap->range.start);
		op->count = gmap->count;
		error = 0;
	}
	vm_map_unlock_read(map);
	return (error);
}
