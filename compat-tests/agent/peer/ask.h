/* SPDX-License-Identifier: BSD-2-Clause */
/* Requests to the helper domain's program (peer.c), which is our child. */
#ifndef AGENT_ASK_H
#define	AGENT_ASK_H

#include <fcntl.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../dom0/start.h"

struct helper {
	FILE		*to, *from;
	char		reply[8192];
};

/* True if the reply is "ok". */
static bool __attribute__((format(printf, 2, 3)))
ask(struct helper *h, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vfprintf(h->to, fmt, ap);
	va_end(ap);
	fputc('\n', h->to);
	if (fflush(h->to) != 0 ||
	    fgets(h->reply, sizeof(h->reply), h->from) == NULL)
		errx(1, "the helper domain's program is gone");
	h->reply[strcspn(h->reply, "\n")] = '\0';
	return (strncmp(h->reply, "ok", 2) == 0);
}

/* The number behind "key=" in the last reply, which must contain it. */
static unsigned
value(const struct helper *h, const char *key)
{
	const char *at;

	at = strstr(h->reply, key);
	if (strncmp(h->reply, "ok", 2) != 0 || at == NULL) {
		printf("helper domain: %s\n", h->reply);
		exit(1);
	}
	return ((unsigned)strtol(at + strlen(key), NULL, 0));
}

/* Makes a domain of this many pages; returns its number. */
static unsigned
helper_start(struct helper *h, char *program, unsigned pages)
{
	char *argv[] = { program, NULL };
	int fd;

	fd = start_program(argv, NULL);
	h->to = fdopen(fd, "w");
	h->from = fdopen(fcntl(fd, F_DUPFD_CLOEXEC, 0), "r");
	if (h->to == NULL || h->from == NULL)
		err(1, "fdopen");
	setvbuf(h->from, NULL, _IOLBF, 0);
	ask(h, "new pages=%u", pages);
	return (value(h, "domid="));
}

#endif /* !AGENT_ASK_H */
