/* SPDX-License-Identifier: BSD-2-Clause */
/* The public functions on pages granted to other domains. */
#include "private.h"

xengntshr_handle *
xengntshr_open(struct xentoollog_logger *logger, unsigned open_flags)
{
	(void)open_flags;	/* none is defined */
	return (handle_open("gntshr", logger, os_gntshr_open, false));
}

int
xengntshr_close(xengntshr_handle *xgs)
{
	return (handle_close(xgs));
}

int
xengntshr_fd(xengntshr_handle *xgs)
{
	return (xgs->fd);
}

void *
xengntshr_share_pages(xengntshr_handle *xgs, uint32_t domid, int count,
    uint32_t *refs, int writable)
{
	const struct share_request req = {
		.domid = domid,
		.count = count,
		.refs = refs,
		.writable = writable != 0,
		.notify_offset = NO_OFFSET,
		.notify_port = NO_PORT,
	};

	return (osdep_gntshr_share(xgs, &req));
}

void *
xengntshr_share_page_notify(xengntshr_handle *xgs, uint32_t domid,
    uint32_t *ref, int writable, uint32_t notify_offset,
    evtchn_port_t notify_port)
{
	const struct share_request req = {
		.domid = domid,
		.count = 1,
		.refs = ref,
		.writable = writable != 0,
		.notify_offset = notify_offset,
		.notify_port = notify_port,
	};

	return (osdep_gntshr_share(xgs, &req));
}

int
xengntshr_unshare(xengntshr_handle *xgs, void *start_address, uint32_t count)
{
	return (osdep_gntshr_unshare(xgs, start_address, count));
}
