/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The use of Xen's tool libraries, with tools_xen.c and tools_none.c, and the
 * latter also in a program that brings libxentoolcore itself: messages name the
 * cause and keep errno, and the restriction takes the device from a listed
 * handle.
 */
#include <sys/stat.h>

#include <fcntl.h>
#include <unistd.h>

#include "fake.h"
#include "private.h"

#ifdef WITH_TOOLCORE
#include <xentoolcore.h>
#endif

static void
message_names_the_cause_and_keeps_errno(void **state)
{
	struct xengntdev_handle h = { .name = "gnttab", .fd = -1 };
	char text[256];
	ssize_t len;
	int ends[2], saved;

	(void)state;
	assert_int_equal(pipe(ends), 0);
	saved = dup(STDERR_FILENO);
	assert_int_equal(dup2(ends[1], STDERR_FILENO), STDERR_FILENO);
	assert_int_equal(tools_log_open(&h), 0);
	errno = ENOSPC;
	log_errno(&h, "cannot grant %d pages", 9);
	assert_int_equal(errno, ENOSPC);
	tools_log_close(&h);
	(void)fflush(stderr);
	assert_int_equal(dup2(saved, STDERR_FILENO), STDERR_FILENO);
	(void)close(saved);
	(void)close(ends[1]);
	len = read(ends[0], text, sizeof(text) - 1);
	(void)close(ends[0]);
	assert_true(len > 0);
	text[len] = '\0';
	assert_non_null(strstr(text, "gnttab"));
	assert_non_null(strstr(text, "cannot grant 9 pages"));
	assert_non_null(strstr(text, strerror(ENOSPC)));
	assert_null(h.own_logger);
}

/* Laid out as in xentoollog.h, which the build without Xen's tools lacks. */
struct recorder {
	void (*vmessage)(struct xentoollog_logger *, int, int, const char *,
	    const char *, va_list);
	void (*progress)(void);
	void (*destroy)(struct xentoollog_logger *);
	int level, error;
	char text[128];
};

static void
record(struct xentoollog_logger *logger, int level, int error,
    const char *context, const char *fmt, va_list ap)
{
	struct recorder *r = (struct recorder *)logger;
	size_t used;

	r->level = level;
	r->error = error;
	used = (size_t)snprintf(r->text, sizeof(r->text), "%s: ", context);
	(void)vsnprintf(r->text + used, sizeof(r->text) - used, fmt, ap);
	errno = ERRNO_TRASH;
}

static void
destroyed(struct xentoollog_logger *logger)
{
	(void)logger;
	fail_msg("the caller's logger is not ours to destroy");
}

static void
callers_logger_gets_the_message(void **state)
{
	struct recorder r = { .vmessage = record, .destroy = destroyed };
	struct xengntdev_handle h = {
		.name = "gntshr",
		.logger = (struct xentoollog_logger *)&r,
		.fd = -1,
	};

	(void)state;
	errno = ENOSPC;
	log_errno(&h, "cannot grant %d pages", 9);
	assert_int_equal(errno, ENOSPC);
	assert_int_equal(r.level, 8);
	assert_int_equal(r.error, ENOSPC);
	assert_string_equal(r.text, "gntshr: cannot grant 9 pages");
	tools_log_close(&h);
}

static void
closing_without_opening_is_harmless(void **state)
{
	struct xengntdev_handle h = { .name = "gnttab", .fd = -1 };

	(void)state;
	tools_deregister(&h);
	tools_log_close(&h);
}

#ifdef WITH_TOOLCORE
static void
restriction_takes_the_device_away(void **state)
{
	struct xengntdev_handle listed = { .name = "gnttab" };
	struct xengntdev_handle closed = { .name = "gnttab" };
	struct stat null_device, now;

	(void)state;
	listed.fd = open("/dev/zero", O_RDWR);
	closed.fd = open("/dev/zero", O_RDWR);
	assert_true(listed.fd != -1 && closed.fd != -1);
	tools_register(&listed);
	tools_register(&closed);
	tools_deregister(&closed);
	assert_int_equal(xentoolcore_restrict_all(1), 0);
	assert_int_equal(stat("/dev/null", &null_device), 0);
	assert_int_equal(fstat(listed.fd, &now), 0);
	assert_int_equal(now.st_rdev, null_device.st_rdev);
	assert_int_equal(fstat(closed.fd, &now), 0);
	assert_int_not_equal(now.st_rdev, null_device.st_rdev);
	/*
	 * Only for reading, as /dev/null was opened: no command gets through.
	 */
	assert_int_equal(fcntl(listed.fd, F_GETFL) & O_ACCMODE, O_RDONLY);
	tools_deregister(&listed);
	(void)close(listed.fd);
	(void)close(closed.fd);
}

#else
static void
without_toolcore_there_is_no_list(void **state)
{
	struct xengntdev_handle h = { .name = "gnttab", .fd = -1 };

	(void)state;
	tools_register(&h);
	assert_false(h.registered);
	tools_deregister(&h);
}
#endif

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(message_names_the_cause_and_keeps_errno),
		cmocka_unit_test(callers_logger_gets_the_message),
		cmocka_unit_test(closing_without_opening_is_harmless),
#ifdef WITH_TOOLCORE
		cmocka_unit_test(restriction_takes_the_device_away),
#else
		cmocka_unit_test(without_toolcore_there_is_no_list),
#endif
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
