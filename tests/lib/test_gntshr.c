/* SPDX-License-Identifier: BSD-2-Clause */
/* Sharing and unsharing, tested as in test_gnttab.c. */
#include "fake.h"
#include "private.h"

static xengntshr_handle handle = {
	.name = "gntshr",
	.fd = FAKE_FD,
	.abi = &abi_native,
};

/* The pages leave the file at once, so that munmap(2) ends them. */
static void
pages_live_by_their_mapping_alone(void **state)
{
	uint32_t refs[3] = { 0 };

	(void)state;
	assert_ptr_equal(xengntshr_share_pages(&handle, 4, 3, refs, 0),
	    FAKE_AREA);
	assert_calls("ALLOC(4,0,3) mmap(12288,rw,shared,0x5000) "
		     "DEALLOC(0x5000,3)");
	assert_int_equal(refs[0], 100);
	assert_int_equal(refs[2], 102);
	assert_int_equal(fake_messages(), 0);
}

static void
writable_is_about_the_peer(void **state)
{
	uint32_t ref;

	(void)state;
	/* any true value is the one flag bit */
	assert_ptr_equal(xengntshr_share_pages(&handle, 4, 1, &ref, 6),
	    FAKE_AREA);
	assert_calls("ALLOC(4,1,1) mmap(4096,rw,shared,0x5000) "
		     "DEALLOC(0x5000,1)");
}

static void
nonsense_counts(void **state)
{
	uint32_t ref = 7;

	(void)state;
	assert_errno(xengntshr_share_pages(&handle, 4, -1, &ref, 0), NULL,
	    EINVAL);
	assert_calls("");
	assert_errno(xengntshr_share_pages(&handle, 4, 0, &ref, 0), NULL,
	    EINVAL);
	assert_calls("ALLOC(4,0,0) mmap(0,rw,shared,0x5000)");
	assert_int_equal(ref, 7);
	assert_int_equal(fake_messages(), 2);
}

static void
failed_allocation_has_nothing_to_undo(void **state)
{
	uint32_t ref = 7;

	(void)state;
	fake_fail("ALLOC", ENOSPC, 1);
	assert_errno(xengntshr_share_pages(&handle, 4, 1, &ref, 0), NULL,
	    ENOSPC);
	assert_calls("ALLOC(4,0,1)");
	assert_int_equal(ref, 7);
	assert_int_equal(fake_message_errno(), ENOSPC);
}

static void
failed_mmap_gives_the_pages_back(void **state)
{
	uint32_t ref = 7;

	(void)state;
	fake_fail("mmap", ENOMEM, 1);
	assert_errno(xengntshr_share_pages(&handle, 4, 1, &ref, 0), NULL,
	    ENOMEM);
	assert_calls("ALLOC(4,0,1) mmap(4096,rw,shared,0x5000) "
		     "DEALLOC(0x5000,1)");
	assert_int_equal(ref, 7);
	fake_fail("mmap", ENOMEM, 1);
	fake_fail("DEALLOC", EINVAL, 1);
	assert_errno(xengntshr_share_pages(&handle, 4, 1, &ref, 0), NULL,
	    ENOMEM);
}

static void
notify_is_armed_before_the_pages_leave_the_file(void **state)
{
	uint32_t ref;

	(void)state;
	assert_ptr_equal(xengntshr_share_page_notify(&handle, 4, &ref, 1, 12,
			     9),
	    FAKE_AREA);
	assert_calls("ALLOC(4,1,1) mmap(4096,rw,shared,0x5000) "
		     "NOTIFY(0x500c,3,9) DEALLOC(0x5000,1)");
	assert_ptr_equal(xengntshr_share_page_notify(&handle, 4, &ref, 1,
			     (uint32_t)-1, 9),
	    FAKE_AREA);
	assert_calls("ALLOC(4,1,1) mmap(4096,rw,shared,0x5000) "
		     "NOTIFY(0x5000,2,9) DEALLOC(0x5000,1)");
	assert_ptr_equal(xengntshr_share_page_notify(&handle, 4, &ref, 1, 4095,
			     (evtchn_port_t)-1),
	    FAKE_AREA);
	assert_calls("ALLOC(4,1,1) mmap(4096,rw,shared,0x5000) "
		     "NOTIFY(0x5fff,1,0) DEALLOC(0x5000,1)");
}

static void
failed_notify_undoes_but_tells_the_reference(void **state)
{
	uint32_t ref = 7;

	(void)state;
	fake_fail("NOTIFY", EINVAL, 1);
	assert_errno(xengntshr_share_page_notify(&handle, 4, &ref, 1, 12, 9),
	    NULL, EINVAL);
	assert_calls("ALLOC(4,1,1) mmap(4096,rw,shared,0x5000) "
		     "NOTIFY(0x500c,3,9) munmap(area,4096) DEALLOC(0x5000,1)");
	assert_int_equal(ref, 100);
	assert_int_equal(fake_messages(), 1);
}

static void
unshare_is_munmap(void **state)
{
	(void)state;
	assert_int_equal(xengntshr_unshare(&handle, FAKE_AREA, 3), 0);
	assert_calls("munmap(area,12288)");
	fake_fail("munmap", EINVAL, 1);
	assert_errno(xengntshr_unshare(&handle, FAKE_AREA, 3), -1, EINVAL);
}

int
main(void)
{
#define TEST(name) cmocka_unit_test_setup(name, fake_reset)
	const struct CMUnitTest tests[] = {
		TEST(pages_live_by_their_mapping_alone),
		TEST(writable_is_about_the_peer),
		TEST(nonsense_counts),
		TEST(failed_allocation_has_nothing_to_undo),
		TEST(failed_mmap_gives_the_pages_back),
		TEST(notify_is_armed_before_the_pages_leave_the_file),
		TEST(failed_notify_undoes_but_tells_the_reference),
		TEST(unshare_is_munmap),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
