/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * xengnt-kernelcosts FILE: how many nanoseconds Dom0's kernel takes for the
 * operations that a disk's back end needs.
 *
 * Prints a line for each, "kernel: NAME NS", the median of several series.
 * FILE is created; put it where the disks' images are.  "trip" is CPUID, which
 * Xen answers: it is the unit for comparing two boots.
 */
#include <sys/syscall.h>

#include <err.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <xenevtchn.h>

#define	SERIES		9
#define	TIMES		100
#define	POLLED		16		/* descriptors, as in QEMU */
#define	BLOCK		65536
#define	WAIT_S		5

static int there[2], back[2];		/* pipes to the other thread */
static struct side {
	xenevtchn_handle *handle;
	evtchn_port_t	port;
} sides[2];				/* the two ends of an event channel */
static struct pollfd polled[POLLED];
static int image;
static char block[BLOCK];

static void
trip(void)
{
	unsigned int a = 0x40000000, c = 0;

	/* Clang may drop the one of <cpuid.h>, as its results are not used. */
	__asm__ volatile("cpuid" : "+a"(a), "+c"(c) : : "ebx", "edx");
}

static void
call(void)
{

	(void)syscall(SYS_getppid);
}

static void
poll_many(void)
{
	static const struct timespec now = { 0 };

	if (ppoll(polled, POLLED, &now, NULL) != 1)
		errx(1, "ppoll");
}

static void
byte_through(const int *out, const int *in)
{
	char c = 'x';

	if (write(out[1], &c, 1) != 1 || read(in[0], &c, 1) != 1)
		err(1, "pipe");
}

static void
wake(void)
{

	byte_through(there, back);
}

static void *
wake_other(void *arg)
{
	char c;

	for (int i = 0; i < SERIES * TIMES; i++)
		if (read(there[0], &c, 1) != 1 || write(back[1], &c, 1) != 1)
			err(1, "pipe");
	return (arg);
}

static void
event_await(struct side *s)
{
	static const struct timespec limit = { .tv_sec = WAIT_S };
	struct pollfd fd = { .fd = xenevtchn_fd(s->handle), .events = POLLIN };
	xenevtchn_port_or_error_t port;

	if (ppoll(&fd, 1, &limit, NULL) != 1)
		errx(1, "no event in %d s", WAIT_S);
	port = xenevtchn_pending(s->handle);
	if (port < 0 || xenevtchn_unmask(s->handle, port) != 0)
		err(1, "event channel");
}

static void
event_send(struct side *s)
{

	if (xenevtchn_notify(s->handle, s->port) != 0)
		err(1, "xenevtchn_notify");
}

static void
event(void)
{

	event_send(&sides[0]);
	event_await(&sides[0]);
}

static void *
event_other(void *arg)
{

	for (int i = 0; i < SERIES * TIMES; i++) {
		event_await(&sides[1]);
		event_send(&sides[1]);
	}
	return (arg);
}

static void
image_read(void)
{

	if (pread(image, block, BLOCK, 0) != BLOCK)
		err(1, "pread");
}

static void
image_write(void)
{

	if (pwrite(image, block, BLOCK, 0) != BLOCK)
		err(1, "pwrite");
}

/* `other` runs in a second thread; once() takes `events` measured steps. */
static const struct {
	const char *name;
	void	(*once)(void);
	void	*(*other)(void *);
	int	events;
} kinds[] = {
	{ "trip", trip, NULL, 1 },
	{ "call", call, NULL, 1 },
	{ "poll", poll_many, NULL, 1 },
	{ "wake", wake, wake_other, 2 },
	{ "event", event, event_other, 2 },
	{ "read", image_read, NULL, 1 },
	{ "write", image_write, NULL, 1 },
};

static double
now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return ((double)t.tv_sec * 1e9 + (double)t.tv_nsec);
}

static int
less(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return ((x > y) - (x < y));
}

static void
channel(void)
{
	xenevtchn_port_or_error_t port;
	uint32_t other;

	for (int i = 0; i < 2; i++) {
		sides[i].handle = xenevtchn_open(NULL, 0);
		if (sides[i].handle == NULL)
			err(1, "xenevtchn_open");
	}
	/* Both ends are in Dom0. */
	port = xenevtchn_bind_unbound_port(sides[0].handle, 0);
	if (port < 0)
		err(1, "xenevtchn_bind_unbound_port");
	sides[0].port = other = (evtchn_port_t)port;
	port = xenevtchn_bind_interdomain(sides[1].handle, 0, other);
	if (port < 0)
		err(1, "xenevtchn_bind_interdomain");
	sides[1].port = (evtchn_port_t)port;
	/* The new end has an event pending (xen/event_channel.h). */
	event_await(&sides[1]);
}

int
main(int argc, char **argv)
{
	double taken[SERIES], begin;
	pthread_t thread;
	int idle[2];

	if (argc != 2) {
		fprintf(stderr, "usage: xengnt-kernelcosts FILE\n");
		return (2);
	}
	image = open(argv[1], O_RDWR | O_CREAT | O_TRUNC, 0600);
	if (image < 0)
		err(1, "%s", argv[1]);
	if (pipe(there) != 0 || pipe(back) != 0)
		err(1, "pipe");
	for (int i = 0; i < POLLED; i++) {
		if (pipe(idle) != 0)
			err(1, "pipe");
		polled[i] = (struct pollfd){ .fd = idle[0], .events = POLLIN };
	}
	if (write(idle[1], "x", 1) != 1)
		err(1, "pipe");
	channel();
	image_write();
	for (size_t k = 0; k < sizeof(kinds) / sizeof(kinds[0]); k++) {
		if (kinds[k].other != NULL && pthread_create(&thread, NULL,
		    kinds[k].other, NULL) != 0)
			errx(1, "pthread_create");
		for (int s = 0; s < SERIES; s++) {
			begin = now();
			for (int i = 0; i < TIMES; i++)
				kinds[k].once();
			taken[s] = (now() - begin) / TIMES / kinds[k].events;
		}
		if (kinds[k].other != NULL)
			pthread_join(thread, NULL);
		qsort(taken, SERIES, sizeof(taken[0]), less);
		printf("kernel: %s %.0f\n", kinds[k].name, taken[SERIES / 2]);
	}
	return (0);
}
