/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * FreeBSD: the nodes of module xengnt, or that of the base system's driver.
 *
 * Both drivers have a node gntdev, with different ABIs.  If the base system's
 * driver got the name first, our node is called xengntdev and is used.  A
 * request to the node, not a version number, tells which driver it belongs to.
 */
#include <sys/ioctl.h>

#include <errno.h>
#include <fcntl.h>

#include <xen/gntdev.h>

#include "private.h"

/*
 * The base system's driver hands out offsets downwards from the last page of
 * 2^64 bytes.  It cannot arm a notification on that page, because the end of
 * its range is 0.  So take it here, by a request that is never mapped and
 * touches no grant.
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
	/* The base system's driver answers ENOSYS to unknown commands. */
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
	 * Without our module the base system's driver grants pages.  Its
	 * commands differ from all others, so no probe is needed.
	 */
	h->abi = &abi_base;
	h->fd = open("/dev/xen/gntdev", O_RDWR);
	return (h->fd == -1 ? -1 : 0);
}
