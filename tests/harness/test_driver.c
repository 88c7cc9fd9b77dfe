/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The driver's own sources, linked directly.  Repeats under the sanitizers what
 * the parity cases do through the preload library, and adds what only the
 * harness can do: failing resources, a peer that keeps a page mapped.  Every
 * test ends with an unload that must leave nothing behind.
 */
#include "../kernel/calls.h"

#include <pthread.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

static int
try_mmap(struct file *fp, uint64_t index, size_t pages, int prot, char **p)
{

	return (harness_mmap(fp, NULL, pages * PAGE, prot, HARNESS_MAP_SHARED,
	    (int64_t)index, (void **)p));
}

/* ids has room for count + 1. */
static int
try_alloc(struct file *fp, unsigned domid, unsigned flags, unsigned count,
    uint64_t *index, uint32_t *ids)
{
	struct {
		struct ioctl_gntalloc_alloc_gref op;
		uint32_t more[64];
	} arg;
	int error;

	memset(&arg, 0, sizeof(arg));
	arg.op.domid = (uint16_t)domid;
	arg.op.flags = (uint16_t)flags;
	arg.op.count = count;
	error = call(fp, 5, &arg);
	*index = arg.op.index;
	if (error == 0 && ids != NULL)
		memcpy(ids, (char *)&arg +
		    offsetof(struct ioctl_gntalloc_alloc_gref, gref_ids),
		    count * sizeof(ids[0]));
	return (error);
}

static uint64_t
alloc_for(unsigned domid, unsigned flags, unsigned count, uint32_t *ids)
{
	uint64_t index;

	assert_int_equal(try_alloc(gntalloc, domid, flags, count, &index, ids),
	    0);
	return (index);
}

/* gntdev. */

/* Rows M2, M3, M7 and the index rule of 2.2. */
static void
test_map_indices(void **state)
{
	uint64_t index;

	(void)state;
	assert_int_equal(try_map(gntdev, DOMU, REF, 0, &index), EINVAL);
	assert_int_equal(map(gntdev, REF, 3), 0);
	assert_int_equal(map(gntdev, REF, 2), 3 * PAGE);
	assert_int_equal(map(gntdev, REF, 1), 5 * PAGE);
	/* A hole of exactly the size stays; a larger one is used. */
	assert_int_equal(unmap(gntdev, 3 * PAGE, 2), 0);
	assert_int_equal(map(gntdev, REF, 2), 6 * PAGE);
	assert_int_equal(map(gntdev, REF, 1), 3 * PAGE);
	/* No hypercall: bad values are not noticed here. */
	assert_int_equal(try_map(gntdev, 999, 1u << 30, 1, &index), 0);
	assert_int_equal(peer_flags(REF), 0x01);
}

/* Rows U2 to U7. */
static void
test_unmap_arguments(void **state)
{

	(void)state;
	assert_int_equal(map(gntdev, REF, 3), 0);
	assert_int_equal(unmap(gntdev, PAGE, 1), ENOENT);
	assert_int_equal(unmap(gntdev, 0, 2), ENOENT);
	assert_int_equal(unmap(gntdev, 0xfff, 3), 0);
	assert_int_equal(unmap(gntdev, 0, 3), ENOENT);
	assert_int_equal(map(gntdev, REF, 3), 0);
	assert_int_equal(unmap(gntdev, 0, 0), 0);
}

static void
test_map_and_unmap(void **state)
{
	struct xen_counters before, after;
	uint64_t index;
	char *p;

	(void)state;
	peer("ok", "write 1 0 48656c6c6f00");
	index = map(gntdev, REF, 4);
	xen_domain_counters(harness_domain(), &before);
	p = mmap_at(gntdev, index, 4, RW);
	xen_domain_counters(harness_domain(), &after);
	/* One hypercall for any number of pages. */
	assert_int_equal(after.hypercalls - before.hypercalls, 1);
	assert_int_equal(after.maps_live, 4);
	assert_int_equal(peer_flags(REF), 0x19);
	assert_int_equal(peer_flags(REF + 3), 0x19);
	assert_string_equal(p + PAGE, "Hello");
	strcpy(p + 3 * PAGE + 100, "back");
	peer("ok data=6261636b", "read 3 100 4");
	/* munmap alone unmaps no grant (row V1). */
	unmap_pages(p, 4);
	assert_int_equal(peer_flags(REF), 0x19);
	xen_domain_counters(harness_domain(), &before);
	assert_int_equal(unmap(gntdev, index, 4), 0);
	xen_domain_counters(harness_domain(), &after);
	assert_int_equal(after.hypercalls - before.hypercalls, 1);
	assert_int_equal(peer_flags(REF), 0x01);
	assert_int_equal(peer_flags(REF + 3), 0x01);
}

/* Row U6. */
static void
test_unmap_while_mapped(void **state)
{
	char *p;

	(void)state;
	p = mmap_at(gntdev, map(gntdev, REF, 2), 2, RW);
	assert_int_equal(unmap(gntdev, 0, 2), 0);
	assert_int_equal(peer_flags(REF), 0x19);
	p[0] = 1;
	/* The index is free for others meanwhile. */
	assert_int_equal(map(gntdev, REF + 2, 1), 0);
	unmap_pages(p, 2);
	assert_int_equal(peer_flags(REF), 0x01);
}

/* Row V2. */
static void
test_partial_munmap(void **state)
{
	char *p;

	(void)state;
	p = mmap_at(gntdev, map(gntdev, REF, 4), 4, RW);
	assert_int_equal(unmap(gntdev, 0, 4), 0);
	unmap_pages(p + PAGE, 1);
	unmap_pages(p + 3 * PAGE, 1);
	p[0] = p[2 * PAGE] = 1;
	unmap_pages(p, 1);
	assert_int_equal(peer_flags(REF + 1), 0x19);
	p[2 * PAGE] = 2;
	unmap_pages(p + 2 * PAGE, 1);
	assert_int_equal(peer_flags(REF), 0x01);
	assert_int_equal(peer_flags(REF + 2), 0x01);
}

/* Row O9: nothing is released while a mapping of the file exists, then all. */
static void
test_close_with_mapping(void **state)
{
	struct file *fp;
	char *p, *q;

	(void)state;
	assert_int_equal(harness_open("xen/gntdev",
			     HARNESS_FREAD | HARNESS_FWRITE, &fp),
	    0);
	p = mmap_at(fp, map(fp, REF, 1), 1, RW);
	q = mmap_at(fp, map(fp, REF + 1, 1), 1, RW);
	map(fp, REF + 2, 1);
	unmap_pages(q, 1);
	harness_close(fp);
	assert_int_equal(peer_flags(REF), 0x19);
	assert_int_equal(peer_flags(REF + 1), 0x19);
	p[0] = 1;
	unmap_pages(p, 1);
	assert_int_equal(peer_flags(REF), 0x01);
	assert_int_equal(peer_flags(REF + 1), 0x01);
}

/* Row O8: without a mapping, everything is released at close. */
static void
test_close_without_mapping(void **state)
{
	struct file *fp;
	char *p;

	(void)state;
	assert_int_equal(harness_open("xen/gntdev",
			     HARNESS_FREAD | HARNESS_FWRITE, &fp),
	    0);
	p = mmap_at(fp, map(fp, REF, 2), 2, RW);
	unmap_pages(p, 2);
	assert_int_equal(peer_flags(REF), 0x19);
	harness_close(fp);
	assert_int_equal(peer_flags(REF), 0x01);
}

/* Rows P8 to P10, P14. */
static void
test_mmap_refusals(void **state)
{
	uint64_t index;
	char *p;

	(void)state;
	assert_int_equal(map(gntdev, REF, 3), 0);
	assert_int_equal(try_mmap(gntdev, PAGE, 2, RW, &p), EINVAL);
	assert_int_equal(try_mmap(gntdev, 0, 2, RW, &p), EINVAL);
	assert_int_equal(try_mmap(gntdev, 0, 4, RW, &p), EINVAL);
	p = mmap_at(gntdev, 0, 3, RW);
	assert_int_equal(try_mmap(gntdev, 0, 3, RW, &p), EINVAL);
	unmap_pages(p, 3);
	assert_int_equal(try_mmap(gntdev, 0, 3, RW, &p), EINVAL);
	/* One bad grant fails all; the good ones stay until UNMAP. */
	peer("ok", "flags %u 0", REF + 5);
	index = map(gntdev, REF + 4, 3);
	assert_int_equal(try_mmap(gntdev, index, 3, RW, &p), EINVAL);
	assert_int_equal(peer_flags(REF + 4), 0x19);
	assert_int_equal(peer_flags(REF + 6), 0x19);
	peer("ok", "flags %u 1", REF + 5);
	assert_int_equal(try_mmap(gntdev, index, 3, RW, &p), EINVAL);
	assert_int_equal(unmap(gntdev, index, 3), 0);
	assert_int_equal(peer_flags(REF + 4), 0x01);
	/* No such domain, no such reference, wrong grantee. */
	assert_int_equal(try_map(gntdev, 999, REF, 1, &index), 0);
	assert_int_equal(try_mmap(gntdev, index, 1, RW, &p), EINVAL);
	assert_int_equal(try_map(gntdev, DOMU, 512, 1, &index), 0);
	assert_int_equal(try_mmap(gntdev, index, 1, RW, &p), EINVAL);
	peer("ok", "grant %u 0 1 7", REF + 10);
	assert_int_equal(try_map(gntdev, DOMU, REF + 10, 1, &index), 0);
	assert_int_equal(try_mmap(gntdev, index, 1, RW, &p), EINVAL);
}

/* Row P12: without PROT_WRITE the grant is mapped read-only. */
static void
test_readonly(void **state)
{
	uint64_t index;
	char *p;

	(void)state;
	peer("ok", "grant %u 0 0x5", REF);
	index = map(gntdev, REF, 1);
	assert_int_equal(try_mmap(gntdev, index, 1, RW, &p), EINVAL);
	index = map(gntdev, REF, 1);
	p = mmap_at(gntdev, index, 1, HARNESS_PROT_READ);
	assert_int_equal(peer_flags(REF), 0x0d);
	peer("ok", "write 0 0 61");
	assert_int_equal(p[0], 'a');
	/* Row V4: allowed, but nothing reaches the granter. */
	assert_int_equal(harness_mprotect(p, PAGE, RW), 0);
	p[0] = 'b';
	peer("ok data=61", "read 0 0 1");
	unmap_pages(p, 1);
}

/* Row P15: retried for a while, then given up. */
static void
test_eagain(void **state)
{
	struct harness_counts before, after;
	struct xen_domain *other;
	struct xen_domain_config c = {
		.domid = 40, .grant_frames = 1, .max_grant_frames = 1,
	};
	grant_entry_v1_t *e;
	uint64_t index;
	char *p;

	(void)state;
	assert_int_equal(xen_domain_create(harness_machine(), &c, &other), 0);
	assert_int_equal(xen_domain_populate(other, 0x100), 0);
	e = xen_domain_grant_entry(other, REF);
	e->frame = 0x100;
	e->flags = GTF_permit_access;
	assert_int_equal(xen_domain_page_out(other, 0x100, 5), 0);
	harness_counts(&before);
	assert_int_equal(try_map(gntdev, 40, REF, 1, &index), 0);
	p = mmap_at(gntdev, index, 1, RW);
	harness_counts(&after);
	assert_int_equal(after.pauses - before.pauses, 5);
	assert_int_equal(after.paused_ms - before.paused_ms, 1 + 2 + 3 + 4 + 5);
	unmap_pages(p, 1);
	assert_int_equal(unmap(gntdev, index, 1), 0);
	/* Never paged in: 1 + … + 255 ms. */
	assert_int_equal(xen_domain_page_out(other, 0x100, -1u), 0);
	harness_counts(&before);
	assert_int_equal(try_map(gntdev, 40, REF, 1, &index), 0);
	assert_int_equal(try_mmap(gntdev, index, 1, RW, &p), EINVAL);
	harness_counts(&after);
	assert_int_equal(after.paused_ms - before.paused_ms, 255 * 256 / 2);
	assert_int_equal(unmap(gntdev, index, 1), 0);
	xen_domain_destroy(other);
}

static int
get_offset(struct file *fp, const void *addr, uint64_t *offset, uint32_t *count)
{
	struct ioctl_gntdev_get_offset_for_vaddr op = {
		.vaddr = (uintptr_t)addr,
	};
	int error;

	error = call(fp, 2, &op);
	*offset = op.offset;
	*count = op.count;
	return (error);
}

/* Rows G2 to G8. */
static void
test_get_offset(void **state)
{
	uint64_t index, offset;
	uint32_t count;
	char *mem, *p, *q;
	void *at;

	(void)state;
	map(gntdev, REF, 2);
	index = map(gntdev, REF, 3);
	p = mmap_at(gntdev, index, 3, RW);
	assert_int_equal(get_offset(gntdev, p + 5000, &offset, &count), 0);
	assert_int_equal(offset, index);
	assert_int_equal(count, 3);
	unmap_pages(p + PAGE, 1);
	assert_int_equal(get_offset(gntdev, p + 2 * PAGE, &offset, &count), 0);
	assert_int_equal(count, 3);
	assert_int_equal(unmap(gntdev, index, 0), 0);
	assert_int_equal(get_offset(gntdev, p, &offset, &count), 0);
	assert_int_equal(offset, index);
	unmap_pages(p, 1);
	unmap_pages(p + 2 * PAGE, 1);
	/* Ordinary memory, and mappings of gntalloc. */
	assert_int_equal(get_offset(gntdev, &count, &offset, &count), EINVAL);
	q = mmap_at(gntalloc, alloc_for(1, 1, 1, NULL), 1, RW);
	assert_int_equal(get_offset(gntdev, q, &offset, &count), EINVAL);
	unmap_pages(q, 1);
	/* A hole right below a mapping; then ordinary memory in it. */
	mem = mmap(NULL, 2 * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
	    0);
	index = map(gntdev, REF + 4, 1);
	assert_int_equal(harness_mmap(gntdev, mem + PAGE, PAGE, RW,
	    HARNESS_MAP_SHARED | HARNESS_MAP_FIXED, (int64_t)index, &at), 0);
	assert_int_equal(get_offset(gntdev, mem, &offset, &count), EINVAL);
	munmap(mem, PAGE);
	assert_int_equal(get_offset(gntdev, mem, &offset, &count), 0);
	assert_int_equal(offset, index);
	unmap_pages(mem + PAGE, 1);
}

/* gntalloc. */

/* Rows A7, A8, A11 and the index rule of 2.10. */
static void
test_alloc(void **state)
{
	uint32_t ids[4];
	uint64_t index;
	size_t i;
	char *p;

	(void)state;
	assert_int_equal(alloc_for(DOMU, GNTALLOC_FLAG_WRITABLE, 3, ids), 0);
	assert_int_equal(own_flags(ids[0]), GTF_permit_access);
	assert_int_equal(xen_domain_grant_entry(harness_domain(), ids[2])
			     ->domid,
	    DOMU);
	assert_int_equal(alloc_for(1, 0, 1, ids), 3 * PAGE);
	assert_int_equal(own_flags(ids[0]), GTF_permit_access | GTF_readonly);
	assert_int_equal(alloc_for(1, 0, 0, ids), 4 * PAGE);
	p = mmap_at(gntalloc, PAGE, 3, RW);
	for (i = 0; i < 3 * PAGE; i++)
		assert_int_equal(p[i], 0);
	unmap_pages(p, 3);
	/* Never again, even after dealloc. */
	assert_int_equal(dealloc(gntalloc, 3 * PAGE, 1), 0);
	index = alloc_for(1, 0, 1, NULL);
	assert_int_equal(index, 4 * PAGE);
}

/* Rows B4 to B6. */
static void
test_alloc_mmap(void **state)
{
	char *p, *q;

	(void)state;
	alloc_for(DOMU, 0, 2, NULL);
	alloc_for(DOMU, 0, 2, NULL);
	assert_int_equal(try_mmap(gntalloc, 0, 5, RW, &p), ENOENT);
	assert_int_equal(try_mmap(gntalloc, 4 * PAGE, 1, RW, &p), ENOENT);
	p = mmap_at(gntalloc, PAGE, 2, RW);
	q = mmap_at(gntalloc, 0, 4, RW);
	strcpy(p + PAGE, "twice");
	assert_string_equal(q + 2 * PAGE, "twice");
	unmap_pages(p, 2);
	assert_string_equal(q + 2 * PAGE, "twice");
	unmap_pages(q, 4);
}

/* Rows D2 to D8. */
static void
test_dealloc(void **state)
{
	struct harness_counts c;
	uint32_t ids[6];
	char *p;

	(void)state;
	alloc_for(DOMU, 0, 3, ids);
	alloc_for(DOMU, 0, 3, NULL);
	assert_int_equal(dealloc(gntalloc, 8, 1), EINVAL);
	assert_int_equal(dealloc(gntalloc, 0, 0), EINVAL);
	assert_int_equal(dealloc(gntalloc, 0, 7), EINVAL);
	assert_int_equal(dealloc(gntalloc, 2 * PAGE, 2), 0);
	assert_int_equal(dealloc(gntalloc, 2 * PAGE, 1), EINVAL);
	assert_int_equal(dealloc(gntalloc, PAGE, 2), EINVAL);
	harness_counts(&c);
	assert_int_equal(c.grants, 4);
	assert_int_equal(c.pages, 4);
	/* Mapped: it leaves the file only (row D7). */
	p = mmap_at(gntalloc, 0, 1, RW);
	assert_int_equal(dealloc(gntalloc, 0, 1), 0);
	assert_int_equal(own_flags(ids[0]), GTF_permit_access | GTF_readonly);
	p[0] = 1;
	unmap_pages(p, 1);
	assert_int_equal(own_flags(ids[0]), 0);
}

/* Rows B11, B12: each piece holds its whole mmap, and the file. */
static void
test_alloc_lifetimes(void **state)
{
	struct harness_counts c;
	struct file *fp;
	uint64_t index;
	char *p;

	(void)state;
	assert_int_equal(harness_open("xen/gntalloc",
			     HARNESS_FREAD | HARNESS_FWRITE, &fp),
	    0);
	assert_int_equal(try_alloc(fp, DOMU, 1, 4, &index, NULL), 0);
	p = mmap_at(fp, 0, 3, RW);
	unmap_pages(p + PAGE, 2);
	assert_int_equal(dealloc(fp, 0, 3), 0);
	harness_close(fp);
	harness_counts(&c);
	assert_int_equal(c.pages, 4);
	p[0] = 1;
	unmap_pages(p, 1);
	harness_counts(&c);
	assert_int_equal(c.pages, 0);
	assert_int_equal(c.grants, 0);
}

/* Row A3. */
static void
test_limit(void **state)
{
	unsigned old, four = 4;
	uint64_t index;

	(void)state;
	assert_int_equal(harness_sysctl("hw.xen.gntalloc.limit", &four, &old),
	    0);
	assert_int_equal(try_alloc(gntalloc, DOMU, 0, 5, &index, NULL),
	    ENOSPC);
	assert_int_equal(alloc_for(DOMU, 0, 3, NULL), 0);
	assert_int_equal(try_alloc(gntalloc, DOMU, 0, 2, &index, NULL),
	    ENOSPC);
	assert_int_equal(alloc_for(DOMU, 0, 1, NULL), 3 * PAGE);
	assert_int_equal(dealloc(gntalloc, 0, 2), 0);
	assert_int_equal(alloc_for(DOMU, 0, 2, NULL), 4 * PAGE);
	assert_int_equal(harness_sysctl("hw.xen.gntalloc.limit", &old, NULL),
	    0);
}

/* Row 2.14: the page stays while the peer maps it, and goes afterwards. */
static void
test_peer_keeps_page(void **state)
{
	struct xen_domain_config c = {
		.domid = 41, .maptrack_frames = 1,
	};
	struct gnttab_map_grant_ref map_op;
	struct gnttab_unmap_grant_ref unmap_op;
	struct xen_domain *other;
	struct harness_counts n;
	uint32_t id = 0;
	char *p;

	(void)state;
	assert_int_equal(xen_domain_create(harness_machine(), &c, &other), 0);
	p = mmap_at(gntalloc, alloc_for(41, GNTALLOC_FLAG_WRITABLE, 1, &id), 1,
	    RW);
	memset(&map_op, 0, sizeof(map_op));
	map_op.host_addr = 0x5000 * PAGE;
	map_op.flags = GNTMAP_host_map;
	map_op.ref = id;
	assert_int_equal(xen_grant_table_op(other, GNTTABOP_map_grant_ref,
	    &map_op, 1), 0);
	assert_int_equal(map_op.status, GNTST_okay);
	strcpy(p, "for the peer");
	assert_string_equal(xen_domain_page(other, 0x5000), "for the peer");
	assert_int_equal(dealloc(gntalloc, 0, 1), 0);
	unmap_pages(p, 1);
	assert_int_equal(own_flags(id), 0x19);
	assert_int_equal(harness_run_tasks(), 1);
	harness_counts(&n);
	assert_int_equal(n.pages, 1);
	assert_string_equal(xen_domain_page(other, 0x5000), "for the peer");
	memset(&unmap_op, 0, sizeof(unmap_op));
	unmap_op.host_addr = map_op.host_addr;
	unmap_op.handle = map_op.handle;
	assert_int_equal(xen_grant_table_op(other, GNTTABOP_unmap_grant_ref,
	    &unmap_op, 1), 0);
	assert_int_equal(harness_run_tasks(), 1);
	harness_counts(&n);
	assert_int_equal(n.pages, 0);
	assert_int_equal(harness_run_tasks(), 0);
	xen_domain_destroy(other);
}

/* Grant copy over one's own references (row C17). */

static struct gntdev_grant_copy_segment
from_ref(uint32_t ref, unsigned off, void *to, unsigned len)
{
	struct gntdev_grant_copy_segment s;

	memset(&s, 0, sizeof(s));
	s.source.foreign.ref = ref;
	s.source.foreign.offset = (uint16_t)off;
	s.source.foreign.domid = 0;
	s.dest.virt = to;
	s.len = (uint16_t)len;
	s.flags = GNTCOPY_source_gref;
	s.status = 99;
	return (s);
}

static int
copy(struct gntdev_grant_copy_segment *segments, unsigned n)
{
	struct ioctl_gntdev_grant_copy op = {
		.count = n, .segments = segments,
	};

	return (call(gntdev, 8, &op));
}

static void
test_copy(void **state)
{
	static char buf[3 * PAGE] __attribute__((aligned(4096)));
	struct gntdev_grant_copy_segment s[40];
	uint32_t id = 0;
	char *page, *grants;
	unsigned i;

	(void)state;
	page = mmap_at(gntalloc, alloc_for(0, 0, 1, &id), 1, RW);
	for (i = 0; i < PAGE; i++)
		page[i] = (char)(i * 7 + 1);
	/* Over a page boundary: two operations. */
	s[0] = from_ref(id, 0, buf + 1000, PAGE);
	assert_int_equal(copy(s, 1), 0);
	assert_int_equal(s[0].status, GNTST_okay);
	assert_memory_equal(buf + 1000, page, PAGE);
	/* More than two batches; one failure does not stop the others. */
	memset(buf, 0, sizeof(buf));
	for (i = 0; i < 40; i++)
		s[i] = from_ref(i == 20 ? 500 : id, i, buf + 3 * i, 2);
	assert_int_equal(copy(s, 40), 0);
	for (i = 0; i < 40; i++) {
		assert_int_equal(s[i].status, i == 20 ? GNTST_general_error :
		    GNTST_okay);
		if (i != 20)
			assert_memory_equal(buf + 3 * i, page + i, 2);
	}
	/* A mapped grant cannot be a copy's local side (row C14). */
	grants = mmap_at(gntdev, map(gntdev, REF, 1), 1, RW);
	s[0] = from_ref(id, 0, grants, 8);
	assert_int_equal(copy(s, 1), 0);
	assert_int_equal(s[0].status, GNTST_bad_page);
	unmap_pages(grants, 1);
	/* A granted page of our own can. */
	s[0] = from_ref(id, 0, page + 2048, 8);
	assert_int_equal(copy(s, 1), 0);
	assert_int_equal(s[0].status, GNTST_okay);
	assert_memory_equal(page + 2048, page, 8);
	/* Read-only for writers. */
	s[0] = from_ref(id, 0, buf, 8);
	memset(&s[0].dest, 0, sizeof(s[0].dest));
	s[0].dest.foreign.ref = id;
	s[0].source.virt = buf;
	s[0].flags = GNTCOPY_dest_gref;
	assert_int_equal(copy(s, 1), 0);
	assert_int_equal(s[0].status, GNTST_general_error);
	s[0] = from_ref(id, 0, NULL, 8);
	assert_int_equal(copy(s, 1), EFAULT);
	unmap_pages(page, 1);
}

/* Shortages: the right errno, and nothing is left over. */

static struct {
	enum harness_fail	kind;
	int		after;		/* so many go well first */
} fail_plan;

static bool
fail_by_plan(enum harness_fail kind)
{

	return (kind == fail_plan.kind && fail_plan.after-- <= 0);
}

static void
fail_at(enum harness_fail kind, int after)
{

	fail_plan.kind = kind;
	fail_plan.after = after;
	harness_fail_hook = fail_by_plan;
}

static void
test_shortages(void **state)
{
	struct harness_counts c;
	uint64_t index;
	char *p;

	(void)state;
	fail_at(HARNESS_FAIL_XENMEM, 0);
	assert_int_equal(try_map(gntdev, DOMU, REF, 1, &index), ENOMEM);
	harness_fail_hook = NULL;
	/* The copy of refs fails (row M5), the copy-back (row M6). */
	fail_at(HARNESS_FAIL_COPYIN, 1);
	assert_int_equal(try_map(gntdev, DOMU, REF, 1, &index), EFAULT);
	fail_at(HARNESS_FAIL_COPYOUT, 0);
	assert_int_equal(try_map(gntdev, DOMU, REF, 2, &index), EFAULT);
	harness_fail_hook = NULL;
	assert_int_equal(map(gntdev, REF, 1), 0);
	/* The object cannot be made when the grants are already mapped. */
	fail_at(HARNESS_FAIL_PAGER, 0);
	assert_int_equal(try_mmap(gntdev, 0, 1, RW, &p), ENOMEM);
	harness_fail_hook = NULL;
	assert_int_equal(unmap(gntdev, 0, 0), 0);
	assert_int_equal(peer_flags(REF), 0x01);
	/* What was made is freed; the index is spent. */
	fail_at(HARNESS_FAIL_PAGE, 2);
	assert_int_equal(try_alloc(gntalloc, DOMU, 0, 4, &index, NULL),
	    ENOMEM);
	fail_at(HARNESS_FAIL_GRANT, 0);
	assert_int_equal(try_alloc(gntalloc, DOMU, 0, 4, &index, NULL),
	    ENOSPC);
	harness_fail_hook = NULL;
	harness_counts(&c);
	assert_int_equal(c.pages, 0);
	assert_int_equal(c.grants, 0);
	/* All references of a request are taken at once. */
	fail_at(HARNESS_FAIL_GRANT, 1);
	assert_int_equal(alloc_for(DOMU, 0, 4, NULL), 8 * PAGE);
	fail_at(HARNESS_FAIL_PAGER, 0);
	assert_int_equal(try_mmap(gntalloc, 8 * PAGE, 1, RW, &p), ENOMEM);
	harness_fail_hook = NULL;
}

/* An open that fails half-way. */
static void
test_open_fails(void **state)
{
	struct file *fp;

	(void)state;
	fail_at(HARNESS_FAIL_CDEVPRIV, 0);
	assert_int_equal(harness_open("xen/gntdev", HARNESS_FREAD, &fp),
	    ENOMEM);
	assert_int_equal(harness_open("xen/gntalloc", HARNESS_FREAD, &fp),
	    ENOMEM);
	harness_fail_hook = NULL;
}

/* An unmap that Xen refuses: its slot is never used again. */
static void
test_unmap_fails(void **state)
{
	unsigned leaked;
	char *p;

	(void)state;
	p = mmap_at(gntdev, map(gntdev, REF, 1), 1, RW);
	unmap_pages(p, 1);
	fail_at(HARNESS_FAIL_HYPERCALL, 0);
	assert_int_equal(unmap(gntdev, 0, 0), 0);
	harness_fail_hook = NULL;
	assert_int_equal(harness_sysctl("hw.xen.gntdev.slots.leaked", NULL,
	    &leaked), 0);
	assert_int_equal(leaked, 1);
	/* The model aborts if the slot comes back. */
	p = mmap_at(gntdev, map(gntdev, REF + 1, 1), 1, RW);
	unmap_pages(p, 1);
}

static int
teardown_leaky(void **state)
{

	(void)state;
	/* Xen keeps the grant for good; the address range stays ours. */
	if (harness_teardown(false) == 0)
		return (-1);
	peer("ok", "destroy");
	return (0);
}

/* Several threads on one file and on their own. */

struct worker {
	pthread_t	thread;
	unsigned	seed;
	struct file	*shared;
	const char	*wrong;
};

static void *
worker(void *arg)
{
	struct worker *w = arg;
	struct file *fp, *al;
	unsigned count, i, ref;
	uint64_t index;
	char *p;

	for (i = 0; i < 150 && w->wrong == NULL; i++) {
		w->seed = w->seed * 1103515245 + 12345;
		count = 1 + (w->seed >> 16) % 4;
		ref = REF + (w->seed >> 20) % 12;
		fp = w->shared;
		if ((w->seed >> 25) % 2 == 0 && harness_open("xen/gntdev",
		    HARNESS_FREAD | HARNESS_FWRITE, &fp) != 0)
			w->wrong = "open";
		if (try_map(fp, DOMU, ref, count, &index) != 0)
			w->wrong = "map";
		else if (try_mmap(fp, index, count, RW, &p) != 0)
			w->wrong = "mmap";
		else {
			p[count * PAGE - 1] = 1;
			if ((w->seed >> 26) % 2 == 0 &&
			    harness_munmap(p, count * PAGE) != 0)
				w->wrong = "munmap";
			if (unmap(fp, index, count) != 0)
				w->wrong = "unmap";
			if ((w->seed >> 26) % 2 != 0 &&
			    harness_munmap(p, count * PAGE) != 0)
				w->wrong = "munmap";
		}
		if (fp != w->shared)
			harness_close(fp);
		if (harness_open("xen/gntalloc", HARNESS_FREAD | HARNESS_FWRITE,
		    &al) != 0 ||
		    try_alloc(al, DOMU, 0, count, &index, NULL) != 0 ||
		    try_mmap(al, index, count, RW, &p) != 0)
			w->wrong = "alloc";
		else {
			if (p[0] != 0)
				w->wrong = "page not zero";
			p[0] = 1;
			harness_close(al);
			if (harness_munmap(p, count * PAGE) != 0)
				w->wrong = "munmap";
		}
	}
	return (NULL);
}

static void
test_threads(void **state)
{
	struct worker w[4];
	struct harness_counts c;
	unsigned i;

	(void)state;
	for (i = 0; i < 4; i++) {
		w[i].seed = i * 7919 + 1;
		w[i].shared = gntdev;
		w[i].wrong = NULL;
		assert_int_equal(pthread_create(&w[i].thread, NULL, worker,
		    &w[i]), 0);
	}
	for (i = 0; i < 4; i++) {
		pthread_join(w[i].thread, NULL);
		if (w[i].wrong != NULL)
			fail_msg("thread %u: %s", i, w[i].wrong);
	}
	for (i = 0; i < 16; i++)
		assert_int_equal(peer_flags(REF + i), 0x01);
	harness_counts(&c);
	assert_int_equal(c.grants, 0);
	assert_int_equal(c.entries, 0);
}

/* Row O13. */
static void
test_busy_module_stays(void **state)
{
	struct harness_counts c;
	struct file *fp;
	char *p;

	(void)state;
	assert_int_equal(harness_unload(), EBUSY);
	harness_close(gntalloc);
	/* The mapping holds its file, and so the module. */
	p = mmap_at(gntdev, map(gntdev, REF, 1), 1, RW);
	harness_close(gntdev);
	assert_int_equal(harness_unload(), EBUSY);
	unmap_pages(p, 1);
	harness_counts(&c);
	assert_int_equal(c.files, 0);
	assert_int_equal(harness_unload(), 0);
	assert_int_equal(harness_unload(), ENOENT);
	/* It loads again, and the end of a process closes what is open. */
	assert_int_equal(harness_open("xen/gntdev", HARNESS_FREAD, &fp), 0);
	assert_int_equal(harness_teardown(false), 0);
	assert_false(harness_loaded());
	assert_int_equal(harness_open("xen/gntdev", HARNESS_FREAD, &fp), 0);
	assert_true(harness_loaded());
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_map_indices),
		TEST(test_unmap_arguments),
		TEST(test_map_and_unmap),
		TEST(test_unmap_while_mapped),
		TEST(test_partial_munmap),
		TEST(test_close_with_mapping),
		TEST(test_close_without_mapping),
		TEST(test_mmap_refusals),
		TEST(test_readonly),
		TEST(test_eagain),
		TEST(test_get_offset),
		TEST(test_alloc),
		TEST(test_alloc_mmap),
		TEST(test_dealloc),
		TEST(test_alloc_lifetimes),
		TEST(test_limit),
		TEST(test_peer_keeps_page),
		TEST(test_copy),
		TEST(test_shortages),
		TEST(test_open_fails),
		TEST(test_threads),
		TEST(test_busy_module_stays),
		/* The last test: what it leaves behind is permanent. */
		cmocka_unit_test_setup_teardown(test_unmap_fails, setup,
		    teardown_leaky),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
