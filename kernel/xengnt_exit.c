/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 The xengnt authors */
/*
 * Process exit.
 *
 * Linux destroys the address space of an exiting process before it closes
 * files, so notifications reach the peer through event channels that are still
 * open.  FreeBSD closes files first.  So, if any notification is armed in the
 * system, the process's mappings of our areas are removed here, before its
 * descriptors are closed.
 */

#include <sys/param.h>
#include <sys/systm.h>
#include <sys/eventhandler.h>
#include <sys/kernel.h>
#include <sys/proc.h>
#include <sys/refcount.h>

#include <vm/vm.h>
#include <vm/vm_param.h>
#include <vm/pmap.h>
#include <vm/vm_map.h>

#include "xengnt.h"
#include "xengnt_area.h"
#include "xengnt_notify.h"

static eventhandler_tag exit_tag;

/* The first entry, from this one on, that maps an area, or NULL. */
static vm_map_entry_t
next_area_entry(vm_map_t map, vm_map_entry_t entry)
{

	for (; entry != &map->header; entry = vm_map_entry_succ(entry))
		if (xengnt_entry_area(entry) != NULL)
			return (entry);
	return (NULL);
}

/* Runs in the exiting process, which has only this thread left. */
static void
exit_process(void *arg __unused, struct proc *p)
{
	vm_map_entry_t entry;
	vm_map_t map;
	vm_offset_t end, start;

	/* Another process, such as vfork(2)'s parent, may use the mappings. */
	if (!xengnt_notify_any() ||
	    refcount_load(&p->p_vmspace->vm_refcnt) != 1)
		return;
	map = &p->p_vmspace->vm_map;
	vm_map_lock_read(map);
	entry = next_area_entry(map, vm_map_entry_first(map));
	while (entry != NULL) {
		start = entry->start;
		end = entry->end;
		vm_map_unlock_read(map);
		vm_map_remove(map, start, end);
		vm_map_lock_read(map);
		if (!vm_map_lookup_entry(map, end, &entry))
			entry = vm_map_entry_succ(entry);
		entry = next_area_entry(map, entry);
	}
	vm_map_unlock_read(map);
}

void
xengnt_exit_init(void)
{

	/*
	 * After aio(4)'s handler: its daemons use the address space until then.
	 */
	exit_tag = EVENTHANDLER_REGISTER(process_exit, exit_process, NULL,
	    EVENTHANDLER_PRI_LAST);
}

void
xengnt_exit_fini(void)
{

	EVENTHANDLER_DEREGISTER(process_exit, exit_tag);
	KASSERT(!xengnt_notify_any(), ("xengnt: notifications at unload"));
}
