/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Mapping, unmapping, copying and the limit: the order of system calls, what is
 * undone after a failure, errno.
 */
#include <sys/mman.h>

#include <limits.h>

#include "fake.h"
#include "private.h"

static xengnttab_handle handle = {
	.name = "gnttab",
	.fd = FAKE_FD,
	.abi = &abi_native,
};

static void
one_grant(void **state)
{
	(void)state;
	assert_ptr_equal(xengnttab_map_grant_ref(&handle, 3, 17, PROT_READ),
	    FAKE_AREA);
	assert_calls("MAP(1,3:17) mmap(4096,r,shared,0x5000)");
	assert_int_equal(fake_messages(), 0);
}

static void
grants_of_several_domains(void **state)
{
	uint32_t domids[] = { 1, 2, 1 }, refs[] = { 9, 8, 7 };

	(void)state;
	assert_ptr_equal(xengnttab_map_grant_refs(&handle, 3, domids, refs,
			     PROT_READ | PROT_WRITE),
	    FAKE_AREA);
	assert_calls("MAP(3,1:9,2:8,1:7) mmap(12288,rw,shared,0x5000)");
}

static void
grants_of_one_domain(void **state)
{
	uint32_t refs[] = { 9, 8 };

	(void)state;
	assert_ptr_equal(xengnttab_map_domain_grant_refs(&handle, 2, 5, refs,
			     PROT_WRITE),
	    FAKE_AREA);
	assert_calls("MAP(2,5:9,5:8) mmap(8192,w,shared,0x5000)");
}

static void
count_0_is_the_kernels_to_refuse(void **state)
{
	(void)state;
	assert_errno(xengnttab_map_grant_refs(&handle, 0, NULL, NULL,
			 PROT_READ),
	    NULL, EINVAL);
	assert_calls("MAP(0)");
	assert_int_equal(fake_messages(), 1);
}

static void
failed_request_has_nothing_to_undo(void **state)
{
	(void)state;
	fake_fail("MAP", ENOMEM, 1);
	assert_errno(xengnttab_map_grant_ref(&handle, 3, 17, PROT_READ), NULL,
	    ENOMEM);
	assert_calls("MAP(1,3:17)");
	assert_int_equal(fake_message_errno(), ENOMEM);
}

static void
failed_mmap_takes_the_request_back(void **state)
{
	(void)state;
	fake_fail("mmap", EINVAL, 1);
	assert_errno(xengnttab_map_grant_ref(&handle, 3, 17, PROT_READ), NULL,
	    EINVAL);
	assert_calls("MAP(1,3:17) mmap(4096,r,shared,0x5000) "
		     "UNMAP(0x5000,1)");
	assert_int_equal(fake_messages(), 1);
	assert_int_equal(fake_message_errno(), EINVAL);
}

static void
errno_of_a_failed_undo_does_not_win(void **state)
{
	(void)state;
	fake_fail("mmap", EINVAL, 1);
	fake_fail("UNMAP", ENOENT, 1);
	assert_errno(xengnttab_map_grant_ref(&handle, 3, 17, PROT_READ), NULL,
	    EINVAL);
	assert_int_equal(fake_messages(), 2);
}

/* A frame of the peer is paged out: Xen must be asked again. */
static void
eagain_is_retried_until_it_ends(void **state)
{
	(void)state;
	fake_fail("mmap", EAGAIN, 3);
	assert_ptr_equal(xengnttab_map_grant_ref(&handle, 3, 17, PROT_READ),
	    FAKE_AREA);
	assert_calls("MAP(1,3:17) "
		     "mmap(4096,r,shared,0x5000) "
		     "probe(4096) munmap(area,4096) usleep(1000) "
		     "mmap(4096,r,shared,0x5000) usleep(1000) "
		     "mmap(4096,r,shared,0x5000) usleep(1000) "
		     "mmap(4096,r,shared,0x5000)");
	assert_int_equal(fake_messages(), 0);
}

static void
eagain_then_another_error(void **state)
{
	(void)state;
	fake_fail("mmap", EAGAIN, 1);
	fake_fail("mmap", EPERM, 1);
	assert_errno(xengnttab_map_grant_ref(&handle, 3, 17, PROT_READ), NULL,
	    EPERM);
	assert_calls("MAP(1,3:17) mmap(4096,r,shared,0x5000) "
		     "probe(4096) munmap(area,4096) usleep(1000) "
		     "mmap(4096,r,shared,0x5000) UNMAP(0x5000,1)");
}

static void
eagain_for_ever_ends(void **state)
{
	(void)state;
	fake_fail("mmap", EAGAIN, INT_MAX);
	assert_errno(xengnttab_map_grant_ref(&handle, 3, 17, PROT_READ), NULL,
	    EAGAIN);
	assert_int_equal(fake_sleeps(), 1000);
	assert_int_equal(fake_messages(), 1);
}

/* RLIMIT_MEMLOCK with mlockall(MCL_FUTURE): retrying does not help. */
static void
eagain_of_locked_memory_is_not_retried(void **state)
{
	uint32_t domids[2] = { 3, 3 }, refs[2] = { 17, 18 };

	(void)state;
	fake_fail("mmap", EAGAIN, INT_MAX);
	fake_fail("probe", EAGAIN, 1);
	assert_errno(xengnttab_map_grant_refs(&handle, 2, domids, refs,
			 PROT_READ | PROT_WRITE), NULL, EAGAIN);
	assert_calls("MAP(2,3:17,3:18) mmap(8192,rw,shared,0x5000) "
		     "probe(8192) UNMAP(0x5000,2)");
	/* Another error does not concern locked memory. */
	fake_fail("probe", ENOMEM, 1);
	assert_errno(xengnttab_map_grant_ref(&handle, 3, 17, PROT_READ), NULL,
	    EAGAIN);
	assert_int_equal(fake_sleeps(), 1000);
}

static void
map_notify(uint32_t offset, evtchn_port_t port, const char *expected)
{
	char calls[128];

	assert_ptr_equal(xengnttab_map_grant_ref_notify(&handle, 3, 17,
			     PROT_READ | PROT_WRITE, offset, port),
	    FAKE_AREA);
	snprintf(calls, sizeof(calls),
	    "MAP(1,3:17) mmap(4096,rw,shared,0x5000)%s%s",
	    *expected != '\0' ? " " : "", expected);
	assert_calls(calls);
}

static void
notify_arms_what_was_asked_for(void **state)
{
	(void)state;
	map_notify(0, (evtchn_port_t)-1, "NOTIFY(0x5000,1,0)");
	map_notify(4095, (evtchn_port_t)-1, "NOTIFY(0x5fff,1,0)");
	map_notify((uint32_t)-1, 6, "NOTIFY(0x5000,2,6)");
	map_notify(8, 0, "NOTIFY(0x5008,3,0)");
	/* neither: no call at all; an offset beyond the page means none */
	map_notify((uint32_t)-1, (evtchn_port_t)-1, "");
	map_notify(4096, (evtchn_port_t)-1, "");
}

static void
failed_notify_undoes_the_mapping(void **state)
{
	(void)state;
	fake_fail("NOTIFY", ENOENT, 1);
	assert_errno(xengnttab_map_grant_ref_notify(&handle, 3, 17, PROT_READ,
			 8, 6),
	    NULL, ENOENT);
	assert_calls("MAP(1,3:17) mmap(4096,r,shared,0x5000) "
		     "NOTIFY(0x5008,3,6) munmap(area,4096) UNMAP(0x5000,1)");
	assert_int_equal(fake_messages(), 1);
	assert_int_equal(fake_message_errno(), ENOENT);
}

static void
unmap_looks_up_then_unmaps_then_forgets(void **state)
{
	(void)state;
	fake_offset(0x7000, 2);
	assert_int_equal(xengnttab_unmap(&handle, FAKE_AREA, 2), 0);
	assert_calls("OFFSET(area) munmap(area,8192) UNMAP(0x7000,2)");
}

static void
unmap_refuses_before_it_touches_anything(void **state)
{
	(void)state;
	assert_errno(xengnttab_unmap(&handle, NULL, 1), -1, EINVAL);
	assert_calls("");
	fake_offset(0x7000, 2);
	assert_errno(xengnttab_unmap(&handle, FAKE_AREA, 1), -1, EINVAL);
	assert_calls("OFFSET(area)");
	fake_fail("OFFSET", EFAULT, 1);
	assert_errno(xengnttab_unmap(&handle, FAKE_AREA, 2), -1, EFAULT);
	assert_calls("OFFSET(area)");
	assert_int_equal(fake_messages(), 0);
}

static void
unmap_stops_at_the_first_error(void **state)
{
	(void)state;
	fake_offset(0x7000, 2);
	fake_fail("munmap", EBUSY, 1);
	assert_errno(xengnttab_unmap(&handle, FAKE_AREA, 2), -1, EBUSY);
	assert_calls("OFFSET(area) munmap(area,8192)");
	fake_fail("UNMAP", ENOENT, 1);
	assert_errno(xengnttab_unmap(&handle, FAKE_AREA, 2), -1, ENOENT);
	assert_calls("OFFSET(area) munmap(area,8192) UNMAP(0x7000,2)");
	assert_int_equal(fake_messages(), 0);
}

static void
a_kernel_without_limit_meets_any(void **state)
{
	(void)state;
	assert_int_equal(xengnttab_set_max_grants(&handle, 32752), 0);
	assert_calls("MAX(32752)");
	fake_fail("MAX", ENOTTY, 1);
	assert_int_equal(xengnttab_set_max_grants(&handle, 1), 0);
	assert_int_equal(fake_messages(), 0);
	fake_fail("MAX", EPERM, 1);
	assert_errno(xengnttab_set_max_grants(&handle, 1), -1, EPERM);
	assert_int_equal(fake_messages(), 1);
}

static void
copy_passes_the_segments_themselves(void **state)
{
	xengnttab_grant_copy_segment_t *segs = FAKE_AREA;

	(void)state;
	assert_int_equal(xengnttab_grant_copy(&handle, 0, NULL), 0);
	assert_calls("COPY(0,null)");
	assert_int_equal(xengnttab_grant_copy(&handle, 11, segs), 0);
	assert_calls("COPY(11,area)");
	fake_fail("COPY", EFAULT, 1);
	assert_errno(xengnttab_grant_copy(&handle, 11, segs), -1, EFAULT);
	assert_int_equal(fake_messages(), 1);
}

static void
dmabuf_export(void **state)
{
	uint32_t refs[] = { 5, 6 }, fd = 1;

	(void)state;
	assert_errno(xengnttab_dmabuf_exp_from_refs(&handle, 3, 0, 0, refs,
			 &fd),
	    -1, EINVAL);
	assert_calls("");
	assert_int_equal(xengnttab_dmabuf_exp_from_refs(&handle, 3,
			     GNTDEV_DMA_FLAG_COHERENT, 2, refs, &fd),
	    0);
	assert_calls("EXP(2,3,2,6)");
	assert_int_equal(fd, 7);
	fake_fail("EXP", ENOTTY, 1);
	fd = 1;
	assert_errno(xengnttab_dmabuf_exp_from_refs(&handle, 3, 0, 2, refs,
			 &fd),
	    -1, ENOTTY);
	assert_int_equal(fd, 1);
	(void)fake_log();

	assert_int_equal(xengnttab_dmabuf_exp_wait_released(&handle, 7, 50), 0);
	assert_calls("WAIT(7,50)");
	/* unknown to the kernel means already released */
	fake_fail("WAIT", ENOENT, 1);
	errno = EIO;
	assert_int_equal(xengnttab_dmabuf_exp_wait_released(&handle, 7, 50), 0);
	assert_int_equal(errno, 0);
	fake_fail("WAIT", ETIMEDOUT, 1);
	assert_errno(xengnttab_dmabuf_exp_wait_released(&handle, 7, 50), -1,
	    ETIMEDOUT);
}

static void
dmabuf_import(void **state)
{
	uint32_t refs[] = { 1, 1, 1 };

	(void)state;
	assert_errno(xengnttab_dmabuf_imp_to_refs(&handle, 3, 7, 0, refs), -1,
	    EINVAL);
	assert_calls("");
	assert_int_equal(xengnttab_dmabuf_imp_to_refs(&handle, 3, 7, 2, refs),
	    0);
	assert_calls("IMP(7,3,2)");
	assert_int_equal(refs[0], 200);
	assert_int_equal(refs[1], 201);
	assert_int_equal(refs[2], 1);
	fake_fail("IMP", ENOTTY, 1);
	assert_errno(xengnttab_dmabuf_imp_to_refs(&handle, 3, 7, 2, refs), -1,
	    ENOTTY);
	(void)fake_log();
	assert_int_equal(xengnttab_dmabuf_imp_release(&handle, 7), 0);
	assert_calls("RELEASE(7)");
	fake_fail("RELEASE", ENOTTY, 1);
	assert_errno(xengnttab_dmabuf_imp_release(&handle, 7), -1, ENOTTY);
}

int
main(void)
{
#define TEST(name) cmocka_unit_test_setup(name, fake_reset)
	const struct CMUnitTest tests[] = {
		TEST(one_grant),
		TEST(grants_of_several_domains),
		TEST(grants_of_one_domain),
		TEST(count_0_is_the_kernels_to_refuse),
		TEST(failed_request_has_nothing_to_undo),
		TEST(failed_mmap_takes_the_request_back),
		TEST(errno_of_a_failed_undo_does_not_win),
		TEST(eagain_is_retried_until_it_ends),
		TEST(eagain_then_another_error),
		TEST(eagain_for_ever_ends),
		TEST(eagain_of_locked_memory_is_not_retried),
		TEST(notify_arms_what_was_asked_for),
		TEST(failed_notify_undoes_the_mapping),
		TEST(unmap_looks_up_then_unmaps_then_forgets),
		TEST(unmap_refuses_before_it_touches_anything),
		TEST(unmap_stops_at_the_first_error),
		TEST(a_kernel_without_limit_meets_any),
		TEST(copy_passes_the_segments_themselves),
		TEST(dmabuf_export),
		TEST(dmabuf_import),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
