/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The library on a grant device, real or the harness's:
 *
 * live share DOMID PAGES	shares, prints the references, waits for a line,
 *				then checks what the mapper left
 * live map DOMID REF...	checks mapping, unmapping and their errors
 *
 * A check that fails prints its line and ends the program with status 1.
 */
#include <sys/mman.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <xengnttab.h>

#define PAGE	4096u
#define MAX	16

#define CHECK(condition) do {						\
	if (!(condition)) {						\
		fprintf(stderr, "live.c:%d: %s (errno %d, %s)\n",	\
		    __LINE__, #condition, errno, strerror(errno));	\
		exit(1);						\
	}								\
} while (0)

#define FAILS(expression, failure, error) do {				\
	errno = 0;							\
	CHECK((expression) == (failure));				\
	CHECK(errno == (error));					\
} while (0)

static void
share(uint32_t domid, int count)
{
	uint32_t refs[MAX], more[2];
	xengntshr_handle *xgs;
	char *pages, *other;

	CHECK(count > 0 && count <= MAX);
	xgs = xengntshr_open(NULL, 0);
	CHECK(xgs != NULL);
	CHECK(xengntshr_fd(xgs) >= 0);

	pages = xengntshr_share_pages(xgs, domid, count, refs, 1);
	CHECK(pages != NULL);
	for (unsigned i = 0; i < PAGE * (unsigned)count; i++)
		CHECK(pages[i] == 0);
	for (int i = 0; i < count; i++) {
		memset(pages + PAGE * (unsigned)i, 'a' + i, PAGE);
		printf("%u\n", refs[i]);
	}
	fflush(stdout);

	FAILS(xengntshr_share_pages(xgs, domid, 0, refs, 1), NULL, EINVAL);
	FAILS(xengntshr_share_pages(xgs, domid, -1, refs, 1), NULL, EINVAL);
	FAILS(xengntshr_share_pages(xgs, domid, 1 << 19, refs, 1), NULL,
	    ENOSPC);

	/* A handle may have any number of areas, ended in any order. */
	other = xengntshr_share_pages(xgs, domid, 2, more, 0);
	CHECK(other != NULL && more[0] != more[1]);
	other[0] = 1;
	CHECK(xengntshr_unshare(xgs, other, 2) == 0);

	CHECK(getchar() == '\n');
	for (int i = 0; i < count; i++)
		CHECK(pages[PAGE * (unsigned)i] == 'A' + i);
	/* The area outlives the handle. */
	CHECK(xengntshr_close(xgs) == 0);
	CHECK(pages[1] == 'a');
	CHECK(munmap(pages, PAGE * (unsigned)count) == 0);
}

/* From the second page to the first, through a local buffer. */
static void
copy(xengnttab_handle *xgt, uint32_t domid, const uint32_t *refs)
{
	xengnttab_grant_copy_segment_t segs[2] = { 0 };
	char buffer[32] = "";

	CHECK(xengnttab_grant_copy(xgt, 0, NULL) == 0);
	segs[0].source.foreign.domid = (uint16_t)domid;
	segs[0].source.foreign.ref = refs[1];
	segs[0].source.foreign.offset = PAGE - sizeof(buffer);
	segs[0].dest.virt = buffer;
	segs[0].len = sizeof(buffer);
	segs[0].flags = GNTCOPY_source_gref;
	segs[1] = segs[0];
	segs[1].source.foreign.ref = 0xfffff;
	CHECK(xengnttab_grant_copy(xgt, 2, segs) == 0);
	CHECK(segs[0].status == GNTST_okay);
	CHECK(segs[1].status != GNTST_okay);
	CHECK(buffer[0] == 'b' && buffer[sizeof(buffer) - 1] == 'b');

	segs[0].flags = 0;
	FAILS(xengnttab_grant_copy(xgt, 1, segs), -1, EINVAL);
}

/* Armed, or refused with nothing mapped: one of the two. */
static void
notify(xengnttab_handle *xgt, uint32_t domid, uint32_t ref)
{
	char *page;

	errno = 0;
	page = xengnttab_map_grant_ref_notify(xgt, domid, ref,
	    PROT_READ | PROT_WRITE, PAGE - 1, (evtchn_port_t)-1);
	if (page == NULL) {
		CHECK(errno == ENOTTY);
		return;
	}
	CHECK(xengnttab_unmap(xgt, page, 1) == 0);
}

static void
map(uint32_t domid, uint32_t *refs, uint32_t count)
{
	uint32_t domids[MAX + 1], wrong[MAX + 1], fd;
	xengnttab_handle *xgt;
	char *all, *one, *several;

	CHECK(count >= 2 && count <= MAX);
	xgt = xengnttab_open(NULL, 0);
	CHECK(xgt != NULL);
	CHECK(xengnttab_fd(xgt) >= 0);
	CHECK(xengnttab_set_max_grants(xgt, 32752) == 0);

	all = xengnttab_map_domain_grant_refs(xgt, count, domid, refs,
	    PROT_READ | PROT_WRITE);
	CHECK(all != NULL);
	one = xengnttab_map_grant_ref(xgt, domid, refs[1], PROT_READ);
	CHECK(one != NULL);
	for (uint32_t i = 0; i <= count; i++)
		domids[i] = domid;
	several = xengnttab_map_grant_refs(xgt, count, domids, refs, PROT_READ);
	CHECK(several != NULL);

	/* Three mappings of one memory. */
	for (uint32_t i = 0; i < count; i++) {
		CHECK(all[PAGE * i] == 'a' + (int)i);
		CHECK(several[PAGE * i + PAGE - 1] == 'a' + (int)i);
		all[PAGE * i] = (char)('A' + (int)i);
		CHECK(several[PAGE * i] == 'A' + (int)i);
	}
	CHECK(one[0] == 'B');

	/* All grants or none, wherever the bad one is. */
	for (uint32_t bad = 0; bad <= count; bad++) {
		memcpy(wrong, refs, bad * sizeof(*refs));
		wrong[bad] = 0xfffff;
		memcpy(wrong + bad + 1, refs + bad,
		    (count - bad) * sizeof(*refs));
		FAILS(xengnttab_map_grant_refs(xgt, count + 1, domids, wrong,
			  PROT_READ),
		    NULL, EINVAL);
	}
	FAILS(xengnttab_map_grant_refs(xgt, 0, domids, refs, PROT_READ), NULL,
	    EINVAL);

	FAILS(xengnttab_unmap(xgt, NULL, 1), -1, EINVAL);
	FAILS(xengnttab_unmap(xgt, refs, 1), -1, EINVAL);
	FAILS(xengnttab_unmap(xgt, all, count - 1), -1, EINVAL);
	CHECK(all[0] == 'A');
	/*
	 * Never twice: an address below another area counts as that area's (row
	 * G4), as in Xen's library.
	 */
	CHECK(xengnttab_unmap(xgt, several, count) == 0);
	CHECK(xengnttab_unmap(xgt, one, 1) == 0);

	copy(xgt, domid, refs);
	notify(xgt, domid, refs[0]);

	/* Never an abort, whatever the system supports. */
	FAILS(xengnttab_dmabuf_exp_from_refs(xgt, domid, 0, 0, refs, &fd), -1,
	    EINVAL);
	FAILS(xengnttab_dmabuf_imp_to_refs(xgt, domid, 0, 0, refs), -1, EINVAL);

	/* The area outlives the handle. */
	CHECK(xengnttab_close(xgt) == 0);
	CHECK(all[PAGE + 1] == 'b');
	CHECK(munmap(all, PAGE * count) == 0);
}

int
main(int argc, char **argv)
{
	uint32_t refs[MAX];
	int count;

	if (argc == 4 && strcmp(argv[1], "share") == 0) {
		share((uint32_t)atoi(argv[2]), atoi(argv[3]));
		return (0);
	}
	if (argc > 3 && argc - 3 <= MAX && strcmp(argv[1], "map") == 0) {
		for (count = 0; count < argc - 3; count++)
			refs[count] = (uint32_t)atoi(argv[count + 3]);
		map((uint32_t)atoi(argv[2]), refs, (uint32_t)count);
		return (0);
	}
	fprintf(stderr,
	    "usage: live share DOMID PAGES | live map DOMID REF...\n");
	return (2);
}
