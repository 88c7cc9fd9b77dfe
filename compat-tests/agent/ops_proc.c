/* SPDX-License-Identifier: BSD-2-Clause */
/* Threads, children, modules, limits: whatever is wider than one call. */
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

/* After fork: the parent's threads and children are not the child's. */
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

/* Hands "rest" to sub-agent "n"; that one answers. */
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
	/* A dead child's socket: say so, for nobody else will. */
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
op_thread(struct agent *a, int argc, char **argv, struct reply *r)
{
	struct agent *t;
	struct sub *s;
	int error, in;

	(void)argc;
	(void)argv;
	s = sub_new(a, &in, &error);
	if (s == NULL)
		return (error);
	t = calloc(1, sizeof(*t));
	if (t == NULL) {
		close(in);
		sub_drop(a, s);
		return (ENOMEM);
	}
	t->in = in;
	t->out = a->out;
	t->thread = true;
	t->passed = -1;
	t->self = a->self;
	error = pthread_create(&s->tid, NULL, thread_main, t);
	if (error != 0) {
		free(t);
		close(in);
		sub_drop(a, s);
		return (error);
	}
	put(r, " sub=%d", s->n);
	return (0);
}

static int
op_fork(struct agent *a, int argc, char **argv, struct reply *r)
{
	struct sub *s;
	int error, in;

	(void)argc;
	(void)argv;
	s = sub_new(a, &in, &error);
	if (s == NULL)
		return (error);
	s->pid = fork();
	if (s->pid < 0) {
		error = errno;
		close(in);
		sub_drop(a, s);
		return (error);
	}
	if (s->pid == 0) {
		/* The child goes on in the same loop, on its own socket. */
		close(a->in == a->out ? -1 : a->in);
		subs_forget(a);
		a->in = in;
		a->thread = false;
		a->nextsub = 0;
		return (R_NONE);
	}
	close(in);
	put(r, " sub=%d pid=%d", s->n, (int)s->pid);
	return (0);
}

static int
op_wait(struct agent *a, int argc, char **argv, struct reply *r)
{
	struct sub *s;
	char name[16];
	int error, status;

	(void)argc;
	s = sub_find(a, argv[1]);
	if (s == NULL)
		return (bad(r, "no sub-agent @%.20s", argv[1]));
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
	sub_drop(a, s);
	return (0);
}

static int
op_kill(struct agent *a, int argc, char **argv, struct reply *r)
{
	struct sub *s;
	int sig;

	(void)argc;
	sig = signal_number(argv[2]);
	if (sig == 0)
		return (bad(r, "signal: %.40s", argv[2]));
	if (strcmp(argv[1], "self") == 0)
		return (kill(getpid(), sig) == 0 ? 0 : errno);
	s = sub_find(a, argv[1]);
	if (s == NULL || s->pid == 0)
		return (bad(r, "no child @%.20s", argv[1]));
	return (kill(s->pid, sig) == 0 ? 0 : errno);
}

static int
op_debug(struct agent *a, int argc, char **argv, struct reply *r)
{
	uint8_t buf[256];
	struct sub *s;
	uint64_t addr, len;
	size_t n;
	bool write;
	int rc;

	(void)argc;
	s = sub_find(a, argv[1]);
	if (s == NULL || s->pid == 0)
		return (bad(r, "no child @%.20s", argv[1]));
	if (parse_u64(argv[2], &addr) != 0)
		return (bad(r, "address: %.40s", argv[2]));
	write = strcmp(argv[0], "debugwrite") == 0;
	if (write) {
		if (unhex(argv[3], buf, sizeof(buf), &n) != 0)
			return (bad(r, "data is not hex or too long"));
	} else {
		if (parse_u64(argv[3], &len) != 0 || len > sizeof(buf))
			return (bad(r, "length: %.40s", argv[3]));
		n = (size_t)len;
	}
	rc = os_debug((int)s->pid, write, (uintptr_t)addr, buf, n);
	if (rc == 0 && !write)
		put_hex(r, "data", buf, n);
	return (rc);
}

static int
op_exit(struct agent *a, int argc, char **argv, struct reply *r)
{
	int code;

	code = 0;
	if (argc > 1 && (parse_int(argv[1], &code) != 0 || code < 0 ||
	    code > 255))
		return (bad(r, "exit code: %.40s", argv[1]));
	answer(a->out, a->seq, 0, r);
	if (a->thread) {
		a->done = true;
		return (R_NONE);
	}
	/* Not _exit(): the harness counts leaks in its exit handler. */
	exit(code);
}

/* The end of a case: children first, so that nothing outlives the worker. */
static int
op_end(struct agent *a, int argc, char **argv, struct reply *r)
{
	subs_end(a);
	return (op_exit(a, argc, argv, r));
}

/*
 * A new program in the same process: descriptors stay, mappings go.  Other
 * programs that speak as a worker does can be named, with a script to run.
 */
static int
op_exec(struct agent *a, int argc, char **argv, struct reply *r)
{
	const char *program, *script;
	char fd[16];
	int error;

	if (a->thread || a->in != a->out)
		return (bad(r, "exec is for the worker itself"));
	snprintf(fd, sizeof(fd), "%d", a->in);
	fcntl(a->in, F_SETFD, 0);
	program = argc > 1 ? argv[1] : a->self;
	script = argc > 2 ? argv[2] : NULL;
	if (script != NULL)
		execl(program, program, script, "--worker", fd, "--reply",
		    a->seq, (char *)NULL);
	else
		execl(program, "xengnt-agent", "--worker", fd, "--reply",
		    a->seq, "--gntdev", device_of("gntdev"), "--gntalloc",
		    device_of("gntalloc"), (char *)NULL);
	error = errno;
	fcntl(a->in, F_SETFD, FD_CLOEXEC);
	return (error);
}

static int
op_sendfd(struct agent *a, int argc, char **argv, struct reply *r)
{
	struct sub *s;
	char line[64];
	int error, fd, len;

	(void)argc;
	s = sub_find(a, argv[1]);
	if (s == NULL)
		return (bad(r, "no sub-agent @%.20s", argv[1]));
	if (parse_int(argv[2], &fd) != 0 || fd < 0)
		return (bad(r, "descriptor: %.40s", argv[2]));
	len = snprintf(line, sizeof(line), "%.32s received", a->seq);
	error = send_line(s->fd, line, (size_t)len, fd);
	return (error == 0 ? R_NONE : error);
}

/* What a receiver does with the descriptor of sendfd; not for callers. */
static int
op_received(struct agent *a, int argc, char **argv, struct reply *r)
{
	(void)argc;
	(void)argv;
	if (a->passed < 0)
		return (bad(r, "no descriptor came along"));
	put(r, " fd=%d", a->passed);
	a->passed = -1;
	return (0);
}

static int
op_sleep(struct agent *a, int argc, char **argv, struct reply *r)
{
	struct timespec ts;
	uint64_t ms;

	(void)a;
	(void)argc;
	if (parse_u64(argv[1], &ms) != 0 || ms > 60000)
		return (bad(r, "milliseconds: %.40s", argv[1]));
	ts.tv_sec = (time_t)(ms / 1000);
	ts.tv_nsec = (long)(ms % 1000) * 1000000;
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
op_limit(struct agent *a, int argc, char **argv, struct reply *r)
{
	char name[64];
	const unsigned *change;
	unsigned new, old;
	uint64_t v;
	int error = 0;

	(void)a;
	if (!is_device(argv[1]))
		return (bad(r, "device: %.40s", argv[1]));
	v = 0;
	if (argc > 2 && (parse_u64(argv[2], &v) != 0 || v > 0xffffffff))
		return (bad(r, "limit: %.40s", argv[2]));
	new = (unsigned)v;
	change = argc > 2 ? &new : NULL;
	old = 0;
	if (hosted()) {
		snprintf(name, sizeof(name), "hw.xen.%s.limit", argv[1]);
		if (xengnt_harness_sysctl(name, change, &old) != 0)
			error = errno;
	} else
		error = os_limit(argv[1], argc > 2, new, &old);
	if (error == 0)
		put(r, " value=%u", old);
	return (error);
}

/* Unloads a grant module and no other; in use is an answer, not an error. */
static int
op_unload(struct agent *a, int argc, char **argv, struct reply *r)
{
	int error;

	(void)a;
	(void)argc;
	if (strncmp(argv[1], "xen_gnt", 7) != 0 &&
	    strncmp(argv[1], "xengnt", 6) != 0)
		return (bad(r, "not a grant module: %.40s", argv[1]));
	if (hosted())
		error = xengnt_harness_unload == NULL ? ENOSYS :
		    xengnt_harness_unload() == 0 ? 0 : errno;
	else
		error = os_unload(argv[1]);
	if (error != 0 && error != EBUSY)
		return (error);
	put(r, " busy=%d", error == EBUSY);
	return (0);
}

static int
op_load(struct agent *a, int argc, char **argv, struct reply *r)
{
	(void)a;
	(void)argc;
	(void)r;
	return (os_load(argv[1]));
}

/* Only under the harness does a peer request come this far. */
static int
op_peer(struct agent *a, int argc, char **argv, struct reply *r)
{
	char request[1024], reply[LINE_BYTES / 2];
	size_t len;
	int i, n;

	if (xengnt_harness_peer == NULL)
		return (bad(r, "no peer here"));
	for (len = 0, i = 1; i < argc; i++) {
		n = snprintf(request + len, sizeof(request) - len, "%s%s",
		    i > 1 ? " " : "", argv[i]);
		len += (size_t)n;
		if (len >= sizeof(request))
			return (bad(r, "peer request too long"));
	}
	reply[0] = '\0';
	if (xengnt_harness_peer(request, reply, sizeof(reply)) != 0 &&
	    reply[0] == '\0')
		snprintf(reply, sizeof(reply), "err EIO no answer");
	reply[strcspn(reply, "\n")] = '\0';
	put(r, "%s %s", a->seq, reply);
	send_line(a->out, r->buf, r->len, -1);
	return (R_NONE);
}

/* Where the process's core goes if it gets one. */
static int
op_corein(struct agent *a, int argc, char **argv, struct reply *r)
{
	struct rlimit all = { RLIM_INFINITY, RLIM_INFINITY };

	(void)a;
	(void)argc;
	(void)r;
	if (chdir(argv[1]) != 0 || setrlimit(RLIMIT_CORE, &all) != 0)
		return (errno);
	return (0);
}

static int
op_getpid(struct agent *a, int argc, char **argv, struct reply *r)
{
	(void)a;
	(void)argc;
	(void)argv;
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
	{ "peer", 1, MAX_ARGS - 2, op_peer, "OP ..." },
	{ "corein", 1, 1, op_corein, "DIRECTORY" },
	{ "getpid", 0, 0, op_getpid, "" },
	{ NULL, 0, 0, NULL, NULL },
};
