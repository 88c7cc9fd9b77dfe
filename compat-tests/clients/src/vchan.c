/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * xengnt-vchan server|client DOMID PATH BYTES [RING]
 *
 * Both ends of a channel of libxenvchan send BYTES (a multiple of 8) to each
 * other at the same time and check what arrives: every word against the
 * sender's sequence, and a checksum that the caller compares with that of the
 * sender.  With 0 BYTES an end only waits for the other to go.  RING is the
 * least size of each ring; above 2 KiB libxenvchan gives a ring its own pages.
 *
 * The last line is JSON.  Exit status: 0 success, 1 an error, 3 the other end
 * went away, 4 ended by SIGTERM.  The latter does not close the channel, so
 * that the other end sees the same as after a death.
 */
#include <err.h>
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <libxenvchan.h>

#include "words.h"

#define	CHUNK		65536u
#define	CONNECT_TRIES	600
#define	CONNECT_US	50000
#ifdef __FreeBSD__
#define	WAIT_S		2	/* see pause_for() */
#else
#define	WAIT_S		0	/* no limit */
#endif

/* One direction: a sequence of pseudo-random words, and its progress. */
struct stream {
	uint64_t state;
	uint64_t done;		/* bytes */
	uint64_t sum;
	size_t at;		/* bytes of the chunk that passed */
	size_t size;		/* of the chunk */
	bool full;		/* the chunk has been made */
	uint64_t chunk[CHUNK / sizeof(uint64_t)];
};

static struct stream out, in;
static volatile sig_atomic_t ended;
static bool gone;		/* the other end is gone */
static unsigned overslept;	/* waits that slept through an event */

static void
end(int sig)
{
	(void)sig;
	ended = 1;
}

static void
wait_over(int sig)
{
	(void)sig;
}

static double
now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (ts.tv_sec + ts.tv_nsec / 1e9);
}

/*
 * Waits until something may have changed.
 *
 * FreeBSD's evtchn(4) checks for events and goes to sleep without a lock that
 * its interrupt handler takes: an event in between wakes nobody, and there is
 * no other while its port is masked.  So the wait has a limit there.
 */
static void
pause_for(struct libxenvchan *ctrl)
{
	struct pollfd event = { .events = POLLIN };
	int error, why;

	alarm(WAIT_S);
	error = libxenvchan_wait(ctrl);
	why = errno;
	alarm(0);
	if (ended != 0)
		exit(4);
	if (error == 0)
		return;
	if (why != EINTR)
		errx(1, "libxenvchan_wait: %s", strerror(why));
	event.fd = libxenvchan_fd_for_select(ctrl);
	if (poll(&event, 1, 0) == 1)
		overslept++;
}

/* Both calls fail once the other end is gone; anything else is an error. */
static void
failed(struct libxenvchan *ctrl, const char *what)
{
	if (libxenvchan_is_open(ctrl) != 0)
		err(1, "%s", what);
	gone = true;
}

static void
start(struct stream *s, bool server, uint64_t total)
{
	s->state = server ? 0x9e3779b97f4a7c15 : 0xc2b2ae3d27d4eb4f;
	s->size = total < CHUNK ? total : CHUNK;
}

static void
advance(struct stream *s, uint64_t total)
{
	uint64_t left;

	s->done += s->size;
	left = total - s->done;
	s->at = 0;
	s->full = false;
	s->size = left < CHUNK ? left : CHUNK;
}

static void
fill(struct stream *s)
{
	size_t i;

	for (i = 0; i < s->size / sizeof(uint64_t); i++) {
		s->chunk[i] = next_word(&s->state);
		add_word(&s->sum, s->chunk[i]);
	}
	s->full = true;
}

static void
check(struct stream *s)
{
	size_t i;

	for (i = 0; i < s->size / sizeof(uint64_t); i++) {
		add_word(&s->sum, s->chunk[i]);
		if (s->chunk[i] != next_word(&s->state))
			errx(1, "byte %" PRIu64 " differs from what was sent",
			    s->done + i * sizeof(uint64_t));
	}
}

static struct libxenvchan *
connect_channel(bool server, int domid, const char *path, size_t ring)
{
	struct libxenvchan *ctrl;
	int i;

	if (server) {
		ctrl = libxenvchan_server_init(NULL, domid, path, ring, ring);
		if (ctrl == NULL)
			err(1, "libxenvchan_server_init");
		printf("serving\n");
		while (libxenvchan_is_open(ctrl) == 2)
			pause_for(ctrl);
		return (ctrl);
	}
	for (i = 0; i < CONNECT_TRIES; i++) {
		ctrl = libxenvchan_client_init(NULL, domid, path);
		if (ctrl != NULL)
			return (ctrl);
		usleep(CONNECT_US);
	}
	err(1, "libxenvchan_client_init");
}

/* True if anything moved. */
static bool
push(struct libxenvchan *ctrl, uint64_t total)
{
	int n;

	if (out.done == total)
		return (false);
	if (!out.full)
		fill(&out);
	n = libxenvchan_write(ctrl, (char *)out.chunk + out.at,
	    out.size - out.at);
	if (n < 0) {
		failed(ctrl, "libxenvchan_write");
		return (false);
	}
	out.at += (size_t)n;
	if (out.at == out.size)
		advance(&out, total);
	return (n > 0);
}

static bool
pull(struct libxenvchan *ctrl, uint64_t total)
{
	int n;

	if (in.done == total)
		return (false);
	n = libxenvchan_read(ctrl, (char *)in.chunk + in.at, in.size - in.at);
	if (n < 0) {
		failed(ctrl, "libxenvchan_read");
		return (false);
	}
	in.at += (size_t)n;
	if (in.at == in.size) {
		check(&in);
		advance(&in, total);
	}
	return (n > 0);
}

/* False if the other end went away before the end. */
static bool
transfer(struct libxenvchan *ctrl, uint64_t total)
{
	bool moved;

	while (out.done < total || in.done < total) {
		moved = push(ctrl, total);
		if (pull(ctrl, total))
			moved = true;
		if (ended != 0)
			exit(4);
		if (moved)
			continue;
		if (gone || (libxenvchan_is_open(ctrl) == 0 &&
		    libxenvchan_data_ready(ctrl) == 0))
			return (false);
		pause_for(ctrl);
	}
	return (true);
}

int
main(int argc, char **argv)
{
	struct libxenvchan *ctrl;
	const char *role;
	double begin, seconds;
	uint64_t total;
	size_t ring;
	bool server, whole;

	if (argc < 5 || argc > 6) {
		fprintf(stderr, "usage: xengnt-vchan server|client DOMID PATH "
		    "BYTES [RING]\n");
		return (2);
	}
	role = argv[1];
	server = strcmp(role, "server") == 0;
	total = strtoull(argv[4], NULL, 0);
	ring = argc > 5 ? strtoul(argv[5], NULL, 0) : 0;
	if (total % sizeof(uint64_t) != 0)
		errx(2, "BYTES must be a multiple of %zu", sizeof(uint64_t));
	/* Not restarted: SIGTERM must end a wait. */
	sigaction(SIGTERM, &(struct sigaction){ .sa_handler = end }, NULL);
	sigaction(SIGALRM, &(struct sigaction){ .sa_handler = wait_over },
	    NULL);
	setvbuf(stdout, NULL, _IOLBF, 0);
	start(&out, server, total);
	start(&in, !server, total);
	ctrl = connect_channel(server, atoi(argv[2]), argv[3], ring);
	printf("open\n");
	begin = now();
	whole = transfer(ctrl, total);
	seconds = now() - begin;
	if (total == 0) {
		while (libxenvchan_is_open(ctrl) == 1)
			pause_for(ctrl);
		whole = false;
	}
	printf("{\"role\": \"%s\", \"whole\": %s, \"sent\": %" PRIu64
	       ", \"received\": %" PRIu64 ", \"sent_sum\": \"%016" PRIx64
	       "\", \"received_sum\": \"%016" PRIx64
	       "\", \"seconds\": %.3f, \"overslept\": %u}\n",
	    role, whole ? "true" : "false", out.done, in.done, out.sum, in.sum,
	    seconds, overslept);
	libxenvchan_close(ctrl);
	/* On the harness the end of a process is the end of its domain. */
	if (getenv("XENGNT_VCHAN_LINGER") != NULL)
		while (getchar() != EOF)
			;
	return (whole ? 0 : 3);
}
