/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Without Xen's tool libraries: stderr instead of a logger, and no list of
 * active handles, so xentoolcore_restrict_all() does not reach ours.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "private.h"

void
tools_register(struct xengntdev_handle *h)
{
	(void)h;
}

void
tools_deregister(struct xengntdev_handle *h)
{
	(void)h;
}

int
tools_log_open(struct xengntdev_handle *h)
{
	(void)h;
	return (0);
}

void
tools_log_close(struct xengntdev_handle *h)
{
	(void)h;
}

void
log_errno(struct xengntdev_handle *h, const char *fmt, ...)
{
	char text[256];
	va_list ap;
	int error;

	error = errno;
	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	(void)fprintf(stderr, "%s: %s: %s\n", h->name, text, strerror(error));
	errno = error;
}
