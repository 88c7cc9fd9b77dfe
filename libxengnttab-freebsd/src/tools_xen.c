/* SPDX-License-Identifier: BSD-2-Clause */
/* Logging and restriction by Xen's own libraries. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

#include <xentoollog.h>

#include "private.h"

/* Exported for Xen's other libraries, but declared only in Xen's tree. */
void xentoolcore__register_active_handle(struct active_handle *);
void xentoolcore__deregister_active_handle(struct active_handle *);
int xentoolcore__restrict_by_dup2_null(int fd);

static int
restrict_handle(struct active_handle *active, domid_t domid)
{
	struct xengntdev_handle *h;

	(void)domid;	/* no grant device can be limited to one domain */
	h = (struct xengntdev_handle *)((char *)active -
	    offsetof(struct xengntdev_handle, active));
	return (xentoolcore__restrict_by_dup2_null(h->fd));
}

void
tools_register(struct xengntdev_handle *h)
{
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
	h->own_logger = (struct xentoollog_logger *)
	    xtl_createlogger_stdiostream(stderr, XTL_PROGRESS, 0);
	h->logger = h->own_logger;
	return (h->logger == NULL ? -1 : 0);
}

void
tools_log_close(struct xengntdev_handle *h)
{
	xtl_logger_destroy(h->own_logger);
	h->logger = h->own_logger = NULL;
}

void
log_errno(struct xengntdev_handle *h, const char *fmt, ...)
{
	va_list ap;
	int error;

	error = errno;
	va_start(ap, fmt);
	xtl_logv(h->logger, XTL_ERROR, error, h->name, fmt, ap);
	va_end(ap);
	errno = error;
}
