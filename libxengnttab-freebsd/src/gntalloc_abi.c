/* SPDX-License-Identifier: BSD-2-Clause */
/* The grant allocator's system calls, shared as those of gntdev_abi.c. */
#include <sys/ioctl.h>
#include <sys/mman.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <xen/gntalloc.h>

#include "private.h"

static int
arm_notify(xengntshr_handle *xgs, const struct share_request *req,
    uint64_t index)
{
	struct ioctl_gntalloc_unmap_notify arg = { .index = index };

	if (req->notify_offset < GRANT_PAGE_SIZE * (size_t)req->count) {
		arg.index += req->notify_offset;
		arg.action |= UNMAP_NOTIFY_CLEAR_BYTE;
	}
	if (req->notify_port != NO_PORT) {
		arg.event_channel_port = req->notify_port;
		arg.action |= UNMAP_NOTIFY_SEND_EVENT;
	}
	if (arg.action == 0)
		return (0);
	return (ioctl(xgs->fd, IOCTL_GNTALLOC_SET_UNMAP_NOTIFY, &arg));
}

/*
 * Takes the pages off the file, so that the mapping alone keeps them and
 * munmap(2) is the end of them.
 */
static void
detach_pages(xengntshr_handle *xgs, uint64_t index, uint32_t count)
{
	struct ioctl_gntalloc_dealloc_gref arg = {
		.index = index,
		.count = count,
	};
	int error;

	error = errno;
	if (count != 0 &&
	    ioctl(xgs->fd, IOCTL_GNTALLOC_DEALLOC_GREF, &arg) != 0)
		log_errno(xgs, "cannot detach %u pages", count);
	errno = error;
}

void *
osdep_gntshr_share(xengntshr_handle *xgs, const struct share_request *req)
{
	struct ioctl_gntalloc_alloc_gref *arg;
	void *area, *result;
	size_t extra, size;
	bool listed;
	int error;

	arg = NULL;
	area = MAP_FAILED;
	result = NULL;
	listed = false;

	if (req->count < 0) {
		errno = EINVAL;
		log_errno(xgs, "cannot share %d pages", req->count);
		goto out;
	}
	size = GRANT_PAGE_SIZE * (size_t)req->count;
	/* The struct has room for one reference. */
	extra = req->count > 1 ? (size_t)req->count - 1 : 0;
	arg = calloc(1, sizeof(*arg) + extra * sizeof(arg->gref_ids[0]));
	if (arg == NULL) {
		log_errno(xgs, "no memory for %d grant references", req->count);
		goto out;
	}
	arg->domid = (uint16_t)req->domid;
	arg->flags = req->writable ? GNTALLOC_FLAG_WRITABLE : 0;
	arg->count = (uint32_t)req->count;
	if (ioctl(xgs->fd, IOCTL_GNTALLOC_ALLOC_GREF, arg) != 0) {
		log_errno(xgs, "cannot grant %d pages to domain %u", req->count,
		    req->domid);
		goto out;
	}
	listed = true;
	area = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, xgs->fd,
	    (off_t)arg->index);
	if (area == MAP_FAILED) {
		log_errno(xgs, "cannot map %d pages to share", req->count);
		goto out;
	}
	/* Told even when the notification fails, as by Xen's library. */
	memcpy(req->refs, arg->gref_ids,
	    (size_t)req->count * sizeof(*req->refs));
	if (arm_notify(xgs, req, arg->index) != 0) {
		log_errno(xgs, "cannot arm the unmap notification");
		goto out;
	}
	result = area;

out:
	error = errno;
	if (result == NULL && area != MAP_FAILED)
		(void)munmap(area, size);
	if (listed)
		detach_pages(xgs, arg->index, arg->count);
	free(arg);
	errno = error;
	return (result);
}

int
osdep_gntshr_unshare(xengntshr_handle *xgs, void *start, uint32_t count)
{
	(void)xgs;
	return (munmap(start, GRANT_PAGE_SIZE * count));
}
