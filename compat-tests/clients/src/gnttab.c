/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Every function of libxengnttab on a Dom0, with two helper domains as peers.
 *
 *	xengnt-gnttab PEER GNTDEV GNTALLOC [base]
 *
 * PEER is the program that makes a helper domain (agent/peer/peer.c); GNTDEV
 * and GNTALLOC are the nodes that the library must have chosen.  "base" says
 * that these belong to FreeBSD's own driver, which cannot do everything.
 *
 * Each part runs in its own process and prints "ok NAME", or the check that
 * failed and "failed NAME".  After each, all grants must be unmapped again.
 */
#include <sys/param.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <xenevtchn.h>
#include <xengnttab.h>
#include <xentoolcore.h>
#include <xentoollog.h>

#include "../../agent/peer/ask.h"

#define	PAGE		4096u
#define	PAGES		8u	/* granted to us by each helper domain */
#define	FIRST		16u	/* their first reference */
#define	READ_ONLY	(FIRST + PAGES)	/* grants page 0 for reading */
#define	NOBODY		2000u	/* an entry that permits nothing */
#define	NO_REF		0xfffffu	/* beyond the table */
#define	IDLE		0x01u	/* permit_access */
#define	READ		0x09u
#define	WRITTEN		0x19u
#define	SETTLE_MS	2000
#define	EVENT_MS	20000

#define	CHECK(condition) do {						\
	if (!(condition)) {						\
		printf("line %d: %s (errno %d, %s)\n", __LINE__,	\
		    #condition, errno, strerror(errno));		\
		exit(1);						\
	}								\
} while (0)

#define	FAILS(expression, failure, error) do {				\
	errno = 0;							\
	CHECK((expression) == (failure));				\
	CHECK(errno == (error));					\
} while (0)

struct peer {
	struct helper	h;
	uint32_t	domid;
	uint32_t	refs[PAGES];
};

static struct peer peers[2];
static const char *gntdev, *gntalloc;
static bool base;

/* ---- the helper domains ------------------------------------------------- */

/* True, or prints what the helper domain answered. */
#define	OK(p, ...)							\
	(ask(&(p)->h, __VA_ARGS__) ||					\
	    (printf("helper domain: %s\n", (p)->h.reply), false))

static unsigned
flags(struct peer *p, uint32_t ref)
{

	ask(&p->h, "entry %u", ref);
	return (value(&p->h, "flags="));
}

/* Unmapping may end a moment after the call (row Z4). */
static bool
becomes(struct peer *p, uint32_t ref, unsigned wanted)
{

	for (int ms = 0; ms < SETTLE_MS; ms += 10) {
		if (flags(p, ref) == wanted)
			return (true);
		usleep(10000);
	}
	printf("entry %u: %s\n", ref, p->h.reply);
	return (false);
}

/* One byte of a page, as the domain itself sees it. */
static unsigned
byte(struct peer *p, unsigned page, unsigned off)
{
	char *at;

	ask(&p->h, "read %u %u 1", page, off);
	at = strstr(p->h.reply, "data=");
	CHECK(at != NULL);
	return ((unsigned)strtoul(at + 5, NULL, 16));
}

/* One byte of one of our pages, as the domain that maps it sees it. */
static unsigned
seen(struct peer *p, unsigned slot, unsigned off)
{
	char *at;

	ask(&p->h, "look %u %u 1", slot, off);
	at = strstr(p->h.reply, "data=");
	CHECK(at != NULL);
	return ((unsigned)strtoul(at + 5, NULL, 16));
}

/* Every part begins with the same grants and bytes. */
static bool
peer_reset(struct peer *p, char letter)
{
	char text[65];
	bool ok;

	for (int ms = 0;; ms += 100) {
		if (ask(&p->h, "clear"))
			break;
		if (ms >= SETTLE_MS)
			return (OK(p, "clear"));
		usleep(100000);
	}
	ok = true;
	for (unsigned i = 0; ok && i < PAGES; i++) {
		p->refs[i] = FIRST + i;
		for (unsigned k = 0; k < sizeof(text) - 1; k += 2)
			snprintf(text + k, 3, "%02x", letter + i);
		ok = OK(p, "write %u 0 %s", i, text) &&
		    OK(p, "write %u %u %s", i, PAGE - 32, text) &&
		    OK(p, "grant %u %u 1", FIRST + i, i);
	}
	return (ok && OK(p, "grant %u 0 5", READ_ONLY));
}

/* ---- helpers ------------------------------------------------------------ */

static xengnttab_handle *
open_gnttab(void)
{
	xengnttab_handle *xgt;

	xgt = xengnttab_open(NULL, 0);
	CHECK(xgt != NULL);
	return (xgt);
}

static xengntshr_handle *
open_gntshr(void)
{
	xengntshr_handle *xgs;

	xgs = xengntshr_open(NULL, 0);
	CHECK(xgs != NULL);
	return (xgs);
}

/* Both ends of an event channel, in this process. */
struct channel {
	xenevtchn_handle *near, *far;
	evtchn_port_t	port;
};

static void
channel_open(struct channel *c)
{
	int other, port;

	c->near = xenevtchn_open(NULL, 0);
	c->far = xenevtchn_open(NULL, 0);
	CHECK(c->near != NULL && c->far != NULL);
	port = xenevtchn_bind_unbound_port(c->near, 0);
	CHECK(port > 0);
	other = xenevtchn_bind_interdomain(c->far, 0, (evtchn_port_t)port);
	CHECK(other > 0);
	c->port = (evtchn_port_t)port;
	/* Binding an end signals it. */
	struct pollfd fd = { xenevtchn_fd(c->far), POLLIN, 0 };
	while (poll(&fd, 1, 200) == 1) {
		other = xenevtchn_pending(c->far);
		CHECK(other > 0);
		CHECK(xenevtchn_unmask(c->far, (evtchn_port_t)other) == 0);
	}
}

static bool
channel_rings(struct channel *c, int ms)
{
	struct pollfd fd = { xenevtchn_fd(c->far), POLLIN, 0 };

	return (poll(&fd, 1, ms) == 1);
}

/* ---- parts -------------------------------------------------------------- */

static void
part_open(void)
{
	xengnttab_handle *xgt, *second;
	xengntshr_handle *xgs;
	char name[64];

	xgt = open_gnttab();
	CHECK(fdevname_r(xengnttab_fd(xgt), name, sizeof(name)) != NULL);
	if (strcmp(name, gntdev) != 0)
		printf("gntdev is %s\n", name);
	CHECK(strcmp(name, gntdev) == 0);
	CHECK((fcntl(xengnttab_fd(xgt), F_GETFD) & FD_CLOEXEC) != 0);
	second = open_gnttab();
	CHECK(xengnttab_fd(second) != xengnttab_fd(xgt));
	xgs = open_gntshr();
	CHECK(fdevname_r(xengntshr_fd(xgs), name, sizeof(name)) != NULL);
	CHECK(strcmp(name, gntalloc) == 0);
	CHECK(xengnttab_set_max_grants(xgt, 1) == 0);
	CHECK(xengnttab_set_max_grants(xgt, 32752) == 0);
	errno = ERANGE;
	CHECK(xengnttab_close(NULL) == 0);
	CHECK(xengnttab_close(second) == 0);
	CHECK(xengnttab_close(xgt) == 0);
	CHECK(xengntshr_close(NULL) == 0);
	CHECK(xengntshr_close(xgs) == 0);
	CHECK(errno == ERANGE);
}

static void
part_map_one(void)
{
	xengnttab_handle *xgt;
	struct peer *p;
	char *page;

	p = &peers[0];
	xgt = open_gnttab();
	page = xengnttab_map_grant_ref(xgt, p->domid, p->refs[1],
	    PROT_READ | PROT_WRITE);
	CHECK(page != NULL);
	CHECK(page[0] == 'b' && page[PAGE - 1] == 'b' && page[100] == 0);
	page[100] = 'x';
	CHECK(byte(p, 1, 100) == 'x');
	CHECK(OK(p, "write 1 200 79"));
	CHECK(page[200] == 'y');
	CHECK(flags(p, p->refs[1]) == WRITTEN);
	CHECK(flags(p, p->refs[0]) == IDLE);
	CHECK(xengnttab_unmap(xgt, page, 1) == 0);
	CHECK(becomes(p, p->refs[1], IDLE));
	/* Again: the first mapping must have left nothing. */
	page = xengnttab_map_grant_ref(xgt, p->domid, p->refs[1], PROT_READ);
	CHECK(page != NULL && page[100] == 'x');
	CHECK(xengnttab_unmap(xgt, page, 1) == 0);
	CHECK(xengnttab_close(xgt) == 0);
}

/* Whether storing there ends a process. */
static bool
store_kills(char *at)
{
	int status;
	pid_t pid;

	pid = fork();
	CHECK(pid != -1);
	if (pid == 0) {
		*(volatile char *)at = 1;
		_exit(0);
	}
	CHECK(waitpid(pid, &status, 0) == pid);
	return (WIFSIGNALED(status) && (WTERMSIG(status) == SIGSEGV ||
	    WTERMSIG(status) == SIGBUS));
}

static void
part_read_only(void)
{
	xengnttab_handle *xgt;
	struct peer *p;
	char *page, *own;

	p = &peers[0];
	xgt = open_gnttab();
	page = xengnttab_map_grant_ref(xgt, p->domid, p->refs[2], PROT_READ);
	CHECK(page != NULL && page[0] == 'c');
	CHECK(flags(p, p->refs[2]) == READ);
	own = mmap(NULL, PAGE, PROT_READ, MAP_ANON | MAP_PRIVATE, -1, 0);
	CHECK(own != MAP_FAILED && store_kills(own));
	CHECK(store_kills(page));
	CHECK(byte(p, 2, 0) == 'c');
	CHECK(xengnttab_unmap(xgt, page, 1) == 0);

	/* A read-only grant. */
	FAILS(xengnttab_map_grant_ref(xgt, p->domid, READ_ONLY,
	    PROT_READ | PROT_WRITE), NULL, EINVAL);
	page = xengnttab_map_grant_ref(xgt, p->domid, READ_ONLY, PROT_READ);
	CHECK(page != NULL && page[0] == 'a');
	CHECK(flags(p, READ_ONLY) == (READ | 0x04));
	CHECK(xengnttab_unmap(xgt, page, 1) == 0);
	CHECK(becomes(p, READ_ONLY, IDLE | 0x04));
	CHECK(xengnttab_close(xgt) == 0);
}

static void
part_map_many(void)
{
	xengnttab_handle *xgt;
	struct peer *p;
	char *all, *more;

	p = &peers[0];
	xgt = open_gnttab();
	all = xengnttab_map_domain_grant_refs(xgt, PAGES, p->domid, p->refs,
	    PROT_READ | PROT_WRITE);
	CHECK(all != NULL);
	more = xengnttab_map_domain_grant_refs(xgt, 3, p->domid, p->refs + 2,
	    PROT_READ);
	CHECK(more != NULL);
	for (unsigned i = 0; i < PAGES; i++) {
		CHECK(all[PAGE * i] == (char)('a' + i));
		CHECK(all[PAGE * i + PAGE - 1] == (char)('a' + i));
		all[PAGE * i + 7] = (char)('A' + i);
	}
	for (unsigned i = 0; i < PAGES; i++)
		CHECK(byte(p, i, 7) == 'A' + i);
	CHECK(more[7] == 'C' && more[PAGE * 2 + 7] == 'E');
	CHECK(xengnttab_unmap(xgt, more, 3) == 0);
	/* The other area has its own maps of these pages. */
	CHECK(all[PAGE * 3] == 'd' && flags(p, p->refs[3]) == WRITTEN);
	CHECK(xengnttab_unmap(xgt, all, PAGES) == 0);
	for (unsigned i = 0; i < PAGES; i++)
		CHECK(becomes(p, p->refs[i], IDLE));
	CHECK(xengnttab_close(xgt) == 0);
}

static void
part_map_domains(void)
{
	uint32_t domids[4], refs[4];
	xengnttab_handle *xgt;
	char *all;

	for (unsigned i = 0; i < 4; i++) {
		domids[i] = peers[i % 2].domid;
		refs[i] = peers[i % 2].refs[i];
	}
	xgt = open_gnttab();
	all = xengnttab_map_grant_refs(xgt, 4, domids, refs,
	    PROT_READ | PROT_WRITE);
	CHECK(all != NULL);
	CHECK(all[0] == 'a' && all[PAGE] == 'P' + 1);
	CHECK(all[PAGE * 2] == 'c' && all[PAGE * 3] == 'P' + 3);
	all[PAGE * 3] = '!';
	CHECK(byte(&peers[1], 3, 0) == '!' && byte(&peers[0], 3, 0) == 'd');
	CHECK(xengnttab_unmap(xgt, all, 4) == 0);
	CHECK(xengnttab_close(xgt) == 0);
}

/* All grants or none, wherever the bad one is. */
static void
part_all_or_none(void)
{
	uint32_t refs[4];
	xengnttab_handle *xgt;
	struct peer *p;

	p = &peers[0];
	xgt = open_gnttab();
	for (unsigned bad = 0; bad < 4; bad++) {
		memcpy(refs, p->refs, sizeof(refs));
		refs[bad] = NOBODY;
		FAILS(xengnttab_map_domain_grant_refs(xgt, 4, p->domid, refs,
		    PROT_READ | PROT_WRITE), NULL, EINVAL);
		for (unsigned i = 0; i < 4; i++)
			CHECK(becomes(p, p->refs[i], IDLE));
	}
	FAILS(xengnttab_map_domain_grant_refs(xgt, 0, p->domid, refs,
	    PROT_READ), NULL, EINVAL);
	FAILS(xengnttab_map_grant_ref(xgt, p->domid + 1000, p->refs[0],
	    PROT_READ), NULL, EINVAL);
	CHECK(xengnttab_close(xgt) == 0);
}

static void
part_unmap(void)
{
	xengnttab_handle *xgt;
	struct peer *p;
	char *all, *heap;

	p = &peers[0];
	xgt = open_gnttab();
	heap = malloc(PAGE);
	all = xengnttab_map_domain_grant_refs(xgt, 3, p->domid, p->refs,
	    PROT_READ);
	CHECK(all != NULL && heap != NULL);
	FAILS(xengnttab_unmap(xgt, NULL, 1), -1, EINVAL);
	CHECK(xengnttab_unmap(xgt, all, 2) == -1 && errno == EINVAL);
	CHECK(all[PAGE * 2] == 'c');
	/* The area outlives the handle; munmap(2) ends it. */
	CHECK(xengnttab_close(xgt) == 0);
	CHECK(all[PAGE] == 'b');
	CHECK(munmap(all, PAGE * 3) == 0);
	for (unsigned i = 0; i < 3; i++)
		CHECK(becomes(p, p->refs[i], IDLE));
}

static void
part_notify_map(void)
{
	xengnttab_handle *xgt;
	struct channel c;
	struct peer *p;
	char *page;

	p = &peers[0];
	channel_open(&c);
	xgt = open_gnttab();
	/* Byte and event. */
	page = xengnttab_map_grant_ref_notify(xgt, p->domid, p->refs[0],
	    PROT_READ | PROT_WRITE, 5, c.port);
	CHECK(page != NULL && page[5] == 'a');
	CHECK(!channel_rings(&c, 0));
	CHECK(xengnttab_unmap(xgt, page, 1) == 0);
	CHECK(becomes(p, p->refs[0], IDLE));
	CHECK(byte(p, 0, 5) == 0);
	CHECK(byte(p, 0, 4) == 'a' && byte(p, 0, 6) == 'a');
	CHECK(channel_rings(&c, EVENT_MS));
	/* Only the byte. */
	page = xengnttab_map_grant_ref_notify(xgt, p->domid, p->refs[1],
	    PROT_READ | PROT_WRITE, PAGE - 1, (evtchn_port_t)-1);
	CHECK(page != NULL);
	CHECK(xengnttab_unmap(xgt, page, 1) == 0);
	CHECK(becomes(p, p->refs[1], IDLE));
	CHECK(byte(p, 1, PAGE - 1) == 0 && byte(p, 1, PAGE - 2) == 'b');
	CHECK(xengnttab_close(xgt) == 0);
}

/* A process that dies notifies its peer. */
static void
part_notify_death(void)
{
	xengnttab_handle *xgt;
	struct channel c;
	struct peer *p;
	int status, told[2];
	char *page, one;
	pid_t pid;

	p = &peers[0];
	channel_open(&c);
	CHECK(pipe(told) == 0);
	pid = fork();
	CHECK(pid != -1);
	if (pid == 0) {
		xgt = open_gnttab();
		page = xengnttab_map_grant_ref_notify(xgt, p->domid,
		    p->refs[0], PROT_READ | PROT_WRITE, 9, c.port);
		CHECK(page != NULL && page[9] == 'a');
		CHECK(write(told[1], "", 1) == 1);
		for (;;)
			pause();
	}
	close(told[1]);
	CHECK(read(told[0], &one, 1) == 1);
	CHECK(flags(p, p->refs[0]) == WRITTEN && byte(p, 0, 9) == 'a');
	CHECK(kill(pid, SIGKILL) == 0);
	CHECK(waitpid(pid, &status, 0) == pid && WIFSIGNALED(status));
	CHECK(becomes(p, p->refs[0], IDLE));
	CHECK(byte(p, 0, 9) == 0);
	CHECK(channel_rings(&c, EVENT_MS));
}

/* If a notification cannot be armed, nothing is mapped, and errno stays. */
static void
part_notify_refused(void)
{
	xengnttab_handle *xgt;
	xengntshr_handle *xgs;
	struct peer *p;
	uint32_t ref;
	char *page;

	p = &peers[0];
	xgt = open_gnttab();
	FAILS(xengnttab_map_grant_ref_notify(xgt, p->domid, p->refs[0],
	    PROT_READ | PROT_WRITE, 0, 3999), NULL, EINVAL);
	CHECK(becomes(p, p->refs[0], IDLE));
	/* As in Xen's library, a byte outside of the page means no byte. */
	page = xengnttab_map_grant_ref_notify(xgt, p->domid, p->refs[0],
	    PROT_READ | PROT_WRITE, PAGE, (evtchn_port_t)-1);
	CHECK(page != NULL);
	CHECK(xengnttab_unmap(xgt, page, 1) == 0);
	CHECK(becomes(p, p->refs[0], IDLE));
	CHECK(byte(p, 0, 0) == 'a' && byte(p, 0, 5) == 'a');
	CHECK(xengnttab_close(xgt) == 0);

	xgs = open_gntshr();
	FAILS(xengntshr_share_page_notify(xgs, p->domid, &ref, 1, 0, 3999),
	    NULL, EINVAL);
	CHECK(xengntshr_close(xgs) == 0);
}

static void
segment(xengnttab_grant_copy_segment_t *seg, struct peer *p, uint32_t ref,
    uint16_t off, void *virt, uint16_t len, bool to_grant)
{
	union xengnttab_copy_ptr *grant, *local;

	memset(seg, 0, sizeof(*seg));
	grant = to_grant ? &seg->dest : &seg->source;
	local = to_grant ? &seg->source : &seg->dest;
	grant->foreign.domid = (uint16_t)p->domid;
	grant->foreign.ref = ref;
	grant->foreign.offset = off;
	local->virt = virt;
	seg->len = len;
	seg->flags = to_grant ? GNTCOPY_dest_gref : GNTCOPY_source_gref;
	seg->status = 77;
}

static void
part_copy(void)
{
	xengnttab_grant_copy_segment_t segs[33];
	char buffer[2 * PAGE], *local;
	xengnttab_handle *xgt;
	struct peer *p;

	p = &peers[0];
	xgt = open_gnttab();
	memset(buffer, 0, sizeof(buffer));
	CHECK(xengnttab_grant_copy(xgt, 0, NULL) == 0);

	/* Many at once, from two domains, to odd addresses. */
	for (unsigned i = 0; i < nitems(segs); i++)
		segment(&segs[i], &peers[i % 2], FIRST + i % PAGES,
		    PAGE - 32, buffer + 3 + 100 * i, 32, false);
	CHECK(xengnttab_grant_copy(xgt, nitems(segs), segs) == 0);
	for (unsigned i = 0; i < nitems(segs); i++) {
		CHECK(segs[i].status == GNTST_okay);
		for (unsigned k = 0; k < 32; k++)
			CHECK(buffer[3 + 100 * i + k] ==
			    (char)((i % 2 ? 'P' : 'a') + i % PAGES));
	}
	CHECK(buffer[2] == 0 && buffer[35] == 0);

	/* Across the end of one of our pages, into a grant. */
	local = (char *)(((uintptr_t)buffer + PAGE) & ~(uintptr_t)(PAGE - 1));
	memset(local - 8, 'L', 8);
	memset(local, 'R', 8);
	segment(&segs[0], p, p->refs[4], 1000, local - 8, 16, true);
	CHECK(xengnttab_grant_copy(xgt, 1, segs) == 0);
	CHECK(segs[0].status == GNTST_okay);
	CHECK(byte(p, 4, 1000) == 'L' && byte(p, 4, 1007) == 'L');
	CHECK(byte(p, 4, 1008) == 'R' && byte(p, 4, 1015) == 'R');
	CHECK(byte(p, 4, 999) == 0 && byte(p, 4, 1016) == 0);

	/* From grant to grant. */
	segment(&segs[0], p, p->refs[5], 0, NULL, 4, false);
	segs[0].dest.foreign.domid = (uint16_t)peers[1].domid;
	segs[0].dest.foreign.ref = peers[1].refs[6];
	segs[0].dest.foreign.offset = 2000;
	segs[0].flags |= GNTCOPY_dest_gref;
	CHECK(xengnttab_grant_copy(xgt, 1, segs) == 0);
	CHECK(segs[0].status == GNTST_okay);
	CHECK(byte(&peers[1], 6, 2003) == 'f');

	/* Each segment has its own status. */
	segment(&segs[0], p, p->refs[0], 0, buffer, 8, false);
	segment(&segs[1], p, NOBODY, 0, buffer, 8, false);
	segment(&segs[2], p, READ_ONLY, 0, buffer, 8, true);
	segment(&segs[3], p, p->refs[1], 0, buffer + 50, 8, false);
	segment(&segs[4], p, NO_REF, 0, buffer, 8, false);
	CHECK(xengnttab_grant_copy(xgt, 5, segs) == 0);
	CHECK(segs[0].status == GNTST_okay && segs[3].status == GNTST_okay);
	CHECK(segs[1].status == GNTST_general_error);
	/* Copying by mapping has one status for all of Xen's reasons. */
	CHECK(segs[4].status ==
	    (base ? GNTST_general_error : GNTST_bad_gntref));
	CHECK(segs[2].status != GNTST_okay);
	CHECK(buffer[50] == 'b' && byte(p, 0, 0) == 'a');

	/* Refused without asking the hypervisor. */
	segs[0].flags = 0;
	FAILS(xengnttab_grant_copy(xgt, 1, segs), -1, EINVAL);
	segment(&segs[0], p, p->refs[0], PAGE - 4, buffer, 8, false);
	FAILS(xengnttab_grant_copy(xgt, 1, segs), -1, EINVAL);
	for (unsigned i = 0; i < PAGES; i++)
		CHECK(becomes(p, p->refs[i], IDLE));
	CHECK(xengnttab_close(xgt) == 0);
}

static void
part_dmabuf(void)
{
	xengnttab_handle *xgt;
	uint32_t fd, refs[2];
	struct peer *p;

	p = &peers[0];
	xgt = open_gnttab();
	FAILS(xengnttab_dmabuf_exp_from_refs(xgt, p->domid, 0, 0, p->refs,
	    &fd), -1, EINVAL);
	FAILS(xengnttab_dmabuf_exp_from_refs(xgt, p->domid, 0, 2, p->refs,
	    &fd), -1, ENOTTY);
	FAILS(xengnttab_dmabuf_exp_wait_released(xgt, 0, 1), -1, ENOTTY);
	FAILS(xengnttab_dmabuf_imp_to_refs(xgt, p->domid, 0, 0, refs), -1,
	    EINVAL);
	FAILS(xengnttab_dmabuf_imp_to_refs(xgt, p->domid, 0, 2, refs), -1,
	    ENOTTY);
	FAILS(xengnttab_dmabuf_imp_release(xgt, 0), -1, ENOTTY);
	CHECK(xengnttab_close(xgt) == 0);
}

static void
part_restrict(void)
{
	xengnttab_grant_copy_segment_t seg;
	xengnttab_handle *xgt;
	xengntshr_handle *xgs;
	char *before, buffer[8], *page;
	struct peer *p;
	uint32_t ref;

	p = &peers[0];
	xgt = open_gnttab();
	xgs = open_gntshr();
	before = xengnttab_map_grant_ref(xgt, p->domid, p->refs[0],
	    PROT_READ | PROT_WRITE);
	CHECK(before != NULL);
	CHECK(xentoolcore_restrict_all((domid_t)p->domid) == 0);
	FAILS(xengnttab_map_grant_ref(xgt, p->domid, p->refs[1], PROT_READ),
	    NULL, ENOTTY);
	segment(&seg, p, p->refs[1], 0, buffer, sizeof(buffer), false);
	CHECK(xengnttab_grant_copy(xgt, 1, &seg) == -1);
	CHECK(flags(p, p->refs[1]) == IDLE);
	/* The mapping stays. */
	CHECK(before[0] == 'a');
	before[1] = 'r';
	CHECK(byte(p, 0, 1) == 'r');
	/* A restriction does not affect sharing. */
	page = xengntshr_share_pages(xgs, p->domid, 1, &ref, 1);
	CHECK(page != NULL);
	CHECK(xengntshr_unshare(xgs, page, 1) == 0);
	CHECK(xengntshr_close(xgs) == 0);
	CHECK(munmap(before, PAGE) == 0);
	CHECK(xengnttab_close(xgt) == 0);
	CHECK(becomes(p, p->refs[0], IDLE));
}

static void
part_share(void)
{
	xengntshr_handle *xgs;
	uint32_t one, refs[4];
	/* The base driver corrupts the kernel when it frees several at once. */
	const unsigned count = base ? 1 : 4, last = count - 1;
	unsigned slot[4];
	struct peer *p;
	char *pages, *page;

	p = &peers[0];
	xgs = open_gntshr();
	pages = xengntshr_share_pages(xgs, p->domid, (int)count, refs, 1);
	CHECK(pages != NULL);
	for (unsigned i = 0; i < count * PAGE; i++)
		CHECK(pages[i] == 0);
	for (unsigned i = 0; i < count; i++) {
		for (unsigned k = 0; k < i; k++)
			CHECK(refs[k] != refs[i]);
		pages[PAGE * i] = (char)('s' + i);
		ask(&p->h, "map %u", refs[i]);
		CHECK(value(&p->h, "status=") == 0);
		slot[i] = value(&p->h, "slot=");
		CHECK(seen(p, slot[i], 0) == 's' + i);
	}
	pages[PAGE * last + 50] = 'n';
	CHECK(seen(p, slot[last], 50) == 'n');
	CHECK(OK(p, "store %u 60 6d", slot[last]));
	CHECK(pages[PAGE * last + 60] == 'm');

	/* Read-only for them, not for us. */
	page = xengntshr_share_pages(xgs, p->domid, 1, &one, 0);
	CHECK(page != NULL);
	page[0] = 'o';
	ask(&p->h, "map %u", one);
	CHECK(value(&p->h, "status=") != 0);
	ask(&p->h, "map %u ro", one);
	CHECK(value(&p->h, "status=") == 0);
	CHECK(seen(p, value(&p->h, "slot="), 0) == 'o');
	/* Nor can others map it. */
	ask(&peers[1].h, "map %u", refs[0]);
	CHECK(value(&peers[1].h, "status=") != 0);

	FAILS(xengntshr_share_pages(xgs, p->domid, 0, refs, 1), NULL, EINVAL);
	FAILS(xengntshr_share_pages(xgs, p->domid, -1, refs, 1), NULL, EINVAL);
	CHECK(xengntshr_unshare(xgs, NULL, 1) == -1 && errno == EINVAL);

	/* A peer that still maps a page keeps it. */
	CHECK(xengntshr_unshare(xgs, pages, count) == 0);
	CHECK(xengntshr_unshare(xgs, page, 1) == 0);
	CHECK(seen(p, slot[0], 0) == 's');
	CHECK(xengntshr_close(xgs) == 0);
	CHECK(seen(p, slot[last], 50) == 'n');
}

static void
part_share_notify(void)
{
	xengntshr_handle *xgs;
	struct channel c;
	struct peer *p;
	unsigned slot;
	uint32_t ref;
	char *page;

	p = &peers[0];
	channel_open(&c);
	xgs = open_gntshr();
	page = xengntshr_share_page_notify(xgs, p->domid, &ref, 1, 33, c.port);
	CHECK(page != NULL);
	memset(page, 'q', PAGE);
	ask(&p->h, "map %u", ref);
	CHECK(value(&p->h, "status=") == 0);
	slot = value(&p->h, "slot=");
	CHECK(seen(p, slot, 33) == 'q' && !channel_rings(&c, 0));
	CHECK(xengntshr_unshare(xgs, page, 1) == 0);
	/* The base driver cleans up only in its next operation. */
	CHECK(seen(p, slot, 33) == (base ? 'q' : 0));
	CHECK(seen(p, slot, 32) == 'q' && seen(p, slot, 34) == 'q');
	CHECK(channel_rings(&c, base ? 0 : EVENT_MS) == !base);
	CHECK(xengntshr_close(xgs) == 0);
}

/* ---- messages ----------------------------------------------------------- */

static struct {
	int	messages, error;
	xentoollog_level level;
	char	context[32];
} logged;

static void
log_message(struct xentoollog_logger *logger, xentoollog_level level,
    int errnoval, const char *context, const char *format, va_list ap)
{
	char text[256];

	(void)logger;
	vsnprintf(text, sizeof(text), format, ap);
	if (text[0] != '\0')
		logged.messages++;
	logged.error = errnoval;
	logged.level = level;
	snprintf(logged.context, sizeof(logged.context), "%s",
	    context != NULL ? context : "");
	/* None of this may reach the caller. */
	errno = EDOOFUS;
}

static void
log_destroy(struct xentoollog_logger *logger)
{

	(void)logger;
	printf("the logger is the caller's\n");
	exit(1);
}

static void
part_logger(void)
{
	xentoollog_logger logger = {
		.vmessage = log_message,
		.destroy = log_destroy,
	};
	xengnttab_handle *xgt;
	xengntshr_handle *xgs;

	xgt = xengnttab_open(&logger, 0);
	xgs = xengntshr_open(&logger, 0);
	CHECK(xgt != NULL && xgs != NULL && logged.messages == 0);
	FAILS(xengnttab_map_grant_ref(xgt, peers[0].domid, NOBODY, PROT_READ),
	    NULL, EINVAL);
	CHECK(logged.messages == 1 && logged.level == XTL_ERROR);
	CHECK(logged.error == EINVAL);
	CHECK(strcmp(logged.context, "gnttab") == 0);
	FAILS(xengntshr_share_pages(xgs, peers[0].domid, 0, NULL, 1), NULL,
	    EINVAL);
	CHECK(logged.messages == 2 && strcmp(logged.context, "gntshr") == 0);
	CHECK(xengnttab_close(xgt) == 0 && xengntshr_close(xgs) == 0);
	CHECK(logged.messages == 2);
}

/* ---- all ---------------------------------------------------------------- */

static const struct {
	const char *name;
	void	(*fn)(void);
} parts[] = {
	{ "open", part_open },
	{ "map_one", part_map_one },
	{ "read_only", part_read_only },
	{ "map_many", part_map_many },
	{ "map_domains", part_map_domains },
	{ "all_or_none", part_all_or_none },
	{ "unmap", part_unmap },
	{ "notify_map", part_notify_map },
	{ "notify_death", part_notify_death },
	{ "notify_refused", part_notify_refused },
	{ "copy", part_copy },
	{ "dmabuf", part_dmabuf },
	{ "restrict", part_restrict },
	{ "share", part_share },
	{ "share_notify", part_share_notify },
	{ "logger", part_logger },
};

static bool
run(const char *name, void (*fn)(void))
{
	int status;
	pid_t pid;

	if (!peer_reset(&peers[0], 'a') || !peer_reset(&peers[1], 'P'))
		return (false);
	fflush(stdout);
	pid = fork();
	if (pid == -1)
		err(1, "fork");
	if (pid == 0) {
		fn();
		exit(0);
	}
	if (waitpid(pid, &status, 0) != pid)
		err(1, "waitpid");
	if (WIFSIGNALED(status))
		printf("%s: signal %d\n", name, WTERMSIG(status));
	return (status == 0);
}

int
main(int argc, char **argv)
{
	int failed;
	bool ok;

	if (argc < 4) {
		fprintf(stderr,
		    "usage: xengnt-gnttab PEER GNTDEV GNTALLOC [base]\n");
		return (2);
	}
	gntdev = argv[2];
	gntalloc = argv[3];
	base = argc > 4;
	setvbuf(stdout, NULL, _IOLBF, 0);
	signal(SIGPIPE, SIG_IGN);
	for (size_t i = 0; i < nitems(peers); i++)
		peers[i].domid = helper_start(&peers[i].h, argv[1], PAGES);
	failed = 0;
	for (size_t i = 0; i < nitems(parts); i++) {
		ok = run(parts[i].name, parts[i].fn);
		failed += !ok;
		printf("%s %s\n", ok ? "ok" : "failed", parts[i].name);
	}
	/* The last part must leave nothing, either. */
	if (!peer_reset(&peers[0], 'a') || !peer_reset(&peers[1], 'P')) {
		printf("failed end\n");
		failed++;
	}
	ask(&peers[0].h, "destroy");
	ask(&peers[1].h, "destroy");
	printf("%zu parts, %d failed\n", nitems(parts), failed);
	return (failed == 0 ? 0 : 1);
}
