/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The agent's protocol with any bytes on its line.  Supervisor, worker and
 * operations are the real ones; the calls by which they act on the system
 * come here (agent_stubs.h) and succeed or fail as the input says.  Whatever
 * comes in, only lines of the protocol may go out.
 */
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <ctype.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <time.h>

#include "../../compat-tests/agent/agent.h"
#include "../../compat-tests/agent/os.h"

#include "fuzz.h"

#define	MEMORY		(64u * 1024)	/* that memory operations reach */
#define	FIRST_FD	10		/* of a socket; pairs are neighbours */
#define	NFDS		256
#define	NTHREADS	64
#define	WORKER_PID	1000
#define	PEER_PID	2000
#define	CHILD_PID	3000

struct message {
	struct message	*next;
	size_t		len;
	char		text[];
};

struct thread {
	void	*(*fn)(void *);
	void	*arg;
	bool	ended;
};

struct block {
	struct block	*next, **prev;
	max_align_t	data[];
};

static uint8_t *memory;

static struct {
	struct input	in;		/* the line */
	uint64_t	random;
	unsigned	lines;		/* that came in */
	unsigned	answers;	/* that went out */
	char		*out;		/* the line that goes out */
	size_t		out_len;
	struct block	*blocks;

	struct message	*queue[NFDS];	/* to be read from this end */
	bool		open[NFDS];
	int		nfds;
	int		last_type;	/* of the last pair */

	bool		inside;		/* the worker runs, not its parent */
	int		worker_fd;	/* -1: no worker */
	int		peer_fd;
	int		worker_status;	/* of its end */
	bool		worker_ended, peer_ended;
	struct agent	worker;
	jmp_buf		worker_exit;
	struct thread	threads[NTHREADS];
	unsigned	nthreads;
	int		ended_child;
} w;

/* Decisions of the system: a stream of its own, seeded by the input. */
static unsigned
chance(unsigned n)
{

	w.random = w.random * 6364136223846793005u + 1442695040888963407u;
	return ((unsigned)(w.random >> 33) % n);
}

static int
fails(void)
{
	static const int errors[] = {
		EPERM, ENOENT, EBADF, ENOMEM, EACCES, EFAULT, EBUSY, EINVAL,
		ENOTTY, ENOSPC, ENOSYS, EOPNOTSUPP, 12345,
	};

	if (chance(4) != 0)
		return (0);
	errno = errors[chance(sizeof(errors) / sizeof(errors[0]))];
	return (-1);
}

/* Memory: what an agent that ends by exit() leaves is freed here. */

static void *
track(struct block *b)
{

	MUST(b != NULL);
	b->next = w.blocks;
	b->prev = &w.blocks;
	if (b->next != NULL)
		b->next->prev = &b->next;
	w.blocks = b;
	return (b->data);
}

void	*stub_malloc(size_t);
void	*stub_calloc(size_t, size_t);
void	*stub_aligned_alloc(size_t, size_t);
char	*stub_strdup(const char *);
void	stub_free(void *);

void *
stub_malloc(size_t size)
{

	return (track(malloc(sizeof(struct block) + size)));
}

void *
stub_calloc(size_t n, size_t size)
{

	return (track(calloc(1, sizeof(struct block) + n * size)));
}

void *
stub_aligned_alloc(size_t align, size_t size)
{

	(void)align;
	return (stub_malloc(size));
}

char *
stub_strdup(const char *s)
{

	return (strcpy(stub_malloc(strlen(s) + 1), s));
}

void
stub_free(void *p)
{
	struct block *b;

	if (p == NULL)
		return;
	b = (struct block *)((char *)p - offsetof(struct block, data));
	*b->prev = b->next;
	if (b->next != NULL)
		b->next->prev = b->prev;
	free(b);
}

/* Sockets. */

static int
slot(int fd)
{

	return (fd >= FIRST_FD && fd < FIRST_FD + NFDS ? fd - FIRST_FD : -1);
}

int	stub_socketpair(int, int, int, int [2]);
int	stub_setsockopt(int, int, int, const void *, socklen_t);
ssize_t	stub_send(int, const void *, size_t, int);
ssize_t	stub_recv(int, void *, size_t, int);
ssize_t	stub_sendmsg(int, const struct msghdr *, int);
ssize_t	stub_recvmsg(int, struct msghdr *, int);

int
stub_socketpair(int domain, int type, int protocol, int sv[2])
{

	(void)domain;
	(void)protocol;
	w.last_type = type & SOCK_SEQPACKET;
	if (w.nfds + 2 > NFDS || chance(32) == 0) {
		errno = EMFILE;
		return (-1);
	}
	sv[0] = FIRST_FD + w.nfds++;
	sv[1] = FIRST_FD + w.nfds++;
	w.open[slot(sv[0])] = w.open[slot(sv[1])] = true;
	return (0);
}

int
stub_setsockopt(int fd, int level, int name, const void *value, socklen_t len)
{

	(void)fd;
	(void)level;
	(void)name;
	(void)value;
	(void)len;
	return (0);
}

ssize_t
stub_send(int fd, const void *data, size_t len, int flags)
{
	struct message *m, **mp;
	int s;

	(void)flags;
	s = slot(fd);
	if (s < 0 || !w.open[s ^ 1]) {
		errno = s < 0 ? EBADF : EPIPE;
		return (-1);
	}
	m = stub_malloc(sizeof(*m) + len + 1);
	m->next = NULL;
	m->len = len;
	memcpy(m->text, data, len);
	m->text[len] = '\0';
	for (mp = &w.queue[s ^ 1]; *mp != NULL; mp = &(*mp)->next)
		;
	*mp = m;
	return ((ssize_t)len);
}

ssize_t
stub_recv(int fd, void *data, size_t len, int flags)
{
	struct message *m;
	int s;

	s = slot(fd);
	m = s < 0 ? NULL : w.queue[s];
	if (m == NULL) {
		if (s >= 0 && !w.open[s ^ 1])
			return (0);
		errno = EAGAIN;
		return (-1);
	}
	if (len > m->len)
		len = m->len;
	memcpy(data, m->text, len);
	if ((flags & MSG_PEEK) == 0) {
		w.queue[s] = m->next;
		stub_free(m);
	}
	return ((ssize_t)len);
}

ssize_t
stub_sendmsg(int fd, const struct msghdr *m, int flags)
{

	MUST(m->msg_iovlen == 1 && m->msg_iov->iov_len < LINE_BYTES);
	return (stub_send(fd, m->msg_iov->iov_base, m->msg_iov->iov_len,
	    flags));
}

/*
 * Memory operations would reach all of the fuzzer: addresses in them are
 * moved to memory that is theirs, before the agent sees them.
 */
static size_t
move_addresses(char *line, size_t room)
{
	static const struct {
		const char	*op;
		int		arg;
	} moved[] = {
		{ "peek", 1 }, { "poke", 1 }, { "fill", 1 }, { "check", 1 },
		{ "refs", 1 }, { "ioctl", 3 },
	};
	char *copy, *save, *word;
	uint64_t v;
	size_t i, len;
	int arg, which;

	copy = stub_strdup(line);
	which = -1;
	arg = -1;
	len = 0;
	save = NULL;
	for (word = strtok_r(copy, " ", &save); word != NULL;
	    word = strtok_r(NULL, " ", &save)) {
		if (len != 0 && arg < 0 && *word != '@') {
			arg = 0;
			for (i = 0; i < sizeof(moved) / sizeof(moved[0]); i++)
				if (strcmp(word, moved[i].op) == 0)
					which = moved[i].arg;
		} else if (arg >= 0)
			arg++;
		if (arg > 0 && arg == which && parse_u64(word, &v) == 0)
			len += (size_t)snprintf(line + len, room - len,
			    "%s%#lx", len == 0 ? "" : " ",
			    (unsigned long)(uintptr_t)memory + v % MEMORY);
		else
			len += (size_t)snprintf(line + len, room - len, "%s%s",
			    len == 0 ? "" : " ", word);
		MUST(len < room);
	}
	stub_free(copy);
	return (len);
}

/* The worker's and its threads' reading: nothing there is the end. */
ssize_t
stub_recvmsg(int fd, struct msghdr *m, int flags)
{
	char *line;
	ssize_t n;

	n = stub_recv(fd, m->msg_iov->iov_base, m->msg_iov->iov_len, flags);
	m->msg_controllen = 0;
	if (n <= 0)
		return (0);
	/* Longer by some addresses. */
	line = stub_malloc(LINE_BYTES + 256);
	memcpy(line, m->msg_iov->iov_base, (size_t)n);
	line[n] = '\0';
	n = (ssize_t)move_addresses(line, LINE_BYTES + 256);
	if ((size_t)n > m->msg_iov->iov_len)
		n = (ssize_t)m->msg_iov->iov_len;
	memcpy(m->msg_iov->iov_base, line, (size_t)n);
	stub_free(line);
	SAY("worker: %.*s\n", (int)n, (char *)m->msg_iov->iov_base);
	return (n);
}

/* Processes and threads. */

pid_t	stub_fork(void);
pid_t	stub_waitpid(pid_t, int *, int);
int	stub_kill(pid_t, int);
int	stub_setpgid(pid_t, pid_t);
int	stub_execl(const char *, const char *, ...);
void	stub_exit(int) __attribute__((noreturn));
int	stub_pthread_create(pthread_t *, const pthread_attr_t *,
	    void *(*)(void *), void *);
int	stub_pthread_join(pthread_t, void **);

static void
worker_ends(int status)
{

	if (w.worker_fd < 0 || w.worker_ended)
		return;
	w.worker_ended = true;
	w.worker_status = status;
	w.open[slot(w.worker_fd)] = false;
	w.nthreads = 0;
}

pid_t
stub_fork(void)
{

	if (chance(16) == 0) {
		errno = EAGAIN;
		return (-1);
	}
	if (w.inside)
		return (CHILD_PID + (pid_t)chance(100));
	/* The supervisor starts its worker or the peer program. */
	if (w.last_type == SOCK_SEQPACKET) {
		w.worker_fd = FIRST_FD + w.nfds - 1;
		memset(&w.worker, 0, sizeof(w.worker));
		w.worker.in = w.worker.out = w.worker_fd;
		w.worker.passed = -1;
		w.worker.self = "agent";
		w.worker_ended = false;
		return (WORKER_PID);
	}
	w.peer_fd = FIRST_FD + w.nfds - 1;
	w.peer_ended = false;
	return (PEER_PID);
}

pid_t
stub_waitpid(pid_t pid, int *status, int flags)
{

	(void)flags;
	if (w.inside) {
		if (status != NULL)
			*status = chance(2) != 0 ? SIGKILL :
						   (int)chance(3) << 8;
		return (pid);
	}
	if (w.worker_ended && w.worker_fd >= 0) {
		w.worker_fd = -1;
		if (status != NULL)
			*status = w.worker_status;
		return (WORKER_PID);
	}
	if (w.peer_ended && w.peer_fd >= 0) {
		w.peer_fd = -1;
		return (PEER_PID);
	}
	return (0);
}

int
stub_kill(pid_t pid, int sig)
{

	if (w.inside) {
		/* op_kill: getpid() is the fuzzer's. */
		if (pid > 0 && pid < CHILD_PID && chance(2) != 0 && sig != 0) {
			worker_ends(sig);
			longjmp(w.worker_exit, 1);
		}
		return (fails());
	}
	MUST(pid == WORKER_PID || pid == -WORKER_PID);
	worker_ends(sig);
	return (0);
}

int
stub_setpgid(pid_t pid, pid_t group)
{

	(void)pid;
	(void)group;
	return (0);
}

int
stub_execl(const char *path, const char *arg, ...)
{

	(void)path;
	(void)arg;
	errno = ENOENT;
	return (-1);
}

void
stub_exit(int code)
{

	MUST(w.inside && code >= 0 && code <= 255);
	worker_ends(code << 8);
	longjmp(w.worker_exit, 1);
}

int
stub_pthread_create(pthread_t *id, const pthread_attr_t *attr,
    void *(*fn)(void *), void *arg)
{

	(void)attr;
	if (w.nthreads == NTHREADS || chance(16) == 0)
		return (EAGAIN);
	*id = (pthread_t)w.nthreads;
	w.threads[w.nthreads].fn = fn;
	w.threads[w.nthreads].arg = arg;
	w.threads[w.nthreads++].ended = false;
	return (0);
}

static void
thread_run(unsigned i)
{

	if (w.threads[i].ended)
		return;
	w.threads[i].ended = true;
	w.threads[i].fn(w.threads[i].arg);
}

int
stub_pthread_join(pthread_t id, void **value)
{

	(void)value;
	if (id >= w.nthreads)
		return (ESRCH);
	thread_run((unsigned)id);
	return (0);
}

/* The worker with all that waits for it, then its threads. */
static void
worker_run(void)
{
	volatile unsigned i;

	if (w.worker_fd < 0 || w.worker_ended)
		return;
	w.inside = true;
	if (setjmp(w.worker_exit) == 0) {
		if (w.queue[slot(w.worker_fd)] != NULL)
			agent_loop(&w.worker);
		for (i = 0; i < w.nthreads; i++)
			if (chance(2) != 0)
				thread_run(i);
	}
	w.inside = false;
	if (chance(64) == 0)
		worker_ends(SIGSEGV);
}

/* Files. */

int	stub_open(const char *, int, ...);
int	stub_close(int);
int	stub_dup(int);
int	stub_dup2(int, int);
int	stub_pipe(int [2]);
int	stub_ioctl(int, unsigned long, ...);
int	stub_fcntl(int, int, ...);
ssize_t	stub_read(int, void *, size_t);
ssize_t	stub_write(int, const void *, size_t);
off_t	stub_lseek(int, off_t, int);
int	stub_poll(struct pollfd *, nfds_t, int);
int	stub_stat(const char *, struct stat *);
int	stub_fstat(int, struct stat *);
void	*stub_mmap(void *, size_t, int, int, int, off_t);
int	stub_munmap(void *, size_t);
int	stub_mprotect(void *, size_t, int);
int	stub_madvise(void *, size_t, int);
int	stub_mlock(const void *, size_t);
int	stub_mlockall(int);
int	stub_munlockall(void);
int	stub_msync(void *, size_t, int);
int	stub_mincore(void *, size_t, unsigned char *);
int	stub_sigaction(int, const struct sigaction *, struct sigaction *);
int	stub_nanosleep(const struct timespec *, struct timespec *);

int
stub_open(const char *path, int flags, ...)
{

	MUST(strlen(path) < LINE_BYTES);
	(void)flags;
	return (fails() != 0 ? -1 : 1000 + (int)chance(100));
}

int
stub_close(int fd)
{
	int s;

	s = slot(fd);
	if (s < 0)
		return (fails());
	/* The supervisor closes ends that a child has. */
	if (w.inside || (fd != w.worker_fd && fd != w.peer_fd))
		w.open[s] = false;
	return (0);
}

int
stub_dup(int fd)
{

	return (fails() != 0 ? -1 : fd + 1000);
}

int
stub_dup2(int from, int to)
{

	(void)from;
	return (to);
}

int
stub_pipe(int fd[2])
{

	fd[0] = 1001;
	fd[1] = 1002;
	return (fails());
}

int
stub_ioctl(int fd, unsigned long word, ...)
{

	(void)fd;
	(void)word;
	return (fails());
}

int
stub_fcntl(int fd, int command, ...)
{

	(void)fd;
	(void)command;
	return (0);
}

/* The peer program answers what it was asked, or something else. */
static ssize_t
peer_says(char *buf, size_t len)
{
	struct message *m;
	size_t i;
	int s;

	s = slot(w.peer_fd);
	m = s < 0 ? NULL : w.queue[s];
	if (m == NULL || chance(16) == 0) {
		w.peer_ended = true;
		return (0);
	}
	w.queue[s] = m->next;
	stub_free(m);
	if (chance(4) != 0)
		return (snprintf(buf, len, "ok x=%u\n", chance(9)));
	if (len > 400)
		len = 400;
	for (i = 0; i < len; i++)
		buf[i] = (char)chance(256);
	return ((ssize_t)len);
}

ssize_t
stub_read(int fd, void *buf, size_t len)
{
	size_t i;

	if (!w.inside && fd == 0) {
		if (len > w.in.left)
			len = w.in.left;
		if (len > 40)
			len = 1 + chance((unsigned)len);
		take_bytes(&w.in, buf, len);
		for (i = 0; i < len; i++)
			w.lines += ((char *)buf)[i] == '\n';
		return ((ssize_t)len);
	}
	if (!w.inside)
		return (peer_says(buf, len));
	if (fails() != 0)
		return (-1);
	len = len == 0 ? 0 : chance((unsigned)len);
	memset(buf, 'r', len);
	return ((ssize_t)len);
}

static bool
word_is(const char **p, bool (*ok)(char))
{
	const char *start;

	for (start = *p; **p != ' ' && **p != '\0'; (*p)++)
		if (!ok(**p))
			return (false);
	return (*p != start);
}

static bool
digit(char c)
{

	return (isdigit((unsigned char)c));
}

static bool
of_name(char c)
{

	return (isupper((unsigned char)c) || digit(c));
}

/* "SEQ ok ...", "SEQ err NAME ...", "SEQ fault NAME", "! ...", "? ...". */
static void
check_line(const char *line, size_t len)
{
	const char *p;
	size_t i;

	SAY("out: %s\n", line);
	MUST(len < LINE_BYTES + 128);
	for (i = 0; i < len; i++)
		MUST(line[i] >= ' ' && line[i] <= '~');
	if (strncmp(line, "! ready", 7) == 0 ||
	    strncmp(line, "! exit ", 7) == 0 ||
	    strncmp(line, "! signal ", 9) == 0 ||
	    strncmp(line, "! log ", 6) == 0 ||
	    strncmp(line, "? err EPROTO ", 13) == 0)
		return;
	p = line;
	MUST(word_is(&p, digit));
	MUST(p - line < 32);
	w.answers++;
	MUST(w.answers <= w.lines);
	if (strncmp(p, " ok", 3) == 0) {
		MUST(p[3] == ' ' || p[3] == '\0');
	} else if (strncmp(p, " fault ", 7) == 0) {
		p += 7;
		MUST(word_is(&p, of_name) && *p == '\0');
	} else {
		MUST(strncmp(p, " err ", 5) == 0);
		p += 5;
		MUST(word_is(&p, of_name));
	}
}

ssize_t
stub_write(int fd, const void *buf, size_t len)
{
	const char *p;
	size_t i;

	if (w.inside || fd != 1)
		return (fails() != 0 ? -1 : (ssize_t)len);
	/* Not all at once, and not always. */
	if (len > 1)
		len = 1 + chance((unsigned)len);
	if (chance(16) == 0) {
		errno = chance(2) != 0 ? EAGAIN : EINTR;
		return (-1);
	}
	p = buf;
	for (i = 0; i < len; i++) {
		if (p[i] != '\n') {
			MUST(w.out_len < 2 * LINE_BYTES);
			w.out[w.out_len++] = p[i];
			continue;
		}
		w.out[w.out_len] = '\0';
		check_line(w.out, w.out_len);
		w.out_len = 0;
	}
	return ((ssize_t)len);
}

off_t
stub_lseek(int fd, off_t off, int whence)
{

	(void)fd;
	(void)whence;
	return (fails() != 0 ? -1 : off);
}

/* The supervisor's wait is when everybody else runs. */
int
stub_poll(struct pollfd *p, nfds_t n, int timeout)
{
	int s;

	(void)timeout;
	if (w.inside) {
		p->revents = (short)chance(256);
		return (fails() != 0 ? -1 : 1);
	}
	if (n != 3)
		return (0);
	worker_run();
	p[0].revents = chance(4) != 0 ? POLLIN : 0;
	s = slot(p[1].fd);
	p[1].revents = s >= 0 && w.queue[s] != NULL ? POLLIN : 0;
	s = slot(p[2].fd);
	p[2].revents = s >= 0 && (w.peer_ended || (w.peer_fd >= 0 &&
	    w.queue[slot(w.peer_fd)] != NULL)) ? POLLIN : 0;
	if (chance(16) == 0) {
		errno = EINTR;
		return (-1);
	}
	return (1);
}

int
stub_stat(const char *path, struct stat *st)
{

	(void)path;
	memset(st, 0, sizeof(*st));
	st->st_mode = (mode_t)chance(0x10000);
	return (fails());
}

int
stub_fstat(int fd, struct stat *st)
{

	(void)fd;
	return (stub_stat("", st));
}

void *
stub_mmap(void *addr, size_t len, int prot, int flags, int fd, off_t off)
{

	(void)addr;
	(void)len;
	(void)prot;
	(void)flags;
	(void)fd;
	(void)off;
	return (fails() != 0 ? MAP_FAILED : memory);
}

int
stub_munmap(void *addr, size_t len)
{

	(void)addr;
	(void)len;
	return (fails());
}

int
stub_mprotect(void *addr, size_t len, int prot)
{

	(void)prot;
	return (stub_munmap(addr, len));
}

int
stub_madvise(void *addr, size_t len, int advice)
{

	(void)advice;
	return (stub_munmap(addr, len));
}

int
stub_mlock(const void *addr, size_t len)
{

	(void)addr;
	(void)len;
	return (fails());
}

int
stub_mlockall(int flags)
{

	(void)flags;
	return (fails());
}

int
stub_munlockall(void)
{

	return (fails());
}

int
stub_msync(void *addr, size_t len, int flags)
{

	(void)flags;
	return (stub_munmap(addr, len));
}

int
stub_mincore(void *addr, size_t len, unsigned char *state)
{

	memset(state, 0, len / 4096);
	return (stub_munmap(addr, len));
}

int
stub_sigaction(int sig, const struct sigaction *act, struct sigaction *old)
{

	(void)sig;
	(void)act;
	(void)old;
	return (0);
}

int
stub_nanosleep(const struct timespec *ts, struct timespec *left)
{

	MUST(ts->tv_sec <= 60);
	(void)left;
	return (0);
}

/* os.h: the numbers of errors of all sorts. */

static int
os_fails(void)
{

	return (fails() != 0 ? errno : 0);
}

const char *
os_self(const char *argv0)
{

	return (argv0);
}

void
os_facts(char *buf, size_t len)
{

	snprintf(buf, len, " guest=fuzz");
}

int
os_mark(const char *text)
{

	(void)text;
	return (os_fails());
}

void
os_log_start(void)
{
}

bool
os_log_next(int *level, char *text, size_t len)
{

	*level = (int)chance(8);
	snprintf(text, len, "a message");
	return (chance(4) == 0);
}

int
os_unload(const char *module)
{

	MUST(strncmp(module, "xen", 3) == 0);
	return (os_fails());
}

int
os_load(const char *path)
{

	(void)path;
	return (os_fails());
}

int
os_poweroff(void)
{

	return (os_fails());
}

int
os_limit(const char *dev, bool set, unsigned value, unsigned *old)
{

	(void)dev;
	(void)set;
	*old = value;
	return (os_fails());
}

int
os_mremap(uintptr_t addr, size_t old, size_t len, bool maymove, bool fixed,
    uintptr_t to, uintptr_t *out)
{

	(void)addr;
	(void)old;
	(void)len;
	(void)maymove;
	(void)fixed;
	*out = to;
	return (os_fails());
}

int
os_open_flag(const char *name)
{

	return (strcmp(name, "path") == 0);
}

int
os_mmap_flag(const char *name)
{

	return (strcmp(name, "populate") == 0);
}

int
os_madvise(const char *name)
{

	return (strcmp(name, "pageout") == 0 ? 1 : -1);
}

int
os_inherit(uintptr_t addr, size_t len, const char *name)
{

	(void)addr;
	(void)len;
	(void)name;
	return (os_fails());
}

int
os_debug(int pid, bool write, uintptr_t addr, void *buf, size_t len)
{

	(void)pid;
	(void)addr;
	if (!write)
		memset(buf, 0, len);
	return (os_fails());
}

int
os_ioctl32(int fd, uint32_t word, uint32_t arg)
{

	(void)fd;
	(void)word;
	(void)arg;
	return (os_fails());
}

int
os_ioctl(int fd, unsigned long word, uintptr_t arg)
{

	(void)fd;
	(void)word;
	(void)arg;
	return (fails());
}

int
os_evtchn_unbound(int fd, uint32_t domid, uint32_t *port)
{

	(void)fd;
	*port = domid;
	return (os_fails());
}

int
os_evtchn_interdomain(int fd, uint32_t domid, uint32_t remote, uint32_t *port)
{

	(void)domid;
	return (os_evtchn_unbound(fd, remote, port));
}

int
os_evtchn_virq(int fd, uint32_t virq, uint32_t *port)
{

	return (os_evtchn_unbound(fd, virq, port));
}

int
os_evtchn_unbind(int fd, uint32_t port)
{

	(void)fd;
	(void)port;
	return (os_fails());
}

int
os_evtchn_notify(int fd, uint32_t port)
{

	return (os_evtchn_unbind(fd, port));
}

int
os_vmsplice(int fd, uintptr_t addr, size_t len, size_t *done)
{

	(void)fd;
	(void)addr;
	*done = len;
	return (os_fails());
}

void
os_reap_orphans(void)
{
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct options opt = { .peer = "peer", .self = "agent" };
	static char out[2 * LINE_BYTES + 1];
	size_t i;

	if (memory == NULL) {
		/* With a page behind it that is never there. */
		memory = mmap(NULL, MEMORY + 4096, PROT_NONE, MAP_PRIVATE |
		    MAP_ANONYMOUS, -1, 0);
		MUST(memory != MAP_FAILED && mprotect(memory, MEMORY,
		    PROT_READ | PROT_WRITE) == 0);
		guard_init();
	}
	memset(&w, 0, sizeof(w));
	w.in.at = data;
	w.in.left = size;
	w.out = out;
	w.worker_fd = w.peer_fd = -1;
	for (i = 0; i < size; i++)
		w.random = w.random * 31 + data[i];
	supervise(&opt);
	MUST(w.in.left == 0 && w.out_len == 0);
	while (w.blocks != NULL)
		stub_free(w.blocks->data);
	return (0);
}
