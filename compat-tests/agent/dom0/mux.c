/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * xengnt-mux DOMID REF PROGRAM [ARGUMENT...]: shares one line between several
 * listeners.
 *
 * A line on standard input begins with a letter for its receiver: "s" a shell,
 * "h" the program here, "g" a DomU at the other end of a wire (wire.h), whose
 * page is granted as REF.  Their output comes back in whole lines with their
 * letters.
 */
#include <sys/socket.h>
#include <err.h>
#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <xen/gntdev.h>

#include "start.h"
#include "wire.h"

#define	LINE	(128 * 1024)
#define	GIVE_UP	5000	/* milliseconds: the DomU is dead */

struct end {
	char	letter;
	int	fd;		/* -1: the wire */
	size_t	have;		/* of an incomplete line */
	char	line[LINE];
};

static struct wire *wire;
static struct end ends[] = { { .letter = 's' }, { .letter = 'h' },
    { .letter = 'g', .fd = -1 } };
#define	NENDS	(sizeof(ends) / sizeof(ends[0]))

/* Waits for as long as it takes: the other side always reads. */
static void
put_all(int fd, const char *buf, size_t size)
{
	ssize_t n;

	for (; size > 0; buf += n, size -= (size_t)n) {
		n = write(fd, buf, size);
		if (n < 0 && errno != EINTR && errno != EAGAIN)
			err(1, "write");
		if (n < 0)
			n = 0;
	}
}

/* Passes on whole lines, with the letter in front. */
static void
said(struct end *e, size_t more)
{
	char *nl;
	size_t len;

	e->have += more;
	while ((nl = memchr(e->line, '\n', e->have)) != NULL) {
		len = (size_t)(nl + 1 - e->line);
		put_all(1, &e->letter, 1);
		put_all(1, e->line, len);
		e->have -= len;
		memmove(e->line, nl + 1, e->have);
	}
	if (e->have == LINE)
		e->have = 0;
}

static bool
listen_wire(struct end *e)
{
	size_t n;

	n = wire_receive(&wire->to_dom0, (unsigned char *)e->line + e->have,
	    LINE - e->have);
	said(e, n);
	return (n != 0);
}

static void
tell(char *line, size_t len)
{
	size_t i, n;
	int tries;

	for (i = 0; i < NENDS && ends[i].letter != *line; i++)
		;
	if (i == NENDS)
		return;
	line++;
	len--;
	if (ends[i].fd >= 0) {
		put_all(ends[i].fd, line, len);
		return;
	}
	for (tries = 0; len > 0 && tries < GIVE_UP; tries++) {
		n = wire_send(&wire->to_domu, (unsigned char *)line, len);
		line += n;
		len -= n;
		if (n != 0)
			tries = 0;
		/* Both may be full of what the other one must read first. */
		else if (!listen_wire(&ends[i]))
			usleep(1000);
	}
}

static void
wire_accept(unsigned domid, unsigned ref)
{
	struct ioctl_gntdev_map_grant_ref arg = { .count = 1 };
	int fd;

	arg.refs[0].domid = domid;
	arg.refs[0].ref = ref;
	fd = open("/dev/xen/gntdev", O_RDWR | O_CLOEXEC);
	if (fd < 0 || ioctl(fd, IOCTL_GNTDEV_MAP_GRANT_REF, &arg) != 0)
		err(1, "/dev/xen/gntdev");
	wire = mmap(NULL, WIRE_PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd,
	    (off_t)arg.index);
	if (wire == MAP_FAILED)
		err(1, "mapping ref %u of domain %u", ref, domid);
}

int
main(int argc, char **argv)
{
	static char shell[] = "/bin/sh", in[LINE];
	char *sh[] = { shell, NULL }, *nl;
	struct pollfd p[3];
	size_t have, len, i;
	ssize_t n;
	int idle, wait;

	if (argc < 4)
		errx(2, "usage: xengnt-mux DOMID REF PROGRAM [ARGUMENT...]");
	wire_accept((unsigned)strtoul(argv[1], NULL, 0),
	    (unsigned)strtoul(argv[2], NULL, 0));
	warnx("has the wire");
	ends[0].fd = start_program(sh, NULL);
	ends[1].fd = start_program(argv + 3, NULL);
	put_all(1, "! mux\n", 6);
	for (have = 0, idle = 0;;) {
		idle = listen_wire(&ends[2]) ? 0 : idle + 1;
		for (i = 0; i < 2; i++)
			p[i] = (struct pollfd){ ends[i].fd, POLLIN, 0 };
		p[2] = (struct pollfd){ 0, POLLIN, 0 };
		/* Leave the processor to the DomU meanwhile. */
		wait = idle < 1000 ? 1 : 20;
		if (poll(p, 3, wait) <= 0)
			continue;
		for (i = 0; i < 2; i++) {
			if (p[i].revents == 0)
				continue;
			n = read(ends[i].fd, ends[i].line + ends[i].have,
			    LINE - ends[i].have);
			if (n <= 0)
				errx(1, "%c has ended", ends[i].letter);
			said(&ends[i], (size_t)n);
		}
		if (p[2].revents == 0)
			continue;
		n = read(0, in + have, LINE - have);
		if (n <= 0)
			return (0);
		have += (size_t)n;
		idle = 0;
		while ((nl = memchr(in, '\n', have)) != NULL) {
			len = (size_t)(nl + 1 - in);
			tell(in, len);
			have -= len;
			memmove(in, nl + 1, have);
		}
		if (have == LINE)
			have = 0;
	}
}
