/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The address space: entries for what the driver has mapped, real mappings of
 * the machine's frames for them, and the host's own view of the rest.
 */

#include <sys/param.h>
#include <sys/systm.h>
#include <sys/refcount.h>

#include "kpi.h"

#define	MAP	(&kpi_vmspace.vm_map)

/*
 * The list has its own lock below the map's, because hypercalls, which a driver
 * may make with a mutex held, read it, too.
 */
static struct os_mutex entries_mutex;
static u_int nentries;

void
kpi_map_init(void)
{

	if (MAP->header.next != NULL)
		return;
	os_mutex_init(&entries_mutex);
	sx_init(&MAP->lock, "vm map (user)");
	MAP->header.next = MAP->header.prev = &MAP->header;
	MAP->header.start = VM_MAXUSER_ADDRESS;
	MAP->header.end = 0;
	kpi_vmspace.vm_refcnt = 1;
}

u_int
kpi_entries_live(void)
{

	return (nentries);
}

static vm_map_entry_t
entry_new(vm_offset_t start, vm_offset_t end)
{
	vm_map_entry_t e;

	e = os_alloc(sizeof(*e));
	KASSERT(e != NULL, ("no memory for a map entry"));
	e->start = start;
	e->end = end;
	return (e);
}

/* With entries_mutex held. */
static void
entry_link(vm_map_entry_t e)
{
	vm_map_entry_t next;

	for (next = MAP->header.next; next != &MAP->header; next = next->next)
		if (next->start >= e->end)
			break;
	e->next = next;
	e->prev = next->prev;
	e->prev->next = e;
	next->prev = e;
	nentries++;
}

static void
entry_unlink(vm_map_entry_t e)
{

	e->prev->next = e->next;
	e->next->prev = e->prev;
	nentries--;
}

/* Our first entry that ends above addr, or the header. */
static vm_map_entry_t
entry_above(vm_offset_t addr)
{
	vm_map_entry_t e;

	for (e = MAP->header.next; e != &MAP->header; e = e->next)
		if (e->end > addr)
			break;
	return (e);
}

bool
kpi_map_overlaps(vm_offset_t start, vm_offset_t end)
{
	vm_map_entry_t e;
	bool found;

	if (atomic_load_int(&nentries) == 0)
		return (false);
	os_mutex_lock(&entries_mutex);
	e = entry_above(start);
	found = e != &MAP->header && e->start < end;
	os_mutex_unlock(&entries_mutex);
	return (found);
}

/* Pages. */

static int
harness_prot(vm_prot_t prot)
{

	/* amd64 has no write-only pages. */
	if ((prot & VM_PROT_WRITE) != 0)
		prot |= VM_PROT_READ;
	return (prot);
}

/*
 * The effect of the frame's type on accesses.  Stores to a read-only grant do
 * not reach the frame; unlike on Xen, the process then sees its own copy.
 */
int
kpi_frame_protection(enum xen_p2m_type type, vm_prot_t prot,
    enum os_map_kind *kind)
{

	*kind = type == XEN_P2M_GRANT_RO ? OS_MAP_PRIVATE : OS_MAP_SHARED;
	return (harness_prot(prot));
}

/* Nothing is at a guest-physical page: reads return ones, writes are lost. */
static void
map_void(vm_offset_t va, vm_prot_t prot)
{

	os_map((void *)va, PAGE_SIZE, VM_PROT_RW, OS_MAP_ANON, -1, 0);
	memset((void *)va, 0xff, PAGE_SIZE);
	os_protect((void *)va, PAGE_SIZE, harness_prot(prot));
}

struct run {
	vm_offset_t	va;
	uint32_t	mfn;
	uint32_t	n;
	enum xen_p2m_type type;
};

static int
run_flush(struct run *run, vm_prot_t prot)
{
	enum os_map_kind kind;
	int error, hprot;

	if (run->n == 0)
		return (0);
	hprot = kpi_frame_protection(run->type, prot, &kind);
	error = os_map((void *)run->va, ptoa(run->n), hprot, kind,
	    xen_machine_fd(kpi_machine),
	    xen_machine_frame_offset(kpi_machine, run->mfn));
	run->n = 0;
	return (error);
}

/* Enters pages of the object into the page tables, frame by frame. */
static int
entry_enter(vm_map_entry_t e, vm_offset_t start, vm_offset_t end,
    vm_prot_t prot, bool shadowed)
{
	vm_object_t object;
	struct run run;
	enum xen_p2m_type type;
	vm_offset_t va;
	vm_page_t m;
	uint32_t mfn;
	int error;

	object = e->object.vm_object;
	run.n = 0;
	error = 0;
	VM_OBJECT_WLOCK(object);
	for (va = start; error == 0 && va < end; va += PAGE_SIZE) {
		m = kpi_object_page(object,
		    OFF_TO_IDX(e->offset + (vm_ooffset_t)(va - e->start)),
		    shadowed);
		if (m == NULL) {
			/* No page: a later access gets a signal. */
			error = run_flush(&run, prot);
			continue;
		}
		type = xen_domain_p2m(kpi_domain, atop(m->phys_addr), &mfn);
		if (type == XEN_P2M_NONE || type == XEN_P2M_FOREIGN) {
			error = run_flush(&run, prot);
			map_void(va, prot);
			continue;
		}
		if (run.n != 0 && (run.type != type || run.mfn + run.n != mfn ||
		    run.va + ptoa(run.n) != va))
			error = run_flush(&run, prot);
		if (run.n++ == 0) {
			run.va = va;
			run.mfn = mfn;
			run.type = type;
		}
	}
	VM_OBJECT_WUNLOCK(object);
	if (error == 0)
		error = run_flush(&run, prot);
	return (error);
}

static vm_page_t
entry_page(vm_map_entry_t e, vm_offset_t va)
{

	return (vm_page_lookup(e->object.vm_object,
	    OFF_TO_IDX(e->offset + (vm_ooffset_t)(va - e->start))));
}

/*
 * vm_map_pmap_enter() as mmap(2) calls it: the pages that the object has
 * already, among the first 96, for reading only.
 */
static int
entry_enter_resident(vm_map_entry_t e)
{
	vm_offset_t end, va;
	vm_page_t m;
	int error;

	error = 0;
	end = MIN(e->end, e->start + ptoa(96));
	for (va = e->start; error == 0 && va < end; va += PAGE_SIZE) {
		VM_OBJECT_WLOCK(e->object.vm_object);
		m = entry_page(e, va);
		VM_OBJECT_WUNLOCK(e->object.vm_object);
		if (m != NULL && m->valid == VM_PAGE_BITS_ALL)
			error = entry_enter(e, va, va + PAGE_SIZE,
			    e->protection & ~VM_PROT_WRITE, false);
	}
	return (error);
}

bool kpi_map_lazy;

int
kpi_map_fault(vm_offset_t addr, bool shadowed)
{
	vm_map_entry_t e;
	int error;

	vm_map_lock_read(MAP);
	e = entry_above(addr);
	error = e == &MAP->header || e->start > addr ? EFAULT :
	    entry_enter(e, trunc_page(addr), trunc_page(addr) + PAGE_SIZE,
	    e->protection, shadowed);
	vm_map_unlock_read(MAP);
	return (error);
}

void
kpi_map_page_gone(vm_page_t m)
{
	vm_map_entry_t e;
	vm_offset_t off;

	if (MAP->header.next == NULL)
		return;
	os_mutex_lock(&entries_mutex);
	for (e = MAP->header.next; e != &MAP->header; e = e->next) {
		if (e->object.vm_object != m->object)
			continue;
		off = (vm_offset_t)(IDX_TO_OFF(m->pindex) - e->offset);
		if (IDX_TO_OFF(m->pindex) >= e->offset &&
		    off < e->end - e->start)
			map_void(e->start + off, e->protection);
	}
	os_mutex_unlock(&entries_mutex);
}

/* Changes. */

/* Splits e at addr; both halves are alike and hold the object. */
static void
entry_clip(vm_map_entry_t e, vm_offset_t addr)
{
	vm_map_entry_t tail;

	if (addr <= e->start || addr >= e->end)
		return;
	tail = entry_new(addr, e->end);
	tail->object.vm_object = e->object.vm_object;
	tail->offset = e->offset + (vm_ooffset_t)(addr - e->start);
	tail->protection = e->protection;
	tail->max_protection = e->max_protection;
	tail->wired = e->wired;
	vm_object_reference(tail->object.vm_object);
	e->end = addr;
	entry_link(tail);
}

/*
 * Removes the entries of a range.  The objects are released after the map is
 * unlocked, because a destructor may sleep.
 */
static void
map_delete_locked(vm_offset_t start, vm_offset_t end, bool unmap,
    vm_map_entry_t *deadp)
{
	vm_map_entry_t e, next;

	os_mutex_lock(&entries_mutex);
	for (e = entry_above(start); e != &MAP->header && e->start < end;
	    e = next) {
		entry_clip(e, start);
		if (e->end <= start) {
			next = e->next;
			continue;
		}
		entry_clip(e, end);
		next = e->next;
		entry_unlink(e);
		if (unmap)
			os_unmap((void *)e->start, e->end - e->start);
		e->next = *deadp;
		*deadp = e;
	}
	os_mutex_unlock(&entries_mutex);
}

/* vm_map_wire(): each page is faulted in, and wired. */
static void
entry_wire(vm_map_entry_t e)
{
	vm_object_t object;
	vm_offset_t va;
	vm_page_t m;

	object = e->object.vm_object;
	VM_OBJECT_WLOCK(object);
	for (va = e->start; va < e->end; va += PAGE_SIZE) {
		m = entry_page(e, va);
		if (m != NULL)
			vm_page_wire(m);
	}
	VM_OBJECT_WUNLOCK(object);
	e->wired = true;
}

/* vm_object_unwire() */
static void
entry_unwire(vm_map_entry_t e)
{
	vm_object_t object;
	vm_offset_t va;
	vm_page_t m;

	e->wired = false;
	object = e->object.vm_object;
	VM_OBJECT_WLOCK(object);
	for (va = e->start; va < e->end; va += PAGE_SIZE) {
		m = entry_page(e, va);
		if (m != NULL && vm_page_unwire_noq(m) && m->ref_count == 0)
			vm_page_free(m);
	}
	VM_OBJECT_WUNLOCK(object);
}

bool kpi_map_wire_future;

void
kpi_map_wire(vm_offset_t start, vm_offset_t end, bool wire)
{
	vm_map_entry_t e;

	vm_map_lock(MAP);
	os_mutex_lock(&entries_mutex);
	for (e = entry_above(start); e != &MAP->header && e->start < end;
	    e = e->next) {
		entry_clip(e, start);
		if (e->end <= start)
			continue;
		entry_clip(e, end);
	}
	os_mutex_unlock(&entries_mutex);
	for (e = entry_above(start); e != &MAP->header && e->start < end;
	    e = e->next) {
		if (wire && !e->wired)
			entry_wire(e);
		else if (!wire && e->wired)
			entry_unwire(e);
	}
	vm_map_unlock(MAP);
}

static void
process_dead(vm_map_entry_t dead)
{
	vm_map_entry_t e;

	/* In ascending order, as they were found. */
	e = NULL;
	while (dead != NULL) {
		vm_map_entry_t next = dead->next;

		dead->next = e;
		e = dead;
		dead = next;
	}
	while (e != NULL) {
		dead = e;
		e = e->next;
		if (dead->wired)
			entry_unwire(dead);
		vm_object_deallocate(dead->object.vm_object);
		os_free(dead);
	}
}

void
kpi_map_remove(vm_offset_t start, vm_offset_t end, enum kpi_unmap how)
{
	vm_map_entry_t dead;

	dead = NULL;
	vm_map_lock(MAP);
	if (how == KPI_UNMAP_RANGE)
		os_unmap((void *)start, end - start);
	map_delete_locked(start, end, how == KPI_UNMAP_OURS, &dead);
	vm_map_unlock(MAP);
	process_dead(dead);
}

/*
 * What the process may still touch while it exits stays in place: the harness
 * ends a process that continues on the host.
 */
int
vm_map_remove(vm_map_t map, vm_offset_t start, vm_offset_t end)
{

	KASSERT(map == MAP, ("removal from an unknown map"));
	kpi_no_sleep("vm_map_remove");
	kpi_map_remove(start, end, KPI_UNMAP_NOTHING);
	return (0);
}

/* Consumes the caller's reference on success. */
int
kpi_map_insert(vm_object_t object, vm_ooffset_t foff, vm_offset_t *addr,
    vm_size_t size, vm_prot_t prot, vm_prot_t maxprot, int flags)
{
	vm_map_entry_t dead, e;
	void *va;
	int error;

	dead = NULL;
	vm_map_lock(MAP);
	if ((flags & HARNESS_MAP_EXCL) != 0) {
		va = (void *)*addr;
		/* vm_mmap_to_errno(KERN_NO_SPACE) */
		error = os_reserve_excl(va, size) == 0 ? 0 : ENOMEM;
	} else if ((flags & HARNESS_MAP_FIXED) != 0) {
		va = (void *)*addr;
		error = os_map(va, size, 0, OS_MAP_ANON, -1, 0);
		if (error == 0)
			map_delete_locked(*addr, *addr + size, false,
			    &dead);
	} else
		error = os_reserve((void *)*addr, size,
		    (flags & HARNESS_MAP_32BIT) != 0, &va);
	if (error != 0) {
		vm_map_unlock(MAP);
		return (ENOMEM);
	}
	e = entry_new((vm_offset_t)va, (vm_offset_t)va + size);
	e->object.vm_object = object;
	e->offset = foff;
	e->protection = prot;
	e->max_protection = maxprot;
	os_mutex_lock(&entries_mutex);
	entry_link(e);
	os_mutex_unlock(&entries_mutex);
	error = kpi_map_lazy ? entry_enter_resident(e) :
	    entry_enter(e, e->start, e->end, prot, false);
	if (error == 0 && kpi_map_wire_future)
		entry_wire(e);
	if (error != 0) {
		/* The host's limit of mappings: give up cleanly. */
		os_mutex_lock(&entries_mutex);
		entry_unlink(e);
		os_mutex_unlock(&entries_mutex);
		os_free(e);
		os_unmap(va, size);
	}
	vm_map_unlock(MAP);
	process_dead(dead);
	*addr = (vm_offset_t)va;
	return (error == 0 ? 0 : ENOMEM);
}

/* mprotect(2): EACCES beyond the maximal protection, before any change. */
int
kpi_map_protect(vm_offset_t start, vm_offset_t end, vm_prot_t prot)
{
	vm_map_entry_t e;
	int error;

	vm_map_lock(MAP);
	os_mutex_lock(&entries_mutex);
	error = 0;
	for (e = entry_above(start); e != &MAP->header && e->start < end;
	    e = e->next)
		if ((prot & e->max_protection) != prot)
			error = EACCES;
	if (error == 0)
		error = os_errno_to_freebsd(os_protect((void *)start,
		    end - start, harness_prot(prot)));
	if (error == 0) {
		for (e = entry_above(start); e != &MAP->header &&
		    e->start < end; e = e->next) {
			entry_clip(e, start);
			if (e->end <= start)
				continue;
			entry_clip(e, end);
			e->protection = prot;
		}
	}
	os_mutex_unlock(&entries_mutex);
	vm_map_unlock(MAP);
	return (error);
}

/*
 * Look-ups cover the whole process: entries for what is not ours are made from
 * what the host reports, for the calling thread, until its next look-up.
 */
static __thread struct vm_map_entry made_up[2];
/* At the beginning of a walk. */
static __thread struct vm_map_entry foreign[2];
static __thread bool walking;

/* The entry at addr or above it: ours, a made-up one, or the header. */
static vm_map_entry_t
find_above(vm_offset_t addr, vm_map_entry_t room)
{
	vm_map_entry_t e;
	struct os_vma vma;

	os_mutex_lock(&entries_mutex);
	e = entry_above(addr);
	os_mutex_unlock(&entries_mutex);
	if (e != &MAP->header && e->start <= addr)
		return (e);
	if (!os_find_vma(addr, &vma) ||
	    (e != &MAP->header && vma.start >= e->start))
		return (e);
	memset(room, 0, sizeof(*room));
	room->start = vma.start;
	room->end = vma.end;
	/* The host may have merged it with pages of ours. */
	if (e != &MAP->header && e->start < room->end)
		room->end = e->start;
	room->protection = (vm_prot_t)vma.prot;
	return (room);
}

boolean_t
vm_map_lookup_entry(vm_map_t map, vm_offset_t addr, vm_map_entry_t *entryp)
{
	vm_map_entry_t e;

	KASSERT(map == MAP, ("look-up in an unknown map"));
	sx_assert(&map->lock, SA_LOCKED);
	walking = false;
	e = find_above(addr, &made_up[0]);
	if (e != &map->header && e->start <= addr) {
		*entryp = e;
		return (1);
	}
	/* A predecessor of which only the successor matters. */
	memset(&made_up[1], 0, sizeof(made_up[1]));
	made_up[1].next = e;
	*entryp = &made_up[1];
	return (0);
}

vm_map_entry_t
vm_map_entry_first(vm_map_t map)
{

	KASSERT(map == MAP, ("walk of an unknown map"));
	sx_assert(&map->lock, SA_LOCKED);
	walking = true;
	memset(foreign, 0, sizeof(foreign));
	foreign[0].start = PAGE_SIZE;
	foreign[0].end = foreign[1].start = 2 * PAGE_SIZE;
	foreign[1].end = 3 * PAGE_SIZE;
	foreign[1].eflags = MAP_ENTRY_IS_SUB_MAP;
	/* Code that takes it for an object gets a signal. */
	foreign[1].object.sub_map = (vm_map_t)0xdeadc0dedeadc000;
	return (&foreign[0]);
}

vm_map_entry_t
vm_map_entry_succ(vm_map_entry_t e)
{

	sx_assert(&MAP->lock, SA_LOCKED);
	if (e == &foreign[0])
		return (&foreign[1]);
	if (walking && e != &made_up[1]) {
		os_mutex_lock(&entries_mutex);
		e = e == &foreign[1] ? MAP->header.next : e->next;
		os_mutex_unlock(&entries_mutex);
		return (e);
	}
	if (e == &made_up[1])
		return (e->next);
	if (e == &MAP->header)
		return (find_above(0, &made_up[0]));
	return (find_above(e->end, &made_up[0]));
}
