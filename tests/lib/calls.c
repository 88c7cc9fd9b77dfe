/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Processor time of the library's calls, for comparison with the Python package
 * (tests/python/binding.py): calls [ROUNDS] prints a line "NAME NS" for each
 * call and round.
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <xengnttab.h>

#define DOM0	0

static double
now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return ((double)t.tv_sec * 1e9 + (double)t.tv_nsec);
}

#define MEASURE(name, times, call) do {					\
	double begun = now();						\
	for (int i_ = 0; i_ < (times); i_++)				\
		if (!(call)) {						\
			perror(name);					\
			return (1);					\
		}							\
	printf("%s %.0f\n", name, (now() - begun) / (times));		\
} while (0)

int
main(int argc, char **argv)
{
	int rounds = argc > 1 ? atoi(argv[1]) : 1;
	xengnttab_grant_copy_segment_t seg = { 0 };
	static char buffer[4096];
	xengnttab_handle *xgt;
	xengntshr_handle *xgs;
	uint32_t ref, refs[16];
	void *page;

	xgt = xengnttab_open(NULL, 0);
	xgs = xengntshr_open(NULL, 0);
	if (xgt == NULL || xgs == NULL)
		return (1);
	page = xengntshr_share_pages(xgs, DOM0, 1, &ref, 1);
	if (page == NULL)
		return (1);
	seg.source.foreign.ref = ref;
	seg.source.foreign.domid = DOM0;
	seg.dest.virt = buffer;
	seg.len = sizeof(buffer);
	seg.flags = GNTCOPY_source_gref;
	for (int r = 0; r < rounds; r++) {
		MEASURE("set_max_grants", 20000,
		    xengnttab_set_max_grants(xgt, 1024) == 0);
		MEASURE("copy_nothing", 20000,
		    xengnttab_grant_copy(xgt, 0, NULL) == 0);
		MEASURE("copy_4096", 500,
		    xengnttab_grant_copy(xgt, 1, &seg) == 0 &&
			seg.status == 0);
		MEASURE("share_1", 300,
		    xengntshr_unshare(xgs, xengntshr_share_pages(xgs, DOM0, 1,
					       refs, 1), 1) == 0);
		MEASURE("share_16", 100,
		    xengntshr_unshare(xgs, xengntshr_share_pages(xgs, DOM0, 16,
					       refs, 1), 16) == 0);
	}
	return (xengntshr_unshare(xgs, page, 1) || xengntshr_close(xgs) ||
	    xengnttab_close(xgt));
}
