/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Event channels through /dev/xen/evtchn.  Its ioctl commands differ between
 * the systems (os.h).  Its data do not: reading returns the ports that were
 * raised, 32 bits each, and masks them; writing a port unmasks it.
 */
#include <errno.h>
#include <poll.h>
#include <stdint.h>
#include <unistd.h>

#include "agent.h"
#include "os.h"

#define	MAX_PORTS	64	/* that one request reads */

static int
put_port(int error, uint32_t port, struct reply *r)
{

	if (error == 0)
		put(r, " port=%u", port);
	return (error);
}

static int
op_bind_unbound(struct call *c, struct reply *r)
{
	uint32_t port;
	int error;

	error = os_evtchn_unbound(c->fd, (uint32_t)c->n[2], &port);
	return (put_port(error, port, r));
}

static int
op_bind_interdomain(struct call *c, struct reply *r)
{
	uint32_t port;
	int error;

	error = os_evtchn_interdomain(c->fd, (uint32_t)c->n[2],
	    (uint32_t)c->n[3], &port);
	return (put_port(error, port, r));
}

static int
op_bind_virq(struct call *c, struct reply *r)
{
	uint32_t port;
	int error;

	error = os_evtchn_virq(c->fd, (uint32_t)c->n[2], &port);
	return (put_port(error, port, r));
}

static int
op_unbind(struct call *c, struct reply *r)
{

	(void)r;
	return (os_evtchn_unbind(c->fd, (uint32_t)c->n[2]));
}

static int
op_notify(struct call *c, struct reply *r)
{

	(void)r;
	return (os_evtchn_notify(c->fd, (uint32_t)c->n[2]));
}

/*
 * events FD MILLISECONDS: the ports raised since the last call, in the order of
 * reading; waits for the first one.  This is poll(), read() and write() in one
 * request, because a case makes it several times.
 */
static int
op_events(struct call *c, struct reply *r)
{
	uint32_t ports[MAX_PORTS];
	struct pollfd p;
	ssize_t n;
	size_t i;

	p.fd = c->fd;
	p.events = POLLIN;
	p.revents = 0;
	if (poll(&p, 1, (int)c->n[2]) < 0)
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
	/*
	 * The port may have been unbound meanwhile, which is not an error here.
	 */
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
