/* SPDX-License-Identifier: BSD-2-Clause */
/* Operations on the address space. */
#include <sys/mman.h>
#include <sys/wait.h>
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <xen/gntdev.h>

#include "agent.h"
#include "os.h"

/* Names joined by '+' or ',': "r+w", "shared+fixed". */
static int
get_prot(const char *s, int *prot, struct reply *r)
{
	const char *p;

	*prot = PROT_NONE;
	if (strcmp(s, "none") == 0)
		return (0);
	for (p = s; *p != '\0'; p++)
		switch (*p) {
		case 'r':
			*prot |= PROT_READ;
			break;
		case 'w':
			*prot |= PROT_WRITE;
			break;
		case 'x':
			*prot |= PROT_EXEC;
			break;
		case '+':
			break;
		default:
			return (bad(r, "protection: %.40s", s));
		}
	return (0);
}

static int
get_flags(const char *s, int *flags, struct reply *r)
{
	char word[24];
	size_t len;
	int flag;

	*flags = 0;
	if (strcmp(s, "none") == 0)
		return (0);
	for (;; s += len + 1) {
		len = strcspn(s, "+");
		if (len >= sizeof(word))
			return (bad(r, "flag: %.40s", s));
		memcpy(word, s, len);
		word[len] = '\0';
		if (strcmp(word, "shared") == 0)
			flag = MAP_SHARED;
		else if (strcmp(word, "private") == 0)
			flag = MAP_PRIVATE;
		else if (strcmp(word, "fixed") == 0)
			flag = MAP_FIXED;
		else if (strcmp(word, "anon") == 0)
			flag = MAP_ANON;
		else if ((flag = os_mmap_flag(word)) == 0)
			return (bad(r, "flag: %.40s", word));
		*flags |= flag;
		if (s[len] == '\0')
			return (0);
	}
}

static int
op_alloc(struct call *c, struct reply *r)
{
	void *p;
	int flags, prot, rc;

	prot = PROT_READ | PROT_WRITE;
	flags = MAP_PRIVATE;
	if (c->argc > 2 && (rc = get_prot(c->argv[2], &prot, r)) != 0)
		return (rc);
	if (c->argc > 3 && (rc = get_flags(c->argv[3], &flags, r)) != 0)
		return (rc);
	p = mmap(NULL, c->n[1], prot, flags | MAP_ANON, -1, 0);
	if (p == MAP_FAILED)
		return (errno);
	put(r, " addr=0x%lx", (unsigned long)(uintptr_t)p);
	return (0);
}

static int
op_mmap(struct call *c, struct reply *r)
{
	void *p;
	int flags, prot, rc;

	if ((rc = get_prot(c->argv[3], &prot, r)) != 0 ||
	    (rc = get_flags(c->argv[4], &flags, r)) != 0)
		return (rc);
	p = mmap(at(c, 1), c->n[2], prot, flags, c->fd, (off_t)c->n[6]);
	if (p == MAP_FAILED)
		return (errno);
	put(r, " addr=0x%lx", (unsigned long)(uintptr_t)p);
	return (0);
}

static int
op_munmap(struct call *c, struct reply *r)
{

	(void)r;
	return (munmap(at(c, 1), c->n[2]) == 0 ? 0 : errno);
}

/*
 * munmap(2) against a thread's first store to the mapping, many times, each
 * time a little later in the other's fault.
 */
struct race {
	volatile uint8_t *at;
	uint64_t	times;
	uint64_t	stored;
	_Atomic uint64_t go;	/* number of the mapping at at */
	_Atomic uint64_t done;	/* number of the mapping that was stored to */
};

static void
await(_Atomic uint64_t *n, uint64_t wanted)
{
	unsigned spins;

	for (spins = 0; *n < wanted; spins++)
		if (spins > 10000)
			sched_yield();
}

static __attribute__((noinline)) void
store_guarded(struct race *race)
{

	if (guard() == 0) {
		*race->at = 1;
		guard_off();
		race->stored++;
	}
}

static void *
store_each(void *arg)
{
	struct race *race = arg;
	uint64_t i;

	for (i = 1; i <= race->times; i++) {
		await(&race->go, i);
		store_guarded(race);
		race->done = i;
	}
	return (NULL);
}

static int
op_munmaprace(struct call *c, struct reply *r)
{
	struct race race = { .times = c->n[4] };
	volatile unsigned wait;
	pthread_t thread;
	uint64_t i;
	void *p;
	int rc;

	rc = pthread_create(&thread, NULL, store_each, &race);
	if (rc != 0)
		return (rc);
	for (i = 1; i <= race.times; i++) {
		p = mmap(NULL, c->n[3], PROT_READ | PROT_WRITE, MAP_SHARED,
		    c->fd, (off_t)c->n[2]);
		if (p == MAP_FAILED) {
			rc = errno;
			/* Tell the thread to end; its stores are caught. */
			p = NULL;
		}
		race.at = p;
		race.go = i;
		for (wait = 0; wait < i * 997 % 60000; wait++)
			;
		if (p != NULL && munmap(p, c->n[3]) != 0)
			rc = errno;
		await(&race.done, i);
	}
	pthread_join(thread, NULL);
	put(r, " stored=%ju", (uintmax_t)race.stored);
	return (rc);
}

static int
op_mprotect(struct call *c, struct reply *r)
{
	int prot, rc;

	if ((rc = get_prot(c->argv[3], &prot, r)) != 0)
		return (rc);
	return (mprotect(at(c, 1), c->n[2], prot) == 0 ? 0 :
	    errno);
}

static int
op_mremap(struct call *c, struct reply *r)
{
	uintptr_t out;
	bool fixed, maymove;
	int rc;

	fixed = maymove = false;
	if (c->argc > 4) {
		if (strcmp(c->argv[4], "maymove") == 0)
			maymove = true;
		else if (strcmp(c->argv[4], "fixed") == 0 && c->argc > 5)
			fixed = true;
		else
			return (bad(r, "mremap flag: %.40s", c->argv[4]));
	}
	rc = os_mremap(c->n[1], c->n[2], c->n[3], maymove, fixed, c->n[5],
	    &out);
	if (rc == 0)
		put(r, " addr=0x%lx", (unsigned long)out);
	return (rc);
}

static int
op_madvise(struct call *c, struct reply *r)
{
	int advice;

	advice = strcmp(c->argv[3], "dontneed") == 0 ? MADV_DONTNEED :
	    os_madvise(c->argv[3]);
	if (advice < 0)
		return (bad(r, "advice: %.40s", c->argv[3]));
	return (madvise(at(c, 1), c->n[2], advice) == 0 ? 0 :
	    errno);
}

static int
op_mlock(struct call *c, struct reply *r)
{
	int rc;

	(void)r;
	rc = c->argv[0][1] == 'l' ? mlock(at(c, 1), c->n[2]) :
				    munlock(at(c, 1), c->n[2]);
	return (rc == 0 ? 0 : errno);
}

static int
op_mlockall(struct call *c, struct reply *r)
{
	int rc;

	if (strcmp(c->argv[1], "none") == 0)
		rc = munlockall();
	else if (strcmp(c->argv[1], "current") == 0)
		rc = mlockall(MCL_CURRENT);
	else if (strcmp(c->argv[1], "future") == 0)
		rc = mlockall(MCL_FUTURE);
	else
		return (bad(r, "what to lock: %.40s", c->argv[1]));
	return (rc == 0 ? 0 : errno);
}

static int
op_msync(struct call *c, struct reply *r)
{
	int flag;

	if (strcmp(c->argv[3], "sync") == 0)
		flag = MS_SYNC;
	else if (strcmp(c->argv[3], "async") == 0)
		flag = MS_ASYNC;
	else if (strcmp(c->argv[3], "invalidate") == 0)
		flag = MS_INVALIDATE | MS_SYNC;
	else
		return (bad(r, "flag: %.40s", c->argv[3]));
	return (msync(at(c, 1), c->n[2], flag) == 0 ? 0 : errno);
}

/* One digit for each page: whether it is in memory. */
static int
op_mincore(struct call *c, struct reply *r)
{
	unsigned char state[256];
	char digits[sizeof(state) + 1];
	uint64_t i;

	if (c->n[2] > sizeof(state) * 4096)
		return (bad(r, "length: %.40s", c->argv[2]));
	if (mincore(at(c, 1), c->n[2], (void *)state) != 0)
		return (errno);
	for (i = 0; i < c->n[2] / 4096; i++)
		digits[i] = (state[i] & 1) != 0 ? '1' : '0';
	digits[i] = '\0';
	put(r, " pages=%s", digits);
	return (0);
}

static int
op_inherit(struct call *c, struct reply *r)
{

	(void)r;
	return (os_inherit(c->n[1], c->n[2], c->argv[3]));
}

/*
 * COUNT equal segments of a grant copy: from a granted page to an address, with
 * a status that nobody has written yet.
 */
static int
op_segments(struct call *c, struct reply *r)
{
	struct gntdev_grant_copy_segment s, *to;
	uint64_t i;

	memset(&s, 0, sizeof(s));
	s.source.foreign.domid = (uint16_t)c->n[3];
	s.source.foreign.ref = (uint32_t)c->n[4];
	s.dest.virt = at(c, 5);
	s.len = (uint16_t)c->n[6];
	s.flags = 1;	/* GNTCOPY_source_gref, of a header of Xen */
	s.status = (int16_t)c->n[7];
	if ((r->fault = guard()) != 0)
		return (R_FAULT);
	to = at(c, 1);
	for (i = 0; i < c->n[2]; i++)
		memcpy(&to[i], &s, sizeof(s));
	guard_off();
	return (0);
}

static int
op_vmsplice(struct call *c, struct reply *r)
{
	size_t done;
	int rc;

	rc = os_vmsplice(c->fd, c->n[2], c->n[3], &done);
	if (rc != 0)
		return (rc);
	put(r, " n=%zu", done);
	return (0);
}

/*
 * Plain loads and stores of 8 bytes or 1: Xen may emulate the access (a store
 * to a read-only grant, row V4) and should not meet a vector instruction.  Not
 * inline: their variables must not live across a guard's sigsetjmp().
 */
static __attribute__((noinline)) void
copy_in(uint8_t *dst, uintptr_t src, size_t len)
{
	uint64_t v;

	for (; len >= 8 && (src & 7) == 0; dst += 8, src += 8, len -= 8) {
		v = *(volatile uint64_t *)src;
		memcpy(dst, &v, 8);
	}
	for (; len > 0; len--)
		*dst++ = *(volatile uint8_t *)src++;
}

static __attribute__((noinline)) void
copy_out(uintptr_t dst, const uint8_t *src, size_t len)
{
	uint64_t v;

	for (; len >= 8 && (dst & 7) == 0; dst += 8, src += 8, len -= 8) {
		memcpy(&v, src, 8);
		*(volatile uint64_t *)dst = v;
	}
	for (; len > 0; len--)
		*(volatile uint8_t *)dst++ = *src++;
}

/* Adds " data=..." of len bytes at addr; 0, ENOMEM or R_FAULT. */
int
mem_read(uintptr_t addr, size_t len, struct reply *r)
{
	uint8_t *buf;
	int rc;

	buf = malloc(DATA_BYTES);
	if (buf == NULL)
		return (ENOMEM);
	rc = 0;
	r->fault = guard();
	if (r->fault == 0) {
		copy_in(buf, addr, len);
		guard_off();
		put_hex(r, "data", buf, len);
	} else
		rc = R_FAULT;
	free(buf);
	return (rc);
}

/* Stores the bytes that are hex at addr; 0, ENOMEM, R_PROTO or R_FAULT. */
int
mem_write(uintptr_t addr, const char *hex, struct reply *r)
{
	uint8_t *buf;
	size_t len;
	int rc;

	buf = malloc(DATA_BYTES);
	if (buf == NULL)
		return (ENOMEM);
	rc = unhex(hex, buf, DATA_BYTES, &len, r);
	if (rc == 0) {
		r->fault = guard();
		if (r->fault == 0) {
			copy_out(addr, buf, len);
			guard_off();
		} else
			rc = R_FAULT;
	}
	free(buf);
	return (rc);
}

/* A child that shares its parent's memory stores a byte and ends. */
static int
op_vfork(struct call *c, struct reply *r)
{
	volatile uint8_t *to;
	uint8_t byte;
	size_t len;
	pid_t pid;
	int status;

	if (unhex(c->argv[2], &byte, 1, &len, r) != 0 || len != 1)
		return (bad(r, "byte: %.40s", c->argv[2]));
	to = at(c, 1);
	pid = vfork();
	if (pid < 0)
		return (errno);
	if (pid == 0) {
		*to = byte;
		_exit(0);
	}
	if (waitpid(pid, &status, 0) != pid)
		return (errno);
	put(r, WIFEXITED(status) ? " exit=%d" : " signal=%d",
	    WIFEXITED(status) ? WEXITSTATUS(status) : WTERMSIG(status));
	return (0);
}

/* Memory for arguments, so that they need no request of their own. */
static int
op_scratch(struct call *c, struct reply *r)
{
	put(r, " addr=0x%lx len=%d", (unsigned long)(uintptr_t)c->a->scratch,
	    LINE_BYTES);
	return (0);
}

static int
op_peek(struct call *c, struct reply *r)
{

	if (c->n[2] > DATA_BYTES)
		return (bad(r, "length: %.40s", c->argv[2]));
	return (mem_read(c->n[1], c->n[2], r));
}

static int
op_poke(struct call *c, struct reply *r)
{

	return (mem_write(c->n[1], c->argv[2], r));
}

static int
op_fill(struct call *c, struct reply *r)
{
	uint64_t i;

	if ((r->fault = guard()) != 0)
		return (R_FAULT);
	for (i = 0; i < c->n[2]; i++)
		*(volatile uint8_t *)(uintptr_t)(c->n[1] +
		    i) = (uint8_t)c->n[3];
	guard_off();
	return (0);
}

/*
 * Whether every byte of a range has one value, or where the first other one is.
 */
static int
op_check(struct call *c, struct reply *r)
{
	volatile uint64_t i;

	if ((r->fault = guard()) != 0)
		return (R_FAULT);
	for (i = 0; i < c->n[2]; i++)
		if (*(volatile uint8_t *)(uintptr_t)(c->n[1] + i) !=
		    (uint8_t)c->n[3])
			break;
	guard_off();
	if (i == c->n[2])
		put(r, " same=1");
	else
		put(r, " same=0 at=%llu", (unsigned long long)i);
	return (0);
}

/*
 * Writes count grant references {domid, first + i * step} to an address, so
 * that a request with 65537 of them does not need a megabyte on the line.
 */
static int
op_refs(struct call *c, struct reply *r)
{
	struct ioctl_gntdev_grant_ref ref;
	uint64_t i;

	if (c->n[2] > UINT64_C(1) << 32)
		return (bad(r, "count: %.40s", c->argv[2]));
	if ((r->fault = guard()) != 0)
		return (R_FAULT);
	for (i = 0; i < c->n[2]; i++) {
		ref.domid = (uint32_t)c->n[3];
		ref.ref = (uint32_t)(c->n[4] + i * c->n[5]);
		copy_out((uintptr_t)(c->n[1] + i * sizeof(ref)),
		    (const uint8_t *)&ref, sizeof(ref));
	}
	guard_off();
	return (0);
}

const struct op ops_mem[] = {
	{ "alloc", 1, 3, op_alloc, "LENGTH [PROT [FLAGS]]" },
	{ "mmap", 6, 6, op_mmap, "ADDRESS LENGTH PROT FLAGS FD OFFSET" },
	{ "munmap", 2, 2, op_munmap, "ADDRESS LENGTH" },
	{ "munmaprace", 4, 4, op_munmaprace, "FD OFFSET LENGTH COUNT" },
	{ "mprotect", 3, 3, op_mprotect, "ADDRESS LENGTH PROT" },
	{ "mremap", 3, 5, op_mremap, "ADDRESS OLD NEW [maymove|fixed TO]" },
	{ "madvise", 3, 3, op_madvise, "ADDRESS LENGTH ADVICE" },
	{ "mlock", 2, 2, op_mlock, "ADDRESS LENGTH" },
	{ "munlock", 2, 2, op_mlock, "ADDRESS LENGTH" },
	{ "mlockall", 1, 1, op_mlockall, "current|future|none" },
	{ "msync", 3, 3, op_msync, "ADDRESS LENGTH sync|async|invalidate" },
	{ "mincore", 2, 2, op_mincore, "ADDRESS LENGTH" },
	{ "inherit", 3, 3, op_inherit, "ADDRESS LENGTH share|copy|none|zero" },
	{ "segments", 7, 7, op_segments,
	    "ADDRESS COUNT DOMID REF DESTINATION LENGTH STATUS" },
	{ "vfork", 2, 2, op_vfork, "ADDRESS HEX" },
	{ "vmsplice", 3, 3, op_vmsplice, "FD ADDRESS LENGTH" },
	{ "scratch", 0, 0, op_scratch, "" },
	{ "peek", 2, 2, op_peek, "ADDRESS LENGTH" },
	{ "poke", 2, 2, op_poke, "ADDRESS HEX" },
	{ "fill", 3, 3, op_fill, "ADDRESS LENGTH BYTE" },
	{ "check", 3, 3, op_check, "ADDRESS LENGTH BYTE" },
	{ "refs", 5, 5, op_refs, "ADDRESS COUNT DOMID FIRST STEP" },
	{ NULL, 0, 0, NULL, NULL },
};
