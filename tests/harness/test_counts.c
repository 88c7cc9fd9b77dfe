/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The cost of an operation in things that can be counted: hypercalls,
 * allocations, locks, and the driver's steps (its basic blocks, for which it is
 * built a second time).  The numbers are those of the current driver; a change
 * that improves it changes them here.
 */
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
#include <xen/grant_table.h>
#include <xen/gntalloc.h>
#include <xen/gntdev.h>

#include "ask_peer.h"
#include "harness.h"
#include "xen/model.h"

#define	PAGE	4096ul
#define	RW	(HARNESS_PROT_READ | HARNESS_PROT_WRITE)
#define	DOMU	512u
#define	REF	8u
#define	REFS	512u	/* references from REF on */
#define	MANY	10000u
#define	FEW	10u

void	__sanitizer_cov_trace_pc(void);
static uint64_t blocks;

void
__sanitizer_cov_trace_pc(void)
{

	blocks++;
}

static struct file *gntdev, *gntalloc;

static int
call(struct file *fp, unsigned nr, void *arg)
{

	return (harness_ioctl(fp, HARNESS_IO('G', nr), (uintptr_t)arg));
}

/* The cost of what happens between begin() and end(). */

struct cost {
	uint64_t	hypercalls, map_ops, unmap_ops, copy_ops, events;
	uint64_t	mallocs, xenmem, locks, blocks;
};

static void
read_costs(struct cost *c)
{
	struct xen_counters x;
	struct harness_counts h;

	xen_domain_counters(harness_domain(), &x);
	harness_counts(&h);
	c->hypercalls = x.hypercalls;
	c->map_ops = x.map_ops;
	c->unmap_ops = x.unmap_ops;
	c->copy_ops = x.copy_ops;
	c->events = x.event_ops;
	c->mallocs = h.mallocs;
	c->xenmem = h.xenmem_allocs;
	c->locks = harness_lock_count(NULL);
	c->blocks = blocks;
}

static struct cost started;

static void
begin(void)
{

	read_costs(&started);
}

static struct cost
end(void)
{
	struct cost c;

	read_costs(&c);
	c.hypercalls -= started.hypercalls;
	c.map_ops -= started.map_ops;
	c.unmap_ops -= started.unmap_ops;
	c.copy_ops -= started.copy_ops;
	c.events -= started.events;
	c.mallocs -= started.mallocs;
	c.xenmem -= started.xenmem;
	c.locks -= started.locks;
	c.blocks -= started.blocks;
	return (c);
}

static void
assert_cost(const char *what, unsigned n, struct cost c, unsigned hypercalls,
    unsigned mallocs, unsigned locks)
{

	if (c.hypercalls != hypercalls || c.mallocs != mallocs ||
	    c.locks != locks || c.xenmem != 0 || c.events != 0)
		fail_msg("%s of %u: %u hypercalls, not %u; %u allocations, "
		    "not %u; %u locks, not %u; %u xenmem, %u events", what, n,
		    (unsigned)c.hypercalls, hypercalls, (unsigned)c.mallocs,
		    mallocs, (unsigned)c.locks, locks, (unsigned)c.xenmem,
		    (unsigned)c.events);
	print_message("cost: %s of %u: %u %u %u %u\n", what, n, hypercalls,
	    mallocs, locks, (unsigned)c.blocks);
}

static struct ioctl_gntdev_map_grant_ref *
map_op(unsigned count)
{
	static struct {
		struct ioctl_gntdev_map_grant_ref op;
		struct ioctl_gntdev_grant_ref more[REFS];
	} arg;
	unsigned i;

	memset(&arg, 0, sizeof(arg));
	arg.op.count = count;
	for (i = 0; i < count; i++) {
		(&arg.op.refs[0])[i].domid = DOMU;
		(&arg.op.refs[0])[i].ref = REF + i;
	}
	return (&arg.op);
}

static uint64_t
map(unsigned count)
{
	struct ioctl_gntdev_map_grant_ref *op;

	op = map_op(count);
	assert_int_equal(call(gntdev, 0, op), 0);
	return (op->index);
}

static void
unmap(uint64_t index)
{
	struct ioctl_gntdev_unmap_grant_ref op = { .index = index };

	assert_int_equal(call(gntdev, 1, &op), 0);
}

static char *
mmap_file(struct file *fp, uint64_t index, size_t pages)
{
	void *p;

	assert_int_equal(harness_mmap(fp, NULL, pages * PAGE, RW,
			     HARNESS_MAP_SHARED, (int64_t)index, &p),
	    0);
	return (p);
}

static void
unmap_pages(char *p, size_t pages)
{

	assert_int_equal(harness_munmap(p, pages * PAGE), 0);
}

/* As measured; the comments say what they are for. */
#define	MAP_MALLOCS	1	/* the map */
#define	MAP_LOCKS	2	/* slots, the file's list */
#define	MMAP_MALLOCS	0
#define	MMAP_LOCKS	1	/* the file's list */
#define	MUNMAP_MALLOCS	0
#define	MUNMAP_LOCKS	0
#define	UNMAP_MALLOCS	0
#define	ALLOC_LOCKS	2	/* the index, the file's list */
#define	UNMAP_LOCKS	2	/* the file's list, slots */

static const unsigned sizes[] = { 1, 16, 512 };
#define	SIZES	(sizeof(sizes) / sizeof(sizes[0]))

/*
 * One hypercall for any number of pages, and nothing else that grows with them.
 */
static void
test_map_and_unmap(void **state)
{
	struct ioctl_gntdev_map_grant_ref *op;
	struct cost c;
	unsigned i, n;
	char *p;

	(void)state;
	unmap(map(512));		/* the arena is large enough now */
	for (i = 0; i < SIZES; i++) {
		n = sizes[i];
		op = map_op(n);
		begin();
		assert_int_equal(call(gntdev, 0, op), 0);
		c = end();
		assert_cost("MAP_GRANT_REF", n, c, 0, MAP_MALLOCS, MAP_LOCKS);
		begin();
		p = mmap_file(gntdev, op->index, n);
		c = end();
		assert_cost("mmap", n, c, 1, MMAP_MALLOCS, MMAP_LOCKS);
		assert_int_equal(c.map_ops, n);
		begin();
		unmap_pages(p, n);
		c = end();
		assert_cost("munmap", n, c, 0, MUNMAP_MALLOCS, MUNMAP_LOCKS);
		begin();
		unmap(op->index);
		c = end();
		assert_cost("UNMAP_GRANT_REF", n, c, 1, UNMAP_MALLOCS,
		    UNMAP_LOCKS);
		assert_int_equal(c.unmap_ops, n);
		/* The last of the two does the work. */
		op = map_op(n);
		assert_int_equal(call(gntdev, 0, op), 0);
		p = mmap_file(gntdev, op->index, n);
		unmap(op->index);
		begin();
		unmap_pages(p, n);
		c = end();
		assert_int_equal(c.hypercalls, 1);
		assert_int_equal(c.unmap_ops, n);
	}
}

/* A chunk of slots is taken once and used for ever. */
static void
test_steady_state(void **state)
{
	struct cost c;
	uint64_t index;
	unsigned i;
	char *p;

	(void)state;
	unmap(map(512));
	begin();
	for (i = 0; i < 100; i++) {
		index = map(1 + i * 5);
		p = mmap_file(gntdev, index, 1 + i * 5);
		unmap_pages(p, 1 + i * 5);
		unmap(index);
	}
	c = end();
	assert_int_equal(c.xenmem, 0);
	assert_int_equal(c.hypercalls, 200);
	assert_int_equal(c.mallocs, 100 * (MAP_MALLOCS + MMAP_MALLOCS +
	    MUNMAP_MALLOCS + UNMAP_MALLOCS));
}

/* Sixteen operations in each hypercall; no allocation, no lock of ours. */
static void
test_copy(void **state)
{
	static const struct {
		unsigned count, len, start, ops;
	} cases[] = {
		{ 1, 100, 0, 1 },
		{ 15, 100, 0, 15 },
		{ 16, 100, 0, 16 },
		{ 17, 100, 0, 17 },
		{ 160, 100, 0, 160 },
		{ 256, 4096, 0, 256 },
		/* Over the end of a page: two of each. */
		{ 8, 4096, 16, 16 },
		{ 9, 4096, 16, 18 },
		{ 3, 0, 0, 0 },
	};
	static char buf[2 * PAGE] __attribute__((aligned(4096)));
	struct gntdev_grant_copy_segment *s;
	struct ioctl_gntdev_grant_copy op;
	static const char calls[] = "hw.xen.gntdev.copy_calls";
	struct cost c;
	uint64_t before, after;
	unsigned i, j;

	(void)state;
	s = calloc(256, sizeof(*s));
	assert_non_null(s);
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		for (j = 0; j < cases[i].count; j++) {
			memset(&s[j], 0, sizeof(s[j]));
			s[j].source.foreign.domid = DOMU;
			s[j].source.foreign.ref = REF + j;
			s[j].dest.virt = buf + cases[i].start;
			s[j].len = (uint16_t)cases[i].len;
			s[j].flags = GNTCOPY_source_gref;
		}
		op.count = cases[i].count;
		op.segments = s;
		assert_int_equal(harness_sysctl64(calls, &before), 0);
		begin();
		assert_int_equal(call(gntdev, 8, &op), 0);
		c = end();
		assert_cost("GRANT_COPY", cases[i].count, c,
		    (cases[i].ops + 15) / 16, 0, 0);
		assert_int_equal(c.copy_ops, cases[i].ops);
		assert_int_equal(harness_sysctl64(calls, &after), 0);
		assert_int_equal(after - before, (cases[i].ops + 15) / 16);
	}
	free(s);
}

struct alloc_op {
	struct ioctl_gntalloc_alloc_gref op;
	uint32_t more[REFS];
};

static uint64_t
alloc(unsigned count)
{
	static struct alloc_op a;

	memset(&a, 0, sizeof(a));
	a.op.domid = DOMU;
	a.op.flags = GNTALLOC_FLAG_WRITABLE;
	a.op.count = count;
	assert_int_equal(call(gntalloc, 5, &a), 0);
	return (a.op.index);
}

static void
dealloc(uint64_t index, unsigned count)
{
	struct ioctl_gntalloc_dealloc_gref op = {
		.index = index, .count = count,
	};

	assert_int_equal(call(gntalloc, 6, &op), 0);
}

/* Pages are granted one by one; a mapping of them is a single object. */
static void
test_alloc(void **state)
{
	uint64_t index;
	struct cost c;
	unsigned i, n;
	char *p;

	(void)state;
	for (i = 0; i < SIZES; i++) {
		n = sizes[i];
		begin();
		index = alloc(n);
		c = end();
		assert_cost("ALLOC_GREF", n, c, 0, n, ALLOC_LOCKS);
		begin();
		p = mmap_file(gntalloc, index, n);
		c = end();
		assert_cost("gntalloc's mmap", n, c, 0, 1, 1);
		begin();
		unmap_pages(p, n);
		c = end();
		assert_cost("gntalloc's munmap", n, c, 0, 0, 0);
		begin();
		dealloc(index, n);
		c = end();
		assert_cost("DEALLOC_GREF", n, c, 0, 0, 1);
	}
}

/* Steps with many maps on the same file, compared with few. */

struct steps {
	uint64_t	map, mmap, get_offset, munmap, notify, unmap;
};

static uint64_t
steps(void)
{

	return (end().blocks);
}

/* With live maps on the file: the costs of one more in their middle. */
static struct steps
steps_with(unsigned live)
{
	struct ioctl_gntdev_get_offset_for_vaddr where;
	struct ioctl_gntdev_unmap_notify notify;
	struct ioctl_gntdev_map_grant_ref *op;
	uint64_t *index, hole;
	struct steps s;
	unsigned i;
	char *p;

	index = calloc(live, sizeof(*index));
	assert_non_null(index);
	for (i = 0; i < live; i++)
		index[i] = map(1 + i % 3);
	/* Small holes in front, and one of the right size in the middle. */
	for (i = 0; i < live / 2; i += 4) {
		unmap(index[i]);
		index[i] = UINT64_MAX;
	}
	hole = map(7);
	unmap(hole);
	op = map_op(7);
	begin();
	assert_int_equal(call(gntdev, 0, op), 0);
	s.map = steps();
	begin();
	p = mmap_file(gntdev, op->index, 7);
	s.mmap = steps();
	memset(&where, 0, sizeof(where));
	where.vaddr = (uintptr_t)(p + 2 * PAGE);
	begin();
	assert_int_equal(call(gntdev, 2, &where), 0);
	s.get_offset = steps();
	assert_int_equal(where.offset, op->index);
	memset(&notify, 0, sizeof(notify));
	notify.index = op->index + 3 * PAGE;
	begin();
	assert_int_equal(call(gntdev, 7, &notify), 0);
	s.notify = steps();
	begin();
	unmap_pages(p, 7);
	s.munmap = steps();
	begin();
	unmap(op->index);
	s.unmap = steps();
	for (i = 0; i < live; i++)
		if (index[i] != UINT64_MAX)
			unmap(index[i]);
	free(index);
	return (s);
}

/*
 * A tree of 10,000 is four times as high as one of ten: no part of an operation
 * may grow by more, and no whole one by more than a factor of two.
 */
#define	WHOLE	2
#define	PART	4

static void
assert_within(unsigned factor, const char *what, uint64_t few, uint64_t many)
{

	print_message("%s: %u steps among %u, %u among %u\n", what,
	    (unsigned)few, FEW, (unsigned)many, MANY);
	assert_true(few > 0);
	if (many > factor * few)
		fail_msg("%s takes too many steps", what);
}

static void
test_many_maps(void **state)
{
	struct steps few, many;

	(void)state;
	steps_with(MANY);	/* the arena grows */
	few = steps_with(FEW);
	many = steps_with(MANY);
	assert_within(PART, "MAP_GRANT_REF", few.map, many.map);
	assert_within(PART, "mmap", few.mmap, many.mmap);
	assert_within(WHOLE, "to map", few.map + few.mmap,
	    many.map + many.mmap);
	assert_within(WHOLE, "GET_OFFSET_FOR_VADDR", few.get_offset,
	    many.get_offset);
	assert_within(PART, "SET_UNMAP_NOTIFY", few.notify, many.notify);
	assert_within(PART, "munmap", few.munmap, many.munmap);
	assert_within(PART, "UNMAP_GRANT_REF", few.unmap, many.unmap);
	assert_within(WHOLE, "to unmap", few.munmap + few.unmap,
	    many.munmap + many.unmap);
}

static struct steps
alloc_steps_with(unsigned live)
{
	struct ioctl_gntdev_unmap_notify notify;
	uint64_t first, index;
	struct steps s;
	unsigned i;
	char *p;

	first = UINT64_MAX;
	for (i = 0; i < live; i += 10) {
		index = alloc(10);
		if (first == UINT64_MAX)
			first = index;
	}
	begin();
	alloc(5);
	s.map = steps();
	s.get_offset = 0;
	index = first + live / 2 * PAGE;
	begin();
	p = mmap_file(gntalloc, index, 3);
	s.mmap = steps();
	memset(&notify, 0, sizeof(notify));
	notify.index = index + PAGE;
	begin();
	assert_int_equal(call(gntalloc, 7, &notify), 0);
	s.notify = steps();
	begin();
	unmap_pages(p, 3);
	s.munmap = steps();
	begin();
	dealloc(index, 3);
	s.unmap = steps();
	harness_close(gntalloc);
	assert_int_equal(harness_open("xen/gntalloc",
			     HARNESS_FREAD | HARNESS_FWRITE, &gntalloc),
	    0);
	return (s);
}

static void
test_many_grefs(void **state)
{
	struct steps few, many;
	unsigned limit, old;

	(void)state;
	limit = 2 * MANY;
	assert_int_equal(harness_sysctl("hw.xen.gntalloc.limit", &limit, &old),
	    0);
	few = alloc_steps_with(FEW);
	many = alloc_steps_with(MANY);
	assert_int_equal(harness_sysctl("hw.xen.gntalloc.limit", &old, NULL),
	    0);
	assert_within(PART, "ALLOC_GREF", few.map, many.map);
	assert_within(PART, "gntalloc's mmap", few.mmap, many.mmap);
	assert_within(PART, "gntalloc's SET_UNMAP_NOTIFY", few.notify,
	    many.notify);
	assert_within(PART, "gntalloc's munmap", few.munmap, many.munmap);
	assert_within(PART, "DEALLOC_GREF", few.unmap, many.unmap);
}

static int
start(void **state)
{
	char request[64];
	unsigned i;

	(void)state;
	assert_int_equal(harness_open("xen/gntdev",
			     HARNESS_FREAD | HARNESS_FWRITE, &gntdev),
	    0);
	assert_int_equal(harness_open("xen/gntalloc",
			     HARNESS_FREAD | HARNESS_FWRITE, &gntalloc),
	    0);
	harness_tasks_manual(true);
	ask_peer("new pages=16 frames=2", "ok");
	for (i = 0; i < REFS; i++) {
		snprintf(request, sizeof(request), "grant %u %u 0x1", REF + i,
		    i % 16);
		ask_peer(request, "ok");
	}
	return (0);
}

static int
finish(void **state)
{

	(void)state;
	harness_close(gntdev);
	harness_close(gntalloc);
	assert_int_equal(harness_unload(), 0);
	ask_peer("destroy", "ok");
	return (0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_map_and_unmap),
		cmocka_unit_test(test_steady_state),
		cmocka_unit_test(test_copy),
		cmocka_unit_test(test_alloc),
		cmocka_unit_test(test_many_maps),
		cmocka_unit_test(test_many_grefs),
	};

	return (cmocka_run_group_tests(tests, start, finish));
}
