/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * xengnt-cputime SECONDS TERMINAL TEXT: writes a line to a guest's terminal and
 * tells the nanoseconds that Dom0 has then had of the processors within some
 * seconds, as Xen counts them.  One process: starting another would count, too.
 */
#include <err.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <xenctrl.h>

static uint64_t
spent(xc_interface *xch)
{
	xc_domaininfo_t info;

	if (xc_domain_getinfolist(xch, 0, 1, &info) != 1 || info.domain != 0)
		err(1, "xc_domain_getinfolist");
	return (info.cpu_time);
}

static void
say(int terminal, const char *text)
{

	if (write(terminal, text, strlen(text)) != (ssize_t)strlen(text) ||
	    write(terminal, "\n", 1) != 1)
		err(1, "the guest's terminal");
}

int
main(int argc, char **argv)
{
	xc_interface *xch;
	uint64_t begin;
	int seconds, terminal;

	if (argc != 4 || (seconds = atoi(argv[1])) < 2) {
		fprintf(stderr,
		    "usage: xengnt-cputime SECONDS TERMINAL TEXT\n");
		return (2);
	}
	xch = xc_interface_open(NULL, NULL, 0);
	if (xch == NULL)
		err(1, "xc_interface_open");
	terminal = open(argv[2], O_WRONLY | O_NOCTTY);
	if (terminal < 0)
		err(1, "%s", argv[2]);
	begin = spent(xch);
	say(terminal, argv[3]);
	sleep(1);
	/* The guest has been seen to notice a line only when another comes. */
	say(terminal, "");
	sleep(seconds - 1);
	printf("cputime: ns=%" PRIu64 "\n", spent(xch) - begin);
	xc_interface_close(xch);
	return (0);
}
