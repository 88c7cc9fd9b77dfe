/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The grant-table hypercall.  The order of the checks, which decides the status
 * that a caller sees, is Xen's.
 */
#include <string.h>

#include "../os/host_os.h"
#include "machine.h"

static void __attribute__((noreturn, format(printf, 1, 2)))
domain_crash(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	os_vmessage("xen-model: domain crash: ", fmt, ap);
	va_end(ap);
	os_abort();
}

struct domain *
domain_find(struct xen_domain *self, domid_t domid)
{
	struct domain *d;
	unsigned i;

	if (domid == DOMID_SELF)
		return (self->d);
	for (i = 0; i < DOMAINS; i++) {
		d = &self->m->s->domains[i];
		if (d->state != DOMAIN_FREE && d->domid == domid)
			return (d);
	}
	return (NULL);
}

/* The frame behind a page number of the domain. */
static int16_t
domain_frame(struct domain *d, uint64_t gfn, uint32_t *mfn)
{

	if (gfn >= XEN_MODEL_GFNS)
		return (GNTST_bad_page);
	*mfn = p2m_mfn(d->p2m[gfn]);
	switch (p2m_type(d->p2m[gfn])) {
	case XEN_P2M_RAM:
		return (GNTST_okay);
	case XEN_P2M_PAGED:
		if (d->paged_left != UINT32_MAX && d->paged_left-- <= 1)
			d->p2m[gfn] = p2m_make(XEN_P2M_RAM, *mfn);
		return (GNTST_eagain);
	default:
		return (GNTST_bad_page);
	}
}

/* The entry's other bits belong to the granter, who may write at any time. */
static void
entry_clear(grant_entry_v1_t *e, uint16_t bits)
{

	__atomic_fetch_and(&e->flags, (uint16_t)~bits, __ATOMIC_SEQ_CST);
}

/*
 * Checks the entry for this use and sets its reading/writing bits in one step,
 * because the granter may end the grant concurrently.
 */
static int16_t
entry_claim(grant_entry_v1_t *e, domid_t domid, bool readonly, bool map)
{
	union {
		struct {
			uint16_t flags;
			domid_t	domid;
		};
		uint32_t word;
	} old, new;
	uint16_t mask;

	mask = GTF_type_mask;
	if (map)
		mask |= GTF_sub_page;
	old.word = __atomic_load_n((uint32_t *)e, __ATOMIC_SEQ_CST);
	do {
		if ((old.flags & mask) != GTF_permit_access ||
		    old.domid != domid)
			return (GNTST_general_error);
		if (!readonly && (old.flags & GTF_readonly) != 0)
			return (GNTST_general_error);
		new = old;
		new.flags |= GTF_reading | (readonly ? 0 : GTF_writing);
	} while (!__atomic_compare_exchange_n((uint32_t *)e, &old.word,
	    new.word, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST));
	return (GNTST_okay);
}

static void
pin_fixup(struct domain *d, uint32_t ref)
{
	struct active *a;

	a = &d->active[ref];
	if (a->writers == 0)
		entry_clear(&d->table[ref], GTF_writing);
	if (a->writers == 0 && a->readers == 0)
		entry_clear(&d->table[ref], GTF_reading);
}

/* Takes one use of d's grant for domid. */
static int16_t
pin(struct xen_machine *m, struct domain *d, uint32_t ref, domid_t domid,
    bool readonly, bool map, uint32_t *mfn)
{
	struct active *a;
	int16_t status;
	bool first;

	if (d->state != DOMAIN_LIVE)
		return (GNTST_general_error);
	if (ref >= d->grant_frames * ENTRIES_PER_FRAME)
		return (GNTST_bad_gntref);
	a = &d->active[ref];
	first = a->readers == 0 && a->writers == 0;
	if (!first && (a->domid != domid || a->readers >= PIN_LIMIT ||
	    a->writers >= PIN_LIMIT))
		return (GNTST_general_error);
	if (first || (!readonly && a->writers == 0)) {
		status = entry_claim(&d->table[ref], domid, readonly, map);
		if (status != GNTST_okay)
			return (status);
	}
	if (first) {
		status = domain_frame(d, d->table[ref].frame, mfn);
		if (status != GNTST_okay) {
			pin_fixup(d, ref);
			return (status);
		}
		a->domid = domid;
		a->mfn = *mfn;
	}
	*mfn = a->mfn;
	if (readonly)
		a->readers++;
	else
		a->writers++;
	d->counters.pins_live++;
	m->s->frames[a->mfn].refs++;
	return (GNTST_okay);
}

static void
unpin(struct xen_machine *m, struct domain *d, uint32_t ref, bool readonly)
{
	struct active *a;

	a = &d->active[ref];
	if (readonly)
		a->readers--;
	else
		a->writers--;
	pin_fixup(d, ref);
	frame_put(m, a->mfn);
	domain_pin_gone(d);
}

/* Maps. */

static uint32_t
maptrack_get(struct domain *d)
{
	uint32_t handle;

	if (d->maptrack_free != NONE) {
		handle = d->maptrack_free;
		d->maptrack_free = d->maptrack[handle].ref;
		return (handle);
	}
	if (d->maptrack_hwm >= d->maptrack_limit)
		return (NONE);
	return (d->maptrack_hwm++);
}

static void
maptrack_put(struct domain *d, uint32_t handle)
{

	d->maptrack[handle].used = 0;
	d->maptrack[handle].ref = d->maptrack_free;
	d->maptrack_free = handle;
}

static void
map_grant_ref(struct xen_domain *self, struct gnttab_map_grant_ref *op)
{
	struct domain *rd;
	struct maptrack *mt;
	uint64_t gfn;
	uint32_t handle, mfn;
	bool readonly;

	self->d->counters.map_ops++;
	if ((op->flags & (GNTMAP_host_map | GNTMAP_device_map)) == 0) {
		op->status = GNTST_bad_gntref;
		return;
	}
	if ((op->flags & (GNTMAP_device_map | GNTMAP_application_map |
	    GNTMAP_contains_pte)) != 0) {
		op->status = GNTST_general_error;
		return;
	}
	rd = domain_find(self, op->dom);
	if (rd == NULL) {
		op->status = GNTST_bad_domain;
		return;
	}
	handle = maptrack_get(self->d);
	if (handle == NONE) {
		op->status = GNTST_no_space;
		return;
	}
	readonly = (op->flags & GNTMAP_readonly) != 0;
	op->status = pin(self->m, rd, op->ref, self->d->domid, readonly, true,
	    &mfn);
	if (op->status != GNTST_okay) {
		maptrack_put(self->d, handle);
		return;
	}
	gfn = op->host_addr / XEN_MODEL_PAGE;
	if (op->host_addr % XEN_MODEL_PAGE != 0 || gfn >= XEN_MODEL_GFNS) {
		unpin(self->m, rd, op->ref, readonly);
		maptrack_put(self->d, handle);
		op->status = GNTST_general_error;
		return;
	}
	if (rd == self->d)
		domain_crash("map of the own grant %u at gfn %#llx takes the "
		    "page away from its address\n", op->ref,
		    (unsigned long long)gfn);
	switch (p2m_type(self->d->p2m[gfn])) {
	case XEN_P2M_NONE:
		break;
	case XEN_P2M_RAM:
	case XEN_P2M_PAGED:
		/* Xen allows it, and the page that was there is lost. */
		domain_crash("grant %u of domain %u mapped over memory at gfn "
		    "%#llx\n", op->ref, rd->domid, (unsigned long long)gfn);
	default:
		domain_crash("grant %u of domain %u mapped over a live slot, "
		    "gfn %#llx\n", op->ref, rd->domid,
		    (unsigned long long)gfn);
	}
	__atomic_store_n(&self->d->p2m[gfn], p2m_make(readonly ?
	    XEN_P2M_GRANT_RO : XEN_P2M_GRANT_RW, mfn), __ATOMIC_RELEASE);
	mt = &self->d->maptrack[handle];
	mt->used = 1;
	mt->ref = op->ref;
	mt->gfn = (uint32_t)gfn;
	mt->granter = (uint8_t)(rd - self->m->s->domains);
	mt->readonly = readonly;
	self->d->counters.maps_live++;
	op->handle = handle;
	op->dev_bus_addr = (uint64_t)mfn * XEN_MODEL_PAGE;
}

static void
maptrack_end(struct xen_machine *m, struct domain *d, uint32_t handle)
{
	struct maptrack *mt;

	mt = &d->maptrack[handle];
	__atomic_store_n(&d->p2m[mt->gfn], 0, __ATOMIC_RELEASE);
	d->counters.maps_live--;
	unpin(m, &m->s->domains[mt->granter], mt->ref, mt->readonly);
	maptrack_put(d, handle);
}

/* The domain ends: Xen releases what it has mapped. */
void
domain_end_maps(struct xen_machine *m, struct domain *d)
{
	uint32_t handle;

	for (handle = 0; handle < d->maptrack_hwm; handle++)
		if (d->maptrack[handle].used)
			maptrack_end(m, d, handle);
}

static void
unmap_grant_ref(struct xen_domain *self, struct gnttab_unmap_grant_ref *op)
{
	struct maptrack *mt;

	self->d->counters.unmap_ops++;
	if (op->handle >= self->d->maptrack_hwm ||
	    !self->d->maptrack[op->handle].used) {
		op->status = GNTST_bad_handle;
		return;
	}
	mt = &self->d->maptrack[op->handle];
	if (op->host_addr != (uint64_t)mt->gfn * XEN_MODEL_PAGE ||
	    op->dev_bus_addr != 0) {
		op->status = GNTST_general_error;
		return;
	}
	maptrack_end(self->m, self->d, op->handle);
	op->status = GNTST_okay;
}

/* Copies. */

struct copy_side {
	struct domain	*d;
	uint32_t	ref;
	bool		pinned;
	bool		readonly;
	char		*ptr;		/* of the page, or local address */
	bool		local;
};

static int16_t
side_domain(struct xen_domain *self, domid_t domid, bool gref,
    struct copy_side *side)
{

	/* Page numbers are always those of the own domain. */
	if (domid != DOMID_SELF && !gref)
		return (GNTST_permission_denied);
	side->d = domain_find(self, domid);
	return (side->d == NULL ? GNTST_bad_domain : GNTST_okay);
}

static int16_t
side_claim(struct xen_domain *self, const struct gnttab_copy_ptr *p, bool gref,
    bool readonly, struct copy_side *side)
{
	uint32_t mfn;
	int16_t status;

	side->readonly = readonly;
	if (gref) {
		side->ref = p->u.ref;
		status = pin(self->m, side->d, p->u.ref, self->d->domid,
		    readonly, false, &mfn);
		if (status != GNTST_okay)
			return (status);
		side->pinned = true;
	} else if (p->u.gmfn >= XEN_MODEL_LOCAL_GFN) {
		side->local = true;
		side->ptr = (char *)(uintptr_t)((p->u.gmfn -
		    XEN_MODEL_LOCAL_GFN) * XEN_MODEL_PAGE);
		return (GNTST_okay);
	} else {
		/* Grants, foreign pages and holes are refused (row C14). */
		status = domain_frame(side->d, p->u.gmfn, &mfn);
		if (status != GNTST_okay)
			return (status);
	}
	side->ptr = frame_ptr(self->m, mfn);
	return (GNTST_okay);
}

static void
side_release(struct xen_domain *self, struct copy_side *side)
{

	if (side->pinned)
		unpin(self->m, side->d, side->ref, side->readonly);
}

static int16_t
copy_bytes(const struct gnttab_copy *op, const struct copy_side *src,
    const struct copy_side *dst)
{
	char buf[XEN_MODEL_PAGE];
	const char *from;
	char *to;

	from = src->ptr + op->source.offset;
	to = dst->ptr + op->dest.offset;
	if (src->local) {
		if (!os_copyin(from, buf, op->len))
			return (GNTST_general_error);
		from = buf;
	}
	if (dst->local)
		return (os_copyout(from, to, op->len) ? GNTST_okay :
		    GNTST_general_error);
	memmove(to, from, op->len);
	return (GNTST_okay);
}

static void
copy_one(struct xen_domain *self, struct gnttab_copy *op)
{
	struct copy_side src, dst;
	bool src_gref, dst_gref;

	self->d->counters.copy_ops++;
	memset(&src, 0, sizeof(src));
	memset(&dst, 0, sizeof(dst));
	src_gref = (op->flags & GNTCOPY_source_gref) != 0;
	dst_gref = (op->flags & GNTCOPY_dest_gref) != 0;
	op->status = side_domain(self, op->source.domid, src_gref, &src);
	if (op->status == GNTST_okay)
		op->status = side_domain(self, op->dest.domid, dst_gref, &dst);
	if (op->status == GNTST_okay)
		op->status = side_claim(self, &op->source, src_gref, true,
		    &src);
	if (op->status == GNTST_okay)
		op->status = side_claim(self, &op->dest, dst_gref, false,
		    &dst);
	if (op->status == GNTST_okay &&
	    ((uint32_t)op->source.offset + op->len > XEN_MODEL_PAGE ||
	    (uint32_t)op->dest.offset + op->len > XEN_MODEL_PAGE))
		op->status = GNTST_bad_copy_arg;
	if (op->status == GNTST_okay)
		op->status = copy_bytes(op, &src, &dst);
	side_release(self, &dst);
	side_release(self, &src);
}

static int16_t
query_size(struct xen_domain *self, struct gnttab_query_size *op)
{
	struct domain *d;

	d = domain_find(self, op->dom);
	if (d == NULL)
		return (GNTST_bad_domain);
	if (d != self->d)
		return (GNTST_permission_denied);
	op->nr_frames = d->grant_frames;
	op->max_nr_frames = d->max_grant_frames;
	return (GNTST_okay);
}

long
xen_grant_table_op(struct xen_domain *self, unsigned cmd, void *ops,
    unsigned count)
{
	struct gnttab_query_size *query;
	unsigned i;
	long rc;

	if ((int)count < 0)
		return (-X_EINVAL);
	if (ops == NULL && count != 0)
		return (-X_EFAULT);
	machine_lock(self->m);
	self->d->counters.hypercalls++;
	rc = 0;
	switch (cmd) {
	case GNTTABOP_map_grant_ref:
		for (i = 0; i < count; i++)
			map_grant_ref(self,
			    (struct gnttab_map_grant_ref *)ops + i);
		break;
	case GNTTABOP_unmap_grant_ref:
		for (i = 0; i < count; i++)
			unmap_grant_ref(self,
			    (struct gnttab_unmap_grant_ref *)ops + i);
		break;
	case GNTTABOP_copy:
		for (i = 0; i < count; i++)
			copy_one(self, (struct gnttab_copy *)ops + i);
		break;
	case GNTTABOP_query_size:
		if (count != 1) {
			rc = -X_EINVAL;
			break;
		}
		query = ops;
		query->status = query_size(self, query);
		break;
	default:
		rc = -X_ENOSYS;
		break;
	}
	machine_unlock(self->m);
	return (rc);
}
