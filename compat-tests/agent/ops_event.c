/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Event channels through /dev/xen/evtchn.  Its command words are another
 * matter on every system (os.h); its bytes are the same: reading gives the
 * ports that were raised, 32 bits each, and masks them, writing a port lets
 * it be raised again.
 */
#include <errno.h>
#include <poll.h>
#include <stdint.h>
#include <unistd.h>

#include "agent.h"
#include "os.h"

#define	MAX_PORTS	64	/* that one request reads */

/* The descriptor and the numbers of 32 bits behind it. */
static int
get_args(char **argv, int n, int *fd, uint32_t *out, struct reply *r)
{
	uint64_t v;
	int i, rc;

	if ((rc = get_fd(argv[1], fd, r)) != 0)
		return (rc);
	for (i = 0; i < n; i++) {
		if (parse_u64(argv[2 + i], &v) != 0 || v > UINT32_MAX)
			return (bad(r, "number: %.40s", argv[2 + i]));
		out[i] = (uint32_t)v;
	}
	return (0);
}

static int
op_bind_unbound(struct agent *a, int argc, char **argv, struct reply *r)
{
	uint32_t domid, port;
	int fd, rc;

	(void)a;
	(void)argc;
	if ((rc = get_args(argv, 1, &fd, &domid, r)) != 0 ||
	    (rc = os_evtchn_unbound(fd, domid, &port)) != 0)
		return (rc);
	put(r, " port=%u", port);
	return (0);
}

static int
op_bind_interdomain(struct agent *a, int argc, char **argv, struct reply *r)
{
	uint32_t port, remote[2];
	int fd, rc;

	(void)a;
	(void)argc;
	if ((rc = get_args(argv, 2, &fd, remote, r)) != 0 ||
	    (rc = os_evtchn_interdomain(fd, remote[0], remote[1], &port)) != 0)
		return (rc);
	put(r, " port=%u", port);
	return (0);
}

static int
op_bind_virq(struct agent *a, int argc, char **argv, struct reply *r)
{
	uint32_t port, virq;
	int fd, rc;

	(void)a;
	(void)argc;
	if ((rc = get_args(argv, 1, &fd, &virq, r)) != 0 ||
	    (rc = os_evtchn_virq(fd, virq, &port)) != 0)
		return (rc);
	put(r, " port=%u", port);
	return (0);
}

static int
op_unbind(struct agent *a, int argc, char **argv, struct reply *r)
{
	uint32_t port;
	int fd, rc;

	(void)a;
	(void)argc;
	if ((rc = get_args(argv, 1, &fd, &port, r)) != 0)
		return (rc);
	return (os_evtchn_unbind(fd, port));
}

static int
op_notify(struct agent *a, int argc, char **argv, struct reply *r)
{
	uint32_t port;
	int fd, rc;

	(void)a;
	(void)argc;
	if ((rc = get_args(argv, 1, &fd, &port, r)) != 0)
		return (rc);
	return (os_evtchn_notify(fd, port));
}

/*
 * events FD MILLISECONDS: the ports raised since the last time, in the order
 * of reading; waits for the first one.  poll(), read() and write() in one
 * request, for a case asks for them twice or more.
 */
static int
op_events(struct agent *a, int argc, char **argv, struct reply *r)
{
	uint32_t ports[MAX_PORTS];
	struct pollfd p;
	ssize_t n;
	size_t i;
	int rc, timeout;

	(void)a;
	(void)argc;
	if ((rc = get_fd(argv[1], &p.fd, r)) != 0)
		return (rc);
	if (parse_int(argv[2], &timeout) != 0 || timeout < 0 ||
	    timeout > 60000)
		return (bad(r, "timeout: %.40s", argv[2]));
	p.events = POLLIN;
	p.revents = 0;
	if (poll(&p, 1, timeout) < 0)
		return (errno);
	if ((p.revents & POLLNVAL) != 0)
		return (EBADF);
	n = 0;
	if ((p.revents & (POLLIN | POLLERR)) != 0)
		n = read(p.fd, ports, sizeof(ports));
	if (n < 0)
		return (errno);
	put(r, " ports=%s", n == 0 ? "none" : "");
	for (i = 0; i < (size_t)n / sizeof(ports[0]); i++)
		put(r, "%s%u", i == 0 ? "" : ",", ports[i]);
	/* The port may have been unbound meanwhile: not an error here. */
	if (n > 0 && write(p.fd, ports, (size_t)n) < 0)
		put(r, " unmask=%d", errno);
	return (0);
}

const struct op ops_event[] = {
	{ "bind_unbound", 2, 2, op_bind_unbound, "FD DOMID" },
	{ "bind_interdomain", 3, 3, op_bind_interdomain, "FD DOMID PORT" },
	{ "bind_virq", 2, 2, op_bind_virq, "FD VIRQ" },
	{ "unbind", 2, 2, op_unbind, "FD PORT" },
	{ "notify", 2, 2, op_notify, "FD PORT" },
	{ "events", 2, 2, op_events, "FD MILLISECONDS" },
	{ NULL, 0, 0, NULL, NULL },
};
