/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Instructions per operation of the driver on the harness.
 *
 *   bench            names of the operations
 *   bench NAME       "NAME units instructions" if the processor counts for us
 *   bench NAME -     the same work without counting: callgrind counts what
 *                    measured() does
 *
 * User space only: what the harness does for a system call or a hypercall is
 * in it, what a kernel or Xen would do is not.  It compares one version of the
 * driver with another.
 */
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <linux/perf_event.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <xen/xen.h>
#include <xen/grant_table.h>
#include <xen/gntalloc.h>
#include <xen/gntdev.h>

#include "host.h"
#include "xen/model.h"

#define	PAGE	4096ul
#define	DOMU	600u
#define	REF	8u
#define	ROUNDS	32u
#define	MANY	10000u
#define	SEGMENTS 256u

static struct file *gntdev, *gntalloc;
static struct {
	struct ioctl_gntdev_map_grant_ref op;
	struct ioctl_gntdev_grant_ref more[511];
} map_arg;
static uint64_t index_[MANY + ROUNDS];
static void *addr[ROUNDS];
static unsigned pages;		/* of each map */

static void
must(int error, const char *what)
{

	if (error == 0)
		return;
	fprintf(stderr, "bench: %s: error %d\n", what, error);
	exit(1);
}

static int
call(struct file *fp, unsigned nr, void *arg)
{

	return (host_ioctl(fp, HOST_IO('G', nr), (uintptr_t)arg));
}

static void
map(unsigned i, unsigned n)
{

	map_arg.op.count = n;
	must(call(gntdev, 0, &map_arg), "map");
	index_[i] = map_arg.op.index;
}

static void
unmap(unsigned i)
{
	struct ioctl_gntdev_unmap_grant_ref op = { .index = index_[i] };

	must(call(gntdev, 1, &op), "unmap");
}

static void
mmap_one(unsigned i)
{

	must(host_mmap(gntdev, NULL, pages * PAGE, HOST_PROT_READ |
	    HOST_PROT_WRITE, HOST_MAP_SHARED, (int64_t)index_[i], &addr[i]),
	    "mmap");
}

/* Each has a state to begin with, the work, and what is to be undone. */

static void
maps(void)
{
	unsigned i;

	for (i = 0; i < ROUNDS; i++)
		map(i, pages);
}

static void
unmaps(void)
{
	unsigned i;

	for (i = 0; i < ROUNDS; i++)
		unmap(i);
}

static void
mmaps(void)
{
	unsigned i;

	for (i = 0; i < ROUNDS; i++)
		mmap_one(i);
}

static void
munmaps(void)
{
	unsigned i;

	for (i = 0; i < ROUNDS; i++)
		must(host_munmap(addr[i], pages * PAGE), "munmap");
}

static void
maps_mmaps(void)
{

	maps();
	mmaps();
}

static void
maps_mmaps_munmaps(void)
{

	maps_mmaps();
	munmaps();
}

static void
munmaps_unmaps(void)
{

	munmaps();
	unmaps();
}

static struct {
	struct ioctl_gntalloc_alloc_gref op;
	uint32_t more[15];
} alloc_arg;
static uint64_t gref[ROUNDS];

static void
allocs(void)
{
	unsigned i;

	for (i = 0; i < ROUNDS; i++) {
		alloc_arg.op.domid = DOMU;
		alloc_arg.op.flags = GNTALLOC_FLAG_WRITABLE;
		alloc_arg.op.count = pages;
		must(call(gntalloc, 5, &alloc_arg), "alloc");
		gref[i] = alloc_arg.op.index;
	}
}

static void
deallocs(void)
{
	struct ioctl_gntalloc_dealloc_gref op;
	unsigned i;

	for (i = 0; i < ROUNDS; i++) {
		op.index = gref[i];
		op.count = pages;
		must(call(gntalloc, 6, &op), "dealloc");
	}
}

static void
copies(void)
{
	static struct gntdev_grant_copy_segment seg[SEGMENTS];
	static char buf[64];
	struct ioctl_gntdev_grant_copy op = { SEGMENTS, seg };
	unsigned i;

	for (i = 0; i < SEGMENTS; i++) {
		memset(&seg[i], 0, sizeof(seg[i]));
		seg[i].flags = GNTCOPY_source_gref;
		seg[i].source.foreign.ref = REF + i;
		seg[i].source.foreign.domid = DOMU;
		seg[i].dest.virt = buf;
		seg[i].len = sizeof(buf);
	}
	must(call(gntdev, 8, &op), "copy");
}

static unsigned others;

static void
fill_index(void)
{
	unsigned i;

	for (i = 0; i < others; i++)
		map(ROUNDS + i, 1);
}

static void
empty_index(void)
{
	unsigned i;

	for (i = 0; i < others; i++)
		unmap(ROUNDS + i);
}

static void
empty_all(void)
{

	unmaps();
	empty_index();
}

/* Armed for nothing: a look-up, and no more (row N8). */
static void
lookups(void)
{
	struct ioctl_gntdev_unmap_notify op;
	unsigned i;

	memset(&op, 0, sizeof(op));
	for (i = 0; i < ROUNDS; i++) {
		op.index = index_[ROUNDS + i * 37 % others];
		must(call(gntdev, 7, &op), "look-up");
	}
}

static void
nothing(void)
{
}

static const struct bench {
	const char	*name;
	const char	*unit;
	void		(*before)(void);
	void		(*work)(void);
	void		(*after)(void);
	unsigned	units;
	unsigned	pages;
	unsigned	others;
} benches[] = {
	{ "map-1", "call", nothing, maps, unmaps, ROUNDS, 1, 0 },
	{ "map-16", "call", nothing, maps, unmaps, ROUNDS, 16, 0 },
	{ "map-512", "call", nothing, maps, unmaps, ROUNDS, 512, 0 },
	{ "mmap-1", "call", maps, mmaps, munmaps_unmaps, ROUNDS, 1, 0 },
	{ "mmap-16", "call", maps, mmaps, munmaps_unmaps, ROUNDS, 16, 0 },
	{ "mmap-512", "call", maps, mmaps, munmaps_unmaps, ROUNDS, 512, 0 },
	{ "munmap-1", "call", maps_mmaps, munmaps, unmaps, ROUNDS, 1, 0 },
	{ "munmap-16", "call", maps_mmaps, munmaps, unmaps, ROUNDS, 16, 0 },
	{ "munmap-512", "call", maps_mmaps, munmaps, unmaps, ROUNDS, 512, 0 },
	{ "unmap-1", "call", maps_mmaps_munmaps, unmaps, nothing, ROUNDS, 1,
	    0 },
	{ "unmap-16", "call", maps_mmaps_munmaps, unmaps, nothing, ROUNDS, 16,
	    0 },
	{ "unmap-512", "call", maps_mmaps_munmaps, unmaps, nothing, ROUNDS,
	    512, 0 },
	{ "alloc-1", "call", nothing, allocs, deallocs, ROUNDS, 1, 0 },
	{ "alloc-16", "call", nothing, allocs, deallocs, ROUNDS, 16, 0 },
	{ "dealloc-1", "call", allocs, deallocs, nothing, ROUNDS, 1, 0 },
	{ "dealloc-16", "call", allocs, deallocs, nothing, ROUNDS, 16, 0 },
	{ "copy", "segment", nothing, copies, nothing, SEGMENTS, 0, 0 },
	{ "look-up-10", "call", fill_index, lookups, empty_index, ROUNDS, 1,
	    10 },
	{ "look-up-10000", "call", fill_index, lookups, empty_index, ROUNDS,
	    1, MANY },
	{ "map-1-of-10", "call", fill_index, maps, empty_all, ROUNDS, 1,
	    10 },
	{ "map-1-of-10000", "call", fill_index, maps, empty_index, ROUNDS, 1,
	    MANY },
};

/* What is counted, by the processor or by callgrind (by this name). */
void	measured(void (*)(void));

void __attribute__((noinline))
measured(void (*work)(void))
{

	work();
	__asm__ volatile("" ::: "memory");
}

static int
counter(void)
{
	struct perf_event_attr attr;

	memset(&attr, 0, sizeof(attr));
	attr.size = sizeof(attr);
	attr.type = PERF_TYPE_HARDWARE;
	attr.config = PERF_COUNT_HW_INSTRUCTIONS;
	attr.disabled = 1;
	attr.exclude_kernel = 1;
	attr.exclude_hv = 1;
	return ((int)syscall(SYS_perf_event_open, &attr, 0, -1, -1, 0ul));
}

static void
set_up(void)
{
	struct xen_domain_config c = {
		.domid = DOMU, .grant_frames = 2, .max_grant_frames = 2,
	};
	struct grant_entry_v1 *e;
	struct xen_domain *peer;
	unsigned i;

	must(host_open("xen/gntdev", HOST_FREAD | HOST_FWRITE, &gntdev),
	    "open");
	must(host_open("xen/gntalloc", HOST_FREAD | HOST_FWRITE, &gntalloc),
	    "open");
	must(xen_domain_create(host_machine(), &c, &peer), "domain");
	for (i = 0; i < 512; i++) {
		must(xen_domain_populate(peer, 0x100 + i), "page");
		e = xen_domain_grant_entry(peer, REF + i);
		e->frame = 0x100 + i;
		e->flags = GTF_permit_access;
		(&map_arg.op.refs[0])[i].domid = DOMU;
		(&map_arg.op.refs[0])[i].ref = REF + i;
	}
}

int
main(int argc, char **argv)
{
	const struct bench *b;
	uint64_t count;
	size_t i;
	int fd;

	if (argc < 2) {
		for (i = 0; i < sizeof(benches) / sizeof(benches[0]); i++)
			printf("%s %s %u\n", benches[i].name, benches[i].unit,
			    benches[i].units);
		return (0);
	}
	for (i = 0; i < sizeof(benches) / sizeof(benches[0]); i++)
		if (strcmp(benches[i].name, argv[1]) == 0)
			break;
	if (i == sizeof(benches) / sizeof(benches[0])) {
		fprintf(stderr, "bench: no operation %s\n", argv[1]);
		return (2);
	}
	b = &benches[i];
	fd = -1;
	if (argc == 2 && (fd = counter()) < 0) {
		fprintf(stderr, "bench: the processor counts no instructions "
		    "for us\n");
		return (3);
	}
	pages = b->pages;
	others = b->others;
	host_tasks_manual(true);
	set_up();
	/* Once before, for the arena and the caches to be in steady state. */
	b->before();
	b->work();
	b->after();
	b->before();
	if (fd >= 0) {
		ioctl(fd, PERF_EVENT_IOC_RESET, 0);
		ioctl(fd, PERF_EVENT_IOC_ENABLE, 0);
	}
	measured(b->work);
	if (fd >= 0) {
		ioctl(fd, PERF_EVENT_IOC_DISABLE, 0);
		if (read(fd, &count, sizeof(count)) != sizeof(count))
			return (1);
		printf("%s %u %llu\n", b->name, b->units,
		    (unsigned long long)count);
	}
	b->after();
	host_close(gntdev);
	host_close(gntalloc);
	/* No teardown: 10,000 maps are not what is measured. */
	fflush(stdout);
	_exit(0);
}
