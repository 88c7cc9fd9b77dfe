/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Opening and closing: which node with which flags, which handles are listed
 * for xentoolcore_restrict_all() and when, errno through clean-up.  Built for
 * each OS file; the paths come from the build.
 */
#include "fake.h"
#include "private.h"

#ifdef GNTDEV_PATH_2
#define PROBE " COPY(0,null)"
#else
#define PROBE ""
#endif

static void
gnttab_is_listed_before_it_opens(void **state)
{
	xengnttab_handle *h;

	(void)state;
	h = xengnttab_open(NULL, 0);
	assert_non_null(h);
	assert_calls("register log open(" GNTDEV_PATH ",rdwr,cloexec)" PROBE);
	assert_int_equal(xengnttab_fd(h), FAKE_FD);
	assert_int_equal(xengnttab_close(h), 0);
	assert_calls("deregister close(42) unlog");
}

static void
gntshr_is_not_listed_and_survives_exec(void **state)
{
	xengntshr_handle *h;

	(void)state;
	h = xengntshr_open(NULL, 0);
	assert_non_null(h);
	assert_calls("log open(/dev/xen/gntalloc,rdwr)");
	assert_int_equal(xengntshr_fd(h), FAKE_FD);
	assert_int_equal(xengntshr_close(h), 0);
	assert_calls("close(42) unlog");
}

static void
callers_logger_is_used(void **state)
{
	struct xentoollog_logger *logger = FAKE_AREA;
	xengnttab_handle *h;

	(void)state;
	h = xengnttab_open(logger, 0);
	assert_non_null(h);
	assert_ptr_equal(h->logger, logger);
	assert_null(h->own_logger);
	(void)fake_log();
	assert_int_equal(xengnttab_close(h), 0);
}

static void
open_flags_are_ignored(void **state)
{
	xengnttab_handle *h;

	(void)state;
	h = xengnttab_open(NULL, ~0u);
	assert_non_null(h);
	assert_int_equal(xengnttab_close(h), 0);
}

static void
open_failure_keeps_errno_and_undoes(void **state)
{
	(void)state;
	fake_fail(GNTDEV_PATH, EACCES, 1);
	assert_errno(xengnttab_open(NULL, 0), NULL, EACCES);
	assert_int_equal(fake_messages(), 1);
	assert_int_equal(fake_message_errno(), EACCES);
	assert_calls("register log open(" GNTDEV_PATH ",rdwr,cloexec) "
		     "deregister unlog");

	fake_fail("/dev/xen/gntalloc", EACCES, 1);
	assert_errno(xengntshr_open(NULL, 0), NULL, EACCES);
	assert_calls("log open(/dev/xen/gntalloc,rdwr) unlog");
}

static void
no_logger_no_open(void **state)
{
	(void)state;
	fake_fail("log", ENOMEM, 1);
	assert_errno(xengnttab_open(NULL, 0), NULL, ENOMEM);
	assert_calls("register log deregister unlog");
}

static void
close_of_null_succeeds(void **state)
{
	(void)state;
	assert_int_equal(xengnttab_close(NULL), 0);
	assert_int_equal(xengntshr_close(NULL), 0);
	assert_calls("");
}

static void
close_reports_the_kernels_error(void **state)
{
	xengnttab_handle *h;

	(void)state;
	h = xengnttab_open(NULL, 0);
	(void)fake_log();
	fake_fail("close", EIO, 1);
	assert_errno(xengnttab_close(h), -1, EIO);
	assert_calls("deregister close(42) unlog");
	assert_int_equal(fake_messages(), 0);
}

#ifdef GNTDEV_PATH_2
/* The base system's driver may hold the name gntdev (freebsd.c). */
static void
second_node_only_when_the_first_is_missing(void **state)
{
	xengnttab_handle *h;

	(void)state;
	fake_fail(GNTDEV_PATH, ENOENT, 1);
	h = xengnttab_open(NULL, 0);
	assert_non_null(h);
	assert_calls("register log open(" GNTDEV_PATH ",rdwr,cloexec) "
		     "open(" GNTDEV_PATH_2 ",rdwr,cloexec)" PROBE);
	assert_ptr_equal(h->abi, &abi_native);
	assert_int_equal(xengnttab_close(h), 0);

	fake_fail(GNTDEV_PATH, ENOENT, 1);
	fake_fail(GNTDEV_PATH_2, ENXIO, 1);
	assert_errno(xengnttab_open(NULL, 0), NULL, ENXIO);
}

/* The driver behind a node is found by asking the node. */
static void
driver_is_told_by_what_it_knows(void **state)
{
	static const struct {
		int error;
		const struct abi *abi;
	} cases[] = {
		{ 0, &abi_native },
		{ EFAULT, &abi_native },
		{ ENOSYS, &abi_base },
		{ ENOTTY, &abi_base },
	};
	xengnttab_handle *h;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		if (cases[i].error != 0)
			fake_fail("COPY", cases[i].error, 1);
		h = xengnttab_open(NULL, 0);
		assert_non_null(h);
		assert_ptr_equal(h->abi, cases[i].abi);
		assert_int_equal(fake_messages(), 0);
		/* Its first offset cannot be armed. */
		assert_int_equal(strstr(fake_log(), "E.MAP(1,0:0)") != NULL,
		    cases[i].abi == &abi_base);
		assert_int_equal(xengnttab_close(h), 0);
	}
}

static void
base_driver_grants_where_ours_is_missing(void **state)
{
	xengntshr_handle *h;

	(void)state;
	h = xengntshr_open(NULL, 0);
	assert_ptr_equal(h->abi, &abi_native);
	assert_int_equal(xengntshr_close(h), 0);
	(void)fake_log();
	fake_fail("/dev/xen/gntalloc", ENOENT, 2);
	h = xengntshr_open(NULL, 0);
	assert_non_null(h);
	assert_ptr_equal(h->abi, &abi_base);
	assert_calls("log open(/dev/xen/gntalloc,rdwr) "
		     "open(/dev/xen/gntdev,rdwr)");
	assert_int_equal(xengntshr_close(h), 0);
	fake_fail("/dev/xen/gntdev", ENOENT, 1);
	assert_errno(xengntshr_open(NULL, 0), NULL, ENOENT);
}
#endif

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(gnttab_is_listed_before_it_opens,
		    fake_reset),
		cmocka_unit_test_setup(gntshr_is_not_listed_and_survives_exec,
		    fake_reset),
		cmocka_unit_test_setup(callers_logger_is_used, fake_reset),
		cmocka_unit_test_setup(open_flags_are_ignored, fake_reset),
		cmocka_unit_test_setup(open_failure_keeps_errno_and_undoes,
		    fake_reset),
		cmocka_unit_test_setup(no_logger_no_open, fake_reset),
		cmocka_unit_test_setup(close_of_null_succeeds, fake_reset),
		cmocka_unit_test_setup(close_reports_the_kernels_error,
		    fake_reset),
#ifdef GNTDEV_PATH_2
		cmocka_unit_test_setup(
		    second_node_only_when_the_first_is_missing, fake_reset),
		cmocka_unit_test_setup(driver_is_told_by_what_it_knows,
		    fake_reset),
		cmocka_unit_test_setup(
		    base_driver_grants_where_ours_is_missing, fake_reset),
#endif
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
