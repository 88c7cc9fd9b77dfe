/* SPDX-License-Identifier: BSD-2-Clause */
/* xengnt-agent: performs system calls for the parity suite. */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent.h"
#include "os.h"

static void
usage(FILE *f)
{
	fprintf(f,
	    "usage: xengnt-agent [--serial DEVICE] [--peer PROGRAM]\n"
	    "           [--gntdev NODE] [--gntalloc NODE] [--poweroff]\n"
	    "Reads requests (SEQ OP ARGUMENT...) and writes replies, on\n"
	    "standard input and output or on a serial line.\n");
}

int
main(int argc, char **argv)
{
	static const struct option longopts[] = {
		{ "serial", required_argument, NULL, 's' },
		{ "peer", required_argument, NULL, 'p' },
		{ "gntdev", required_argument, NULL, 'd' },
		{ "gntalloc", required_argument, NULL, 'a' },
		{ "poweroff", no_argument, NULL, 'o' },
		{ "help", no_argument, NULL, 'h' },
		/* For the agent itself: it executes itself as a worker. */
		{ "worker", required_argument, NULL, 'w' },
		{ "reply", required_argument, NULL, 'r' },
		{ NULL, 0, NULL, 0 },
	};
	struct options opt;
	const char *reply;
	int c, worker;

	memset(&opt, 0, sizeof(opt));
	opt.self = os_self(argv[0]);
	reply = NULL;
	worker = -1;
	while ((c = getopt_long(argc, argv, "", longopts, NULL)) != -1)
		switch (c) {
		case 's':
			opt.serial = optarg;
			break;
		case 'p':
			opt.peer = optarg;
			break;
		case 'd':
			device_path("gntdev", optarg);
			break;
		case 'a':
			device_path("gntalloc", optarg);
			break;
		case 'o':
			opt.poweroff = true;
			break;
		case 'h':
			usage(stdout);
			return (0);
		case 'w':
			if (parse_int(optarg, &worker) != 0)
				worker = -1;
			break;
		case 'r':
			reply = optarg;
			break;
		default:
			usage(stderr);
			return (2);
		}
	if (optind != argc) {
		usage(stderr);
		return (2);
	}
	if (worker >= 0)
		return (worker_main(worker, reply, opt.self));
	return (supervise(&opt));
}
