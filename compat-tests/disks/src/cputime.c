/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * xengnt-cputime TERMINAL LOG END TEXT: writes a line to a guest's terminal,
 * waits until the guest's log has a line that begins with END, and prints the
 * processor time of Dom0 meanwhile, as counted by Xen, and the time that has
 * passed, in nanoseconds.  It is one process, because starting another would
 * count, too.
 */
#include <err.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <xenctrl.h>

#define	LOOK_NS		200000000L
#define	LOOKS		2000
/* A guest was seen to notice a line only when another one came. */
#define	ASK_AGAIN	5

static uint64_t
spent(xc_interface *xch)
{
	xc_domaininfo_t info;

	if (xc_domain_getinfolist(xch, 0, 1, &info) != 1 || info.domain != 0)
		err(1, "xc_domain_getinfolist");
	return (info.cpu_time);
}

static uint64_t
now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (t.tv_sec * UINT64_C(1000000000) + t.tv_nsec);
}

static void
say(int terminal, const char *text)
{

	if (write(terminal, text, strlen(text)) != (ssize_t)strlen(text) ||
	    write(terminal, "\n", 1) != 1)
		err(1, "the guest's terminal");
}

/* Reads what has been added to the log; whether a line begins with `end`. */
static bool
ended(int log, const char *end)
{
	/* The end of what was read earlier, and room for more. */
	static char text[1 << 16];
	static size_t have;
	const char *found;
	ssize_t got;
	size_t keep;

	while ((got = read(log, text + have, sizeof(text) - 1 - have)) > 0) {
		have += got;
		text[have] = '\0';
		for (found = text; (found = strstr(found, end)) != NULL;
		    found++)
			if (found != text && found[-1] == '\n')
				return (true);
		/* Keep an incomplete line and the text before it. */
		keep = strlen(end) + 1;
		if (have > keep) {
			memmove(text, text + have - keep, keep);
			have = keep;
		}
	}
	if (got < 0)
		err(1, "the guest's log");
	return (false);
}

int
main(int argc, char **argv)
{
	struct timespec pause = { .tv_nsec = LOOK_NS };
	xc_interface *xch;
	uint64_t begin, first;
	int log, looks, terminal;

	if (argc != 5) {
		fprintf(stderr,
		    "usage: xengnt-cputime TERMINAL LOG END TEXT\n");
		return (2);
	}
	xch = xc_interface_open(NULL, NULL, 0);
	if (xch == NULL)
		err(1, "xc_interface_open");
	terminal = open(argv[1], O_WRONLY | O_NOCTTY);
	if (terminal < 0)
		err(1, "%s", argv[1]);
	log = open(argv[2], O_RDONLY);
	if (log < 0 || lseek(log, 0, SEEK_END) < 0)
		err(1, "%s", argv[2]);
	first = now();
	begin = spent(xch);
	say(terminal, argv[4]);
	for (looks = 1; !ended(log, argv[3]); looks++) {
		if (looks == LOOKS)
			errx(1, "%s has no line %s", argv[2], argv[3]);
		if (looks % ASK_AGAIN == 0)
			say(terminal, "");
		nanosleep(&pause, NULL);
	}
	printf("cputime: ns=%" PRIu64 " of=%" PRIu64 "\n", spent(xch) - begin,
	    now() - first);
	xc_interface_close(xch);
	return (0);
}
