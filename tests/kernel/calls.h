/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Shared by the tests of the driver on the harness: a helper domain with 16
 * granted pages, both nodes open, and the ioctls as functions.  Include it
 * once, before anything else.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include <xen/xen.h>
#include <xen/grant_table.h>
#include <xen/event_channel.h>
#include <xen/gntalloc.h>
#include <xen/gntdev.h>

#include "ask_peer.h"
#include "harness.h"
#include "xen/model.h"

#define	PAGE	4096ul
#define	READ	HARNESS_PROT_READ
#define	RW	(HARNESS_PROT_READ | HARNESS_PROT_WRITE)
#define	DOMU	512u
#define	REF	8u			/* references REF to REF + 15 */
#define	MAPPED	0x18u			/* GTF_reading, GTF_writing */

#define	SHARED	static __attribute__((unused))

SHARED struct file *gntdev, *gntalloc;

SHARED int
call(struct file *fp, unsigned nr, void *arg)
{

	return (harness_ioctl(fp, HARNESS_IO('G', nr), (uintptr_t)arg));
}

SHARED struct file *
reopen(const char *name)
{
	struct file *fp;

	assert_int_equal(harness_open(name, HARNESS_FREAD | HARNESS_FWRITE,
			     &fp),
	    0);
	return (fp);
}

SHARED void __attribute__((format(printf, 2, 3)))
peer(const char *expected, const char *fmt, ...)
{
	char request[256], reply[256];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(request, sizeof(request), fmt, ap);
	va_end(ap);
	assert_int_equal(harness_peer(request, reply, sizeof(reply)), 0);
	assert_string_equal(reply, expected);
}

SHARED unsigned
peer_flags(unsigned ref)
{
	char request[64], reply[256];
	unsigned flags;

	snprintf(request, sizeof(request), "entry %u", ref);
	assert_int_equal(harness_peer(request, reply, sizeof(reply)), 0);
	assert_int_equal(sscanf(reply, "ok flags=%x", &flags), 1);
	return (flags);
}

SHARED int
try_map(struct file *fp, unsigned domid, unsigned ref, unsigned count,
    uint64_t *index)
{
	struct {
		struct ioctl_gntdev_map_grant_ref op;
		struct ioctl_gntdev_grant_ref more[63];
	} arg;
	unsigned i;
	int error;

	memset(&arg, 0xff, sizeof(arg));
	arg.op.count = count;
	for (i = 0; i < count && i < 64; i++) {
		(&arg.op.refs[0])[i].domid = domid;
		(&arg.op.refs[0])[i].ref = ref + i;
	}
	error = call(fp, 0, &arg);
	*index = arg.op.index;
	return (error);
}

SHARED uint64_t
map(struct file *fp, unsigned ref, unsigned count)
{
	uint64_t index;

	assert_int_equal(try_map(fp, DOMU, ref, count, &index), 0);
	return (index);
}

SHARED int
unmap(struct file *fp, uint64_t index, unsigned count)
{
	struct ioctl_gntdev_unmap_grant_ref op = {
		.index = index, .count = count,
	};

	return (call(fp, 1, &op));
}

SHARED char *
mmap_at(struct file *fp, uint64_t index, size_t pages, int prot)
{
	char *p;

	assert_int_equal(harness_mmap(fp, NULL, pages * PAGE, prot,
	    HARNESS_MAP_SHARED, (int64_t)index, (void **)&p), 0);
	return (p);
}

SHARED void
unmap_pages(char *p, size_t pages)
{

	assert_int_equal(harness_munmap(p, pages * PAGE), 0);
}

SHARED uint64_t
alloc(struct file *fp, unsigned count, uint32_t *ids)
{
	struct {
		struct ioctl_gntalloc_alloc_gref op;
		uint32_t more[127];
	} arg;

	assert_in_range(count, 0, 128);
	memset(&arg, 0, sizeof(arg));
	arg.op.domid = DOMU;
	arg.op.flags = GNTALLOC_FLAG_WRITABLE;
	arg.op.count = count;
	assert_int_equal(call(fp, 5, &arg), 0);
	if (ids != NULL)
		memcpy(ids, arg.op.gref_ids, count * sizeof(ids[0]));
	return (arg.op.index);
}

SHARED int
dealloc(struct file *fp, uint64_t index, unsigned count)
{
	struct ioctl_gntalloc_dealloc_gref op = {
		.index = index, .count = count,
	};

	return (call(fp, 6, &op));
}

SHARED int
notify(struct file *fp, uint64_t index, uint32_t action, uint32_t port)
{
	struct ioctl_gntdev_unmap_notify op = {
		.index = index, .action = action, .event_channel_port = port,
	};

	return (call(fp, 7, &op));
}

SHARED unsigned
own_flags(unsigned ref)
{

	return (xen_domain_grant_entry(harness_domain(), ref)->flags);
}

SHARED int
setup(void **state)
{
	unsigned i;

	(void)state;
	gntdev = reopen("xen/gntdev");
	gntalloc = reopen("xen/gntalloc");
	peer("ok domid=512 pages=16 entries=512", "new pages=16 frames=1");
	for (i = 0; i < 16; i++)
		peer("ok", "grant %u %u 0x1", REF + i, i);
	return (0);
}

/* Nothing may be left in the driver, in Xen or in the kernel. */
SHARED int
teardown(void **state)
{
	struct harness_counts c;

	(void)state;
	harness_fail_hook = NULL;
	if (harness_teardown(false) != 0)
		return (-1);
	harness_counts(&c);
	peer("ok", "clear");		/* nothing is mapped any more */
	peer("ok", "destroy");
	return ((int)(c.allocs + c.pages + c.entries));
}

#define	TEST(f)	cmocka_unit_test_setup_teardown(f, setup, teardown)
