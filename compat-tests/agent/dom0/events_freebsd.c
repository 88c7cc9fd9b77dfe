/* SPDX-License-Identifier: BSD-2-Clause */
/* The native side of event_helper.h. */
#include <sys/param.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../event_helper.h"
#include "../native_freebsd.h"
#include "events.h"

#define	NFDS	2

/* Indexed by Linux's number: FreeBSD's command, and where the port goes. */
static const struct {
	unsigned long	word;
	int		port;
} commands[] = {
	{ _IOWR('E', 4, uint32_t [2]), 1 },	/* BIND_VIRQ */
	{ _IOWR('E', 5, uint32_t [3]), 2 },	/* BIND_INTERDOMAIN */
	{ _IOWR('E', 6, uint32_t [2]), 1 },	/* BIND_UNBOUND_PORT */
	{ _IOW('E', 7, uint32_t), 0 },		/* UNBIND */
	{ _IOW('E', 8, uint32_t), 0 },		/* NOTIFY */
};

static uint32_t
linux_errno(int error)
{

	/* The first errnos are the same; of the others this device has one. */
	return (error == ENOTCONN ? 107 : error <= ERANGE ? (uint32_t)error :
	    EINVAL);
}

static void
answer(const struct event_request *request, const int *fds)
{
	struct event_answer reply = { 0 };
	uint32_t args[3] = { request->args[0], request->args[1], 0 };

	if (request->nr == HELPER_GNTDEV_LIMIT ||
	    request->nr == HELPER_GNTALLOC_LIMIT) {
		reply.error = linux_errno(freebsd_limit(
		    request->nr == HELPER_GNTDEV_LIMIT ? "gntdev" : "gntalloc",
		    request->args[0] != 0, request->args[1], &reply.value));
	} else if (request->nr == HELPER_DISK)
		reply.error = linux_errno(freebsd_disk());
	else if (request->nr >= nitems(commands))
		reply.error = EINVAL;
	else if (ioctl(fds[0], commands[request->nr].word, args) != 0)
		reply.error = linux_errno(errno);
	else
		reply.value = args[commands[request->nr].port];
	/* Only the agent may hold the file when it gets the answer. */
	close(fds[0]);
	(void)send(fds[1], &reply, sizeof(reply), 0);
	close(fds[1]);
}

static void __attribute__((noreturn))
serve(int from)
{
	struct event_request request;
	union {
		struct cmsghdr	head;
		char		room[CMSG_SPACE(NFDS * sizeof(int))];
	} control;
	struct cmsghdr *c;
	struct iovec iov = { &request, sizeof(request) };
	struct msghdr m;
	int fds[NFDS];

	for (;;) {
		memset(&m, 0, sizeof(m));
		m.msg_iov = &iov;
		m.msg_iovlen = 1;
		m.msg_control = &control;
		m.msg_controllen = sizeof(control);
		if (recvmsg(from, &m, 0) != (ssize_t)sizeof(request))
			_exit(1);
		c = CMSG_FIRSTHDR(&m);
		if (c == NULL || c->cmsg_type != SCM_RIGHTS ||
		    c->cmsg_len != CMSG_LEN(sizeof(fds)))
			continue;
		memcpy(fds, CMSG_DATA(c), sizeof(fds));
		answer(&request, fds);
	}
}

int
events_start(void)
{
	char number[12];
	int ends[2];

	if (socketpair(AF_UNIX, SOCK_DGRAM, 0, ends) != 0 ||
	    dup2(ends[1], EVENT_HELPER_FD) < 0)
		return (errno);
	close(ends[1]);
	switch (fork()) {
	case -1:
		return (errno);
	case 0:
		close(EVENT_HELPER_FD);
		serve(ends[0]);
	}
	close(ends[0]);
	snprintf(number, sizeof(number), "%d", EVENT_HELPER_FD);
	return (setenv(EVENT_HELPER, number, 1) == 0 ? 0 : errno);
}
