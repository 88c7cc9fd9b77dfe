/* SPDX-License-Identifier: BSD-2-Clause */
#include <sys/param.h>
#include <sys/linker.h>
#include <sys/sysctl.h>
#include <errno.h>
#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "system.h"

/* A number of the kernel's; with a value, sets it. */
static void
do_sysctl(int argc, char **argv, char *reply, size_t len)
{
	union {
		uint32_t	u32;
		uint64_t	u64;
	} old = { .u64 = 0 };
	size_t size = sizeof(old);
	int value = 0;

	if (argc > 2)
		value = atoi(argv[2]);
	if (sysctlbyname(argv[1], &old, &size, argc > 2 ? &value : NULL,
	    argc > 2 ? sizeof(value) : 0) != 0)
		snprintf(reply, len, "err %s sysctl %.60s: %s",
		    errno == ENOENT ? "ENOENT" : "EIO", argv[1],
		    strerror(errno));
	else
		snprintf(reply, len, "ok value=%" PRIu64,
		    size == sizeof(old.u32) ? old.u32 : old.u64);
}

static const char *
file_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return (slash != NULL ? slash + 1 : path);
}

/* Unloads the modules, the last one first, and loads them; so many times. */
static void
do_cycles(int argc, char **argv, char *reply, size_t len)
{
	int i, id, n;

	n = atoi(argv[1]);
	for (int cycle = 0; cycle < n; cycle++) {
		for (i = argc - 1; i >= 2; i--) {
			id = kldfind(file_name(argv[i]));
			if (id < 0 || kldunload(id) != 0) {
				snprintf(reply, len,
				    "err %s unload %.60s: %s, cycle %d",
				    errno == EBUSY ? "EBUSY" : "EIO", argv[i],
				    strerror(errno), cycle);
				return;
			}
		}
		for (i = 2; i < argc; i++)
			if (kldload(argv[i]) < 0) {
				snprintf(reply, len,
				    "err EIO load %.60s: %s, cycle %d",
				    argv[i], strerror(errno), cycle);
				return;
			}
	}
	snprintf(reply, len, "ok cycles=%d", n);
}

bool
system_request(int argc, char **argv, char *reply, size_t len)
{

	if (strcmp(argv[0], "sysctl") == 0 && argc > 1)
		do_sysctl(argc, argv, reply, len);
	else if (strcmp(argv[0], "cycles") == 0 && argc > 2)
		do_cycles(argc, argv, reply, len);
	else
		return (false);
	return (true);
}
