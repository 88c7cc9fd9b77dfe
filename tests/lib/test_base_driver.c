/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The driver of FreeBSD's base system: its commands, what the library makes up
 * for, and grant copy by mapping with Linux's results (2.7).
 */
#include <sys/mman.h>

#include <limits.h>

#include "fake.h"
#include "private.h"

static xengnttab_handle handle = {
	.name = "base",
	.fd = FAKE_FD,
	.abi = &abi_base,
};

static void
maps_by_its_own_words(void **state)
{
	uint32_t domids[] = { 1, 2, 1 }, refs[] = { 9, 8, 7 };

	(void)state;
	assert_ptr_equal(xengnttab_map_grant_refs(&handle, 3, domids, refs,
			     PROT_READ | PROT_WRITE),
	    FAKE_AREA);
	assert_calls("E.MAP(3,1:9,2:8,1:7) mmap(12288,rw,shared,0x5000)");
	assert_ptr_equal(xengnttab_map_domain_grant_refs(&handle, 2, 5, refs,
			     PROT_READ),
	    FAKE_AREA);
	assert_calls("E.MAP(2,5:9,5:8) mmap(8192,r,shared,0x5000)");
	fake_offset(0x7000, 2);
	assert_int_equal(xengnttab_unmap(&handle, FAKE_AREA, 2), 0);
	assert_calls("E.OFFSET(area) munmap(area,8192) E.UNMAP(0x7000,2)");
}

static void
failed_mapping_is_undone_and_errno_kept(void **state)
{
	(void)state;
	fake_fail("mmap", EINVAL, 1);
	fake_fail("E.UNMAP", EIO, 1);
	assert_errno(xengnttab_map_grant_ref(&handle, 3, 17, PROT_READ), NULL,
	    EINVAL);
	assert_calls("E.MAP(1,3:17) mmap(4096,r,shared,0x5000) "
		     "E.UNMAP(0x5000,1)");
	fake_fail("E.NOTIFY", ENOENT, 1);
	assert_errno(xengnttab_map_grant_ref_notify(&handle, 3, 17, PROT_READ,
			 8, 6),
	    NULL, ENOENT);
	assert_calls("E.MAP(1,3:17) mmap(4096,r,shared,0x5000) "
		     "E.NOTIFY(0x5008,3,6) munmap(area,4096) "
		     "E.UNMAP(0x5000,1)");
}

/* The driver allocates for any count, and sleeps until it gets the memory. */
static void
counts_that_would_hurt_the_kernel_do_not_get_there(void **state)
{
	(void)state;
	assert_errno(xengnttab_map_grant_refs(&handle, 0, NULL, NULL,
			 PROT_READ),
	    NULL, EINVAL);
	assert_errno(xengnttab_map_grant_refs(&handle, 1 << 30, NULL, NULL,
			 PROT_READ),
	    NULL, EINVAL);
	assert_calls("");
}

static void
any_limit_is_met(void **state)
{
	(void)state;
	assert_int_equal(xengnttab_set_max_grants(&handle, 32752), 0);
	assert_calls("");
}

static void
dma_buffers_are_not_asked_for(void **state)
{
	uint32_t refs[] = { 5 }, fd = 1;

	(void)state;
	assert_errno(xengnttab_dmabuf_exp_from_refs(&handle, 3, 0, 0, refs,
			 &fd),
	    -1, EINVAL);
	assert_errno(xengnttab_dmabuf_exp_from_refs(&handle, 3, 0, 1, refs,
			 &fd),
	    -1, ENOTTY);
	assert_errno(xengnttab_dmabuf_exp_wait_released(&handle, 7, 0), -1,
	    ENOTTY);
	assert_errno(xengnttab_dmabuf_imp_to_refs(&handle, 3, 7, 1, refs), -1,
	    ENOTTY);
	assert_errno(xengnttab_dmabuf_imp_release(&handle, 7), -1, ENOTTY);
	assert_calls("");
}

static void
one_page_is_shared_as_by_ours(void **state)
{
	uint32_t ref = 0;

	(void)state;
	assert_ptr_equal(xengntshr_share_page_notify(&handle, 4, &ref, 1, 12,
			     9),
	    FAKE_AREA);
	assert_calls("E.ALLOC(4,1,1) mmap(4096,rw,shared,0x5000) "
		     "E.NOTIFY(0x500c,3,9) E.DEALLOC(0x5000,1)");
	assert_int_equal(ref, 300);
}

/* Requests of several pages corrupt the kernel's heap. */
static void
several_pages_are_shared_one_by_one(void **state)
{
	uint32_t refs[2] = { 0 };

	(void)state;
	assert_ptr_equal(xengntshr_share_pages(&handle, 4, 2, refs, 0),
	    FAKE_AREA);
	assert_calls("reserve(8192) "
		     "E.ALLOC(4,0,1) mmap(4096,rw,area,0x5000) "
		     "E.DEALLOC(0x5000,1) "
		     "E.ALLOC(4,0,1) mmap(4096,rw,area+1,0x5000) "
		     "E.DEALLOC(0x5000,1)");
	assert_int_equal(refs[0], 300);
	assert_int_equal(refs[1], 301);
	assert_int_equal(xengntshr_unshare(&handle, FAKE_AREA, 2), 0);
	assert_calls("munmap(area,8192)");
}

static void
pages_before_a_failure_are_taken_back(void **state)
{
	uint32_t refs[2];

	(void)state;
	fake_fail("mmap", ENOMEM, 1);
	assert_errno(xengntshr_share_pages(&handle, 4, 2, refs, 0), NULL,
	    ENOMEM);
	assert_calls("reserve(8192) E.ALLOC(4,0,1) mmap(4096,rw,area,0x5000) "
		     "E.DEALLOC(0x5000,1) munmap(area,8192)");
	fake_fail("reserve", ENOMEM, 1);
	assert_errno(xengntshr_share_pages(&handle, 4, 2, refs, 0), NULL,
	    ENOMEM);
	assert_calls("reserve(8192)");
}

static void
more_pages_than_it_maps_at_once_are_refused(void **state)
{
	uint32_t ref;

	(void)state;
	assert_errno(xengntshr_share_pages(&handle, 4, 65537, &ref, 0), NULL,
	    EINVAL);
	assert_errno(xengntshr_share_pages(&handle, 4, INT_MAX, &ref, 0), NULL,
	    EINVAL);
	assert_calls("");
	/*
	 * The largest that is tried; the address range is not reserved for
	 * more.
	 */
	fake_fail("reserve", ENOMEM, 1);
	assert_errno(xengntshr_share_pages(&handle, 4, 65536, &ref, 0), NULL,
	    ENOMEM);
	assert_calls("reserve(268435456)");
}

/* Grant copy */

static void
copy_of_nothing_succeeds_and_asks_nobody(void **state)
{
	(void)state;
	assert_int_equal(xengnttab_grant_copy(&handle, 0, NULL), 0);
	assert_calls("");
}

static void
copies_from_a_grant(void **state)
{
	char buffer[8] = "........";
	xengnttab_grant_copy_segment_t seg = {
		.source.foreign = { .ref = 17, .offset = 4090, .domid = 3 },
		.dest.virt = buffer + 1,
		.len = 6,
		.flags = GNTCOPY_source_gref | 0x8000,
		.status = 99,
	};

	(void)state;
	memcpy(fake_area + 4088, "..abcdef", 8);
	fake_offset(FAKE_INDEX, 1);
	assert_int_equal(xengnttab_grant_copy(&handle, 1, &seg), 0);
	assert_int_equal(seg.status, GNTST_okay);
	assert_memory_equal(buffer, ".abcdef.", 8);
	assert_calls("E.MAP(1,3:17) mmap(4096,r,shared,0x5000) "
		     "E.OFFSET(area) munmap(area,4096) E.UNMAP(0x5000,1)");
	assert_int_equal(fake_messages(), 0);
}

static void
copies_to_a_grant_and_between_two(void **state)
{
	char buffer[] = "text";
	xengnttab_grant_copy_segment_t segs[2] = {
		{
		    .source.virt = buffer,
		    .dest.foreign = { .ref = 1, .offset = 8, .domid = 3 },
		    .len = 4,
		    .flags = GNTCOPY_dest_gref,
		},
		{
		    .source.foreign = { .ref = 2, .offset = 8, .domid = 3 },
		    .dest.foreign = { .ref = 3, .offset = 10, .domid = 4 },
		    .len = 4,
		    .flags = GNTCOPY_source_gref | GNTCOPY_dest_gref,
		},
	};

	(void)state;
	fake_offset(FAKE_INDEX, 1);
	assert_int_equal(xengnttab_grant_copy(&handle, 2, segs), 0);
	assert_int_equal(segs[0].status, GNTST_okay);
	assert_int_equal(segs[1].status, GNTST_okay);
	/* All pages of the model are one, so the two ends overlap. */
	assert_memory_equal(fake_area + 8, "tetext", 6);
	assert_calls("E.MAP(1,3:1) mmap(4096,rw,shared,0x5000) "
		     "E.OFFSET(area) munmap(area,4096) E.UNMAP(0x5000,1) "
		     "E.MAP(1,3:2) mmap(4096,r,shared,0x5000) "
		     "E.MAP(1,4:3) mmap(4096,rw,shared,0x5000) "
		     "E.OFFSET(area) munmap(area,4096) E.UNMAP(0x5000,1) "
		     "E.OFFSET(area) munmap(area,4096) E.UNMAP(0x5000,1)");
}

/* Rows C5, C6, C7: before any status. */
static void
impossible_segments_end_the_copy(void **state)
{
	xengnttab_grant_copy_segment_t seg = { .len = 1, .status = 99 };

	(void)state;
	assert_errno(xengnttab_grant_copy(&handle, 1, &seg), -1, EINVAL);
	seg.flags = GNTCOPY_source_gref;
	seg.source.foreign.offset = 4096;
	assert_errno(xengnttab_grant_copy(&handle, 1, &seg), -1, EINVAL);
	seg.flags = GNTCOPY_dest_gref;
	seg.source.virt = NULL;
	seg.dest.foreign.offset = 4095;
	seg.len = 2;
	assert_errno(xengnttab_grant_copy(&handle, 1, &seg), -1, EINVAL);
	assert_int_equal(seg.status, 99);
	assert_calls("");
	assert_int_equal(fake_messages(), 3);
	/* Row C10: nothing to do, which succeeds. */
	seg.dest.foreign.offset = 4096;
	seg.len = 0;
	assert_int_equal(xengnttab_grant_copy(&handle, 1, &seg), 0);
	assert_int_equal(seg.status, GNTST_okay);
	assert_calls("");
}

/* Row C15: the others are copied nevertheless. */
static void
refused_grant_is_a_status(void **state)
{
	char buffer[2][4] = { "...", "..." };
	xengnttab_grant_copy_segment_t segs[2] = {
		{
		    .source.foreign = { .ref = 1, .domid = 3 },
		    .dest.virt = buffer[0],
		    .len = 3,
		    .flags = GNTCOPY_source_gref,
		},
		{
		    .source.foreign = { .ref = 2, .domid = 3 },
		    .dest.virt = buffer[1],
		    .len = 3,
		    .flags = GNTCOPY_source_gref,
		},
	};

	(void)state;
	memcpy(fake_area, "abc", 3);
	fake_offset(FAKE_INDEX, 1);
	fake_fail("mmap", EINVAL, 1);
	assert_int_equal(xengnttab_grant_copy(&handle, 2, segs), 0);
	assert_int_equal(segs[0].status, GNTST_general_error);
	assert_int_equal(segs[1].status, GNTST_okay);
	assert_memory_equal(buffer[0], "...", 4);
	assert_memory_equal(buffer[1], "abc", 4);
	assert_int_equal(fake_messages(), 0);
}

static void
refused_destination_leaves_no_source_mapped(void **state)
{
	xengnttab_grant_copy_segment_t seg = {
		.source.foreign = { .ref = 1, .domid = 3 },
		.dest.foreign = { .ref = 2, .domid = DOMID_SELF },
		.len = 3,
		.flags = GNTCOPY_source_gref | GNTCOPY_dest_gref,
	};

	(void)state;
	fake_offset(FAKE_INDEX, 1);
	assert_int_equal(xengnttab_grant_copy(&handle, 1, &seg), 0);
	assert_int_equal(seg.status, GNTST_bad_domain);
	assert_calls("E.MAP(1,3:1) mmap(4096,r,shared,0x5000) "
		     "E.OFFSET(area) munmap(area,4096) E.UNMAP(0x5000,1)");
}

static void
other_errors_end_the_copy(void **state)
{
	char buffer[4];
	xengnttab_grant_copy_segment_t segs[2] = {
		{
		    .source.foreign = { .ref = 1, .domid = 3 },
		    .dest.virt = buffer,
		    .len = 3,
		    .flags = GNTCOPY_source_gref,
		},
	};

	(void)state;
	segs[1] = segs[0];
	fake_fail("E.MAP", ENOMEM, 1);
	assert_errno(xengnttab_grant_copy(&handle, 2, segs), -1, ENOMEM);
	assert_calls("E.MAP(1,3:1)");
	/* After a restriction the descriptor is /dev/null. */
	fake_fail("E.MAP", ENOTTY, 1);
	assert_errno(xengnttab_grant_copy(&handle, 2, segs), -1, ENOTTY);
	(void)fake_log();
	fake_offset(FAKE_INDEX, 1);
	fake_fail("munmap", EBUSY, 1);
	assert_errno(xengnttab_grant_copy(&handle, 2, segs), -1, EBUSY);
	assert_calls("E.MAP(1,3:1) mmap(4096,r,shared,0x5000) "
		     "E.OFFSET(area) munmap(area,4096)");
}

int
main(void)
{
#define TEST(name) cmocka_unit_test_setup(name, fake_reset)
	const struct CMUnitTest tests[] = {
		TEST(maps_by_its_own_words),
		TEST(failed_mapping_is_undone_and_errno_kept),
		TEST(counts_that_would_hurt_the_kernel_do_not_get_there),
		TEST(any_limit_is_met),
		TEST(dma_buffers_are_not_asked_for),
		TEST(one_page_is_shared_as_by_ours),
		TEST(several_pages_are_shared_one_by_one),
		TEST(pages_before_a_failure_are_taken_back),
		TEST(more_pages_than_it_maps_at_once_are_refused),
		TEST(copy_of_nothing_succeeds_and_asks_nobody),
		TEST(copies_from_a_grant),
		TEST(copies_to_a_grant_and_between_two),
		TEST(impossible_segments_end_the_copy),
		TEST(refused_grant_is_a_status),
		TEST(refused_destination_leaves_no_source_mapped),
		TEST(other_errors_end_the_copy),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
