/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The supervisor: owns the byte stream, starts a worker for each case, survives
 * it, and relays lines between the two and the helper-domain program.
 */
#include <sys/socket.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include "agent.h"
#include "os.h"

#define	SEQ_BYTES	32
#define	LOG_LEVEL	4	/* kernel messages up to "warning" */
#define	LOG_LINES	100	/* of them for one case */
#define	LOG_BYTES	256
#define	PEER_QUEUE	64	/* requests waiting for the peer program */

struct waiting {
	char	 seq[SEQ_BYTES];
	char	*text;
};

struct stream {
	char	*buf;
	size_t	 len;
	bool	 flood;		/* inside a line that is too long */
};

struct supervisor {
	const struct options *opt;
	int		 in, out;
	struct stream	 stream;
	pid_t		 worker;	/* 0: none */
	int		 wfd;
	pid_t		 peer;
	int		 pfd;
	struct stream	 pstream;
	char		 pseq[SEQ_BYTES]; /* of the peer request, or empty */
	struct waiting	 queue[PEER_QUEUE];
	int		 nqueued;
	bool		 done;
};

static volatile sig_atomic_t child_changed;

static void
on_child(int sig)
{
	(void)sig;
	child_changed = 1;
}

static void
emit(struct supervisor *s, const char *line, size_t len)
{
	struct pollfd p;
	ssize_t n;
	char nl;

	nl = '\n';
	while (len > 0 || nl != '\0') {
		n = write(s->out, len > 0 ? line : &nl, len > 0 ? len : 1);
		if (n > 0 && len > 0) {
			line += n;
			len -= (size_t)n;
		} else if (n > 0)
			nl = '\0';
		else if (n < 0 && errno == EAGAIN) {
			p.fd = s->out;
			p.events = POLLOUT;
			poll(&p, 1, 1000);
		} else if (n < 0 && errno != EINTR) {
			s->done = true;
			return;
		}
	}
}

static void say(struct supervisor *, const char *, ...)
    __attribute__((format(printf, 2, 3)));

static void
say(struct supervisor *s, const char *fmt, ...)
{
	char line[1024];
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	if (n < 0)
		return;
	emit(s, line, (size_t)n < sizeof(line) ? (size_t)n :
	    sizeof(line) - 1);
}

static int
start_worker(struct supervisor *s)
{
	char fd[16];
	int error, sv[2];

	error = seqpair(sv);
	if (error != 0)
		return (error);
	snprintf(fd, sizeof(fd), "%d", WORKER_FD);
	s->worker = fork();
	if (s->worker < 0) {
		s->worker = 0;
		error = errno;
		close(sv[0]);
		close(sv[1]);
		return (error);
	}
	if (s->worker == 0) {
		setpgid(0, 0);
		signal(SIGCHLD, SIG_DFL);
		signal(SIGPIPE, SIG_DFL);
		if (dup2(sv[1], WORKER_FD) < 0)
			_exit(126);
		close(sv[0]);
		close(sv[1]);
		if (s->pfd >= 0)
			close(s->pfd);
		if (s->in > STDERR_FILENO)
			close(s->in);
		/* The worker must neither read nor write the stream. */
		dup2(STDERR_FILENO, STDOUT_FILENO);
		close(STDIN_FILENO);
		open("/dev/null", O_RDONLY);
		/*
		 * Under the harness a worker must be a domain of its own from
		 * its first instruction on.  Elsewhere a fork is as good, and
		 * many times cheaper under emulation.
		 */
		if (!hosted())
			worker_main(WORKER_FD, NULL, s->opt->self);
		execl(s->opt->self, "xengnt-agent", "--worker", fd,
		    "--gntdev", device_of("gntdev"), "--gntalloc",
		    device_of("gntalloc"), (char *)NULL);
		_exit(127);
	}
	setpgid(s->worker, s->worker);
	close(sv[1]);
	s->wfd = sv[0];
	return (0);
}

/* Takes everything the worker has sent, without waiting. */
static bool
drain_worker(struct supervisor *s)
{
	static char line[LINE_BYTES];
	ssize_t n;

	do
		n = recv(s->wfd, line, sizeof(line), MSG_DONTWAIT);
	while (n < 0 && errno == EINTR);
	if (n <= 0)
		return (false);
	emit(s, line, (size_t)n);
	return (true);
}

/*
 * Passes on what the kernel has logged since the last time.  The log itself has
 * exact times; a console lags behind and costs more than the case.
 */
static void
tell_log(struct supervisor *s)
{
	char text[LOG_BYTES];
	int level, n;

	for (n = 0; n < LOG_LINES && os_log_next(&level, text, sizeof(text));) {
		if (level > LOG_LEVEL)
			continue;
		say(s, "! log %d %s", level, text);
		n++;
	}
}

/*
 * The worker is dead.  Kill its children, too; end of file on the socket means
 * that the last of them has closed its files.
 */
static void
worker_died(struct supervisor *s, int status)
{
	struct pollfd p;
	char name[16];
	pid_t pid;
	int rounds;

	pid = s->worker;
	s->worker = 0;
	kill(-pid, SIGKILL);
	p.fd = s->wfd;
	p.events = POLLIN;
	for (rounds = 0; rounds < 100; rounds++) {
		while (drain_worker(s))
			;
		if (recv(s->wfd, name, 1, MSG_DONTWAIT | MSG_PEEK) == 0)
			break;
		poll(&p, 1, 100);
	}
	close(s->wfd);
	s->wfd = -1;
	tell_log(s);
	if (WIFSIGNALED(status))
		say(s, "! signal %s", signal_name(WTERMSIG(status), name));
	else
		say(s, "! exit %d", WEXITSTATUS(status));
}

static void
reap(struct supervisor *s)
{
	pid_t pid;
	int status;

	child_changed = 0;
	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		if (pid == s->worker)
			worker_died(s, status);
		else if (pid == s->peer)
			s->peer = 0;	/* the rest follows from its socket */
	}
}

static int
start_peer(struct supervisor *s)
{
	int error, sv[2];

	if (s->opt->peer == NULL)
		return (ENXIO);
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sv) != 0)
		return (errno);
	s->peer = fork();
	if (s->peer < 0) {
		s->peer = 0;
		error = errno;
		close(sv[0]);
		close(sv[1]);
		return (error);
	}
	if (s->peer == 0) {
		signal(SIGCHLD, SIG_DFL);
		dup2(sv[1], STDIN_FILENO);
		dup2(sv[1], STDOUT_FILENO);
		execl(s->opt->peer, "xengnt-peer", (char *)NULL);
		_exit(127);
	}
	close(sv[1]);
	s->pfd = sv[0];
	s->pstream.len = 0;
	return (0);
}

static void
peer_gone(struct supervisor *s, const char *why)
{
	close(s->pfd);
	s->pfd = -1;
	if (s->pseq[0] != '\0')
		say(s, "%s err EPIPE %s", s->pseq, why);
	s->pseq[0] = '\0';
}

static void
ask_peer(struct supervisor *s, const char *seq, const char *text)
{
	char name[16];
	size_t len, n;
	ssize_t w;
	int error;

	if (s->pseq[0] != '\0') {
		if (s->nqueued == PEER_QUEUE ||
		    (s->queue[s->nqueued].text = strdup(text)) == NULL) {
			say(s, "%s err EBUSY too many peer requests", seq);
			return;
		}
		snprintf(s->queue[s->nqueued++].seq, SEQ_BYTES, "%s", seq);
		return;
	}
	if (s->pfd < 0 && (error = start_peer(s)) != 0) {
		say(s, "%s err %s %s", seq, errno_name(error, name),
		    s->opt->peer == NULL ? "no --peer given" :
		    "cannot start the peer program");
		return;
	}
	snprintf(s->pseq, sizeof(s->pseq), "%s", seq);
	len = strlen(text);
	for (n = 0; n <= len; n += (size_t)w) {
		w = send(s->pfd, n < len ? text + n : "\n",
		    n < len ? len - n : 1, MSG_NOSIGNAL);
		if (w < 0 && errno == EINTR)
			w = 0;
		if (w < 0) {
			peer_gone(s, "the peer program died");
			return;
		}
	}
}

/* The peer has answered or died: send the next waiting request. */
static void
peer_next(struct supervisor *s)
{
	struct waiting next;

	while (s->pseq[0] == '\0' && s->nqueued > 0) {
		next = s->queue[0];
		s->nqueued--;
		memmove(&s->queue[0], &s->queue[1],
		    (size_t)s->nqueued * sizeof(s->queue[0]));
		ask_peer(s, next.seq, next.text);
		free(next.text);
	}
}

static void
hello(struct supervisor *s, const char *seq)
{
	struct utsname u;
	char facts[512];

	uname(&u);
	os_facts(facts, sizeof(facts));
	say(s, "%s ok proto=%d os=%.64s release=%.64s machine=%.64s "
	    "pagesize=%ld harness=%d peer=%d%s", seq, AGENT_PROTO, u.sysname,
	    u.release, u.machine, sysconf(_SC_PAGESIZE), hosted(),
	    xengnt_harness_peer != NULL || s->opt->peer != NULL, facts);
}

/*
 * The line is printable, "SEQ OP ..."; requests that are not ours go to the
 * worker.
 */
static void
handle(struct supervisor *s, char *line, size_t len)
{
	char copy[64], name[16], seq[SEQ_BYTES], *op, *rest;
	size_t n;
	int error;

	if (len == 0)
		return;
	n = strcspn(line, " ");
	if (!clean_line(line, len) || n == 0 || n >= sizeof(seq) ||
	    strspn(line, "0123456789") < n) {
		say(s, "? err EPROTO not a request");
		return;
	}
	memcpy(seq, line, n);
	seq[n] = '\0';
	op = line + n;
	while (*op == ' ')
		op++;
	n = strcspn(op, " ");
	snprintf(copy, sizeof(copy), "%.*s", (int)(n < 60 ? n : 60), op);
	rest = op + n;
	while (*rest == ' ')
		rest++;

	if (strcmp(copy, "hello") == 0)
		hello(s, seq);
	else if (strcmp(copy, "mark") == 0) {
		error = os_mark(rest);
		if (error == 0)
			say(s, "%s ok", seq);
		else
			say(s, "%s err %s", seq, errno_name(error, name));
	} else if (strcmp(copy, "peer") == 0 && xengnt_harness_peer == NULL) {
		if (*rest == '\0')
			say(s, "%s err EPROTO usage: peer OP ...", seq);
		else
			ask_peer(s, seq, rest);
	} else if (strcmp(copy, "abort") == 0) {
		if (s->worker == 0)
			say(s, "%s err EPROTO no case is active", seq);
		else {
			kill(-s->worker, SIGKILL);
			kill(s->worker, SIGKILL);
			say(s, "%s ok", seq);
		}
	} else if (strcmp(copy, "poweroff") == 0) {
		error = s->opt->poweroff ? os_poweroff() : EPERM;
		say(s, "%s err %s", seq, errno_name(error, name));
	} else if (strcmp(copy, "case") == 0) {
		if (s->worker != 0)
			say(s, "%s err EPROTO a case is active", seq);
		else if ((error = start_worker(s)) != 0)
			say(s, "%s err %s", seq, errno_name(error, name));
		else
			say(s, "%s ok", seq);
	} else if (s->worker == 0)
		say(s, "%s err EPROTO %s: %.40s", seq,
		    *copy == '\0' ? "empty request" : "no case is active",
		    copy);
	else
		/* If the worker is dying, its death is the answer. */
		send_line(s->wfd, line, len, -1);
}

/* Takes complete lines off the stream; false at its end. */
static bool
feed(struct supervisor *s, int fd, struct stream *st,
    void (*line)(struct supervisor *, char *, size_t))
{
	char *nl;
	ssize_t n;
	size_t len;

	n = read(fd, st->buf + st->len, LINE_BYTES - st->len);
	if (n < 0 && (errno == EINTR || errno == EAGAIN))
		return (true);
	if (n <= 0)
		return (false);
	st->len += (size_t)n;
	while ((nl = memchr(st->buf, '\n', st->len)) != NULL) {
		len = (size_t)(nl - st->buf);
		*nl = '\0';
		if (st->flood)
			st->flood = false;
		else {
			while (len > 0 && st->buf[len - 1] == '\r')
				st->buf[--len] = '\0';
			line(s, st->buf, len);
		}
		st->len -= (size_t)(nl + 1 - st->buf);
		memmove(st->buf, nl + 1, st->len);
	}
	if (st->len == LINE_BYTES) {
		if (!st->flood)
			say(s, "? err EPROTO line longer than %d bytes",
			    LINE_BYTES);
		st->flood = true;
		st->len = 0;
	}
	return (true);
}

static void
peer_line(struct supervisor *s, char *line, size_t len)
{
	if (s->pseq[0] == '\0' || !clean_line(line, len))
		return;		/* unsolicited */
	if (strcmp(line, "ok") != 0 && strncmp(line, "ok ", 3) != 0 &&
	    (strncmp(line, "err E", 5) != 0 || strcspn(line + 4,
	    " ") != strspn(line + 4, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789")))
		say(s, "%s err EPROTO the peer's answer makes no sense",
		    s->pseq);
	else if (len > LINE_BYTES - SEQ_BYTES - 2) {
		say(s, "%s err EMSGSIZE the peer's answer is too long",
		    s->pseq);
	} else {
		memmove(line + strlen(s->pseq) + 1, line, len);
		memcpy(line, s->pseq, strlen(s->pseq));
		line[strlen(s->pseq)] = ' ';
		emit(s, line, len + strlen(s->pseq) + 1);
	}
	s->pseq[0] = '\0';
}

static int
open_serial(const char *path)
{
	struct termios t;
	int fd;

	fd = open(path, O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (fd < 0)
		return (-1);
	if (tcgetattr(fd, &t) == 0) {
		cfmakeraw(&t);
		t.c_cflag |= CLOCAL | CREAD;
		t.c_cflag &= ~(tcflag_t)CRTSCTS;
		t.c_cc[VMIN] = 1;
		t.c_cc[VTIME] = 0;
		cfsetspeed(&t, B115200);
		tcsetattr(fd, TCSAFLUSH, &t);
	}
	return (fd);
}

int
supervise(const struct options *opt)
{
	struct sigaction sa;
	struct supervisor s;
	struct pollfd p[3];
	int i, n, wait;

	memset(&s, 0, sizeof(s));
	s.opt = opt;
	s.in = STDIN_FILENO;
	s.out = STDOUT_FILENO;
	s.wfd = s.pfd = -1;
	s.stream.buf = malloc(LINE_BYTES + 1);
	s.pstream.buf = malloc(LINE_BYTES + SEQ_BYTES + 2);
	if (s.stream.buf == NULL || s.pstream.buf == NULL) {
		fprintf(stderr, "xengnt-agent: out of memory\n");
		return (1);
	}
	if (opt->serial != NULL) {
		s.in = s.out = open_serial(opt->serial);
		if (s.in < 0) {
			fprintf(stderr, "xengnt-agent: %s: %s\n", opt->serial,
			    strerror(errno));
			return (1);
		}
	}
	memset(&sa, 0, sizeof(sa));
	sa.sa_handler = on_child;
	sigaction(SIGCHLD, &sa, NULL);
	signal(SIGPIPE, SIG_IGN);
	os_log_start();
	say(&s, "! ready");
	while (!s.done) {
		n = 0;
		p[n++] = (struct pollfd){ .fd = s.in, .events = POLLIN };
		p[n++] = (struct pollfd){ .fd = s.wfd, .events = POLLIN };
		p[n++] = (struct pollfd){ .fd = s.pfd, .events = POLLIN };
		/* A child may die between reap() and poll(): check again. */
		wait = s.worker != 0 ? 200 : 1000;
		if (!child_changed && poll(p, (nfds_t)n, wait) < 0)
			for (i = 0; i < n; i++)
				p[i].revents = 0;
		else if (child_changed)
			poll(p, (nfds_t)n, 0);
		/* Keep the fd of a worker that hung up while children live. */
		if (s.wfd >= 0 && p[1].revents != 0)
			while (drain_worker(&s))
				;
		reap(&s);
		if (s.pfd >= 0 && p[2].revents != 0 &&
		    !feed(&s, s.pfd, &s.pstream, peer_line))
			peer_gone(&s, "the peer program died");
		peer_next(&s);
		if (p[0].revents != 0 && !feed(&s, s.in, &s.stream, handle))
			s.done = true;
	}
	if (s.worker != 0) {
		kill(-s.worker, SIGKILL);
		kill(s.worker, SIGKILL);
		waitpid(s.worker, NULL, 0);
	}
	return (0);
}
