/* SPDX-License-Identifier: BSD-2-Clause */
/* The public functions on grants of other domains. */
#include "private.h"

xengnttab_handle *
xengnttab_open(struct xentoollog_logger *logger, unsigned open_flags)
{
	(void)open_flags;	/* none is defined */
	return (handle_open("gnttab", logger, os_gnttab_open, true));
}

int
xengnttab_close(xengnttab_handle *xgt)
{
	return (handle_close(xgt));
}

int
xengnttab_fd(xengnttab_handle *xgt)
{
	return (xgt->fd);
}

int
xengnttab_set_max_grants(xengnttab_handle *xgt, uint32_t nr_grants)
{
	return (osdep_gnttab_set_max_grants(xgt, nr_grants));
}

void *
xengnttab_map_grant_ref(xengnttab_handle *xgt, uint32_t domid, uint32_t ref,
    int prot)
{
	return (xengnttab_map_grant_ref_notify(xgt, domid, ref, prot, NO_OFFSET,
	    NO_PORT));
}

void *
xengnttab_map_grant_ref_notify(xengnttab_handle *xgt, uint32_t domid,
    uint32_t ref, int prot, uint32_t notify_offset, evtchn_port_t notify_port)
{
	const struct map_request req = {
		.count = 1,
		.domids = &domid,
		.refs = &ref,
		.prot = prot,
		.notify_offset = notify_offset,
		.notify_port = notify_port,
	};

	return (osdep_gnttab_map(xgt, &req));
}

void *
xengnttab_map_grant_refs(xengnttab_handle *xgt, uint32_t count,
    uint32_t *domids, uint32_t *refs, int prot)
{
	const struct map_request req = {
		.count = count,
		.domids = domids,
		.refs = refs,
		.prot = prot,
		.notify_offset = NO_OFFSET,
		.notify_port = NO_PORT,
	};

	return (osdep_gnttab_map(xgt, &req));
}

void *
xengnttab_map_domain_grant_refs(xengnttab_handle *xgt, uint32_t count,
    uint32_t domid, uint32_t *refs, int prot)
{
	const struct map_request req = {
		.count = count,
		.domids = &domid,
		.single_domain = true,
		.refs = refs,
		.prot = prot,
		.notify_offset = NO_OFFSET,
		.notify_port = NO_PORT,
	};

	return (osdep_gnttab_map(xgt, &req));
}

int
xengnttab_unmap(xengnttab_handle *xgt, void *start_address, uint32_t count)
{
	return (osdep_gnttab_unmap(xgt, start_address, count));
}

int
xengnttab_grant_copy(xengnttab_handle *xgt, uint32_t count,
    xengnttab_grant_copy_segment_t *segs)
{
	return (osdep_gnttab_copy(xgt, count, segs));
}

int
xengnttab_dmabuf_exp_from_refs(xengnttab_handle *xgt, uint32_t domid,
    uint32_t flags, uint32_t count, const uint32_t *refs, uint32_t *fd)
{
	return (osdep_dmabuf_exp_from_refs(xgt, domid, flags, count, refs, fd));
}

int
xengnttab_dmabuf_exp_wait_released(xengnttab_handle *xgt, uint32_t fd,
    uint32_t wait_to_ms)
{
	return (osdep_dmabuf_exp_wait_released(xgt, fd, wait_to_ms));
}

int
xengnttab_dmabuf_imp_to_refs(xengnttab_handle *xgt, uint32_t domid, uint32_t fd,
    uint32_t count, uint32_t *refs)
{
	return (osdep_dmabuf_imp_to_refs(xgt, domid, fd, count, refs));
}

int
xengnttab_dmabuf_imp_release(xengnttab_handle *xgt, uint32_t fd)
{
	return (osdep_dmabuf_imp_release(xgt, fd));
}
