/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * xengnt-relay: a 16550 serial port, driven from user space, as standard
 * input and output of a program.
 *
 *	xengnt-relay PORT PROGRAM [ARGUMENT...]
 *	xengnt-relay wire PROGRAM [ARGUMENT...]
 *
 * "wire" stands for a page that a DomU shares with Dom0 (wire.h).
 *
 * This is the control channel of a Dom0 under test.  The kernel's own driver
 * does not work for it: a PVH Dom0 without an IOMMU gets no interrupts from
 * physical devices, and where there are interrupts (or timers), each of them
 * costs more under emulation than the bytes it brings.  So the port is polled
 * without a pause, at idle priority: the program runs whenever it can.  QEMU
 * sends a byte as soon as it is written, so an answer is one burst.  If others
 * need the processor, the environment sets pauses (below).
 */
#include <sys/socket.h>
#include <sys/wait.h>

#include <err.h>
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "ports.h"
#include "start.h"
#include "wire.h"

#define	UART_DATA	0		/* the divisor latch is never selected */
#define	UART_IER	1
#define	UART_FCR	2
#define	UART_LCR	3
#define	UART_MCR	4
#define	UART_LSR	5
#define	LSR_DATA_READY	0x01
#define	LSR_THR_EMPTY	0x20
#define	FIFO_BYTES	16u

/*
 * Number of polls of the port without a byte before the machine may rest.  If
 * a guest needs the processor, the caller sets fewer: Xen does not know that
 * we run at idle priority.  (A kernel's command line becomes init's
 * environment.)
 */
#define	IDLE_LOOKS	100000u
#define	IDLE_LOOKS_ENV	"XENGNT_RELAY_LOOKS"
#define	IDLE_NS		10000000
/* Milliseconds of rest, for measuring guests without much of Dom0. */
#define	IDLE_REST_ENV	"XENGNT_RELAY_REST_MS"
/* A DomU rests soon: Dom0, which reads the wire, needs the processor. */
#define	IDLE_WIRE	500u
/* Polls of the port for each check of the program. */
#define	LOOKS		4
/* Polls without a byte after which even half a line is passed on. */
#define	HALF_LINE_LOOKS	2000u

static unsigned short port;
/*
 * A PV Dom0's accesses trap into Xen, and that takes far longer than the
 * access itself; a string instruction traps once for all its bytes.
 */
static bool trapped;
static unsigned int idle_looks = IDLE_LOOKS;
static long idle_ns = IDLE_NS;
/* A DomU has no serial port. */
static struct wire *wire;

static void
rest(long ns)
{
	struct timespec ts = { .tv_nsec = ns };

	nanosleep(&ts, NULL);
}

/* Reads what has arrived; QEMU refills the FIFO while we empty it. */
static size_t
receive(unsigned char *buf, size_t size)
{
	unsigned char fifo[FIFO_BYTES];
	size_t i, n;
	int looks;

	if (wire != NULL)
		return (wire_receive(&wire->to_domu, buf, size));
	for (n = 0, looks = 0; n + FIFO_BYTES <= size && looks < LOOKS;
	    looks++) {
		if ((port_in(port + UART_LSR) & LSR_DATA_READY) == 0)
			continue;
		looks = 0;
		if (!trapped) {
			buf[n++] = port_in(port + UART_DATA);
			continue;
		}
		/*
		 * QEMU returns 0 for absent bytes, and the protocol is text:
		 * always read a whole FIFO.
		 */
		port_in_string(fifo, FIFO_BYTES, port + UART_DATA);
		for (i = 0; i < FIFO_BYTES; i++) {
			if (fifo[i] != '\0')
				buf[n++] = fifo[i];
		}
	}
	return (n);
}

static void
transmit(const unsigned char *buf, size_t size)
{
	size_t n;

	for (; size > 0; buf += n, size -= n) {
		if (wire != NULL) {
			n = wire_send(&wire->to_dom0, buf, size);
			if (n == 0)
				sched_yield();
			continue;
		}
		/* It fills up only while nobody reads the other end. */
		while ((port_in(port + UART_LSR) & LSR_THR_EMPTY) == 0)
			rest(1000000);
		n = size < FIFO_BYTES ? size : FIFO_BYTES;
		port_out_string(buf, n, port + UART_DATA);
	}
}

static bool
is_pv(void)
{
	char type[8] = "";
	FILE *f;

	f = fopen("/sys/hypervisor/guest_type", "r");
	if (f == NULL)
		return (false);
	if (fgets(type, sizeof(type), f) == NULL)
		type[0] = '\0';
	fclose(f);
	return (strcmp(type, "PV\n") == 0);
}

/* Passes bytes on until the program has closed its end. */
static void
relay(int fd)
{
	static unsigned char in[4096], out[4096];
	unsigned idle;
	size_t got, have;
	ssize_t n;

	for (have = 0, idle = 0;;) {
		got = receive(in + have, sizeof(in) - have);
		have += got;
		if (got != 0)
			idle = 0;
		/* Bytes come singly: whole lines mean less work for the program. */
		if (have != 0 && (in[have - 1] == '\n' ||
		    have + FIFO_BYTES > sizeof(in) || idle > HALF_LINE_LOOKS)) {
			if (send(fd, in, have, MSG_NOSIGNAL) == -1)
				return;
			have = 0;
			sched_yield();
		}
		if (have != 0 && got != 0)
			continue;
		n = recv(fd, out, sizeof(out), MSG_DONTWAIT);
		if (n > 0) {
			transmit(out, (size_t)n);
			idle = 0;
		} else if (n == 0 || (errno != EAGAIN && errno != EINTR)) {
			return;
		}
		if (++idle > idle_looks)
			rest(idle_ns);
	}
}

static void
serial_open(const char *name)
{
	unsigned long value;
	char *end;

	value = strtoul(name, &end, 0);
	if (*end != '\0' || value == 0 || value > 0xfff8)
		errx(2, "%s: not an I/O port", name);
	port = (unsigned short)value;
	if (ports_open(port, 8) != 0)
		err(1, "no access to port 0x%x", port);
	if (port_in(port + UART_LSR) == 0xff)
		errx(1, "no serial port at 0x%x", port);
	trapped = is_pv();
	port_out(0, port + UART_IER);
	port_out(0x03, port + UART_LCR);		/* 8 bits, no parity */
	/* QEMU delivers as many bytes at once as the trigger level. */
	port_out(0xc7, port + UART_FCR);
	port_out(0x03, port + UART_MCR);		/* DTR, RTS */
}

int
main(int argc, char **argv)
{
	const char *looks, *ms;
	int fd, status;

	if (argc < 3)
		errx(2, "usage: xengnt-relay PORT PROGRAM [ARGUMENT...]");
	if (strcmp(argv[1], "wire") == 0) {
		wire = wire_offer();
		idle_looks = IDLE_WIRE;
	} else {
		serial_open(argv[1]);
	}
	looks = getenv(IDLE_LOOKS_ENV);
	if (looks != NULL)
		idle_looks = (unsigned int)strtoul(looks, NULL, 0);
	ms = getenv(IDLE_REST_ENV);
	if (ms != NULL)
		idle_ns = strtol(ms, NULL, 0) * 1000000;
	/*
	 * With few polls this program rests most of the time.  At idle
	 * priority a busy FreeBSD would then never run it at all.
	 */
	if (looks == NULL && priority_idle() != 0)
		warn("idle priority");

	for (;;) {
		fd = start_program(argv + 2, priority_normal);
		relay(fd);
		close(fd);
		status = 0;
		if (wait(&status) != -1)
			warnx("%s ended with %s %d, starting it again", argv[2],
			    WIFSIGNALED(status) ? "signal" : "status",
			    WIFSIGNALED(status) ? WTERMSIG(status) :
			    WEXITSTATUS(status));
		rest(500000000);
	}
}
