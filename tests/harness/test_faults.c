/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What runs short runs short at every place where it can, once at a time and
 * several at once; nothing is left over, and nothing is used that went.
 *
 *	test_faults [SCENARIO | random SEED]	one scenario, one random run
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <xen/xen.h>
#include <xen/event_channel.h>
#include <xen/grant_table.h>
#include <xen/gntalloc.h>
#include <xen/gntdev.h>

#include "ask_peer.h"
#include "harness.h"
#include "xen/model.h"

#define	PAGE		4096ul
#define	READ		HARNESS_PROT_READ
#define	RW		(HARNESS_PROT_READ | HARNESS_PROT_WRITE)
#define	DOMU		512u
#define	OTHER		40u
#define	REF		8u	/* references REF to REF + 15 */
#define	RANDOM_RUNS	2000
/* FreeBSD's number; up to 34 ours are Linux's, too. */
#define	FREEBSD_ENOTTY	25

/*
 * One run of a scenario.  Calls that fail are counted and the run continues,
 * like a careless program; at its end it closes everything.
 */
#define	SLOTS	8
struct run {
	struct file	*files[SLOTS];
	unsigned	nfiles;
	struct {
		char	*p;
		size_t	len;
	} maps[SLOTS];
	unsigned	nmaps;
	struct harness_pin	*pin;
	uint32_t	ports[2];
	unsigned	errors;		/* calls that failed */
};

/* Whether a shortage may end in this errno; any other is a bug. */
static int
note(struct run *r, int error)
{

	switch (error) {
	case 0:
		return (0);
	case EFAULT:
	case EINVAL:		/* a grant could not be mapped; a port */
	case ENOENT:		/* of a map that was not made */
	case ENOMEM:
	case ENOSPC:
		r->errors++;
		return (error);
	default:
		fail_msg("a call ended in errno %d", error);
		return (error);
	}
}

static struct file *
open_node(struct run *r, const char *name)
{
	struct file *fp;

	if (note(r, harness_open(name, HARNESS_FREAD | HARNESS_FWRITE, &fp)) !=
	    0)
		return (NULL);
	r->files[r->nfiles++] = fp;
	return (fp);
}

static void
close_file(struct run *r, struct file *fp)
{
	unsigned i;

	for (i = 0; i < r->nfiles; i++)
		if (r->files[i] == fp) {
			harness_close(fp);
			r->files[i] = r->files[--r->nfiles];
			return;
		}
}

static int
call(struct run *r, struct file *fp, unsigned nr, void *arg)
{

	if (fp == NULL)
		return (EINVAL);
	return (note(r,
	    harness_ioctl(fp, HARNESS_IO('G', nr), (uintptr_t)arg)));
}

/* Linux's command, through the Linuxulator's handler. */
static int
linux_call(struct run *r, struct file *fp, uint32_t word, void *arg)
{

	if (fp == NULL)
		return (EINVAL);
	return (note(r, harness_linux_ioctl(fp, word, (uintptr_t)arg)));
}

/* One of the commands of FreeBSD's own device. */
static int
base_call(struct run *r, struct file *fp, unsigned long word, void *arg)
{

	if (fp == NULL)
		return (EINVAL);
	return (note(r, harness_ioctl(fp, word, (uintptr_t)arg)));
}

struct map_op {
	struct ioctl_gntdev_map_grant_ref op;
	struct ioctl_gntdev_grant_ref more[15];
};

static void
map_op(struct map_op *m, unsigned ref, unsigned count)
{
	unsigned i;

	memset(m, 0, sizeof(*m));
	m->op.count = count;
	for (i = 0; i < count; i++) {
		(&m->op.refs[0])[i].domid = DOMU;
		(&m->op.refs[0])[i].ref = ref + i;
	}
}

/* The index, or one that no map has. */
#define	NO_INDEX	((uint64_t)1 << 32)

static uint64_t
map(struct run *r, struct file *fp, unsigned ref, unsigned count)
{
	struct map_op m;

	map_op(&m, ref, count);
	return (call(r, fp, 0, &m) == 0 ? m.op.index : NO_INDEX);
}

static int
unmap(struct run *r, struct file *fp, uint64_t index, unsigned count)
{
	struct ioctl_gntdev_unmap_grant_ref op = {
		.index = index, .count = count,
	};

	return (call(r, fp, 1, &op));
}

static char *
mmap_file(struct run *r, struct file *fp, uint64_t index, size_t pages,
    int prot)
{
	void *p;

	if (fp == NULL || note(r, harness_mmap(fp, NULL, pages * PAGE, prot,
	    HARNESS_MAP_SHARED, (int64_t)index, &p)) != 0)
		return (NULL);
	r->maps[r->nmaps].p = p;
	r->maps[r->nmaps++].len = pages * PAGE;
	return (p);
}

static void
munmap_all(struct run *r)
{
	unsigned i;

	for (i = 0; i < r->nmaps; i++)
		assert_int_equal(harness_munmap(r->maps[i].p, r->maps[i].len),
		    0);
	r->nmaps = 0;
}

struct alloc_op {
	struct ioctl_gntalloc_alloc_gref op;
	uint32_t more[7];
};

static uint64_t
alloc(struct run *r, struct file *fp, unsigned domid, unsigned count,
    struct alloc_op *a)
{

	memset(a, 0, sizeof(*a));
	a->op.domid = (uint16_t)domid;
	a->op.flags = GNTALLOC_FLAG_WRITABLE;
	a->op.count = count;
	return (call(r, fp, 5, a) == 0 ? a->op.index : NO_INDEX);
}

static int
dealloc(struct run *r, struct file *fp, uint64_t index, unsigned count)
{
	struct ioctl_gntalloc_dealloc_gref op = {
		.index = index, .count = count,
	};

	return (call(r, fp, 6, &op));
}

static int
notify(struct run *r, struct file *fp, uint64_t index, unsigned action)
{
	struct ioctl_gntdev_unmap_notify op = {
		.index = index, .action = action,
		.event_channel_port = r->ports[0],
	};

	return (call(r, fp, 7, &op));
}
#define	BOTH	(UNMAP_NOTIFY_CLEAR_BYTE | UNMAP_NOTIFY_SEND_EVENT)

static void
from_ref(struct gntdev_grant_copy_segment *s, unsigned domid, uint32_t ref,
    void *buf, unsigned len)
{

	memset(s, 0, sizeof(*s));
	s->source.foreign.domid = (uint16_t)domid;
	s->source.foreign.ref = ref;
	s->dest.virt = buf;
	s->len = (uint16_t)len;
	s->flags = GNTCOPY_source_gref;
}

static void
to_ref(struct gntdev_grant_copy_segment *s, unsigned domid, uint32_t ref,
    void *buf, unsigned len)
{

	memset(s, 0, sizeof(*s));
	s->dest.foreign.domid = (uint16_t)domid;
	s->dest.foreign.ref = ref;
	s->source.virt = buf;
	s->len = (uint16_t)len;
	s->flags = GNTCOPY_dest_gref;
}

/* Scenarios. */

static void
run_map_unmap(struct run *r)
{
	struct file *fp;
	uint64_t one, three;

	fp = open_node(r, "xen/gntdev");
	one = map(r, fp, REF, 1);
	three = map(r, fp, REF, 3);
	unmap(r, fp, one, 1);
	unmap(r, fp, three, 3);
	map(r, fp, REF, 2);
}

static void
run_mmap(struct run *r)
{
	struct file *fp;
	uint64_t index;
	char *p;

	fp = open_node(r, "xen/gntdev");
	index = map(r, fp, REF, 3);
	p = mmap_file(r, fp, index, 3, RW);
	if (p != NULL) {
		p[0] = p[3 * PAGE - 1] = 1;
		munmap_all(r);
	}
	unmap(r, fp, index, 3);
	/* The same page twice, one of them for reading. */
	mmap_file(r, fp, map(r, fp, REF, 1), 1, RW);
	mmap_file(r, fp, map(r, fp, REF, 1), 1, READ);
	/* A reference that grants nothing, between two that do. */
	index = map(r, fp, REF + 14, 3);
	mmap_file(r, fp, index, 3, RW);
	unmap(r, fp, index, 3);
}

static void
run_lifetimes(struct run *r)
{
	struct ioctl_gntdev_get_offset_for_vaddr where;
	struct file *fp, *other;
	char *p;

	fp = open_node(r, "xen/gntdev");
	other = open_node(r, "xen/gntdev");
	p = mmap_file(r, fp, map(r, fp, REF, 4), 4, RW);
	map(r, fp, REF + 4, 2);
	if (p != NULL) {
		memset(&where, 0, sizeof(where));
		where.vaddr = (uintptr_t)(p + PAGE);
		call(r, other, 2, &where);
		/* A hole in the middle; the file goes before the rest. */
		assert_int_equal(harness_munmap(p + PAGE, PAGE), 0);
	}
	close_file(r, fp);
	if (p != NULL)
		p[0] = p[3 * PAGE] = 1;
	munmap_all(r);
}

/* A domain whose page is paged in after three requests. */
static void
run_paged_out(struct run *r)
{
	struct xen_domain_config c = {
		.domid = OTHER, .grant_frames = 1, .max_grant_frames = 1,
	};
	struct gntdev_grant_copy_segment s;
	struct ioctl_gntdev_grant_copy op;
	struct xen_domain *other;
	grant_entry_v1_t *e;
	struct file *fp;
	struct map_op m;
	char buf[16];

	assert_int_equal(xen_domain_create(harness_machine(), &c, &other), 0);
	assert_int_equal(xen_domain_populate(other, 0x100), 0);
	e = xen_domain_grant_entry(other, REF);
	e->frame = 0x100;
	e->flags = GTF_permit_access;
	assert_int_equal(xen_domain_page_out(other, 0x100, 3), 0);
	fp = open_node(r, "xen/gntdev");
	map_op(&m, REF, 2);
	m.op.refs[0].domid = OTHER;
	if (call(r, fp, 0, &m) == 0)
		mmap_file(r, fp, m.op.index, 2, RW);
	xen_domain_page_out(other, 0x100, 3);
	op.count = 1;
	op.segments = &s;
	from_ref(&s, OTHER, REF, buf, sizeof(buf));
	call(r, fp, 8, &op);
	munmap_all(r);
	close_file(r, fp);
	xen_domain_destroy(other);
}

static void
run_notify(struct run *r)
{
	struct file *fp;
	uint64_t index;

	fp = open_node(r, "xen/gntdev");
	index = map(r, fp, REF, 2);
	notify(r, fp, index + 5, BOTH);
	notify(r, fp, index + PAGE + 7, BOTH);
	mmap_file(r, fp, index, 2, RW);
	unmap(r, fp, index, 2);
	munmap_all(r);
	/* Never mapped; and left to the close. */
	index = map(r, fp, REF, 1);
	notify(r, fp, index, UNMAP_NOTIFY_SEND_EVENT);
	unmap(r, fp, index, 1);
	notify(r, fp, map(r, fp, REF, 1), BOTH);
}

static void
run_exit(struct run *r)
{
	struct alloc_op a;
	struct file *al, *fp;
	uint64_t index;

	fp = open_node(r, "xen/gntdev");
	al = open_node(r, "xen/gntalloc");
	index = map(r, fp, REF, 2);
	notify(r, fp, index, BOTH);
	mmap_file(r, fp, index, 2, RW);
	index = map(r, fp, REF + 2, 1);
	notify(r, fp, index, BOTH);
	mmap_file(r, fp, index, 1, RW);
	unmap(r, fp, index, 1);
	index = alloc(r, al, DOMU, 2, &a);
	notify(r, al, index + PAGE, BOTH);
	mmap_file(r, al, index, 2, RW);
	dealloc(r, al, index + PAGE, 1);
	harness_exit();
	r->nfiles = r->nmaps = 0;
}

static void
run_copy(struct run *r)
{
	struct gntdev_grant_copy_segment s[20];
	struct ioctl_gntdev_grant_copy op;
	static char buf[3 * PAGE];
	struct alloc_op a;
	struct file *al, *fp;
	unsigned i;
	char *p;

	fp = open_node(r, "xen/gntdev");
	al = open_node(r, "xen/gntalloc");
	alloc(r, al, 0, 1, &a);
	op.count = 20;
	op.segments = s;
	for (i = 0; i < 20; i++)
		from_ref(&s[i], DOMU, REF + i % 16, buf + 100 * i, 100);
	/* Over a page's end: two operations. */
	from_ref(&s[3], DOMU, REF, buf + PAGE - 50, 100);
	to_ref(&s[4], DOMU, REF, buf, 100);
	/* Both sides are grants, one our own. */
	memset(&s[5].dest, 0, sizeof(s[5].dest));
	s[5].dest.foreign.domid = 0;
	s[5].dest.foreign.ref = a.op.gref_ids[0];
	s[5].flags |= GNTCOPY_dest_gref;
	call(r, fp, 8, &op);
	/* Into a page of our own that is granted, and a foreign one. */
	p = mmap_file(r, al, a.op.index, 1, RW);
	op.count = 2;
	from_ref(&s[0], DOMU, REF, p != NULL ? p : buf, 64);
	p = mmap_file(r, fp, map(r, fp, REF, 1), 1, RW);
	from_ref(&s[1], DOMU, REF + 1, p != NULL ? p : buf, 64);
	call(r, fp, 8, &op);
}

static void
run_alloc(struct run *r)
{
	struct alloc_op a;
	struct file *fp;
	uint64_t index;
	char *p;

	fp = open_node(r, "xen/gntalloc");
	index = alloc(r, fp, DOMU, 4, &a);
	p = mmap_file(r, fp, index, 3, RW);
	if (p != NULL) {
		assert_int_equal(p[0], 0);
		p[3 * PAGE - 1] = 1;
	}
	mmap_file(r, fp, index + PAGE, 2, RW);
	notify(r, fp, index + 9, BOTH);
	notify(r, fp, index + PAGE, UNMAP_NOTIFY_CLEAR_BYTE);
	notify(r, fp, index + 3 * PAGE + 1, BOTH);
	dealloc(r, fp, index, 4);
	munmap_all(r);
	/* For the close to clean up, mapped and not. */
	index = alloc(r, fp, DOMU, 3, &a);
	mmap_file(r, fp, index, 1, RW);
	notify(r, fp, index + 2 * PAGE, BOTH);
	close_file(r, fp);
}

/* FreeBSD's own commands: the structs are fixed, with pointers to arrays. */
struct base_alloc {
	uint16_t	domid, flags;
	uint32_t	count;
	uint64_t	index;
	uint32_t	*ids;
};
struct base_map {
	uint32_t	count, pad;
	uint64_t	index;
	struct ioctl_gntdev_grant_ref *refs;
};
struct base_range {
	uint64_t	index;
	uint32_t	count, pad;
};
struct base_notify {
	uint64_t	index;
	uint32_t	action, port;
};
struct base_where {
	uint64_t	vaddr, offset;
	uint32_t	count, pad;
};

static void
run_base_words(struct run *r)
{
	struct ioctl_gntdev_grant_ref refs[3];
	struct base_notify n;
	struct base_range range;
	struct base_alloc a;
	struct base_where w;
	struct base_map m;
	struct file *fp;
	uint32_t ids[2];
	unsigned i;
	char *p;

	fp = open_node(r, "xen/gntdev");
	for (i = 0; i < 3; i++) {
		refs[i].domid = DOMU;
		refs[i].ref = REF + i;
	}
	memset(&m, 0, sizeof(m));
	m.count = 3;
	m.refs = refs;
	if (base_call(r, fp, 0xc0184503, &m) != 0)
		m.index = NO_INDEX;
	n.index = m.index + 3;
	n.action = BOTH;
	n.port = r->ports[0];
	base_call(r, fp, 0x80104500, &n);
	p = mmap_file(r, fp, m.index, 3, RW);
	memset(&w, 0, sizeof(w));
	w.vaddr = (uintptr_t)p;
	if (p != NULL)
		base_call(r, fp, 0xc0184505, &w);
	memset(&a, 0, sizeof(a));
	a.domid = DOMU;
	a.flags = GNTALLOC_FLAG_WRITABLE;
	a.count = 2;
	a.ids = ids;
	if (base_call(r, fp, 0xc0184501, &a) != 0)
		a.index = NO_INDEX << 12;
	n.index = a.index + 1;
	base_call(r, fp, 0x80104500, &n);
	mmap_file(r, fp, a.index, 2, RW);
	range.index = m.index;
	range.count = 3;
	base_call(r, fp, 0x80104504, &range);
	range.index = a.index;
	range.count = 1;
	base_call(r, fp, 0x80104502, &range);
}

static void
run_linux_words(struct run *r)
{
	struct ioctl_gntdev_unmap_notify n;
	struct file *al, *fp;
	struct alloc_op a;
	struct map_op m;

	fp = open_node(r, "xen/gntdev");
	al = open_node(r, "xen/gntalloc");
	map_op(&m, REF, 2);
	if (linux_call(r, fp, 0x00184700, &m) == 0) {
		memset(&n, 0, sizeof(n));
		n.index = m.op.index;
		n.action = UNMAP_NOTIFY_CLEAR_BYTE;
		linux_call(r, fp, 0x00104707, &n);
		mmap_file(r, fp, m.op.index, 2, RW);
		linux_call(r, fp, 0x00104701,
		    &(struct ioctl_gntdev_unmap_grant_ref){ m.op.index, 2, 0 });
	}
	memset(&a, 0, sizeof(a));
	a.op.domid = DOMU;
	a.op.count = 2;
	linux_call(r, al, 0x00184705, &a);
	if (fp != NULL)
		assert_int_equal(harness_linux_ioctl(fp, 0x00084700, 0),
		    FREEBSD_ENOTTY);
}

/* I/O holds a page of a mapping that is removed (rows Z). */
static void
run_pinned(struct run *r)
{
	struct alloc_op a;
	struct file *al, *fp;
	uint64_t index;
	char *p;

	fp = open_node(r, "xen/gntdev");
	al = open_node(r, "xen/gntalloc");
	index = map(r, fp, REF, 2);
	notify(r, fp, index, BOTH);
	p = mmap_file(r, fp, index, 2, RW);
	if (p != NULL && note(r, harness_pin(p + PAGE, true, &r->pin)) != 0)
		r->pin = NULL;
	munmap_all(r);
	unmap(r, fp, index, 2);
	close_file(r, fp);
	harness_run_tasks();
	if (r->pin != NULL)
		harness_unpin(r->pin);
	r->pin = NULL;
	index = alloc(r, al, DOMU, 1, &a);
	p = mmap_file(r, al, index, 1, RW);
	if (p != NULL && note(r, harness_pin(p, true, &r->pin)) != 0)
		r->pin = NULL;
	munmap_all(r);
	close_file(r, al);
	if (r->pin != NULL)
		harness_unpin(r->pin);
	r->pin = NULL;
}

/* The peer maps a page of ours that is removed (2.14). */
static void
run_peer_maps(struct run *r)
{
	char reply[64], request[32];
	struct alloc_op a;
	struct file *fp;
	unsigned slot;
	uint64_t index;

	fp = open_node(r, "xen/gntalloc");
	index = alloc(r, fp, DOMU, 2, &a);
	slot = -1u;
	if (index != NO_INDEX) {
		snprintf(request, sizeof(request), "map %u", a.op.gref_ids[0]);
		assert_int_equal(harness_peer(request, reply, sizeof(reply)),
		    0);
		assert_int_equal(sscanf(reply, "ok status=0 slot=%u", &slot),
		    1);
	}
	notify(r, fp, index, BOTH);
	close_file(r, fp);
	harness_run_tasks();
	if (slot == -1u)
		return;
	assert_int_equal(sysctl("hw.xen.gntalloc.deferred") > 0, 1);
	assert_int_equal(sysctl("hw.xen.gntalloc.pages"), 0);
	snprintf(request, sizeof(request), "unmap %u", slot);
	assert_int_equal(harness_peer(request, reply, sizeof(reply)), 0);
	assert_string_equal(reply, "ok status=0");
	harness_run_tasks();
}

/* More pages than there are free slots: the arena grows. */
static void
run_grow(struct run *r)
{
	struct ioctl_gntdev_map_grant_ref *op;
	struct file *fp;
	uint64_t nfree;

	assert_int_equal(harness_sysctl64("hw.xen.gntdev.slots.free", &nfree),
	    0);
	fp = open_node(r, "xen/gntdev");
	op = calloc(1, sizeof(*op) + (nfree + 1) * sizeof(op->refs[0]));
	assert_non_null(op);
	op->count = (uint32_t)nfree + 1;
	call(r, fp, 0, op);
	free(op);
	map(r, fp, REF, 1);
}

static const struct scenario {
	const char	*name;
	void		(*run)(struct run *);
	unsigned	points;		/* at least so many places to fail */
} scenarios[] = {
	/* First, because what it makes grow stays. */
	{ "grow", run_grow, 8 },
	{ "map-unmap", run_map_unmap, 10 },
	{ "mmap", run_mmap, 20 },
	{ "lifetimes", run_lifetimes, 12 },
	{ "paged-out", run_paged_out, 8 },
	{ "notify", run_notify, 20 },
	{ "exit", run_exit, 20 },
	{ "copy", run_copy, 60 },
	{ "alloc", run_alloc, 30 },
	{ "base-words", run_base_words, 20 },
	{ "linux-words", run_linux_words, 12 },
	{ "pinned", run_pinned, 16 },
	{ "peer-maps", run_peer_maps, 8 },
};
#define	SCENARIOS	(sizeof(scenarios) / sizeof(scenarios[0]))

/* The state that every run must come back to. */

struct state {
	struct harness_counts c;
	struct xen_counters own;
	unsigned	ports, pending;
	uint64_t	total, free, leaked;
};

static void
look(struct state *s)
{

	harness_counts(&s->c);
	xen_domain_counters(harness_domain(), &s->own);
	s->ports = xen_domain_ports(harness_domain(), &s->pending);
	s->total = sysctl("hw.xen.gntdev.slots.total");
	s->free = sysctl("hw.xen.gntdev.slots.free");
	s->leaked = sysctl("hw.xen.gntdev.slots.leaked");
}

static void
settle(struct run *r)
{
	unsigned i;

	if (r->pin != NULL)
		harness_unpin(r->pin);
	while (r->nfiles > 0)
		close_file(r, r->files[r->nfiles - 1]);
	munmap_all(r);
	for (i = 0; i < 1000 && (sysctl("hw.xen.gntalloc.deferred") != 0 ||
	    sysctl("hw.xen.gntalloc.in_flight") != 0 ||
	    sysctl("hw.xen.gntdev.deferred") != 0); i++)
		harness_run_tasks();
}

static void
run_once(const struct scenario *s, unsigned kinds, uint64_t nth,
    uint64_t one_in, uint64_t seed, uint64_t *seen)
{
	struct state after, before;
	uint64_t failed, points;
	struct run r;
	unsigned i, refused;

	memset(&r, 0, sizeof(r));
	assert_int_equal(harness_loopback(&r.ports[0], &r.ports[1]), 0);
	look(&before);
	harness_faults_start(kinds, nth, one_in, seed);
	s->run(&r);
	/* The end of a run may also meet a shortage. */
	while (r.nfiles > 0)
		close_file(&r, r.files[r.nfiles - 1]);
	munmap_all(&r);
	points = harness_faults_stop(&failed);
	settle(&r);
	refused = harness_unmap_refused();
	harness_event_take(r.ports[1]);
	look(&after);
	if (nth == 0 && one_in == 0)
		assert_int_equal(r.errors, s->run == run_mmap ? 1 : 0);
	else if (nth != 0 && nth <= points)
		assert_int_equal(failed, 1);

	/* Slots whose unmap failed are lost on purpose. */
	assert_int_equal(after.leaked - before.leaked, refused);
	assert_int_equal(after.free + after.leaked, after.total);
	assert_int_equal(after.own.maps_live, before.own.maps_live);
	assert_int_equal(after.own.pins_live, before.own.pins_live);
	assert_int_equal(after.own.ram_pages, before.own.ram_pages);
	assert_int_equal(after.ports, before.ports);
	assert_int_equal(after.pending, before.pending);
	/* A chunk of the arena is one allocation and one range. */
	assert_int_equal(after.c.allocs - after.c.resources,
	    before.c.allocs - before.c.resources);
	if (after.c.resources == before.c.resources)
		assert_int_equal(after.c.alloc_bytes, before.c.alloc_bytes);
	assert_int_equal(after.c.pages, before.c.pages);
	assert_int_equal(after.c.fakes, before.c.fakes);
	assert_int_equal(after.c.objects, before.c.objects);
	assert_int_equal(after.c.entries, before.c.entries);
	assert_int_equal(after.c.grants, before.c.grants);
	assert_int_equal(after.c.files, before.c.files);
	assert_int_equal(after.c.locks, before.c.locks);
	assert_int_equal(sysctl("hw.xen.gntdev.maps"), 0);
	assert_int_equal(sysctl("hw.xen.gntdev.grants"), 0);
	assert_int_equal(sysctl("hw.xen.gntdev.deferred"), 0);
	assert_int_equal(sysctl("hw.xen.gntalloc.pages"), 0);
	assert_int_equal(sysctl("hw.xen.gntalloc.deferred"), 0);
	for (i = 0; i < 2; i++)
		harness_port_close(r.ports[i]);
	if (seen != NULL)
		*seen = points;
}

/* So that an assertion that fails reports where the test was. */
static char where[128];

static void
every_point(void **state)
{
	const struct scenario *s;
	uint64_t n, points, seen;

	s = *state;
	if (s->run != run_grow)
		run_once(s, HARNESS_FAIL_ALL, 0, 0, 0, NULL);
	run_once(s, HARNESS_FAIL_ALL, 0, 0, 0, &points);
	print_message("%s: %u places\n", s->name, (unsigned)points);
	assert_true(points >= s->points);
	for (n = 1; n <= points; n++) {
		snprintf(where, sizeof(where), "%s, place %u of %u", s->name,
		    (unsigned)n, (unsigned)points);
		run_once(s, HARNESS_FAIL_ALL, n, 0, 0, &seen);
	}
	/* All of one kind: some single shortages are made up for elsewhere. */
	for (n = 0; n < HARNESS_FAIL_KINDS; n++) {
		/* The kernel waits for its own memory. */
		if (n == HARNESS_FAIL_PAGE_INSERT)
			continue;
		snprintf(where, sizeof(where), "%s, all of kind %u", s->name,
		    (unsigned)n);
		run_once(s, HARNESS_FAIL_BIT(n), 0, 1, 0, NULL);
	}
	/* And once more without failures. */
	run_once(s, HARNESS_FAIL_ALL, 0, 0, 0, &seen);
	if (s->run != run_grow)
		assert_int_equal(seen, points);
	where[0] = '\0';
}

static void
random_run(uint64_t seed)
{
	const struct scenario *s;

	s = &scenarios[1 + seed % (SCENARIOS - 1)];
	snprintf(where, sizeof(where), "%s, random run %u", s->name,
	    (unsigned)seed);
	run_once(s, HARNESS_FAIL_ALL, 0, (uint64_t)4 << seed / SCENARIOS % 5,
	    seed, NULL);
	where[0] = '\0';
}

static uint64_t first_seed, last_seed = RANDOM_RUNS - 1;

static void
random_runs(void **state)
{
	uint64_t seed;

	(void)state;
	for (seed = first_seed; seed <= last_seed; seed++)
		random_run(seed);
}

static int
start(void **state)
{
	struct file *fp;

	(void)state;
	assert_int_equal(harness_open("xen/gntdev", HARNESS_FREAD, &fp), 0);
	harness_close(fp);
	harness_tasks_manual(true);
	ask_peer_for_grants(REF);
	return (0);
}

/* The module unloads; only the lost slots' range may be left. */
static int
end(void **state)
{

	(void)state;
	harness_faults_stop(NULL);
	if (where[0] != '\0')
		print_message("failed: %s\n", where);
	assert_int_equal(harness_unload(), 0);
	ask_peer("clear", "ok");
	ask_peer("destroy", "ok");
	return (0);
}

int
main(int argc, char **argv)
{
	struct CMUnitTest tests[SCENARIOS + 1];
	size_t i;

	memset(tests, 0, sizeof(tests));
	for (i = 0; i < SCENARIOS; i++) {
		tests[i].name = scenarios[i].name;
		tests[i].test_func = every_point;
		tests[i].initial_state = (void *)(uintptr_t)&scenarios[i];
	}
	tests[i].name = "random";
	tests[i].test_func = random_runs;
	if (argc > 2)
		first_seed = last_seed = strtoull(argv[2], NULL, 0);
	if (argc > 1)
		cmocka_set_test_filter(argv[1]);
	return (cmocka_run_group_tests(tests, start, end));
}
