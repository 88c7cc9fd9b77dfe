/* SPDX-License-Identifier: BSD-2-Clause */
/* mmap(2) of a map, its pager, and the way back from an address to a map. */

#include "xengnt_vm.h"

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

/* Enters a page that is not in the object: valid, busy, for the fault. */
static bool
map_try_page(struct gntdev_map *map, vm_object_t object, vm_pindex_t pidx)
{
	vm_page_t m;

	m = map->slots[pidx]->page;
	KASSERT((m->flags & PG_FICTITIOUS) != 0,
	    ("gntdev: page %p is not fictitious", m));
	if (m->object != NULL)
		return (false);
	vm_page_busy_acquire(m, 0);
	vm_page_valid(m);
	if (vm_page_insert(m, object, pidx) == 0)
		return (true);
	/* Short of memory for the object's tree. */
	vm_page_xunbusy(m);
	return (false);
}

/* The same, also if another fault has entered it meanwhile. */
static bool
map_enter_page(struct gntdev_map *map, vm_object_t object, vm_pindex_t pidx)
{

	if (map->slots[pidx]->page->object == object)
		return (vm_page_busy_acquire(map->slots[pidx]->page, 0));
	return (map_try_page(map, object, pidx));
}

/*
 * The first fault of a mapping.  It enters all pages, so that there is no
 * second one; Linux does it at mmap(2) (row P16), where FreeBSD's drivers do
 * not know the address yet.  A later fault comes only for what memory was
 * too short for.
 */
static int
gntdev_pager_populate(vm_object_t object, vm_pindex_t pidx,
    int fault_type __unused, vm_prot_t max_prot __unused, vm_pindex_t *first,
    vm_pindex_t *last)
{
	struct gntdev_map *map;

	VM_OBJECT_ASSERT_WLOCKED(object);
	map = object->handle;
	while (!map_enter_page(map, object, pidx)) {
		VM_OBJECT_WUNLOCK(object);
		vm_wait(NULL);
		VM_OBJECT_WLOCK(object);
	}
	*first = *last = pidx;
	while (*last + 1 < map->count && map_try_page(map, object, *last + 1))
		++*last;
	while (*first > 0 && map_try_page(map, object, *first - 1))
		--*first;
	return (VM_PAGER_OK);
}

/*
 * FreeBSD does not ask populate while something shadows the object, after
 * minherit(INHERIT_COPY) say.  Then it wants one page in place of its own;
 * told that there is none, it would fill that with zeroes.
 */
static int
gntdev_pager_fault(vm_object_t object, vm_ooffset_t offset,
    int prot __unused, vm_page_t *mres)
{
	struct gntdev_map *map;
	vm_page_t m;

	VM_OBJECT_ASSERT_WLOCKED(object);
	map = object->handle;
	m = map->slots[OFF_TO_IDX(offset)]->page;
	vm_page_busy_acquire(m, 0);
	vm_page_valid(m);
	vm_page_replace(m, object, (*mres)->pindex, *mres);
	*mres = m;
	return (VM_PAGER_OK);
}

static const struct cdev_pager_ops gntdev_pager_ops = {
	.cdev_pg_fault = gntdev_pager_fault,
	.cdev_pg_populate = gntdev_pager_populate,
	.cdev_pg_ctor =	gntdev_pager_ctor,
	.cdev_pg_dtor =	gntdev_pager_dtor,
};

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
