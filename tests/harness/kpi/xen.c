/* SPDX-License-Identifier: BSD-2-Clause */
/* Xen's kernel interface: hypercall, grant references, placeholder memory. */

#include <sys/param.h>
#include <sys/systm.h>
#include <sys/queue.h>
#include <sys/rman.h>

#include <machine/cpufunc.h>

#include <xen/xen-os.h>
#include <xen/hypervisor.h>
#include <xen/gnttab.h>
#include <xen/error.h>

#include "kpi.h"

struct xen_machine *kpi_machine;
struct xen_domain *kpi_domain;
bool kpi_inherited;

bool
xen_domain(void)
{

	return (kpi_domain != NULL);
}

bool
xen_initial_domain(void)
{

	return (kpi_domain != NULL && xen_domain_id(kpi_domain) == 0);
}

/* Xen's leaves, as an HVM domain without Viridian's sees them. */
void
cpuid_count(u_int ax, u_int cx, u_int *p)
{

	p[0] = p[1] = p[2] = p[3] = 0;
	switch (ax) {
	case 0x40000000:
		p[0] = 0x40000005;
		p[1] = 0x566e6558;	/* "XenVMMXenVMM" */
		p[2] = 0x65584d4d;
		p[3] = 0x4d4d566e;
		break;
	case 0x40000004:
		if (kpi_domain == NULL)
			break;
		p[0] = 1u << 4;		/* the domain's number is reported */
		p[2] = xen_domain_id(kpi_domain);
		break;
	}
}

int
xen_translate_error(int error)
{

	KASSERT(error < 0, ("xen_translate_error(%d): not negative", error));
	/* Xen's numbers are Linux's, and so are the host's. */
	return (os_errno_to_freebsd(-error));
}

/* Placeholder memory. */

struct resource {
	LIST_ENTRY(resource) link;
	device_t	dev;
	uint64_t	gfn;
	u_int		npages;
	char		*va;		/* the kernel's mapping */
	int		res_id;
	vm_page_t	pages;
};

static struct {
	struct os_mutex	mutex;
	bool		ready;
	LIST_HEAD(, resource) list;	/* by ascending gfn */
	u_int		live;
	u_int		made;
} xenmem;

static void
xenmem_lock(void)
{

	os_mutex_lock(&xenmem.mutex);
}

static void
xenmem_unlock(void)
{

	os_mutex_unlock(&xenmem.mutex);
}

u_int
kpi_resources_live(void)
{
	u_int n;

	xenmem_lock();
	n = xenmem.live;
	xenmem_unlock();
	return (n);
}

u_int
kpi_resources_made(void)
{
	u_int n;

	xenmem_lock();
	n = xenmem.made;
	xenmem_unlock();
	return (n);
}

static struct resource *
resource_of(uint64_t gfn)
{
	struct resource *r;

	LIST_FOREACH(r, &xenmem.list, link)
		if (gfn >= r->gfn && gfn - r->gfn < r->npages)
			return (r);
	return (NULL);
}

vm_page_t
kpi_xenmem_page(vm_paddr_t pa)
{
	struct resource *r;
	vm_page_t m;

	xenmem_lock();
	r = resource_of(atop(pa));
	m = r == NULL ? NULL : &r->pages[atop(pa) - r->gfn];
	xenmem_unlock();
	return (m);
}

/* The lowest hole that is large enough, as in rman. */
static bool
xenmem_place(struct resource *new)
{
	struct resource *r, *prev;
	uint64_t gfn;

	prev = NULL;
	gfn = KPI_XENMEM_FIRST;
	LIST_FOREACH(r, &xenmem.list, link) {
		if (r->gfn - gfn >= new->npages)
			break;
		gfn = r->gfn + r->npages;
		prev = r;
	}
	if (KPI_XENMEM_END - gfn < new->npages)
		return (false);
	new->gfn = gfn;
	if (prev == NULL)
		LIST_INSERT_HEAD(&xenmem.list, new, link);
	else
		LIST_INSERT_AFTER(prev, new, link);
	return (true);
}

struct resource *
xenmem_alloc(device_t dev, int *res_id, size_t size)
{
	struct resource *r;
	void *va;

	kpi_no_sleep("xenmem_alloc");
	KASSERT(size != 0 && (size & PAGE_MASK) == 0,
	    ("xenmem_alloc: %zu is not in pages", size));
	if (xengnt_harness_fail(HARNESS_FAIL_XENMEM))
		return (NULL);
	r = os_alloc(sizeof(*r));
	KASSERT(r != NULL, ("no memory for a resource"));
	r->dev = dev;
	r->res_id = *res_id;
	r->npages = (u_int)atop(size);
	r->pages = os_alloc(r->npages * sizeof(r->pages[0]));
	if (r->pages == NULL || os_reserve(NULL, size, false, &va) != 0) {
		os_free(r->pages);
		os_free(r);
		return (NULL);
	}
	r->va = va;
	xenmem_lock();
	if (!xenmem_place(r)) {
		xenmem_unlock();
		os_unmap(r->va, size);
		os_free(r->pages);
		os_free(r);
		return (NULL);
	}
	xenmem.live++;
	xenmem.made++;
	xenmem_unlock();
	kpi_page_range_init(r->pages, ptoa(r->gfn), r->npages);
	return (r);
}

static void
resource_destroy(struct resource *r)
{

	os_unmap(r->va, ptoa(r->npages));
	os_free(r->pages);
	os_free(r);
}

int
xenmem_free(device_t dev, int res_id, struct resource *r)
{
	u_int i;

	kpi_no_sleep("xenmem_free");
	KASSERT(r->dev == dev && r->res_id == res_id,
	    ("xenmem_free: not what xenmem_alloc gave"));
	for (i = 0; i < r->npages; i++) {
		KASSERT(r->pages[i].object == NULL,
		    ("xenmem_free: page %#lx is in an object",
		    r->pages[i].phys_addr));
		KASSERT(VPRC_WIRE_COUNT(r->pages[i].ref_count) == 1,
		    ("xenmem_free: page %#lx is held",
		    r->pages[i].phys_addr));
		KASSERT(kpi_inherited || xen_domain_p2m(kpi_domain,
		    r->gfn + i, NULL) == XEN_P2M_NONE,
		    ("xenmem_free: a grant is mapped at %#lx",
		    r->pages[i].phys_addr));
	}
	xenmem_lock();
	LIST_REMOVE(r, link);
	xenmem.live--;
	xenmem_unlock();
	resource_destroy(r);
	return (0);
}

rman_res_t
rman_get_start(struct resource *r)
{

	return (ptoa(r->gfn));
}

void *
rman_get_virtual(struct resource *r)
{

	return (r->va);
}

/*
 * The kernel's mapping of placeholders follows what Xen maps there.  If nothing
 * is mapped, an access is a bug of the driver and gets a signal.
 */
struct kva_run {
	char		*va;
	uint32_t	mfn;
	u_int		n;
	enum xen_p2m_type type;
};

static void
kva_flush(struct kva_run *run)
{
	enum os_map_kind kind;
	int error, prot;

	if (run->n == 0)
		return;
	prot = kpi_frame_protection(run->type, VM_PROT_RW, &kind);
	error = run->type == XEN_P2M_NONE ?
	    os_map(run->va, ptoa(run->n), 0, OS_MAP_ANON, -1, 0) :
	    os_map(run->va, ptoa(run->n), prot, kind,
	    xen_machine_fd(kpi_machine),
	    xen_machine_frame_offset(kpi_machine, run->mfn));
	if (error != 0)
		panic("no room for the kernel's mapping of a grant: host "
		    "errno %d (vm.max_map_count?)", error);
	run->n = 0;
}

static void
kva_update(struct kva_run *run, uint64_t gfn)
{
	enum xen_p2m_type type;
	struct resource *r;
	uint32_t mfn;
	char *va;

	xenmem_lock();
	r = resource_of(gfn);
	va = r == NULL ? NULL : r->va + ptoa(gfn - r->gfn);
	xenmem_unlock();
	if (va == NULL)
		return;
	type = xen_domain_p2m(kpi_domain, gfn, &mfn);
	if (run->n != 0 && (run->type != type || run->va + ptoa(run->n) != va ||
	    (type != XEN_P2M_NONE && run->mfn + run->n != mfn)))
		kva_flush(run);
	if (run->n++ == 0) {
		run->va = va;
		run->mfn = mfn;
		run->type = type;
	}
}

static void
after_map(const struct gnttab_map_grant_ref *ops, u_int count)
{
	struct kva_run run;
	u_int i;

	run.n = 0;
	for (i = 0; i < count; i++)
		if (ops[i].status == GNTST_okay)
			kva_update(&run, atop(ops[i].host_addr));
	kva_flush(&run);
}

static void
after_unmap(const struct gnttab_unmap_grant_ref *ops, u_int count)
{
	struct kva_run run;
	vm_page_t m;
	u_int i;

	run.n = 0;
	for (i = 0; i < count; i++) {
		if (ops[i].status != GNTST_okay)
			continue;
		kva_update(&run, atop(ops[i].host_addr));
		m = kpi_xenmem_page(ops[i].host_addr);
		if (m != NULL && m->object != NULL)
			kpi_map_page_gone(m);
	}
	kva_flush(&run);
}

/* Unmaps that were made to fail, for harness_unmap_refused(). */
struct refused {
	struct refused	*next;
	struct gnttab_unmap_grant_ref op;
};
static struct refused *refused;

static void
refuse_unmap(const struct gnttab_unmap_grant_ref *ops, u_int count)
{
	struct refused *r;
	u_int i;

	for (i = 0; i < count; i++) {
		r = os_alloc(sizeof(*r));
		KASSERT(r != NULL, ("no memory for a refused unmap"));
		r->op = ops[i];
		os_mutex_lock(&xenmem.mutex);
		r->next = refused;
		refused = r;
		os_mutex_unlock(&xenmem.mutex);
	}
}

/* The status of a failing element, one of those that Xen can return. */
static bool
fail_element(u_int cmd, void *op, u_int i)
{
	static const int16_t map_status[] = {
		GNTST_general_error, GNTST_eagain, GNTST_no_space,
	};
	static const int16_t copy_status[] = {
		GNTST_general_error, GNTST_eagain, GNTST_bad_page,
	};

	switch (cmd) {
	case GNTTABOP_map_grant_ref:
		((struct gnttab_map_grant_ref *)op)
		    ->status = map_status[i % nitems(map_status)];
		/* The handle is undefined then, and 0 is a valid one. */
		((struct gnttab_map_grant_ref *)op)->handle = 0;
		return (true);
	case GNTTABOP_unmap_grant_ref:
		((struct gnttab_unmap_grant_ref *)op)
		    ->status = GNTST_general_error;
		refuse_unmap(op, 1);
		return (true);
	case GNTTABOP_copy:
		((struct gnttab_copy *)op)
		    ->status = copy_status[i % nitems(copy_status)];
		return (true);
	default:
		return (false);
	}
}

static size_t
element_size(u_int cmd)
{

	switch (cmd) {
	case GNTTABOP_map_grant_ref:
		return (sizeof(struct gnttab_map_grant_ref));
	case GNTTABOP_unmap_grant_ref:
		return (sizeof(struct gnttab_unmap_grant_ref));
	case GNTTABOP_copy:
		return (sizeof(struct gnttab_copy));
	default:
		return (0);
	}
}

/* One hypercall; if elements are to fail, one for each of the others. */
static int
grant_op(u_int cmd, void *ops, u_int count)
{
	char *op;
	u_int i;
	int rc;

	if (atomic_load_ptr(&harness_fail_hook) == NULL ||
	    element_size(cmd) == 0)
		return ((int)xen_grant_table_op(kpi_domain, cmd, ops, count));
	op = ops;
	rc = 0;
	for (i = 0; i < count && rc == 0; i++, op += element_size(cmd))
		if (!xengnt_harness_fail(HARNESS_FAIL_STATUS) ||
		    !fail_element(cmd, op, kpi_faults_made()))
			rc = (int)xen_grant_table_op(kpi_domain, cmd, op, 1);
	return (rc);
}

int
HYPERVISOR_grant_table_op(unsigned int cmd, void *uop, unsigned int count)
{
	struct gnttab_unmap_grant_ref *unmap;
	u_int i;
	int rc;

	if (kpi_inherited) {
		/* None of it is mapped here: report success for all. */
		unmap = uop;
		for (i = 0; cmd == GNTTABOP_unmap_grant_ref && i < count; i++)
			unmap[i].status = GNTST_okay;
		return (0);
	}
	if (xengnt_harness_fail(HARNESS_FAIL_HYPERCALL)) {
		if (cmd == GNTTABOP_unmap_grant_ref)
			refuse_unmap(uop, count);
		return (-12);	/* Xen's ENOMEM */
	}
	rc = grant_op(cmd, uop, count);
	if (rc == 0 && cmd == GNTTABOP_map_grant_ref)
		after_map(uop, count);
	else if (rc == 0 && cmd == GNTTABOP_unmap_grant_ref)
		after_unmap(uop, count);
	return (rc);
}

unsigned
harness_unmap_refused(void)
{
	struct refused *r;
	u_int n;

	for (n = 0;; n++) {
		os_mutex_lock(&xenmem.mutex);
		r = refused;
		if (r != NULL)
			refused = r->next;
		os_mutex_unlock(&xenmem.mutex);
		if (r == NULL)
			return (n);
		r->op.status = GNTST_general_error;
		if (xen_grant_table_op(kpi_domain, GNTTABOP_unmap_grant_ref,
		    &r->op, 1) != 0 || r->op.status != GNTST_okay)
			panic("slot %#jx was used after its unmap failed",
			    (uintmax_t)r->op.host_addr);
		after_unmap(&r->op, 1);
		os_free(r);
	}
}

int
HYPERVISOR_event_channel_op(int cmd, void *arg)
{
	int rc;

	if (kpi_inherited)
		return (-22);	/* Xen's EINVAL: no such port */
	if (xengnt_harness_fail(HARNESS_FAIL_EVENT))
		return (-12);
	rc = (int)xen_event_channel_op(kpi_domain, (unsigned)cmd, arg);
	kpi_evtchn_scan();
	return (rc);
}

/*
 * Our own grants: references of the domain's table, last in, first out; the
 * table grows by a frame when it is full.
 */
#define	RESERVED_REFS	8
#define	MAX_REFS	(XEN_MODEL_GRANT_FRAMES * 512)

static struct {
	struct os_mutex	mutex;
	u_int		nfree;
	u_int		known;		/* references below are free or used */
	u_int		live;
	grant_ref_t	free[MAX_REFS];
	grant_ref_t	next[MAX_REFS];	/* of lists that callers have */
	bool		used[MAX_REFS];
} gnttab;

static void
gnttab_learn(void)
{
	u_int end, ref;

	end = xen_domain_grant_entries(kpi_domain);
	/* In reverse, so that the lowest is taken first. */
	for (ref = end; ref-- > gnttab.known;)
		if (ref >= RESERVED_REFS)
			gnttab.free[gnttab.nfree++] = ref;
	gnttab.known = end;
}

static grant_entry_v1_t *
entry_of(grant_ref_t ref)
{

	KASSERT(ref < MAX_REFS && gnttab.used[ref],
	    ("grant reference %u is not in use", ref));
	return (xen_domain_grant_entry(kpi_domain, ref));
}

int
gnttab_alloc_grant_references(uint16_t count, grant_ref_t *head)
{
	grant_ref_t ref;

	KASSERT(count > 0, ("no grant references asked for"));
	if (xengnt_harness_fail(HARNESS_FAIL_GRANT))
		return (ENOSPC);
	os_mutex_lock(&gnttab.mutex);
	while (gnttab.nfree < count && xen_domain_grow_grants(kpi_domain) == 0)
		gnttab_learn();
	if (gnttab.nfree < count) {
		os_mutex_unlock(&gnttab.mutex);
		return (ENOSPC);
	}
	gnttab.live += count;
	/* The first of the list is the lowest. */
	for (*head = GNTTAB_LIST_END; count > 0; count--) {
		ref = gnttab.free[gnttab.nfree - count];
		gnttab.next[ref] = *head;
		*head = ref;
	}
	for (ref = *head; ref != GNTTAB_LIST_END; ref = gnttab.next[ref])
		gnttab.nfree--;
	os_mutex_unlock(&gnttab.mutex);
	return (0);
}

/* The list is the caller's: FreeBSD takes no lock either. */
int
gnttab_claim_grant_reference(grant_ref_t *head)
{
	grant_ref_t ref;

	ref = *head;
	KASSERT(ref != GNTTAB_LIST_END, ("claimed from an empty list"));
	*head = gnttab.next[ref];
	gnttab.used[ref] = true;
	return ((int)ref);
}

void
gnttab_grant_foreign_access_ref(grant_ref_t ref, domid_t domid,
    unsigned long frame, int readonly)
{
	grant_entry_v1_t *e;
	vm_page_t m;

	KASSERT(frame <= UINT32_MAX, ("frame %#lx does not fit", frame));
	m = PHYS_TO_VM_PAGE(ptoa(frame));
	if (m != NULL)
		atomic_add_int(&m->grants, 1);
	e = entry_of(ref);
	/* Others may read the entry, but it grants nothing before its flags. */
	__atomic_store_n(&e->frame, (uint32_t)frame, __ATOMIC_RELAXED);
	__atomic_store_n(&e->domid, domid, __ATOMIC_RELAXED);
	__atomic_store_n(&e->flags, (uint16_t)(GTF_permit_access |
	    (readonly ? GTF_readonly : 0)), __ATOMIC_RELEASE);
}

int
gnttab_query_foreign_access(grant_ref_t ref)
{

	if (kpi_inherited)
		return (0);
	return (__atomic_load_n(&entry_of(ref)->flags, __ATOMIC_ACQUIRE) &
	    (GTF_reading | GTF_writing));
}

int
gnttab_end_foreign_access_ref(grant_ref_t ref)
{
	grant_entry_v1_t *e;
	vm_page_t m;
	uint16_t flags;
	bool reaped;

	if (kpi_inherited)
		return (1);
	e = entry_of(ref);
	if (xengnt_harness_fail(HARNESS_FAIL_END_ACCESS))
		return (0);
	reaped = false;
	flags = __atomic_load_n(&e->flags, __ATOMIC_ACQUIRE);
	do {
		if ((flags & (GTF_reading | GTF_writing)) == 0)
			continue;
		/* Perhaps by a domain whose process has died. */
		if (reaped || xen_machine_reap(kpi_machine) == 0) {
			printf("WARNING: g.e. %u still in use!\n", ref);
			return (0);
		}
		reaped = true;
		flags = __atomic_load_n(&e->flags, __ATOMIC_ACQUIRE);
	} while (!__atomic_compare_exchange_n(&e->flags, &flags, 0, false,
	    __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST));
	m = PHYS_TO_VM_PAGE(ptoa(e->frame));
	if (m != NULL)
		atomic_subtract_int(&m->grants, 1);
	return (1);
}

void
gnttab_release_grant_reference(grant_ref_t *head, grant_ref_t ref)
{

	if (!kpi_inherited)
		KASSERT(entry_of(ref)->flags == 0,
		    ("grant reference %u freed while it grants access", ref));
	gnttab.used[ref] = false;
	gnttab.next[ref] = *head;
	*head = ref;
}

void
gnttab_free_grant_references(grant_ref_t head)
{

	os_mutex_lock(&gnttab.mutex);
	for (; head != GNTTAB_LIST_END; head = gnttab.next[head]) {
		gnttab.free[gnttab.nfree++] = head;
		gnttab.live--;
	}
	os_mutex_unlock(&gnttab.mutex);
}

u_int
kpi_grants_live(void)
{

	return (gnttab.live);
}

/* Those mapped by a peer. */
u_int
kpi_grants_busy(void)
{
	u_int n, ref;

	n = 0;
	for (ref = 0; ref < gnttab.known; ref++)
		if (gnttab.used[ref] && gnttab_query_foreign_access(ref) != 0)
			n++;
	return (n);
}

/* A number in the environment, or def. */
static long
env_number(const char *name, long def, long max)
{
	const char *p;
	long v;

	p = os_getenv(name);
	if (p == NULL || *p == '\0')
		return (def);
	for (v = 0; *p >= '0' && *p <= '9' && v <= max; p++)
		v = v * 10 + (*p - '0');
	if (*p != '\0' || v > max) {
		kpi_message("%s=%s: not a number from 0 to %ld\n", name,
		    os_getenv(name), max);
		return (-1);
	}
	return (v);
}

/* Like a kernel's own event channels, which no user may arm (K15). */
static void
kernel_ports(void)
{
	struct evtchn_bind_virq virq;
	struct evtchn_bind_ipi ipi;

	virq.virq = VIRQ_TIMER;
	virq.vcpu = ipi.vcpu = 0;
	xen_event_channel_op(kpi_domain, EVTCHNOP_bind_virq, &virq);
	xen_event_channel_op(kpi_domain, EVTCHNOP_bind_ipi, &ipi);
}

int
kpi_xen_init(void)
{
	struct xen_domain_config c;
	long domid, frames;
	int error;

	if (!xenmem.ready) {
		os_mutex_init(&xenmem.mutex);
		os_mutex_init(&gnttab.mutex);
		LIST_INIT(&xenmem.list);
		xenmem.ready = true;
	}
	domid = env_number("XENGNT_HARNESS_DOMID", 0, DOMID_FIRST_RESERVED - 1);
	frames = env_number("XENGNT_HARNESS_GRANT_FRAMES",
	    XEN_MODEL_GRANT_FRAMES, XEN_MODEL_GRANT_FRAMES);
	if (domid < 0 || frames <= 0)
		return (EINVAL);
	memset(&c, 0, sizeof(c));
	c.domid = (uint16_t)domid;
	c.grant_frames = 1;
	c.max_grant_frames = (uint32_t)frames;
	c.maptrack_frames = XEN_MODEL_MAPTRACK_FRAMES;
	error = xen_domain_create(kpi_machine, &c, &kpi_domain);
	if (error != 0) {
		kpi_message("domain %ld: %s\n", domid, error == -17 ?
		    "runs already on this machine (XENGNT_HARNESS_DOMID)" :
		    "cannot be created");
		return (os_errno_to_freebsd(-error));
	}
	gnttab.known = gnttab.nfree = gnttab.live = 0;
	memset(gnttab.used, 0, sizeof(gnttab.used));
	gnttab_learn();
	kernel_ports();
	return (0);
}

void
kpi_xen_fini(void)
{
	struct resource *r;

	/* What a driver gave up as lost goes with the domain. */
	while ((r = LIST_FIRST(&xenmem.list)) != NULL) {
		LIST_REMOVE(r, link);
		xenmem.live--;
		resource_destroy(r);
	}
	if (kpi_inherited)
		xen_domain_forget(kpi_domain);
	else
		xen_domain_destroy(kpi_domain);
	kpi_domain = NULL;
}
