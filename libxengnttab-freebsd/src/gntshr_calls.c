/* SPDX-License-Identifier: BSD-2-Clause */
/* The grant allocator; see gnttab_calls.c. */
#include <sys/mman.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "private.h"

/*
 * Takes the pages off the file, so that only the mapping keeps them and
 * munmap(2) ends the sharing.
 */
static void
detach_pages(xengntshr_handle *xgs, uint64_t index, uint32_t count)
{
	int error;

	error = errno;
	if (count != 0 && xgs->abi->dealloc(xgs->fd, index, count) != 0)
		log_errno(xgs, "cannot detach %u pages", count);
	errno = error;
}

/* One request to the driver.  place is the address for the pages, or NULL. */
static void *
share_at(xengntshr_handle *xgs, const struct share_request *req, void *place)
{
	void *area, *result;
	size_t count, size;
	uint32_t *refs;
	uint64_t index;
	bool listed;
	int error;

	area = MAP_FAILED;
	result = NULL;
	listed = false;
	count = (size_t)req->count;
	size = GRANT_PAGE_SIZE * count;

	refs = calloc(count + 1, sizeof(*refs));
	if (refs == NULL ||
	    xgs->abi->alloc(xgs->fd, req, &index, refs) != 0) {
		log_errno(xgs, "cannot grant %d pages to domain %u", req->count,
		    req->domid);
		goto out;
	}
	listed = true;
	area = mmap(place, size, PROT_READ | PROT_WRITE,
	    GRANT_MAP_FLAGS | (place != NULL ? MAP_FIXED : 0), xgs->fd,
	    (off_t)index);
	if (area == MAP_FAILED) {
		log_errno(xgs, "cannot map %d pages to share", req->count);
		goto out;
	}
	/* Stored even if the notification fails, as by Xen's library. */
	memcpy(req->refs, refs, count * sizeof(*refs));
	if (arm_notify(xgs, index, count, req->notify_offset,
	    req->notify_port) != 0) {
		log_errno(xgs, "cannot arm the unmap notification");
		goto out;
	}
	result = area;

out:
	error = errno;
	if (result == NULL && area != MAP_FAILED)
		(void)munmap(area, size);
	if (listed)
		detach_pages(xgs, index, (uint32_t)req->count);
	free(refs);
	errno = error;
	return (result);
}

/*
 * Shares page by page, into one range, because the driver cannot free larger
 * requests properly (struct abi, pagewise).
 */
static void *
share_pagewise(xengntshr_handle *xgs, const struct share_request *req)
{
	struct share_request one;
	size_t size;
	char *area;
	int error, i;

	if (req->count > xgs->abi->pagewise) {
		errno = EINVAL;
		log_errno(xgs, "cannot share %d pages", req->count);
		return (NULL);
	}
	one = *req;
	one.count = 1;
	size = GRANT_PAGE_SIZE * (size_t)req->count;
	area = mmap(NULL, size, PROT_NONE, MAP_PRIVATE | MAP_ANON, -1, 0);
	if (area == MAP_FAILED) {
		log_errno(xgs, "no address range for %d pages", req->count);
		return (NULL);
	}
	for (i = 0; i < req->count; i++) {
		one.refs = req->refs + i;
		if (share_at(xgs, &one, area + GRANT_PAGE_SIZE * (size_t)i) ==
		    NULL) {
			error = errno;
			(void)munmap(area, size);
			errno = error;
			return (NULL);
		}
	}
	return (area);
}

void *
osdep_gntshr_share(xengntshr_handle *xgs, const struct share_request *req)
{
	if (req->count < 0) {
		errno = EINVAL;
		log_errno(xgs, "cannot share %d pages", req->count);
		return (NULL);
	}
	/* Only single pages can have a notification. */
	if (xgs->abi->pagewise != 0 && req->count > 1)
		return (share_pagewise(xgs, req));
	return (share_at(xgs, req, NULL));
}

int
osdep_gntshr_unshare(xengntshr_handle *xgs, void *start, uint32_t count)
{
	(void)xgs;
	return (munmap(start, GRANT_PAGE_SIZE * count));
}
