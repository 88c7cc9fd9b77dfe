/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The driver of FreeBSD's base system, for kernels without our module.  This
 * file makes up for what it lacks.
 */
#include <sys/ioctl.h>

#include <errno.h>
#include <stdlib.h>

#include <xen/gntdev_base.h>

#include "private.h"

/* Most grants of one request, as in our module (row M3). */
#define BASE_MAX_GRANTS	65536

/* The driver has no limit to set. */
static int
base_set_max_grants(int fd, uint32_t nr_grants)
{
	(void)fd;
	(void)nr_grants;
	return (0);
}

static int
base_map(int fd, const struct map_request *req, uint64_t *index)
{
	struct base_map_grant_ref arg = { .count = req->count };
	uint32_t i;
	int error, rc;

	/*
	 * The driver would allocate memory for any count, and sleep until it
	 * gets it.
	 */
	if (req->count == 0 || req->count > BASE_MAX_GRANTS) {
		errno = EINVAL;
		return (-1);
	}
	arg.refs = calloc(req->count, sizeof(*arg.refs));
	if (arg.refs == NULL)
		return (-1);
	for (i = 0; i < req->count; i++) {
		arg.refs[i].domid = req->domids[req->single_domain ? 0 : i];
		arg.refs[i].ref = req->refs[i];
	}
	rc = ioctl(fd, BASE_MAP_GRANT_REF, &arg);
	*index = arg.index;
	error = errno;
	free(arg.refs);
	errno = error;
	return (rc);
}

static int
base_unmap(int fd, uint64_t index, uint32_t count)
{
	struct ioctl_gntdev_unmap_grant_ref arg = { .index = index,
		.count = count };

	return (ioctl(fd, BASE_UNMAP_GRANT_REF, &arg));
}

static int
base_find(int fd, uintptr_t vaddr, uint64_t *index, uint32_t *count)
{
	struct ioctl_gntdev_get_offset_for_vaddr arg = { .vaddr = vaddr };

	if (ioctl(fd, BASE_GET_OFFSET_FOR_VADDR, &arg) != 0)
		return (-1);
	*index = arg.offset;
	*count = arg.count;
	return (0);
}

static int
base_notify(int fd, uint64_t index, uint32_t action, uint32_t port)
{
	struct ioctl_gntdev_unmap_notify arg = {
		.index = index,
		.action = action,
		.event_channel_port = port,
	};

	return (ioctl(fd, BASE_SET_UNMAP_NOTIFY, &arg));
}

static int
base_alloc(int fd, const struct share_request *req, uint64_t *index,
    uint32_t *refs)
{
	struct base_alloc_gref arg = {
		.domid = (uint16_t)req->domid,
		.flags = req->writable ? GNTALLOC_FLAG_WRITABLE : 0,
		.count = (uint32_t)req->count,
		.gref_ids = refs,
	};

	if (ioctl(fd, BASE_ALLOC_GREF, &arg) != 0)
		return (-1);
	*index = arg.index;
	return (0);
}

static int
base_dealloc(int fd, uint64_t index, uint32_t count)
{
	struct ioctl_gntalloc_dealloc_gref arg = { .index = index,
		.count = count };

	return (ioctl(fd, BASE_DEALLOC_GREF, &arg));
}

const struct abi abi_base = {
	.set_max_grants = base_set_max_grants,
	.map = base_map,
	.unmap = base_unmap,
	.find = base_find,
	.notify = base_notify,
	.copy = copy_by_map,
	.alloc = base_alloc,
	.dealloc = base_dealloc,
	/*
	 * The driver frees the pages of a request one by one, from one array.
	 */
	.pagewise = BASE_MAX_GRANTS,
};
