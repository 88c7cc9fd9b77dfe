/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Stress test of both devices: processes of several threads make random calls
 * and are killed at random.
 *
 *	xengnt-stress PEER GNTDEV GNTALLOC SECONDS SEED
 *
 * PEER is the program that makes a helper domain (agent/peer/peer.c), whose
 * pages are mapped.  Each thread checks its results on descriptors of its
 * own.  It also uses descriptors that all processes share, where results
 * depend on the others and only damage is an error.  The last line is "done"
 * with figures, or "failed" after a wrong result, an unexpected exit or a
 * grant that stays mapped.  The caller checks the kernel's messages.
 */
#include <sys/param.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <xen/gntalloc.h>
#include <xen/gntdev.h>

#include "../../agent/peer/ask.h"

#define	PAGE		4096u
#define	PAGES		32u	/* of the helper domain */
#define	FIRST		16u	/* reference of its first page */
#define	READ_ONLY	(FIRST + PAGES)	/* page 0 for reading */
#define	PROCESSES	4
#define	THREADS		3
#define	SLOTS		6u	/* mappings of a thread, or of all of them */
#define	SLOT_PAGES	8u
#define	COMMON		4u	/* descriptors that all processes have */
#define	MARK_AT		4088u	/* a page's mark, never overwritten */
#define	SETTLE_MS	20000
#define	OFFERS		16u

/* A segment's flags, as Xen defines them. */
#define	SOURCE_GREF	1u
#define	DEST_GREF	2u

enum op {
	OP_MAP, OP_SHARE, OP_TOUCH, OP_UNMAP, OP_PART, OP_COPY, OP_LOCK,
	OP_ADVISE, OP_FORK, OP_PIPE, OP_REOPEN, OP_NOTIFY, OP_OFFSET, OP_READ,
	OPS
};
static const char *const op_names[OPS] = {
	"map", "share", "touch", "unmap", "part", "copy", "lock", "advise",
	"fork", "pipe", "reopen", "notify", "offset", "read",
};

/* Shared by all processes. */
static struct {
	atomic_ulong	done[OPS];	/* operations that succeeded */
	atomic_bool	failed;
	char		message[256];
	_Atomic uint32_t offers[OFFERS];	/* references for the peer */
} *all;

struct slot {
	char		*p;
	enum { EMPTY, MAP, SHARE } kind;
	unsigned	pages;
	int		fd;		/* or -1 when that was closed */
	bool		own;		/* nobody else uses that descriptor */
	bool		whole;		/* none of its pages was unmapped */
	bool		copied;		/* a fork may have copied pages of it */
	bool		writable;
	uint64_t	index;
	uint32_t	refs[SLOT_PAGES];
};

struct thread {
	pthread_t	thread;
	uint64_t	random;
	int		gntdev, gntalloc;	/* its own */
	struct slot	slots[SLOTS];
};

static const char *node[2];		/* gntdev, gntalloc */
static int common[COMMON];		/* even: gntdev, odd: gntalloc */
static uint32_t domid;
/* One per process. */
static struct slot shared[SLOTS];
static int pipe_in;
static _Thread_local sigjmp_buf landing;
static _Thread_local volatile sig_atomic_t guarded;

static uint64_t
mix(uint64_t *state)
{
	uint64_t z;

	z = *state += 0x9e3779b97f4a7c15u;
	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
	return (z ^ (z >> 31));
}

static unsigned
pick(struct thread *t, unsigned n)
{

	return ((unsigned)(mix(&t->random) % n));
}

/* Records the first failure; the process ends. */
static void __attribute__((format(printf, 1, 2), noreturn))
fail(const char *fmt, ...)
{
	va_list ap;

	if (!atomic_exchange(&all->failed, true)) {
		va_start(ap, fmt);
		vsnprintf(all->message, sizeof(all->message), fmt, ap);
		va_end(ap);
	}
	_exit(1);
}

/* The mark of a page; the helper domain's numbers are below 256. */
static uint64_t
mark(uint32_t number)
{

	return (0x5374726573730000u + number);
}

/* ---- touching pages that may be gone ------------------------------------ */

static void
caught(int sig, siginfo_t *info, void *context)
{

	(void)context;
	if (guarded)
		siglongjmp(landing, 1);
	fail("signal %d at %p", sig, info->si_addr);
}

/* Reads a page's mark and, if asked, writes a byte; false after a signal. */
static bool
touch(char *page, bool store, unsigned at, uint64_t *seen)
{
	bool done;

	done = false;
	if (sigsetjmp(landing, 0) == 0) {
		guarded = 1;
		*seen = *(volatile uint64_t *)(void *)(page + MARK_AT);
		if (store)
			*(volatile char *)(page + at) = (char)at;
		done = true;
	}
	guarded = 0;
	return (done);
}

/* ---- operations --------------------------------------------------------- */

/* The thread's own slot, or one that the threads of its process share. */
static struct slot *
any_slot(struct thread *t)
{

	if (pick(t, 3) == 0)
		return (&shared[pick(t, SLOTS)]);
	return (&t->slots[pick(t, SLOTS)]);
}

static bool
is_shared(const struct slot *s)
{

	return (s >= shared && s < shared + SLOTS);
}

/* Whether the results of operations on it are known in advance. */
static bool
sure(const struct slot *s)
{

	return (s->own && s->whole && !is_shared(s));
}

static void
gone(struct slot *s, bool cover)
{

	/* Covering one mapping with another must free it as well. */
	if (cover)
		(void)mmap(s->p, SLOT_PAGES * PAGE, PROT_NONE,
		    MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	else
		munmap(s->p, SLOT_PAGES * PAGE);
}

static int
end(struct slot *s)
{
	struct ioctl_gntalloc_dealloc_gref dealloc = { 0 };
	struct ioctl_gntdev_unmap_grant_ref unmap = { 0 };

	if (s->fd < 0)
		return (0);
	if (s->kind == MAP) {
		unmap.index = s->index;
		unmap.count = s->pages;
		return (ioctl(s->fd, IOCTL_GNTDEV_UNMAP_GRANT_REF, &unmap));
	}
	dealloc.index = s->index;
	dealloc.count = s->pages;
	return (ioctl(s->fd, IOCTL_GNTALLOC_DEALLOC_GREF, &dealloc));
}

static bool
do_unmap(struct thread *t, struct slot *s)
{
	bool first;
	int rc;

	if (s->kind == EMPTY)
		return (false);
	first = pick(t, 2) == 0;
	if (first)
		gone(s, pick(t, 2) == 0);
	rc = end(s);
	if (rc != 0 && s->own && !is_shared(s))
		fail("unmap of index %#jx: %s", (uintmax_t)s->index,
		    strerror(errno));
	if (!first)
		gone(s, pick(t, 2) == 0);
	s->kind = EMPTY;
	return (rc == 0);
}

static void
empty(struct thread *t, struct slot *s)
{

	if (s->kind != EMPTY)
		(void)do_unmap(t, s);
}

static void
hold(struct slot *s, int fd, bool own, bool writable, uint64_t index,
    unsigned pages)
{

	s->fd = fd;
	s->own = own;
	s->whole = true;
	s->copied = false;
	s->writable = writable;
	s->index = index;
	s->pages = pages;
}

static bool
do_map(struct thread *t, struct slot *s)
{
	struct {
		struct ioctl_gntdev_map_grant_ref op;
		struct ioctl_gntdev_grant_ref more[SLOT_PAGES - 1];
	} arg;
	struct ioctl_gntdev_grant_ref *refs = &arg.op.refs[0];
	bool own, writable;
	unsigned i, n;
	int fd;

	empty(t, s);
	memset(&arg, 0, sizeof(arg));
	own = !is_shared(s) && pick(t, 4) != 0;
	fd = own ? t->gntdev : common[pick(t, COMMON) & ~1u];
	n = 1 + pick(t, SLOT_PAGES);
	writable = pick(t, 4) != 0;
	for (i = 0; i < n; i++) {
		refs[i].domid = domid;
		refs[i].ref = !writable && pick(t, 8) == 0 ? READ_ONLY :
		    FIRST + pick(t, PAGES);
		s->refs[i] = refs[i].ref;
	}
	arg.op.count = n;
	if (ioctl(fd, IOCTL_GNTDEV_MAP_GRANT_REF, &arg.op) != 0) {
		if (errno != ENOMEM)
			fail("MAP_GRANT_REF: %s", strerror(errno));
		return (false);
	}
	s->kind = MAP;
	hold(s, fd, own, writable, arg.op.index, n);
	if (mmap(s->p, n * PAGE, writable ? PROT_READ | PROT_WRITE : PROT_READ,
	    MAP_SHARED | MAP_FIXED, fd, (off_t)s->index) != MAP_FAILED)
		return (true);
	if (own && errno != ENOMEM && errno != EAGAIN)
		fail("mmap of %u grants at %#jx: %s", n, (uintmax_t)s->index,
		    strerror(errno));
	empty(t, s);
	return (false);
}

static bool
do_share(struct thread *t, struct slot *s)
{
	struct {
		struct ioctl_gntalloc_alloc_gref op;
		uint32_t more[SLOT_PAGES - 1];
	} arg;
	/* By pointer: indexing an array of one would let GCC assume n == 1. */
	uint32_t *ids = &arg.op.gref_ids[0];
	uint64_t word;
	unsigned i, n;
	bool own;
	int fd;

	empty(t, s);
	memset(&arg, 0, sizeof(arg));
	own = !is_shared(s) && pick(t, 4) != 0;
	fd = own ? t->gntalloc : common[pick(t, COMMON) | 1u];
	n = 1 + pick(t, SLOT_PAGES);
	arg.op.domid = (uint16_t)domid;
	arg.op.flags = GNTALLOC_FLAG_WRITABLE;
	arg.op.count = n;
	if (ioctl(fd, IOCTL_GNTALLOC_ALLOC_GREF, &arg.op) != 0) {
		if (errno != ENOMEM && errno != ENOSPC)
			fail("ALLOC_GREF: %s", strerror(errno));
		return (false);
	}
	s->kind = SHARE;
	hold(s, fd, own, true, arg.op.index, n);
	for (i = 0; i < n; i++)
		s->refs[i] = ids[i];
	all->offers[pick(t, OFFERS)] = s->refs[0];
	/* On a common descriptor somebody may have freed them already. */
	if (mmap(s->p, n * PAGE, PROT_READ | PROT_WRITE,
	    MAP_SHARED | MAP_FIXED, fd, (off_t)s->index) == MAP_FAILED) {
		if (own && errno != ENOMEM)
			fail("mmap of %u shared pages at %#jx: %s", n,
			    (uintmax_t)s->index, strerror(errno));
		empty(t, s);
		return (false);
	}
	if (!own || pick(t, 4) == 0) {
		/* Not marked, so its contents cannot be checked. */
		s->whole = false;
		return (true);
	}
	for (i = 0; i < n; i++) {
		if (!touch(s->p + i * PAGE, false, 0, &word))
			fail("a shared page cannot be read");
		if (word != 0)
			fail("a new shared page holds %#jx",
			    (uintmax_t)word);
		word = mark(s->refs[i]);
		memcpy(s->p + i * PAGE + MARK_AT, &word, sizeof(word));
	}
	return (true);
}

static uint32_t
expected(const struct slot *s, unsigned page)
{

	if (s->kind == SHARE)
		return (s->refs[page]);
	return (s->refs[page] == READ_ONLY ? 0 : s->refs[page] - FIRST);
}

static bool
do_touch(struct thread *t, struct slot *s)
{
	uint64_t word;
	unsigned i;
	bool done;

	if (s->kind == EMPTY)
		return (false);
	done = true;
	for (i = 0; i < s->pages && i < SLOT_PAGES; i++) {
		if (!touch(s->p + i * PAGE, s->writable && pick(t, 2) == 0,
		    pick(t, MARK_AT), &word)) {
			if (sure(s))
				fail("page %u of %u cannot be touched", i,
				    s->pages);
			done = false;
		} else if (sure(s) && word != mark(expected(s, i)))
			fail("page %u of reference %u holds %#jx", i,
			    s->refs[i], (uintmax_t)word);
	}
	return (done);
}

static bool
do_part(struct thread *t, struct slot *s)
{
	unsigned page;

	if (s->kind == EMPTY)
		return (false);
	s->whole = false;
	page = pick(t, SLOT_PAGES);
	if (pick(t, 2) == 0)
		return (munmap(s->p + page * PAGE, PAGE) == 0);
	return (mmap(s->p + page * PAGE, PAGE, PROT_READ,
	    MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) != MAP_FAILED);
}

/* Copies from and to the helper domain, then reads a mark and checks it. */
static bool
do_copy(struct thread *t, struct slot *s)
{
	struct gntdev_grant_copy_segment segs[4];
	struct ioctl_gntdev_grant_copy op = { 0 };
	char buffer[2][PAGE];
	unsigned i, n, page;
	uint64_t word;
	char *local;

	memset(segs, 0, sizeof(segs));
	n = 1 + pick(t, 3);
	for (i = 0; i < n; i++) {
		local = buffer[i % 2];
		if (s->kind != EMPTY && pick(t, 2) == 0)
			local = s->p + pick(t, SLOT_PAGES) * PAGE;
		page = pick(t, PAGES);
		if (pick(t, 2) == 0) {
			segs[i].flags = SOURCE_GREF;
			segs[i].source.foreign.ref = FIRST + page;
			segs[i].source.foreign.domid = (uint16_t)domid;
			segs[i].dest.virt = local;
		} else {
			segs[i].flags = DEST_GREF;
			segs[i].dest.foreign.ref = FIRST + page;
			segs[i].dest.foreign.domid = (uint16_t)domid;
			segs[i].source.virt = local;
		}
		segs[i].len = (uint16_t)pick(t, MARK_AT);
	}
	op.count = n;
	op.segments = segs;
	/* Local pages may be gone or read-only, or we are being killed. */
	if (ioctl(t->gntdev, IOCTL_GNTDEV_GRANT_COPY, &op) != 0) {
		if (errno != EFAULT && errno != EINTR)
			fail("GRANT_COPY: %s", strerror(errno));
		return (false);
	}
	memset(&segs[0], 0, sizeof(segs[0]));
	page = pick(t, PAGES);
	segs[0].flags = SOURCE_GREF;
	segs[0].source.foreign.ref = FIRST + page;
	segs[0].source.foreign.domid = (uint16_t)domid;
	segs[0].source.foreign.offset = MARK_AT;
	segs[0].dest.virt = &word;
	segs[0].len = sizeof(word);
	op.count = 1;
	if (ioctl(t->gntdev, IOCTL_GNTDEV_GRANT_COPY, &op) != 0) {
		if (errno == EINTR)
			return (false);
		fail("copy of page %u: %s", page, strerror(errno));
	}
	if (segs[0].status != 0 || word != mark(page))
		fail("copy of page %u: status %d, %#jx", page, segs[0].status,
		    (uintmax_t)word);
	return (true);
}

static bool
do_lock(struct thread *t, struct slot *s)
{
	size_t len;
	char *at;

	if (s->kind == EMPTY)
		return (false);
	at = s->p + pick(t, s->pages) % SLOT_PAGES * PAGE;
	len = (1 + pick(t, 3)) * PAGE;
	if (pick(t, 3) == 0)
		return (munlock(at, len) == 0);
	return (mlock(at, len) == 0);
}

static bool
do_advise(struct thread *t, struct slot *s)
{
	char vec[SLOT_PAGES];
	size_t len;

	if (s->kind == EMPTY)
		return (false);
	len = s->pages % (SLOT_PAGES + 1) * PAGE;
	switch (pick(t, 6)) {
	case 0:
#ifdef __linux__
		/* The pages are gone for good. */
		s->whole = false;
#endif
		return (madvise(s->p, len, MADV_DONTNEED) == 0);
	case 1:
		return (madvise(s->p, len, MADV_WILLNEED) == 0);
	case 2:
		return (msync(s->p, len, MS_SYNC) == 0);
	case 3:
		return (mincore(s->p, len, (void *)vec) == 0);
	case 4:
		if (mprotect(s->p, len, PROT_READ) != 0)
			return (false);
		if (s->writable &&
		    mprotect(s->p, len, PROT_READ | PROT_WRITE) != 0 &&
		    sure(s))
			fail("mprotect: %s", strerror(errno));
		return (true);
	default:
#ifdef __FreeBSD__
		/*
		 * Its pages may be copies after the next fork.  FreeBSD 13's
		 * placeholders lie above the direct map, through which its
		 * kernel copies them, and panics (docs/security.md).
		 */
		if (__FreeBSD_version >= 1400000 && pick(t, 4) == 0) {
			s->whole = false;
			s->copied = true;
			return (minherit(s->p, PAGE, INHERIT_COPY) == 0);
		}
		/*
		 * Copied pages must not be shared again: FreeBSD's page fault
		 * looks up the mappings of a page that has no list of them
		 * (vm_fault_cow(), a panic with INVARIANTS).
		 */
		return (minherit(s->p, len, (pick(t, 2) == 0 || s->copied) ?
		    INHERIT_NONE : INHERIT_SHARE) == 0);
#else
		return (madvise(s->p, len, pick(t, 2) == 0 ? MADV_DONTFORK :
		    MADV_DOFORK) == 0);
#endif
	}
}

/* Uses and changes what it inherited, and ends in a random way. */
static void __attribute__((noreturn))
child(struct thread *t)
{
	struct slot *s;
	unsigned i, n;

	n = pick(t, 12);
	for (i = 0; i < n; i++) {
		s = any_slot(t);
		/* On Linux a map that cannot be written to is not inherited. */
		s->whole = false;
		switch (pick(t, 6)) {
		case 0:
			(void)do_lock(t, s);
			break;
		case 1:
			(void)do_part(t, s);
			break;
		case 2:
			if (s->kind != EMPTY && !s->own)
				empty(t, s);
			break;
		case 3:
			if (s->kind != EMPTY)
				gone(s, pick(t, 2) == 0);
			break;
		default:
			(void)do_touch(t, s);
		}
	}
	switch (pick(t, 4)) {
	case 0:
		close(t->gntdev);
		close(t->gntalloc);
		break;
	case 1:
		kill(getpid(), SIGKILL);
		break;
	case 2:
		for (;;)
			pause();
	}
	_exit(0);
}

static bool
do_fork(struct thread *t, struct slot *s)
{
	pid_t pid;
	int status;

	(void)s;
	pid = fork();
	if (pid < 0)
		return (false);
	if (pid == 0) {
		t->random ^= 0xf0f0;
		child(t);
	}
	usleep(pick(t, 20000));
	kill(pid, SIGKILL);
	if (waitpid(pid, &status, 0) != pid)
		fail("waitpid: %s", strerror(errno));
	if (WIFEXITED(status) && WEXITSTATUS(status) != 0)
		fail("a child ended with %d", WEXITSTATUS(status));
	return (true);
}

/* Blocks until the reader has read it all; the pipe holds the pages. */
static bool
do_pipe(struct thread *t, struct slot *s)
{

	(void)t;
	return (s->kind != EMPTY &&
	    write(pipe_in, s->p, s->pages % (SLOT_PAGES + 1) * PAGE) > 0);
}

static bool
do_reopen(struct thread *t, struct slot *s)
{
	unsigned i;
	bool alloc;
	int *fd;

	(void)s;
	alloc = pick(t, 2) == 0;
	fd = alloc ? &t->gntalloc : &t->gntdev;
	close(*fd);
	for (i = 0; i < SLOTS; i++)
		if (t->slots[i].fd == *fd)
			t->slots[i].fd = -1;
	*fd = open(node[alloc], O_RDWR | O_CLOEXEC);
	if (*fd < 0)
		fail("%s: %s", node[alloc], strerror(errno));
	return (true);
}

static bool
do_notify(struct thread *t, struct slot *s)
{
	struct ioctl_gntdev_unmap_notify dev = { 0 };
	struct ioctl_gntalloc_unmap_notify alloc = { 0 };
	uint64_t index;
	int rc;

	if (s->kind == EMPTY || s->fd < 0 || !s->writable)
		return (false);
	index = s->index + pick(t, s->pages) * PAGE + pick(t, MARK_AT);
	if (s->kind == MAP) {
		dev.index = index;
		dev.action = UNMAP_NOTIFY_CLEAR_BYTE;
		rc = ioctl(s->fd, IOCTL_GNTDEV_SET_UNMAP_NOTIFY, &dev);
	} else {
		alloc.index = index;
		alloc.action = UNMAP_NOTIFY_CLEAR_BYTE;
		rc = ioctl(s->fd, IOCTL_GNTALLOC_SET_UNMAP_NOTIFY, &alloc);
	}
	return (rc == 0);
}

static bool
do_offset(struct thread *t, struct slot *s)
{
	struct ioctl_gntdev_get_offset_for_vaddr op = { 0 };
	int rc;

	op.vaddr = (uintptr_t)s->p;
	rc = ioctl(t->gntdev, IOCTL_GNTDEV_GET_OFFSET_FOR_VADDR, &op);
	if (s->kind == MAP && sure(s) && (rc != 0 || op.offset != s->index ||
	    op.count != s->pages))
		fail("GET_OFFSET of %#jx: %d, %#jx, %u", (uintmax_t)s->index,
		    rc, (uintmax_t)op.offset, op.count);
	return (rc == 0);
}

static bool
do_read(struct thread *t, struct slot *s)
{
	static const char zero[] = "/dev/zero";
	unsigned at;
	ssize_t n;
	int fd;

	if (s->kind == EMPTY)
		return (false);
	fd = open(zero, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		fail("%s: %s", zero, strerror(errno));
	at = pick(t, MARK_AT);
	n = read(fd, s->p + at, MARK_AT - at);
	close(fd);
	if (n <= 0 && s->writable && sure(s))
		fail("read into a mapping: %s", strerror(errno));
	return (n > 0);
}

static const struct {
	bool	(*fn)(struct thread *, struct slot *);
	unsigned weight;
} operations[OPS] = {
	[OP_MAP] = { do_map, 10 },	[OP_SHARE] = { do_share, 8 },
	[OP_TOUCH] = { do_touch, 20 },	[OP_UNMAP] = { do_unmap, 8 },
	[OP_PART] = { do_part, 3 },	[OP_COPY] = { do_copy, 8 },
	[OP_LOCK] = { do_lock, 6 },	[OP_ADVISE] = { do_advise, 6 },
	[OP_FORK] = { do_fork, 2 },	[OP_PIPE] = { do_pipe, 3 },
	[OP_REOPEN] = { do_reopen, 2 },	[OP_NOTIFY] = { do_notify, 3 },
	[OP_OFFSET] = { do_offset, 2 },	[OP_READ] = { do_read, 3 },
};

static void *
thread_run(void *arg)
{
	struct thread *t = arg;
	unsigned at, op, total;

	total = 0;
	for (op = 0; op < OPS; op++)
		total += operations[op].weight;
	while (!all->failed) {
		at = pick(t, total);
		for (op = 0; at >= operations[op].weight; op++)
			at -= operations[op].weight;
		if (operations[op].fn(t, any_slot(t)))
			atomic_fetch_add(&all->done[op], 1);
	}
	return (NULL);
}

/* ---- a process ---------------------------------------------------------- */

static void __attribute__((noreturn))
process(uint64_t seed)
{
	struct sigaction action = { 0 };
	static struct thread threads[THREADS];
	char buffer[PAGE];
	struct thread self = { 0 };
	unsigned i, k;
	int pair[2];
	char *place;

	setpgid(0, 0);
	self.random = seed;
	action.sa_sigaction = caught;
	action.sa_flags = SA_SIGINFO | SA_NODEFER;
	sigaction(SIGSEGV, &action, NULL);
	sigaction(SIGBUS, &action, NULL);
	signal(SIGPIPE, SIG_IGN);
	/* Addresses for our mappings; others get in only between two of them. */
	place = mmap(NULL, (THREADS + 1) * SLOTS * SLOT_PAGES * PAGE,
	    PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (place == MAP_FAILED || pipe(pair) != 0)
		fail("setting up: %s", strerror(errno));
	pipe_in = pair[1];
	for (k = 0; k <= THREADS; k++)
		for (i = 0; i < SLOTS; i++) {
			(k < THREADS ? threads[k].slots : shared)[i].p = place;
			place += SLOT_PAGES * PAGE;
		}
	for (k = 0; k < THREADS; k++) {
		threads[k].random = mix(&self.random);
		threads[k].gntdev = open(node[0], O_RDWR | O_CLOEXEC);
		threads[k].gntalloc = open(node[1], O_RDWR | O_CLOEXEC);
		if (threads[k].gntdev < 0 || threads[k].gntalloc < 0)
			fail("%s or %s: %s", node[0], node[1],
			    strerror(errno));
	}
	for (k = 0; k < THREADS; k++)
		if (pthread_create(&threads[k].thread, NULL, thread_run,
		    &threads[k]) != 0)
			fail("pthread_create");
	/* Lets pages wait in the pipe for a while. */
	for (;;) {
		usleep(pick(&self, 5000));
		if (read(pair[0], buffer, sizeof(buffer)) <= 0)
			fail("the pipe: %s", strerror(errno));
	}
}

/* ---- the helper domain -------------------------------------------------- */

static struct helper helper;

static void
peer_start(char *program)
{
	char hex[17];
	uint64_t word;
	unsigned i, k;

	domid = helper_start(&helper, program, PAGES);
	for (i = 0; i < PAGES; i++) {
		word = mark(i);
		for (k = 0; k < 8; k++)
			snprintf(hex + 2 * k, 3, "%02x",
			    (unsigned)(word >> 8 * k) & 0xff);
		if (!ask(&helper, "write %u %u %s", i, MARK_AT, hex) ||
		    !ask(&helper, "grant %u %u 1", FIRST + i, i))
			errx(1, "helper domain: %s", helper.reply);
	}
	if (!ask(&helper, "grant %u 0 5", READ_ONLY))
		errx(1, "helper domain: %s", helper.reply);
}

/*
 * The helper domain maps a page that is or was shared, or unmaps one.  A grant
 * that it maps cannot end before.
 */
static unsigned long
peer_maps(struct thread *t, bool *mapped, unsigned slots)
{
	unsigned slot;
	uint32_t ref;

	slot = pick(t, slots);
	if (mapped[slot]) {
		mapped[slot] = false;
		(void)ask(&helper, "unmap %u", slot);
		return (0);
	}
	ref = all->offers[pick(t, OFFERS)];
	if (ref == 0 || !ask(&helper, "map %u", ref) ||
	    value(&helper, "status=") != 0)
		return (0);
	slot = value(&helper, "slot=");
	if (slot < slots)
		mapped[slot] = true;
	else
		(void)ask(&helper, "unmap %u", slot);
	return (1);
}

/* ---- the main process --------------------------------------------------- */

static pid_t
spawn(uint64_t seed)
{
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (pid < 0)
		err(1, "fork");
	if (pid == 0)
		process(seed);
	/* Parent and child both set it, since either may run first. */
	setpgid(pid, pid);
	return (pid);
}

/* Kills a process and its children, which are in its process group. */
static void
finish(pid_t pid)
{
	int status;

	kill(-pid, SIGKILL);
	if (waitpid(pid, &status, 0) != pid)
		err(1, "waitpid");
	/* A child that was just being forked may have escaped the first kill. */
	kill(-pid, SIGKILL);
	if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGKILL)
		if (!atomic_exchange(&all->failed, true))
			snprintf(all->message, sizeof(all->message),
			    "a process ended with status %#x", status);
}

/*
 * What a killed process mapped on a common descriptor stays mapped until all
 * processes have closed it.  Xen counts a page's mappings in a few bits, and
 * mmap is EINVAL when they overflow, so later processes get a new descriptor.
 */
static void
renew(unsigned i)
{

	close(common[i]);
	common[i] = open(node[i % 2], O_RDWR | O_CLOEXEC);
	if (common[i] < 0)
		err(1, "%s", node[i % 2]);
}

static double
seconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return ((double)now.tv_sec + (double)now.tv_nsec / 1e9);
}

int
main(int argc, char **argv)
{
	unsigned long kills, maps, i;
	bool mapped[8] = { false };
	pid_t pids[PROCESSES];
	struct thread self = { 0 };
	double begin, length, said;
	uint64_t seed;
	int ms;

	if (argc != 6)
		errx(2, "usage: %s PEER GNTDEV GNTALLOC SECONDS SEED", argv[0]);
	node[0] = argv[2];
	node[1] = argv[3];
	length = strtod(argv[4], NULL);
	seed = strtoull(argv[5], NULL, 0);
	all = mmap(NULL, sizeof(*all), PROT_READ | PROT_WRITE,
	    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (all == MAP_FAILED)
		err(1, "mmap");
	peer_start(argv[1]);
	for (i = 0; i < COMMON; i++) {
		common[i] = open(node[i % 2], O_RDWR | O_CLOEXEC);
		if (common[i] < 0)
			err(1, "%s", node[i % 2]);
	}
	setvbuf(stdout, NULL, _IOLBF, 0);
	printf("seed %#jx\n", (uintmax_t)seed);
	self.random = seed;
	for (i = 0; i < PROCESSES; i++)
		pids[i] = spawn(mix(&self.random));
	kills = maps = 0;
	begin = said = seconds();
	while (seconds() - begin < length && !all->failed) {
		usleep(pick(&self, 100000));
		maps += peer_maps(&self, mapped,
		    sizeof(mapped) / sizeof(mapped[0]));
		if (pick(&self, 4) != 0)
			continue;
		i = pick(&self, PROCESSES);
		finish(pids[i]);
		renew(kills++ % COMMON);
		pids[i] = spawn(mix(&self.random));
		if (seconds() - said > 10) {
			said = seconds();
			printf("at %.0f s: %lu kills\n", said - begin, kills);
		}
	}
	for (i = 0; i < PROCESSES; i++)
		finish(pids[i]);
	for (i = 0; i < COMMON; i++)
		close(common[i]);
	for (i = 0; i < sizeof(mapped) / sizeof(mapped[0]); i++)
		if (mapped[i])
			(void)ask(&helper, "unmap %lu", i);
	/* Children of killed processes may take a while to let pages go. */
	for (ms = 0; !all->failed && !ask(&helper, "clear"); ms += 100) {
		if (ms >= SETTLE_MS) {
			printf("failed: %s\n", helper.reply);
			return (1);
		}
		usleep(100000);
	}
	if (all->failed) {
		printf("failed: %s\n", all->message);
		return (1);
	}
	printf("done kills=%lu peer_maps=%lu", kills, maps);
	for (i = 0; i < OPS; i++)
		printf(" %s=%lu", op_names[i], all->done[i]);
	printf("\n");
	return (0);
}
