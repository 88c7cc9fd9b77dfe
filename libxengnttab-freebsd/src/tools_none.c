/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * For a build without Xen's tool libraries.  Messages go to stderr unless the
 * caller has a logger.  In a program that itself uses libxentoolcore,
 * xentoolcore_restrict_all() covers our handles: weak references find its list
 * when the program is loaded.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "private.h"

void xentoolcore__register_active_handle(struct active_handle *)
    __attribute__((weak));
void xentoolcore__deregister_active_handle(struct active_handle *)
    __attribute__((weak));

/* After this, calls fail with ENOTTY, and mappings stay. */
static int
restrict_handle(struct active_handle *active, domid_t domid)
{
	struct xengntdev_handle *h;
	int error, null, rc;

	(void)domid;	/* no grant device can be limited to one domain */
	h = (struct xengntdev_handle *)((char *)active -
	    offsetof(struct xengntdev_handle, active));
	if (h->fd == -1)
		return (0);
	null = open("/dev/null", O_RDONLY | O_CLOEXEC);
	if (null == -1)
		return (-1);
	rc = dup2(null, h->fd);
	error = errno;
	(void)close(null);
	errno = error;
	return (rc == -1 ? -1 : 0);
}

void
tools_register(struct xengntdev_handle *h)
{
	if (xentoolcore__register_active_handle == NULL ||
	    xentoolcore__deregister_active_handle == NULL)
		return;
	h->active.restrict_cb = restrict_handle;
	xentoolcore__register_active_handle(&h->active);
	h->registered = true;
}

void
tools_deregister(struct xengntdev_handle *h)
{
	if (h->registered)
		xentoolcore__deregister_active_handle(&h->active);
	h->registered = false;
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

/* As in xentoollog.h, for a caller with a logger. */
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
