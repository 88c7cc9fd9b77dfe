/* SPDX-License-Identifier: BSD-2-Clause */
/* Operations wider than one call: threads, children, modules, limits. */
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <fcntl.h>

#include "agent.h"
#include "os.h"

/* A thread or child of one agent, addressed by "@n". */
struct sub {
	struct sub	*next;
	int		 n;
	int		 fd;	/* our end of its request socket */
	pid_t		 pid;	/* 0: a thread */
	pthread_t	 tid;
};

bool
hosted(void)
{
	return (xengnt_harness_sysctl != NULL);
}

static struct sub *
sub_find(struct agent *a, const char *text)
{
	struct sub *s;
	int n;

	if (parse_int(text, &n) != 0)
		return (NULL);
	for (s = a->subs; s != NULL && s->n != n; s = s->next)
		;
	return (s);
}

static void
sub_drop(struct agent *a, struct sub *s)
{
	struct sub **pp;

	for (pp = &a->subs; *pp != s; pp = &(*pp)->next)
		;
	*pp = s->next;
	close(s->fd);
	free(s);
}

/* After fork: the parent's threads and children do not belong to the child. */
void
subs_forget(struct agent *a)
{
	while (a->subs != NULL)
		sub_drop(a, a->subs);
}

/* Kills and reaps children.  Threads end with the process. */
void
subs_end(struct agent *a)
{
	struct sub *s;

	for (s = a->subs; s != NULL; s = s->next)
		if (s->pid != 0)
			kill(s->pid, SIGKILL);
	for (s = a->subs; s != NULL; s = s->next)
		if (s->pid != 0)
			waitpid(s->pid, NULL, 0);
	subs_forget(a);
}

/* Passes "rest" to sub-agent "n", which answers. */
int
sub_forward(struct agent *a, const char *n, char *rest, struct reply *r)
{
	struct sub *s;
	char *line;
	size_t room;
	int len, error;

	s = sub_find(a, n);
	if (s == NULL)
		return (bad(r, "no sub-agent @%.20s", n));
	room = strlen(a->seq) + strlen(rest) + 2;
	line = malloc(room);
	if (line == NULL)
		return (ENOMEM);
	len = snprintf(line, room, "%s %s", a->seq, rest);
	error = send_line(s->fd, line, (size_t)len, -1);
	free(line);
	/* A dead child's socket: report it, since nobody else will. */
	return (error == 0 ? R_NONE : bad(r, "sub-agent @%.20s is gone", n));
}

static struct sub *
sub_new(struct agent *a, int *theirs, int *error)
{
	struct sub *s;
	int count, sv[2];

	count = 0;
	for (s = a->subs; s != NULL; s = s->next)
		count++;
	if (count >= MAX_SUBS) {
		*error = EMFILE;
		return (NULL);
	}
	s = calloc(1, sizeof(*s));
	if (s == NULL) {
		*error = ENOMEM;
		return (NULL);
	}
	*error = seqpair(sv);
	if (*error != 0) {
		free(s);
		return (NULL);
	}
	s->fd = sv[0];
	*theirs = sv[1];
	s->n = ++a->nextsub;
	s->next = a->subs;
	a->subs = s;
	return (s);
}

static void *
thread_main(void *arg)
{
	struct agent *a = arg;

	agent_loop(a);
	subs_end(a);
	close(a->in);
	free(a);
	return (NULL);
}

static int
op_thread(struct call *c, struct reply *r)
{
	struct agent *t;
	struct sub *s;
	int error, in;

	s = sub_new(c->a, &in, &error);
	if (s == NULL)
		return (error);
	t = calloc(1, sizeof(*t));
	if (t == NULL) {
		close(in);
		sub_drop(c->a, s);
		return (ENOMEM);
	}
	t->in = in;
	t->out = c->a->out;
	t->thread = true;
	t->passed = -1;
	t->self = c->a->self;
	error = pthread_create(&s->tid, NULL, thread_main, t);
	if (error != 0) {
		free(t);
		close(in);
		sub_drop(c->a, s);
		return (error);
	}
	put(r, " sub=%d", s->n);
	return (0);
}

static int
op_fork(struct call *c, struct reply *r)
{
	struct sub *s;
	int error, in;

	s = sub_new(c->a, &in, &error);
	if (s == NULL)
		return (error);
	s->pid = fork();
	if (s->pid < 0) {
		error = errno;
		close(in);
		sub_drop(c->a, s);
		return (error);
	}
	if (s->pid == 0) {
		/* The child continues in the same loop, on its own socket. */
		close(c->a->in == c->a->out ? -1 : c->a->in);
		subs_forget(c->a);
		c->a->in = in;
		c->a->thread = false;
		c->a->nextsub = 0;
		return (R_NONE);
	}
	close(in);
	put(r, " sub=%d pid=%d", s->n, (int)s->pid);
	return (0);
}

static int
op_wait(struct call *c, struct reply *r)
{
	struct sub *s;
	char name[16];
	int error, status;

	s = sub_find(c->a, c->argv[1]);
	if (s == NULL)
		return (bad(r, "no sub-agent @%.20s", c->argv[1]));
	if (s->pid == 0) {
		error = pthread_join(s->tid, NULL);
		if (error != 0)
			return (error);
		put(r, " exit=0");
	} else {
		while (waitpid(s->pid, &status, 0) < 0)
			if (errno != EINTR)
				return (errno);
		if (WIFSIGNALED(status))
			put(r, " signal=%s",
			    signal_name(WTERMSIG(status), name));
		else
			put(r, " exit=%d", WEXITSTATUS(status));
	}
	sub_drop(c->a, s);
	return (0);
}

static int
op_kill(struct call *c, struct reply *r)
{
	struct sub *s;
	int sig;

	sig = signal_number(c->argv[2]);
	if (sig == 0)
		return (bad(r, "signal: %.40s", c->argv[2]));
	if (strcmp(c->argv[1], "self") == 0)
		return (kill(getpid(), sig) == 0 ? 0 : errno);
	s = sub_find(c->a, c->argv[1]);
	if (s == NULL || s->pid == 0)
		return (bad(r, "no child @%.20s", c->argv[1]));
	return (kill(s->pid, sig) == 0 ? 0 : errno);
}

static int
op_debug(struct call *c, struct reply *r)
{
	uint8_t buf[256];
	struct sub *s;
	size_t n;
	bool write;
	int rc;

	s = sub_find(c->a, c->argv[1]);
	if (s == NULL || s->pid == 0)
		return (bad(r, "no child @%.20s", c->argv[1]));
	write = strcmp(c->argv[0], "debugwrite") == 0;
	if (write) {
		rc = unhex(c->argv[3], buf, sizeof(buf), &n, r);
		if (rc != 0)
			return (rc);
	} else {
		if (c->n[3] > sizeof(buf))
			return (bad(r, "LENGTH: %.40s", c->argv[3]));
		n = (size_t)c->n[3];
	}
	rc = os_debug((int)s->pid, write, c->n[2], buf, n);
	if (rc == 0 && !write)
		put_hex(r, "data", buf, n);
	return (rc);
}

static int
op_exit(struct call *c, struct reply *r)
{

	answer(c->a->out, c->a->seq, 0, r);
	if (c->a->thread) {
		c->a->done = true;
		return (R_NONE);
	}
	/* Not _exit(): the harness counts leaks in its exit handler. */
	exit((int)c->n[1]);
}

/* Ends the case, children first, so that nothing outlives the worker. */
static int
op_end(struct call *c, struct reply *r)
{
	subs_end(c->a);
	return (op_exit(c, r));
}

/*
 * Executes a program in the same process: descriptors stay, mappings go.  Other
 * programs with a worker's protocol can be named, with a script to run.
 */
static int
op_exec(struct call *c, struct reply *r)
{
	const char *program, *script;
	char fd[16];
	int error;

	if (c->a->thread || c->a->in != c->a->out)
		return (bad(r, "exec is for the worker itself"));
	snprintf(fd, sizeof(fd), "%d", c->a->in);
	fcntl(c->a->in, F_SETFD, 0);
	program = c->argc > 1 ? c->argv[1] : c->a->self;
	script = c->argc > 2 ? c->argv[2] : NULL;
	if (script != NULL)
		execl(program, program, script, "--worker", fd, "--reply",
		    c->a->seq, (char *)NULL);
	else
		execl(program, "xengnt-agent", "--worker", fd, "--reply",
		    c->a->seq, "--gntdev", device_of("gntdev"), "--gntalloc",
		    device_of("gntalloc"), (char *)NULL);
	error = errno;
	fcntl(c->a->in, F_SETFD, FD_CLOEXEC);
	return (error);
}

static int
op_sendfd(struct call *c, struct reply *r)
{
	struct sub *s;
	char line[64];
	int error, len;

	s = sub_find(c->a, c->argv[1]);
	if (s == NULL)
		return (bad(r, "no sub-agent @%.20s", c->argv[1]));
	if (c->fd < 0)
		return (bad(r, "descriptor: %.40s", c->argv[2]));
	len = snprintf(line, sizeof(line), "%.32s received", c->a->seq);
	error = send_line(s->fd, line, (size_t)len, c->fd);
	return (error == 0 ? R_NONE : error);
}

/* The receiver's part of sendfd; not for clients. */
static int
op_received(struct call *c, struct reply *r)
{
	if (c->a->passed < 0)
		return (bad(r, "no descriptor came along"));
	put(r, " fd=%d", c->a->passed);
	c->a->passed = -1;
	return (0);
}

static int
op_sleep(struct call *c, struct reply *r)
{
	struct timespec ts;

	(void)r;
	ts.tv_sec = (time_t)(c->n[1] / 1000);
	ts.tv_nsec = (long)(c->n[1] % 1000) * 1000000;
	while (nanosleep(&ts, &ts) != 0 && errno == EINTR)
		;
	return (0);
}

static bool
is_device(const char *s)
{
	return (strcmp(s, "gntdev") == 0 || strcmp(s, "gntalloc") == 0);
}

static int
op_limit(struct call *c, struct reply *r)
{
	char name[64];
	const unsigned *change;
	unsigned new, old;
	int error = 0;

	if (!is_device(c->argv[1]))
		return (bad(r, "device: %.40s", c->argv[1]));
	new = (unsigned)c->n[2];
	change = c->argc > 2 ? &new : NULL;
	old = 0;
	if (hosted()) {
		snprintf(name, sizeof(name), "hw.xen.%s.limit", c->argv[1]);
		if (xengnt_harness_sysctl(name, change, &old) != 0)
			error = errno;
	} else
		error = os_limit(c->argv[1], c->argc > 2, new, &old);
	if (error == 0)
		put(r, " value=%u", old);
	return (error);
}

/* Unloads a grant module and no other; "in use" is an answer, not an error. */
static int
op_unload(struct call *c, struct reply *r)
{
	int error;

	if (strncmp(c->argv[1], "xen_gnt", 7) != 0 &&
	    strncmp(c->argv[1], "xengnt", 6) != 0)
		return (bad(r, "not a grant module: %.40s", c->argv[1]));
	if (hosted())
		error = xengnt_harness_unload == NULL ? ENOSYS :
		    xengnt_harness_unload() == 0 ? 0 : errno;
	else
		error = os_unload(c->argv[1]);
	if (error != 0 && error != EBUSY)
		return (error);
	put(r, " busy=%d", error == EBUSY);
	return (0);
}

/* Sets the address space's soft limit; without a number there is none. */
static int
op_rlimit(struct call *c, struct reply *r)
{
	struct rlimit limit;

	(void)r;
	if (getrlimit(RLIMIT_AS, &limit) != 0)
		return (errno);
	limit.rlim_cur = c->argc > 1 ? (rlim_t)c->n[1] : limit.rlim_max;
	return (setrlimit(RLIMIT_AS, &limit) == 0 ? 0 : errno);
}

static int
op_load(struct call *c, struct reply *r)
{
	(void)r;
	return (os_load(c->argv[1]));
}

/* Only under the harness does a peer request get here. */
static int
op_peer(struct call *c, struct reply *r)
{
	char request[1024], reply[LINE_BYTES / 2];
	size_t len;
	int i, n;

	if (xengnt_harness_peer == NULL)
		return (bad(r, "no peer here"));
	for (len = 0, i = 1; i < c->argc; i++) {
		n = snprintf(request + len, sizeof(request) - len, "%s%s",
		    i > 1 ? " " : "", c->argv[i]);
		len += (size_t)n;
		if (len >= sizeof(request))
			return (bad(r, "peer request too long"));
	}
	reply[0] = '\0';
	if (xengnt_harness_peer(request, reply, sizeof(reply)) != 0 &&
	    reply[0] == '\0')
		snprintf(reply, sizeof(reply), "err EIO no answer");
	reply[strcspn(reply, "\n")] = '\0';
	put(r, "%s %s", c->a->seq, reply);
	send_line(c->a->out, r->buf, r->len, -1);
	return (R_NONE);
}

/* Sets where the process dumps core. */
static int
op_corein(struct call *c, struct reply *r)
{
	struct rlimit all = { RLIM_INFINITY, RLIM_INFINITY };

	(void)r;
	if (chdir(c->argv[1]) != 0 || setrlimit(RLIMIT_CORE, &all) != 0)
		return (errno);
	return (0);
}

static int
op_getpid(struct call *c, struct reply *r)
{
	(void)c;
	put(r, " pid=%d", (int)getpid());
	return (0);
}

const struct op ops_proc[] = {
	{ "thread", 0, 0, op_thread, "" },
	{ "fork", 0, 0, op_fork, "" },
	{ "wait", 1, 1, op_wait, "N" },
	{ "kill", 2, 2, op_kill, "N|self SIGNAME" },
	{ "debugread", 3, 3, op_debug, "N ADDRESS LENGTH" },
	{ "debugwrite", 3, 3, op_debug, "N ADDRESS HEX" },
	{ "exit", 0, 1, op_exit, "[CODE]" },
	{ "end", 0, 0, op_end, "" },
	{ "exec", 0, 2, op_exec, "[PROGRAM [SCRIPT]]" },
	{ "sendfd", 2, 2, op_sendfd, "N FD" },
	{ "received", 0, 0, op_received, "" },
	{ "sleep", 1, 1, op_sleep, "MILLISECONDS" },
	{ "limit", 1, 2, op_limit, "gntdev|gntalloc [VALUE]" },
	{ "unload", 1, 1, op_unload, "MODULE" },
	{ "load", 1, 1, op_load, "PATH" },
	{ "rlimit", 0, 1, op_rlimit, "[LENGTH]" },
	{ "peer", 1, MAX_ARGS - 2, op_peer, "OP ..." },
	{ "corein", 1, 1, op_corein, "DIRECTORY" },
	{ "getpid", 0, 0, op_getpid, "" },
	{ NULL, 0, 0, NULL, NULL },
};
