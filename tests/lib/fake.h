/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The interface of the unit tests to the model: the script before, the log
 * after.
 */
#ifndef FAKE_H
#define FAKE_H

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

/*
 * Every modelled call that succeeds leaves this in errno: a library that
 * reports errno after its own clean-up reports this instead of the cause.
 */
#define ERRNO_TRASH	EDOM

#define FAKE_FD		42
#define FAKE_INDEX	0x5000u
#define FAKE_AREA	((void *)fake_area)
extern unsigned char fake_area[8192];

/* cmocka fixtures: an empty log, nothing fails. */
int fake_reset(void **state);

/* The next `times` calls that are logged as `name` fail with `error`. */
void fake_fail(const char *name, int error, int times);

/* The result of GET_OFFSET_FOR_VADDR. */
void fake_offset(uint64_t offset, uint32_t count);

/* The log so far, calls separated by blanks; clears it. */
const char *fake_log(void);
#define assert_calls(expected) assert_string_equal(fake_log(), expected)

/* Number of messages logged, and errno of the last one. */
int fake_messages(void);
int fake_message_errno(void);

/* How often the library slept. */
int fake_sleeps(void);

/* Asserts that an expression fails with an errno, kept through clean-up. */
#define assert_errno(expression, failure, error) do {	\
	errno = 0;					\
	assert_true((expression) == (failure));		\
	assert_int_equal(errno, (error));		\
} while (0)

#endif /* FAKE_H */
