/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 The xengnt authors */

#include <sys/param.h>
#include <sys/systm.h>
#include <sys/lock.h>
#include <sys/proc.h>
#include <sys/refcount.h>
#include <sys/rwlock.h>

#include <machine/atomic.h>

#include <vm/vm.h>
#include <vm/vm_param.h>
#include <vm/pmap.h>
#include <vm/vm_map.h>
#include <vm/vm_object.h>
#include <vm/vm_page.h>
#include <vm/vm_pager.h>

#include "xengnt.h"
#include "xengnt_area.h"
#include "xengnt_file.h"

/*
 * mmap(2) enters at most as many of an object's pages (MAX_INIT_PT of
 * vm_map_pmap_enter()).
 */
#define	MMAP_ENTERS	96

bool
xengnt_page_in_use(vm_page_t m)
{

	return (VPRC_WIRE_COUNT(atomic_load_acq_int(&m->ref_count)) > 1);
}

static vm_page_t
area_page(vm_object_t object, vm_pindex_t pidx)
{
	struct xengnt_area *area;

	area = object->un_pager.phys.data_ptr;
	KASSERT(pidx < area->npages, ("xengnt: page %ju of %u",
	    (uintmax_t)pidx, area->npages));
	return (area->ops->page(area, pidx));
}

/*
 * Enters a page into the object, valid, and busy if a fault is to get it.
 * Returns false if there is a page at the index already, or no memory for the
 * object's tree.
 */
static bool
area_enter_page(vm_object_t object, vm_pindex_t pidx, bool busy)
{
	vm_page_t m;

	VM_OBJECT_ASSERT_WLOCKED(object);
	if (vm_page_lookup(object, pidx) != NULL)
		return (false);
	m = area_page(object, pidx);
	KASSERT(m->object == NULL, ("xengnt: page %p is in another object", m));
	/* Nobody else can have made it busy: it is in no object. */
	vm_page_busy_acquire(m, 0);
	vm_page_valid(m);
	if (vm_page_insert(m, object, pidx) != 0) {
		vm_page_xunbusy(m);
		return (false);
	}
	if (!busy)
		vm_page_xunbusy(m);
	return (true);
}

/*
 * Whether only the faulting thread can change the address space: its process
 * has no other thread, shares the address space with no process, and has mapped
 * the area itself.  A debugger and a forked child have another p_pid.
 */
static bool
area_fault_alone(const struct xengnt_area *area)
{
	struct proc *p;

	p = curproc;
	return (p->p_pid == area->pid && p->p_numthreads == 1 &&
	    refcount_load(&p->p_vmspace->vm_refcnt) == 1);
}

/*
 * The first fault of a mapping enters all of its pages, so that there is no
 * second one.  Linux maps them in mmap(2), where a FreeBSD driver does not know
 * the address yet.  What cannot be entered now is left to area_getpages().
 *
 * If another thread has changed the vm_map meanwhile, vm_fault_populate() reads
 * an entry that may have been freed before it gives the pages back, and may
 * leave all but the first one busy for ever.  Where that can happen, the fault
 * gets only its own page.  The others are put into the object; each takes a
 * fault, but not through this function.
 */
static int
area_populate(vm_object_t object, vm_pindex_t pidx, int fault_type __unused,
    vm_prot_t max_prot __unused, vm_pindex_t *first, vm_pindex_t *last)
{
	struct xengnt_area *area;
	bool alone;

	area = object->un_pager.phys.data_ptr;
	/* Makes the fault handle a single page. */
	if (!area_enter_page(object, pidx, true))
		return (VM_PAGER_BAD);
	alone = area_fault_alone(area);
	*first = *last = pidx;
	while (*last + 1 < area->npages &&
	    area_enter_page(object, *last + 1, alone))
		++*last;
	while (*first > 0 && area_enter_page(object, *first - 1, alone))
		--*first;
	if (!alone)
		*first = *last = pidx;
	return (VM_PAGER_OK);
}

/*
 * Replaces single pages that FreeBSD has allocated.  It does so while something
 * shadows the object (after minherit(INHERIT_COPY), for example) or memory is
 * short.  Without a page from here it would use its own, filled with zeroes.
 */
static int
area_getpages(vm_object_t object, vm_page_t *ma, int count, int *rbehind,
    int *rahead)
{
	vm_page_t m;
	int i;

	VM_OBJECT_WLOCK(object);
	for (i = 0; i < count; i++) {
		m = area_page(object, ma[i]->pindex);
		vm_page_busy_acquire(m, 0);
		vm_page_valid(m);
		vm_page_replace(m, object, ma[i]->pindex, ma[i]);
		ma[i] = m;
	}
	VM_OBJECT_WUNLOCK(object);
	if (rbehind != NULL)
		*rbehind = 0;
	if (rahead != NULL)
		*rahead = 0;
	return (VM_PAGER_OK);
}

static boolean_t
area_haspage(vm_object_t object __unused, vm_pindex_t pidx __unused,
    int *before, int *after)
{

	if (before != NULL)
		*before = 0;
	if (after != NULL)
		*after = 0;
	return (TRUE);
}

/*
 * The last reference is gone; no page is left in the object or mapped anywhere.
 * Nobody can find the object, so it may be unlocked.
 */
static void
area_dtor(vm_object_t object)
{
	struct xengnt_area *area;
	struct xengnt_file *file;

	VM_OBJECT_ASSERT_WLOCKED(object);
	area = object->un_pager.phys.data_ptr;
	VM_OBJECT_WUNLOCK(object);
	/* destroy() frees the area. */
	file = area->file;
	area->ops->destroy(area);
	xengnt_file_rele(file);
	VM_OBJECT_WLOCK(object);
}

static const struct phys_pager_ops area_pager_ops = {
	.phys_pg_getpages = area_getpages,
	.phys_pg_populate = area_populate,
	.phys_pg_haspage = area_haspage,
	.phys_pg_dtor =	area_dtor,
};

vm_object_t
xengnt_area_object(struct xengnt_area *area, const struct xengnt_area_ops *ops,
    struct xengnt_file *file, u_int npages, int prot)
{
	vm_object_t object;
	vm_pindex_t i;

	area->ops = ops;
	area->file = file;
	area->npages = npages;
	area->pid = curproc->p_pid;
	object = phys_pager_allocate(NULL, &area_pager_ops, area,
	    ptoa((vm_ooffset_t)npages), prot, 0, curthread->td_ucred);
	if (object == NULL)
		return (NULL);
	xengnt_file_hold(file);
	/*
	 * mmap(2) enters the pages that it finds in the object, for reading
	 * only.  A small read-only area thus takes no fault, while writing to
	 * pages entered so would take one for each.
	 */
	if ((prot & VM_PROT_RW) == VM_PROT_READ && npages <= MMAP_ENTERS) {
		VM_OBJECT_WLOCK(object);
		for (i = 0; i < npages; i++)
			if (!area_enter_page(object, i, false))
				break;
		VM_OBJECT_WUNLOCK(object);
	}
	return (object);
}

struct xengnt_area *
xengnt_entry_area(vm_map_entry_t entry)
{
	vm_object_t object;

	if ((entry->eflags & MAP_ENTRY_IS_SUB_MAP) != 0)
		return (NULL);
	object = entry->object.vm_object;
	if (object == NULL || object->type != OBJT_PHYS ||
	    object->un_pager.phys.ops != &area_pager_ops)
		return (NULL);
	return (object->un_pager.phys.data_ptr);
}
