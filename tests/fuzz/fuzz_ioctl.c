/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Any sequence of system calls on files of both nodes, and what the peer, the
 * end of a process and failing resources add.  Nothing may break, and nothing
 * may be left.
 */
#include <sys/uio.h>
#include <errno.h>
#include <unistd.h>

#include "world.h"

#include <xen/gntalloc.h>
#include <xen/gntdev.h>

#define	NFILES		6u
#define	NVALUES		16u
#define	NMAPS		12u
#define	NPORTS		4u
#define	ARG_BYTES	256u

/* FreeBSD's encodings of its own gntdev's commands. */
static const uint32_t base_words[] = {
	0x80104500, 0xc0184501, 0x80104502, 0xc0184503, 0x80104504, 0xc0184505,
};
static const uint32_t linux_words[] = {
	0x184700, 0x104701, 0x184702, 0x44703, 0x184705, 0x104706, 0x104707,
	0x104708, 0x144709, 0x8470a, 0x14470b, 0x8470c,
};

static struct {
	struct file	*file[NFILES];
	unsigned	refs[NFILES];
	bool		alloc[NFILES];		/* a file of gntalloc */
	uint64_t	index[NVALUES];		/* that the driver gave */
	uint32_t	count[NVALUES];
	unsigned	nindex;
	unsigned	nref;
	/* Mappings at addresses of the system's choice. */
	char		*map[NMAPS];
	uint8_t		map_pages[NMAPS];
	uint64_t	map_left[NMAPS];	/* a bit a page */
	struct harness_pin	*pin[NMAPS];
	struct vm_object *share[NMAPS];
	struct gnttab_map_grant_ref peer_map[NMAPS];
	bool		peer_mapped[NMAPS];
	uint32_t	port[NPORTS];
	bool		held;			/* another user of vmspace */
	bool		faults;
	uint64_t	gfn;			/* next free of the peer's */
} w;

static void
remember_index(uint64_t index, uint32_t count)
{

	w.index[w.nindex % NVALUES] = index;
	w.count[w.nindex++ % NVALUES] = count;
}

static void
remember_refs(const uint32_t *refs, unsigned n)
{

	for (; n > 0; n--)
		own_ref[w.nref++ % OWN_REFS] = *refs++;
}

/* A value that the driver once returned, one near it, or any. */
static uint64_t
pick_index(struct input *in, uint32_t *count)
{
	uint8_t how;
	unsigned i;

	how = take8(in);
	i = how % NVALUES;
	*count = w.count[i];
	switch (how / NVALUES % 8) {
	default:
		return (w.index[i]);
	case 4:
		return (w.index[i] + take16(in));
	case 5:
		*count = take8(in);
		return (w.index[i] + take8(in) * PAGE);
	case 6:
		*count = take16(in);
		return ((uint64_t)take8(in) * PAGE);
	case 7:
		*count = take32(in);
		return (take32(in) | (uint64_t)take32(in) << 32);
	}
}

/*
 * An open file, mostly of the node for which the command is; NULL if there is
 * none.
 */
static struct file *
pick_file(struct input *in, bool alloc, unsigned *n)
{
	uint8_t how;
	unsigned i;

	how = take8(in);
	for (i = 0; i < NFILES; i++) {
		*n = (how + i) % NFILES;
		if (w.file[*n] != NULL && (how >= 224 || w.alloc[*n] == alloc))
			return (w.file[*n]);
	}
	return (NULL);
}

static uint32_t
pick_port(struct input *in)
{
	uint8_t how;

	how = take8(in);
	return (how < 128 ? w.port[how % NPORTS] : how < 192 ? how % 16 :
	    take32(in));
}

static unsigned
free_slot(void *const *slot, unsigned n)
{
	unsigned i;

	for (i = 0; i < n && slot[i] != NULL; i++)
		;
	return (i);
}

static int
call(struct file *fp, unsigned nr, const void *addr)
{
	int error;

	error = harness_ioctl(fp, HARNESS_IO('G', nr), (uintptr_t)addr);
	SAY("  = %d\n", error);
	MUST(error >= 0 && error < 100);
	return (error);
}

/* Files. */

static void
do_open(struct input *in)
{
	uint8_t how;
	unsigned i;
	int error, flags;

	how = take8(in);
	i = free_slot((void *const *)w.file, NFILES);
	if (i == NFILES)
		return;
	flags = how / 2 % 8 == 0 ? HARNESS_FREAD : how / 2 % 8 == 1 ?
	    HARNESS_FWRITE : HARNESS_FREAD | HARNESS_FWRITE;
	w.alloc[i] = how % 2 != 0;
	error = harness_open(w.alloc[i] ? "xen/gntalloc" : "xen/gntdev", flags,
	    &w.file[i]);
	SAY("open(%s, %d) as file %u = %d\n", w.alloc[i] ? "gntalloc" :
	    "gntdev", flags, i, error);
	if (error != 0)
		w.file[i] = NULL;
	else
		w.refs[i] = 1;
}

static void
close_one(unsigned i)
{

	SAY("close(file %u)\n", i);
	harness_close(w.file[i]);
	if (--w.refs[i] == 0)
		w.file[i] = NULL;
}

static void
do_close(struct input *in)
{
	unsigned i;

	if (pick_file(in, take8(in) % 2 != 0, &i) != NULL)
		close_one(i);
}

static void
do_dup(struct input *in)
{
	struct file *fp;
	unsigned i;

	fp = pick_file(in, take8(in) % 2 != 0, &i);
	if (fp == NULL)
		return;
	SAY("dup(file %u)\n", i);
	harness_hold(fp);
	w.refs[i]++;
}

static void
do_rw(struct input *in)
{
	struct file *fp;
	size_t done;
	unsigned i;

	fp = pick_file(in, take8(in) % 2 != 0, &i);
	if (fp == NULL)
		return;
	if (take8(in) % 2 == 0)
		MUST(harness_read(fp, arena, 8, &done) != 0);
	else
		MUST(harness_write(fp, arena, 8, &done) != 0);
}

/* gntdev. */

static void
do_map(struct input *in)
{
	struct {
		struct ioctl_gntdev_map_grant_ref op;
		struct ioctl_gntdev_grant_ref more[31];
	} arg;
	struct ioctl_gntdev_grant_ref *refs;
	struct file *fp;
	uint32_t count, i;
	unsigned n;
	char *addr;
	int error;

	fp = pick_file(in, false, &n);
	memset(&arg, 0, sizeof(arg));
	count = take8(in) % 34;
	if (count == 33)
		count = take32(in);
	arg.op.count = count;
	refs = arg.op.refs;
	for (i = 0; i < count && i < 32; i++) {
		refs[i].domid = pick_domid(in);
		refs[i].ref = pick_ref(in);
	}
	addr = pick_address(in, sizeof(arg));
	if (fp == NULL)
		return;
	SAY("map(file %u, count %u at %p)\n", n, count, (void *)addr);
	fill(addr, &arg, sizeof(arg));
	error = call(fp, 0, addr);
	if (error == 0 && addr == arena) {
		memcpy(&arg, addr, sizeof(arg));
		MUST(arg.op.index % PAGE == 0);
		remember_index(arg.op.index, count);
	}
}

static void
do_unmap(struct input *in)
{
	struct ioctl_gntdev_unmap_grant_ref op;
	struct file *fp;
	unsigned n;
	char *addr;

	fp = pick_file(in, false, &n);
	memset(&op, 0, sizeof(op));
	op.index = pick_index(in, &op.count);
	if (take8(in) % 8 == 0)
		op.count = 0;
	addr = pick_address(in, sizeof(op));
	if (fp == NULL)
		return;
	SAY("unmap(file %u, %#lx, %u at %p)\n", n, op.index, op.count,
	    (void *)addr);
	fill(addr, &op, sizeof(op));
	call(fp, 1, addr);
}

static void
do_get_offset(struct input *in)
{
	struct ioctl_gntdev_get_offset_for_vaddr op;
	struct file *fp;
	unsigned n;
	char *addr;

	fp = pick_file(in, false, &n);
	memset(&op, 0, sizeof(op));
	op.vaddr = (uintptr_t)pick_address(in, 1);
	addr = pick_address(in, sizeof(op));
	if (fp == NULL)
		return;
	SAY("get_offset(file %u, %#lx at %p)\n", n, op.vaddr, (void *)addr);
	fill(addr, &op, sizeof(op));
	call(fp, 2, addr);
}

static void
do_notify(struct input *in)
{
	struct ioctl_gntdev_unmap_notify op;
	struct file *fp;
	uint32_t count;
	unsigned n;
	char *addr;

	fp = pick_file(in, take8(in) % 2 != 0, &n);
	memset(&op, 0, sizeof(op));
	op.index = pick_index(in, &count) + take16(in) % (2 * PAGE);
	op.action = take8(in) % 5;
	op.event_channel_port = pick_port(in);
	addr = pick_address(in, sizeof(op));
	if (fp == NULL)
		return;
	SAY("notify(file %u, %#lx, %u, port %u at %p)\n", n, op.index,
	    op.action, op.event_channel_port, (void *)addr);
	fill(addr, &op, sizeof(op));
	call(fp, 7, addr);
}

/* gntalloc. */

static void
do_alloc(struct input *in)
{
	struct {
		struct ioctl_gntalloc_alloc_gref op;
		uint32_t more[63];
	} arg;
	struct file *fp;
	unsigned n;
	char *addr;

	fp = pick_file(in, true, &n);
	memset(&arg, 0, sizeof(arg));
	arg.op.domid = pick_domid(in);
	arg.op.flags = take8(in);
	arg.op.count = take8(in) % 18;
	if (arg.op.count == 17)
		arg.op.count = take32(in);
	addr = pick_address(in, sizeof(arg.op));
	if (fp == NULL)
		return;
	SAY("alloc(file %u, domid %u, flags %u, count %u at %p)\n", n,
	    arg.op.domid, arg.op.flags, arg.op.count, (void *)addr);
	fill(addr, &arg, sizeof(arg.op));
	if (call(fp, 5, addr) != 0 || addr != arena)
		return;
	memcpy(&arg, addr, sizeof(arg));
	MUST(arg.op.index % PAGE == 0 && arg.op.count <= 64);
	remember_index(arg.op.index, arg.op.count);
	remember_refs(arg.op.gref_ids, arg.op.count);
}

static void
do_dealloc(struct input *in)
{
	struct ioctl_gntalloc_dealloc_gref op;
	struct file *fp;
	unsigned n;
	char *addr;

	fp = pick_file(in, true, &n);
	memset(&op, 0, sizeof(op));
	op.index = pick_index(in, &op.count);
	addr = pick_address(in, sizeof(op));
	if (fp == NULL)
		return;
	SAY("dealloc(file %u, %#lx, %u at %p)\n", n, op.index, op.count,
	    (void *)addr);
	fill(addr, &op, sizeof(op));
	call(fp, 6, addr);
}

/* Any command with any bytes. */

/*
 * The driver may write through pointers in an argument; its success must not
 * destroy the fuzzer.
 */
static void
tame(uint8_t *arg, struct input *in)
{
	char *p;

	p = pick_address(in, 4);
	memcpy(arg + 16, &p, sizeof(p));
}

static void
do_copy(struct input *in)
{
	struct gntdev_grant_copy_segment seg[20];
	struct ioctl_gntdev_grant_copy op;
	struct file *fp;
	unsigned i, n;

	fp = pick_file(in, false, &n);
	memset(&op, 0, sizeof(op));
	op.count = take8(in) % 21;
	for (i = 0; i < op.count; i++)
		pick_segment(in, &seg[i]);
	op.segments = (void *)pick_segments(in, op.count);
	if (fp == NULL)
		return;
	SAY("copy(file %u, %u segments)\n", n, op.count);
	fill((char *)op.segments, seg, op.count * sizeof(seg[0]));
	fill(arena, &op, sizeof(op));
	call(fp, 8, arena);
}

static void
do_raw(struct input *in)
{
	uint8_t arg[ARG_BYTES], how;
	struct file *fp;
	uint32_t word;
	size_t len;
	unsigned n;
	char *addr;
	int error;

	fp = pick_file(in, take8(in) % 2 != 0, &n);
	how = take8(in);
	if (how < 96)
		word = 0x20000000u | 'G' << 8 | how % 16;
	else if (how < 192)
		word = base_words[how % 6];
	else if (how < 224)
		word = linux_words[how % 12];
	else
		word = take32(in);
	len = take8(in);
	take_bytes(in, arg, len);
	memset(arg + len, 0, sizeof(arg) - len);
	/* do_copy() makes copies, with safe destinations. */
	if (word == (0x20000000u | 'G' << 8 | 8))
		return;
	if (word == 0xc0184501 || word == 0xc0184503)
		tame(arg, in);
	/* What is read back must be what was written. */
	addr = word == 0xc0184501 ? arena : pick_address(in, len);
	if (fp == NULL)
		return;
	SAY("ioctl(file %u, %#x, %zu bytes at %p)", n, word, len,
	    (void *)addr);
	fill(addr, arg, len < 24 ? 24 : len);
	error = harness_ioctl(fp, word, (uintptr_t)addr);
	SAY(" = %d\n", error);
	MUST(error >= 0 && error < 100);
}

/* FreeBSD's own commands with arguments that make sense. */
static void
do_base(struct input *in)
{
	static uint32_t list[2 * 16];
	struct file *fp;
	uint64_t arg[3];
	uint32_t count;
	unsigned i, n;
	char *p;
	int error, nr;

	fp = pick_file(in, false, &n);
	nr = take8(in) % 6;
	memset(arg, 0, sizeof(arg));
	p = arena + PAGE;
	switch (nr) {
	case 0:
		arg[0] = pick_index(in, &count) + take8(in);
		arg[1] = take8(in) % 4 | (uint64_t)pick_port(in) << 32;
		break;
	case 1:
		count = take8(in) % 9;
		arg[0] = pick_domid(in) | (uint64_t)take8(in) << 16 |
		    (uint64_t)count << 32;
		arg[2] = (uintptr_t)pick_address(in, 4 * count);
		break;
	case 2:
	case 4:
		arg[0] = pick_index(in, &count);
		arg[1] = count;
		break;
	case 3:
		count = take8(in) % 17;
		arg[0] = count;
		for (i = 0; i < count && i < 16; i++) {
			list[2 * i] = pick_domid(in);
			list[2 * i + 1] = pick_ref(in);
		}
		arg[2] = (uintptr_t)p;
		fill(p, list, sizeof(list));
		break;
	case 5:
		arg[0] = (uintptr_t)pick_address(in, 1);
		break;
	}
	if (fp == NULL)
		return;
	SAY("ioctl(file %u, 'E' %d, {%#lx, %#lx, %#lx})", n, nr, arg[0],
	    arg[1], arg[2]);
	fill(arena, arg, sizeof(arg));
	error = harness_ioctl(fp, base_words[nr], (uintptr_t)arena);
	SAY(" = %d\n", error);
	MUST(error >= 0 && error < 100);
	if (error != 0)
		return;
	memcpy(arg, arena, sizeof(arg));
	if (nr == 1)
		remember_index(arg[1], (uint32_t)(arg[0] >> 32));
	if (nr == 3)
		remember_index(arg[1], (uint32_t)arg[0]);
}

static void
do_linux(struct input *in)
{
	struct file *fp;
	uint32_t count, word;
	uint64_t arg[3];
	unsigned n;
	char *addr;
	int error;

	fp = pick_file(in, take8(in) % 2 != 0, &n);
	n = take8(in);
	word = n < 240 ? linux_words[n % 12] : take32(in);
	arg[0] = pick_index(in, &count);
	arg[1] = count;
	arg[2] = take32(in);
	addr = pick_address(in, sizeof(arg));
	if (word == 0x104708)
		return;
	/* NULL: a file that is not the driver's. */
	SAY("linux ioctl(file %p, %#x at %p)", (void *)fp, word,
	    (void *)addr);
	fill(addr, arg, sizeof(arg));
	if (!harness_loaded())
		return;
	error = harness_linux_ioctl(fp, word, (uintptr_t)addr);
	SAY(" = %d\n", error);
	if (fp == NULL)
		MUST(error == -3 || error == 78);
}

/* The address space. */

static void
do_mmap(struct input *in)
{
	struct file *fp;
	uint64_t index;
	uint32_t count, pages;
	uint8_t how;
	size_t page;
	unsigned i, n;
	void *addr;
	int error, flags, prot;

	fp = pick_file(in, take8(in) % 2 != 0, &n);
	index = pick_index(in, &count);
	how = take8(in);
	prot = how % 4 == 0 ? HARNESS_PROT_READ : how % 32 == 1 ? 0 :
	    HARNESS_PROT_READ | HARNESS_PROT_WRITE;
	flags = how >= 248 ? HARNESS_MAP_PRIVATE : HARNESS_MAP_SHARED;
	pages = count <= 64 ? count : 1;
	if (how / 32 % 4 == 1)
		pages = take8(in) % 33;
	page = take8(in);
	i = free_slot((void *const *)w.map, NMAPS);
	if (fp == NULL)
		return;
	addr = NULL;
	/* At a fixed place in the window, over whatever is there. */
	if (page < WINDOW_PAGES && pages <= WINDOW_PAGES - page) {
		addr = window + page * PAGE;
		flags |= HARNESS_MAP_FIXED;
	} else if (i == NMAPS)
		return;
	SAY("mmap(file %u, %#lx, %u pages, prot %d, flags %#x) at page %zd",
	    n, index, pages, prot, flags, addr == NULL ? -1 : (ssize_t)page);
	error = harness_mmap(fp, addr, pages * PAGE, prot, flags,
	    (int64_t)index, &addr);
	SAY(" = %d\n", error);
	if (error != 0) {
		/* A failed one may have removed what was there. */
		if ((flags & HARNESS_MAP_FIXED) != 0) {
			window_mark(page, pages);
			window_reserve(page, pages);
		}
		return;
	}
	if ((flags & HARNESS_MAP_FIXED) != 0)
		window_mark(page, pages);
	else {
		w.map[i] = (char *)((uintptr_t)addr & ~(uintptr_t)(PAGE - 1));
		w.map_pages[i] = (uint8_t)pages;
		w.map_left[i] = pages == 64 ? ~0ull : (1ull << pages) - 1;
	}
}

/* A run of pages that one of our mappings has, or had in the window. */
static char *
pick_mapped(struct input *in, size_t *pages, unsigned *map)
{
	uint8_t how;
	size_t n, page;

	how = take8(in);
	*pages = 1 + take8(in) % 32;
	*map = NMAPS;
	if (how >= 128) {
		for (page = how % WINDOW_PAGES; page < WINDOW_PAGES &&
		    !harness_owns(window + page * PAGE, PAGE); page++)
			;
		if (page == WINDOW_PAGES)
			return (NULL);
		if (*pages > WINDOW_PAGES - page)
			*pages = WINDOW_PAGES - page;
		return (window + page * PAGE);
	}
	if (w.map[how % NMAPS] == NULL)
		return (NULL);
	*map = how % NMAPS;
	page = how / NMAPS % w.map_pages[*map];
	for (n = 0; n < *pages && page + n < w.map_pages[*map] &&
	    (w.map_left[*map] >> (page + n) & 1) != 0; n++)
		;
	*pages = n;
	return (n == 0 ? NULL : w.map[*map] + page * PAGE);
}

static void
forget_mapped(unsigned map, const char *addr, size_t pages)
{
	size_t page;

	if (map == NMAPS) {
		window_reserve((size_t)(addr - window) / PAGE, pages);
		return;
	}
	for (page = (size_t)(addr - w.map[map]) / PAGE; pages > 0;
	    pages--, page++)
		w.map_left[map] &= ~(1ull << page);
	if (w.map_left[map] == 0)
		w.map[map] = NULL;
}

static void
do_munmap(struct input *in)
{
	unsigned map;
	size_t i, pages;
	char *addr;

	addr = pick_mapped(in, &pages, &map);
	if (addr == NULL)
		return;
	SAY("munmap(%p, %zu pages)\n", (void *)addr, pages);
	/* Only our pages: the rest of the window stays reserved. */
	for (i = 0; map == NMAPS && i < pages; i++)
		if (!harness_owns(addr + i * PAGE, PAGE))
			break;
	if (map == NMAPS)
		pages = i;
	if (pages == 0)
		return;
	MUST(harness_munmap(addr, pages * PAGE) == 0);
	forget_mapped(map, addr, pages);
}

static void
do_mprotect(struct input *in)
{
	unsigned map;
	size_t pages;
	char *addr;
	int error, prot;

	addr = pick_mapped(in, &pages, &map);
	prot = take8(in) % 4;
	if (addr == NULL || !harness_owns(addr, pages * PAGE))
		return;
	error = harness_mprotect(addr, pages * PAGE, prot);
	SAY("mprotect(%p, %zu pages, %d) = %d\n", (void *)addr, pages, prot,
	    error);
}

static void
do_mlock(struct input *in)
{
	unsigned map;
	size_t pages;
	char *addr;
	bool lock;

	addr = pick_mapped(in, &pages, &map);
	lock = take8(in) % 3 != 0;
	if (addr == NULL || !harness_owns(addr, pages * PAGE))
		return;
	SAY("%s(%p, %zu pages)\n", lock ? "mlock" : "munlock", (void *)addr,
	    pages);
	harness_mlock(addr, pages * PAGE, lock);
}

/* Loads and stores that may fault, done by the system's own copying. */
static void
do_touch(struct input *in)
{
	struct iovec here, there;
	unsigned map;
	size_t pages;
	char *addr, byte;

	addr = pick_mapped(in, &pages, &map);
	byte = (char)take8(in);
	if (addr == NULL)
		return;
	addr += (pages - 1) * PAGE + (unsigned char)byte * 16;
	here.iov_base = &byte;
	there.iov_base = addr;
	here.iov_len = there.iov_len = 1;
	if (byte % 2 == 0)
		process_vm_writev(getpid(), &here, 1, &there, 1, 0);
	else
		process_vm_readv(getpid(), &here, 1, &there, 1, 0);
}

/* Others. */

static void
do_peer(struct input *in)
{
	struct grant_entry_v1 *e;
	uint32_t ref;
	uint16_t busy;

	ref = take8(in) % (PEER_REF + PEER_REFS);
	e = xen_domain_grant_entry(peer, ref);
	/* Only Xen may change its two bits. */
	busy = e->flags & (GTF_reading | GTF_writing);
	if (busy == 0) {
		e->frame = PEER_GFN + take8(in) % (PEER_PAGES + 2);
		e->domid = take8(in) < 240 ? 0 : take16(in);
	}
	e->flags = (uint16_t)(busy | (take8(in) &
	    ~(GTF_reading | GTF_writing)));
	SAY("peer: entry %u = frame %#x, domid %u, flags %#x\n", ref,
	    e->frame, e->domid, e->flags);
}

static void
do_page_out(struct input *in)
{
	unsigned n;

	n = take8(in);
	SAY("peer: page %u is paged out\n", n % PEER_PAGES);
	xen_domain_page_out(peer, PEER_GFN + n % PEER_PAGES,
	    1 + n / PEER_PAGES);
}

/* The peer maps what gntalloc granted (2.14). */
static void
do_peer_map(struct input *in)
{
	struct gnttab_map_grant_ref *op;
	unsigned i, n;

	n = take8(in);
	i = n % NMAPS;
	if (w.peer_mapped[i] || !harness_loaded())
		return;
	op = &w.peer_map[i];
	memset(op, 0, sizeof(*op));
	op->host_addr = (0x1000 + w.gfn++ % 0x1000) * PAGE;
	op->flags = GNTMAP_host_map | (n % 2 != 0 ? GNTMAP_readonly : 0);
	op->ref = own_ref[n / 4 % OWN_REFS];
	op->dom = 0;
	xen_grant_table_op(peer, GNTTABOP_map_grant_ref, op, 1);
	w.peer_mapped[i] = op->status == GNTST_okay;
	SAY("peer: map reference %u = %d\n", op->ref, op->status);
}

static void
peer_unmap(unsigned i)
{
	struct gnttab_unmap_grant_ref op;

	if (!w.peer_mapped[i])
		return;
	memset(&op, 0, sizeof(op));
	op.host_addr = w.peer_map[i].host_addr;
	op.handle = w.peer_map[i].handle;
	xen_grant_table_op(peer, GNTTABOP_unmap_grant_ref, &op, 1);
	MUST(op.status == GNTST_okay);
	w.peer_mapped[i] = false;
	SAY("peer: unmap reference %u\n", w.peer_map[i].ref);
}

static void
do_peer_unmap(struct input *in)
{

	peer_unmap(take8(in) % NMAPS);
}

static void
do_event(struct input *in)
{
	uint8_t how;
	unsigned i;

	if (!harness_loaded())
		return;
	how = take8(in);
	i = how % (NPORTS / 2) * 2;
	if (how >= 128)
		harness_event_take(w.port[how % NPORTS]);
	else if (w.port[i] == 0)
		MUST(harness_loopback(&w.port[i], &w.port[i + 1]) == 0);
	else {
		SAY("close port %u\n", w.port[how % NPORTS]);
		harness_port_close(w.port[how % NPORTS]);
		if (how >= 64) {
			harness_port_close(w.port[i]);
			harness_port_close(w.port[i + 1]);
			w.port[i] = w.port[i + 1] = 0;
		}
	}
}

static void
do_pin(struct input *in)
{
	unsigned i, map;
	size_t pages;
	char *addr;

	addr = pick_mapped(in, &pages, &map);
	i = free_slot((void *const *)w.pin, NMAPS);
	if (i == NMAPS || addr == NULL || !harness_owns(addr, 1))
		return;
	if (harness_pin(addr, pages % 2 != 0, &w.pin[i]) != 0)
		w.pin[i] = NULL;
	SAY("pin(%p) %s\n", (void *)addr, w.pin[i] == NULL ? "failed" : "");
}

static void
unpin(unsigned i)
{

	if (w.pin[i] == NULL)
		return;
	SAY("unpin\n");
	harness_unpin(w.pin[i]);
	w.pin[i] = NULL;
}

static void
do_unpin(struct input *in)
{

	unpin(take8(in) % NMAPS);
}

/* A forked process shares the mapping, and drops it. */
static void
do_share(struct input *in)
{
	unsigned i, map;
	size_t pages;
	char *addr;

	addr = pick_mapped(in, &pages, &map);
	i = free_slot((void *const *)w.share, NMAPS);
	if (i == NMAPS || addr == NULL || !harness_owns(addr, 1))
		return;
	w.share[i] = harness_share(addr);
	SAY("share(%p)\n", (void *)addr);
}

static void
unshare(unsigned i)
{

	if (w.share[i] == NULL)
		return;
	SAY("unshare\n");
	harness_unshare(w.share[i]);
	w.share[i] = NULL;
}

static void
do_unshare(struct input *in)
{

	unshare(take8(in) % NMAPS);
}

static void
do_exit(struct input *in)
{
	uint8_t how;
	unsigned i;

	if (!harness_loaded())
		return;
	how = take8(in);
	if (how % 4 == 0) {
		/*
		 * Another process still uses the address space, as in vfork(2).
		 */
		harness_vmspace_hold(w.held ? -1 : 1);
		w.held = !w.held;
		return;
	}
	SAY("exit()\n");
	harness_exit_begin();
	for (i = 0; i < NFILES; i++)
		while (w.file[i] != NULL)
			close_one(i);
	harness_exit_end();
	window_reserve(0, WINDOW_PAGES);
	memset(w.map, 0, sizeof(w.map));
}

static void
do_tasks(struct input *in)
{

	(void)in;
	if (harness_loaded())
		harness_run_tasks();
}

static void
do_unload(struct input *in)
{
	unsigned i;
	int error;
	bool open;

	(void)in;
	open = false;
	for (i = 0; i < NFILES; i++)
		open |= w.file[i] != NULL;
	/* Event channels belong to the domain, which ends here by an unload. */
	for (i = 0; i < NPORTS; i++)
		open |= w.port[i] != 0;
	/* So does its memory, which others may hold. */
	for (i = 0; i < NMAPS; i++)
		open |= w.peer_mapped[i] || w.pin[i] != NULL;
	if (open || !harness_loaded() || w.faults)
		return;
	error = harness_unload();
	SAY("unload = %d\n", error);
	MUST(error == 0 || error == EBUSY);
	if (error == 0)
		world_begin();
}

static void
do_sysctl(struct input *in)
{
	static const struct {
		const char	*name;
		unsigned	value[4];
	} limits[] = {
		{ "hw.xen.gntdev.limit", { 600, 0, 1, 16 } },
		{ "hw.xen.gntdev.slots.limit", { 2000, 0, 8, 600 } },
		{ "hw.xen.gntalloc.limit", { 64, 0, 3, 0xffffffff } },
		{ "hw.xen.gntalloc.deferred_batch", { 10, 0, 1, 2 } },
		{ "hw.xen.gntalloc.deferred_interval",
		    { 1000, 0, 1, 0xffffffff } },
	};
	uint8_t how;
	unsigned value;

	how = take8(in);
	value = limits[how % 5].value[how / 5 % 4];
	/* Without a limit a request for all memory would get it. */
	if (how % 5 == 2 && value == 0xffffffff)
		value = 200;
	SAY("%s=%u\n", limits[how % 5].name, value);
	if (harness_loaded())
		MUST(harness_sysctl(limits[how % 5].name, &value, NULL) == 0);
}

static void
do_faults(struct input *in)
{
	uint32_t kinds;
	uint8_t how;

	how = take8(in);
	kinds = take16(in) & HARNESS_FAIL_ALL;
	/* A wait for memory would never end. */
	kinds &= ~HARNESS_FAIL_BIT(HARNESS_FAIL_PAGE_INSERT);
	SAY("faults: kinds %#x, %u\n", kinds, how);
	if (how % 4 == 0)
		harness_faults_stop(NULL);
	else if (how % 4 == 1)
		harness_faults_start(kinds, 0, 2 + how / 4, how);
	else
		harness_faults_start(kinds |
			(how % 4 == 2 ?
				HARNESS_FAIL_BIT(HARNESS_FAIL_PAGE_INSERT) :
				0),
		    1 + how / 4, 0, how);
	w.faults = true;
}

static void
do_killed(struct input *in)
{

	if (harness_loaded())
		harness_killed(take8(in) % 4 == 0);
}

static void (*const ops[])(struct input *) = {
	do_open, do_map, do_mmap, do_alloc, do_munmap, do_unmap, do_dealloc,
	do_close, do_notify, do_event, do_get_offset, do_raw, do_base,
	do_touch, do_peer, do_peer_map, do_peer_unmap, do_mprotect, do_pin,
	do_unpin, do_share, do_unshare, do_exit, do_tasks, do_dup, do_rw,
	do_linux, do_page_out, do_sysctl, do_faults, do_unload, do_killed,
	do_open, do_map, do_mmap, do_mlock, do_alloc, do_munmap, do_munmap,
	do_unmap, do_copy,
};

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = { data, size };
	unsigned i;

	memset(&w, 0, sizeof(w));
	world_begin();
	for (i = 0; i < 2; i++) {
		MUST(harness_open(i == 0 ? "xen/gntdev" : "xen/gntalloc",
		    HARNESS_FREAD | HARNESS_FWRITE, &w.file[i]) == 0);
		w.alloc[i] = i != 0;
		w.refs[i] = 1;
	}
	while (in.left > 0)
		ops[take8(&in) % (sizeof(ops) / sizeof(ops[0]))](&in);
	SAY("-- end\n");
	harness_faults_stop(NULL);
	harness_killed(false);
	if (w.held)
		harness_vmspace_hold(-1);
	for (i = 0; i < NMAPS; i++) {
		unpin(i);
		unshare(i);
		peer_unmap(i);
	}
	for (i = 0; i < NPORTS; i++)
		if (w.port[i] != 0)
			harness_port_close(w.port[i]);
	for (i = 0; i < NFILES; i++)
		while (w.file[i] != NULL)
			close_one(i);
	world_end(w.faults);
	return (0);
}
