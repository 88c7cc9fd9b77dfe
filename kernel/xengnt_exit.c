/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 The xengnt authors */

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
#include "xengnt_area.h"
#include "xengnt_exit.h"
#include "xengnt_file.h"
#include "xengnt_notify.h"

static struct sx exit_lock;		/* guards what is marked (x) */
static eventhandler_tag exit_tag;

/* The area behind a map entry, or NULL. */
static struct xengnt_area *
entry_area(vm_map_entry_t entry)
{

	if ((entry->eflags & MAP_ENTRY_IS_SUB_MAP) != 0 ||
	    entry->object.vm_object == NULL)
		return (NULL);
	return (xengnt_object_area(entry->object.vm_object));
}

/* Every mapping of the object is in the process that dies. */
static bool
area_dies(vm_map_entry_t entry, const struct xengnt_area *area)
{

	return (area->seen ==
	    refcount_load(&entry->object.vm_object->ref_count));
}

/* Whether the process has a mapping of ours at all. */
static bool
exit_has_area(struct vm_map *vm)
{
	vm_map_entry_t entry;

	VM_MAP_ENTRY_FOREACH(entry, vm)
		if (entry_area(entry) != NULL)
			return (true);
	return (false);
}

/* Counts, per VM object, file and gref, what goes with the process. */
static void
exit_count(struct vm_map *vm)
{
	struct xengnt_area *area;
	vm_map_entry_t entry;

	sx_assert(&exit_lock, SA_XLOCKED);
	VM_MAP_ENTRY_FOREACH(entry, vm) {
		area = entry_area(entry);
		if (area == NULL)
			continue;
		area->seen = 0;
		area->file->dying = 0;
		area->ops->reset(area);
	}
	VM_MAP_ENTRY_FOREACH(entry, vm) {
		area = entry_area(entry);
		if (area == NULL)
			continue;
		area->seen++;
		if (!area_dies(entry, area))
			continue;
		area->file->dying++;
		area->ops->count(area);
	}
}

/*
 * Notifies for what lives by such mappings alone: it is off its file's list,
 * or the file's descriptors are closed already.
 */
static void
exit_notify(struct vm_map *vm)
{
	struct xengnt_area *area;
	vm_map_entry_t entry;

	sx_assert(&exit_lock, SA_XLOCKED);
	VM_MAP_ENTRY_FOREACH(entry, vm) {
		area = entry_area(entry);
		if (area == NULL)
			continue;
		if (area_dies(entry, area))
			area->ops->notify(area);
		if (refcount_load(&area->file->refs) == area->file->dying) {
			xengnt_file_notify(area->file);
			area->file->dying = 0;	/* once is enough */
		}
	}
}

/*
 * Runs in the process that dies, by then of one thread.  What is counted as
 * dying has no user outside of it, so nobody changes it meanwhile.
 */
static void
exit_all(struct proc *p, struct xengnt_file *closing)
{
	struct vmspace *vmspace;
	struct vm_map *vm;
	bool ours;

	vmspace = p->p_vmspace;
	/* Somebody else, a parent in vfork(2) say, goes on with it. */
	if (!xengnt_notify_any() || refcount_load(&vmspace->vm_refcnt) != 1)
		return;
	vm = &vmspace->vm_map;
	/* Most processes have nothing of ours, and wait for nobody here. */
	vm_map_lock_read(vm);
	ours = exit_has_area(vm);
	vm_map_unlock_read(vm);
	if (!ours) {
		if (closing != NULL && refcount_load(&closing->refs) == 1)
			xengnt_file_notify(closing);
		return;
	}
	sx_xlock(&exit_lock);
	if (closing != NULL)
		closing->dying = 0;
	vm_map_lock_read(vm);
	exit_count(vm);
	if (closing == NULL)
		exit_notify(vm);
	vm_map_unlock_read(vm);
	/* The last descriptor of it, and no mapping elsewhere. */
	if (closing != NULL &&
	    refcount_load(&closing->refs) == closing->dying + 1)
		xengnt_file_notify(closing);
	sx_xunlock(&exit_lock);
}

static void
exit_process(void *arg __unused, struct proc *p)
{

	exit_all(p, NULL);
}

void
xengnt_exit_close(struct xengnt_file *file)
{

	if ((curproc->p_flag & P_WEXIT) != 0)
		exit_all(curproc, file);
}

void
xengnt_exit_init(void)
{

	sx_init(&exit_lock, "xengnt exit");
	/* Behind aio(4)'s, whose daemons have the address space until then. */
	exit_tag = EVENTHANDLER_REGISTER(process_exit, exit_process, NULL,
	    EVENTHANDLER_PRI_LAST);
}

void
xengnt_exit_fini(void)
{

	EVENTHANDLER_DEREGISTER(process_exit, exit_tag);
	KASSERT(!xengnt_notify_any(), ("xengnt: notifications at unload"));
	sx_destroy(&exit_lock);
}
