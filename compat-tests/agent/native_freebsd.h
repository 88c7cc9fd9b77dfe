/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Calls that a native program also makes for the Linux agent (event_helper.h).
 */
#ifndef AGENT_NATIVE_FREEBSD_H
#define	AGENT_NATIVE_FREEBSD_H

#include <sys/param.h>
#include <sys/ioctl.h>
#include <sys/mdioctl.h>
#include <sys/sysctl.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "event_helper.h"

/*
 * Reads the limit of a grant device, and with set writes it; returns an errno.
 */
static inline int
freebsd_limit(const char *dev, bool set, unsigned value, unsigned *old)
{
	char name[64];
	size_t len;

	snprintf(name, sizeof(name), "hw.xen.%.32s.limit", dev);
	len = sizeof(*old);
	if (sysctlbyname(name, old, &len, set ? &value : NULL,
	    set ? sizeof(value) : 0) != 0)
		return (errno);
	return (0);
}

/* Makes FREEBSD_DISK, which stays for later cases; returns an errno. */
static inline int
freebsd_disk(void)
{
	struct md_ioctl md;
	int error, fd;

	memset(&md, 0, sizeof(md));
	md.md_version = MDIOVERSION;
	md.md_unit = FREEBSD_DISK_UNIT;
	md.md_type = MD_SWAP;
	md.md_mediasize = 1 << 20;
	md.md_sectorsize = 512;
	fd = open("/dev/" MDCTL_NAME, O_RDWR | O_CLOEXEC);
	if (fd < 0)
		return (errno);
	error = ioctl(fd, MDIOCATTACH, &md) == 0 || errno == EBUSY ? 0 : errno;
	close(fd);
	return (error);
}

#endif /* !AGENT_NATIVE_FREEBSD_H */
