/* SPDX-License-Identifier: BSD-2-Clause */
#include <sys/param.h>
#include <sys/linker.h>
#include <sys/malloc.h>
#include <sys/sysctl.h>
#include <errno.h>
#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "system.h"

/* Reads a number of the kernel; with a value, sets it. */
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

/* Unloads the modules, the last one first, and loads them, n times. */
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
	/* devfs keeps a removed node until somebody looks up a name. */
	(void)access("/dev/null", F_OK);
	snprintf(reply, len, "ok cycles=%d", n);
}

#define	MAX_TYPES	1000

static struct type {
	char	 name[MALLOC_MAX_NAME];
	uint64_t bytes;
} marked[MAX_TYPES];
static int nmarked;

/* The types of malloc(9), as vmstat -m shows them; returns how many, or -1. */
static int
malloc_types(struct type *types)
{
	struct malloc_type_stream_header head;
	struct malloc_type_stats stats;
	char *data, *p;
	size_t size;
	int n;

	/* A type has MAXCPU records; another type may be added in between. */
	if (sysctlbyname("kern.malloc_stats", NULL, &size, NULL, 0) != 0)
		return (-1);
	size += size / 16;
	data = malloc(size);
	if (data == NULL)
		return (-1);
	if (sysctlbyname("kern.malloc_stats", data, &size, NULL, 0) != 0) {
		free(data);
		return (-1);
	}
	memcpy(&head, data, sizeof(head));
	p = data + sizeof(head);
	for (n = 0; n < (int)head.mtsh_count && n < MAX_TYPES; n++) {
		memcpy(types[n].name, p, MALLOC_MAX_NAME);
		p += sizeof(struct malloc_type_header);
		types[n].bytes = 0;
		for (uint32_t cpu = 0; cpu < head.mtsh_maxcpus; cpu++) {
			memcpy(&stats, p, sizeof(stats));
			p += sizeof(stats);
			types[n].bytes += stats.mts_memalloced -
			    stats.mts_memfreed;
		}
	}
	free(data);
	return (n);
}

/* "mark" remembers how much each type has, "grown" reports which have more. */
static void
do_malloc(char **argv, char *reply, size_t len)
{
	static struct type now[MAX_TYPES];
	uint64_t before;
	size_t at;
	char *c;
	int n;

	if (strcmp(argv[1], "mark") == 0) {
		nmarked = malloc_types(marked);
		snprintf(reply, len, nmarked < 0 ? "err EIO malloc types" :
		    "ok types=%d", nmarked);
		return;
	}
	n = malloc_types(now);
	if (n < 0 || nmarked <= 0) {
		snprintf(reply, len, "err EIO malloc types");
		return;
	}
	at = (size_t)snprintf(reply, len, "ok grown=");
	for (int i = 0; i < n && at + 64 < MIN(len, 2000); i++) {
		before = 0;
		for (int j = 0; j < nmarked; j++)
			if (strcmp(marked[j].name, now[i].name) == 0)
				before = marked[j].bytes;
		if (now[i].bytes <= before)
			continue;
		for (c = now[i].name; *c != '\0'; c++)
			if (*c == ' ' || *c == ',' || *c == '=')
				*c = '_';
		at += (size_t)snprintf(reply + at, len - at, "%s:%" PRIu64 ",",
		    now[i].name, now[i].bytes - before);
	}
}

bool
system_request(int argc, char **argv, char *reply, size_t len)
{

	if (strcmp(argv[0], "sysctl") == 0 && argc > 1)
		do_sysctl(argc, argv, reply, len);
	else if (strcmp(argv[0], "cycles") == 0 && argc > 2)
		do_cycles(argc, argv, reply, len);
	else if (strcmp(argv[0], "malloc") == 0 && argc > 1)
		do_malloc(argv, reply, len);
	else
		return (false);
	return (true);
}
