/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The helper domain: pages and a grant table that a test case reads and writes
 * through text lines.  xengnt-peer (compat-tests/agent) has the same commands
 * in a real Dom0.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "machine.h"

#define	FIRST_GFN	0x100u
#define	SLOTS_GFN	0x10u	/* where it maps what Dom0 grants */
#define	SLOTS		16u
#define	MAX_ARGS	6

struct xen_peer {
	struct xen_machine *m;
	struct xen_domain *dom;		/* NULL: none */
	uint32_t	pages;
	uint32_t	handle[SLOTS];	/* of what it maps, or NONE */
	pthread_mutex_t	lock;
};

struct request {
	struct xen_peer	*peer;
	int		argc;
	char		*argv[MAX_ARGS + 1];
	char		*reply;
	size_t		replylen;
};

struct xen_peer *
xen_peer_new(struct xen_machine *m)
{
	struct xen_peer *peer;

	peer = calloc(1, sizeof(*peer));
	if (peer != NULL) {
		peer->m = m;
		pthread_mutex_init(&peer->lock, NULL);
	}
	return (peer);
}

void
xen_peer_free(struct xen_peer *peer)
{

	if (peer->dom != NULL)
		xen_domain_destroy(peer->dom);
	pthread_mutex_destroy(&peer->lock);
	free(peer);
}

static int __attribute__((format(printf, 2, 3)))
answer(struct request *r, const char *fmt, ...)
{
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(r->reply, r->replylen, fmt, ap);
	va_end(ap);
	return (n < 0 || (size_t)n >= r->replylen ? -1 : 0);
}

/* Argument i: "name=value", or "value" without the name. */
static bool
number(struct request *r, int i, const char *name, uint64_t *value)
{
	const char *arg;
	char *end;
	size_t n;

	arg = r->argv[i];
	n = strlen(name);
	if (strncmp(arg, name, n) == 0 && arg[n] == '=')
		arg += n + 1;
	*value = strtoull(arg, &end, 0);
	return (*arg != '\0' && *end == '\0');
}

static int
bad(struct request *r, const char *what)
{

	return (answer(r, "err EINVAL %s: %s", r->argv[0], what));
}

static int
op_info(struct request *r)
{
	struct xen_peer *p;

	p = r->peer;
	return (answer(r, "ok domid=%u pages=%u entries=%u",
	    xen_domain_id(p->dom), p->pages,
	    xen_domain_grant_entries(p->dom)));
}

static int
op_new(struct request *r)
{
	struct xen_domain_config c;
	struct xen_peer *p;
	uint64_t pages, frames, value;
	uint32_t i;
	int error;

	p = r->peer;
	pages = 64;
	frames = 4;
	if (p->dom != NULL)
		return (answer(r, "err EEXIST new: there is one already"));
	for (i = 1; i < (uint32_t)r->argc; i++) {
		/* By name in any order, or by position. */
		if (strncmp(r->argv[i], "frames=", 7) == 0) {
			if (!number(r, (int)i, "frames", &value))
				return (bad(r, "frames"));
			frames = value;
		} else if (number(r, (int)i, "pages", &value)) {
			if (strchr(r->argv[i], '=') == NULL && i == 2)
				frames = value;
			else
				pages = value;
		} else
			return (bad(r, "pages=N frames=N"));
	}
	if (pages > XEN_MODEL_GFNS - FIRST_GFN || frames == 0 ||
	    frames > XEN_MODEL_GRANT_FRAMES)
		return (bad(r, "out of range"));
	memset(&c, 0, sizeof(c));
	c.domid = XEN_MODEL_ANY_DOMID;
	c.grant_frames = c.max_grant_frames = (uint32_t)frames;
	c.maptrack_frames = 1;
	memset(p->handle, 0xff, sizeof(p->handle));
	error = xen_domain_create(p->m, &c, &p->dom);
	for (i = 0; error == 0 && i < pages; i++) {
		error = xen_domain_populate(p->dom, FIRST_GFN + i);
		if (error != 0) {
			xen_domain_destroy(p->dom);
			p->dom = NULL;
		}
	}
	if (error != 0)
		return (answer(r, "err ENOMEM new: Xen error %d", -error));
	p->pages = (uint32_t)pages;
	return (op_info(r));
}

static bool
entry_arg(struct request *r, int i, grant_entry_v1_t **e)
{
	uint64_t ref;

	if (!number(r, i, "ref", &ref) || ref > UINT32_MAX)
		return (false);
	*e = xen_domain_grant_entry(r->peer->dom, (uint32_t)ref);
	return (*e != NULL);
}

static bool
page_arg(struct request *r, int i, uint64_t *page)
{

	return (number(r, i, "page", page) && *page < r->peer->pages);
}

static int
op_grant(struct request *r)
{
	grant_entry_v1_t *e;
	uint64_t domid, flags, page;

	domid = 0;
	if (!entry_arg(r, 1, &e))
		return (bad(r, "no such reference"));
	if (strcmp(r->argv[2], "none") == 0)
		page = r->peer->pages;	/* nothing is there */
	else if (!page_arg(r, 2, &page))
		return (bad(r, "no such page"));
	if (!number(r, 3, "flags", &flags) || flags > 0xffff)
		return (bad(r, "flags"));
	if (r->argc > 4 && (!number(r, 4, "domid", &domid) || domid > 0xffff))
		return (bad(r, "domid"));
	e->domid = (domid_t)domid;
	e->frame = (uint32_t)(FIRST_GFN + page);
	/* Last, because they make the entry valid. */
	__atomic_store_n(&e->flags, (uint16_t)flags, __ATOMIC_RELEASE);
	return (answer(r, "ok"));
}

static int
op_flags(struct request *r)
{
	grant_entry_v1_t *e;
	uint64_t flags;

	if (!entry_arg(r, 1, &e))
		return (bad(r, "no such reference"));
	if (!number(r, 2, "flags", &flags) || flags > 0xffff)
		return (bad(r, "flags"));
	__atomic_store_n(&e->flags, (uint16_t)flags, __ATOMIC_RELEASE);
	return (answer(r, "ok"));
}

static int
op_entry(struct request *r)
{
	grant_entry_v1_t *e;
	uint32_t page;
	uint16_t flags;

	if (!entry_arg(r, 1, &e))
		return (bad(r, "no such reference"));
	flags = __atomic_load_n(&e->flags, __ATOMIC_ACQUIRE);
	page = e->frame - FIRST_GFN;
	return (answer(r, "ok flags=%#x domid=%u page=%d", flags, e->domid,
	    page < r->peer->pages ? (int)page : -1));
}

static int
op_read(struct request *r)
{
	const unsigned char *p;
	uint64_t i, len, off, page;

	if (!page_arg(r, 1, &page))
		return (bad(r, "no such page"));
	if (!number(r, 2, "off", &off) || !number(r, 3, "len", &len) ||
	    off > XEN_MODEL_PAGE || len > XEN_MODEL_PAGE - off)
		return (bad(r, "beyond the page"));
	if (sizeof("ok data=") + 2 * len > r->replylen)
		return (bad(r, "too long for the reply"));
	p = xen_domain_page(r->peer->dom, FIRST_GFN + page);
	strcpy(r->reply, "ok data=");
	for (i = 0; i < len; i++)
		sprintf(r->reply + 8 + 2 * i, "%02x", p[off + i]);
	return (0);
}

/* Argument 3 as bytes that fit into a page; false after answering. */
static bool
store(struct request *r, unsigned char *page)
{
	const char *hex;
	uint64_t i, len, off;

	hex = r->argv[3];
	len = strlen(hex) / 2;
	if (!number(r, 2, "off", &off) || off > XEN_MODEL_PAGE ||
	    len > XEN_MODEL_PAGE - off)
		return (bad(r, "beyond the page"), false);
	if (hex[strspn(hex, "0123456789abcdefABCDEF")] != '\0')
		return (bad(r, "not hex"), false);
	if (strlen(hex) % 2 != 0)
		return (bad(r, "odd number of digits"), false);
	for (i = 0; i < len; i++)
		(void)sscanf(hex + 2 * i, "%2hhx", &page[off + i]);
	return (true);
}

static int
op_write(struct request *r)
{
	uint64_t page;

	if (!page_arg(r, 1, &page))
		return (bad(r, "no such page"));
	if (!store(r, xen_domain_page(r->peer->dom, FIRST_GFN + page)))
		return (0);
	return (answer(r, "ok"));
}

/* Grants of Dom0: mapped, read, written. */
static int
op_map(struct request *r)
{
	struct gnttab_map_grant_ref op;
	struct xen_peer *p;
	uint64_t ref;
	uint32_t i;

	p = r->peer;
	if (!number(r, 1, "ref", &ref) || ref > UINT32_MAX)
		return (bad(r, "ref"));
	for (i = 0; i < SLOTS && p->handle[i] != NONE; i++)
		;
	if (i == SLOTS)
		return (answer(r, "err ENOSPC map: all slots are in use"));
	memset(&op, 0, sizeof(op));
	op.host_addr = (uint64_t)(SLOTS_GFN + i) * XEN_MODEL_PAGE;
	op.flags = GNTMAP_host_map | (r->argc > 2 ? GNTMAP_readonly : 0);
	op.ref = (grant_ref_t)ref;
	if (xen_grant_table_op(p->dom, GNTTABOP_map_grant_ref, &op, 1) != 0)
		return (answer(r, "err EIO map"));
	if (op.status == GNTST_okay)
		p->handle[i] = op.handle;
	return (answer(r, "ok status=%d slot=%u", op.status, i));
}

static bool
slot_arg(struct request *r, uint64_t *slot)
{

	return (number(r, 1, "slot", slot) && *slot < SLOTS &&
	    r->peer->handle[*slot] != NONE);
}

static int
unmap(struct xen_peer *p, uint64_t slot)
{
	struct gnttab_unmap_grant_ref op;

	memset(&op, 0, sizeof(op));
	op.host_addr = (SLOTS_GFN + slot) * XEN_MODEL_PAGE;
	op.handle = p->handle[slot];
	if (xen_grant_table_op(p->dom, GNTTABOP_unmap_grant_ref, &op, 1) != 0)
		return (GNTST_general_error);
	if (op.status == GNTST_okay)
		p->handle[slot] = NONE;
	return (op.status);
}

static int
op_unmap(struct request *r)
{
	uint64_t slot;

	if (!slot_arg(r, &slot))
		return (answer(r, "err ENOENT unmap: no such slot"));
	return (answer(r, "ok status=%d", unmap(r->peer, slot)));
}

static int
op_look(struct request *r)
{
	uint64_t i, len, off, slot;
	unsigned char *p;
	size_t n;

	if (!slot_arg(r, &slot))
		return (answer(r, "err ENOENT look: no such slot"));
	if (!number(r, 2, "off", &off) || !number(r, 3, "len", &len) ||
	    off > XEN_MODEL_PAGE || len > XEN_MODEL_PAGE - off)
		return (bad(r, "beyond the page"));
	if (r->replylen < 9 + 2 * len + 1)
		return (-1);
	p = xen_domain_page(r->peer->dom, SLOTS_GFN + slot);
	n = (size_t)snprintf(r->reply, r->replylen, "ok data=");
	for (i = 0; i < len; i++)
		n += (size_t)snprintf(r->reply + n, r->replylen - n, "%02x",
		    p[off + i]);
	return (0);
}

static int
op_store(struct request *r)
{
	uint64_t slot;

	if (!slot_arg(r, &slot))
		return (answer(r, "err ENOENT store: no such slot"));
	if (!store(r, xen_domain_page(r->peer->dom, SLOTS_GFN + slot)))
		return (0);
	return (answer(r, "ok"));
}

static int
op_clear(struct request *r)
{
	struct xen_peer *p;
	grant_entry_v1_t *e;
	uint32_t i, n;

	p = r->peer;
	for (i = 0; i < SLOTS; i++)
		if (p->handle[i] != NONE && unmap(p, i) != GNTST_okay)
			return (answer(r, "err EBUSY clear: slot %u", i));
	n = xen_domain_grant_entries(p->dom);
	for (i = 0; i < n; i++) {
		e = xen_domain_grant_entry(p->dom, i);
		if ((__atomic_load_n(&e->flags, __ATOMIC_ACQUIRE) &
		    (GTF_reading | GTF_writing)) != 0)
			return (answer(r, "err EBUSY clear: entry %u is in "
			    "use", i));
	}
	for (i = 0; i < n; i++)
		memset(xen_domain_grant_entry(p->dom, i), 0,
		    sizeof(grant_entry_v1_t));
	for (i = 0; i < p->pages; i++)
		memset(xen_domain_page(p->dom, FIRST_GFN + i), 0,
		    XEN_MODEL_PAGE);
	return (answer(r, "ok"));
}

static int
op_destroy(struct request *r)
{

	xen_domain_destroy(r->peer->dom);
	r->peer->dom = NULL;
	return (answer(r, "ok"));
}

/*
 * The event channels of Dom0 without its kernel and /dev/xen/evtchn: the kind
 * of a port, a port that is unknown there (row N3), and its end.
 */
static int
event_op(struct request *r, unsigned cmd, void *op)
{
	struct xen_machine *m;
	struct xen_domain self;

	m = r->peer->m;
	self.m = m;
	machine_lock(m);
	for (self.index = 0; self.index < DOMAINS; self.index++) {
		self.d = &m->s->domains[self.index];
		if (self.d->state == DOMAIN_LIVE && self.d->domid == 0)
			break;
	}
	machine_unlock(m);
	if (self.index == DOMAINS)
		return (-X_ESRCH);
	return ((int)xen_event_channel_op(&self, cmd, op));
}

static int
event_answer(struct request *r, int error)
{

	return (answer(r, "err %s %s", error == -X_EINVAL ? "EINVAL" :
	    error == -X_ENOSPC ? "ENOSPC" : error == -X_ESRCH ? "ESRCH" :
	    "EIO", r->argv[0]));
}

static int
op_evtchn_status(struct request *r)
{
	static const char *const names[] = {
		"closed", "unbound", "interdomain", "pirq", "virq", "ipi",
	};
	evtchn_status_t op;
	uint64_t port;
	int error;

	if (!number(r, 1, "port", &port))
		return (bad(r, "port"));
	memset(&op, 0, sizeof(op));
	op.dom = DOMID_SELF;
	op.port = (evtchn_port_t)port;
	error = event_op(r, EVTCHNOP_status, &op);
	if (error != 0)
		return (event_answer(r, error));
	return (answer(r, "ok status=%s", names[op.status]));
}

static int
op_evtchn_alloc(struct request *r)
{
	evtchn_alloc_unbound_t op;
	uint64_t remote;
	int error;

	if (!number(r, 1, "remote", &remote))
		return (bad(r, "remote"));
	memset(&op, 0, sizeof(op));
	op.dom = DOMID_SELF;
	op.remote_dom = (domid_t)remote;
	error = event_op(r, EVTCHNOP_alloc_unbound, &op);
	if (error != 0)
		return (event_answer(r, error));
	return (answer(r, "ok port=%u", op.port));
}

static int
op_evtchn_close(struct request *r)
{
	evtchn_close_t op;
	uint64_t port;
	int error;

	if (!number(r, 1, "port", &port))
		return (bad(r, "port"));
	op.port = (evtchn_port_t)port;
	error = event_op(r, EVTCHNOP_close, &op);
	return (error != 0 ? event_answer(r, error) : answer(r, "ok"));
}

static const struct peer_op {
	const char	*name;
	int		(*fn)(struct request *);
	int		min, max;	/* arguments */
	bool		alone;		/* needs no helper domain */
} peer_ops[] = {
	{ "new", op_new, 0, 2, true },
	{ "info", op_info, 0, 0, false },
	{ "grant", op_grant, 3, 4, false },
	{ "flags", op_flags, 2, 2, false },
	{ "entry", op_entry, 1, 1, false },
	{ "read", op_read, 3, 3, false },
	{ "write", op_write, 3, 3, false },
	{ "clear", op_clear, 0, 0, false },
	{ "destroy", op_destroy, 0, 0, false },
	{ "map", op_map, 1, 2, false },
	{ "unmap", op_unmap, 1, 1, false },
	{ "look", op_look, 3, 3, false },
	{ "store", op_store, 3, 3, false },
	{ "evtchn_status", op_evtchn_status, 1, 1, true },
	{ "evtchn_alloc", op_evtchn_alloc, 1, 1, true },
	{ "evtchn_close", op_evtchn_close, 1, 1, true },
};

static int
dispatch(struct request *r)
{
	const struct peer_op *op;
	size_t i;

	if (r->argc == 0)
		return (answer(r, "err EINVAL empty request"));
	for (i = 0; i < sizeof(peer_ops) / sizeof(peer_ops[0]); i++) {
		op = &peer_ops[i];
		if (strcmp(op->name, r->argv[0]) != 0)
			continue;
		if (r->argc - 1 < op->min || r->argc - 1 > op->max)
			return (bad(r, "wrong number of arguments"));
		if (!op->alone && r->peer->dom == NULL)
			return (answer(r, "err ENOENT %s: no helper domain",
			    op->name));
		return (op->fn(r));
	}
	return (answer(r, "err EINVAL unknown operation %.40s", r->argv[0]));
}

int
xen_peer_request(struct xen_peer *peer, const char *request, char *reply,
    size_t replylen)
{
	struct request r;
	char *copy, *save, *word;
	int error;

	copy = strdup(request);
	if (copy == NULL)
		return (-1);
	memset(&r, 0, sizeof(r));
	r.peer = peer;
	r.reply = reply;
	r.replylen = replylen;
	save = NULL;
	for (word = strtok_r(copy, " \t\r\n", &save);
	    word != NULL && r.argc <= MAX_ARGS;
	    word = strtok_r(NULL, " \t\r\n", &save))
		r.argv[r.argc++] = word;
	pthread_mutex_lock(&peer->lock);
	error = dispatch(&r);
	pthread_mutex_unlock(&peer->lock);
	free(copy);
	return (error);
}
