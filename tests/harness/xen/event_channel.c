/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Event channels: the ports of a domain and the hypercall on them.  Results are
 * Xen's; priorities and all virtual CPUs but the first are not modelled.
 */
#include <string.h>

#include "../os/host_os.h"
#include "machine.h"

static struct port *
port_of(struct domain *d, uint32_t port)
{

	return (port < XEN_MODEL_PORTS ? &d->ports[port] : NULL);
}

/* The lowest free one; 0 is reserved. */
static uint32_t
port_alloc(struct domain *d)
{
	uint32_t i;

	for (i = 1; i < XEN_MODEL_PORTS; i++)
		if (d->ports[i].state == EVTCHNSTAT_closed)
			return (i);
	return (0);
}

static void
port_open(struct port *p, uint8_t state)
{

	memset(p, 0, sizeof(*p));
	p->state = state;
}

static void
domain_wake(struct domain *d)
{

	__atomic_fetch_add(&d->event_wake, 1, __ATOMIC_SEQ_CST);
	os_word_wake(&d->event_wake);
}

static void
port_pend(struct domain *d, struct port *p)
{

	if (!p->pending) {
		p->pending = 1;
		p->order = ++d->event_order;
	}
	if (!p->masked)
		domain_wake(d);
}

/* Xen's XSM: only Dom0 may handle other domains' ports. */
static long
target(struct xen_domain *self, domid_t domid, struct domain **d)
{

	*d = domain_find(self, domid);
	if (*d == NULL || (*d)->state != DOMAIN_LIVE)
		return (-X_ESRCH);
	return (*d != self->d && self->d->domid != 0 ? -X_EPERM : 0);
}

static long
alloc_unbound(struct xen_domain *self, struct evtchn_alloc_unbound *op)
{
	struct domain *d;
	uint32_t port;
	long error;

	error = target(self, op->dom, &d);
	if (error != 0)
		return (error);
	port = port_alloc(d);
	if (port == 0)
		return (-X_ENOSPC);
	port_open(&d->ports[port], EVTCHNSTAT_unbound);
	/* Xen does not check that the domain exists. */
	d->ports[port].remote = op->remote_dom == DOMID_SELF ?
	    self->d->domid : op->remote_dom;
	op->port = port;
	return (0);
}

static long
bind_interdomain(struct xen_domain *self, struct evtchn_bind_interdomain *op)
{
	struct domain *d, *rd;
	struct port *p, *rp;
	uint32_t port;

	d = self->d;
	rd = domain_find(self, op->remote_dom);
	if (rd == NULL || rd->state != DOMAIN_LIVE)
		return (-X_ESRCH);
	port = port_alloc(d);
	if (port == 0)
		return (-X_ENOSPC);
	rp = port_of(rd, op->remote_port);
	if (rp == NULL || rp->state != EVTCHNSTAT_unbound ||
	    rp->remote != d->domid)
		return (-X_EINVAL);
	p = &d->ports[port];
	port_open(p, EVTCHNSTAT_interdomain);
	p->remote = rd->domid;
	p->remote_index = (uint8_t)(rd - self->m->s->domains);
	p->remote_port = op->remote_port;
	rp->state = EVTCHNSTAT_interdomain;
	rp->remote = d->domid;
	rp->remote_index = (uint8_t)self->index;
	rp->remote_port = port;
	/* The remote's earlier events were lost: mark one as pending. */
	port_pend(d, p);
	op->local_port = port;
	return (0);
}

static long
bind_virq(struct xen_domain *self, struct evtchn_bind_virq *op)
{
	struct port *p;
	uint32_t i, port;

	if (op->virq >= NR_VIRQS)
		return (-X_EINVAL);
	if (op->vcpu != 0)
		return (-X_ENOENT);
	for (i = 1; i < XEN_MODEL_PORTS; i++)
		if (self->d->ports[i].state == EVTCHNSTAT_virq &&
		    self->d->ports[i].virq == op->virq)
			return (-X_EEXIST);
	port = port_alloc(self->d);
	if (port == 0)
		return (-X_ENOSPC);
	p = &self->d->ports[port];
	port_open(p, EVTCHNSTAT_virq);
	p->virq = (uint16_t)op->virq;
	op->port = port;
	return (0);
}

static long
bind_ipi(struct xen_domain *self, struct evtchn_bind_ipi *op)
{
	uint32_t port;

	if (op->vcpu != 0)
		return (-X_ENOENT);
	port = port_alloc(self->d);
	if (port == 0)
		return (-X_ENOSPC);
	port_open(&self->d->ports[port], EVTCHNSTAT_ipi);
	op->port = port;
	return (0);
}

static long
port_close(struct xen_machine *m, struct domain *d, uint32_t port)
{
	struct port *p, *rp;

	p = port_of(d, port);
	if (p == NULL || p->state == EVTCHNSTAT_closed)
		return (-X_EINVAL);
	if (p->state == EVTCHNSTAT_interdomain) {
		/* The other end waits for a new connection. */
		rp = &m->s->domains[p->remote_index].ports[p->remote_port];
		rp->state = EVTCHNSTAT_unbound;
		rp->remote = d->domid;
	}
	port_open(p, EVTCHNSTAT_closed);
	return (0);
}

void
domain_close_ports(struct xen_machine *m, struct domain *d)
{
	uint32_t i;

	for (i = 1; i < XEN_MODEL_PORTS; i++)
		(void)port_close(m, d, i);
}

static long
port_send(struct xen_domain *self, uint32_t port)
{
	struct domain *rd;
	struct port *p;

	p = port_of(self->d, port);
	if (p == NULL)
		return (-X_EINVAL);
	switch (p->state) {
	case EVTCHNSTAT_interdomain:
		rd = &self->m->s->domains[p->remote_index];
		port_pend(rd, &rd->ports[p->remote_port]);
		return (0);
	case EVTCHNSTAT_ipi:
		port_pend(self->d, p);
		return (0);
	case EVTCHNSTAT_unbound:
		/* Nobody is connected: silently lost. */
		return (0);
	default:
		return (-X_EINVAL);
	}
}

static long
port_status(struct xen_domain *self, struct evtchn_status *op)
{
	struct domain *d;
	struct port *p;
	long error;

	error = target(self, op->dom, &d);
	if (error != 0)
		return (error);
	p = port_of(d, op->port);
	if (p == NULL)
		return (-X_EINVAL);
	op->status = p->state;
	op->vcpu = 0;
	switch (p->state) {
	case EVTCHNSTAT_unbound:
		op->u.unbound.dom = p->remote;
		break;
	case EVTCHNSTAT_interdomain:
		op->u.interdomain.dom = p->remote;
		op->u.interdomain.port = p->remote_port;
		break;
	case EVTCHNSTAT_virq:
		op->u.virq = p->virq;
		break;
	}
	return (0);
}

static long
port_unmask(struct xen_domain *self, uint32_t port)
{
	struct port *p;

	p = port_of(self->d, port);
	if (p == NULL || p->state == EVTCHNSTAT_closed)
		return (-X_EINVAL);
	p->masked = 0;
	if (p->pending)
		domain_wake(self->d);
	return (0);
}

static long
reset(struct xen_domain *self, struct evtchn_reset *op)
{
	struct domain *d;
	long error;

	error = target(self, op->dom, &d);
	if (error == 0)
		domain_close_ports(self->m, d);
	return (error);
}

static long
event_op(struct xen_domain *self, unsigned cmd, void *op)
{
	struct port *p;

	switch (cmd) {
	case EVTCHNOP_alloc_unbound:
		return (alloc_unbound(self, op));
	case EVTCHNOP_bind_interdomain:
		return (bind_interdomain(self, op));
	case EVTCHNOP_bind_virq:
		return (bind_virq(self, op));
	case EVTCHNOP_bind_ipi:
		return (bind_ipi(self, op));
	case EVTCHNOP_bind_vcpu:
		p = port_of(self->d, ((struct evtchn_bind_vcpu *)op)->port);
		if (((struct evtchn_bind_vcpu *)op)->vcpu != 0)
			return (-X_ENOENT);
		return (p == NULL || p->state == EVTCHNSTAT_closed ?
		    -X_EINVAL : 0);
	case EVTCHNOP_close:
		return (port_close(self->m, self->d,
		    ((struct evtchn_close *)op)->port));
	case EVTCHNOP_send:
		return (port_send(self, ((struct evtchn_send *)op)->port));
	case EVTCHNOP_status:
		return (port_status(self, op));
	case EVTCHNOP_unmask:
		return (port_unmask(self, ((struct evtchn_unmask *)op)->port));
	case EVTCHNOP_reset:
		return (reset(self, op));
	default:
		return (-X_ENOSYS);
	}
}

long
xen_event_channel_op(struct xen_domain *self, unsigned cmd, void *op)
{
	long rc;

	if (op == NULL)
		return (-X_EFAULT);
	machine_lock(self->m);
	self->d->counters.event_ops++;
	rc = event_op(self, cmd, op);
	machine_unlock(self->m);
	return (rc);
}

bool
xen_domain_virq(struct xen_domain *dom, unsigned virq)
{
	struct port *p;
	uint32_t i;
	bool found;

	machine_lock(dom->m);
	found = false;
	for (i = 1; !found && i < XEN_MODEL_PORTS; i++) {
		p = &dom->d->ports[i];
		if (p->state != EVTCHNSTAT_virq || p->virq != virq)
			continue;
		port_pend(dom->d, p);
		found = true;
	}
	machine_unlock(dom->m);
	return (found);
}

/* The domain's own view. */

bool
xen_domain_port_pending(struct xen_domain *dom, uint32_t port)
{
	struct port *p;
	bool pending;

	machine_lock(dom->m);
	p = port_of(dom->d, port);
	pending = p != NULL && p->pending;
	machine_unlock(dom->m);
	return (pending);
}

bool
xen_domain_port_take(struct xen_domain *dom, uint32_t port)
{
	struct port *p;
	bool taken;

	machine_lock(dom->m);
	p = port_of(dom->d, port);
	taken = p != NULL && p->pending && !p->masked;
	if (taken)
		p->pending = 0;
	machine_unlock(dom->m);
	return (taken);
}

void
xen_domain_port_mask(struct xen_domain *dom, uint32_t port, bool mask)
{
	struct port *p;

	machine_lock(dom->m);
	p = port_of(dom->d, port);
	if (p != NULL && mask)
		p->masked = 1;
	else if (p != NULL)
		(void)port_unmask(dom, port);
	machine_unlock(dom->m);
}

uint64_t
xen_domain_port_order(struct xen_domain *dom, uint32_t port)
{
	struct port *p;
	uint64_t order;

	machine_lock(dom->m);
	p = port_of(dom->d, port);
	order = p == NULL ? 0 : p->order;
	machine_unlock(dom->m);
	return (order);
}

unsigned
xen_domain_ports(struct xen_domain *dom, unsigned *pending)
{
	unsigned n, set;
	uint32_t i;

	n = set = 0;
	machine_lock(dom->m);
	for (i = 1; i < XEN_MODEL_PORTS; i++) {
		n += dom->d->ports[i].state != EVTCHNSTAT_closed;
		set += dom->d->ports[i].pending;
	}
	machine_unlock(dom->m);
	if (pending != NULL)
		*pending = set;
	return (n);
}

uint32_t
xen_domain_events(struct xen_domain *dom)
{

	return (__atomic_load_n(&dom->d->event_wake, __ATOMIC_SEQ_CST));
}

void
xen_domain_wait_event(struct xen_domain *dom, uint32_t seen,
    uint64_t timeout_ns)
{

	os_word_wait(&dom->d->event_wake, seen, timeout_ns);
}

void
xen_domain_wake(struct xen_domain *dom)
{

	domain_wake(dom->d);
}
