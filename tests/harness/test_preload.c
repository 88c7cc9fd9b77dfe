/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The preload library as a program sees it.  Each test runs this program again,
 * preloaded, and checks how it ends.
 *
 * test_preload LIBRARY LIBRARY-WITH-A-LEAKY-DRIVER
 */
#define	_GNU_SOURCE

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include <xen/gntalloc.h>
#include <xen/gntdev.h>

#define	PAGE		4096ul
#define	GNTDEV		"/dev/xen/gntdev"
#define	GNTALLOC	"/dev/xen/gntalloc"
#define	EVTCHN		"/dev/xen/evtchn"
#define	REF		8u

extern int xengnt_harness_peer(const char *, char *, size_t)
    __attribute__((weak));
extern int xengnt_harness_sysctl(const char *, const unsigned *, unsigned *)
    __attribute__((weak));

/* The preloaded side: a failed check ends the program and prints its line. */

#define	CHECK(e) do {							\
	if (!(e)) {							\
		fprintf(stderr, "%s:%d: %s (errno %d)\n", __FILE__,	\
		    __LINE__, #e, errno);				\
		_exit(1);						\
	}								\
} while (0)
#define	FAILS(e, error)	CHECK((errno = 0, (long)(e) == -1 && errno == (error)))

static const char *
peer(const char *request)
{
	static char reply[256];

	CHECK(xengnt_harness_peer(request, reply, sizeof(reply)) == 0);
	return (reply);
}

static void
peer_ok(const char *request)
{

	CHECK(strncmp(peer(request), "ok", 2) == 0);
}

static unsigned
peer_flags(void)
{
	unsigned flags;

	CHECK(sscanf(peer("entry 8"), "ok flags=%x", &flags) == 1);
	return (flags);
}

static uint64_t
map_ref(int fd, unsigned domid, unsigned ref)
{
	struct ioctl_gntdev_map_grant_ref op;

	memset(&op, 0, sizeof(op));
	op.count = 1;
	op.refs[0].domid = domid;
	op.refs[0].ref = ref;
	CHECK(ioctl(fd, IOCTL_GNTDEV_MAP_GRANT_REF, &op) == 0);
	return (op.index);
}

static char *
mmap_index(int fd, uint64_t index)
{
	char *p;

	p = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd,
	    (off_t)index);
	CHECK(p != MAP_FAILED);
	return (p);
}

/* A helper domain that grants one page; a descriptor that maps it. */
static int
map_one(char **p)
{
	int fd;

	peer_ok("new pages=1 frames=1");
	peer_ok("grant 8 0 0x1");
	fd = open(GNTDEV, O_RDWR | O_CLOEXEC);
	CHECK(fd >= 0);
	*p = mmap_index(fd, map_ref(fd, 512, REF));
	CHECK(peer_flags() == 0x19);
	return (fd);
}

static int
run_nodes(void)
{
	struct stat st;
	struct statx stx;
	char buf[8];
	int fd;

	CHECK(stat(GNTDEV, &st) == 0 && S_ISCHR(st.st_mode));
	CHECK((st.st_mode & 07777) == 0600);
	CHECK(stat(GNTALLOC, &st) == 0 && S_ISCHR(st.st_mode));
	CHECK(statx(AT_FDCWD, GNTDEV, 0, STATX_MODE, &stx) == 0);
	CHECK(access(GNTDEV, R_OK | W_OK) == 0);
	FAILS(access("/dev/xen/xengntdev", F_OK), ENOENT);
	FAILS(open("/dev/xen/xengntdev", O_RDWR), ENOENT);
	FAILS(open(GNTDEV, O_RDWR | O_CREAT | O_EXCL, 0600), EEXIST);
	fd = open(GNTDEV, O_RDONLY | O_CLOEXEC);
	CHECK(fd >= 0);
	CHECK((fcntl(fd, F_GETFL) & O_ACCMODE) == O_RDONLY);
	CHECK((fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0);
	CHECK(fstat(fd, &st) == 0 && S_ISCHR(st.st_mode));
	FAILS(read(fd, buf, sizeof(buf)), EINVAL);
	FAILS(write(fd, buf, sizeof(buf)), EBADF);
	FAILS(ioctl(fd, 0x00184705, buf), ENOTTY);	/* gntalloc's */
	FAILS(ioctl(fd, 0x20004700, buf), ENOTTY);	/* FreeBSD's */
	FAILS(ioctl(fd, 0x00104700, buf), ENOTTY);	/* another size */
	FAILS(ioctl(fd, 0xc0184700, buf), ENOTTY);	/* a direction */
	FAILS(ioctl(fd, 0x00184700, NULL), EFAULT);
	CHECK(ioctl(fd, FIONBIO, &(int){ 1 }) == 0);
	CHECK((fcntl(fd, F_GETFL) & O_NONBLOCK) != 0);
	CHECK(close(fd) == 0);
	fd = open(GNTDEV, O_PATH);
	CHECK(fd >= 0);
	FAILS(ioctl(fd, 0x00184700, buf), EBADF);
	CHECK(close(fd) == 0);
	CHECK(xengnt_harness_sysctl("hw.xen.gntdev.limit", NULL,
	    &(unsigned){ 0 }) == 0);
	FAILS(xengnt_harness_sysctl("hw.xen.none", NULL, NULL), ENOENT);
	return (0);
}

/* The file lives until its last descriptor is closed, however that was made. */
static int
run_descriptors(void)
{
	char *p;
	int copies[5], fd, i, null;

	fd = map_one(&p);
	CHECK(munmap(p, PAGE) == 0);
	copies[0] = dup(fd);
	copies[1] = fcntl(fd, F_DUPFD, 50);
	copies[2] = fcntl(fd, F_DUPFD_CLOEXEC, 60);
	copies[3] = dup2(fd, 70);
	copies[4] = dup3(fd, 71, O_CLOEXEC);
	CHECK(copies[0] >= 0 && copies[1] >= 50 && copies[2] >= 60);
	CHECK(copies[3] == 70 && copies[4] == 71);
	CHECK(close(fd) == 0);
	FAILS(ioctl(fd, IOCTL_GNTDEV_UNMAP_GRANT_REF, NULL), EBADF);
	for (i = 0; i < 3; i++) {
		FAILS(ioctl(copies[i], IOCTL_GNTDEV_UNMAP_GRANT_REF, NULL),
		    EFAULT);
		CHECK(close(copies[i]) == 0);
	}
	null = open("/dev/null", O_RDWR);
	CHECK(dup2(null, 70) == 70);
	FAILS(ioctl(70, IOCTL_GNTDEV_UNMAP_GRANT_REF, NULL), ENOTTY);
	CHECK(peer_flags() == 0x19);
	CHECK(close_range(71, 80, 0) == 0);
	CHECK(peer_flags() == 0x01);
	return (0);
}

static int
run_mappings(void)
{
	struct ioctl_gntdev_unmap_grant_ref unmap = { .count = 0 };
	char *p, *q;
	int fd;

	fd = map_one(&p);
	/* Row K6, P6, K2: what the layers above the driver refuse. */
	FAILS(mmap(NULL, PAGE, PROT_READ, MAP_SHARED | MAP_PRIVATE, fd, 0),
	    EINVAL);
	FAILS(mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE, fd, 0), EINVAL);
	FAILS(mmap(NULL, 0, PROT_READ, MAP_SHARED, fd, 0), EINVAL);
	CHECK(ioctl(fd, IOCTL_GNTDEV_UNMAP_GRANT_REF, &unmap) == 0);
	/* mprotect, and mremap, which does not move. */
	CHECK(mprotect(p, PAGE, PROT_READ) == 0);
	CHECK(mprotect(p, PAGE, PROT_READ | PROT_WRITE) == 0);
	FAILS(mremap(p, PAGE, 2 * PAGE, MREMAP_MAYMOVE), ENOMEM);
	CHECK(mremap(p, PAGE, PAGE, 0) == p);
	CHECK(peer_flags() == 0x19);
	/* Other memory over it ends the mapping. */
	q = mmap(p, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS |
	    MAP_FIXED, -1, 0);
	CHECK(q == p);
	CHECK(peer_flags() == 0x01);
	q[0] = 1;
	CHECK(munmap(q, PAGE) == 0);
	return (0);
}

/* A child has no devices from its parent, but may open its own. */
static int
run_fork(void)
{
	char *mine, *p, *args[] = { (char *)"true", NULL };
	int fd, status;
	pid_t pid;

	fd = map_one(&p);
	strcpy(p, "parent");
	pid = fork();
	if (pid == 0) {
		CHECK(strcmp(p, "parent") == 0);
		FAILS(ioctl(fd, IOCTL_GNTDEV_UNMAP_GRANT_REF, NULL), ENOTTY);
		CHECK(close(fd) == 0);
		CHECK(munmap(p, PAGE) == 0);
		fd = map_one(&mine);
		CHECK(mine[0] == 0);
		exit(0);
	}
	CHECK(waitpid(pid, &status, 0) == pid && status == 0);
	CHECK(peer_flags() == 0x19);
	/* A child that only ends, and one on our memory (vfork). */
	pid = fork();
	if (pid == 0)
		_exit(0);
	CHECK(waitpid(pid, &status, 0) == pid && status == 0);
	pid = vfork();
	if (pid == 0) {
		close(fd);
		_exit(0);
	}
	CHECK(waitpid(pid, &status, 0) == pid && status == 0);
	CHECK(posix_spawnp(&pid, "true", NULL, NULL, args, environ) == 0);
	CHECK(waitpid(pid, &status, 0) == pid && status == 0);
	CHECK(peer_flags() == 0x19);
	FAILS(ioctl(fd, IOCTL_GNTDEV_UNMAP_GRANT_REF, NULL), EFAULT);
	return (0);
}

/* Everything is left open and mapped: the end of the process cleans up. */
static int
leave_all(void)
{
	struct ioctl_gntalloc_alloc_gref op = { .count = 1 };
	char *p;
	int fd;

	map_one(&p);
	fd = open(GNTALLOC, O_RDWR);
	CHECK(ioctl(fd, IOCTL_GNTALLOC_ALLOC_GREF, &op) == 0);
	mmap_index(fd, op.index);
	return (dup(fd) < 0);
}

static int
run_exit(void)
{

	exit(leave_all());
}

static int
run__exit(void)
{

	_exit(leave_all());
}

static void *
busy(void *arg)
{
	int fd;

	(void)arg;
	for (;;) {
		fd = open(GNTDEV, O_RDWR);
		munmap(mmap_index(fd, map_ref(fd, 512, REF)), PAGE);
		close(fd);
	}
	return (NULL);
}

static int
run_exit_with_threads(void)
{
	pthread_t t;
	int i, left;

	left = leave_all();
	for (i = 0; i < 3; i++)
		CHECK(pthread_create(&t, NULL, busy, NULL) == 0);
	usleep(20000);
	return (left);
}

/* UNMAP makes mock_driver.c leak. */
static int
run_leak(void)
{
	int fd;

	fd = open(GNTDEV, O_RDWR);
	CHECK(fd >= 0 && ioctl(fd, IOCTL_GNTDEV_UNMAP_GRANT_REF, NULL) == 0);
	printf("buffered");
	return (0);
}

static int
run__leak(void)
{

	_exit(run_leak());
}

/* Two processes: domain 1 grants, domain 2 maps. */

static void
say(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	printf("\n");
	fflush(stdout);
}

static void
wait_line(const char *expected)
{
	char line[64];

	CHECK(fgets(line, sizeof(line), stdin) != NULL);
	line[strcspn(line, "\n")] = '\0';
	CHECK(strcmp(line, expected) == 0);
}

static int
run_granter(void)
{
	struct ioctl_gntalloc_dealloc_gref dealloc = { .count = 1 };
	struct ioctl_gntalloc_alloc_gref op = {
		.domid = 2, .flags = GNTALLOC_FLAG_WRITABLE, .count = 1,
	};
	char *p;
	int fd;

	fd = open(GNTALLOC, O_RDWR);
	CHECK(fd >= 0 && ioctl(fd, IOCTL_GNTALLOC_ALLOC_GREF, &op) == 0);
	p = mmap_index(fd, op.index);
	strcpy(p, "from one");
	say("%u", op.gref_ids[0]);
	wait_line("look");
	CHECK(strcmp(p, "from two") == 0);
	wait_line("end");
	CHECK(ioctl(fd, IOCTL_GNTALLOC_DEALLOC_GREF, &dealloc) == 0);
	return (0);
}

static int
run_mapper(void)
{
	unsigned ref;
	char line[64], *p;
	int fd;

	CHECK(fgets(line, sizeof(line), stdin) != NULL);
	ref = (unsigned)strtoul(line, NULL, 10);
	fd = open(GNTDEV, O_RDWR);
	p = mmap_index(fd, map_ref(fd, 1, ref));
	CHECK(strcmp(p, "from one") == 0);
	strcpy(p, "from two");
	say("mapped");
	wait_line("look");
	CHECK(strcmp(p, "from two") == 0);
	return (0);
}

/* Event channels, with Linux's command values, because we have no header. */

#define	EV_WORD(nr, size)	((unsigned long)(size) << 16 | 'E' << 8 | (nr))

static int
bind_unbound(int fd, unsigned remote)
{
	int port;

	port = ioctl(fd, EV_WORD(2, 4), &remote);
	CHECK(port > 0);
	return (port);
}

static int
bind_interdomain(int fd, unsigned domain, unsigned remote)
{
	unsigned op[2] = { domain, remote };
	int port;

	port = ioctl(fd, EV_WORD(1, 8), op);
	CHECK(port > 0);
	return (port);
}

static int
notify(int fd, int port)
{

	return (ioctl(fd, EV_WORD(4, 4), &port));
}

static bool
readable(int fd, int ms)
{
	struct pollfd p = { .fd = fd, .events = POLLIN | POLLOUT };

	CHECK(poll(&p, 1, 0) == 1 && (p.revents & POLLOUT) != 0);
	p.events = POLLIN;
	p.revents = 0;
	CHECK(poll(&p, 1, ms) >= 0);
	CHECK((p.revents & ~POLLIN) == 0);
	return (p.revents != 0);
}

static int
run_evtchn(void)
{
	unsigned ports[4];
	struct stat st;
	int a, b, fd, other, pa, pb, port;
	FILE *f;

	CHECK(stat(EVTCHN, &st) == 0 && S_ISCHR(st.st_mode));
	a = open(EVTCHN, O_RDWR | O_CLOEXEC | O_NONBLOCK);
	CHECK(a == 3);
	b = open(EVTCHN, O_RDWR);
	CHECK(b == 4);
	CHECK(fstat(b, &st) == 0 && S_ISCHR(st.st_mode));
	CHECK((fcntl(a, F_GETFD) & FD_CLOEXEC) != 0);
	CHECK(fcntl(b, F_SETFL, O_NONBLOCK) == 0);
	FAILS(ioctl(a, EV_WORD(7, 4), &ports), ENOTTY);
	FAILS(ioctl(a, EV_WORD(2, 4), NULL), EFAULT);
	FAILS(notify(a, 5), ENOTCONN);
	FAILS(notify(a, 1 << 20), EINVAL);
	FAILS(ioctl(b, EV_WORD(1, 8), ((unsigned[]){ 77, 1 })), ESRCH);
	FAILS(ioctl(b, EV_WORD(1, 8), ((unsigned[]){ 0, 9 })), EINVAL);
	pa = bind_unbound(a, 0);
	CHECK(!readable(a, 0));
	CHECK(notify(a, pa) == 0);		/* to nobody */
	pb = bind_interdomain(b, 0, (unsigned)pa);
	/* After a new connection there is an event, in case one was missed. */
	CHECK(readable(b, 0) && !readable(a, 0));
	CHECK(read(b, ports, 3) == 0);
	CHECK(read(b, ports, sizeof(ports)) == 4 && (int)ports[0] == pb);
	CHECK(!readable(b, 0));
	FAILS(read(b, ports, sizeof(ports)), EAGAIN);
	/* Masked until it is written back, but not forgotten. */
	CHECK(notify(a, pa) == 0);
	CHECK(!readable(b, 0));
	CHECK(write(b, &pb, 4) == 4);
	CHECK(readable(b, 0));
	CHECK(read(b, ports, 4) == 4 && (int)ports[0] == pb);
	/* The other way; two events before a read are one. */
	CHECK(notify(b, pb) == 0 && notify(b, pb) == 0);
	CHECK(read(a, ports, 7) == 4 && (int)ports[0] == pa);
	FAILS(read(a, ports, 4), EAGAIN);
	/* In the order they came, as many as there is room for. */
	port = bind_unbound(a, 0);
	other = bind_interdomain(b, 0, (unsigned)port);
	CHECK(write(b, &pb, 4) == 4);
	CHECK(notify(a, pa) == 0);
	CHECK(read(b, ports, 4) == 4 && (int)ports[0] == other);
	CHECK(readable(b, 0));
	CHECK(read(b, ports, 4) == 4 && (int)ports[0] == pb);
	/* RESET forgets what was not read. */
	CHECK(write(b, &pb, 4) == 4 && notify(a, pa) == 0);
	CHECK(readable(b, 0));
	CHECK(ioctl(b, EV_WORD(5, 0), 0) == 0);
	CHECK(!readable(b, 0));
	/* The end of one side leaves the other waiting for a new one. */
	CHECK(ioctl(a, EV_WORD(3, 4), &pa) == 0);
	FAILS(ioctl(a, EV_WORD(3, 4), &pa), ENOTCONN);
	CHECK(write(b, &pb, 4) == 4);
	CHECK(notify(b, pb) == 0);
	CHECK(!readable(a, 0));
	/* The last copy of a descriptor closes its ports. */
	fd = dup(a);
	close(a);
	CHECK(notify(fd, port) == 0);
	close(fd);
	FAILS(notify(fd, port), EBADF);
	FAILS(ioctl(b, EV_WORD(1, 8), ((unsigned[]){ 0, (unsigned)port })),
	    EINVAL);
	/* Virtual interrupts have one listener. */
	CHECK((port = ioctl(b, EV_WORD(0, 4), &(unsigned){ 3 })) > 0);
	FAILS(ioctl(b, EV_WORD(0, 4), &(unsigned){ 3 }), EEXIST);
	FAILS(ioctl(b, EV_WORD(0, 4), &(unsigned){ 300 }), EINVAL);
	FAILS(pread(b, ports, 4, 0), ESPIPE);
	FAILS(mmap(NULL, PAGE, PROT_READ, MAP_SHARED, b, 0), ENODEV);
	/* None of our descriptors is in the program's way. */
	f = fopen("/dev/null", "r");
	CHECK(f != NULL && fileno(f) == 3);
	return (0);
}

/* A reader that blocks until another thread notifies. */

struct caller {
	int	fd;
	int	port;
};

static void *
notify_later(void *arg)
{
	struct caller *c;

	c = arg;
	usleep(20000);
	CHECK(notify(c->fd, c->port) == 0);
	return (NULL);
}

static int
run_evtchn_blocking(void)
{
	struct caller c;
	unsigned port;
	pthread_t thread;
	int b;

	c.fd = open(EVTCHN, O_RDWR);
	b = open(EVTCHN, O_RDWR);
	c.port = bind_unbound(c.fd, 0);
	port = (unsigned)bind_interdomain(b, 0, (unsigned)c.port);
	CHECK(read(b, &port, 4) == 4 && write(b, &port, 4) == 4);
	CHECK(pthread_create(&thread, NULL, notify_later, &c) == 0);
	port = 0;
	CHECK(read(b, &port, 4) == 4 && port != 0);
	CHECK(pthread_join(thread, NULL) == 0);
	CHECK(write(b, &port, 4) == 4);
	CHECK(pthread_create(&thread, NULL, notify_later, &c) == 0);
	CHECK(readable(b, 5000));
	CHECK(pthread_join(thread, NULL) == 0);
	return (0);
}

/* Two domains of one machine: one waits for the other, both ways. */

static int
run_caller(void)
{
	unsigned port;
	char text[32];
	int fd;

	fd = open(EVTCHN, O_RDWR);
	snprintf(text, sizeof(text), "%d", bind_unbound(fd, 2));
	say(text);
	CHECK(readable(fd, 5000));
	CHECK(read(fd, &port, 4) == 4 && (int)port == atoi(text));
	CHECK(notify(fd, (int)port) == 0);
	wait_line("end");
	return (0);
}

static int
run_callee(void)
{
	unsigned port;
	char line[64];
	int fd;

	CHECK(fgets(line, sizeof(line), stdin) != NULL);
	fd = open(EVTCHN, O_RDWR);
	port = (unsigned)bind_interdomain(fd, 1, (unsigned)atoi(line));
	CHECK(read(fd, &port, 4) == 4 && write(fd, &port, 4) == 4);
	CHECK(notify(fd, (int)port) == 0);
	CHECK(read(fd, &port, 4) == 4);
	say("heard");
	wait_line("end");
	return (0);
}

static const struct {
	const char	*name;
	int		(*run)(void);
} runs[] = {
	{ "evtchn", run_evtchn },
	{ "evtchn-blocking", run_evtchn_blocking },
	{ "caller", run_caller },
	{ "callee", run_callee },
	{ "nodes", run_nodes },
	{ "descriptors", run_descriptors },
	{ "mappings", run_mappings },
	{ "fork", run_fork },
	{ "exit", run_exit },
	{ "_exit", run__exit },
	{ "exit-with-threads", run_exit_with_threads },
	{ "leak", run_leak },
	{ "_leak", run__leak },
	{ "granter", run_granter },
	{ "mapper", run_mapper },
};

/* The testing side. */

static const char *self, *library, *leaky;

struct child {
	pid_t	pid;
	FILE	*in, *out;
};

static struct child
start(const char *name, const char *lib, const char *machine, const char *domid)
{
	struct child c;
	int in[2], out[2];

	assert_int_equal(pipe(in), 0);
	assert_int_equal(pipe(out), 0);
	c.pid = fork();
	assert_true(c.pid >= 0);
	if (c.pid == 0) {
		dup2(in[0], STDIN_FILENO);
		dup2(out[1], STDOUT_FILENO);
		close_range(3, ~0u, 0);
		setenv("LD_PRELOAD", lib, 1);
		setenv("XENGNT_HARNESS_MACHINE", machine, 1);
		setenv("XENGNT_HARNESS_DOMID", domid, 1);
		execl(self, self, "--run", name, (char *)NULL);
		_exit(126);
	}
	close(in[0]);
	close(out[1]);
	c.in = fdopen(in[1], "w");
	c.out = fdopen(out[0], "r");
	return (c);
}

static int
finish(struct child c)
{
	int status;

	fclose(c.in);
	assert_int_equal(waitpid(c.pid, &status, 0), c.pid);
	fclose(c.out);
	return (WIFEXITED(status) ? WEXITSTATUS(status) :
	    128 + WTERMSIG(status));
}

static int
run(const char *name)
{

	return (finish(start(name, library, "", "0")));
}

static void
test_run(void **state)
{

	assert_int_equal(run(*state), 0);
}

static void
tell(struct child c, const char *line)
{

	fprintf(c.in, "%s\n", line);
	fflush(c.in);
}

static void
hear(struct child c, char line[64])
{

	assert_non_null(fgets(line, 64, c.out));
	line[strcspn(line, "\n")] = '\0';
}

static void
test_leak_is_told(void **state)
{
	struct child c;
	char line[64];

	(void)state;
	c = start("leak", leaky, "", "0");
	hear(c, line);
	assert_string_equal(line, "buffered");
	assert_int_equal(finish(c), 99);
	assert_int_equal(finish(start("_leak", leaky, "", "0")), 99);
}

/* Two domains of one machine; line is the second one's message to the first. */
static void
start_two(char *machine, const char *first, struct child *one,
    const char *second, struct child *two, char line[64])
{

	close(mkstemp(machine));
	*one = start(first, library, machine, "1");
	*two = start(second, library, machine, "2");
	hear(*one, line);
	tell(*two, line);
	hear(*two, line);
}

static void
two_domains(bool kill_mapper)
{
	struct child granter, mapper;
	char machine[] = "/tmp/xengnt-machine-XXXXXX";
	char line[64];

	start_two(machine, "granter", &granter, "mapper", &mapper, line);
	assert_string_equal(line, "mapped");
	/* The same domain twice is refused. */
	assert_int_equal(finish(start("exit", library, machine, "1")), 1);
	tell(granter, "look");
	if (kill_mapper)
		kill(mapper.pid, SIGKILL);
	else
		tell(mapper, "look");
	assert_int_equal(finish(mapper), kill_mapper ? 128 + SIGKILL : 0);
	tell(granter, "end");
	assert_int_equal(finish(granter), 0);
	unlink(machine);
}

static void
test_two_domains(void **state)
{

	(void)state;
	two_domains(false);
}

static void
test_killed_domain(void **state)
{

	(void)state;
	two_domains(true);
}

/* The granter ends first: the page stays with the mapper. */
static void
test_granter_ends_first(void **state)
{
	struct child granter, mapper;
	char machine[] = "/tmp/xengnt-machine-XXXXXX";
	char line[64];

	(void)state;
	start_two(machine, "granter", &granter, "mapper", &mapper, line);
	tell(granter, "look");
	tell(granter, "end");
	assert_int_equal(finish(granter), 0);
	tell(mapper, "look");
	assert_int_equal(finish(mapper), 0);
	unlink(machine);
}

static void
test_events_between_domains(void **state)
{
	struct child callee, caller;
	char machine[] = "/tmp/xengnt-machine-XXXXXX";
	char line[64];

	(void)state;
	start_two(machine, "caller", &caller, "callee", &callee, line);
	assert_string_equal(line, "heard");
	tell(callee, "end");
	tell(caller, "end");
	assert_int_equal(finish(callee), 0);
	assert_int_equal(finish(caller), 0);
	unlink(machine);
}

#define	RUN(what)	{ .name = what, .test_func = test_run,		\
			    .initial_state = (void *)(uintptr_t)what }

int
main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		RUN("nodes"),
		RUN("descriptors"),
		RUN("mappings"),
		RUN("fork"),
		RUN("exit"),
		RUN("_exit"),
		RUN("exit-with-threads"),
		cmocka_unit_test(test_leak_is_told),
		cmocka_unit_test(test_two_domains),
		cmocka_unit_test(test_killed_domain),
		cmocka_unit_test(test_granter_ends_first),
		RUN("evtchn"),
		RUN("evtchn-blocking"),
		cmocka_unit_test(test_events_between_domains),
	};
	size_t i;

	if (argc != 3) {
		fprintf(stderr, "usage: test_preload LIBRARY LEAKY-LIBRARY\n");
		return (2);
	}
	if (strcmp(argv[1], "--run") == 0) {
		for (i = 0; i < sizeof(runs) / sizeof(runs[0]); i++)
			if (strcmp(runs[i].name, argv[2]) == 0)
				return (runs[i].run());
		return (2);
	}
	self = argv[0];
	library = argv[1];
	leaky = argv[2];
	signal(SIGPIPE, SIG_IGN);
	return (cmocka_run_group_tests(tests, NULL, NULL));
}
