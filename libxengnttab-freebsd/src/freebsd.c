/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * FreeBSD: the nodes of module xengnt, or the one of the base system's driver.
 *
 * Both drivers have a node gntdev, with different ABIs.  Where the base
 * system's got the name first, ours is called xengntdev and is the one to
 * take.  Which driver a node belongs to is asked of the node, not guessed
 * from a version.
 */
#include <sys/ioctl.h>

#include <errno.h>
#include <fcntl.h>

#include <xen/gntdev.h>

#include "private.h"

/*
 * The base system's driver hands out offsets from the last page of 2^64 bytes
 * downwards, and arms no notification on that one: the end of its range is 0.
 * A request that is never mapped takes no grant, but the offset.
 */
static void
take_last_offset(int fd)
{
	const uint32_t none = 0;
	const struct map_request req = {
		.count = 1,
		.domids = &none,
		.refs = &none,
	};
	uint64_t index;

	(void)abi_base.map(fd, &req, &index);
}

int
os_gnttab_open(struct xengntdev_handle *h)
{
	struct ioctl_gntdev_grant_copy nothing = { .count = 0 };

	h->abi = &abi_native;
	h->fd = open("/dev/xen/xengntdev", O_RDWR | O_CLOEXEC);
	if (h->fd == -1 && errno == ENOENT)
		h->fd = open("/dev/xen/gntdev", O_RDWR | O_CLOEXEC);
	if (h->fd == -1)
		return (-1);
	/* The base system's driver answers ENOSYS to what it does not know. */
	if (ioctl(h->fd, IOCTL_GNTDEV_GRANT_COPY, &nothing) != 0 &&
	    (errno == ENOSYS || errno == ENOTTY)) {
		h->abi = &abi_base;
		take_last_offset(h->fd);
	}
	return (0);
}

int
os_gntshr_open(struct xengntdev_handle *h)
{
	h->abi = &abi_native;
	h->fd = open("/dev/xen/gntalloc", O_RDWR);
	if (h->fd != -1 || errno != ENOENT)
		return (h->fd == -1 ? -1 : 0);
	/*
	 * Without our module: the base system's driver grants pages, too.  Its
	 * words say what they are, so there is nothing to ask.
	 */
	h->abi = &abi_base;
	h->fd = open("/dev/xen/gntdev", O_RDWR);
	return (h->fd == -1 ? -1 : 0);
}
