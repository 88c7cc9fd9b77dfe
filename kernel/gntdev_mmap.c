/* SPDX-License-Identifier: BSD-2-Clause */
/* mmap(2) of a map, its pager, and the way back from an address to a map. */

#include "compat.h"

#include <sys/systm.h>
#include <sys/errno.h>
#include <sys/kernel.h>
#include <sys/lock.h>
#include <sys/proc.h>
#include <sys/rwlock.h>

#include <vm/vm_param.h>
#include <vm/vm_map.h>
#include <vm/vm_object.h>
#include <vm/vm_pageout.h>
#include <vm/vm_pager.h>

#include <xen/gntdev.h>

#include "xengnt.h"
#include "xengnt_arena.h"
#include "xengnt_file.h"
#include "xengnt_stats.h"
#include "gntdev.h"

static int
gntdev_pager_ctor(void *handle __unused, vm_ooffset_t size __unused,
    vm_prot_t prot __unused, vm_ooffset_t foff __unused,
    struct ucred *cred __unused, u_short *color)
{

	*color = 0;
	return (0);
}

/*
 * The last VM object reference is gone, and with it every page of it from
 * the object and from all address spaces (REFERENCE 3.8).  Runs unlocked.
 */
static void
gntdev_pager_dtor(void *handle)
{
	struct gntdev_map *map;
	struct xengnt_file *file;

	map = handle;
	file = map->area.file;
	gntdev_map_rele(map);
	xengnt_file_rele(file);
}

/*
 * Never asked for: every page is resident from mmap(2) on.  A fault that
 * gets here is beyond repair.
 */
static int
gntdev_pager_fault(vm_object_t object __unused, vm_ooffset_t offset __unused,
    int prot __unused, vm_page_t *mres __unused)
{

	return (VM_PAGER_FAIL);
}

static const struct cdev_pager_ops gntdev_pager_ops = {
	.cdev_pg_fault = gntdev_pager_fault,
	.cdev_pg_ctor =	gntdev_pager_ctor,
	.cdev_pg_dtor =	gntdev_pager_dtor,
};

/* Enters all pages now, as Linux does (row P16): no call to the pager later. */
static void
map_insert_pages(struct gntdev_map *map, vm_object_t object)
{
	vm_page_t m;
	u_int i;

	VM_OBJECT_WLOCK(object);
	for (i = 0; i < map->count; i++) {
		m = map->slots[i]->page;
		KASSERT((m->flags & PG_FICTITIOUS) != 0,
		    ("gntdev: page %p is not fictitious", m));
		vm_page_busy_acquire(m, 0);
		vm_page_valid(m);
		while (vm_page_insert(m, object, i) != 0) {
			/* Short of memory for the object's tree. */
			VM_OBJECT_WUNLOCK(object);
			vm_wait(NULL);
			VM_OBJECT_WLOCK(object);
		}
		vm_page_xunbusy(m);
	}
	VM_OBJECT_WUNLOCK(object);
}

/* REFERENCE 2.3.  offset and size are whole pages; size is not 0. */
int
gntdev_mmap(struct xengnt_file *file, vm_ooffset_t *offset, vm_size_t size,
    vm_object_t *object, int nprot)
{
	struct xengnt_range *range;
	struct gntdev_map *map;
	vm_object_t obj;
	int error;

	sx_xlock(&file->lock);
	range = xengnt_index_find(&file->maps,
	    atop((vm_ooffset_t)*offset));	/* row P8 */
	map = NULL;
	if (range != NULL && range->count == atop(size)) {	/* row P9 */
		map = gntdev_range_map(range);
		if (map->in_use)		/* row P10 */
			map = NULL;
	}
	if (map == NULL) {
		sx_xunlock(&file->lock);
		return (EINVAL);
	}
	map->in_use = true;
	map->readonly = (nprot & VM_PROT_WRITE) == 0;
	map->area.file = file;
	gntdev_map_hold(map);
	xengnt_file_hold(file);
	sx_xunlock(&file->lock);

	error = gntdev_grants_map(map);
	SDT_PROBE4(xengnt, gntdev, mmap, done, *offset, map->count,
	    map->readonly, error);
	if (error != 0)
		goto fail;
	obj = cdev_pager_allocate(map, OBJT_MGTDEVICE, &gntdev_pager_ops, size,
	    nprot, 0, curthread->td_ucred);
	if (obj == NULL) {
		error = ENOMEM;
		goto fail;
	}
	map_insert_pages(map, obj);
	/* The object starts at the map's first page. */
	*offset = 0;
	*object = obj;
	return (0);
fail:
	gntdev_map_rele(map);
	xengnt_file_rele(file);
	return (error);
}

/* The map behind a VM object; NULL if the object is none of gntdev's. */
struct gntdev_map *
gntdev_object_map(vm_object_t object)
{

	if (object->type != OBJT_MGTDEVICE ||
	    object->un_pager.devp.ops != &gntdev_pager_ops)
		return (NULL);
	return (object->handle);
}

/*
 * REFERENCE 2.5.  Looks at the address space only, not at the file (G5), and
 * takes the first mapping that ends above the address, as Linux's find_vma()
 * does (G4).
 */
int
gntdev_get_offset(struct ioctl_gntdev_get_offset_for_vaddr *op)
{
	struct gntdev_map *gmap;
	vm_map_entry_t entry;
	vm_map_t map;

	gmap = NULL;
	map = &curproc->p_vmspace->vm_map;
	vm_map_lock_read(map);
	if (!vm_map_lookup_entry(map, op->vaddr, &entry))
		entry = vm_map_entry_succ(entry);
	if (entry != &map->header &&
	    (entry->eflags & MAP_ENTRY_IS_SUB_MAP) == 0 &&
	    entry->object.vm_object != NULL)
		gmap = gntdev_object_map(entry->object.vm_object);
	if (gmap != NULL) {
		/* The whole map, wherever in it vaddr is (G3, G6). */
		op->offset = ptoa(gmap->range.start);
		op->count = gmap->count;
	}
	vm_map_unlock_read(map);
	return (gmap == NULL ? EINVAL : 0);
}
