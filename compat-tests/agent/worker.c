/* SPDX-License-Identifier: BSD-2-Clause */
/* The request loop of a worker, a thread or a child. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent.h"
#include "os.h"

static const struct op *
find_op(const char *name)
{
	static const struct op *const tables[] = {
		ops_event, ops_file, ops_mem, ops_proc,
#ifdef AGENT_LIB
		ops_lib,
#endif
	};
	const struct op *op;
	size_t i;

	for (i = 0; i < sizeof(tables) / sizeof(tables[0]); i++)
		for (op = tables[i]; op->name != NULL; op++)
			if (strcmp(op->name, name) == 0)
				return (op);
	return (NULL);
}

static int
perform(struct agent *a, char *text, struct reply *r)
{
	struct call c = { .a = a, .fd = -1 };
	const struct op *op;
	char *argv[MAX_ARGS], *rest;
	int rc;

	while (*text == ' ')
		text++;
	if (*text == '@') {
		rest = text + strcspn(text, " ");
		if (*rest == '\0')
			return (bad(r, "nothing for %.20s to do", text));
		*rest++ = '\0';
		return (sub_forward(a, text + 1, rest, r));
	}
	c.argv = argv;
	c.argc = split(text, argv, MAX_ARGS);
	if (c.argc < 0)
		return (bad(r, "too many words"));
	if (c.argc == 0)
		return (bad(r, "empty request"));
	op = find_op(argv[0]);
	if (op == NULL)
		return (bad(r, "unknown operation %.40s", argv[0]));
	if (c.argc - 1 < op->min || c.argc - 1 > op->max)
		return (bad(r, "usage: %s %s", op->name, op->usage));
	rc = get_words(&c, op->usage, r);
	return (rc != 0 ? rc : op->fn(&c, r));
}

/* Requests arrive as "SEQ OP ..."; the supervisor has checked SEQ. */
void
agent_loop(struct agent *a)
{
	struct reply r;
	char *line, *text;
	ssize_t n;
	int rc;

	line = malloc(LINE_BYTES);
	r.buf = malloc(LINE_BYTES);
	a->scratch = aligned_alloc(4096, LINE_BYTES);
	if (line == NULL || r.buf == NULL || a->scratch == NULL)
		abort();
	memset(a->scratch, 0, LINE_BYTES);
	while (!a->done) {
		n = recv_line(a->in, line, LINE_BYTES, &a->passed);
		if (n <= 0)
			break;
		text = line + strcspn(line, " ");
		if (*text == ' ')
			*text++ = '\0';
		a->seq = line;
		r.len = 0;
		r.buf[0] = '\0';
		r.fault = 0;
		rc = perform(a, text, &r);
		answer(a->out, a->seq, rc, &r);
		if (a->passed >= 0) {
			close(a->passed);
			a->passed = -1;
		}
	}
	free(a->scratch);
	free(line);
	free(r.buf);
}

/* reply is the SEQ of the exec request that led here, or NULL. */
int
worker_main(int fd, const char *reply, const char *self)
{
	struct agent a;
	struct reply r;
	char empty[1] = "";

	memset(&a, 0, sizeof(a));
	a.in = a.out = fd;
	a.passed = -1;
	a.self = self;
	fcntl(fd, F_SETFD, FD_CLOEXEC);
	signal(SIGPIPE, SIG_IGN);
	guard_init();
	os_reap_orphans();
	if (reply != NULL) {
		memset(&r, 0, sizeof(r));
		r.buf = empty;
		answer(fd, reply, 0, &r);
	}
	agent_loop(&a);
	subs_end(&a);
	exit(0);
}
