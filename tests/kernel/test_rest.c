/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Situations that cases and other tests cannot create: other drivers' nodes,
 * 32-bit callers, limits below what is in use, a peer that never unmaps.
 */
#include <stdlib.h>

#include "calls.h"
#include "stand_in.h"

#define	FIONBIO		0x8004667eul
#define	FIOASYNC	0x8004667dul

static void
set_limit(const char *name, unsigned value)
{

	assert_int_equal(harness_sysctl(name, &value, NULL), 0);
}

static int
no_setup(void **state)
{

	(void)state;
	/* The machine is there, the driver not yet. */
	return (harness_load() == 0 && harness_unload() == 0 ? 0 : -1);
}

static int
no_teardown(void **state)
{

	(void)state;
	return (harness_teardown(false) == 0 ? 0 : -1);
}

/* FreeBSD's own driver has the name. */
static void
test_name_taken(void **state)
{
	struct file *fp;

	(void)state;
	stand_in_node(0, "xen/gntdev");
	assert_int_equal(harness_load(), 0);
	assert_int_equal(harness_open("xen/xengntdev",
			     HARNESS_FREAD | HARNESS_FWRITE, &fp),
	    0);
	harness_close(fp);
	stand_in_node_gone(0);
	assert_int_equal(harness_open("xen/gntdev", HARNESS_FREAD, &fp),
	    ENOENT);
}

/* Both names are taken: no device at all, and nothing is left half made. */
static void
test_names_taken(void **state)
{

	(void)state;
	stand_in_node(0, "xen/gntdev");
	stand_in_node(1, "xen/xengntdev");
	assert_int_not_equal(harness_load(), 0);
	stand_in_node_gone(1);
	stand_in_node_gone(0);
	stand_in_node(0, "xen/gntalloc");
	assert_int_not_equal(harness_load(), 0);
	stand_in_node_gone(0);
	/* Both names are free again. */
	harness_close(reopen("xen/gntdev"));
	harness_close(reopen("xen/gntalloc"));
}

/* A domain other than Dom0 gets its number from Xen (K17). */
static void
test_own_domain(void **state)
{
	uint64_t index;
	void *addr;

	(void)state;
	harness_close(gntdev);
	harness_close(gntalloc);
	peer("ok", "destroy");
	assert_int_equal(harness_teardown(false), 0);
	assert_int_equal(setenv("XENGNT_HARNESS_DOMID", "7", 1), 0);
	gntdev = reopen("xen/gntdev");
	unsetenv("XENGNT_HARNESS_DOMID");
	assert_int_equal(xen_domain_id(harness_domain()), 7);
	assert_int_equal(try_map(gntdev, 7, 8, 1, &index), 0);
	assert_int_equal(harness_mmap(gntdev, NULL, PAGE, READ,
			     HARNESS_MAP_SHARED, (int64_t)index, &addr),
	    EINVAL);
	assert_int_equal(try_map(gntdev, DOMID_SELF, 8, 1, &index), 0);
	assert_int_equal(harness_mmap(gntdev, NULL, PAGE, READ,
			     HARNESS_MAP_SHARED, (int64_t)index, &addr),
	    EINVAL);
	harness_close(gntdev);
	peer("ok domid=512 pages=1 entries=512", "new pages=1 frames=1");
}

static void
test_any_device(void **state)
{
	int on = 1;

	(void)state;
	assert_int_equal(harness_ioctl(gntdev, FIONBIO, (uintptr_t)&on), 0);
	assert_int_equal(harness_ioctl(gntdev, FIOASYNC, (uintptr_t)&on), 0);
	assert_int_equal(harness_ioctl(gntalloc, FIONBIO, (uintptr_t)&on), 0);
	assert_int_equal(harness_ioctl(gntalloc, FIOASYNC, (uintptr_t)&on), 0);
}

/* Rows O5, K13: a 32-bit caller has other struct layouts. */
static void
test_ilp32(void **state)
{
	struct ioctl_gntdev_unmap_grant_ref op = { .index = 0 };

	(void)state;
	stand_in_ilp32(true);
	assert_int_equal(call(gntdev, 1, &op), ENOTTY);
	assert_int_equal(call(gntalloc, 6, &op), ENOTTY);
	assert_int_equal(harness_linux_ioctl(gntdev, 0x104701, (uintptr_t)&op),
	    ENOTTY);
	stand_in_ilp32(false);
	assert_int_equal(call(gntdev, 1, &op), ENOENT);
}

/* A limit that an administrator puts below what is in use. */
static void
test_limits_in_use(void **state)
{
	uint64_t a, b, total;

	(void)state;
	a = map(gntdev, REF, 2);
	set_limit("hw.xen.gntdev.slots.limit", 1);
	/*
	 * What is in use stays; nothing is added, whether slots are free or
	 * not.
	 */
	assert_int_equal(try_map(gntdev, DOMU, REF, 1, &b), ENOMEM);
	total = sysctl("hw.xen.gntdev.slots.total");
	assert_int_equal(try_map(gntdev, DOMU, REF, 600, &b), ENOMEM);
	assert_int_equal(sysctl("hw.xen.gntdev.slots.total"), total);
	set_limit("hw.xen.gntdev.slots.limit", 1048576);
	assert_int_equal(unmap(gntdev, a, 2), 0);
	set_limit("hw.xen.gntalloc.deferred_interval", 0);
	set_limit("hw.xen.gntalloc.deferred_interval", 1000);
}

static bool
no_malloc(enum harness_fail kind)
{

	return (kind == HARNESS_FAIL_MALLOC);
}

/* Beyond Linux's limit, a request fails rather than waits (M4). */
static void
test_huge_map(void **state)
{
	static struct ioctl_gntdev_grant_ref refs[65537 + 2];
	struct ioctl_gntdev_map_grant_ref *op;

	(void)state;
	op = (void *)refs;
	set_limit("hw.xen.gntdev.limit", 65537);
	op->count = 65537;
	harness_fail_hook = no_malloc;
	assert_int_equal(call(gntdev, 0, op), ENOMEM);
	harness_fail_hook = NULL;
	assert_int_equal(sysctl("hw.xen.gntdev.maps"), 0);
	op->count = 65537;
	assert_int_equal(call(gntdev, 0, op), 0);
	assert_int_equal(unmap(gntdev, op->index, 65537), 0);
	set_limit("hw.xen.gntdev.limit", 65536);
}

/* Both sides of the limits in C6 and C7, to the byte. */
static void
test_copy_ends(void **state)
{
	struct gntdev_grant_copy_segment seg;
	struct ioctl_gntdev_grant_copy op = { .count = 1, .segments = &seg };
	static char buf[PAGE];
	int i;

	(void)state;
	for (i = 0; i < 4; i++) {
		memset(&seg, 0, sizeof(seg));
		seg.len = 2;
		if (i < 2) {
			seg.flags = GNTCOPY_dest_gref;
			seg.source.virt = buf;
			seg.dest.foreign.domid = DOMU;
			seg.dest.foreign.ref = REF;
			seg.dest.foreign.offset = PAGE - 2 + i;
		} else {
			seg.flags = GNTCOPY_source_gref;
			seg.dest.virt = buf;
			seg.source.foreign.domid = DOMU;
			seg.source.foreign.ref = REF;
			seg.source.foreign.offset = PAGE - 2 + i % 2;
		}
		assert_int_equal(call(gntdev, 8, &op),
		    i % 2 == 0 ? 0 : EINVAL);
	}
}

/* Domain 600: references from 9 on grant pages that are paged out. */
static struct xen_domain *
paging_domain(unsigned pages, unsigned uses)
{
	struct xen_domain_config config = {
		.domid = 600, .grant_frames = 1, .max_grant_frames = 1,
	};
	struct grant_entry_v1 *e;
	struct xen_domain *d;

	assert_int_equal(xen_domain_create(harness_machine(), &config, &d), 0);
	for (unsigned i = 0; i < pages; i++) {
		assert_int_equal(xen_domain_populate(d, 5 + i), 0);
		e = xen_domain_grant_entry(d, 9 + i);
		e->frame = 5 + i;
		e->flags = GTF_permit_access;
		assert_int_equal(xen_domain_page_out(d, 5 + i, uses), 0);
	}
	return (d);
}

/* SIGKILL ends the sleeps for a page that is paged out. */
static void
test_killed_while_paged_out(void **state)
{
	struct harness_counts before, c;
	struct xen_domain *other;
	uint64_t index;
	void *addr;

	(void)state;
	other = paging_domain(1, 1000);
	assert_int_equal(try_map(gntdev, 600, 9, 1, &index), 0);
	harness_counts(&before);
	harness_killed(true);
	assert_int_equal(harness_mmap(gntdev, NULL, PAGE, RW,
			     HARNESS_MAP_SHARED, (int64_t)index, &addr),
	    EINVAL);
	harness_killed(false);
	harness_counts(&c);
	assert_int_equal(c.pauses, before.pauses);
	assert_int_equal(unmap(gntdev, index, 1), 0);
	xen_domain_destroy(other);
}

/* The operations of a request together sleep as long as one would. */
static void
test_paged_out_request(void **state)
{
	struct harness_counts before, c;
	struct xen_domain *other;
	uint64_t index;
	void *addr;

	(void)state;
	other = paging_domain(3, -1u);
	assert_int_equal(try_map(gntdev, 600, 9, 3, &index), 0);
	harness_counts(&before);
	assert_int_equal(harness_mmap(gntdev, NULL, 3 * PAGE, RW,
			     HARNESS_MAP_SHARED, (int64_t)index, &addr),
	    EINVAL);
	harness_counts(&c);
	assert_int_equal(c.paused_ms - before.paused_ms, 255 * 256 / 2);
	assert_int_equal(unmap(gntdev, index, 3), 0);
	xen_domain_destroy(other);
}

/*
 * FreeBSD asks the pager for single pages of an object that is shadowed, and
 * uses a page of zeroes if the pager says that it has none.
 */
static void
test_shadowed_fault(void **state)
{
	uint64_t index;
	unsigned i;
	char *p;

	(void)state;
	for (i = 0; i < 3; i++)
		peer("ok", "write %u 0 %02x", i, 'a' + i);
	index = map(gntdev, REF, 3);
	harness_lazy(true);
	p = mmap_at(gntdev, index, 3, RW);
	harness_lazy(false);
	assert_int_equal(harness_fault(p + PAGE, true), 0);
	assert_int_equal(p[PAGE], 'b');
	/*
	 * Nothing shadows it any more: populate finds the page that is there.
	 */
	assert_int_equal(harness_fault(p, false), 0);
	assert_int_equal(p[0], 'a');
	assert_int_equal(harness_fault(p + 2 * PAGE, false), 0);
	assert_int_equal(p[2 * PAGE], 'c');
	p[PAGE] = 'd';
	peer("ok data=64", "read 1 0 1");
	unmap_pages(p, 3);
	assert_int_equal(unmap(gntdev, index, 3), 0);
	assert_int_equal(peer_flags(REF + 1) & MAPPED, 0);
}

/* mmap(2) enters the pages of a small area that is only read. */
static void
test_readonly_needs_no_fault(void **state)
{
	uint64_t index;
	char *p;

	(void)state;
	peer("ok", "write 0 0 61");
	peer("ok", "write 2 0 63");
	index = map(gntdev, REF, 3);
	harness_lazy(true);
	p = mmap_at(gntdev, index, 3, HARNESS_PROT_READ);
	assert_int_equal(p[0], 'a');
	assert_int_equal(p[2 * PAGE], 'c');
	unmap_pages(p, 3);
	assert_int_equal(unmap(gntdev, index, 3), 0);
	index = alloc(gntalloc, 97, NULL);
	p = mmap_at(gntalloc, index, 96, HARNESS_PROT_READ);
	assert_int_equal(p[95 * PAGE], 0);
	unmap_pages(p, 96);
	/*
	 * Of a larger one mmap(2) would enter only a part; all of it takes one
	 * fault.
	 */
	p = mmap_at(gntalloc, index, 97, HARNESS_PROT_READ);
	harness_lazy(false);
	assert_int_equal(harness_fault(p + 96 * PAGE, false), 0);
	assert_int_equal(p[96 * PAGE], 0);
	unmap_pages(p, 97);
	assert_int_equal(dealloc(gntalloc, index, 97), 0);
}

/*
 * A fault that finds the map changed after the pager has run gives back the
 * first page that it got, and forgets the others.
 */
static void
test_raced_fault(void **state)
{
	enum harness_racer racer;
	uint64_t index;
	char *p;

	(void)state;
	for (racer = HARNESS_RACER_THREAD; racer <= HARNESS_RACER_DEBUGGED;
	    racer++) {
		index = map(gntdev, REF, 3);
		harness_lazy(true);
		p = mmap_at(gntdev, index, 3, RW);
		harness_lazy(false);
		assert_int_equal(harness_fault_raced(p + PAGE, racer), 0);
		/*
		 * Others can use the pages that the pager has entered beside
		 * it.
		 */
		assert_int_equal(harness_fault(p, false), 0);
		peer("ok", "write 0 0 %02x", '0' + (int)racer);
		assert_int_equal(p[0], '0' + (int)racer);
		unmap_pages(p, 3);
		assert_int_equal(unmap(gntdev, index, 3), 0);
		assert_int_equal(peer_flags(REF) & MAPPED, 0);
	}
}

/* The wiring of mlock(2) is not I/O. */
static void
test_locked_in_memory(void **state)
{
	uint64_t index;
	char *p;

	(void)state;
	index = map(gntdev, REF, 3);
	p = mmap_at(gntdev, index, 3, RW);
	harness_mlock(p, 3 * PAGE, true);
	harness_mlock(p + PAGE, PAGE, false);
	unmap_pages(p, 3);
	assert_int_equal(unmap(gntdev, index, 3), 0);
	assert_int_equal(sysctl("hw.xen.gntdev.deferred"), 0);
	assert_int_equal(peer_flags(REF) & MAPPED, 0);
	harness_mlock_future(true);
	index = map(gntdev, REF, 1);
	p = mmap_at(gntdev, index, 1, RW);
	harness_mlock_future(false);
	unmap_pages(p, 1);
	assert_int_equal(unmap(gntdev, index, 1), 0);
	assert_int_equal(sysctl("hw.xen.gntdev.deferred"), 0);
	index = alloc(gntalloc, 2, NULL);
	p = mmap_at(gntalloc, index, 2, RW);
	harness_mlock(p, 2 * PAGE, true);
	unmap_pages(p, 2);
	assert_int_equal(dealloc(gntalloc, index, 2), 0);
	assert_int_equal(sysctl("hw.xen.gntalloc.in_flight"), 0);
}

/* I/O has a page that nobody has touched: its grant ends, the page stays. */
static void
test_untouched_in_flight(void **state)
{
	struct harness_counts before, c;
	struct harness_pin *pin;
	uint64_t index;
	uint32_t ids[2];
	unsigned i;
	char *p;

	(void)state;
	harness_counts(&before);
	index = alloc(gntalloc, 2, ids);
	p = mmap_at(gntalloc, index, 2, RW);
	assert_int_equal(harness_pin(p + PAGE, false, &pin), 0);
	unmap_pages(p, 2);
	assert_int_equal(dealloc(gntalloc, index, 2), 0);
	assert_int_equal(own_flags(ids[0]), 0);
	assert_int_equal(own_flags(ids[1]), 0);
	assert_int_equal(sysctl("hw.xen.gntalloc.pages"), 0);
	assert_int_equal(sysctl("hw.xen.gntalloc.in_flight"), 1);
	harness_counts(&c);
	assert_int_equal(c.pages, before.pages + 1);
	assert_int_equal(harness_unload(), EBUSY);
	harness_run_tasks();
	assert_int_equal(sysctl("hw.xen.gntalloc.in_flight"), 1);
	harness_unpin(pin);
	for (i = 0; i < 3; i++)
		harness_run_tasks();
	assert_int_equal(sysctl("hw.xen.gntalloc.in_flight"), 0);
	harness_counts(&c);
	assert_int_equal(c.pages, before.pages);
}

/* Nothing that a peer shares survives a migration, so that is refused. */
static void
test_suspend(void **state)
{
	uint64_t index;
	uint32_t id;
	char *p;

	(void)state;
	assert_int_equal(harness_suspend(), 0);
	index = map(gntdev, REF, 1);
	assert_int_equal(harness_suspend(), 0);
	p = mmap_at(gntdev, index, 1, RW);
	assert_int_equal(harness_suspend(), EBUSY);
	unmap_pages(p, 1);
	assert_int_equal(unmap(gntdev, index, 1), 0);
	assert_int_equal(harness_suspend(), 0);
	index = alloc(gntalloc, 1, NULL);
	assert_int_equal(harness_suspend(), EBUSY);
	assert_int_equal(dealloc(gntalloc, index, 1), 0);
	assert_int_equal(harness_suspend(), 0);
	index = alloc(gntalloc, 1, &id);
	peer("ok status=0 slot=0", "map %u", id);
	assert_int_equal(dealloc(gntalloc, index, 1), 0);
	assert_int_equal(sysctl("hw.xen.gntalloc.pages"), 0);
	assert_int_equal(harness_suspend(), EBUSY);
	peer("ok status=0", "unmap 0");
	harness_run_tasks();
	assert_int_equal(harness_suspend(), 0);
}

/* A fault in the middle also enters the pages before and after it. */
static void
test_fault_in_the_middle(void **state)
{
	struct ioctl_gntdev_get_offset_for_vaddr op;
	uint64_t index;
	char *p;

	(void)state;
	peer("ok", "write 0 0 61");
	index = map(gntdev, REF, 3);
	harness_lazy(true);
	p = mmap_at(gntdev, index, 3, RW);
	assert_int_equal(harness_fault(p + PAGE, false), 0);
	harness_lazy(false);
	assert_int_equal(harness_fault(p, false), 0);
	assert_int_equal(p[0], 'a');
	unmap_pages(p, 3);
	assert_int_equal(unmap(gntdev, index, 3), 0);
	/* A mapping of gntalloc is not gntdev's. */
	index = alloc(gntalloc, 1, NULL);
	p = mmap_at(gntalloc, index, 1, RW);
	memset(&op, 0, sizeof(op));
	op.vaddr = (uintptr_t)p;
	assert_int_equal(call(gntdev, 2, &op), EINVAL);
	unmap_pages(p, 1);
	assert_int_equal(dealloc(gntalloc, index, 1), 0);
}

/* Another process has the mapping: nothing fires when this one dies. */
static void
test_exit_shared_elsewhere(void **state)
{
	struct vm_object *other;
	uint64_t index;
	char *p;

	(void)state;
	peer("ok", "write 0 9 78");
	index = map(gntdev, REF, 1);
	p = mmap_at(gntdev, index, 1, RW);
	assert_int_equal(notify(gntdev, index + 9, UNMAP_NOTIFY_CLEAR_BYTE, 0),
	    0);
	other = harness_share(p);
	assert_non_null(other);
	unmap_pages(p, 1);
	harness_exit();
	peer("ok data=78", "read 0 9 1");
	harness_unshare(other);
	peer("ok data=00", "read 0 9 1");
}

/* A page of gntalloc as the local end of a copy, written and read. */
static void
test_copy_into_shared(void **state)
{
	struct gntdev_grant_copy_segment seg;
	struct ioctl_gntdev_grant_copy op = { .count = 1, .segments = &seg };
	uint64_t index;
	char *p;

	(void)state;
	peer("ok", "write 0 0 68657265");
	index = alloc(gntalloc, 1, NULL);
	p = mmap_at(gntalloc, index, 1, RW);
	p[PAGE - 1] = 1;	/* so that the page tables have it */
	memset(&seg, 0, sizeof(seg));
	seg.flags = GNTCOPY_source_gref;
	seg.source.foreign.domid = DOMU;
	seg.source.foreign.ref = REF;
	seg.dest.virt = p;
	seg.len = 4;
	assert_int_equal(call(gntdev, 8, &op), 0);
	assert_int_equal(seg.status, 0);
	assert_memory_equal(p, "here", 4);
	unmap_pages(p, 1);
	assert_int_equal(dealloc(gntalloc, index, 1), 0);
}

/* A peer that keeps a page for ever costs a message and nothing more (2.14). */
static void
test_peer_keeps(void **state)
{
	struct xen_domain_config config = {
		.domid = 600, .grant_frames = 1, .max_grant_frames = 1,
		.maptrack_frames = 1,
	};
	struct gnttab_map_grant_ref m[3];
	struct gnttab_unmap_grant_ref u;
	struct {
		struct ioctl_gntalloc_alloc_gref op;
		uint32_t more[2];
	} arg;
	uint32_t ids[3];
	struct xen_domain *other;
	unsigned i;

	(void)state;
	harness_tasks_manual(true);
	assert_int_equal(xen_domain_create(harness_machine(), &config, &other),
	    0);
	memset(&arg, 0, sizeof(arg));
	arg.op.domid = 600;
	arg.op.flags = GNTALLOC_FLAG_WRITABLE;
	arg.op.count = 3;
	assert_int_equal(call(gntalloc, 5, &arg), 0);
	memcpy(ids, (char *)&arg + offsetof(struct ioctl_gntalloc_alloc_gref,
	    gref_ids), sizeof(ids));
	memset(m, 0, sizeof(m));
	for (i = 0; i < 3; i++) {
		m[i].host_addr = (0x1000 + i) * PAGE;
		m[i].flags = GNTMAP_host_map;
		m[i].ref = ids[i];
	}
	assert_int_equal(xen_grant_table_op(other, GNTTABOP_map_grant_ref, m,
	    3), 0);
	assert_int_equal(dealloc(gntalloc, arg.op.index, 3), 0);
	assert_int_equal(sysctl("hw.xen.gntalloc.deferred"), 3);
	assert_int_equal(sysctl("hw.xen.gntalloc.pages"), 0);
	set_limit("hw.xen.gntalloc.deferred_batch", 0);
	set_limit("hw.xen.gntalloc.deferred_interval", 0);
	for (i = 0; i < 62; i++)
		harness_run_tasks();
	set_limit("hw.xen.gntalloc.deferred_batch", 1);
	set_limit("hw.xen.gntalloc.deferred_interval", 1000);
	assert_int_equal(harness_unload(), EBUSY);
	/* Freed from the middle of the list, from its end, and alone. */
	for (i = 0; i < 3; i++) {
		memset(&u, 0, sizeof(u));
		u.host_addr = m[(i + 1) % 3].host_addr;
		u.handle = m[(i + 1) % 3].handle;
		assert_int_equal(xen_grant_table_op(other,
		    GNTTABOP_unmap_grant_ref, &u, 1), 0);
		set_limit("hw.xen.gntalloc.deferred_batch", 10);
		harness_run_tasks();
		assert_int_equal(sysctl("hw.xen.gntalloc.deferred"), 2 - i);
	}
	harness_tasks_manual(false);
	xen_domain_destroy(other);
}

/* Several maps wait for their pages, and end in another order. */
static void
test_pinned_order(void **state)
{
	struct harness_pin *pin[3];
	uint64_t index;
	unsigned i;
	char *p;

	(void)state;
	harness_tasks_manual(true);
	for (i = 0; i < 3; i++) {
		index = map(gntdev, REF + i, 1);
		p = mmap_at(gntdev, index, 1, RW);
		assert_int_equal(harness_pin(p, true, &pin[i]), 0);
		unmap_pages(p, 1);
		assert_int_equal(unmap(gntdev, index, 1), 0);
	}
	assert_int_equal(sysctl("hw.xen.gntdev.deferred"), 3);
	harness_unpin(pin[1]);
	harness_run_tasks();
	assert_int_equal(peer_flags(REF + 1) & MAPPED, 0);
	assert_int_equal(peer_flags(REF) & MAPPED, MAPPED);
	harness_unpin(pin[0]);
	harness_unpin(pin[2]);
	harness_run_tasks();
	assert_int_equal(sysctl("hw.xen.gntdev.deferred"), 0);
	harness_tasks_manual(false);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_name_taken, no_setup,
		    no_teardown),
		cmocka_unit_test_setup_teardown(test_names_taken, no_setup,
		    no_teardown),
		TEST(test_own_domain),
		TEST(test_any_device),
		TEST(test_ilp32),
		TEST(test_limits_in_use),
		TEST(test_huge_map),
		TEST(test_copy_ends),
		TEST(test_killed_while_paged_out),
		TEST(test_paged_out_request),
		TEST(test_shadowed_fault),
		TEST(test_raced_fault),
		TEST(test_readonly_needs_no_fault),
		TEST(test_copy_into_shared),
		TEST(test_suspend),
		TEST(test_fault_in_the_middle),
		TEST(test_exit_shared_elsewhere),
		TEST(test_locked_in_memory),
		TEST(test_untouched_in_flight),
		TEST(test_peer_keeps),
		TEST(test_pinned_order),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
