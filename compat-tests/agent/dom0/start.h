/* SPDX-License-Identifier: BSD-2-Clause */
/* Starts a program whose standard input and output are one end of a socket. */
#ifndef AGENT_START_H
#define	AGENT_START_H

#include <sys/socket.h>
#include <err.h>
#include <unistd.h>

/* before(), if not NULL, runs in the new process.  Returns the other end. */
static int
start_program(char *const argv[], void (*before)(void))
{
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0)
		err(1, "socketpair");
	switch (fork()) {
	case -1:
		err(1, "fork");
	case 0:
		if (before != NULL)
			before();
		if (dup2(pair[1], 0) == -1 || dup2(pair[1], 1) == -1)
			err(127, "dup2");
		execv(argv[0], argv);
		err(127, "%s", argv[0]);
	}
	close(pair[1]);
	return (pair[0]);
}

#endif /* !AGENT_START_H */
