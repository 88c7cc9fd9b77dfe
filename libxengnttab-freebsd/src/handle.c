/* SPDX-License-Identifier: BSD-2-Clause */
/* Opening and closing a handle, the same for both devices. */
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "private.h"

struct xengntdev_handle *
handle_open(const char *name, struct xentoollog_logger *logger,
    int (*open_node)(struct xengntdev_handle *), bool restrictable)
{
	struct xengntdev_handle *h;

	h = calloc(1, sizeof(*h));
	if (h == NULL)
		return (NULL);
	h->name = name;
	h->logger = logger;
	h->fd = -1;

	/*
	 * Registered before the descriptor exists, so that a restriction by
	 * another thread cannot miss it.
	 */
	if (restrictable)
		tools_register(h);
	if (logger == NULL && tools_log_open(h) != 0)
		goto fail;
	if (open_node(h) != 0) {
		log_errno(h, "cannot open the grant device");
		goto fail;
	}
	return (h);

fail:
	(void)handle_close(h);
	return (NULL);
}

int
handle_close(struct xengntdev_handle *h)
{
	int error, rc;

	if (h == NULL)
		return (0);
	error = errno;
	rc = 0;
	tools_deregister(h);
	if (h->fd != -1 && close(h->fd) != 0) {
		rc = -1;
		error = errno;
	}
	tools_log_close(h);
	free(h);
	errno = error;
	return (rc);
}

int
arm_notify(struct xengntdev_handle *h, uint64_t index, size_t pages,
    uint32_t offset, evtchn_port_t port)
{
	uint32_t action;

	action = 0;
	if (offset < GRANT_PAGE_SIZE * pages) {
		index += offset;
		action |= UNMAP_NOTIFY_CLEAR_BYTE;
	}
	if (port != NO_PORT)
		action |= UNMAP_NOTIFY_SEND_EVENT;
	if (action == 0)
		return (0);
	return (h->abi->notify(h->fd, index, action,
	    port == NO_PORT ? 0 : port));
}
