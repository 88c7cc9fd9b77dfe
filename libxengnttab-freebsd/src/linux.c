/* SPDX-License-Identifier: BSD-2-Clause */
/* Linux: two misc devices of the kernel's own. */
#include <fcntl.h>

#include "private.h"

int
os_gnttab_open(void)
{
	return (open("/dev/xen/gntdev", O_RDWR | O_CLOEXEC));
}

int
os_gntshr_open(void)
{
	return (open("/dev/xen/gntalloc", O_RDWR));
}
