/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a peer sees when a mapping or a granted page ends: the byte, the event,
 * their order, and the death of a process.  The parity cases show the rows on a
 * real Linux; these tests need the harness.
 */
#include "calls.h"

#define	BYTE	UNMAP_NOTIFY_CLEAR_BYTE
#define	EVENT	UNMAP_NOTIFY_SEND_EVENT

static uint32_t near, far;	/* the two ends of a channel */

static int
setup_channel(void **state)
{

	if (setup(state) != 0)
		return (-1);
	return (harness_loopback(&near, &far));
}

static int
teardown_channel(void **state)
{

	harness_port_close(near);
	harness_port_close(far);
	return (teardown(state));
}

/*
 * The byte is cleared before the grants end, the event sent afterwards (2.6).
 */
static void
test_order(void **state)
{
	uint64_t before, index;
	char *p;

	(void)state;
	index = map(gntdev, REF, 2);
	p = mmap_at(gntdev, index, 2, RW);
	memset(p, 'x', 2 * PAGE);
	assert_int_equal(notify(gntdev, index + PAGE + 7, BYTE | EVENT, near),
	    0);
	unmap_pages(p, 2);
	peer("ok data=78", "read 1 7 1");
	assert_false(harness_event_pending(far));
	before = sysctl("hw.xen.gntdev.events");
	assert_int_equal(unmap(gntdev, index, 2), 0);
	peer("ok data=787800787878", "read 1 5 6");
	peer("ok data=78", "read 0 7 1");
	assert_int_equal(peer_flags(REF + 1), 1);
	assert_true(harness_event_take(far));
	assert_int_equal(sysctl("hw.xen.gntdev.events"), before + 1);
}

/* A map that was never mapped has an event to send but no byte to clear. */
static void
test_never_mapped(void **state)
{
	uint64_t index;

	(void)state;
	index = map(gntdev, REF, 1);
	assert_int_equal(notify(gntdev, index, BYTE | EVENT, near), 0);
	harness_close(gntdev);
	assert_true(harness_event_take(far));
}

/* The channel was closed first: the port's new owner gets nothing. */
static void
test_port_gone(void **state)
{
	uint64_t index, lost;
	char *p;

	(void)state;
	lost = sysctl("hw.xen.gntdev.events_lost");
	index = map(gntdev, REF, 1);
	p = mmap_at(gntdev, index, 1, RW);
	p[9] = 'x';
	assert_int_equal(notify(gntdev, index + 9, BYTE | EVENT, near), 0);
	harness_port_close(near);
	unmap_pages(p, 1);
	assert_int_equal(unmap(gntdev, index, 1), 0);
	peer("ok data=00", "read 0 9 1");
	assert_int_equal(sysctl("hw.xen.gntdev.events_lost"), lost + 1);
}

static void
test_ports(void **state)
{
	struct evtchn_bind_virq virq = { .virq = VIRQ_DEBUG, .vcpu = 0 };
	uint64_t gref, index;

	(void)state;
	index = map(gntdev, REF, 1);
	gref = alloc(gntalloc, 1, NULL);
	assert_int_equal(harness_event_op(EVTCHNOP_bind_virq, &virq), 0);
	assert_int_equal(notify(gntdev, index, EVENT, virq.port), EINVAL);
	assert_int_equal(notify(gntalloc, gref, EVENT, virq.port), EINVAL);
	harness_port_close(virq.port);
	assert_int_equal(notify(gntdev, index, EVENT, virq.port), EINVAL);
	assert_int_equal(notify(gntdev, index, EVENT, 0xffffffff), EINVAL);
	assert_int_equal(notify(gntdev, index, BYTE, 0xffffffff), 0);
	/* The two devices check in different orders: 2.6 and 2.12. */
	assert_int_equal(notify(gntdev, index + PAGE, 4, near), EINVAL);
	assert_int_equal(notify(gntalloc, gref + PAGE, 4, near), ENOENT);
	assert_int_equal(notify(gntdev, index + PAGE, EVENT, virq.port),
	    EINVAL);
	assert_int_equal(notify(gntalloc, gref + PAGE, EVENT, virq.port),
	    ENOENT);
	/* Nothing was half done: the event was never armed. */
	assert_int_equal(dealloc(gntalloc, gref, 1), 0);
	assert_false(harness_event_pending(far));
}

/* The last user of a page fires: here the second of two mappings. */
static void
test_gref_users(void **state)
{
	uint64_t index;
	char *p, *q;

	(void)state;
	index = alloc(gntalloc, 1, NULL);
	p = mmap_at(gntalloc, index, 1, RW);
	q = mmap_at(gntalloc, index, 1, RW);
	p[3] = 'x';
	assert_int_equal(notify(gntalloc, index + 3, BYTE | EVENT, near), 0);
	assert_int_equal(dealloc(gntalloc, index, 1), 0);
	unmap_pages(p, 1);
	assert_int_equal(q[3], 'x');
	assert_false(harness_event_pending(far));
	unmap_pages(q, 1);
	assert_true(harness_event_take(far));
}

/*
 * A libxenvchan server dies: only the mapping keeps its page.  The event is
 * sent before any descriptor is closed.
 */
static void
test_exit_server(void **state)
{
	uint32_t id;
	uint64_t index;
	char *p;

	(void)state;
	index = alloc(gntalloc, 1, &id);
	p = mmap_at(gntalloc, index, 1, RW);
	p[5] = 1;
	assert_int_equal(notify(gntalloc, index + 5, BYTE | EVENT, near), 0);
	assert_int_equal(dealloc(gntalloc, index, 1), 0);
	harness_exit_begin();
	assert_true(harness_event_take(far));
	assert_int_equal(p[5], 0);
	/* As on Linux, where the address space also goes first. */
	assert_int_equal(own_flags(id), 0);
	harness_close(gntalloc);
	harness_close(gntdev);
	harness_exit_end();
	assert_false(harness_event_pending(far));	/* once */
}

/* A client dies: its map is listed, so the event waits for the close. */
static void
test_exit_client(void **state)
{
	uint64_t index;
	char *p;

	(void)state;
	index = map(gntdev, REF, 1);
	p = mmap_at(gntdev, index, 1, RW);
	p[5] = 1;
	assert_int_equal(notify(gntdev, index + 5, BYTE | EVENT, near), 0);
	harness_exit_begin();
	assert_false(harness_event_pending(far)); /* the file may be shared */
	harness_close(gntdev);
	assert_true(harness_event_take(far));
	peer("ok data=00", "read 0 5 1");
	assert_int_equal(peer_flags(REF), 1);
	harness_exit_end();
	assert_false(harness_event_pending(far));
	harness_close(gntalloc);
}

/*
 * The descriptors were closed long before (row O9); the maps are listed until
 * the file goes.
 */
static void
test_exit_after_close(void **state)
{
	uint64_t before, index, gref;
	char *p, *q;

	(void)state;
	before = sysctl("hw.xen.gntdev.events");
	index = map(gntdev, REF, 2);
	p = mmap_at(gntdev, index, 2, RW);
	p[0] = 'x';
	assert_int_equal(notify(gntdev, index, BYTE | EVENT, near), 0);
	harness_close(gntdev);
	gref = alloc(gntalloc, 2, NULL);
	q = mmap_at(gntalloc, gref + PAGE, 1, RW);
	assert_int_equal(notify(gntalloc, gref, EVENT, near), 0);
	harness_close(gntalloc);
	(void)q;
	harness_exit_begin();
	assert_true(harness_event_take(far));
	peer("ok data=00", "read 0 0 1");
	assert_int_equal(sysctl("hw.xen.gntdev.events"), before + 2);
	harness_exit_end();
	assert_false(harness_event_pending(far));
}

/* Both devices, with split mappings and pages without a notification. */
static void
test_exit_pieces(void **state)
{
	uint64_t index, gref;
	char *p, *q;

	(void)state;
	index = map(gntdev, REF, 4);
	p = mmap_at(gntdev, index, 4, RW);
	unmap_pages(p + PAGE, 1);
	assert_int_equal(notify(gntdev, index + 2 * PAGE, EVENT, near), 0);
	assert_int_equal(unmap(gntdev, index, 4), 0);
	gref = alloc(gntalloc, 3, NULL);
	q = mmap_at(gntalloc, gref, 3, RW);
	unmap_pages(q + PAGE, 1);
	harness_exit_begin();
	assert_true(harness_event_take(far));
	harness_exit_end();
	assert_false(harness_event_pending(far));
}

/* Another process has the mapping, too: nothing fires too early. */
static void
test_exit_shared(void **state)
{
	struct vm_object *other, *other_gref;
	uint64_t index, gref;
	char *p, *q;

	(void)state;
	index = map(gntdev, REF, 1);
	p = mmap_at(gntdev, index, 1, RW);
	p[0] = 'x';
	assert_int_equal(notify(gntdev, index, BYTE | EVENT, near), 0);
	other = harness_share(p);
	assert_non_null(other);
	gref = alloc(gntalloc, 1, NULL);
	q = mmap_at(gntalloc, gref, 1, RW);
	assert_int_equal(notify(gntalloc, gref, EVENT, near), 0);
	assert_int_equal(dealloc(gntalloc, gref, 1), 0);
	other_gref = harness_share(q);
	assert_non_null(other_gref);
	harness_exit();
	assert_false(harness_event_pending(far));
	assert_int_equal(peer_flags(REF), 1 | MAPPED);
	harness_unshare(other);
	assert_true(harness_event_take(far));
	assert_int_equal(peer_flags(REF), 1);
	peer("ok data=00", "read 0 0 1");
	harness_unshare(other_gref);
	assert_true(harness_event_take(far));
}

/* A descriptor in another process keeps the file and its lists. */
static void
test_exit_shared_descriptor(void **state)
{
	uint64_t index;

	(void)state;
	index = map(gntdev, REF, 1);
	mmap_at(gntdev, index, 1, RW);
	assert_int_equal(notify(gntdev, index, EVENT, near), 0);
	harness_hold(gntdev);
	harness_exit_begin();
	harness_close(gntdev);
	harness_exit_end();
	assert_false(harness_event_pending(far));
	harness_close(gntdev);
	assert_true(harness_event_take(far));
}

/* After vfork(2) the parent still uses the address space. */
static void
test_exit_vfork(void **state)
{
	uint64_t index;
	char *p;

	(void)state;
	index = alloc(gntalloc, 1, NULL);
	p = mmap_at(gntalloc, index, 1, RW);
	assert_int_equal(notify(gntalloc, index, EVENT, near), 0);
	assert_int_equal(dealloc(gntalloc, index, 1), 0);
	harness_vmspace_hold(1);
	harness_exit_begin();
	assert_false(harness_event_pending(far));
	harness_vmspace_hold(-1);
	unmap_pages(p, 1);
	assert_true(harness_event_take(far));
	harness_exit_end();
}

/* Two maps of one file; those of the other file do not fire. */
static void
test_exit_files(void **state)
{
	struct file *fp;
	uint64_t a, b, c;
	char *p, *q;

	(void)state;
	fp = reopen("xen/gntdev");
	a = map(gntdev, REF, 1);
	b = map(gntdev, REF + 1, 1);
	c = map(fp, REF + 2, 1);
	p = mmap_at(gntdev, a, 1, RW);
	q = mmap_at(fp, c, 1, RW);
	p[0] = q[0] = 'x';
	assert_int_equal(notify(gntdev, a, BYTE, 0), 0);
	assert_int_equal(notify(gntdev, b, EVENT, near), 0);
	assert_int_equal(notify(fp, c, BYTE | EVENT, near), 0);
	harness_exit_begin();
	harness_close(gntdev);
	peer("ok data=00", "read 0 0 1");
	peer("ok data=78", "read 2 0 1");
	assert_true(harness_event_take(far));
	assert_false(harness_event_pending(far));
	harness_close(fp);
	peer("ok data=00", "read 2 0 1");
	assert_true(harness_event_take(far));
	harness_exit_end();
	assert_false(harness_event_pending(far));
}

/*
 * Pages that I/O still holds (rows Z): nobody waits, the byte is cleared at
 * once, and the grant's end and the event follow the I/O.
 */
static void
test_pinned(void **state)
{
	struct harness_pin *pin;
	uint64_t index;
	char *p;

	(void)state;
	index = map(gntdev, REF, 3);
	p = mmap_at(gntdev, index, 3, RW);
	p[0] = 'x';
	assert_int_equal(notify(gntdev, index, BYTE | EVENT, near), 0);
	assert_int_equal(harness_pin(p + PAGE, true, &pin), 0);
	unmap_pages(p, 3);
	assert_int_equal(unmap(gntdev, index, 3), 0);
	peer("ok data=00", "read 0 0 1");
	assert_int_equal(peer_flags(REF), 1 | MAPPED);
	assert_int_equal(peer_flags(REF + 1), 1 | MAPPED);
	assert_false(harness_event_pending(far));
	assert_int_equal(sysctl("hw.xen.gntdev.deferred"), 1);
	assert_int_equal(sysctl("hw.xen.gntdev.grants"), 3);
	harness_run_tasks();
	assert_int_equal(peer_flags(REF + 1), 1 | MAPPED);
	/* The file may go away; the module may not. */
	harness_close(gntdev);
	harness_close(gntalloc);
	assert_int_equal(harness_unload(), EBUSY);
	harness_unpin(pin);
	harness_run_tasks();
	assert_int_equal(peer_flags(REF), 1);
	assert_int_equal(peer_flags(REF + 1), 1);
	assert_true(harness_event_take(far));
	assert_int_equal(sysctl("hw.xen.gntdev.deferred"), 0);
	assert_int_equal(sysctl("hw.xen.gntdev.grants"), 0);
	assert_int_equal(sysctl("hw.xen.gntdev.maps"), 0);
}

#define	CTEST(f) \
	cmocka_unit_test_setup_teardown(f, setup_channel, teardown_channel)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		CTEST(test_order),
		CTEST(test_never_mapped),
		CTEST(test_port_gone),
		CTEST(test_ports),
		CTEST(test_gref_users),
		CTEST(test_exit_server),
		CTEST(test_exit_client),
		CTEST(test_exit_after_close),
		CTEST(test_exit_pieces),
		CTEST(test_exit_shared),
		CTEST(test_exit_shared_descriptor),
		CTEST(test_exit_vfork),
		CTEST(test_exit_files),
		CTEST(test_pinned),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
