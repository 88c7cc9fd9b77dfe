/* SPDX-License-Identifier: BSD-2-Clause */
/* Operations on the address space. */
#include <sys/mman.h>
#include <sys/wait.h>
#include <errno.h>
#include <signal.h>
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
op_alloc(struct agent *a, int argc, char **argv, struct reply *r)
{
	uint64_t len;
	void *p;
	int flags, prot, rc;

	(void)a;
	prot = PROT_READ | PROT_WRITE;
	flags = MAP_PRIVATE;
	if ((rc = get_u64s(argv + 1, 1, &len, r)) != 0)
		return (rc);
	if (argc > 2 && (rc = get_prot(argv[2], &prot, r)) != 0)
		return (rc);
	if (argc > 3 && (rc = get_flags(argv[3], &flags, r)) != 0)
		return (rc);
	p = mmap(NULL, len, prot, flags | MAP_ANON, -1, 0);
	if (p == MAP_FAILED)
		return (errno);
	put(r, " addr=0x%lx", (unsigned long)(uintptr_t)p);
	return (0);
}

static int
op_mmap(struct agent *a, int argc, char **argv, struct reply *r)
{
	uint64_t al[2], off;
	void *p;
	int fd, flags, prot, rc;

	(void)a;
	(void)argc;
	if ((rc = get_u64s(argv + 1, 2, al, r)) != 0 ||
	    (rc = get_prot(argv[3], &prot, r)) != 0 ||
	    (rc = get_flags(argv[4], &flags, r)) != 0 ||
	    (rc = get_fd(argv[5], &fd, r)) != 0 ||
	    (rc = get_u64s(argv + 6, 1, &off, r)) != 0)
		return (rc);
	p = mmap((void *)(uintptr_t)al[0], al[1], prot, flags, fd, (off_t)off);
	if (p == MAP_FAILED)
		return (errno);
	put(r, " addr=0x%lx", (unsigned long)(uintptr_t)p);
	return (0);
}

static int
op_munmap(struct agent *a, int argc, char **argv, struct reply *r)
{
	uint64_t al[2];
	int rc;

	(void)a;
	(void)argc;
	if ((rc = get_u64s(argv + 1, 2, al, r)) != 0)
		return (rc);
	return (munmap((void *)(uintptr_t)al[0], al[1]) == 0 ? 0 : errno);
}

static int
op_mprotect(struct agent *a, int argc, char **argv, struct reply *r)
{
	uint64_t al[2];
	int prot, rc;

	(void)a;
	(void)argc;
	if ((rc = get_u64s(argv + 1, 2, al, r)) != 0 ||
	    (rc = get_prot(argv[3], &prot, r)) != 0)
		return (rc);
	return (mprotect((void *)(uintptr_t)al[0], al[1], prot) == 0 ? 0 :
	    errno);
}

static int
op_mremap(struct agent *a, int argc, char **argv, struct reply *r)
{
	uint64_t aln[3], to;
	uintptr_t out;
	bool fixed, maymove;
	int rc;

	(void)a;
	fixed = maymove = false;
	to = 0;
	if ((rc = get_u64s(argv + 1, 3, aln, r)) != 0)
		return (rc);
	if (argc > 4) {
		if (strcmp(argv[4], "maymove") == 0)
			maymove = true;
		else if (strcmp(argv[4], "fixed") == 0 && argc > 5)
			fixed = true;
		else
			return (bad(r, "mremap flag: %.40s", argv[4]));
	}
	if (fixed && (rc = get_u64s(argv + 5, 1, &to, r)) != 0)
		return (rc);
	rc = os_mremap(aln[0], aln[1], aln[2], maymove, fixed, to, &out);
	if (rc == 0)
		put(r, " addr=0x%lx", (unsigned long)out);
	return (rc);
}

static int
op_madvise(struct agent *a, int argc, char **argv, struct reply *r)
{
	uint64_t al[2];
	int advice, rc;

	(void)a;
	(void)argc;
	if ((rc = get_u64s(argv + 1, 2, al, r)) != 0)
		return (rc);
	advice = strcmp(argv[3], "dontneed") == 0 ? MADV_DONTNEED :
	    os_madvise(argv[3]);
	if (advice < 0)
		return (bad(r, "advice: %.40s", argv[3]));
	return (madvise((void *)(uintptr_t)al[0], al[1], advice) == 0 ? 0 :
	    errno);
}

static int
op_mlock(struct agent *a, int argc, char **argv, struct reply *r)
{
	uint64_t al[2];
	void *p;
	int rc;

	(void)a;
	(void)argc;
	if ((rc = get_u64s(argv + 1, 2, al, r)) != 0)
		return (rc);
	p = (void *)(uintptr_t)al[0];
	rc = argv[0][1] == 'l' ? mlock(p, al[1]) : munlock(p, al[1]);
	return (rc == 0 ? 0 : errno);
}

static int
op_mlockall(struct agent *a, int argc, char **argv, struct reply *r)
{
	int rc;

	(void)a;
	(void)argc;
	if (strcmp(argv[1], "none") == 0)
		rc = munlockall();
	else if (strcmp(argv[1], "current") == 0)
		rc = mlockall(MCL_CURRENT);
	else if (strcmp(argv[1], "future") == 0)
		rc = mlockall(MCL_FUTURE);
	else
		return (bad(r, "what to lock: %.40s", argv[1]));
	return (rc == 0 ? 0 : errno);
}

static int
op_msync(struct agent *a, int argc, char **argv, struct reply *r)
{
	uint64_t al[2];
	int flag, rc;

	(void)a;
	(void)argc;
	if ((rc = get_u64s(argv + 1, 2, al, r)) != 0)
		return (rc);
	if (strcmp(argv[3], "sync") == 0)
		flag = MS_SYNC;
	else if (strcmp(argv[3], "async") == 0)
		flag = MS_ASYNC;
	else if (strcmp(argv[3], "invalidate") == 0)
		flag = MS_INVALIDATE | MS_SYNC;
	else
		return (bad(r, "flag: %.40s", argv[3]));
	return (msync((void *)(uintptr_t)al[0], al[1], flag) == 0 ? 0 : errno);
}

/* One digit a page: whether it is in memory. */
static int
op_mincore(struct agent *a, int argc, char **argv, struct reply *r)
{
	unsigned char state[256];
	char digits[sizeof(state) + 1];
	uint64_t al[2], i;
	int rc;

	(void)a;
	(void)argc;
	if ((rc = get_u64s(argv + 1, 2, al, r)) != 0)
		return (rc);
	if (al[1] > sizeof(state) * 4096)
		return (bad(r, "length: %.40s", argv[2]));
	if (mincore((void *)(uintptr_t)al[0], al[1], (void *)state) != 0)
		return (errno);
	for (i = 0; i < al[1] / 4096; i++)
		digits[i] = (state[i] & 1) != 0 ? '1' : '0';
	digits[i] = '\0';
	put(r, " pages=%s", digits);
	return (0);
}

static int
op_inherit(struct agent *a, int argc, char **argv, struct reply *r)
{
	uint64_t al[2];
	int rc;

	(void)a;
	(void)argc;
	if ((rc = get_u64s(argv + 1, 2, al, r)) != 0)
		return (rc);
	return (os_inherit(al[0], al[1], argv[3]));
}

/*
 * COUNT segments of a grant copy, all alike: from a granted page to an
 * address, with a status that says that nobody has looked at them.
 */
static int
op_segments(struct agent *a, int argc, char **argv, struct reply *r)
{
	struct gntdev_grant_copy_segment s, *to;
	uint64_t v[7], i;
	int rc;

	(void)a;
	(void)argc;
	/* address, count, domid, ref, destination, length, status */
	if ((rc = get_u64s(argv + 1, 7, v, r)) != 0)
		return (rc);
	memset(&s, 0, sizeof(s));
	s.source.foreign.domid = (uint16_t)v[2];
	s.source.foreign.ref = (uint32_t)v[3];
	s.dest.virt = (void *)(uintptr_t)v[4];
	s.len = (uint16_t)v[5];
	s.flags = 1;	/* GNTCOPY_source_gref, of a header of Xen */
	s.status = (int16_t)v[6];
	if ((r->fault = guard()) != 0)
		return (R_FAULT);
	to = (struct gntdev_grant_copy_segment *)(uintptr_t)v[0];
	for (i = 0; i < v[1]; i++)
		memcpy(&to[i], &s, sizeof(s));
	guard_off();
	return (0);
}

static int
op_vmsplice(struct agent *a, int argc, char **argv, struct reply *r)
{
	uint64_t al[2];
	size_t done;
	int fd, rc;

	(void)a;
	(void)argc;
	if ((rc = get_fd(argv[1], &fd, r)) != 0 ||
	    (rc = get_u64s(argv + 2, 2, al, r)) != 0 ||
	    (rc = os_vmsplice(fd, al[0], al[1], &done)) != 0)
		return (rc);
	put(r, " n=%zu", done);
	return (0);
}

/*
 * Plain loads and stores of 8 or 1 bytes: a page that Xen emulates (a store
 * to a read-only grant, row V4) should meet no vector instruction.  Not
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

int
mem_write(uintptr_t addr, const uint8_t *data, size_t len, struct reply *r)
{

	if ((r->fault = guard()) != 0)
		return (R_FAULT);
	copy_out(addr, data, len);
	guard_off();
	return (0);
}

/* A child that has its parent's memory stores, and ends. */
static int
op_vfork(struct agent *a, int argc, char **argv, struct reply *r)
{
	volatile uint8_t *to;
	uint64_t address;
	uint8_t byte;
	size_t len;
	pid_t pid;
	int rc, status;

	(void)a;
	(void)argc;
	if ((rc = get_u64s(argv + 1, 1, &address, r)) != 0)
		return (rc);
	if (unhex(argv[2], &byte, 1, &len) != 0 || len != 1)
		return (bad(r, "byte: %.40s", argv[2]));
	to = (volatile uint8_t *)(uintptr_t)address;
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

/* Where arguments may be put without a request for memory of their own. */
static int
op_scratch(struct agent *a, int argc, char **argv, struct reply *r)
{
	(void)argc;
	(void)argv;
	put(r, " addr=0x%lx len=%d", (unsigned long)(uintptr_t)a->scratch,
	    LINE_BYTES);
	return (0);
}

static int
op_peek(struct agent *a, int argc, char **argv, struct reply *r)
{
	uint64_t al[2];
	int rc;

	(void)a;
	(void)argc;
	if ((rc = get_u64s(argv + 1, 2, al, r)) != 0)
		return (rc);
	if (al[1] > DATA_BYTES)
		return (bad(r, "length: %.40s", argv[2]));
	return (mem_read((uintptr_t)al[0], al[1], r));
}

static int
op_poke(struct agent *a, int argc, char **argv, struct reply *r)
{
	uint64_t addr;
	uint8_t *buf;
	size_t len;
	int rc;

	(void)a;
	(void)argc;
	if ((rc = get_u64s(argv + 1, 1, &addr, r)) != 0)
		return (rc);
	buf = malloc(DATA_BYTES);
	if (buf == NULL)
		return (ENOMEM);
	if (unhex(argv[2], buf, DATA_BYTES, &len) != 0)
		rc = bad(r, "data is not hex or too long");
	else
		rc = mem_write((uintptr_t)addr, buf, len, r);
	free(buf);
	return (rc);
}

static int
op_fill(struct agent *a, int argc, char **argv, struct reply *r)
{
	uint64_t alv[3], i;
	int rc;

	(void)a;
	(void)argc;
	if ((rc = get_u64s(argv + 1, 3, alv, r)) != 0)
		return (rc);
	if (alv[2] > 255)
		return (bad(r, "byte: %.40s", argv[3]));
	if ((r->fault = guard()) != 0)
		return (R_FAULT);
	for (i = 0; i < alv[1]; i++)
		*(volatile uint8_t *)(uintptr_t)(alv[0] + i) = (uint8_t)alv[2];
	guard_off();
	return (0);
}

/* Whether every byte has one value, or where the first other one lies. */
static int
op_check(struct agent *a, int argc, char **argv, struct reply *r)
{
	uint64_t alv[3];
	volatile uint64_t i;
	int rc;

	(void)a;
	(void)argc;
	if ((rc = get_u64s(argv + 1, 3, alv, r)) != 0)
		return (rc);
	if ((r->fault = guard()) != 0)
		return (R_FAULT);
	for (i = 0; i < alv[1]; i++)
		if (*(volatile uint8_t *)(uintptr_t)(alv[0] + i) !=
		    (uint8_t)alv[2])
			break;
	guard_off();
	if (i == alv[1])
		put(r, " same=1");
	else
		put(r, " same=0 at=%llu", (unsigned long long)i);
	return (0);
}

/*
 * Writes count grant references {domid, first + i * step} from an address
 * on, so that a request of 65537 of them needs no megabyte on the line.
 */
static int
op_refs(struct agent *a, int argc, char **argv, struct reply *r)
{
	struct ioctl_gntdev_grant_ref ref;
	uint64_t v[5], i;
	int rc;

	(void)a;
	(void)argc;
	/* address, count, domid, first, step */
	if ((rc = get_u64s(argv + 1, 5, v, r)) != 0)
		return (rc);
	if (v[1] > UINT64_C(1) << 32)
		return (bad(r, "count: %.40s", argv[2]));
	if ((r->fault = guard()) != 0)
		return (R_FAULT);
	for (i = 0; i < v[1]; i++) {
		ref.domid = (uint32_t)v[2];
		ref.ref = (uint32_t)(v[3] + i * v[4]);
		copy_out((uintptr_t)(v[0] + i * sizeof(ref)),
		    (const uint8_t *)&ref, sizeof(ref));
	}
	guard_off();
	return (0);
}

const struct op ops_mem[] = {
	{ "alloc", 1, 3, op_alloc, "LENGTH [PROT [FLAGS]]" },
	{ "mmap", 6, 6, op_mmap, "ADDRESS LENGTH PROT FLAGS FD OFFSET" },
	{ "munmap", 2, 2, op_munmap, "ADDRESS LENGTH" },
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
	{ "vfork", 2, 2, op_vfork, "ADDRESS BYTE" },
	{ "vmsplice", 3, 3, op_vmsplice, "FD ADDRESS LENGTH" },
	{ "scratch", 0, 0, op_scratch, "" },
	{ "peek", 2, 2, op_peek, "ADDRESS LENGTH" },
	{ "poke", 2, 2, op_poke, "ADDRESS HEX" },
	{ "fill", 3, 3, op_fill, "ADDRESS LENGTH BYTE" },
	{ "check", 3, 3, op_check, "ADDRESS LENGTH BYTE" },
	{ "refs", 5, 5, op_refs, "ADDRESS COUNT DOMID FIRST STEP" },
	{ NULL, 0, 0, NULL, NULL },
};
