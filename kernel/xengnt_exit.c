/* SPDX-License-Identifier: BSD-2-Clause */

#include "xengnt_vm.h"

#include <sys/systm.h>
#include <sys/eventhandler.h>
#include <sys/kernel.h>
#include <sys/lock.h>
#include <sys/proc.h>
#include <sys/refcount.h>
#include <sys/sx.h>

#include <vm/vm_param.h>
#include <vm/vm_map.h>
#include <vm/vm_object.h>

#include "xengnt.h"
#include "xengnt_exit.h"
#include "xengnt_file.h"
#include "xengnt_notify.h"
#include "gntalloc.h"
#include "gntdev.h"

static struct sx exit_lock;		/* guards what is marked (x) */
static eventhandler_tag exit_tag;

/* The driver's VM object behind a map entry: one of the two, or none. */
static bool
entry_area(vm_map_entry_t entry, struct gntdev_map **map,
    struct gntalloc_vma **vma)
{
	vm_object_t object;

	*map = NULL;
	*vma = NULL;
	if ((entry->eflags & MAP_ENTRY_IS_SUB_MAP) != 0)
		return (false);
	object = entry->object.vm_object;
	if (object == NULL)
		return (false);
	*map = gntdev_object_map(object);
	if (*map == NULL)
		*vma = gntalloc_object_vma(object);
	return (*map != NULL || *vma != NULL);
}

/* Every mapping of the object is in the process that dies. */
static bool
area_dies(vm_map_entry_t entry, const struct xengnt_area *area)
{

	return (area->seen ==
	    refcount_load(&entry->object.vm_object->ref_count));
}

/* Counts, per VM object, file and gref, what goes with the process. */
static void
exit_count(struct vm_map *vm)
{
	struct gntalloc_vma *vma;
	struct gntdev_map *map;
	struct xengnt_area *area;
	vm_map_entry_t entry;
	u_int i;

	VM_MAP_ENTRY_FOREACH(entry, vm) {
		if (!entry_area(entry, &map, &vma))
			continue;
		area = map != NULL ? &map->area : &vma->area;
		area->seen = 0;
		area->file->dying = 0;
		for (i = 0; vma != NULL && i < vma->count; i++)
			vma->grefs[i]->dying = 0;
	}
	VM_MAP_ENTRY_FOREACH(entry, vm) {
		if (!entry_area(entry, &map, &vma))
			continue;
		area = map != NULL ? &map->area : &vma->area;
		area->seen++;
		if (!area_dies(entry, area))
			continue;
		area->file->dying++;
		for (i = 0; vma != NULL && i < vma->count; i++)
			vma->grefs[i]->dying++;
	}
}

/* The file goes with the process, and with it all that it lists. */
static void
exit_fire_listed(struct xengnt_file *file)
{
	struct xengnt_range *range;

	for (range = xengnt_index_first(&file->maps); range != NULL;
	    range = xengnt_index_next(range))
		gntdev_map_fire(gntdev_range_map(range));
	for (range = xengnt_index_first(&file->grefs); range != NULL;
	    range = xengnt_index_next(range))
		gntalloc_gref_fire(gntalloc_range_gref(range));
}

/*
 * Fires what lives by such mappings alone: it is off its file's list, or the
 * file's descriptors are closed already.
 */
static void
exit_fire_mapped(struct vm_map *vm)
{
	struct gntalloc_vma *vma;
	struct gntdev_map *map;
	struct xengnt_area *area;
	vm_map_entry_t entry;
	u_int i;

	VM_MAP_ENTRY_FOREACH(entry, vm) {
		if (!entry_area(entry, &map, &vma))
			continue;
		if (map != NULL && area_dies(entry, &map->area) &&
		    refcount_load(&map->refs) == 1)
			gntdev_map_fire(map);
		area = map != NULL ? &map->area : &vma->area;
		if (refcount_load(&area->file->refs) == area->file->dying) {
			exit_fire_listed(area->file);
			area->file->dying = 0;	/* once is enough */
		}
		for (i = 0; vma != NULL && i < vma->count; i++)
			if (refcount_load(&vma->grefs[i]->users) ==
			    vma->grefs[i]->dying)
				gntalloc_gref_fire(vma->grefs[i]);
	}
}

/*
 * Runs in the process that dies, by then of one thread.  What is counted as
 * dying has no user outside of it, so nobody changes it meanwhile.
 */
static void
exit_fire(struct proc *p, struct xengnt_file *closing)
{
	struct vmspace *vmspace;

	vmspace = p->p_vmspace;
	/* Somebody else, a parent in vfork(2) say, goes on with it. */
	if (!xengnt_notify_any() || refcount_load(&vmspace->vm_refcnt) != 1)
		return;
	sx_xlock(&exit_lock);
	if (closing != NULL)
		closing->dying = 0;
	vm_map_lock_read(&vmspace->vm_map);
	exit_count(&vmspace->vm_map);
	if (closing == NULL)
		exit_fire_mapped(&vmspace->vm_map);
	vm_map_unlock_read(&vmspace->vm_map);
	/* The last descriptor of it, and no mapping elsewhere. */
	if (closing != NULL &&
	    refcount_load(&closing->refs) == closing->dying + 1)
		exit_fire_listed(closing);
	sx_xunlock(&exit_lock);
}

static void
exit_process(void *arg __unused, struct proc *p)
{

	exit_fire(p, NULL);
}

void
xengnt_exit_close(struct xengnt_file *file)
{

	if ((curproc->p_flag & P_WEXIT) != 0)
		exit_fire(curproc, file);
}

void
xengnt_exit_init(void)
{

	sx_init(&exit_lock, "xengnt exit");
	exit_tag = EVENTHANDLER_REGISTER(process_exit, exit_process, NULL,
	    EVENTHANDLER_PRI_ANY);
}

void
xengnt_exit_fini(void)
{

	EVENTHANDLER_DEREGISTER(process_exit, exit_tag);
	KASSERT(!xengnt_notify_any(), ("xengnt: notifications at unload"));
	sx_destroy(&exit_lock);
}
