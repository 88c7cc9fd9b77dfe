/* SPDX-License-Identifier: BSD-2-Clause */
#include <sys/mman.h>
#include <sys/uio.h>
#include <unistd.h>

#include "world.h"

#include <xen/gntdev.h>

struct xen_domain *peer;
char *arena, *segments, *window;
uint32_t own_ref[OWN_REFS];
static uint8_t window_state[WINDOW_PAGES];
enum { RESERVED, MAPPED, LOST };

static void
check_mmap(void *p)
{

	if (p == MAP_FAILED) {
		perror("fuzz: mmap");
		exit(1);
	}
}

/* Called once: no input may reach the fuzzer's own memory. */
static void
world_make(void)
{
	struct xen_domain_config c = {
		.domid = DOMU, .grant_frames = 1, .max_grant_frames = 1,
		.maptrack_frames = 4,
	};
	unsigned i;

	arena = mmap(NULL, ARENA_PAGES * PAGE, PROT_READ | PROT_WRITE,
	    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	check_mmap(arena);
	segments = mmap(NULL, (SEGMENT_RW + 4) * PAGE, PROT_READ | PROT_WRITE,
	    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	check_mmap(segments);
	MUST(mprotect(segments + SEGMENT_RW * PAGE, PAGE, PROT_READ) == 0);
	MUST(mprotect(segments + (SEGMENT_RW + 1) * PAGE, 3 * PAGE,
	    PROT_NONE) == 0);
	window = mmap(NULL, WINDOW_PAGES * PAGE, PROT_NONE,
	    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	check_mmap(window);
	MUST(mprotect(arena + ARENA_RO * PAGE, PAGE, PROT_READ) == 0);
	MUST(mprotect(arena + ARENA_NONE * PAGE,
	    (ARENA_PAGES - ARENA_NONE) * PAGE, PROT_NONE) == 0);
	/*
	 * An input must do the same each time, so no thread may run on its own.
	 */
	harness_tasks_manual(true);
	MUST(harness_load() == 0);
	MUST(xen_domain_create(harness_machine(), &c, &peer) == 0);
	for (i = 0; i < PEER_PAGES; i++)
		MUST(xen_domain_populate(peer, PEER_GFN + i) == 0);
}

static void
set_limit(const char *name, unsigned value)
{

	MUST(harness_sysctl(name, &value, NULL) == 0);
}

void
world_begin(void)
{
	struct grant_entry_v1 *e;
	unsigned i;

	if (peer == NULL)
		world_make();
	MUST(harness_load() == 0);
	memset(arena, 0, ARENA_RW * PAGE);
	memset(own_ref, 0, sizeof(own_ref));
	for (i = 0; i < PEER_PAGES; i++) {
		memset(xen_domain_page(peer, PEER_GFN + i), (int)i, PAGE);
		e = xen_domain_grant_entry(peer, PEER_REF + i);
		e->frame = PEER_GFN + i;
		e->domid = 0;
		e->flags = GTF_permit_access |
		    (i % 4 == 3 ? GTF_readonly : 0);
	}
	/* Small, so that a request for everything takes less than a second. */
	set_limit("hw.xen.gntdev.limit", 600);
	set_limit("hw.xen.gntdev.slots.limit", 2000);
	set_limit("hw.xen.gntalloc.limit", 64);
	set_limit("hw.xen.gntalloc.deferred_batch", 10);
}

void
world_end(bool refused)
{
	struct xen_counters c;
	struct harness_counts n;
	struct grant_entry_v1 *e;
	uint64_t grants, leaked, maps;
	unsigned i, lines, lost;

	harness_exit();
	while (harness_run_tasks() != 0)
		;
	MUST(harness_sysctl64("hw.xen.gntdev.maps", &maps) == 0 && maps == 0);
	MUST(harness_sysctl64("hw.xen.gntdev.grants", &grants) == 0 &&
	    grants == 0);
	/* Only slots whose unmap was made to fail may be lost. */
	lost = refused ? harness_unmap_refused() : 0;
	MUST(harness_sysctl64("hw.xen.gntdev.slots.leaked", &leaked) == 0 &&
	    leaked == lost);
	lines = harness_teardown(false);
	MUST(lines == (lost != 0));
	window_reserve(0, WINDOW_PAGES);
	harness_counts(&n);
	MUST(n.allocs == 0 && n.pages == 0 && n.fakes == 0 && n.objects == 0 &&
	    n.entries == 0 && n.resources == 0 && n.grants == 0 &&
	    n.files == 0);
	xen_domain_counters(peer, &c);
	MUST(c.pins_live == 0 && c.maps_live == 0);
	for (i = 0; i < PEER_REF + PEER_REFS; i++) {
		e = xen_domain_grant_entry(peer, i);
		MUST((e->flags & (GTF_reading | GTF_writing)) == 0);
		memset(e, 0, sizeof(*e));
	}
}

void
window_mark(size_t page, size_t n)
{

	for (; n > 0 && page < WINDOW_PAGES; n--, page++)
		window_state[page] = MAPPED;
}

void
window_reserve(size_t page, size_t n)
{
	void *p, *want;

	for (; n > 0 && page < WINDOW_PAGES; n--, page++) {
		if (window_state[page] != MAPPED)
			continue;
		want = window + page * PAGE;
		if (harness_owns(want, PAGE))
			continue;
		p = mmap(want, PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS |
		    MAP_NORESERVE | MAP_FIXED_NOREPLACE, -1, 0);
		/* Something else has the address now: never use it again. */
		window_state[page] = p == want ? RESERVED : LOST;
		if (p != want && p != MAP_FAILED)
			munmap(p, PAGE);
	}
}

char *
pick_address(struct input *in, size_t len)
{
	uint8_t how;

	how = take8(in);
	switch (how % 16) {
	default:
		return (arena);
	case 8:
		return (arena + take16(in) % ((ARENA_RW - 1) * PAGE));
	case 9:		/* ends with good memory */
		return (arena + ARENA_RW * PAGE - len % (ARENA_RW * PAGE));
	case 10:	/* the end is read-only */
		return (arena + ARENA_RW * PAGE - take8(in) % (len + 1));
	case 11:
		return (arena + ARENA_RO * PAGE + take16(in) % PAGE);
	case 12:	/* the end is not there */
		return (arena + ARENA_NONE * PAGE - take8(in) % (len + 1));
	case 13:
		return (arena + ARENA_NONE * PAGE);
	case 14:	/* grants, perhaps */
		return (window + take16(in) % (WINDOW_PAGES * PAGE - PAGE));
	case 15:
		switch (how / 16 % 4) {
		case 0:
			return (NULL);
		case 1:
			return ((char *)(uintptr_t)0xffff800000000000u);
		case 2:
			return ((char *)(uintptr_t)0x7fffffffff00u);
		default:
			return ((char *)(uintptr_t)-take8(in));
		}
	}
}

uint16_t
pick_domid(struct input *in)
{
	uint8_t how;

	how = take8(in);
	return (how < 224 ? DOMU : how < 232 ? 0 : how < 240 ? DOMID_SELF :
	    take16(in));
}

uint32_t
pick_ref(struct input *in)
{
	uint8_t how;

	how = take8(in);
	if (how < 200)
		return (PEER_REF + how % PEER_PAGES);
	if (how < 250)
		return (how < 225 ? own_ref[how % OWN_REFS] : how);
	return (take32(in));
}

void
pick_segment(struct input *in, struct gntdev_grant_copy_segment *seg)
{
	uint8_t how;

	memset(seg, 0, sizeof(*seg));
	how = take8(in);
	seg->flags = how < 250 ? how % 4 : take16(in);
	how = take8(in);
	seg->len = how < 64 ? how : how < 128 ? (uint16_t)(how * 40) :
	    how < 250 ? (uint16_t)(PAGE - how) : take16(in);
	if ((seg->flags & GNTCOPY_source_gref) != 0) {
		seg->source.foreign.domid = pick_domid(in);
		seg->source.foreign.ref = pick_ref(in);
		seg->source.foreign.offset = take8(in) % 4 != 0 ? 0 :
		    take16(in);
	} else
		seg->source.virt = pick_address(in, seg->len);
	if ((seg->flags & GNTCOPY_dest_gref) != 0) {
		seg->dest.foreign.domid = pick_domid(in);
		seg->dest.foreign.ref = pick_ref(in);
		seg->dest.foreign.offset = take8(in) % 4 != 0 ? 0 :
		    take16(in);
	} else
		seg->dest.virt = pick_address(in, seg->len);
	seg->status = (int16_t)0x5555;
}

char *
pick_segments(struct input *in, size_t count)
{
	char *end;

	/* After them are only zeroes, which no copy accepts as a segment. */
	memset(segments, 0, SEGMENT_RW * PAGE);
	switch (take8(in) % 8) {
	default:
		return (segments);
	case 5:
		end = segments + SEGMENT_RW * PAGE;
		break;
	case 6:		/* the last ones are read-only */
		end = segments + SEGMENT_RW * PAGE + take8(in) % 64;
		break;
	case 7:		/* the last ones are not there */
		end = segments + (SEGMENT_RW + 1) * PAGE + take8(in) % 64;
		break;
	}
	return (end - count * sizeof(struct gntdev_grant_copy_segment));
}

/* Writes to memory that is read-only or absent. */
static void
fill_ro(char *page, const char *addr, size_t len, int prot)
{

	if ((uintptr_t)addr < (uintptr_t)page + PAGE &&
	    (uintptr_t)addr + len > (uintptr_t)page)
		MUST(mprotect(page, PAGE, prot) == 0);
}

void
fill(char *addr, const void *bytes, size_t len)
{
	struct iovec from, to;
	char *ro[2];
	unsigned i;

	/* Fill the read-only memory, too. */
	ro[0] = arena + ARENA_RO * PAGE;
	ro[1] = segments + SEGMENT_RW * PAGE;
	for (i = 0; i < 2; i++)
		fill_ro(ro[i], addr, len, PROT_READ | PROT_WRITE);
	from.iov_base = (void *)(uintptr_t)bytes;
	to.iov_base = addr;
	from.iov_len = to.iov_len = len;
	/* As far as there is memory: a bad address is not an error here. */
	if (len > 0 && process_vm_writev(getpid(), &from, 1, &to, 1, 0) < 0)
		SAY("  (argument at %p not written)\n", (void *)addr);
	for (i = 0; i < 2; i++)
		fill_ro(ro[i], addr, len, PROT_READ);
}
