/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Linux's ABI, spoken by Linux's drivers and by our FreeBSD module.
 */
#include <sys/ioctl.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <xen/gntalloc.h>
#include <xen/gntdev.h>

#include "private.h"

static int
native_set_max_grants(int fd, uint32_t nr_grants)
{
	struct ioctl_gntdev_set_max_grants arg = { .count = nr_grants };

	return (ioctl(fd, IOCTL_GNTDEV_SET_MAX_GRANTS, &arg));
}

static int
native_map(int fd, const struct map_request *req, uint64_t *index)
{
	struct ioctl_gntdev_map_grant_ref *arg;
	uint32_t extra, i;
	int error, rc;

	/* The struct has room for one reference. */
	extra = req->count > 1 ? req->count - 1 : 0;
	arg = malloc(sizeof(*arg) + extra * sizeof(arg->refs[0]));
	if (arg == NULL)
		return (-1);
	arg->count = req->count;
	arg->pad = 0;
	arg->index = 0;
	for (i = 0; i < req->count; i++) {
		arg->refs[i].domid = req->domids[req->single_domain ? 0 : i];
		arg->refs[i].ref = req->refs[i];
	}
	rc = ioctl(fd, IOCTL_GNTDEV_MAP_GRANT_REF, arg);
	*index = arg->index;
	error = errno;
	free(arg);
	errno = error;
	return (rc);
}

static int
native_unmap(int fd, uint64_t index, uint32_t count)
{
	struct ioctl_gntdev_unmap_grant_ref arg = {
		.index = index,
		.count = count,
	};

	return (ioctl(fd, IOCTL_GNTDEV_UNMAP_GRANT_REF, &arg));
}

static int
native_find(int fd, uintptr_t vaddr, uint64_t *index, uint32_t *count)
{
	struct ioctl_gntdev_get_offset_for_vaddr arg = { .vaddr = vaddr };

	if (ioctl(fd, IOCTL_GNTDEV_GET_OFFSET_FOR_VADDR, &arg) != 0)
		return (-1);
	*index = arg.offset;
	*count = arg.count;
	return (0);
}

/* Both devices have the same command and the same struct. */
_Static_assert(IOCTL_GNTDEV_SET_UNMAP_NOTIFY == IOCTL_GNTALLOC_SET_UNMAP_NOTIFY,
    "one command for both devices");

static int
native_notify(int fd, uint64_t index, uint32_t action, uint32_t port)
{
	struct ioctl_gntdev_unmap_notify arg = {
		.index = index,
		.action = action,
		.event_channel_port = port,
	};

	return (ioctl(fd, IOCTL_GNTDEV_SET_UNMAP_NOTIFY, &arg));
}

/* The public struct goes to the kernel as it is. */
#define SAME_PLACE(field)						\
	_Static_assert(offsetof(struct xengnttab_grant_copy_segment, field) == \
	    offsetof(struct gntdev_grant_copy_segment, field), #field)
SAME_PLACE(source.virt);
SAME_PLACE(source.foreign.ref);
SAME_PLACE(source.foreign.offset);
SAME_PLACE(source.foreign.domid);
SAME_PLACE(dest.virt);
SAME_PLACE(dest.foreign.ref);
SAME_PLACE(dest.foreign.offset);
SAME_PLACE(dest.foreign.domid);
SAME_PLACE(len);
SAME_PLACE(flags);
SAME_PLACE(status);
_Static_assert(sizeof(xengnttab_grant_copy_segment_t) ==
	sizeof(struct gntdev_grant_copy_segment),
    "segment size");

static int
native_copy(xengnttab_handle *xgt, uint32_t count,
    xengnttab_grant_copy_segment_t *segs)
{
	struct ioctl_gntdev_grant_copy arg = {
		.count = count,
		.segments = (struct gntdev_grant_copy_segment *)segs,
	};

	return (ioctl(xgt->fd, IOCTL_GNTDEV_GRANT_COPY, &arg));
}

static int
native_alloc(int fd, const struct share_request *req, uint64_t *index,
    uint32_t *refs)
{
	struct ioctl_gntalloc_alloc_gref *arg;
	size_t count, extra;
	int error, rc;

	count = (size_t)req->count;
	extra = count > 1 ? count - 1 : 0;
	arg = calloc(1, sizeof(*arg) + extra * sizeof(arg->gref_ids[0]));
	if (arg == NULL)
		return (-1);
	arg->domid = (uint16_t)req->domid;
	arg->flags = req->writable ? GNTALLOC_FLAG_WRITABLE : 0;
	arg->count = (uint32_t)req->count;
	rc = ioctl(fd, IOCTL_GNTALLOC_ALLOC_GREF, arg);
	if (rc == 0) {
		*index = arg->index;
		memcpy(refs, arg->gref_ids, count * sizeof(*refs));
	}
	error = errno;
	free(arg);
	errno = error;
	return (rc);
}

static int
native_dealloc(int fd, uint64_t index, uint32_t count)
{
	struct ioctl_gntalloc_dealloc_gref arg = {
		.index = index,
		.count = count,
	};

	return (ioctl(fd, IOCTL_GNTALLOC_DEALLOC_GREF, &arg));
}

const struct abi abi_native = {
	.set_max_grants = native_set_max_grants,
	.map = native_map,
	.unmap = native_unmap,
	.find = native_find,
	.notify = native_notify,
	.copy = native_copy,
	.alloc = native_alloc,
	.dealloc = native_dealloc,
	.dmabuf = true,
};
