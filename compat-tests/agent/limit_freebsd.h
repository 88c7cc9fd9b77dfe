/* SPDX-License-Identifier: BSD-2-Clause */
/* A device's page limit, which on FreeBSD is a sysctl. */
#ifndef AGENT_LIMIT_FREEBSD_H
#define	AGENT_LIMIT_FREEBSD_H

#include <sys/types.h>
#include <sys/sysctl.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>

/* Reads, and with set also writes, the limit of a grant device; an errno. */
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

#endif /* !AGENT_LIMIT_FREEBSD_H */
