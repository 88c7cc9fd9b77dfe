/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The commands of FreeBSD's own gntdev on our node, and limits set by an
 * administrator.
 */
#include "calls.h"

/* The values that programs built on FreeBSD send. */
#define	E_NOTIFY	0x80104500ul
#define	E_ALLOC		0xc0184501ul
#define	E_DEALLOC	0x80104502ul
#define	E_MAP		0xc0184503ul
#define	E_UNMAP		0x80104504ul
#define	E_OFFSET	0xc0184505ul

struct e_map {
	uint32_t count, pad;
	uint64_t index;
	const struct ioctl_gntdev_grant_ref *refs;
};

struct e_alloc {
	uint16_t domid, flags;
	uint32_t count;
	uint64_t index;
	uint32_t *ids;
};

static int
e_call(struct file *fp, unsigned long word, void *arg)
{

	return (harness_ioctl(fp, word, (uintptr_t)arg));
}

static void
test_base_map(void **state)
{
	struct ioctl_gntdev_grant_ref refs[2] = { { DOMU, REF },
		{ DOMU, REF + 1 } };
	struct ioctl_gntdev_get_offset_for_vaddr where = { .count = 99 };
	struct ioctl_gntdev_unmap_grant_ref gone = { .count = 2 };
	struct e_map op = { .count = 2, .index = 77, .refs = refs };
	uint64_t ours;
	char *p;

	(void)state;
	assert_int_equal(e_call(gntdev, E_MAP, &op), 0);
	assert_int_equal(op.index, 0);
	/* Both kinds of commands share one list of maps. */
	ours = map(gntdev, REF + 2, 1);
	assert_int_equal(ours, 2 * PAGE);
	p = mmap_at(gntdev, op.index, 2, RW);
	p[PAGE] = 'e';
	peer("ok data=65", "read 1 0 1");
	where.vaddr = (uintptr_t)p + PAGE;
	assert_int_equal(e_call(gntdev, E_OFFSET, &where), 0);
	assert_int_equal(where.offset, op.index);
	assert_int_equal(where.count, 2);
	unmap_pages(p, 2);
	gone.index = op.index;
	assert_int_equal(e_call(gntdev, E_UNMAP, &gone), 0);
	assert_int_equal(peer_flags(REF), 1);
	assert_int_equal(e_call(gntdev, E_UNMAP, &gone), ENOENT);
	assert_int_equal(e_call(gntdev, E_OFFSET, &where), EINVAL);
}

static void
test_base_map_errors(void **state)
{
	struct e_map op = { .count = 0 };

	(void)state;
	assert_int_equal(e_call(gntdev, E_MAP, &op), EINVAL);
	op.count = 1;
	op.refs = (void *)8;
	assert_int_equal(e_call(gntdev, E_MAP, &op), EFAULT);
	assert_int_equal(e_call(gntdev, E_MAP, (void *)8), EFAULT);
	op.count = 0xffffffff;
	assert_int_equal(e_call(gntdev, E_MAP, &op), EINVAL);
	/* Only gntdev has the commands, and no others are accepted. */
	assert_int_equal(e_call(gntalloc, E_MAP, &op), ENOTTY);
	assert_int_equal(e_call(gntdev, 0xc0184506ul, &op), ENOTTY);
	assert_int_equal(e_call(gntdev, 0xc0104503ul, &op), ENOTTY);
	assert_int_equal(call(gntdev, 5, &op), ENOTTY);
	assert_int_equal(sysctl("hw.xen.gntdev.maps"), 0);
}

static void
test_base_alloc(void **state)
{
	struct ioctl_gntalloc_dealloc_gref gone = { .count = 2 };
	struct ioctl_gntdev_unmap_notify op;
	struct e_alloc a, b;
	uint32_t ids[2], more[1], near, far;
	char *p;

	(void)state;
	a = (struct e_alloc){
		.domid = DOMU, .flags = 1, .count = 2, .ids = ids
	};
	b = (struct e_alloc){ .domid = DOMU, .count = 1, .ids = more };
	assert_int_equal(e_call(gntdev, E_ALLOC, &a), 0);
	assert_int_equal(e_call(gntdev, E_ALLOC, &b), 0);
	assert_int_equal(a.index, UINT64_C(1) << 40);
	assert_int_equal(b.index, a.index + 2 * PAGE);
	assert_int_equal(own_flags(ids[1]), GTF_permit_access);
	assert_int_equal(own_flags(more[0]),
	    GTF_permit_access | GTF_readonly);
	/* Maps have their own indices. */
	assert_int_equal(map(gntdev, REF, 1), 0);
	p = mmap_at(gntdev, a.index, 3, RW);
	p[2 * PAGE] = 'e';

	assert_int_equal(harness_loopback(&near, &far), 0);
	op = (struct ioctl_gntdev_unmap_notify){ .index = a.index + PAGE + 1,
	    .action = UNMAP_NOTIFY_SEND_EVENT, .event_channel_port = near };
	assert_int_equal(e_call(gntdev, E_NOTIFY, &op), 0);
	op.index = b.index + PAGE;
	assert_int_equal(e_call(gntdev, E_NOTIFY, &op), ENOENT);
	op.index = 0;
	op.action = 0;
	assert_int_equal(e_call(gntdev, E_NOTIFY, &op), 0);

	gone.index = a.index;
	assert_int_equal(e_call(gntdev, E_DEALLOC, &gone), 0);
	assert_int_equal(e_call(gntdev, E_DEALLOC, &gone), EINVAL);
	assert_false(harness_event_pending(far));
	unmap_pages(p, 3);
	assert_true(harness_event_take(far));
	assert_int_equal(own_flags(ids[0]), 0);
	/* The rest is released with the file. */
	harness_close(gntdev);
	assert_int_equal(own_flags(more[0]), 0);
	harness_port_close(near);
	harness_port_close(far);
}

static void
test_base_alloc_errors(void **state)
{
	struct e_alloc a = { .domid = DOMU, .count = 1, .ids = (void *)8 };
	void *p;

	(void)state;
	assert_int_equal(e_call(gntdev, E_ALLOC, &a), EFAULT);
	a.count = 1025;
	assert_int_equal(e_call(gntdev, E_ALLOC, &a), ENOSPC);
	/* An offset without a gref gives gntdev's errno, not gntalloc's. */
	assert_int_equal(harness_mmap(gntdev, NULL, PAGE, RW,
			     HARNESS_MAP_SHARED, (int64_t)1 << 41, &p),
	    EINVAL);
	assert_int_equal(harness_mmap(gntdev, NULL, PAGE, RW,
			     HARNESS_MAP_SHARED, -(int64_t)PAGE, &p),
	    EINVAL);
}

/* hw.xen.gntdev.slots.limit: how much a caller can make the kernel keep. */
static void
test_slots_limit(void **state)
{
	unsigned limit = 5, old;
	uint64_t a, b;

	(void)state;
	assert_int_equal(harness_sysctl("hw.xen.gntdev.slots.limit", &limit,
	    &old), 0);
	assert_int_equal(old, 1048576);
	assert_int_equal(try_map(gntdev, DOMU, REF, 6, &a), ENOMEM);
	assert_int_equal(sysctl("hw.xen.gntdev.slots.total"), 0);
	a = map(gntdev, REF, 5);
	/* It limits the pages in use, however many there are. */
	assert_int_equal(try_map(gntdev, DOMU, REF, 1, &b), ENOMEM);
	limit = 10;
	assert_int_equal(harness_sysctl("hw.xen.gntdev.slots.limit", &limit,
	    NULL), 0);
	b = map(gntdev, REF, 5);
	assert_int_equal(b, 5 * PAGE);
	limit = 9;
	assert_int_equal(harness_sysctl("hw.xen.gntdev.slots.limit", &limit,
	    NULL), 0);
	assert_int_equal(try_map(gntdev, DOMU, REF, 1, &a), ENOMEM);
	limit = 1024;
	assert_int_equal(harness_sysctl("hw.xen.gntdev.slots.limit", &limit,
	    NULL), 0);
	assert_int_equal(try_map(gntdev, DOMU, REF, 1015, &a), ENOMEM);
	assert_int_equal(sysctl("hw.xen.gntdev.slots.total"), 512);
	assert_int_equal(harness_sysctl("hw.xen.gntdev.slots.limit", &old,
			     NULL),
	    0);
	harness_close(gntdev);
	assert_int_equal(sysctl("hw.xen.gntdev.slots.free"), 512);
}

/* A process that is killed or exits leaves even the longest copy. */
static void
test_copy_killed(void **state)
{
	struct gntdev_grant_copy_segment segment = {
		.flags = GNTCOPY_source_gref, .status = 7,
	};
	struct ioctl_gntdev_grant_copy op = {
		.count = 1, .segments = &segment,
	};

	(void)state;
	harness_killed(true);
	assert_int_equal(call(gntdev, 8, &op), EINTR);
	assert_int_equal(segment.status, 7);
	harness_killed(false);
	harness_thread_killed(true);
	assert_int_equal(call(gntdev, 8, &op), EINTR);
	harness_thread_killed(false);
	harness_exiting(true);
	assert_int_equal(call(gntdev, 8, &op), EINTR);
	assert_int_equal(segment.status, 7);
	harness_exiting(false);
	assert_int_equal(call(gntdev, 8, &op), 0);
	assert_int_equal(segment.status, 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_base_map),
		TEST(test_base_map_errors),
		TEST(test_base_alloc),
		TEST(test_base_alloc_errors),
		TEST(test_slots_limit),
		TEST(test_copy_killed),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
