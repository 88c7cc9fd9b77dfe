/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * FreeBSD: the nodes of module xengnt.
 *
 * The base system's driver has a node gntdev as well, with another ABI.  Where
 * it got the name first, ours is called xengntdev and is the one to take.
 */
#include <errno.h>
#include <fcntl.h>

#include "private.h"

int
os_gnttab_open(void)
{
	int fd;

	fd = open("/dev/xen/xengntdev", O_RDWR | O_CLOEXEC);
	if (fd == -1 && errno == ENOENT)
		fd = open("/dev/xen/gntdev", O_RDWR | O_CLOEXEC);
	return (fd);
}

int
os_gntshr_open(void)
{
	return (open("/dev/xen/gntalloc", O_RDWR));
}
