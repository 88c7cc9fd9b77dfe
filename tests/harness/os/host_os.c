/* SPDX-License-Identifier: BSD-2-Clause */
#define	_GNU_SOURCE

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include "host_os.h"

#if defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define	__SANITIZE_THREAD__	1
#endif
#endif
#ifdef __SANITIZE_THREAD__
#include <sanitizer/tsan_interface.h>
#endif

#define	PAGE	4096u

_Static_assert(sizeof(pthread_mutex_t) <= sizeof(struct os_mutex), "mutex");
_Static_assert(sizeof(pthread_rwlock_t) <= sizeof(struct os_rwlock), "rwlock");
_Static_assert(sizeof(pthread_cond_t) <= sizeof(struct os_cond), "cond");
_Static_assert(sizeof(pthread_t) <= sizeof(os_thread_t), "thread");

static void
must(int error, const char *what)
{

	if (error == 0)
		return;
	os_message("%s: %s\n", what, strerror(error));
	os_abort();
}

void
os_mutex_init(struct os_mutex *m)
{

	must(pthread_mutex_init((pthread_mutex_t *)m, NULL), "mutex_init");
}

void
os_mutex_destroy(struct os_mutex *m)
{

	must(pthread_mutex_destroy((pthread_mutex_t *)m), "mutex_destroy");
}

void
os_mutex_lock(struct os_mutex *m)
{

	must(pthread_mutex_lock((pthread_mutex_t *)m), "mutex_lock");
}

void
os_mutex_unlock(struct os_mutex *m)
{

	must(pthread_mutex_unlock((pthread_mutex_t *)m), "mutex_unlock");
}

void
os_rwlock_init(struct os_rwlock *l)
{

	must(pthread_rwlock_init((pthread_rwlock_t *)l, NULL), "rwlock_init");
}

void
os_rwlock_destroy(struct os_rwlock *l)
{

	must(pthread_rwlock_destroy((pthread_rwlock_t *)l), "rwlock_destroy");
}

void
os_rwlock_rdlock(struct os_rwlock *l)
{

	must(pthread_rwlock_rdlock((pthread_rwlock_t *)l), "rwlock_rdlock");
}

void
os_rwlock_wrlock(struct os_rwlock *l)
{

	must(pthread_rwlock_wrlock((pthread_rwlock_t *)l), "rwlock_wrlock");
}

void
os_rwlock_unlock(struct os_rwlock *l)
{

	must(pthread_rwlock_unlock((pthread_rwlock_t *)l), "rwlock_unlock");
}

void
os_rwlock_abandon(struct os_rwlock *l)
{

#ifdef __SANITIZE_THREAD__
	__tsan_mutex_pre_unlock(l, 0);
	__tsan_mutex_post_unlock(l, 0);
#endif
	(void)l;
}

void
os_cond_init(struct os_cond *c)
{
	pthread_condattr_t attr;

	must(pthread_condattr_init(&attr), "condattr_init");
	must(pthread_condattr_setclock(&attr, CLOCK_MONOTONIC), "setclock");
	must(pthread_cond_init((pthread_cond_t *)c, &attr), "cond_init");
	must(pthread_condattr_destroy(&attr), "condattr_destroy");
}

void
os_cond_wait(struct os_cond *c, struct os_mutex *m)
{

	must(pthread_cond_wait((pthread_cond_t *)c, (pthread_mutex_t *)m),
	    "cond_wait");
}

bool
os_cond_timedwait(struct os_cond *c, struct os_mutex *m, uint64_t deadline)
{
	struct timespec ts;
	int error;

	ts.tv_sec = deadline / 1000000000u;
	ts.tv_nsec = deadline % 1000000000u;
	error = pthread_cond_timedwait((pthread_cond_t *)c,
	    (pthread_mutex_t *)m, &ts);
	if (error == ETIMEDOUT)
		return (false);
	must(error, "cond_timedwait");
	return (true);
}

void
os_cond_broadcast(struct os_cond *c)
{

	must(pthread_cond_broadcast((pthread_cond_t *)c), "cond_broadcast");
}

void
os_word_wait(uint32_t *word, uint32_t value, uint64_t timeout_ns)
{
	struct timespec ts;
	int saved;

	ts.tv_sec = (time_t)(timeout_ns / 1000000000u);
	ts.tv_nsec = (long)(timeout_ns % 1000000000u);
	saved = errno;
	syscall(SYS_futex, word, (long)FUTEX_WAIT, (long)value, &ts, NULL, 0L);
	errno = saved;
}

void
os_word_wake(uint32_t *word)
{
	int saved;

	saved = errno;
	syscall(SYS_futex, word, (long)FUTEX_WAKE, (long)INT_MAX, NULL, NULL,
	    0L);
	errno = saved;
}

uint64_t
os_now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ((uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec);
}

void
os_yield(void)
{

	sched_yield();
}

void
os_nap(uint64_t ns)
{
	struct timespec ts;

	ts.tv_sec = (time_t)(ns / 1000000000u);
	ts.tv_nsec = (long)(ns % 1000000000u);
	nanosleep(&ts, NULL);
}

void
os_sleep_forever(void)
{

	for (;;)
		pause();
}

int
os_getpid(void)
{

	return (getpid());
}

/* Reads a small file of /proc without calling diverted functions. */
static ssize_t
slurp(const char *path, char *buf, size_t size)
{
	size_t done;
	ssize_t n;
	int fd;

	fd = (int)syscall(SYS_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return (-1);
	for (done = 0; done < size - 1; done += (size_t)n) {
		n = syscall(SYS_read, fd, buf + done, size - 1 - done);
		if (n <= 0)
			break;
	}
	syscall(SYS_close, fd);
	buf[done] = '\0';
	return ((ssize_t)done);
}

uint64_t
os_process_start(int pid)
{
	char path[64], buf[1024], *p;
	unsigned field;

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	if (slurp(path, buf, sizeof(buf)) <= 0)
		return (0);
	/* Field 22; the name, field 2, ends with the last parenthesis. */
	p = strrchr(buf, ')');
	/* A zombie counts as gone. */
	if (p == NULL || p[1] != ' ' || p[2] == 'Z' || p[2] == 'X')
		return (0);
	for (field = 2; p != NULL && field < 22; field++)
		p = strchr(p + 1, ' ');
	return (p == NULL ? 0 : strtoull(p + 1, NULL, 10));
}

const char *
os_getenv(const char *name)
{

	return (getenv(name));
}

struct start {
	void	(*fn)(void *);
	void	*arg;
};

static void *
thread_main(void *arg)
{
	struct start s;

	s = *(struct start *)arg;
	free(arg);
	s.fn(s.arg);
	return (NULL);
}

int
os_thread_start(os_thread_t *thread, void (*fn)(void *), void *arg)
{
	struct start *s;
	sigset_t all, old;
	int error;

	s = malloc(sizeof(*s));
	if (s == NULL)
		return (ENOMEM);
	s->fn = fn;
	s->arg = arg;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	error = pthread_create((pthread_t *)thread, NULL, thread_main, s);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (error != 0)
		free(s);
	return (error);
}

void
os_thread_join(os_thread_t thread)
{

	must(pthread_join(*(pthread_t *)&thread, NULL), "thread_join");
}

int
os_move_fd_up(int fd)
{
	int up;

	up = (int)syscall(SYS_fcntl, fd, (long)F_DUPFD_CLOEXEC, 700l);
	if (up < 0)
		return (fd);
	syscall(SYS_close, fd);
	return (up);
}

void *
os_alloc(size_t size)
{

	return (calloc(1, size));
}

void
os_free(void *p)
{

	free(p);
}

/*
 * The system call may be forbidden in a sandbox.  A pipe also checks addresses,
 * page by page.
 */
static bool
copy_by_pipe(const void *uaddr, void *kaddr, size_t len, bool in)
{
	static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
	static int fds[2] = { -1, -1 };
	const char *from;
	char *to;
	size_t done, n;
	bool ok;

	from = in ? uaddr : kaddr;
	to = in ? kaddr : (void *)(uintptr_t)uaddr;
	ok = true;
	pthread_mutex_lock(&lock);
	if (fds[0] == -1)
		must(pipe2(fds, O_CLOEXEC | O_NONBLOCK) == 0 ? 0 : errno,
		    "pipe");
	for (done = 0; ok && done < len; done += n) {
		char drain[PAGE];

		n = len - done < PAGE ? len - done : PAGE;
		if (syscall(SYS_write, fds[1], from + done, n) != (long)n)
			ok = false;
		else if (syscall(SYS_read, fds[0], to + done, n) != (long)n)
			ok = false;
		if (!ok)
			while (syscall(SYS_read, fds[0], drain, PAGE) > 0)
				;
	}
	pthread_mutex_unlock(&lock);
	return (ok);
}

static bool
copy(const void *uaddr, void *kaddr, size_t len, bool in)
{
	static bool use_pipe;
	struct iovec local, remote;
	long n;

	if (len == 0)
		return (true);
	if (use_pipe)
		return (copy_by_pipe(uaddr, kaddr, len, in));
	local.iov_base = kaddr;
	remote.iov_base = (void *)(uintptr_t)uaddr;
	local.iov_len = remote.iov_len = len;
	n = syscall(in ? SYS_process_vm_readv : SYS_process_vm_writev,
	    getpid(), &local, 1ul, &remote, 1ul, 0ul);
	if (n < 0 && (errno == ENOSYS || errno == EPERM)) {
		use_pipe = true;
		return (copy_by_pipe(uaddr, kaddr, len, in));
	}
	return (n == (long)len);
}

bool
os_copyin(const void *uaddr, void *kaddr, size_t len)
{
	int saved;
	bool ok;

	saved = errno;
	ok = copy(uaddr, kaddr, len, true);
	errno = saved;
	return (ok);
}

bool
os_copyout(const void *kaddr, void *uaddr, size_t len)
{
	int saved;
	bool ok;

	saved = errno;
	ok = copy(uaddr, (void *)(uintptr_t)kaddr, len, false);
	errno = saved;
	return (ok);
}

_Static_assert(OS_PROT_READ == PROT_READ && OS_PROT_WRITE == PROT_WRITE &&
    OS_PROT_EXEC == PROT_EXEC, "protections have the host's numbers");

static int
do_mmap(void *addr, size_t len, int prot, int flags, int fd, uint64_t offset,
    void **out)
{
	int error, saved;
	long p;

	saved = errno;
	/* Whole words: these arguments have no prototype. */
	p = syscall(SYS_mmap, addr, len, (long)prot, (long)flags, (long)fd,
	    offset);
	error = p == -1 ? errno : 0;
	errno = saved;
	if (error == 0)
		*out = (void *)p;
	return (error);
}

int
os_map(void *addr, size_t len, int prot, enum os_map_kind kind, int fd,
    uint64_t offset)
{
	void *out;
	int flags;

	flags = MAP_FIXED | (kind == OS_MAP_SHARED ? MAP_SHARED : MAP_PRIVATE);
	if (kind == OS_MAP_ANON) {
		flags |= MAP_ANONYMOUS | MAP_NORESERVE;
		fd = -1;
		offset = 0;
	}
	return (do_mmap(addr, len, prot, flags, fd, offset, &out));
}

int
os_reserve(void *hint, size_t len, bool below_4g, void **addr)
{

	return (do_mmap(hint, len, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS |
	    MAP_NORESERVE | (below_4g ? MAP_32BIT : 0), -1, 0, addr));
}

int
os_reserve_excl(void *addr, size_t len)
{
	void *out;
	int error;

	error = do_mmap(addr, len, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS |
	    MAP_NORESERVE | MAP_FIXED_NOREPLACE, -1, 0, &out);
	if (error == 0 && out != addr) {
		os_unmap(out, len);
		error = EEXIST;
	}
	return (error);
}

int
os_unmap(void *addr, size_t len)
{
	int error, saved;

	saved = errno;
	error = syscall(SYS_munmap, addr, len) == 0 ? 0 : errno;
	errno = saved;
	return (error);
}

int
os_protect(void *addr, size_t len, int prot)
{
	int error, saved;

	saved = errno;
	error = syscall(SYS_mprotect, addr, len, (long)prot) == 0 ? 0 : errno;
	errno = saved;
	return (error);
}

/* Parses "start-end rwxp" at the beginning of a line; false if cut off. */
static bool
parse_vma(const char *line, struct os_vma *vma)
{
	char *p;

	vma->start = strtoull(line, &p, 16);
	if (*p != '-')
		return (false);
	vma->end = strtoull(p + 1, &p, 16);
	if (*p != ' ')
		return (false);
	vma->prot = (p[1] == 'r' ? OS_PROT_READ : 0) |
	    (p[2] == 'w' ? OS_PROT_WRITE : 0) |
	    (p[3] == 'x' ? OS_PROT_EXEC : 0);
	return (true);
}

bool
os_page_touched(const void *addr)
{
	uint64_t entry;
	int fd, saved;

	saved = errno;
	fd = (int)syscall(SYS_openat, AT_FDCWD, "/proc/self/pagemap",
	    O_RDONLY | O_CLOEXEC);
	must(fd >= 0 ? 0 : errno, "/proc/self/pagemap");
	must(syscall(SYS_pread64, fd, &entry, sizeof(entry),
	    (off_t)((uintptr_t)addr / 4096 * sizeof(entry))) ==
	    (long)sizeof(entry) ? 0 : EIO, "/proc/self/pagemap");
	syscall(SYS_close, fd);
	errno = saved;
	return ((entry >> 63) != 0);
}

bool
os_find_vma(uintptr_t addr, struct os_vma *vma)
{
	char buf[16384], *line, *nl;
	size_t have;
	ssize_t n;
	int fd, saved;
	bool found;

	saved = errno;
	fd = (int)syscall(SYS_openat, AT_FDCWD, "/proc/self/maps",
	    O_RDONLY | O_CLOEXEC);
	must(fd >= 0 ? 0 : errno, "/proc/self/maps");
	found = false;
	have = 0;
	while (!found && (n = syscall(SYS_read, fd, buf + have,
	    sizeof(buf) - 1 - have)) > 0) {
		have += (size_t)n;
		buf[have] = '\0';
		line = buf;
		while (!found && (nl = strchr(line, '\n')) != NULL) {
			*nl = '\0';
			found = parse_vma(line, vma) && vma->end > addr;
			line = nl + 1;
		}
		have -= (size_t)(line - buf);
		memmove(buf, line, have);
	}
	syscall(SYS_close, fd);
	errno = saved;
	return (found);
}

void
os_vmessage(const char *prefix, const char *fmt, va_list ap)
{
	char buf[1024];
	int n, saved;

	/* One write: several processes may share the terminal. */
	saved = errno;
	n = snprintf(buf, sizeof(buf), "%s", prefix);
	n += vsnprintf(buf + n, sizeof(buf) - (size_t)n, fmt, ap);
	if (n >= (int)sizeof(buf))
		n = sizeof(buf) - 1;
	if (syscall(SYS_write, STDERR_FILENO, buf, (size_t)n) < 0)
		n = 0;	/* Nobody is left to be told. */
	errno = saved;
}

void
os_message(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	os_vmessage("xengnt-harness: ", fmt, ap);
	va_end(ap);
}

void
os_abort(void)
{

	abort();
}

void
os_exit(int status)
{

	fflush(NULL);
	syscall(SYS_exit_group, status);
	__builtin_unreachable();
}

/* By FreeBSD's number; 0 where Linux has no such error. */
static const short errno_table[] = {
	[1] = EPERM, [2] = ENOENT, [3] = ESRCH, [4] = EINTR, [5] = EIO,
	[6] = ENXIO, [7] = E2BIG, [8] = ENOEXEC, [9] = EBADF, [10] = ECHILD,
	[11] = EDEADLK, [12] = ENOMEM, [13] = EACCES, [14] = EFAULT,
	[15] = ENOTBLK, [16] = EBUSY, [17] = EEXIST, [18] = EXDEV,
	[19] = ENODEV, [20] = ENOTDIR, [21] = EISDIR, [22] = EINVAL,
	[23] = ENFILE, [24] = EMFILE, [25] = ENOTTY, [26] = ETXTBSY,
	[27] = EFBIG, [28] = ENOSPC, [29] = ESPIPE, [30] = EROFS,
	[31] = EMLINK, [32] = EPIPE, [33] = EDOM, [34] = ERANGE,
	[35] = EAGAIN, [36] = EINPROGRESS, [37] = EALREADY, [38] = ENOTSOCK,
	[39] = EDESTADDRREQ, [40] = EMSGSIZE, [41] = EPROTOTYPE,
	[42] = ENOPROTOOPT, [43] = EPROTONOSUPPORT, [44] = ESOCKTNOSUPPORT,
	[45] = EOPNOTSUPP, [46] = EPFNOSUPPORT, [47] = EAFNOSUPPORT,
	[48] = EADDRINUSE, [49] = EADDRNOTAVAIL, [50] = ENETDOWN,
	[51] = ENETUNREACH, [52] = ENETRESET, [53] = ECONNABORTED,
	[54] = ECONNRESET, [55] = ENOBUFS, [56] = EISCONN, [57] = ENOTCONN,
	[58] = ESHUTDOWN, [59] = ETOOMANYREFS, [60] = ETIMEDOUT,
	[61] = ECONNREFUSED, [62] = ELOOP, [63] = ENAMETOOLONG,
	[64] = EHOSTDOWN, [65] = EHOSTUNREACH, [66] = ENOTEMPTY,
	[68] = EUSERS, [69] = EDQUOT, [70] = ESTALE, [71] = EREMOTE,
	[77] = ENOLCK, [78] = ENOSYS, [82] = EIDRM, [83] = ENOMSG,
	[84] = EOVERFLOW, [85] = ECANCELED, [86] = EILSEQ, [87] = ENODATA,
	[89] = EBADMSG, [90] = EMULTIHOP, [91] = ENOLINK, [92] = EPROTO,
	[95] = ENOTRECOVERABLE, [96] = EOWNERDEAD,
};
#define	NERRNO	((int)(sizeof(errno_table) / sizeof(errno_table[0])))

int
os_errno_to_linux(int error)
{

	if (error <= 0)
		return (error);
	return (error < NERRNO && errno_table[error] != 0 ?
	    errno_table[error] : EINVAL);
}

int
os_errno_to_freebsd(int error)
{
	int i;

	if (error == 0)
		return (0);
	for (i = 1; i < NERRNO; i++)
		if (errno_table[i] == error)
			return (i);
	return (22);	/* EINVAL */
}
