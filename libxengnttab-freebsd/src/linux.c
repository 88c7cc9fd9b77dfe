/* SPDX-License-Identifier: BSD-2-Clause */
/* Linux: the kernel's own two misc devices. */
#include <fcntl.h>

#include "private.h"

int
os_gnttab_open(struct xengntdev_handle *h)
{
	h->abi = &abi_native;
	h->fd = open("/dev/xen/gntdev", O_RDWR | O_CLOEXEC);
	return (h->fd == -1 ? -1 : 0);
}

int
os_gntshr_open(struct xengntdev_handle *h)
{
	h->abi = &abi_native;
	h->fd = open("/dev/xen/gntalloc", O_RDWR);
	return (h->fd == -1 ? -1 : 0);
}
