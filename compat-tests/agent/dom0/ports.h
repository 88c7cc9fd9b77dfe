/* SPDX-License-Identifier: BSD-2-Clause */
/* I/O ports and idle priority, which each system provides in its own way. */
#ifndef PORTS_H
#define	PORTS_H

#include <stddef.h>

#ifdef __FreeBSD__
#include <sys/types.h>
#include <sys/rtprio.h>
#include <machine/cpufunc.h>
#include <fcntl.h>

/* Linux and FreeBSD have the arguments in opposite orders. */
static inline unsigned char
port_in(unsigned port)
{

	return (inb(port));
}

static inline void
port_out(unsigned char value, unsigned port)
{

	outb(port, value);
}

/* An open /dev/io lets the process and its children use every port. */
static inline int
ports_open(unsigned first, unsigned count)
{
	(void)first;
	(void)count;
	return (open("/dev/io", O_RDWR | O_CLOEXEC) < 0 ? -1 : 0);
}

static inline int
priority_idle(void)
{
	struct rtprio idle = { RTP_PRIO_IDLE, RTP_PRIO_MAX };

	return (rtprio(RTP_SET, 0, &idle));
}

/* Children inherit it. */
static inline void
priority_normal(void)
{
	struct rtprio normal = { RTP_PRIO_NORMAL, 0 };

	rtprio(RTP_SET, 0, &normal);
}
#else
#include <sys/io.h>
#include <sched.h>

static inline unsigned char
port_in(unsigned port)
{

	return (inb((unsigned short)port));
}

static inline void
port_out(unsigned char value, unsigned port)
{

	outb(value, (unsigned short)port);
}

static inline int
ports_open(unsigned first, unsigned count)
{

	return (ioperm(first, count, 1));
}

static inline int
priority_idle(void)
{
	struct sched_param none = { 0 };

	return (sched_setscheduler(0, SCHED_IDLE | SCHED_RESET_ON_FORK,
	    &none));
}

static inline void
priority_normal(void)
{
}
#endif

/* One access for up to a whole FIFO: if trapped, it costs as much as a byte. */
static inline void
port_out_string(const unsigned char *buf, size_t n, unsigned port)
{

	__asm__ volatile("rep outsb"
	    : "+S"(buf), "+c"(n) : "d"((unsigned short)port) : "memory");
}

static inline void
port_in_string(unsigned char *buf, size_t n, unsigned port)
{

	__asm__ volatile("rep insb"
	    : "+D"(buf), "+c"(n) : "d"((unsigned short)port) : "memory");
}

#endif /* !PORTS_H */
