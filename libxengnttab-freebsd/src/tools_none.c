/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Without Xen's tool libraries: stderr where the caller has no logger, and no
 * list of active handles, so xentoolcore_restrict_all() does not reach ours.
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

/* As xentoollog.h has them, for a caller that brings a logger all the same. */
#define XTL_ERROR	8
struct xentoollog_logger {
	void (*vmessage)(struct xentoollog_logger *, int level, int errnoval,
	    const char *context, const char *format, va_list);
	void (*progress)(struct xentoollog_logger *, const char *context,
	    const char *doing, int percent, unsigned long done,
	    unsigned long total);
	void (*destroy)(struct xentoollog_logger *);
};

void
log_errno(struct xengntdev_handle *h, const char *fmt, ...)
{
	char text[256];
	va_list ap;
	int error;

	error = errno;
	va_start(ap, fmt);
	if (h->logger != NULL) {
		h->logger->vmessage(h->logger, XTL_ERROR, error, h->name, fmt,
		    ap);
	} else {
		(void)vsnprintf(text, sizeof(text), fmt, ap);
		(void)fprintf(stderr, "%s: %s: %s\n", h->name, text,
		    strerror(error));
	}
	va_end(ap);
	errno = error;
}
