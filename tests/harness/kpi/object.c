/* SPDX-License-Identifier: BSD-2-Clause */
/* VM objects of the phys pager. */

#include <sys/param.h>
#include <sys/systm.h>
#include <sys/refcount.h>

#include <vm/pmap.h>

#include "kpi.h"

static volatile u_int objects_live;

bool kpi_map_changes;

u_int
kpi_objects_live(void)
{

	return (objects_live);
}

static void
object_free(vm_object_t object)
{

	rw_destroy(&object->lock);
	memset(object, 0xde, sizeof(*object));
	os_free(object);
	atomic_subtract_int(&objects_live, 1);
}

/* With a handle the kernel lists the object, which nothing here uses. */
vm_object_t
phys_pager_allocate(void *handle, const struct phys_pager_ops *ops,
    void *data, vm_ooffset_t size, vm_prot_t prot, vm_ooffset_t foff,
    struct ucred *cred)
{
	vm_object_t object;

	kpi_no_sleep("phys_pager_allocate");
	KASSERT(handle == NULL, ("phys_pager_allocate: handles are not "
	    "modelled"));
	if ((foff & PAGE_MASK) != 0 || xengnt_harness_fail(HARNESS_FAIL_PAGER))
		return (NULL);
	object = os_alloc(sizeof(*object));
	KASSERT(object != NULL, ("no memory for a VM object"));
	rw_init(&object->lock, "vm object");
	object->size = OFF_TO_IDX((uint64_t)(foff + PAGE_MASK + size));
	object->ref_count = 1;
	object->type = OBJT_PHYS;
	RB_INIT(&object->pages);
	object->un_pager.phys.ops = ops;
	object->un_pager.phys.data_ptr = data;
	atomic_add_int(&objects_live, 1);
	if (ops->phys_pg_ctor != NULL)
		ops->phys_pg_ctor(object, prot, foff, cred);
	return (object);
}

void
vm_object_reference(vm_object_t object)
{

	refcount_acquire(&object->ref_count);
}

/* vm_object_terminate_pages(), then phys_pager_dealloc(). */
static void
object_terminate(vm_object_t object)
{
	vm_page_t m;

	VM_OBJECT_WLOCK(object);
	while ((m = RB_ROOT(&object->pages)) != NULL) {
		KASSERT(m->busy_lock == VPB_UNBUSIED,
		    ("vm_object_terminate_single_page: busy page"));
		vm_page_tryxbusy(m);
		if (vm_page_remove(m))
			vm_page_free(m);
	}
	object->type = OBJT_DEAD;
	if (object->un_pager.phys.ops->phys_pg_dtor != NULL)
		object->un_pager.phys.ops->phys_pg_dtor(object);
	VM_OBJECT_WUNLOCK(object);
	object_free(object);
}

void
vm_object_deallocate(vm_object_t object)
{

	/* This may be the last reference, and its destructor may sleep. */
	kpi_no_sleep("vm_object_deallocate");
	kpi_no_map_lock("vm_object_deallocate");
	if (refcount_release(&object->ref_count))
		object_terminate(object);
}

/*
 * vm_fault_populate(): the pager fills a range around the page, every page of
 * it valid and busied, and the fault maps them all.
 */
static int
object_populate(vm_object_t object, vm_pindex_t pidx, vm_page_t *wanted)
{
	vm_pindex_t first, last, i;
	vm_page_t m;
	int rv;

	first = 0;
	last = object->size - 1;
	rv = object->un_pager.phys.ops->phys_pg_populate(object, pidx,
	    VM_PROT_READ, VM_PROT_ALL, &first, &last);
	VM_OBJECT_ASSERT_WLOCKED(object);
	*wanted = NULL;
	if (rv != VM_PAGER_OK)
		return (rv);
	KASSERT(first <= pidx && pidx <= last && last < object->size,
	    ("populated pages %ju to %ju for %ju of %ju", (uintmax_t)first,
	    (uintmax_t)last, (uintmax_t)pidx, (uintmax_t)object->size));
	if (kpi_map_changes) {
		/*
		 * The map entry is freed memory.  INVARIANTS has filled it with
		 * a pattern that looks like the flags of a large page.
		 */
		vm_page_xunbusy(vm_page_lookup(object, first));
		return (VM_PAGER_OK);
	}
	for (i = first; i <= last; i++) {
		m = vm_page_lookup(object, i);
		KASSERT(m != NULL && m->valid == VM_PAGE_BITS_ALL &&
		    vm_page_xbusied(m),
		    ("populated page %ju is not as it must be", (uintmax_t)i));
		vm_page_xunbusy(m);
		if (i == pidx)
			*wanted = m;
	}
	return (VM_PAGER_OK);
}

static int
object_getpages(vm_object_t object, vm_pindex_t pidx, vm_page_t *m)
{
	const struct phys_pager_ops *ops;
	int after, ahead, before, behind, rv;

	ops = object->un_pager.phys.ops;
	after = before = -1;
	/* Callers may or may not want the length of the run. */
	KASSERT(ops->phys_pg_haspage(object, pidx, &before, &after) &&
	    ops->phys_pg_haspage(object, pidx, NULL, NULL) &&
	    before >= 0 && after >= 0, ("phys_pg_haspage: no page"));
	VM_OBJECT_WUNLOCK(object);
	ahead = behind = -1;
	/* vm_fault() uses what is there afterwards. */
	rv = pidx % 2 == 0 ? ops->phys_pg_getpages(object, m, 1, NULL, NULL) :
	    ops->phys_pg_getpages(object, m, 1, &behind, &ahead);
	KASSERT(pidx % 2 == 0 || (behind == 0 && ahead == 0),
	    ("phys_pg_getpages: %d behind, %d ahead", behind, ahead));
	VM_OBJECT_WLOCK(object);
	return (rv);
}

/*
 * The page as vm_fault() would get it.  It does not call populate while
 * something shadows the object (vm_fault_allocate()), and takes VM_PAGER_FAIL
 * for a page that does not exist yet: vm_fault_zerofill().
 */
vm_page_t
kpi_object_page(vm_object_t object, vm_pindex_t pidx, bool shadowed)
{
	vm_page_t m;
	int rv;

	VM_OBJECT_ASSERT_WLOCKED(object);
	if (pidx >= object->size)
		return (NULL);
	m = vm_page_lookup(object, pidx);
	if (m != NULL) {
		KASSERT(m->valid == VM_PAGE_BITS_ALL,
		    ("resident page of a device object is not valid"));
		return (m);
	}
	if (object->un_pager.phys.ops->phys_pg_populate != NULL && !shadowed) {
		rv = object_populate(object, pidx, &m);
		/* VM_PAGER_BAD: as if there were no such method. */
		if (rv != VM_PAGER_BAD)
			return (m);
	}
	/* The placeholder for the pager to replace. */
	kpi_spare(true);
	m = vm_page_alloc_noobj(0);
	if (m == NULL) {
		kpi_spare(false);
		return (NULL);
	}
	vm_page_busy_acquire(m, 0);
	KASSERT(vm_page_insert(m, object, pidx) == 0,
	    ("the placeholder does not get into the object"));
	kpi_spare(false);
	rv = object_getpages(object, pidx, &m);
	VM_OBJECT_ASSERT_WLOCKED(object);
	if (rv == VM_PAGER_FAIL) {
		pmap_zero_page(m);
		vm_page_valid(m);
		vm_page_xunbusy(m);
		return (m);
	}
	if (rv != VM_PAGER_OK) {
		m = vm_page_lookup(object, pidx);
		if (m != NULL && vm_page_remove(m))
			vm_page_free(m);
		return (NULL);
	}
	KASSERT(m->object == object && m->pindex == pidx,
	    ("the pager returned a page that is not in the object"));
	KASSERT(m->valid == VM_PAGE_BITS_ALL,
	    ("the pager returned a page that is not valid"));
	KASSERT((m->oflags & VPO_UNMANAGED) != 0,
	    ("managed page in an unmanaged object"));
	vm_page_xunbusy(m);
	return (m);
}
