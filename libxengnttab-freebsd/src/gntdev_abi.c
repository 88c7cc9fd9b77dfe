/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The grant mapper's system calls.  Both systems share them, because our
 * FreeBSD driver speaks Linux's ABI (REFERENCE 4.5, 4.8).
 */
#include <sys/ioctl.h>
#include <sys/mman.h>

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include <xen/gntdev.h>

#include "private.h"

int
osdep_gnttab_set_max_grants(xengnttab_handle *xgt, uint32_t nr_grants)
{
	struct ioctl_gntdev_set_max_grants arg = { .count = nr_grants };
	int error;

	error = errno;
	if (ioctl(xgt->fd, IOCTL_GNTDEV_SET_MAX_GRANTS, &arg) == 0)
		return (0);
	/* There is no such limit any more: whatever was asked for is met. */
	if (errno == ENOTTY) {
		errno = error;
		return (0);
	}
	log_errno(xgt, "cannot set the limit to %u grants", nr_grants);
	return (-1);
}

static int
arm_notify(xengnttab_handle *xgt, const struct map_request *req, uint64_t index)
{
	struct ioctl_gntdev_unmap_notify arg = { .index = index };

	if (req->notify_offset < GRANT_PAGE_SIZE * req->count) {
		arg.index += req->notify_offset;
		arg.action |= UNMAP_NOTIFY_CLEAR_BYTE;
	}
	if (req->notify_port != NO_PORT) {
		arg.event_channel_port = req->notify_port;
		arg.action |= UNMAP_NOTIFY_SEND_EVENT;
	}
	if (arg.action == 0)
		return (0);
	return (ioctl(xgt->fd, IOCTL_GNTDEV_SET_UNMAP_NOTIFY, &arg));
}

static void
forget_map(xengnttab_handle *xgt, uint64_t index, uint32_t count)
{
	struct ioctl_gntdev_unmap_grant_ref arg = {
		.index = index,
		.count = count,
	};
	int error;

	error = errno;
	if (ioctl(xgt->fd, IOCTL_GNTDEV_UNMAP_GRANT_REF, &arg) != 0)
		log_errno(xgt, "cannot undo the failed mapping");
	errno = error;
}

void *
osdep_gnttab_map(xengnttab_handle *xgt, const struct map_request *req)
{
	struct ioctl_gntdev_map_grant_ref *arg;
	void *area, *result;
	uint32_t extra, i;
	bool listed;
	int error;

	result = NULL;
	area = MAP_FAILED;
	listed = false;

	/* The struct has room for one; a count of 0 is the kernel's to judge. */
	extra = req->count > 1 ? req->count - 1 : 0;
	arg = malloc(sizeof(*arg) + extra * sizeof(arg->refs[0]));
	if (arg == NULL) {
		log_errno(xgt, "no memory for %u grant references", req->count);
		goto out;
	}
	arg->count = req->count;
	arg->pad = 0;
	arg->index = 0;
	for (i = 0; i < req->count; i++) {
		arg->refs[i].domid = req->domids[req->single_domain ? 0 : i];
		arg->refs[i].ref = req->refs[i];
	}
	if (ioctl(xgt->fd, IOCTL_GNTDEV_MAP_GRANT_REF, arg) != 0) {
		log_errno(xgt, "cannot prepare the mapping of %u grants",
		    req->count);
		goto out;
	}
	listed = true;

	for (;;) {
		area = mmap(NULL, GRANT_PAGE_SIZE * req->count, req->prot,
		    MAP_SHARED, xgt->fd, (off_t)arg->index);
		if (area != MAP_FAILED || errno != EAGAIN)
			break;
		/* A frame of the peer is paged out, Xen is fetching it. */
		usleep(1000);
	}
	if (area == MAP_FAILED) {
		log_errno(xgt, "cannot map %u grants from %u of domain %u on",
		    req->count, arg->refs[0].ref, arg->refs[0].domid);
		goto out;
	}
	if (arm_notify(xgt, req, arg->index) != 0) {
		log_errno(xgt, "cannot arm the unmap notification");
		goto out;
	}
	result = area;

out:
	error = errno;
	if (result == NULL) {
		if (area != MAP_FAILED)
			(void)munmap(area, GRANT_PAGE_SIZE * req->count);
		if (listed)
			forget_map(xgt, arg->index, req->count);
	}
	free(arg);
	errno = error;
	return (result);
}

int
osdep_gnttab_unmap(xengnttab_handle *xgt, void *start, uint32_t count)
{
	struct ioctl_gntdev_get_offset_for_vaddr where = {
		.vaddr = (uintptr_t)start,
	};
	struct ioctl_gntdev_unmap_grant_ref arg = { .count = count };

	if (start == NULL) {
		errno = EINVAL;
		return (-1);
	}
	/* Before munmap: afterwards the address means nothing any more. */
	if (ioctl(xgt->fd, IOCTL_GNTDEV_GET_OFFSET_FOR_VADDR, &where) != 0)
		return (-1);
	if (where.count != count) {
		errno = EINVAL;
		return (-1);
	}
	if (munmap(start, GRANT_PAGE_SIZE * count) != 0)
		return (-1);
	arg.index = where.offset;
	return (ioctl(xgt->fd, IOCTL_GNTDEV_UNMAP_GRANT_REF, &arg));
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

int
osdep_gnttab_copy(xengnttab_handle *xgt, uint32_t count,
    xengnttab_grant_copy_segment_t *segs)
{
	struct ioctl_gntdev_grant_copy arg = {
		.count = count,
		.segments = (struct gntdev_grant_copy_segment *)segs,
	};

	if (ioctl(xgt->fd, IOCTL_GNTDEV_GRANT_COPY, &arg) != 0) {
		log_errno(xgt, "cannot copy %u segments", count);
		return (-1);
	}
	return (0);
}
