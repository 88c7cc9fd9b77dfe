/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What grants cost: the time of each call of a driver, several drivers in
 * turn, so that a slow moment of the machine meets all of them.
 *
 *	xengnt-speed [--peer PROGRAM | --refs DOMID FIRST] [--rounds N]
 *	    [--live N] DRIVER...
 *
 * The grants are a helper domain's that PROGRAM makes (agent/peer/peer.c), or
 * another domain's: 512 of DOMID from FIRST on.  A DRIVER is "linux" (Linux's
 * own), "ours" (this project's on FreeBSD) or "base" (FreeBSD's own).
 *
 * Prints "speed begin KEY=VALUE...", then lines
 *
 *	speed CASE DRIVER SIZE PHASE NS...
 *
 * with a figure a round, in nanoseconds of the whole phase, and "speed end".
 * SIZE is in pages but for copies, which are in bytes.  A first round of each
 * case is made and not counted.  What fails is told in "speed failed TEXT".
 * The phase "whole" is another cycle in the same round, with no look at the
 * clock between its calls: where Xen emulates the time-stamp counter, a look
 * leaves the processor's address caches empty, which the next call pays for.
 *
 * "xen" is not a driver: the two hypercalls that map and unmap grants, or the
 * one that copies, made directly by way of privcmd.  No driver can cost less.  Nor is "gauge": ten
 * instructions that Xen emulates, which cost the same in every guest of a
 * machine while the machine is as fast as it was.
 */
#include <sys/types.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <xen/xen.h>
#include <xen/grant_table.h>
#include <xen/version.h>
#include <xen/gntalloc.h>
#include <xen/gntdev.h>
#include <xen/gntdev_base.h>

#define	PAGE		4096u
#define	PAGES		512u
#define	PEER_FIRST	16u
#define	MAX_ROUNDS	200u
#define	MAX_DRIVERS	3u
#define	MAX_LIVE	2000u
/* Page frames that are nobody's: at 64 GiB. */
#define	FREE_FRAME	(1ul << 24)

enum phase { MAP, MMAP, TOUCH, MUNMAP, UNMAP, WHOLE, PHASES };
static const char *const phases[] = { "map", "mmap", "touch", "munmap",
	"unmap", "whole" };

struct driver {
	const char	*name;
	int		gntdev, gntalloc;
	bool		base;		/* FreeBSD's words */
	uint64_t	live[MAX_LIVE];
	char		*page[MAX_LIVE];
};

static struct driver drivers[MAX_DRIVERS];
static unsigned ndrivers, rounds = 30, nlive = 1000, domid, first;
static double ns_a_tick;
static int privcmd = -1;
static uint64_t spent[MAX_DRIVERS + 1][PHASES][MAX_ROUNDS];
static char *buffer;

static void __attribute__((noreturn, format(printf, 1, 2)))
fail(const char *fmt, ...)
{
	int error = errno;
	va_list ap;

	va_start(ap, fmt);
	printf("speed failed ");
	vprintf(fmt, ap);
	printf(" (%s)\n", strerror(error));
	fflush(stdout);
	exit(1);
}

/* ---- time ---------------------------------------------------------------- */

static uint64_t
ticks(void)
{
	uint32_t high, low;

	__asm__ volatile("lfence; rdtsc" : "=d"(high), "=a"(low) : : "memory");
	return ((uint64_t)high << 32 | low);
}

static double
clock_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return ((double)now.tv_sec * 1e9 + (double)now.tv_nsec);
}

static void
calibrate(void)
{
	double begin;
	uint64_t tick;

	begin = clock_ns();
	tick = ticks();
	while (clock_ns() - begin < 3e8)
		;
	ns_a_tick = (clock_ns() - begin) / (double)(ticks() - tick);
}

static void
tell(const char *what, const char *driver, unsigned size, const char *phase,
    const uint64_t *figures)
{

	printf("speed %s %s %u %s", what, driver, size, phase);
	for (unsigned i = 0; i < rounds; i++)
		printf(" %.0f", (double)figures[i] * ns_a_tick);
	printf("\n");
	fflush(stdout);
}

/*
 * What ten trips to Xen and back cost just now, whatever kernel is between:
 * the least of a few, since kernels differ in their clocks' ticks.
 */
static uint64_t
gauge(void)
{
	uint64_t begin, least = UINT64_MAX, now;
	uint32_t a, b, c, d;

	for (unsigned times = 0; times < 5; times++) {
		begin = ticks();
		for (unsigned i = 0; i < 10; i++)
			__asm__ volatile("cpuid" : "=a"(a), "=b"(b), "=c"(c),
			    "=d"(d) : "a"(0), "c"(0));
		now = ticks() - begin;
		if (now < least)
			least = now;
	}
	return (least);
}

/* What a figure contains that is not the driver's: reading the clock. */
static void
clock_itself(void)
{
	uint64_t begin;

	for (unsigned round = 0; round < rounds; round++) {
		begin = ticks();
		spent[0][0][round] = ticks() - begin;
	}
	tell("clock", "xen", 0, "read", spent[0][0]);
}

/* ---- drivers ------------------------------------------------------------- */

static uint64_t
do_map(struct driver *d, unsigned from, unsigned count)
{
	static struct {
		struct ioctl_gntdev_map_grant_ref op;
		struct ioctl_gntdev_grant_ref more[PAGES];
	} arg;
	struct ioctl_gntdev_grant_ref *refs = arg.op.refs;

	arg.op.count = count;
	for (unsigned i = 0; i < count; i++)
		refs[i] = (struct ioctl_gntdev_grant_ref){ .domid = domid,
			.ref = first + from + i };
#ifdef __FreeBSD__
	if (d->base) {
		struct base_map_grant_ref base = { .count = count,
			.refs = refs };

		if (ioctl(d->gntdev, BASE_MAP_GRANT_REF, &base) != 0)
			fail("%s: map %u", d->name, count);
		return (base.index);
	}
#endif
	if (ioctl(d->gntdev, IOCTL_GNTDEV_MAP_GRANT_REF, &arg) != 0)
		fail("%s: map %u", d->name, count);
	return (arg.op.index);
}

static void
do_unmap(struct driver *d, uint64_t index, unsigned count)
{
	struct ioctl_gntdev_unmap_grant_ref op = { .index = index,
		.count = count };
	unsigned long word = IOCTL_GNTDEV_UNMAP_GRANT_REF;

#ifdef __FreeBSD__
	if (d->base)
		word = BASE_UNMAP_GRANT_REF;
#endif
	if (ioctl(d->gntdev, word, &op) != 0)
		fail("%s: unmap %u", d->name, count);
}

static uint64_t
do_alloc(struct driver *d, unsigned count)
{
	static struct {
		struct ioctl_gntalloc_alloc_gref op;
		uint32_t more[PAGES];
	} arg;

	arg.op = (struct ioctl_gntalloc_alloc_gref){ .domid = (uint16_t)domid,
		.flags = GNTALLOC_FLAG_WRITABLE,
		.count = count };
#ifdef __FreeBSD__
	if (d->base) {
		struct base_alloc_gref base = { .domid = (uint16_t)domid,
			.flags = 1,
			.count = count,
			.gref_ids = arg.op.gref_ids };

		if (ioctl(d->gntalloc, BASE_ALLOC_GREF, &base) != 0)
			fail("%s: alloc %u", d->name, count);
		return (base.index);
	}
#endif
	if (ioctl(d->gntalloc, IOCTL_GNTALLOC_ALLOC_GREF, &arg) != 0)
		fail("%s: alloc %u", d->name, count);
	return (arg.op.index);
}

static void
do_dealloc(struct driver *d, uint64_t index, unsigned count)
{
	struct ioctl_gntalloc_dealloc_gref op = { .index = index,
		.count = count };
	unsigned long word = IOCTL_GNTALLOC_DEALLOC_GREF;

#ifdef __FreeBSD__
	if (d->base)
		word = BASE_DEALLOC_GREF;
#endif
	if (ioctl(d->gntalloc, word, &op) != 0)
		fail("%s: dealloc %u", d->name, count);
}

static char *
do_mmap(struct driver *d, int fd, uint64_t index, unsigned count)
{
	char *p;

	p = mmap(NULL, count * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd,
	    (off_t)index);
	if (p == MAP_FAILED)
		fail("%s: mmap %u", d->name, count);
	return (p);
}

static void
touch(char *p, unsigned count)
{

	for (unsigned i = 0; i < count; i++)
		(*(volatile uint32_t *)(p + i * PAGE))++;
}

/* A whole life of a mapping, or of shared pages; the time of each phase. */
static void
cycle(struct driver *d, unsigned pages, bool share, uint64_t out[PHASES])
{
	uint64_t index, t[WHOLE + 1];
	char *p;

	t[0] = ticks();
	index = share ? do_alloc(d, pages) : do_map(d, 0, pages);
	t[1] = ticks();
	p = do_mmap(d, share ? d->gntalloc : d->gntdev, index, pages);
	t[2] = ticks();
	touch(p, pages);
	t[3] = ticks();
	munmap(p, pages * PAGE);
	t[4] = ticks();
	if (share)
		do_dealloc(d, index, pages);
	else
		do_unmap(d, index, pages);
	t[5] = ticks();
	for (unsigned i = 0; i < WHOLE; i++)
		out[i] = t[i + 1] - t[i];
	t[0] = ticks();
	index = share ? do_alloc(d, pages) : do_map(d, 0, pages);
	p = do_mmap(d, share ? d->gntalloc : d->gntdev, index, pages);
	touch(p, pages);
	munmap(p, pages * PAGE);
	if (share)
		do_dealloc(d, index, pages);
	else
		do_unmap(d, index, pages);
	out[WHOLE] = ticks() - t[0];
}

/* ---- Xen itself ----------------------------------------------------------- */

static long
hypercall(unsigned long op, unsigned long a, unsigned long b, unsigned long c)
{
	struct {
		unsigned long op, arg[5];
		long ret;
	} call = { .op = op, .arg = { a, b, c } };

#ifdef __FreeBSD__
	/* The base system installs no header for it. */
	if (ioctl(privcmd, _IOWR('E', 0, __typeof__(call)), &call) != 0)
		return (-errno);
	return (call.ret);
#else
	/* Without the result, which is ioctl's own. */
	return (ioctl(privcmd, _IOC(_IOC_NONE, 'P', 0, 6 * sizeof(call.op)),
	    &call));
#endif
}

/* The two hypercalls that no driver can do without. */
static void
xen_itself(unsigned pages, uint64_t out[PHASES])
{
	static gnttab_map_grant_ref_t *map;
	static gnttab_unmap_grant_ref_t *unmap;
	const size_t size = PAGES * (sizeof(*map) + sizeof(*unmap));
	uint64_t t[4];
	long done[2];

	if (map == NULL) {
		map = mmap(NULL, size, PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		if (map == MAP_FAILED || mlock(map, size) != 0)
			fail("memory for hypercalls");
		unmap = (gnttab_unmap_grant_ref_t *)(map + PAGES);
	}
	for (unsigned i = 0; i < pages; i++) {
		map[i] = (gnttab_map_grant_ref_t){
			.host_addr = (FREE_FRAME + i) * PAGE,
			.flags = GNTMAP_host_map,
			.ref = first + i, .dom = (domid_t)domid,
		};
		unmap[i] = (gnttab_unmap_grant_ref_t){
			.host_addr = map[i].host_addr,
		};
	}
	t[0] = ticks();
	done[0] = hypercall(__HYPERVISOR_grant_table_op,
	    GNTTABOP_map_grant_ref, (uintptr_t)map, pages);
	t[1] = ticks();
	for (unsigned i = 0; i < pages; i++)
		unmap[i].handle = map[i].handle;
	t[2] = ticks();
	done[1] = hypercall(__HYPERVISOR_grant_table_op,
	    GNTTABOP_unmap_grant_ref, (uintptr_t)unmap, pages);
	t[3] = ticks();
	errno = 0;
	for (unsigned i = 0; i < pages; i++)
		if (done[0] != 0 || map[i].status != GNTST_okay ||
		    done[1] != 0 || unmap[i].status != GNTST_okay)
			fail("Xen: map %ld, status %d, unmap %ld, status %d",
			    done[0], map[i].status, done[1], unmap[i].status);
	out[MAP] = t[1] - t[0];
	out[UNMAP] = t[3] - t[2];
	t[0] = ticks();
	done[0] = hypercall(__HYPERVISOR_grant_table_op,
	    GNTTABOP_map_grant_ref, (uintptr_t)map, pages);
	for (unsigned i = 0; i < pages; i++)
		unmap[i].handle = map[i].handle;
	done[1] = hypercall(__HYPERVISOR_grant_table_op,
	    GNTTABOP_unmap_grant_ref, (uintptr_t)unmap, pages);
	out[WHOLE] = ticks() - t[0];
	if (done[0] != 0 || done[1] != 0)
		fail("Xen: map %ld, unmap %ld", done[0], done[1]);
}

/* ---- in turn -------------------------------------------------------------- */

/*
 * FreeBSD's own driver allocates the records of several pages at once and
 * frees each of them alone: the kernel's memory is spoilt, and it dies soon.
 */
static bool
left_out(const struct driver *d, unsigned pages, bool share)
{

	return (d->base && share && pages > 1);
}

static void
in_turn(const char *what, unsigned pages, bool share)
{
	bool alone = privcmd >= 0 && strcmp(what, "cycle") == 0;
	uint64_t now[PHASES], trips[MAX_ROUNDS];

	for (unsigned round = 0; round <= rounds; round++) {
		trips[round > 0 ? round - 1 : 0] = gauge();
		for (unsigned i = 0; i < ndrivers + alone; i++) {
			/* Lest the clock's tick always hit the same. */
			unsigned d = (round + i) % (ndrivers + alone);

			if (d == ndrivers)
				xen_itself(pages, now);
			else if (left_out(&drivers[d], pages, share))
				continue;
			else
				cycle(&drivers[d], pages, share, now);
			for (unsigned p = 0; p < PHASES && round > 0; p++)
				spent[d][p][round - 1] = now[p];
		}
	}
	tell(what, "gauge", pages, "trips", trips);
	for (unsigned d = 0; d < ndrivers; d++)
		for (unsigned p = 0; p < PHASES; p++)
			if (!left_out(&drivers[d], pages, share))
				tell(what, drivers[d].name, pages, phases[p],
				    spent[d][p]);
	if (alone) {
		tell(what, "xen", pages, "map", spent[ndrivers][MAP]);
		tell(what, "xen", pages, "unmap", spent[ndrivers][UNMAP]);
		tell(what, "xen", pages, "whole", spent[ndrivers][WHOLE]);
	}
}

/* One page more, while many others are mapped by the same file. */
static void
with_live(void)
{

	for (unsigned d = 0; d < ndrivers; d++)
		for (unsigned i = 0; i < nlive; i++) {
			drivers[d].live[i] = do_map(&drivers[d], i % PAGES, 1);
			drivers[d].page[i] = do_mmap(&drivers[d],
			    drivers[d].gntdev, drivers[d].live[i], 1);
			touch(drivers[d].page[i], 1);
		}
	in_turn("live", 1, false);
	for (unsigned d = 0; d < ndrivers; d++)
		for (unsigned i = 0; i < nlive; i++) {
			munmap(drivers[d].page[i], PAGE);
			do_unmap(&drivers[d], drivers[d].live[i], 1);
		}
}

/* ---- copies --------------------------------------------------------------- */

static void
grant_copy(struct driver *d, unsigned bytes)
{
	struct gntdev_grant_copy_segment segments[16];
	struct ioctl_gntdev_grant_copy op = { .segments = segments };
	unsigned done;

	for (done = 0; done < bytes; done += PAGE)
		segments[op.count++] = (struct gntdev_grant_copy_segment){
			.source.foreign = {
				.ref = first + done / PAGE,
				.domid = (uint16_t)domid,
			},
			.dest.virt = buffer + done,
			.len = (uint16_t)(bytes - done < PAGE ? bytes - done :
			    PAGE),
			.flags = GNTCOPY_source_gref,
		};
	if (ioctl(d->gntdev, IOCTL_GNTDEV_GRANT_COPY, &op) != 0)
		fail("%s: copy of %u bytes", d->name, bytes);
	for (unsigned i = 0; i < op.count; i++)
		if (segments[i].status != GNTST_okay)
			fail("%s: copy: status %d", d->name,
			    segments[i].status);
}

static void
map_copy(struct driver *d, unsigned bytes)
{
	unsigned pages = (bytes + PAGE - 1) / PAGE;
	uint64_t index;
	char *p;

	index = do_map(d, 0, pages);
	p = do_mmap(d, d->gntdev, index, pages);
	memcpy(buffer, p, bytes);
	munmap(p, pages * PAGE);
	do_unmap(d, index, pages);
}

/*
 * The hypercall that no copy can do without; to other pages of the same
 * domain, since a program does not know the frames of its own.
 */
static void
xen_copy(unsigned bytes)
{
	static gnttab_copy_t *ops;
	unsigned count = 0;
	long done;

	if (ops == NULL) {
		ops = mmap(NULL, PAGE, PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		if (ops == MAP_FAILED || mlock(ops, PAGE) != 0)
			fail("memory for hypercalls");
	}
	for (unsigned at = 0; at < bytes; at += PAGE) {
		gnttab_copy_t *op = &ops[count++];

		memset(op, 0, sizeof(*op));
		op->source.u.ref = first + at / PAGE;
		op->dest.u.ref = first + PAGES / 2 + at / PAGE;
		op->source.domid = op->dest.domid = (domid_t)domid;
		op->len = (uint16_t)(bytes - at < PAGE ? bytes - at : PAGE);
		op->flags = GNTCOPY_source_gref | GNTCOPY_dest_gref;
	}
	done = hypercall(__HYPERVISOR_grant_table_op, GNTTABOP_copy,
	    (uintptr_t)ops, count);
	errno = 0;
	for (unsigned i = 0; i < count; i++)
		if (done != 0 || ops[i].status != GNTST_okay)
			fail("Xen copies: %ld, status %d", done, ops[i].status);
}

static void
copies(unsigned bytes)
{
	uint64_t begin;

	for (unsigned round = 0; round <= rounds; round++) {
		for (unsigned d = 0; d < ndrivers; d++) {
			unsigned at = round > 0 ? round - 1 : 0;

			if (!drivers[d].base) {
				begin = ticks();
				grant_copy(&drivers[d], bytes);
				spent[d][0][at] = ticks() - begin;
			}
			begin = ticks();
			map_copy(&drivers[d], bytes);
			spent[d][1][at] = ticks() - begin;
		}
		if (privcmd >= 0) {
			begin = ticks();
			xen_copy(bytes);
			spent[ndrivers][0]
			     [round > 0 ? round - 1 : 0] = ticks() - begin;
		}
	}
	for (unsigned d = 0; d < ndrivers; d++) {
		if (!drivers[d].base)
			tell("copy", drivers[d].name, bytes, "grant-copy",
			    spent[d][0]);
		tell("copy", drivers[d].name, bytes, "map-memcpy-unmap",
		    spent[d][1]);
	}
	if (privcmd >= 0)
		tell("copy", "xen", bytes, "grant-copy", spent[ndrivers][0]);
}

static void
empty_calls(void)
{
	uint64_t t[2];

	for (unsigned round = 0; round <= rounds; round++) {
		t[0] = ticks();
		(void)hypercall(__HYPERVISOR_xen_version, XENVER_version, 0, 0);
		t[1] = ticks();
		if (round > 0)
			spent[0][0][round - 1] = t[1] - t[0];
	}
	tell("call", "xen", 0, "hypercall", spent[0][0]);
}

/* ---- start ---------------------------------------------------------------- */

/* The helper domain's program, and the grants that it is asked for. */
static void
make_peer(const char *program)
{
	char line[256], *at;
	FILE *to, *from;
	int pipes[2];

	if (socketpair(AF_UNIX, SOCK_STREAM, 0, pipes) != 0)
		fail("socketpair");
	switch (fork()) {
	case -1:
		fail("fork");
	case 0:
		dup2(pipes[1], 0);
		dup2(pipes[1], 1);
		close(pipes[0]);
		close(pipes[1]);
		execl(program, program, (char *)NULL);
		_exit(127);
	}
	close(pipes[1]);
	fcntl(pipes[0], F_SETFD, FD_CLOEXEC);
	to = fdopen(pipes[0], "w");
	from = fdopen(dup(pipes[0]), "r");
	if (to == NULL || from == NULL)
		fail("fdopen");
	first = PEER_FIRST;
	for (int i = -1; i < (int)PAGES; i++) {
		if (i < 0)
			fprintf(to, "new pages=%u frames=2\n", PAGES);
		else
			fprintf(to, "grant %u %d 1\n", first + (unsigned)i, i);
		fflush(to);
		if (fgets(line, sizeof(line), from) == NULL)
			fail("%s is gone", program);
		if (strncmp(line, "ok", 2) != 0)
			fail("%s: %s", program, line);
		if (i < 0 && (at = strstr(line, "domid=")) != NULL)
			domid = (unsigned)strtoul(at + 6, NULL, 0);
	}
}

static int
node(const char *name)
{
	char path[64];

	snprintf(path, sizeof(path), "/dev/xen/%s", name);
	return (open(path, O_RDWR | O_CLOEXEC));
}

static void
add_driver(const char *name)
{
	struct driver *d = &drivers[ndrivers++];

	d->name = name;
	d->base = strcmp(name, "base") == 0;
	d->gntdev = strcmp(name, "ours") == 0 ? node("xengntdev") : -1;
	if (d->gntdev < 0)
		d->gntdev = node("gntdev");
	d->gntalloc = d->base ? d->gntdev : node("gntalloc");
	if (d->gntdev < 0 || d->gntalloc < 0)
		fail("%s: no device", name);
#ifndef __FreeBSD__
	if (d->base)
		fail("base: this is not FreeBSD");
#endif
}

int
main(int argc, char **argv)
{
	static const unsigned sizes[] = { 1, 16, 64, 512 };
	static const unsigned bytes[] = { 512, 1024, 2048, 4096, 16384, 65536 };
	unsigned i;

	for (i = 1; i < (unsigned)argc; i++) {
		const char *word = argv[i];
		unsigned left = (unsigned)argc - i - 1;

		errno = 0;
		if (strcmp(word, "--peer") == 0 && left >= 1) {
			make_peer(argv[++i]);
		} else if (strcmp(word, "--refs") == 0 && left >= 2) {
			domid = (unsigned)strtoul(argv[++i], NULL, 0);
			first = (unsigned)strtoul(argv[++i], NULL, 0);
		} else if (strcmp(word, "--rounds") == 0 && left >= 1) {
			rounds = (unsigned)strtoul(argv[++i], NULL, 0);
		} else if (strcmp(word, "--live") == 0 && left >= 1) {
			nlive = (unsigned)strtoul(argv[++i], NULL, 0);
		} else if (word[0] != '-' && ndrivers < MAX_DRIVERS) {
			add_driver(word);
		} else {
			fail("unknown argument %s", word);
		}
	}
	if (first == 0 || ndrivers == 0 || rounds == 0 || rounds > MAX_ROUNDS ||
	    nlive > MAX_LIVE)
		fail("usage: --peer PROGRAM or --refs DOMID FIRST, DRIVER...");
	buffer = mmap(NULL, 16 * PAGE, PROT_READ | PROT_WRITE,
	    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	privcmd = node("privcmd");
	if (buffer == MAP_FAILED)
		fail("memory");
	memset(buffer, 1, 16 * PAGE);
	calibrate();
	printf("speed begin rounds=%u live=%u ns_a_tick=%.4f\n", rounds, nlive,
	    ns_a_tick);
	fflush(stdout);
	if (privcmd >= 0 &&
	    hypercall(__HYPERVISOR_xen_version, XENVER_version, 0, 0) < 0) {
		/* Linux keeps a domain's own programs from it. */
		close(privcmd);
		privcmd = -1;
	}
	clock_itself();
	if (privcmd >= 0)
		empty_calls();
	for (i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
		in_turn("cycle", sizes[i], false);
	for (i = 0; i < 3; i++)
		in_turn("share", sizes[i], true);
	for (i = 0; i < sizeof(bytes) / sizeof(bytes[0]); i++)
		copies(bytes[i]);
	if (nlive > 0)
		with_live();
	printf("speed end\n");
	fflush(stdout);
	return (0);
}
