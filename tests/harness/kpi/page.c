/* SPDX-License-Identifier: BSD-2-Clause */
/* Pages: real ones, fictitious ones, and who keeps them. */

#include <sys/param.h>
#include <sys/systm.h>
#include <sys/proc.h>

#include <vm/pmap.h>
#include <vm/vm_extern.h>

#include "kpi.h"

static int
phys_cmp(const struct vm_page *a, const struct vm_page *b)
{

	return ((a->phys_addr > b->phys_addr) - (a->phys_addr < b->phys_addr));
}

RB_HEAD(phys_tree, vm_page);
RB_GENERATE_STATIC(phys_tree, vm_page, physlink, phys_cmp);

static struct {
	volatile u_int	spin;
	struct phys_tree tree;		/* real pages that are allocated */
	u_int		live;
	u_int		next;		/* first gfn never used */
	u_int		nfree;
	uint32_t	free[KPI_RAM_END];	/* used before; a stack */
	volatile u_int	fakes;
} phys = { .next = KPI_RAM_FIRST };

static void
phys_lock(void)
{

	while (atomic_cmpset_int(&phys.spin, 0, 1) == 0)
		os_yield();
}

static void
phys_unlock(void)
{

	atomic_store_rel_int(&phys.spin, 0);
}

u_int
kpi_pages_live(void)
{

	return (phys.live);
}

u_int
kpi_fakes_live(void)
{

	return (phys.fakes);
}

vm_page_t
PHYS_TO_VM_PAGE(vm_paddr_t pa)
{
	struct vm_page key;
	vm_page_t m;

	if (atop(pa) >= KPI_XENMEM_FIRST)
		return (kpi_xenmem_page(trunc_page(pa)));
	key.phys_addr = trunc_page(pa);
	phys_lock();
	m = RB_FIND(phys_tree, &phys.tree, &key);
	phys_unlock();
	return (m);
}

static uint64_t
gfn_take(void)
{
	uint64_t gfn;

	phys_lock();
	if (phys.nfree > 0)
		gfn = phys.free[--phys.nfree];
	else if (phys.next < KPI_RAM_END)
		gfn = phys.next++;
	else
		gfn = 0;
	phys_unlock();
	return (gfn);
}

static void
gfn_give(uint64_t gfn)
{

	phys_lock();
	phys.free[phys.nfree++] = (uint32_t)gfn;
	phys_unlock();
}

vm_page_t
vm_page_alloc_noobj(int req)
{
	vm_page_t m;
	uint64_t gfn;

	KASSERT((req & (VM_ALLOC_WAITOK | VM_ALLOC_NOWAIT)) !=
	    (VM_ALLOC_WAITOK | VM_ALLOC_NOWAIT), ("both WAITOK and NOWAIT"));
	if ((req & VM_ALLOC_WAITOK) != 0)
		kpi_no_sleep("vm_page_alloc_noobj(VM_ALLOC_WAITOK)");
	else if (xengnt_harness_fail(HARNESS_FAIL_PAGE))
		return (NULL);
	gfn = gfn_take();
	if (gfn != 0 && xen_domain_populate(kpi_domain, gfn) != 0) {
		gfn_give(gfn);
		gfn = 0;
	}
	if (gfn == 0) {
		KASSERT((req & VM_ALLOC_WAITOK) == 0, ("out of pages"));
		return (NULL);
	}
	m = os_alloc(sizeof(*m));
	KASSERT(m != NULL, ("no memory for a vm_page"));
	m->phys_addr = ptoa(gfn);
	m->oflags = VPO_UNMANAGED;
	m->memattr = VM_MEMATTR_DEFAULT;
	if ((req & VM_ALLOC_ZERO) != 0)
		m->flags |= PG_ZERO;
	else
		memset(xen_domain_page(kpi_domain, gfn), 0xa5, PAGE_SIZE);
	if ((req & VM_ALLOC_WIRED) != 0)
		m->ref_count = 1;
	phys_lock();
	RB_INSERT(phys_tree, &phys.tree, m);
	phys.live++;
	phys_unlock();
	return (m);
}

void
vm_page_free(vm_page_t m)
{
	uint64_t gfn;

	KASSERT((m->flags & (PG_FICTITIOUS | PG_KPI_LOCAL)) == 0,
	    ("vm_page_free of a fictitious page"));
	KASSERT(m->object == NULL, ("vm_page_free: page in an object"));
	KASSERT(m->ref_count == 0, ("vm_page_free: page %#lx has references",
	    m->phys_addr));
	KASSERT(m->busy_lock == VPB_UNBUSIED, ("vm_page_free: busy page"));
	KASSERT(m->grants == 0, ("page %#lx freed while it is granted",
	    m->phys_addr));
	gfn = atop(m->phys_addr);
	if (!kpi_inherited) {
		KASSERT(xen_domain_page_pins(kpi_domain, gfn) == 0,
		    ("page %#lx freed while a peer maps it", m->phys_addr));
		KASSERT(xen_domain_depopulate(kpi_domain, gfn) == 0,
		    ("page %#lx was not there", m->phys_addr));
	}
	phys_lock();
	RB_REMOVE(phys_tree, &phys.tree, m);
	phys.live--;
	phys_unlock();
	gfn_give(gfn);
	memset(m, 0xde, sizeof(*m));
	os_free(m);
}

/* Wirings. */

static u_int
page_drop(vm_page_t m, u_int n)
{

	return (atomic_fetchadd_int(&m->ref_count, -n));
}

void
vm_page_wire(vm_page_t m)
{

	atomic_add_int(&m->ref_count, 1);
}

bool
vm_page_unwire_noq(vm_page_t m)
{
	vm_paddr_t pa;
	u_int old;
	bool fictitious;

	/* Without the reference the page may be gone. */
	pa = m->phys_addr;
	fictitious = (m->flags & PG_FICTITIOUS) != 0;
	old = page_drop(m, 1);
	KASSERT(VPRC_WIRE_COUNT(old) != 0, ("page %#lx unwired too often",
	    pa));
	KASSERT(!fictitious || VPRC_WIRE_COUNT(old) > 1,
	    ("fictitious page %#lx lost its last wiring", pa));
	return (VPRC_WIRE_COUNT(old) == 1);
}

/* Fictitious pages. */

static void
fake_init(vm_page_t m, vm_paddr_t pa, vm_memattr_t memattr)
{

	m->phys_addr = pa;
	m->flags = PG_FICTITIOUS;
	m->oflags = VPO_UNMANAGED;
	m->ref_count = 1;
	m->memattr = memattr;
	m->busy_lock = VPB_EXCLUSIVE;
	m->busy_owner = curthread;
}

void
vm_page_initfake(vm_page_t m, vm_paddr_t pa, vm_memattr_t memattr)
{

	if ((m->flags & PG_FICTITIOUS) == 0)
		fake_init(m, pa, memattr);
}

/* Pages of a xenmem range: managed, not busy. */
void
kpi_page_range_init(vm_page_t pages, vm_paddr_t start, u_int n)
{
	u_int i;

	for (i = 0; i < n; i++) {
		fake_init(&pages[i], start + ptoa(i), VM_MEMATTR_DEFAULT);
		pages[i].oflags = 0;
		pages[i].busy_lock = VPB_UNBUSIED;
		pages[i].busy_owner = NULL;
	}
}

vm_page_t
vm_page_getfake(vm_paddr_t pa, vm_memattr_t memattr)
{
	vm_page_t m;

	kpi_no_sleep("vm_page_getfake");
	m = os_alloc(sizeof(*m));
	KASSERT(m != NULL, ("no memory for a vm_page"));
	fake_init(m, pa, memattr);
	atomic_add_int(&phys.fakes, 1);
	return (m);
}

void
vm_page_putfake(vm_page_t m)
{

	KASSERT((m->oflags & VPO_UNMANAGED) != 0 &&
	    (m->flags & PG_FICTITIOUS) != 0,
	    ("vm_page_putfake of a page that is not of vm_page_getfake"));
	KASSERT(m->object == NULL || vm_page_xbusied(m),
	    ("vm_page_putfake: page in an object and not busy"));
	KASSERT(VPRC_WIRE_COUNT(m->ref_count) == 1,
	    ("vm_page_putfake: page %#lx is held", m->phys_addr));
	atomic_subtract_int(&phys.fakes, 1);
	memset(m, 0xde, sizeof(*m));
	os_free(m);
}

vm_memattr_t
pmap_page_get_memattr(vm_page_t m)
{

	return (m->memattr);
}

void
pmap_zero_page(vm_page_t m)
{

	memset(kpi_phys_to_dmap(m->phys_addr), 0, PAGE_SIZE);
}

void
pmap_zero_page_area(vm_page_t m, int off, int size)
{

	KASSERT(off >= 0 && size >= 0 && off + size <= PAGE_SIZE,
	    ("pmap_zero_page_area: %d bytes at %d", size, off));
	memset((char *)kpi_phys_to_dmap(m->phys_addr) + off, 0, (size_t)size);
}

void *
kpi_phys_to_dmap(vm_paddr_t pa)
{
	char *page;

	page = xen_domain_page(kpi_domain, atop(pa));
	KASSERT(page != NULL, ("no memory at %#lx", pa));
	return (page + (pa & PAGE_MASK));
}

/* Busy state. */

bool
vm_page_tryxbusy(vm_page_t m)
{

	if (atomic_cmpset_int(&m->busy_lock, VPB_UNBUSIED,
	    VPB_EXCLUSIVE) == 0)
		return (false);
	m->busy_owner = curthread;
	return (true);
}

bool
vm_page_xbusied(vm_page_t m)
{

	return (m->busy_lock != VPB_UNBUSIED && m->busy_owner == curthread);
}

bool
vm_page_busy_acquire(vm_page_t m, int allocflags)
{
	vm_object_t object;
	bool locked;

	KASSERT((allocflags & ~(VM_ALLOC_NOWAIT | VM_ALLOC_WAITFAIL)) == 0,
	    ("vm_page_busy_acquire: unmodelled flags %#x", allocflags));
	while (!vm_page_tryxbusy(m)) {
		KASSERT(m->busy_owner != curthread, ("page %#lx busied twice",
		    m->phys_addr));
		if ((allocflags & VM_ALLOC_NOWAIT) != 0)
			return (false);
		object = m->object;
		locked = object != NULL && rw_wowned(&object->lock);
		if (locked)
			VM_OBJECT_WUNLOCK(object);
		os_yield();
		if (locked)
			VM_OBJECT_WLOCK(object);
		if ((allocflags & VM_ALLOC_WAITFAIL) != 0)
			return (false);
	}
	return (true);
}

void
vm_page_xunbusy(vm_page_t m)
{

	KASSERT(vm_page_xbusied(m), ("page %#lx is not busied by this thread",
	    m->phys_addr));
	m->busy_owner = NULL;
	atomic_store_rel_int(&m->busy_lock, VPB_UNBUSIED);
}

void
vm_page_valid(vm_page_t m)
{

	KASSERT(m->busy_lock != VPB_UNBUSIED, ("vm_page_valid: page %#lx is "
	    "not busy", m->phys_addr));
	m->valid = VM_PAGE_BITS_ALL;
}

void
vm_page_dirty(vm_page_t m)
{

	KASSERT(m->valid == VM_PAGE_BITS_ALL,
	    ("vm_page_dirty: page is invalid!"));
	m->dirty = VM_PAGE_BITS_ALL;
}

/* Pages of an object. */

static int
pindex_cmp(const struct vm_page *a, const struct vm_page *b)
{

	return ((a->pindex > b->pindex) - (a->pindex < b->pindex));
}

RB_GENERATE_STATIC(vm_pages, vm_page, objlink, pindex_cmp);

int
vm_page_insert(vm_page_t m, vm_object_t object, vm_pindex_t pindex)
{

	VM_OBJECT_ASSERT_WLOCKED(object);
	KASSERT(m->object == NULL, ("vm_page_insert: page %#lx is in an object "
	    "already", m->phys_addr));
	KASSERT(pindex < object->size, ("vm_page_insert: index %ju beyond the "
	    "object", (uintmax_t)pindex));
	if (xengnt_harness_fail(HARNESS_FAIL_PAGE_INSERT))
		return (1);
	m->pindex = pindex;
	KASSERT(RB_INSERT(vm_pages, &object->pages, m) == NULL,
	    ("vm_page_insert: index %ju is taken", (uintmax_t)pindex));
	m->object = object;
	atomic_set_int(&m->ref_count, VPRC_OBJREF);
	object->resident_page_count++;
	return (0);
}

vm_page_t
vm_page_lookup(vm_object_t object, vm_pindex_t pindex)
{
	struct vm_page key;

	VM_OBJECT_ASSERT_LOCKED(object);
	key.pindex = pindex;
	return (RB_FIND(vm_pages, &object->pages, &key));
}

/* Removes the page, still busy; returns whether it has no reference left. */
static bool
page_detach(vm_page_t m)
{
	vm_object_t object;

	object = m->object;
	VM_OBJECT_ASSERT_WLOCKED(object);
	RB_REMOVE(vm_pages, &object->pages, m);
	object->resident_page_count--;
	m->object = NULL;
	m->valid = 0;
	return (page_drop(m, VPRC_OBJREF) == VPRC_OBJREF);
}

bool
vm_page_remove(vm_page_t m)
{
	bool last;

	KASSERT(m->object != NULL, ("vm_page_remove: page in no object"));
	KASSERT(vm_page_xbusied(m), ("vm_page_remove: page not busy"));
	last = page_detach(m);
	vm_page_xunbusy(m);
	return (last);
}

void
vm_page_replace(vm_page_t mnew, vm_object_t object, vm_pindex_t pindex,
    vm_page_t mold)
{
	bool last;

	VM_OBJECT_ASSERT_WLOCKED(object);
	KASSERT(vm_page_xbusied(mnew) && vm_page_xbusied(mold),
	    ("vm_page_replace: pages must be busy"));
	KASSERT(mold->object == object && mold->pindex == pindex,
	    ("vm_page_replace: the old page is not at index %ju",
	    (uintmax_t)pindex));
	KASSERT(mnew->object == NULL, ("vm_page_replace: page in an object"));
	KASSERT((mold->oflags & VPO_UNMANAGED) ==
	    (mnew->oflags & VPO_UNMANAGED),
	    ("vm_page_replace: managed and unmanaged"));
	last = page_detach(mold);
	mnew->pindex = pindex;
	RB_INSERT(vm_pages, &object->pages, mnew);
	mnew->object = object;
	atomic_set_int(&mnew->ref_count, VPRC_OBJREF);
	object->resident_page_count++;
	vm_page_xunbusy(mold);
	if (last)
		vm_page_free(mold);
}

void
vm_page_unhold_pages(vm_page_t *ma, int count)
{
	int i;

	for (i = 0; i < count; i++) {
		if ((ma[i]->flags & PG_KPI_LOCAL) != 0) {
			atomic_subtract_int(&phys.fakes, 1);
			os_free(ma[i]);
		} else if (vm_page_unwire_noq(ma[i]) &&
		    ma[i]->object == NULL)
			vm_page_free(ma[i]);
	}
}

/* A page of the process's ordinary memory, until it is unheld. */
static vm_page_t
local_page(vm_offset_t va)
{
	vm_page_t m;

	m = os_alloc(sizeof(*m));
	KASSERT(m != NULL, ("no memory for a vm_page"));
	m->phys_addr = ptoa(XEN_MODEL_LOCAL_GFN) + trunc_page(va);
	m->flags = PG_KPI_LOCAL;
	m->ref_count = 1;
	atomic_add_int(&phys.fakes, 1);
	return (m);
}

static vm_page_t
hold_page(vm_map_t map, vm_offset_t va, vm_prot_t prot)
{
	vm_map_entry_t entry;
	struct os_vma vma;
	vm_object_t object;
	vm_page_t m;

	if (xengnt_harness_fail(HARNESS_FAIL_HOLD_PAGE))
		return (NULL);
	vm_map_lock_read(map);
	m = NULL;
	if (vm_map_lookup_entry(map, va, &entry) &&
	    entry->object.vm_object != NULL) {
		object = entry->object.vm_object;
		if ((entry->protection & prot) == prot) {
			VM_OBJECT_WLOCK(object);
			m = vm_page_lookup(object,
			    OFF_TO_IDX(entry->offset + (va - entry->start)));
			/*
			 * vm_fault_hold_pages(): the page tables lead to the
			 * real page, which becomes dirty.  For a page that
			 * nobody has touched, a fault leads to the pager's
			 * page, perhaps a fake one.
			 */
			if (m != NULL && os_page_touched((void *)va)) {
				m = PHYS_TO_VM_PAGE(m->phys_addr);
				if (m != NULL && (prot & VM_PROT_WRITE) != 0)
					vm_page_dirty(m);
			}
			if (m != NULL)
				vm_page_wire(m);
			VM_OBJECT_WUNLOCK(object);
		}
	} else if (os_find_vma(va, &vma) && vma.start <= va &&
	    (vma.prot & prot) == prot)
		m = local_page(va);
	vm_map_unlock_read(map);
	return (m);
}

vm_page_t
kpi_hold_page(vm_offset_t va, vm_prot_t prot)
{

	return (hold_page(&kpi_vmspace.vm_map, va, prot));
}

int
vm_fault_quick_hold_pages(vm_map_t map, vm_offset_t addr, vm_size_t len,
    vm_prot_t prot, vm_page_t *ma, int max_count)
{
	vm_offset_t end, va;
	int count;

	kpi_no_sleep("vm_fault_quick_hold_pages");
	if (len == 0)
		return (0);
	end = round_page(addr + len);
	addr = trunc_page(addr);
	if (end <= addr || end > VM_MAXUSER_ADDRESS)
		return (-1);
	if (atop(end - addr) > (vm_size_t)max_count)
		panic("vm_fault_quick_hold_pages: %lu pages, room for %d",
		    atop(end - addr), max_count);
	count = 0;
	for (va = addr; va < end; va += PAGE_SIZE) {
		ma[count] = hold_page(map, va, prot);
		if (ma[count] == NULL) {
			vm_page_unhold_pages(ma, count);
			return (-1);
		}
		count++;
	}
	return (count);
}
