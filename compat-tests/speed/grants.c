/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What grants cost: the time of each call of a driver.  Several drivers take
 * turns, so that a slow moment of the machine affects all of them.
 *
 *	xengnt-speed [--peer PROGRAM | --refs DOMID FIRST [--questions REF PORT]]
 *	    [--rounds N] [--live N] [--parts MASK] DRIVER...
 *	xengnt-speed --answer DOMID
 *
 * The grants are those of a helper domain that PROGRAM makes
 * (agent/peer/peer.c), or of another domain: 512 of DOMID from FIRST on.  A
 * DRIVER is "linux" (Linux's own), "ours" (this project's on FreeBSD) or "base"
 * (FreeBSD's own).
 *
 * --answer, on Linux, grants three pages and an event channel to DOMID, prints
 * REF, PORT and "end", one a line, and answers the questions of a program there
 * until it is killed.
 *
 * Prints "speed begin KEY=VALUE...", then lines
 *
 *	speed CASE DRIVER SIZE PHASE NS...
 *
 * with a figure for each round, in nanoseconds of the whole phase, and "speed
 * end".  SIZE is in pages, but for copies and answers in bytes.  The first round
 * of each case is not counted.  A failure ends in "speed failed TEXT".  The phase
 * "whole" is another cycle in the same round, with no look at the clock
 * between its calls: where Xen emulates the time-stamp counter, a look leaves
 * the processor's address caches empty, which the next call pays for.
 *
 * "xen" is not a driver but the two hypercalls that map and unmap grants, or
 * the one that copies, made directly through privcmd.  No driver can cost
 * less.  "xen+mmap" is these two and, between them, mmap(2), use and munmap(2)
 * of a page of ordinary memory: what a driver costs that has nothing to do
 * itself.  "gauge" is not a driver either: ten instructions that Xen emulates,
 * which cost the same in every guest as long as the machine is equally fast.
 *
 * "speed faults CASE DRIVER PAGES N" counts page faults in the whole cycles of
 * all rounds together.
 */
#include <sys/types.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
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

#ifdef __FreeBSD__
#include <sys/param.h>
#include <sys/cpuset.h>
#include <sys/sysctl.h>
#else
#include <xen/evtchn.h>
#endif

#define	PAGE		4096u
#define	PAGES		512u
#define	PEER_FIRST	16u
#define	MAX_ROUNDS	200u
#define	MAX_DRIVERS	3u
#define	MAX_LIVE	20000u
#define	LANES		2u
#define	LANE_CYCLES	5u
#define	ANSWERS		10u
/* Page frames that belong to nobody, at 64 GiB. */
#define	FREE_FRAME	(1ul << 24)

enum phase { MAP, MMAP, TOUCH, MUNMAP, UNMAP, WHOLE, PHASES };
static const char *const phases[] = { "map", "mmap", "touch", "munmap",
	"unmap", "whole" };

struct driver {
	const char	*name;
	int		gntdev, gntalloc;
	bool		base;		/* has FreeBSD's commands */
};

static struct driver drivers[MAX_DRIVERS];
static unsigned ndrivers, rounds = 30, nlive = 10000, domid, first;
/* The first page for questions, and the event channel of a --answer. */
static unsigned questions_ref, answerer_port;
static unsigned long chosen = ~0ul;
static FILE *to_peer, *from_peer;
static double ns_a_tick;
static int privcmd = -1;
static uint64_t spent[MAX_DRIVERS + 2][PHASES][MAX_ROUNDS];
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
 * The cost of ten trips to Xen and back now, with any kernel in between.  The
 * least of a few counts, since kernels differ in the ticks of their clocks.
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

/* The part of each figure that is not the driver's: reading the clock. */
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
	static __thread struct {
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

/* The references of the last do_alloc() are in op.gref_ids. */
static struct {
	struct ioctl_gntalloc_alloc_gref op;
	uint32_t	more[PAGES];
} allocated;

static uint64_t
do_alloc(struct driver *d, unsigned count)
{

	allocated.op = (struct ioctl_gntalloc_alloc_gref){
		.domid = (uint16_t)domid,
		.flags = GNTALLOC_FLAG_WRITABLE,
		.count = count
	};
#ifdef __FreeBSD__
	if (d->base) {
		struct base_alloc_gref base = { .domid = (uint16_t)domid,
			.flags = 1,
			.count = count,
			.gref_ids = allocated.op.gref_ids };

		if (ioctl(d->gntalloc, BASE_ALLOC_GREF, &base) != 0)
			fail("%s: alloc %u", d->name, count);
		return (base.index);
	}
#endif
	if (ioctl(d->gntalloc, IOCTL_GNTALLOC_ALLOC_GREF, &allocated) != 0)
		fail("%s: alloc %u", d->name, count);
	return (allocated.op.index);
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
do_mmap(const struct driver *d, int fd, uint64_t index, unsigned count,
    int prot)
{
	char *p;

	p = mmap(NULL, count * PAGE, prot, MAP_SHARED, fd, (off_t)index);
	if (p == MAP_FAILED)
		fail("%s: mmap %u", d->name, count);
	return (p);
}

static void
touch(char *p, unsigned count, int prot)
{
	volatile uint32_t *word;

	for (unsigned i = 0; i < count; i++) {
		word = (volatile uint32_t *)(p + i * PAGE);
		if ((prot & PROT_WRITE) != 0)
			(*word)++;
		else
			(void)*word;
	}
}

/* The kind of a cycle. */
struct kind {
	bool	share;
	int	prot;
};
static const struct kind mapped = { false, PROT_READ | PROT_WRITE };
static const struct kind looked_at = { false, PROT_READ };
static const struct kind shared = { true, PROT_READ | PROT_WRITE };

static uint64_t
do_begin(struct driver *d, struct kind kind, unsigned from, unsigned pages)
{

	return (kind.share ? do_alloc(d, pages) : do_map(d, from, pages));
}

static void
do_end(struct driver *d, struct kind kind, uint64_t index, unsigned pages)
{

	if (kind.share)
		do_dealloc(d, index, pages);
	else
		do_unmap(d, index, pages);
}

/* The whole life of a mapping, or of shared pages. */
static void
whole(struct driver *d, struct kind kind, unsigned from, unsigned pages)
{
	uint64_t index;
	char *p;

	index = do_begin(d, kind, from, pages);
	p = do_mmap(d, kind.share ? d->gntalloc : d->gntdev, index, pages,
	    kind.prot);
	touch(p, pages, kind.prot);
	munmap(p, pages * PAGE);
	do_end(d, kind, index, pages);
}

/* FreeBSD's rusage leaves out faults that find, or enter, pages. */
static uint64_t
faults(void)
{
#ifdef __FreeBSD__
	uint64_t count = 0;
	size_t size = sizeof(count);

	if (sysctlbyname("vm.stats.vm.v_vm_faults", &count, &size, NULL, 0) !=
	    0)
		fail("v_vm_faults");
	return (count);
#else
	struct rusage usage;

	getrusage(RUSAGE_SELF, &usage);
	return ((uint64_t)usage.ru_minflt);
#endif
}

/* Times each phase, and a whole cycle, whose page faults are returned. */
static uint64_t
cycle(struct driver *d, struct kind kind, unsigned pages, uint64_t out[PHASES])
{
	uint64_t before, index, t[WHOLE + 1];
	char *p;

	t[0] = ticks();
	index = do_begin(d, kind, 0, pages);
	t[1] = ticks();
	p = do_mmap(d, kind.share ? d->gntalloc : d->gntdev, index, pages,
	    kind.prot);
	t[2] = ticks();
	touch(p, pages, kind.prot);
	t[3] = ticks();
	munmap(p, pages * PAGE);
	t[4] = ticks();
	do_end(d, kind, index, pages);
	t[5] = ticks();
	for (unsigned i = 0; i < WHOLE; i++)
		out[i] = t[i + 1] - t[i];
	before = faults();
	t[0] = ticks();
	whole(d, kind, 0, pages);
	out[WHOLE] = ticks() - t[0];
	return (faults() - before);
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
	/* Without the result, which is that of ioctl itself. */
	return (ioctl(privcmd, _IOC(_IOC_NONE, 'P', 0, 6 * sizeof(call.op)),
	    &call));
#endif
}

/* The arguments of the hypercalls of one thread, or process. */
struct calls {
	gnttab_map_grant_ref_t	map[PAGES];
	gnttab_unmap_grant_ref_t unmap[PAGES];
};

static struct calls *
new_calls(void)
{
	struct calls *c;

	c = mmap(NULL, sizeof(*c), PROT_READ | PROT_WRITE,
	    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (c == MAP_FAILED || mlock(c, sizeof(*c)) != 0)
		fail("memory for hypercalls");
	return (c);
}

static void
fill(struct calls *c, unsigned from, unsigned pages)
{

	for (unsigned i = 0; i < pages; i++) {
		c->map[i] = (gnttab_map_grant_ref_t){
			.host_addr = (FREE_FRAME + from + i) * PAGE,
			.flags = GNTMAP_host_map,
			.ref = first + from + i, .dom = (domid_t)domid,
		};
		c->unmap[i] = (gnttab_unmap_grant_ref_t){
			.host_addr = c->map[i].host_addr,
		};
	}
}

static long
xen_map(struct calls *c, unsigned pages)
{
	long done;

	done = hypercall(__HYPERVISOR_grant_table_op, GNTTABOP_map_grant_ref,
	    (uintptr_t)c->map, pages);
	for (unsigned i = 0; i < pages; i++)
		c->unmap[i].handle = c->map[i].handle;
	return (done);
}

static long
xen_unmap(struct calls *c, unsigned pages)
{

	return (hypercall(__HYPERVISOR_grant_table_op,
	    GNTTABOP_unmap_grant_ref, (uintptr_t)c->unmap, pages));
}

static void
check(const struct calls *c, long mapping, long unmapping, unsigned pages)
{

	errno = 0;
	for (unsigned i = 0; i < pages; i++)
		if (mapping != 0 || c->map[i].status != GNTST_okay ||
		    unmapping != 0 || c->unmap[i].status != GNTST_okay)
			fail("Xen: map %ld, status %d, unmap %ld, status %d",
			    mapping, c->map[i].status, unmapping,
			    c->unmap[i].status);
}

/* The two hypercalls that no driver can do without. */
static void
xen_itself(unsigned pages, uint64_t out[PHASES])
{
	static struct calls *c;
	uint64_t t[4];
	long mapping, unmapping;

	if (c == NULL)
		c = new_calls();
	fill(c, 0, pages);
	t[0] = ticks();
	mapping = xen_map(c, pages);
	t[1] = ticks();
	t[2] = ticks();
	unmapping = xen_unmap(c, pages);
	t[3] = ticks();
	check(c, mapping, unmapping, pages);
	out[MAP] = t[1] - t[0];
	out[UNMAP] = t[3] - t[2];
	t[0] = ticks();
	mapping = xen_map(c, pages);
	unmapping = xen_unmap(c, pages);
	out[WHOLE] = ticks() - t[0];
	check(c, mapping, unmapping, pages);
}

/* Ordinary memory in a file; all pages are there. */
static const struct driver memory = { .name = "memory" };

static int
new_memory(void)
{
	int fd;
	char *p;

	fd = memfd_create("xengnt-speed", 0);
	if (fd < 0 || ftruncate(fd, PAGES * PAGE) != 0)
		fail("memory");
	p = do_mmap(&memory, fd, 0, PAGES, mapped.prot);
	touch(p, PAGES, mapped.prot);
	munmap(p, PAGES * PAGE);
	return (fd);
}

/* Between the hypercalls, ordinary memory is mapped, used and unmapped. */
static void
xen_and_mmap(unsigned pages, uint64_t out[PHASES])
{
	static struct calls *c;
	static int fd;
	uint64_t t[WHOLE + 1];
	long mapping, unmapping;
	char *p;

	if (c == NULL) {
		c = new_calls();
		fd = new_memory();
	}
	fill(c, 0, pages);
	for (unsigned i = 0; i < 2; i++) {
		t[0] = ticks();
		mapping = xen_map(c, pages);
		t[1] = i == 0 ? ticks() : 0;
		p = do_mmap(&memory, fd, 0, pages, mapped.prot);
		t[2] = i == 0 ? ticks() : 0;
		touch(p, pages, mapped.prot);
		t[3] = i == 0 ? ticks() : 0;
		munmap(p, pages * PAGE);
		t[4] = i == 0 ? ticks() : 0;
		unmapping = xen_unmap(c, pages);
		t[5] = ticks();
		check(c, mapping, unmapping, pages);
		for (unsigned phase = 0; phase < WHOLE && i == 0; phase++)
			out[phase] = t[phase + 1] - t[phase];
	}
	out[WHOLE] = t[5] - t[0];
}

/* ---- in turn -------------------------------------------------------------- */

/*
 * FreeBSD's own driver allocates the records of several pages at once and frees
 * each of them alone: that corrupts the kernel's memory, and the kernel soon
 * dies.
 */
static bool
left_out(const struct driver *d, unsigned pages, bool share)
{

	return (d->base && share && pages > 1);
}

static void
in_turn(const char *what, struct kind kind, unsigned pages)
{
	bool alone = privcmd >= 0 && strcmp(what, "cycle") == 0;
	/* More pages would take a fault each, which a driver can save. */
	unsigned others = alone ? 1 + (pages == 1) : 0;
	uint64_t faulted[MAX_DRIVERS] = { 0 }, now[PHASES], n,
	    trips[MAX_ROUNDS];

	for (unsigned round = 0; round <= rounds; round++) {
		trips[round > 0 ? round - 1 : 0] = gauge();
		for (unsigned i = 0; i < ndrivers + others; i++) {
			/*
			 * Vary the order, so that the clock's tick does not
			 * always hit the same driver.
			 */
			unsigned d = (round + i) % (ndrivers + others);

			if (d == ndrivers) {
				xen_itself(pages, now);
			} else if (d > ndrivers) {
				xen_and_mmap(pages, now);
			} else if (left_out(&drivers[d], pages, kind.share)) {
				continue;
			} else {
				n = cycle(&drivers[d], kind, pages, now);
				faulted[d] += round > 0 ? n : 0;
			}
			for (unsigned p = 0; p < PHASES && round > 0; p++)
				spent[d][p][round - 1] = now[p];
		}
	}
	tell(what, "gauge", pages, "trips", trips);
	for (unsigned d = 0; d < ndrivers; d++) {
		if (left_out(&drivers[d], pages, kind.share))
			continue;
		for (unsigned p = 0; p < PHASES; p++)
			tell(what, drivers[d].name, pages, phases[p],
			    spent[d][p]);
		printf("speed faults %s %s %u %ju\n", what, drivers[d].name,
		    pages, (uintmax_t)faulted[d]);
	}
	if (alone) {
		tell(what, "xen", pages, "map", spent[ndrivers][MAP]);
		tell(what, "xen", pages, "unmap", spent[ndrivers][UNMAP]);
		tell(what, "xen", pages, "whole", spent[ndrivers][WHOLE]);
	}
	for (unsigned p = 0; p < PHASES && others > 1; p++)
		tell(what, "xen+mmap", pages, phases[p],
		    spent[ndrivers + 1][p]);
}

static void
cycles(unsigned pages)
{

	in_turn("cycle", mapped, pages);
}

static void
readonly(unsigned pages)
{

	in_turn("readonly", looked_at, pages);
}

static void
shares(unsigned pages)
{

	in_turn("share", shared, pages);
}

/* One more page, while the same file has many others mapped. */
static void
with_live(unsigned pages)
{
	static struct {
		uint64_t index;
		char	*page;
	} live[MAX_DRIVERS][MAX_LIVE];

	for (unsigned d = 0; d < ndrivers; d++)
		for (unsigned i = 0; i < nlive; i++) {
			live[d][i].index = do_map(&drivers[d], i % PAGES, 1);
			live[d][i].page = do_mmap(&drivers[d],
			    drivers[d].gntdev, live[d][i].index, 1,
			    mapped.prot);
			touch(live[d][i].page, 1, mapped.prot);
		}
	in_turn("live", mapped, pages);
	for (unsigned d = 0; d < ndrivers; d++)
		for (unsigned i = 0; i < nlive; i++) {
			munmap(live[d][i].page, PAGE);
			do_unmap(&drivers[d], live[d][i].index, 1);
		}
}

/* ---- two at once ----------------------------------------------------------- */

/*
 * Two threads, or processes, each with its own processor, descriptor and
 * grants.  They wait in read(2) until they are wanted.
 */
struct lane {
	unsigned	number;
	int		wake[2];
	uint64_t	begun, ended;
};

static struct {
	struct lane	lane[LANES];
	unsigned	wanted;		/* lanes that run at once */
	unsigned	ready, done;
	int		driver;		/* or one of the following */
	unsigned	pages;
} *lanes;
enum { XEN_ITSELF = -1, XEN_AND_MMAP = -2 };

static void
pin(unsigned cpu)
{
#ifdef __FreeBSD__
	cpuset_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	if (cpuset_setaffinity(CPU_LEVEL_WHICH, CPU_WHICH_TID, -1, sizeof(set),
	    &set) != 0)
		fail("processor %u", cpu);
#else
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	if (sched_setaffinity(0, sizeof(set), &set) != 0)
		fail("processor %u", cpu);
#endif
}

static void reopen(struct driver *);

static void *
run_lane(void *arg)
{
	struct lane *l = arg;
	unsigned from = l->number * (PAGES / LANES);
	struct driver own[MAX_DRIVERS];
	struct calls *c;
	long mapping;
	char *p, byte;
	int fd = -1;

	pin(l->number);
	c = privcmd >= 0 ? new_calls() : NULL;
	if (c != NULL)
		fd = new_memory();
	for (unsigned i = 0; i < ndrivers; i++) {
		own[i] = drivers[i];
		reopen(&own[i]);
	}
	while (read(l->wake[0], &byte, 1) == 1 && byte != 0) {
		/* The first to wake up waits for the other. */
		__atomic_add_fetch(&lanes->ready, 1, __ATOMIC_ACQ_REL);
		while (__atomic_load_n(&lanes->ready, __ATOMIC_ACQUIRE) <
		    lanes->wanted)
			;
		l->begun = ticks();
		for (unsigned i = 0; i < LANE_CYCLES; i++) {
			if (lanes->driver >= 0) {
				whole(&own[lanes->driver], mapped, from,
				    lanes->pages);
				continue;
			}
			fill(c, from, lanes->pages);
			mapping = xen_map(c, lanes->pages);
			if (lanes->driver == XEN_AND_MMAP) {
				p = do_mmap(&memory, fd, 0, lanes->pages,
				    mapped.prot);
				touch(p, lanes->pages, mapped.prot);
				munmap(p, lanes->pages * PAGE);
			}
			check(c, mapping, xen_unmap(c, lanes->pages),
			    lanes->pages);
		}
		l->ended = ticks();
		__atomic_add_fetch(&lanes->done, 1, __ATOMIC_ACQ_REL);
	}
	if (fd >= 0)
		close(fd);
	for (unsigned i = 0; i < ndrivers; i++) {
		close(own[i].gntdev);
		if (!own[i].base)
			close(own[i].gntalloc);
	}
	return (NULL);
}

/* How long LANE_CYCLES cycles take in each of `count` lanes at once. */
static uint64_t
together(int driver, unsigned pages, unsigned count)
{
	static const struct timespec moment = { 0, 1000 * 1000 };
	uint64_t begun = UINT64_MAX, ended = 0;

	lanes->driver = driver;
	lanes->pages = pages;
	lanes->wanted = count;
	lanes->ready = lanes->done = 0;
	for (unsigned i = 0; i < count; i++)
		if (write(lanes->lane[i].wake[1], "1", 1) != 1)
			fail("waking a lane");
	while (__atomic_load_n(&lanes->done, __ATOMIC_ACQUIRE) < count)
		nanosleep(&moment, NULL);
	for (unsigned i = 0; i < count; i++) {
		if (lanes->lane[i].begun < begun)
			begun = lanes->lane[i].begun;
		if (lanes->lane[i].ended > ended)
			ended = lanes->lane[i].ended;
	}
	return (ended - begun);
}

static void
in_lanes(const char *what, bool processes)
{
	static const unsigned sizes[] = { 1, 16 };
	pthread_t threads[LANES];
	pid_t children[LANES];
	unsigned others = privcmd >= 0 ? 2 : 0;

	if (sysconf(_SC_NPROCESSORS_ONLN) < (long)LANES)
		return;
	lanes = mmap(NULL, sizeof(*lanes), PROT_READ | PROT_WRITE,
	    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (lanes == MAP_FAILED)
		fail("memory");
	for (unsigned i = 0; i < LANES; i++) {
		lanes->lane[i].number = i;
		if (pipe(lanes->lane[i].wake) != 0)
			fail("pipe");
	}
	for (unsigned i = 0; i < LANES; i++) {
		if (!processes) {
			if (pthread_create(&threads[i], NULL, run_lane,
			    &lanes->lane[i]) != 0)
				fail("pthread_create");
			continue;
		}
		fflush(stdout);
		children[i] = fork();
		if (children[i] < 0)
			fail("fork");
		if (children[i] == 0) {
			run_lane(&lanes->lane[i]);
			_exit(0);
		}
	}
	for (unsigned s = 0; s < sizeof(sizes) / sizeof(sizes[0]); s++) {
		for (unsigned round = 0; round <= rounds; round++)
			for (unsigned i = 0; i < ndrivers + others; i++) {
				unsigned at = round > 0 ? round - 1 : 0;
				int d = i < ndrivers ? (int)i :
				    i == ndrivers    ? XEN_ITSELF :
						       XEN_AND_MMAP;

				spent[i][0][at] = together(d, sizes[s], 1);
				spent[i][1][at] = together(d, sizes[s], 2);
			}
		for (unsigned i = 0; i < ndrivers + others; i++) {
			const char *name = i < ndrivers ? drivers[i].name :
			    i == ndrivers		? "xen" :
							  "xen+mmap";

			tell(what, name, sizes[s], "one", spent[i][0]);
			tell(what, name, sizes[s], "two", spent[i][1]);
		}
	}
	for (unsigned i = 0; i < LANES; i++) {
		if (write(lanes->lane[i].wake[1], "", 1) != 1)
			fail("ending a lane");
		if (processes)
			waitpid(children[i], NULL, 0);
		else
			pthread_join(threads[i], NULL);
		close(lanes->lane[i].wake[0]);
		close(lanes->lane[i].wake[1]);
	}
	munmap(lanes, sizeof(*lanes));
}

static void
in_threads(unsigned unused)
{

	(void)unused;
	in_lanes("threads", false);
}

static void
in_processes(unsigned unused)
{

	(void)unused;
	in_lanes("processes", true);
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
	p = do_mmap(d, d->gntdev, index, pages, mapped.prot);
	memcpy(buffer, p, bytes);
	munmap(p, pages * PAGE);
	do_unmap(d, index, pages);
}

/*
 * The hypercall that no copy can do without.  It copies to other pages of the
 * same domain, since a program does not know the frames of its own.
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

/* ---- questions and answers -------------------------------------------------- */

/* Sends one request to the helper domain's program; returns the answer. */
static const char *__attribute__((format(printf, 1, 2)))
ask(const char *fmt, ...)
{
	static char line[256];
	va_list ap;

	va_start(ap, fmt);
	vfprintf(to_peer, fmt, ap);
	va_end(ap);
	fputc('\n', to_peer);
	fflush(to_peer);
	if (fgets(line, sizeof(line), from_peer) == NULL)
		fail("the helper domain's program is gone");
	if (strncmp(line, "ok", 2) != 0)
		fail("helper domain: %s", line);
	return (line);
}

static unsigned
value(const char *line, const char *key)
{
	const char *at = strstr(line, key);

	if (at == NULL)
		fail("helper domain: no %s in %s", key, line);
	return ((unsigned)strtoul(at + strlen(key), NULL, 0));
}

/* Starts the helper domain's program and asks it for the grants. */
static void
make_peer(const char *program)
{
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
	to_peer = fdopen(pipes[0], "w");
	from_peer = fdopen(dup(pipes[0]), "r");
	if (to_peer == NULL || from_peer == NULL)
		fail("fdopen");
	first = questions_ref = PEER_FIRST;
	domid = value(ask("new pages=%u frames=2", PAGES), "domid=");
	for (unsigned i = 0; i < PAGES; i++)
		ask("grant %u %u 1", first + i, i);
}

static int
node(const char *name)
{
	char path[64];

	snprintf(path, sizeof(path), "/dev/xen/%s", name);
	return (open(path, O_RDWR | O_CLOEXEC));
}

static int
open_events(void)
{
	int fd = node("evtchn");

	if (fd < 0 || fcntl(fd, F_SETFL, O_NONBLOCK) != 0)
		fail("evtchn");
	return (fd);
}

static uint32_t
bind_event(int fd, uint32_t remote)
{
#ifdef __FreeBSD__
	/* The base system installs no header for these. */
	uint32_t arg[3] = { domid, remote, 0 };

	if (ioctl(fd, _IOWR('E', 5, uint32_t [3]), arg) != 0)
		fail("event channel");
	return (arg[2]);
#else
	struct ioctl_evtchn_bind_interdomain arg = { domid, remote };
	int port = ioctl(fd, IOCTL_EVTCHN_BIND_INTERDOMAIN, &arg);

	if (port < 0)
		fail("event channel");
	return ((uint32_t)port);
#endif
}

static void
notify(int fd, uint32_t port)
{
#ifdef __FreeBSD__
	if (ioctl(fd, _IOW('E', 8, uint32_t), &port) != 0)
#else
	struct ioctl_evtchn_notify arg = { port };

	if (ioctl(fd, IOCTL_EVTCHN_NOTIFY, &arg) < 0)
#endif
		fail("notify");
}

/* Takes the events that have come and unmasks the port. */
static void
take(int fd)
{
	uint32_t port;

	while (read(fd, &port, sizeof(port)) == sizeof(port))
		if (write(fd, &port, sizeof(port)) != sizeof(port))
			fail("unmasking");
}

/*
 * Three pages: counters, the bytes of the question, those of the answer.  The
 * helper domain's code knows this, too (agent/peer/runner.c).
 */
enum counter { ASKED, ANSWERED, BYTES, STOP };

/* Waits for the answer.  FreeBSD's evtchn(4) loses wake-ups. */
static void
question(char *pages, int fd, uint32_t port, unsigned bytes)
{
	volatile uint32_t *control = (volatile uint32_t *)pages;
	struct pollfd events = { .fd = fd, .events = POLLIN };
	uint32_t number = control[ASKED] + 1;

	memset(pages + PAGE, (int)number, bytes);
	control[BYTES] = bytes;
	__atomic_store_n(&control[ASKED], number, __ATOMIC_RELEASE);
	notify(fd, port);
	while (__atomic_load_n(&control[ANSWERED], __ATOMIC_ACQUIRE) !=
	    number) {
		poll(&events, 1, 10);
		take(fd);
	}
	memcpy(buffer, pages + 2 * PAGE, bytes);
	errno = 0;
	if (buffer[0] != (char)number ||
	    memcmp(buffer, buffer + 1, bytes - 1) != 0)
		fail("a wrong answer to question %u of %u bytes", number,
		    bytes);
}

/*
 * Sends bytes to another domain and back, through pages that stay mapped and an
 * event channel, as a vchan does; a figure is for ANSWERS of them.  All drivers
 * have the same pages mapped.
 */
static void
ping_pong(unsigned bytes)
{
	uint32_t port, remote = answerer_port;
	uint64_t begin, index[MAX_DRIVERS], trips[MAX_ROUNDS];
	char *pages[MAX_DRIVERS];
	int fd;

	if (to_peer == NULL && remote == 0)
		return;
	fd = open_events();
	if (to_peer != NULL)
		remote = value(ask("event_alloc"), "port=");
	port = bind_event(fd, remote);
	for (unsigned d = 0; d < ndrivers; d++) {
		index[d] = do_map(&drivers[d], questions_ref - first, 3);
		pages[d] = do_mmap(&drivers[d], drivers[d].gntdev, index[d], 3,
		    mapped.prot);
	}
	if (to_peer != NULL) {
		memset(pages[0], 0, 3 * PAGE);
		ask("answer 0 %u", remote);
	}
	for (unsigned round = 0; round <= rounds; round++) {
		unsigned at = round > 0 ? round - 1 : 0;

		trips[at] = gauge();
		for (unsigned i = 0; i < ndrivers; i++) {
			unsigned d = (round + i) % ndrivers;

			begin = ticks();
			for (unsigned n = 0; n < ANSWERS; n++)
				question(pages[d], fd, port, bytes);
			spent[d][0][at] = ticks() - begin;
		}
	}
	tell("answers", "gauge", bytes, "trips", trips);
	for (unsigned d = 0; d < ndrivers; d++)
		tell("answers", drivers[d].name, bytes, "whole", spent[d][0]);
	if (to_peer != NULL) {
		((volatile uint32_t *)pages[0])[STOP] = 1;
		ask("answered");
	}
	for (unsigned d = 0; d < ndrivers; d++) {
		munmap(pages[d], 3 * PAGE);
		do_unmap(&drivers[d], index[d], 3);
	}
	close(fd);
}

/* ---- start ---------------------------------------------------------------- */

/* The same driver through a second descriptor. */
static void
reopen(struct driver *d)
{

	d->gntdev = strcmp(d->name, "ours") == 0 ? node("xengntdev") : -1;
	if (d->gntdev < 0)
		d->gntdev = node("gntdev");
	d->gntalloc = d->base ? d->gntdev : node("gntalloc");
	if (d->gntdev < 0 || d->gntalloc < 0)
		fail("%s: no device", d->name);
}

static void
add_driver(const char *name)
{
	struct driver *d = &drivers[ndrivers++];

	d->name = name;
	d->base = strcmp(name, "base") == 0;
	reopen(d);
#ifndef __FreeBSD__
	if (d->base)
		fail("base: this is not FreeBSD");
#endif
}

#ifndef __FreeBSD__
/* Answers the questions of another domain's program.  Never returns. */
static void
answer(void)
{
	struct ioctl_evtchn_bind_unbound_port unbound = { domid };
	struct pollfd events = { .fd = open_events(), .events = POLLIN };
	const uint32_t *refs = allocated.op.gref_ids;
	volatile uint32_t *control;
	uint32_t bytes, number;
	char *pages;
	int port;

	add_driver("linux");
	pages = do_mmap(&drivers[0], drivers[0].gntalloc,
	    do_alloc(&drivers[0], 3), 3, shared.prot);
	errno = 0;
	if (refs[1] != refs[0] + 1 || refs[2] != refs[0] + 2)
		fail("the references %u, %u, %u are not consecutive", refs[0],
		    refs[1], refs[2]);
	port = ioctl(events.fd, IOCTL_EVTCHN_BIND_UNBOUND_PORT, &unbound);
	if (port < 0)
		fail("event channel");
	printf("%u\n%d\nend\n", refs[0], port);
	fflush(stdout);
	control = (volatile uint32_t *)pages;
	for (;;) {
		poll(&events, 1, -1);
		take(events.fd);
		number = __atomic_load_n(&control[ASKED], __ATOMIC_ACQUIRE);
		if (number == control[ANSWERED])
			continue;
		bytes = control[BYTES];
		if (bytes > PAGE)
			fail("a question of %u bytes", bytes);
		memcpy(pages + 2 * PAGE, pages + PAGE, bytes);
		__atomic_store_n(&control[ANSWERED], number, __ATOMIC_RELEASE);
		notify(events.fd, (uint32_t)port);
	}
}
#endif

/* In the order of the bits of --parts, lowest first; sizes end with 0. */
static const struct {
	void		(*measure)(unsigned size);
	unsigned	sizes[7];
} parts[] = {
	{ cycles, { 1, 16, 64, 512 } },
	{ readonly, { 1, 16, 64, 512 } },
	{ shares, { 1, 16, 64, 512 } },
	{ copies, { 512, 1024, 2048, 4096, 16384, 65536 } },
	{ with_live, { 1 } },
	{ in_threads, { 1 } },
	{ in_processes, { 1 } },
	{ ping_pong, { 64, 4096 } },
};

int
main(int argc, char **argv)
{
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
		} else if (strcmp(word, "--questions") == 0 && left >= 2) {
			questions_ref = (unsigned)strtoul(argv[++i], NULL, 0);
			answerer_port = (unsigned)strtoul(argv[++i], NULL, 0);
#ifndef __FreeBSD__
		} else if (strcmp(word, "--answer") == 0 && left >= 1) {
			domid = (unsigned)strtoul(argv[++i], NULL, 0);
			answer();
#endif
		} else if (strcmp(word, "--rounds") == 0 && left >= 1) {
			rounds = (unsigned)strtoul(argv[++i], NULL, 0);
		} else if (strcmp(word, "--live") == 0 && left >= 1) {
			nlive = (unsigned)strtoul(argv[++i], NULL, 0);
		} else if (strcmp(word, "--parts") == 0 && left >= 1) {
			chosen = strtoul(argv[++i], NULL, 0);
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
		/* Linux does not let a domain's own programs do this. */
		close(privcmd);
		privcmd = -1;
	}
	clock_itself();
	if (privcmd >= 0)
		empty_calls();
	for (i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
		if ((chosen & 1ul << i) == 0)
			continue;
		for (const unsigned *size = parts[i].sizes; *size != 0; size++)
			parts[i].measure(*size);
	}
	printf("speed end\n");
	fflush(stdout);
	return (0);
}
