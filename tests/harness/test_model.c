/* SPDX-License-Identifier: BSD-2-Clause */
/* The model of Xen, compared with the answers of a real one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include <xen/xen.h>
#include <xen/event_channel.h>
#include <xen/grant_table.h>

#include "death.h"
#include "xen/model.h"

#define	PAGE	XEN_MODEL_PAGE
#define	SLOT(n)	((uint64_t)(0x100000 + (n)) * PAGE)
#define	REF	8u
#define	GFN	0x100u

struct rig {
	struct xen_machine *m;
	struct xen_domain *dom0;	/* maps */
	struct xen_domain *guest;	/* grants */
};

static struct xen_domain *
domain(struct xen_machine *m, unsigned domid, unsigned maptrack)
{
	struct xen_domain_config c = {
		.domid = (uint16_t)domid,
		.grant_frames = 2,
		.max_grant_frames = 4,
		.maptrack_frames = maptrack,
	};
	struct xen_domain *d;

	assert_int_equal(xen_domain_create(m, &c, &d), 0);
	return (d);
}

static int
setup(void **state)
{
	struct rig *r;
	unsigned i;

	r = calloc(1, sizeof(*r));
	assert_int_equal(xen_machine_open(NULL, &r->m), 0);
	r->dom0 = domain(r->m, 0, 1);
	r->guest = domain(r->m, 5, 1);
	for (i = 0; i < 4; i++) {
		assert_int_equal(xen_domain_populate(r->guest, GFN + i), 0);
		assert_int_equal(xen_domain_populate(r->dom0, GFN + i), 0);
	}
	*state = r;
	return (0);
}

static int
teardown(void **state)
{
	struct rig *r = *state;

	if (r->guest != NULL)
		xen_domain_destroy(r->guest);
	xen_domain_destroy(r->dom0);
	xen_machine_close(r->m);
	free(r);
	return (0);
}

static void
grant(struct xen_domain *d, unsigned ref, unsigned gfn, unsigned domid,
    unsigned flags)
{
	grant_entry_v1_t *e;

	e = xen_domain_grant_entry(d, ref);
	e->frame = gfn;
	e->domid = (domid_t)domid;
	e->flags = (uint16_t)flags;
}

static unsigned
flags(struct xen_domain *d, unsigned ref)
{

	return (xen_domain_grant_entry(d, ref)->flags);
}

static struct gnttab_map_grant_ref
map_op(unsigned domid, unsigned ref, uint64_t addr, unsigned fl)
{
	struct gnttab_map_grant_ref op = {
		.host_addr = addr, .flags = fl, .ref = ref,
		.dom = (domid_t)domid,
	};

	return (op);
}

static int
map(struct rig *r, unsigned domid, unsigned ref, uint64_t addr, unsigned fl,
    grant_handle_t *handle)
{
	struct gnttab_map_grant_ref op;

	op = map_op(domid, ref, addr, fl);
	assert_int_equal(xen_grant_table_op(r->dom0, GNTTABOP_map_grant_ref,
	    &op, 1), 0);
	if (handle != NULL)
		*handle = op.handle;
	return (op.status);
}

static int
unmap(struct rig *r, grant_handle_t handle, uint64_t addr)
{
	struct gnttab_unmap_grant_ref op = {
		.host_addr = addr, .handle = handle,
	};

	assert_int_equal(xen_grant_table_op(r->dom0,
	    GNTTABOP_unmap_grant_ref, &op, 1), 0);
	return (op.status);
}

/* A rw map shows as 0x19 to the granter, a r/o one as 0x9, none as 0x1. */
static void
test_bits_follow_maps(void **state)
{
	struct rig *r = *state;
	grant_handle_t ro, rw;

	grant(r->guest, REF, GFN, 0, GTF_permit_access);
	assert_int_equal(map(r, 5, REF, SLOT(0),
	    GNTMAP_host_map | GNTMAP_readonly, &ro), GNTST_okay);
	assert_int_equal(flags(r->guest, REF), 0x09);
	assert_int_equal(map(r, 5, REF, SLOT(1), GNTMAP_host_map, &rw),
	    GNTST_okay);
	assert_int_equal(flags(r->guest, REF), 0x19);
	assert_int_equal(unmap(r, rw, SLOT(1)), GNTST_okay);
	assert_int_equal(flags(r->guest, REF), 0x09);
	assert_int_equal(unmap(r, ro, SLOT(0)), GNTST_okay);
	assert_int_equal(flags(r->guest, REF), 0x01);
}

static void
test_mapped_page_is_the_granters(void **state)
{
	struct rig *r = *state;
	grant_handle_t h;

	grant(r->guest, REF, GFN, 0, GTF_permit_access);
	assert_int_equal(map(r, 5, REF, SLOT(0), GNTMAP_host_map, &h), 0);
	strcpy(xen_domain_page(r->guest, GFN), "hello");
	assert_string_equal(xen_domain_page(r->dom0, SLOT(0) / PAGE), "hello");
	assert_int_equal(xen_domain_p2m(r->dom0, SLOT(0) / PAGE, NULL),
	    XEN_P2M_GRANT_RW);
	assert_int_equal(unmap(r, h, SLOT(0)), 0);
	assert_int_equal(xen_domain_p2m(r->dom0, SLOT(0) / PAGE, NULL),
	    XEN_P2M_NONE);
}

/* One reason for which Xen refuses a map each (row 2.15). */
static void
test_map_statuses(void **state)
{
	struct rig *r = *state;
	uint64_t a = SLOT(0);

	grant(r->guest, REF, GFN, 0, GTF_permit_access);
	grant(r->guest, 9, GFN, 0, GTF_permit_access | GTF_readonly);
	grant(r->guest, 10, GFN, 7, GTF_permit_access);
	grant(r->guest, 11, 0x5000, 0, GTF_permit_access);
	grant(r->guest, 12, GFN, 0, GTF_permit_access | GTF_sub_page);
	grant(r->guest, 13, GFN, 0, GTF_accept_transfer);
	assert_int_equal(map(r, 5, REF, a, 0, NULL), GNTST_bad_gntref);
	assert_int_equal(map(r, 5, REF, a, GNTMAP_readonly, NULL),
	    GNTST_bad_gntref);
	assert_int_equal(map(r, 5, REF, a, GNTMAP_device_map, NULL),
	    GNTST_general_error);
	assert_int_equal(map(r, 5, REF, a, GNTMAP_host_map |
	    GNTMAP_application_map, NULL), GNTST_general_error);
	assert_int_equal(map(r, 5, REF, a, GNTMAP_host_map |
	    GNTMAP_contains_pte, NULL), GNTST_general_error);
	assert_int_equal(map(r, 77, REF, a, GNTMAP_host_map, NULL),
	    GNTST_bad_domain);
	assert_int_equal(map(r, 5, 1024, a, GNTMAP_host_map, NULL),
	    GNTST_bad_gntref);
	assert_int_equal(map(r, 5, 0, a, GNTMAP_host_map, NULL),
	    GNTST_general_error);
	assert_int_equal(map(r, 5, 9, a, GNTMAP_host_map, NULL),
	    GNTST_general_error);
	assert_int_equal(map(r, 5, 10, a, GNTMAP_host_map, NULL),
	    GNTST_general_error);
	assert_int_equal(map(r, 5, 11, a, GNTMAP_host_map, NULL),
	    GNTST_bad_page);
	assert_int_equal(flags(r->guest, 11), GTF_permit_access);
	assert_int_equal(map(r, 5, 12, a, GNTMAP_host_map, NULL),
	    GNTST_general_error);
	assert_int_equal(map(r, 5, 13, a, GNTMAP_host_map, NULL),
	    GNTST_general_error);
	assert_int_equal(map(r, 5, REF, a + 8, GNTMAP_host_map, NULL),
	    GNTST_general_error);
	assert_int_equal(flags(r->guest, REF), GTF_permit_access);
}

static void
test_maptrack_limit(void **state)
{
	struct rig *r = *state;
	grant_handle_t h;
	unsigned i;

	/* Pins of one entry are bounded, too: spread over entries. */
	for (i = 0; i < 256; i++) {
		grant(r->guest, 16 + i % 4, GFN, 0, GTF_permit_access);
		assert_int_equal(map(r, 5, 16 + i % 4, SLOT(i),
		    GNTMAP_host_map, &h), GNTST_okay);
	}
	assert_int_equal(map(r, 5, 16, SLOT(i), GNTMAP_host_map, NULL),
	    GNTST_no_space);
	assert_int_equal(unmap(r, h, SLOT(255)), GNTST_okay);
	assert_int_equal(map(r, 5, 16, SLOT(i), GNTMAP_host_map, &h),
	    GNTST_okay);
}

static void
test_pins_overflow(void **state)
{
	struct rig *r = *state;
	unsigned i;

	grant(r->guest, REF, GFN, 0, GTF_permit_access);
	for (i = 0; i < 128; i++)
		assert_int_equal(map(r, 5, REF, SLOT(i), GNTMAP_host_map,
		    NULL), GNTST_okay);
	assert_int_equal(map(r, 5, REF, SLOT(i), GNTMAP_host_map, NULL),
	    GNTST_general_error);
}

static void
test_eagain_while_paged_out(void **state)
{
	struct rig *r = *state;
	unsigned i;

	grant(r->guest, REF, GFN, 0, GTF_permit_access);
	assert_int_equal(xen_domain_page_out(r->guest, GFN, 3), 0);
	for (i = 0; i < 3; i++)
		assert_int_equal(map(r, 5, REF, SLOT(0), GNTMAP_host_map,
		    NULL), GNTST_eagain);
	assert_int_equal(flags(r->guest, REF), GTF_permit_access);
	assert_int_equal(map(r, 5, REF, SLOT(0), GNTMAP_host_map, NULL),
	    GNTST_okay);
}

static void
test_unmap_wants_handle_and_address(void **state)
{
	struct rig *r = *state;
	grant_handle_t h;

	grant(r->guest, REF, GFN, 0, GTF_permit_access);
	assert_int_equal(map(r, 5, REF, SLOT(0), GNTMAP_host_map, &h), 0);
	assert_int_equal(unmap(r, h + 1, SLOT(0)), GNTST_bad_handle);
	assert_int_equal(unmap(r, h, SLOT(1)), GNTST_general_error);
	assert_int_equal(flags(r->guest, REF), 0x19);
	assert_int_equal(unmap(r, h, SLOT(0)), GNTST_okay);
	assert_int_equal(unmap(r, h, SLOT(0)), GNTST_bad_handle);
}

static void
map_over_live_slot(void *arg)
{
	struct rig *r = arg;

	map(r, 5, REF, SLOT(0), GNTMAP_host_map, NULL);
	map(r, 5, REF, SLOT(0), GNTMAP_host_map, NULL);
}

static void
map_over_foreign(void *arg)
{
	struct rig *r = arg;

	xen_domain_make_foreign(r->dom0, SLOT(3) / PAGE);
	map(r, 5, REF, SLOT(3), GNTMAP_host_map, NULL);
}

static void
map_own_grant(void *arg)
{
	struct rig *r = arg;

	grant(r->dom0, REF, GFN, 0, GTF_permit_access);
	map(r, DOMID_SELF, REF, SLOT(0), GNTMAP_host_map, NULL);
}

static void
test_crashes(void **state)
{
	struct rig *r = *state;

	grant(r->guest, REF, GFN, 0, GTF_permit_access);
	assert_dies(map_over_live_slot, r, "mapped over a live slot");
	assert_dies(map_over_foreign, r, "mapped over a live slot");
	assert_dies(map_own_grant, r, "own grant");
}

/* A destroyed granter lives on until its last page is unmapped (row V10). */
static void
test_zombie(void **state)
{
	struct rig *r = *state;
	grant_handle_t h;
	char *page;

	grant(r->guest, REF, GFN, 0, GTF_permit_access);
	strcpy(xen_domain_page(r->guest, GFN), "still here");
	assert_int_equal(map(r, 5, REF, SLOT(0), GNTMAP_host_map, &h), 0);
	xen_domain_destroy(r->guest);
	r->guest = NULL;
	page = xen_domain_page(r->dom0, SLOT(0) / PAGE);
	assert_string_equal(page, "still here");
	assert_int_equal(map(r, 5, REF, SLOT(1), GNTMAP_host_map, NULL),
	    GNTST_general_error);
	assert_int_equal(unmap(r, h, SLOT(0)), GNTST_okay);
	assert_int_equal(map(r, 5, REF, SLOT(1), GNTMAP_host_map, NULL),
	    GNTST_bad_domain);
}

/* A mapper that goes releases what it mapped. */
static void
test_mapper_dies(void **state)
{
	struct rig *r = *state;

	grant(r->guest, REF, GFN, 0, GTF_permit_access);
	assert_int_equal(map(r, 5, REF, SLOT(0), GNTMAP_host_map, NULL), 0);
	xen_domain_destroy(r->dom0);
	assert_int_equal(flags(r->guest, REF), GTF_permit_access);
	r->dom0 = domain(r->m, 0, 1);
}

/* A freed page is not reused while a peer maps it. */
static void
test_frame_outlives_its_owner(void **state)
{
	struct rig *r = *state;
	struct xen_counters c;
	uint32_t mfn, other;
	grant_handle_t h;

	grant(r->guest, REF, GFN, 0, GTF_permit_access);
	assert_int_equal(map(r, 5, REF, SLOT(0), GNTMAP_host_map, &h), 0);
	assert_int_equal(xen_domain_page_pins(r->guest, GFN), 1);
	xen_domain_p2m(r->guest, GFN, &mfn);
	assert_int_equal(xen_domain_depopulate(r->guest, GFN), 0);
	assert_int_equal(xen_domain_populate(r->guest, GFN + 9), 0);
	xen_domain_p2m(r->guest, GFN + 9, &other);
	assert_int_not_equal(mfn, other);
	xen_domain_counters(r->guest, &c);
	assert_int_equal(c.pins_live, 1);
	assert_int_equal(unmap(r, h, SLOT(0)), GNTST_okay);
	assert_int_equal(xen_domain_populate(r->guest, GFN + 10), 0);
	xen_domain_p2m(r->guest, GFN + 10, &other);
	assert_int_equal(mfn, other);
}

static struct gnttab_copy
copy_op(unsigned fl)
{
	struct gnttab_copy op = {
		.len = 16, .flags = (uint16_t)fl,
		.source = { .domid = DOMID_SELF },
		.dest = { .domid = DOMID_SELF },
	};

	op.source.u.gmfn = op.dest.u.gmfn = GFN;
	if ((fl & GNTCOPY_source_gref) != 0) {
		op.source.domid = 5;
		op.source.u.ref = REF;
	}
	if ((fl & GNTCOPY_dest_gref) != 0) {
		op.dest.domid = 5;
		op.dest.u.ref = REF;
	}
	return (op);
}

static int
copy(struct rig *r, struct gnttab_copy op)
{

	assert_int_equal(xen_grant_table_op(r->dom0, GNTTABOP_copy, &op, 1),
	    0);
	return (op.status);
}

static void
test_copy(void **state)
{
	static char local[2 * PAGE] __attribute__((aligned(4096)));
	struct rig *r = *state;
	struct gnttab_copy op;

	grant(r->guest, REF, GFN, 0, GTF_permit_access);
	strcpy(xen_domain_page(r->guest, GFN), "granted");
	op = copy_op(GNTCOPY_source_gref);
	assert_int_equal(copy(r, op), GNTST_okay);
	assert_string_equal(xen_domain_page(r->dom0, GFN), "granted");
	assert_int_equal(flags(r->guest, REF), GTF_permit_access);

	/* Ordinary memory of this process. */
	op.dest.u.gmfn = XEN_MODEL_LOCAL_GFN + (uintptr_t)local / PAGE;
	op.dest.offset = 100;
	assert_int_equal(copy(r, op), GNTST_okay);
	assert_string_equal(local + 100, "granted");
	op = copy_op(GNTCOPY_dest_gref);
	op.source.u.gmfn = XEN_MODEL_LOCAL_GFN + (uintptr_t)local / PAGE;
	op.source.offset = 103;
	assert_int_equal(copy(r, op), GNTST_okay);
	assert_string_equal(xen_domain_page(r->guest, GFN), "nted");
}

static void
test_copy_statuses(void **state)
{
	struct rig *r = *state;
	struct gnttab_copy op;

	grant(r->guest, REF, GFN, 0, GTF_permit_access | GTF_readonly);
	grant(r->guest, 9, GFN + 1, 0, GTF_permit_access);
	assert_int_equal(copy(r, copy_op(GNTCOPY_source_gref)), GNTST_okay);
	assert_int_equal(copy(r, copy_op(GNTCOPY_dest_gref)),
	    GNTST_general_error);
	op = copy_op(GNTCOPY_source_gref);
	op.dest.domid = 5;
	assert_int_equal(copy(r, op), GNTST_permission_denied);
	op = copy_op(GNTCOPY_source_gref);
	op.source.domid = 99;
	assert_int_equal(copy(r, op), GNTST_bad_domain);
	op = copy_op(GNTCOPY_source_gref);
	op.source.u.ref = 1024;
	assert_int_equal(copy(r, op), GNTST_bad_gntref);
	op = copy_op(GNTCOPY_source_gref);
	op.source.offset = PAGE - 15;
	assert_int_equal(copy(r, op), GNTST_bad_copy_arg);
	op = copy_op(GNTCOPY_source_gref);
	op.dest.offset = PAGE - 15;
	assert_int_equal(copy(r, op), GNTST_bad_copy_arg);
	/* A mapped grant is not memory of ours (row C14). */
	assert_int_equal(map(r, 5, 9, SLOT(0), GNTMAP_host_map, NULL), 0);
	op = copy_op(GNTCOPY_source_gref);
	op.dest.u.gmfn = SLOT(0) / PAGE;
	assert_int_equal(copy(r, op), GNTST_bad_page);
	op.dest.u.gmfn = SLOT(1) / PAGE;
	assert_int_equal(copy(r, op), GNTST_bad_page);
}

/* Elements fail by themselves. */
static void
test_batch(void **state)
{
	struct rig *r = *state;
	struct gnttab_map_grant_ref ops[3];

	grant(r->guest, REF, GFN, 0, GTF_permit_access);
	ops[0] = map_op(5, REF, SLOT(0), GNTMAP_host_map);
	ops[1] = map_op(5, 900, SLOT(1), GNTMAP_host_map);
	ops[2] = map_op(5, REF, SLOT(2), GNTMAP_host_map);
	assert_int_equal(xen_grant_table_op(r->dom0, GNTTABOP_map_grant_ref,
	    ops, 3), 0);
	assert_int_equal(ops[0].status, GNTST_okay);
	assert_int_equal(ops[1].status, GNTST_general_error);
	assert_int_equal(ops[2].status, GNTST_okay);
	assert_int_equal(xen_grant_table_op(r->dom0, GNTTABOP_map_grant_ref,
	    ops, 0x80000000u), -22);
	assert_int_equal(xen_grant_table_op(r->dom0, 99, ops, 1), -38);
}

static void
test_grant_table_grows_to_its_limit(void **state)
{
	struct rig *r = *state;
	struct gnttab_query_size q = { .dom = DOMID_SELF };

	assert_int_equal(xen_domain_grant_entries(r->guest), 1024);
	assert_int_equal(xen_domain_grow_grants(r->guest), 0);
	assert_int_equal(xen_domain_grow_grants(r->guest), 0);
	assert_int_equal(xen_domain_grow_grants(r->guest), -28);
	assert_int_equal(xen_domain_grant_entries(r->guest), 2048);
	assert_int_equal(xen_grant_table_op(r->guest, GNTTABOP_query_size, &q,
	    1), 0);
	assert_int_equal(q.status, GNTST_okay);
	assert_int_equal(q.nr_frames, 4);
	assert_int_equal(q.max_nr_frames, 4);
}

static void
test_machine_between_processes(void **state)
{
	struct xen_domain_config c = { .domid = 0 };
	struct xen_machine *m, *again;
	struct xen_domain *d, *other;
	char path[] = "/tmp/xengnt-machine-XXXXXX";
	int fd;

	(void)state;
	fd = mkstemp(path);
	assert_true(fd >= 0);
	close(fd);
	assert_int_equal(xen_machine_open(path, &m), 0);
	d = domain(m, 0, 1);
	assert_int_equal(xen_domain_populate(d, GFN), 0);
	strcpy(xen_domain_page(d, GFN), "first");
	/* A second look at a machine that runs does not reset it. */
	assert_int_equal(xen_machine_open(path, &again), 0);
	assert_int_equal(xen_domain_create(again, &c, &other), -17);
	assert_int_equal(xen_machine_reap(again), 0);
	assert_string_equal(xen_domain_page(d, GFN), "first");
	xen_machine_close(again);
	xen_domain_destroy(d);
	xen_machine_close(m);
	unlink(path);
}

/* Peer operations, as the cases use them. */
static void
ask(struct xen_peer *p, const char *request, const char *expected)
{
	char reply[4096];

	assert_int_equal(xen_peer_request(p, request, reply, sizeof(reply)),
	    0);
	assert_string_equal(reply, expected);
}

static void
test_peer(void **state)
{
	struct rig *r = *state;
	struct xen_peer *p;
	grant_handle_t h;

	p = xen_peer_new(r->m);
	ask(p, "info", "err ENOENT info: no helper domain");
	ask(p, "new pages=2 frames=1", "ok domid=512 pages=2 entries=512");
	ask(p, "new", "err EEXIST new: there is one already");
	ask(p, "entry 8", "ok flags=0 domid=0 page=-1");
	ask(p, "grant 8 1 0x1", "ok");
	ask(p, "entry 8", "ok flags=0x1 domid=0 page=1");
	ask(p, "grant 8 2 0x1", "err EINVAL grant: no such page");
	ask(p, "grant 512 1 0x1", "err EINVAL grant: no such reference");
	ask(p, "write 1 4090 0102030405ff", "ok");
	ask(p, "write 1 4091 0102030405ff",
	    "err EINVAL write: beyond the page");
	ask(p, "read 1 4089 7", "ok data=000102030405ff");
	assert_int_equal(map(r, 512, 8, SLOT(0), GNTMAP_host_map, &h), 0);
	ask(p, "entry 8", "ok flags=0x19 domid=0 page=1");
	ask(p, "clear", "err EBUSY clear: entry 8 is in use");
	assert_int_equal(unmap(r, h, SLOT(0)), 0);
	ask(p, "flags 8 0x5", "ok");
	assert_int_equal(map(r, 512, 8, SLOT(0), GNTMAP_host_map, NULL),
	    GNTST_general_error);
	ask(p, "clear", "ok");
	ask(p, "entry 8", "ok flags=0 domid=0 page=-1");
	ask(p, "read 1 4090 2", "ok data=0000");
	ask(p, "destroy", "ok");
	ask(p, "new pages=1", "ok domid=512 pages=1 entries=2048");
	ask(p, "nonsense", "err EINVAL unknown operation nonsense");
	xen_peer_free(p);
}

/* Event channels. */

static long
unbound(struct xen_domain *d, unsigned dom, unsigned remote, uint32_t *port)
{
	struct evtchn_alloc_unbound op = {
		.dom = (domid_t)dom, .remote_dom = (domid_t)remote,
	};
	long rc;

	rc = xen_event_channel_op(d, EVTCHNOP_alloc_unbound, &op);
	*port = op.port;
	return (rc);
}

static long
interdomain(struct xen_domain *d, unsigned remote, uint32_t rport,
    uint32_t *port)
{
	struct evtchn_bind_interdomain op = {
		.remote_dom = (domid_t)remote, .remote_port = rport,
	};
	long rc;

	rc = xen_event_channel_op(d, EVTCHNOP_bind_interdomain, &op);
	*port = op.local_port;
	return (rc);
}

static long
port_op(struct xen_domain *d, unsigned cmd, uint32_t port)
{
	/* close, send and unmask have the port alone, and first. */
	struct evtchn_send op = { .port = port };

	return (xen_event_channel_op(d, cmd, &op));
}

static unsigned
status(struct xen_domain *d, unsigned dom, uint32_t port)
{
	struct evtchn_status op = { .dom = (domid_t)dom, .port = port };
	long rc;

	rc = xen_event_channel_op(d, EVTCHNOP_status, &op);
	return (rc == 0 ? op.status : (unsigned)rc);
}

static void
test_event_channels(void **state)
{
	struct rig *r = *state;
	struct evtchn_status op;
	uint32_t a, b, c;
	unsigned pending;

	/* A port waits for the domain that it was made for, and no other. */
	assert_int_equal(unbound(r->guest, DOMID_SELF, 0, &a), 0);
	assert_int_equal(status(r->guest, DOMID_SELF, a), EVTCHNSTAT_unbound);
	assert_int_equal(port_op(r->guest, EVTCHNOP_send, a), 0);
	assert_int_equal(interdomain(r->guest, DOMID_SELF, a, &b), -22);
	assert_int_equal(interdomain(r->dom0, 77, a, &b), -3);
	assert_int_equal(interdomain(r->dom0, 5, a + 1, &b), -22);
	assert_int_equal(interdomain(r->dom0, 5, a, &b), 0);
	assert_int_equal(interdomain(r->dom0, 5, a, &c), -22);
	memset(&op, 0, sizeof(op));
	op.dom = DOMID_SELF;
	op.port = b;
	assert_int_equal(xen_event_channel_op(r->dom0, EVTCHNOP_status, &op),
	    0);
	assert_int_equal(op.status, EVTCHNSTAT_interdomain);
	assert_int_equal(op.u.interdomain.dom, 5);
	assert_int_equal(op.u.interdomain.port, a);
	/* Whoever connects has an event: it may have missed one. */
	assert_true(xen_domain_port_take(r->dom0, b));
	assert_false(xen_domain_port_pending(r->guest, a));
	/* Both ways; masked it waits. */
	assert_int_equal(port_op(r->guest, EVTCHNOP_send, a), 0);
	assert_true(xen_domain_port_take(r->dom0, b));
	assert_false(xen_domain_port_take(r->dom0, b));
	xen_domain_port_mask(r->guest, a, true);
	assert_int_equal(port_op(r->dom0, EVTCHNOP_send, b), 0);
	assert_false(xen_domain_port_take(r->guest, a));
	assert_true(xen_domain_port_pending(r->guest, a));
	assert_int_equal(port_op(r->guest, EVTCHNOP_unmask, a), 0);
	assert_true(xen_domain_port_take(r->guest, a));
	/* Only Dom0 asks about others and makes ports for them. */
	assert_int_equal(status(r->dom0, 5, a), EVTCHNSTAT_interdomain);
	assert_int_equal(status(r->guest, 0, b), (unsigned)-1);
	assert_int_equal(unbound(r->guest, 0, 5, &c), -1);
	assert_int_equal(unbound(r->dom0, 5, 0, &c), 0);
	assert_int_equal(status(r->guest, DOMID_SELF, c), EVTCHNSTAT_unbound);
	/* One end closes: the other waits again. */
	assert_int_equal(port_op(r->dom0, EVTCHNOP_close, b), 0);
	assert_int_equal(port_op(r->dom0, EVTCHNOP_close, b), -22);
	assert_int_equal(port_op(r->dom0, EVTCHNOP_send, b), -22);
	assert_int_equal(status(r->dom0, DOMID_SELF, b), EVTCHNSTAT_closed);
	assert_int_equal(status(r->guest, DOMID_SELF, a), EVTCHNSTAT_unbound);
	assert_int_equal(status(r->dom0, DOMID_SELF, 1u << 20), (unsigned)-22);
	assert_int_equal(interdomain(r->dom0, 5, a, &b), 0);
	assert_int_equal(xen_domain_ports(r->dom0, &pending), 1);
	assert_int_equal(pending, 1);
	/* So does the end of a domain. */
	xen_domain_destroy(r->guest);
	r->guest = NULL;
	assert_int_equal(status(r->dom0, DOMID_SELF, b), EVTCHNSTAT_unbound);
	assert_int_equal(port_op(r->dom0, EVTCHNOP_send, b), 0);
}

static void
test_virtual_interrupts(void **state)
{
	struct rig *r = *state;
	struct evtchn_bind_virq op = { .virq = VIRQ_DEBUG };
	struct evtchn_bind_ipi ipi = { .vcpu = 0 };
	struct xen_counters c;

	assert_false(xen_domain_virq(r->dom0, VIRQ_DEBUG));
	assert_int_equal(xen_event_channel_op(r->dom0, EVTCHNOP_bind_virq,
	    &op), 0);
	assert_int_equal(status(r->dom0, DOMID_SELF, op.port),
	    EVTCHNSTAT_virq);
	assert_true(xen_domain_virq(r->dom0, VIRQ_DEBUG));
	assert_true(xen_domain_port_take(r->dom0, op.port));
	/* Nobody rings it but the hypervisor. */
	assert_int_equal(port_op(r->dom0, EVTCHNOP_send, op.port), -22);
	assert_int_equal(xen_event_channel_op(r->dom0, EVTCHNOP_bind_virq,
	    &op), -17);
	op.virq = NR_VIRQS;
	assert_int_equal(xen_event_channel_op(r->dom0, EVTCHNOP_bind_virq,
	    &op), -22);
	assert_int_equal(xen_event_channel_op(r->dom0, EVTCHNOP_bind_ipi,
	    &ipi), 0);
	assert_int_equal(port_op(r->dom0, EVTCHNOP_send, ipi.port), 0);
	assert_true(xen_domain_port_take(r->dom0, ipi.port));
	assert_int_equal(xen_event_channel_op(r->dom0, 99, &op), -38);
	xen_domain_counters(r->dom0, &c);
	assert_int_equal(c.event_ops, 8);
	assert_int_equal(c.hypercalls, 0);
}

#define	TEST(f)	cmocka_unit_test_setup_teardown(f, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_bits_follow_maps),
		TEST(test_mapped_page_is_the_granters),
		TEST(test_map_statuses),
		TEST(test_maptrack_limit),
		TEST(test_pins_overflow),
		TEST(test_eagain_while_paged_out),
		TEST(test_unmap_wants_handle_and_address),
		TEST(test_crashes),
		TEST(test_zombie),
		TEST(test_mapper_dies),
		TEST(test_frame_outlives_its_owner),
		TEST(test_copy),
		TEST(test_copy_statuses),
		TEST(test_batch),
		TEST(test_grant_table_grows_to_its_limit),
		TEST(test_peer),
		TEST(test_event_channels),
		TEST(test_virtual_interrupts),
		cmocka_unit_test(test_machine_between_processes),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
