/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The grant mapper: the sequences of calls, and what is undone after a failure.
 * How a call is passed to the driver is in abi_*.c.
 */
#include <sys/mman.h>

#include <errno.h>
#include <unistd.h>

#include "private.h"

int
osdep_gnttab_set_max_grants(xengnttab_handle *xgt, uint32_t nr_grants)
{
	int error;

	error = errno;
	if (xgt->abi->set_max_grants(xgt->fd, nr_grants) == 0)
		return (0);
	/* The kernel has no such limit any more, so any count is allowed. */
	if (errno == ENOTTY) {
		errno = error;
		return (0);
	}
	log_errno(xgt, "cannot set the limit to %u grants", nr_grants);
	return (-1);
}

static void
forget_map(xengnttab_handle *xgt, uint64_t index, uint32_t count)
{
	int error;

	error = errno;
	if (xgt->abi->unmap(xgt->fd, index, count) != 0)
		log_errno(xgt, "cannot undo the failed mapping");
	errno = error;
}

/*
 * mmap(2) fails with EAGAIN for two reasons.  Xen may be fetching a frame of
 * the peer that is paged out: then another try helps.  Or the process may not
 * lock so much memory (RLIMIT_MEMLOCK with mlockall(MCL_FUTURE)): then no try
 * helps, and an anonymous mapping of the same size fails, too.
 */
static bool
may_lock(size_t size, int prot)
{
	void *probe;

	probe = mmap(NULL, size, prot, MAP_PRIVATE | MAP_ANON, -1, 0);
	if (probe == MAP_FAILED)
		return (errno != EAGAIN);
	(void)munmap(probe, size);
	return (true);
}

/* Retries beyond the driver's own wait for Xen. */
#define PAGING_TRIES	1000
#define PAGING_USEC	1000

static void *
map_area(xengnttab_handle *xgt, const struct map_request *req, uint64_t index)
{
	void *area;
	size_t size;
	int tries;

	size = GRANT_PAGE_SIZE * req->count;
	for (tries = 0;; tries++) {
		area = mmap(NULL, size, req->prot, GRANT_MAP_FLAGS, xgt->fd,
		    (off_t)index);
		if (area != MAP_FAILED || errno != EAGAIN)
			return (area);
		if (tries == PAGING_TRIES ||
		    (tries == 0 && !may_lock(size, req->prot))) {
			errno = EAGAIN;
			return (MAP_FAILED);
		}
		usleep(PAGING_USEC);
	}
}

void *
osdep_gnttab_map(xengnttab_handle *xgt, const struct map_request *req)
{
	void *area, *result;
	uint64_t index;
	bool listed;
	int error;

	result = NULL;
	area = MAP_FAILED;
	listed = false;

	/* The kernel decides about a count of 0. */
	if (xgt->abi->map(xgt->fd, req, &index) != 0) {
		log_errno(xgt, "cannot prepare the mapping of %u grants",
		    req->count);
		goto out;
	}
	listed = true;

	area = map_area(xgt, req, index);
	if (area == MAP_FAILED) {
		/* Copying by mapping reports this one as a status. */
		if (!req->refusable || errno != EINVAL)
			log_errno(xgt,
			    "cannot map %u grants from %u of domain %u on",
			    req->count, req->refs[0], req->domids[0]);
		goto out;
	}
	if (arm_notify(xgt, index, req->count, req->notify_offset,
	    req->notify_port) != 0) {
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
			forget_map(xgt, index, req->count);
	}
	errno = error;
	return (result);
}

int
osdep_gnttab_unmap(xengnttab_handle *xgt, void *start, uint32_t count)
{
	uint64_t index;
	uint32_t mapped;

	if (start == NULL) {
		errno = EINVAL;
		return (-1);
	}
	/*
	 * Before munmap: afterwards the address does not lead to the mapping.
	 */
	if (xgt->abi->find(xgt->fd, (uintptr_t)start, &index, &mapped) != 0)
		return (-1);
	if (mapped != count) {
		errno = EINVAL;
		return (-1);
	}
	if (munmap(start, GRANT_PAGE_SIZE * count) != 0)
		return (-1);
	return (xgt->abi->unmap(xgt->fd, index, count));
}

int
osdep_gnttab_copy(xengnttab_handle *xgt, uint32_t count,
    xengnttab_grant_copy_segment_t *segs)
{
	if (xgt->abi->copy(xgt, count, segs) != 0) {
		log_errno(xgt, "cannot copy %u segments", count);
		return (-1);
	}
	return (0);
}
