/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * libxengnt-host.so: preloaded, it puts the driver behind /dev/xen/gntdev
 * and /dev/xen/gntalloc of any Linux program.
 *
 * An open device is a descriptor of /dev/null, so that its number, dup(2),
 * poll(2) and close-on-exec are the system's own business.  Command words
 * are translated as the Linuxulator module does: a full compare, else ENOTTY
 * (REFERENCE 3.6).
 */
#undef _FILE_OFFSET_BITS	/* open and open64 are two symbols here */
#undef _FORTIFY_SOURCE
#define	_GNU_SOURCE

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/uio.h>
#include <unistd.h>

#include <xen/gntalloc.h>
#include <xen/gntdev.h>

#include "host.h"
#include "os/os.h"

#define	EXPORT		__attribute__((visibility("default")))
#define	EXIT_LEAK	99
#define	MAX_FDS		65536

/* The next definition of a function, the C library's as a rule. */
#define	NEXT(name) ({							\
	static __typeof__(&name) next;					\
	if (next == NULL)						\
		next = (__typeof__(&name))next_symbol(#name);		\
	next;								\
})

static void *
next_symbol(const char *name)
{
	void *p;
	int saved;

	saved = errno;
	p = dlsym(RTLD_NEXT, name);
	errno = saved;
	if (p == NULL) {
		os_message("no %s behind the preload library\n", name);
		os_abort();
	}
	return (p);
}

/* Which descriptors are ours. */

static pthread_mutex_t table_lock = PTHREAD_MUTEX_INITIALIZER;
static struct file *table[MAX_FDS];
static int table_end;		/* no entry from here on */
/*
 * A child of vfork(2) runs on our memory until it executes something: its
 * closes are not ours.
 */
static pid_t owner;

enum { RUNNING, EXITING, DOWN };
static int state;
static pthread_t exiting_thread;

static bool
is_owner(void)
{

	return (getpid() == owner);
}

/* Where a thread goes that the end of the process overtakes. */
static void
stop_if_exiting(void)
{

	if (__atomic_load_n(&state, __ATOMIC_ACQUIRE) != RUNNING &&
	    !pthread_equal(exiting_thread, pthread_self()))
		os_sleep_forever();
}

/* In the table at the end of the process: a device was open here. */
#define	GONE	((struct file *)1)

static bool
is_placeholder(int fd)
{
	struct stat st;

	return (syscall(SYS_fstat, fd, &st) == 0 && S_ISCHR(st.st_mode) &&
	    st.st_rdev == makedev(1, 3));
}

/* Takes fd out of the table: the file, with the table's reference. */
static struct file *
table_take(int fd)
{
	struct file *fp;

	if (fd < 0 || fd >= __atomic_load_n(&table_end, __ATOMIC_ACQUIRE) ||
	    !is_owner())
		return (NULL);
	pthread_mutex_lock(&table_lock);
	fp = table[fd];
	table[fd] = NULL;
	pthread_mutex_unlock(&table_lock);
	return (fp == GONE ? NULL : fp);
}

/* fp's reference becomes the table's; what was there before is closed. */
static void
table_put(int fd, struct file *fp)
{
	struct file *old;

	pthread_mutex_lock(&table_lock);
	old = table[fd];
	table[fd] = fp;
	if (fd >= table_end)
		__atomic_store_n(&table_end, fd + 1, __ATOMIC_RELEASE);
	pthread_mutex_unlock(&table_lock);
	if (old != NULL && old != GONE)
		host_close(old);
}

/* The file behind fd, held, or NULL. */
static struct file *
table_get(int fd)
{
	struct file *fp;
	int saved;

	if (fd < 0 || fd >= __atomic_load_n(&table_end, __ATOMIC_ACQUIRE) ||
	    table[fd] == NULL || !is_owner())
		return (NULL);
	stop_if_exiting();
	saved = errno;
	/* Somebody may have closed it behind our back. */
	if (!is_placeholder(fd)) {
		fp = table_take(fd);
		if (fp != NULL)
			host_close(fp);
		errno = saved;
		return (NULL);
	}
	errno = saved;
	pthread_mutex_lock(&table_lock);
	fp = table[fd];
	if (fp == GONE)
		fp = NULL;
	if (fp != NULL)
		host_hold(fp);
	pthread_mutex_unlock(&table_lock);
	if (fp == NULL)
		stop_if_exiting();
	return (fp);
}

/* 0, or -1 with errno, of FreeBSD's error number; errno is left alone on 0. */
static int
result(int error, int saved)
{

	errno = error == 0 ? saved : os_errno_to_linux(error);
	return (error == 0 ? 0 : -1);
}

/* Opens. */

/* The node's name below /dev, or NULL for other people's paths. */
static const char *
device_name(const char *path)
{

	if (path == NULL || strncmp(path, "/dev/xen/", 9) != 0)
		return (NULL);
	path += 5;
	if (strcmp(path, "xen/gntdev") == 0 ||
	    strcmp(path, "xen/gntalloc") == 0 ||
	    strcmp(path, "xen/xengntdev") == 0)
		return (path);
	return (NULL);
}

static int
device_open(const char *name, int flags)
{
	struct file *fp;
	int error, fd, fflags, saved;

	saved = errno;
	stop_if_exiting();
	if (state == DOWN) {
		errno = ENXIO;
		return (-1);
	}
	error = host_load();
	if (error == 0 && !host_node_exists(name))
		error = ENOENT;
	if (error != 0)
		return (result(error, saved));
	if ((flags & (O_CREAT | O_EXCL)) == (O_CREAT | O_EXCL)) {
		errno = EEXIST;
		return (-1);
	}
	if ((flags & O_DIRECTORY) != 0) {
		errno = ENOTDIR;
		return (-1);
	}
	fd = (int)syscall(SYS_openat, AT_FDCWD, "/dev/null", flags &
	    (O_ACCMODE | O_CLOEXEC | O_NONBLOCK | O_PATH));
	if (fd < 0 || (flags & O_PATH) != 0)
		return (fd);
	if (fd >= MAX_FDS) {
		syscall(SYS_close, fd);
		errno = EMFILE;
		return (-1);
	}
	switch (flags & O_ACCMODE) {
	case O_RDONLY:
		fflags = HOST_FREAD;
		break;
	case O_WRONLY:
		fflags = HOST_FWRITE;
		break;
	case O_RDWR:
		fflags = HOST_FREAD | HOST_FWRITE;
		break;
	default:
		fflags = 0;
		break;
	}
	error = host_open(name, fflags, &fp);
	if (error != 0) {
		syscall(SYS_close, fd);
		return (result(error, saved));
	}
	table_put(fd, fp);
	errno = saved;
	return (fd);
}

static mode_t
open_mode(int flags, va_list ap)
{

	/* Only then is there an argument. */
	if ((flags & O_CREAT) != 0 || (flags & O_TMPFILE) == O_TMPFILE)
		return (va_arg(ap, mode_t));
	return (0);
}

#define	OPEN(name)							\
EXPORT int								\
name(const char *path, int flags, ...)					\
{									\
	const char *dev;						\
	va_list ap;							\
	mode_t mode;							\
									\
	dev = device_name(path);					\
	if (dev != NULL && is_owner())					\
		return (device_open(dev, flags));			\
	va_start(ap, flags);						\
	mode = open_mode(flags, ap);					\
	va_end(ap);							\
	return (NEXT(name)(path, flags, mode));				\
}
OPEN(open)
OPEN(open64)

#define	OPENAT(name)							\
EXPORT int								\
name(int dirfd, const char *path, int flags, ...)			\
{									\
	const char *dev;						\
	va_list ap;							\
	mode_t mode;							\
									\
	dev = device_name(path);					\
	if (dev != NULL && is_owner())					\
		return (device_open(dev, flags));			\
	va_start(ap, flags);						\
	mode = open_mode(flags, ap);					\
	va_end(ap);							\
	return (NEXT(name)(dirfd, path, flags, mode));			\
}
OPENAT(openat)
OPENAT(openat64)

/* What <fcntl.h> turns opens into with _FORTIFY_SOURCE. */
int	__open_2(const char *, int);
int	__open64_2(const char *, int);
int	__openat_2(int, const char *, int);
int	__openat64_2(int, const char *, int);

EXPORT int
__open_2(const char *path, int flags)
{

	return (open(path, flags));
}

EXPORT int
__open64_2(const char *path, int flags)
{

	return (open64(path, flags));
}

EXPORT int
__openat_2(int dirfd, const char *path, int flags)
{

	return (openat(dirfd, path, flags));
}

EXPORT int
__openat64_2(int dirfd, const char *path, int flags)
{

	return (openat64(dirfd, path, flags));
}

/* Descriptors. */

EXPORT int
close(int fd)
{
	struct file *fp;
	int error, saved;

	fp = table_take(fd);
	error = NEXT(close)(fd);
	if (fp != NULL) {
		saved = errno;
		host_close(fp);
		errno = saved;
	}
	return (error);
}

EXPORT int
close_range(unsigned first, unsigned last, int flags)
{
	struct file *fp;
	unsigned fd, end;
	int error, saved;

	error = NEXT(close_range)(first, last, flags);
	if (error != 0 || (flags & CLOSE_RANGE_CLOEXEC) != 0)
		return (error);
	saved = errno;
	end = (unsigned)__atomic_load_n(&table_end, __ATOMIC_ACQUIRE);
	for (fd = first; fd < end && fd <= last; fd++) {
		fp = table_take((int)fd);
		if (fp != NULL)
			host_close(fp);
	}
	errno = saved;
	return (error);
}

EXPORT void
closefrom(int first)
{

	if (first < 0)
		first = 0;
	close_range((unsigned)first, ~0u, 0);
}

/* new is a fresh copy of fd, whose file was held before. */
static int
duplicated(struct file *fp, int new)
{
	struct file *old;
	int saved;

	saved = errno;
	if (fp == NULL) {
		/* Something else may now be where ours was. */
		old = new < 0 ? NULL : table_take(new);
		if (old != NULL)
			host_close(old);
	} else if (new < 0)
		host_close(fp);
	else
		table_put(new, fp);
	errno = saved;
	return (new);
}

EXPORT int
dup(int fd)
{
	struct file *fp;

	fp = table_get(fd);
	return (duplicated(fp, NEXT(dup)(fd)));
}

EXPORT int
dup2(int fd, int new)
{
	struct file *fp;

	if (fd == new)
		return (NEXT(dup2)(fd, new));
	fp = table_get(fd);
	return (duplicated(fp, NEXT(dup2)(fd, new)));
}

EXPORT int
dup3(int fd, int new, int flags)
{
	struct file *fp;

	fp = table_get(fd);
	return (duplicated(fp, NEXT(dup3)(fd, new, flags)));
}

#define	FCNTL(name)							\
EXPORT int								\
name(int fd, int cmd, ...)						\
{									\
	struct file *fp;						\
	va_list ap;							\
	void *arg;							\
									\
	va_start(ap, cmd);						\
	arg = va_arg(ap, void *);					\
	va_end(ap);							\
	if (cmd != F_DUPFD && cmd != F_DUPFD_CLOEXEC)			\
		return (NEXT(name)(fd, cmd, arg));			\
	fp = table_get(fd);						\
	return (duplicated(fp, NEXT(name)(fd, cmd, arg)));		\
}
FCNTL(fcntl)
FCNTL(fcntl64)

/* ioctl. */

/* Linux's words, whole; 0 for all others (rows O4, K1). */
static unsigned long
freebsd_word(unsigned cmd)
{

	switch (cmd) {
	case IOCTL_GNTDEV_MAP_GRANT_REF:
	case IOCTL_GNTDEV_UNMAP_GRANT_REF:
	case IOCTL_GNTDEV_GET_OFFSET_FOR_VADDR:
	case IOCTL_GNTDEV_SET_MAX_GRANTS:
	case IOCTL_GNTALLOC_ALLOC_GREF:
	case IOCTL_GNTDEV_GRANT_COPY:
	/* Both devices': one word. */
	case IOCTL_GNTDEV_SET_UNMAP_NOTIFY:
	/* dealloc: Linux's struct has tail padding, 16 bytes in all. */
	case IOCTL_GNTALLOC_DEALLOC_GREF:
	/* The four of dma-buf, which the driver refuses. */
	case 0x00144709:
	case 0x0008470a:
	case 0x0014470b:
	case 0x0008470c:
		return (HOST_IO('G', cmd & 0xff));
	default:
		return (0);
	}
}

_Static_assert(IOCTL_GNTDEV_MAP_GRANT_REF == 0x00184700 &&
    IOCTL_GNTDEV_UNMAP_GRANT_REF == 0x00104701 &&
    IOCTL_GNTDEV_GET_OFFSET_FOR_VADDR == 0x00184702 &&
    IOCTL_GNTDEV_SET_MAX_GRANTS == 0x00044703 &&
    IOCTL_GNTALLOC_ALLOC_GREF == 0x00184705 &&
    IOCTL_GNTALLOC_DEALLOC_GREF == 0x00104706 &&
    IOCTL_GNTDEV_SET_UNMAP_NOTIFY == 0x00104707 &&
    IOCTL_GNTALLOC_SET_UNMAP_NOTIFY == 0x00104707 &&
    IOCTL_GNTDEV_GRANT_COPY == 0x00104708, "Linux's command words");

EXPORT int
ioctl(int fd, unsigned long request, ...)
{
	struct file *fp;
	unsigned long word;
	uintptr_t arg;
	unsigned cmd;
	va_list ap;
	int error, saved;

	va_start(ap, request);
	arg = va_arg(ap, uintptr_t);
	va_end(ap);
	fp = table_get(fd);
	cmd = (unsigned)request;
	if (fp == NULL || cmd == FIOCLEX || cmd == FIONCLEX)
		error = NEXT(ioctl)(fd, request, arg);
	else {
		saved = errno;
		word = freebsd_word(cmd);
		if (cmd == FIONBIO)
			error = host_ioctl(fp, 0x8004667e, arg);
		else if (cmd == FIOASYNC)
			error = host_ioctl(fp, 0x8004667d, arg);
		else
			error = host_ioctl(fp, word, arg);
		error = result(error, saved);
		if (error == 0 && cmd == FIONBIO)
			error = NEXT(ioctl)(fd, request, arg);
	}
	if (fp != NULL)
		host_close(fp);
	return (error);
}

/* mmap and its kin. */

static int
mmap_flags(int flags, int *out)
{

	/* Linux wants exactly one; its Linuxulator does too (row K6). */
	switch (flags & (MAP_SHARED | MAP_PRIVATE)) {
	case MAP_SHARED:
		*out = HOST_MAP_SHARED;
		break;
	case MAP_PRIVATE:
		*out = HOST_MAP_PRIVATE;
		break;
	default:
		return (EINVAL);
	}
	*out |= HOST_MAP_NOSYNC;
	if ((flags & MAP_FIXED) != 0)
		*out |= HOST_MAP_FIXED;
	else if ((flags & MAP_32BIT) != 0)
		*out |= HOST_MAP_32BIT;
	return (0);
}

static void *
do_mmap(void *addr, size_t len, int prot, int flags, int fd, off64_t offset,
    void *(*next)(void *, size_t, int, int, int, off64_t))
{
	struct file *fp;
	void *p;
	int error, hflags, saved;

	fp = (flags & MAP_ANONYMOUS) != 0 ? NULL : table_get(fd);
	saved = errno;
	if (fp == NULL) {
		p = next(addr, len, prot, flags, fd, offset);
		if (p != MAP_FAILED && (flags & MAP_FIXED) != 0 &&
		    is_owner() && host_owns(p, len)) {
			saved = errno;
			host_mapped_over(p, len);
			errno = saved;
		}
		return (p);
	}
	error = mmap_flags(flags, &hflags);
	if (error == 0)
		error = host_mmap(fp, addr, len, prot, hflags, offset, &p);
	host_close(fp);
	return (result(error, saved) == 0 ? p : MAP_FAILED);
}

EXPORT void *
mmap(void *addr, size_t len, int prot, int flags, int fd, off_t offset)
{

	return (do_mmap(addr, len, prot, flags, fd, offset, NEXT(mmap)));
}

EXPORT void *
mmap64(void *addr, size_t len, int prot, int flags, int fd, off64_t offset)
{

	return (do_mmap(addr, len, prot, flags, fd, offset, NEXT(mmap64)));
}

static bool
ours(const void *addr, size_t len)
{

	if (!host_owns(addr, len) || !is_owner())
		return (false);
	stop_if_exiting();
	return (state != DOWN);
}

EXPORT int
munmap(void *addr, size_t len)
{
	int saved;

	saved = errno;
	if (!ours(addr, len))
		return (NEXT(munmap)(addr, len));
	return (result(host_munmap(addr, len), saved));
}

EXPORT int
mprotect(void *addr, size_t len, int prot)
{
	int saved;

	saved = errno;
	if (!ours(addr, len))
		return (NEXT(mprotect)(addr, len, prot));
	return (result(host_mprotect(addr, len, prot), saved));
}

/* As the Linuxulator: it shrinks, and does nothing else (row K8). */
EXPORT void *
mremap(void *old, size_t old_len, size_t new_len, int flags, ...)
{
	va_list ap;
	void *new, *p;
	size_t page;
	int saved;

	va_start(ap, flags);
	new = va_arg(ap, void *);
	va_end(ap);
	saved = errno;
	if (!ours(old, old_len == 0 ? 1 : old_len)) {
		p = NEXT(mremap)(old, old_len, new_len, flags, new);
		if (p != MAP_FAILED && (flags & MREMAP_FIXED) != 0 &&
		    ours(p, new_len)) {
			host_mapped_over(p, new_len);
			errno = saved;
		}
		return (p);
	}
	page = (size_t)sysconf(_SC_PAGESIZE);
	old_len = (old_len + page - 1) & ~(page - 1);
	new_len = (new_len + page - 1) & ~(page - 1);
	if ((flags & ~(MREMAP_MAYMOVE | MREMAP_FIXED)) != 0 ||
	    ((uintptr_t)old & (page - 1)) != 0 || new_len == 0) {
		errno = EINVAL;
		return (MAP_FAILED);
	}
	if (new_len > old_len) {
		errno = ENOMEM;
		return (MAP_FAILED);
	}
	if (new_len < old_len && result(host_munmap((char *)old + new_len,
	    old_len - new_len), saved) != 0)
		return (MAP_FAILED);
	return (old);
}

/* Data transfer, which the driver refuses (row O6). */

static bool
device_rw(int fd, bool write, ssize_t *done)
{
	struct file *fp;
	size_t n;
	int error, saved;

	fp = table_get(fd);
	if (fp == NULL)
		return (false);
	saved = errno;
	error = write ? host_write(fp, NULL, 0, &n) :
	    host_read(fp, NULL, 0, &n);
	host_close(fp);
	*done = result(error, saved);
	return (true);
}

#define	RW(name, write, params, args)					\
EXPORT ssize_t								\
name params								\
{									\
	ssize_t done;							\
									\
	if (device_rw(fd, write, &done))				\
		return (done);						\
	return (NEXT(name) args);					\
}
RW(read, false, (int fd, void *buf, size_t n), (fd, buf, n))
RW(write, true, (int fd, const void *buf, size_t n), (fd, buf, n))
RW(pread, false, (int fd, void *buf, size_t n, off_t off), (fd, buf, n, off))
RW(pread64, false, (int fd, void *buf, size_t n, off64_t off),
    (fd, buf, n, off))
RW(pwrite, true, (int fd, const void *buf, size_t n, off_t off),
    (fd, buf, n, off))
RW(pwrite64, true, (int fd, const void *buf, size_t n, off64_t off),
    (fd, buf, n, off))
RW(readv, false, (int fd, const struct iovec *iov, int n), (fd, iov, n))
RW(writev, true, (int fd, const struct iovec *iov, int n), (fd, iov, n))

ssize_t	__read_chk(int, void *, size_t, size_t);
RW(__read_chk, false, (int fd, void *buf, size_t n, size_t buflen),
    (fd, buf, n, buflen))

/* What the nodes look like. */

#define	NODE_MODE	(S_IFCHR | 0600)

static dev_t
node_rdev(const char *name)
{

	return (makedev(10, strstr(name, "alloc") != NULL ? 201 : 200));
}

/* The name of the node behind a path or descriptor; NULL: not ours. */
static const char *
node_by_path(const char *path)
{
	const char *name;

	name = device_name(path);
	return (name != NULL && is_owner() && state == RUNNING ? name : NULL);
}

static const char *
node_by_fd(int fd)
{
	struct file *fp;
	const char *name;

	fp = table_get(fd);
	if (fp == NULL)
		return (NULL);
	name = host_file_is(fp, "xen/gntalloc") ? "xen/gntalloc" :
	    "xen/gntdev";
	host_close(fp);
	return (name);
}

/* fstat(2) by another name. */
static bool
by_descriptor(const char *path, int flags)
{

	return ((flags & AT_EMPTY_PATH) != 0 && path != NULL && *path == '\0');
}

static bool
node_missing(const char *name)
{
	int saved;

	saved = errno;
	if (host_node_exists(name)) {
		errno = saved;
		return (false);
	}
	errno = ENOENT;
	return (true);
}

#define	STAT(name, type)						\
EXPORT int								\
name(const char *path, type *st)					\
{									\
	const char *node;						\
	int error;							\
									\
	node = node_by_path(path);					\
	if (node != NULL && node_missing(node))				\
		return (-1);						\
	error = NEXT(name)(node != NULL ? "/dev/null" : path, st);	\
	if (error == 0 && node != NULL) {				\
		st->st_mode = NODE_MODE;				\
		st->st_rdev = node_rdev(node);				\
	}								\
	return (error);							\
}
STAT(stat, struct stat)
STAT(stat64, struct stat64)
STAT(lstat, struct stat)
STAT(lstat64, struct stat64)

#define	FSTAT(name, type)						\
EXPORT int								\
name(int fd, type *st)							\
{									\
	const char *node;						\
	int error;							\
									\
	node = node_by_fd(fd);						\
	error = NEXT(name)(fd, st);					\
	if (error == 0 && node != NULL) {				\
		st->st_mode = NODE_MODE;				\
		st->st_rdev = node_rdev(node);				\
	}								\
	return (error);							\
}
FSTAT(fstat, struct stat)
FSTAT(fstat64, struct stat64)

#define	FSTATAT(name, type)						\
EXPORT int								\
name(int dirfd, const char *path, type *st, int flags)			\
{									\
	const char *node;						\
	int error;							\
									\
	node = node_by_path(path);					\
	if (node != NULL && node_missing(node))				\
		return (-1);						\
	if (node == NULL && by_descriptor(path, flags))			\
		node = node_by_fd(dirfd);				\
	error = NEXT(name)(dirfd, node_by_path(path) != NULL ?		\
	    "/dev/null" : path, st, flags);				\
	if (error == 0 && node != NULL) {				\
		st->st_mode = NODE_MODE;				\
		st->st_rdev = node_rdev(node);				\
	}								\
	return (error);							\
}
FSTATAT(fstatat, struct stat)
FSTATAT(fstatat64, struct stat64)

EXPORT int
statx(int dirfd, const char *path, int flags, unsigned mask, struct statx *st)
{
	const char *node;
	int error;

	node = node_by_path(path);
	if (node != NULL && node_missing(node))
		return (-1);
	error = NEXT(statx)(dirfd, node != NULL ? "/dev/null" : path, flags,
	    mask, st);
	if (node == NULL && by_descriptor(path, flags))
		node = node_by_fd(dirfd);
	if (error == 0 && node != NULL) {
		st->stx_mode = NODE_MODE;
		st->stx_rdev_major = major(node_rdev(node));
		st->stx_rdev_minor = minor(node_rdev(node));
	}
	return (error);
}

EXPORT int
access(const char *path, int mode)
{
	const char *node;

	node = node_by_path(path);
	if (node != NULL && node_missing(node))
		return (-1);
	return (NEXT(access)(node != NULL ? "/dev/null" : path, mode));
}

EXPORT int
faccessat(int dirfd, const char *path, int mode, int flags)
{
	const char *node;

	node = node_by_path(path);
	if (node != NULL && node_missing(node))
		return (-1);
	return (NEXT(faccessat)(dirfd, node != NULL ? "/dev/null" : path,
	    mode, flags));
}

/* Hooks for programs that know of the harness. */

int	xengnt_host_peer(const char *request, char *reply, size_t replylen);
int	xengnt_host_sysctl(const char *name, const unsigned *newval,
	    unsigned *oldval);
int	xengnt_host_unload(void);

EXPORT int
xengnt_host_peer(const char *request, char *reply, size_t replylen)
{

	return (host_peer(request, reply, replylen));
}

EXPORT int
xengnt_host_sysctl(const char *name, const unsigned *newval, unsigned *oldval)
{
	int saved;

	saved = errno;
	return (result(host_sysctl(name, newval, oldval), saved));
}

/* 0, or -1 with EBUSY; the next open loads again. */
EXPORT int
xengnt_host_unload(void)
{
	int saved;

	saved = errno;
	return (result(host_unload(), saved));
}

/* The end of the process, and its beginning. */

/*
 * FreeBSD's order (row K9): descriptors ascending, then the address space.
 * The number of leaks.
 */
static unsigned
shut_down(void)
{
	struct file *fp;
	unsigned leaks;
	int fd;

	if (!is_owner())
		return (0);
	pthread_mutex_lock(&table_lock);
	if (state != RUNNING) {
		pthread_mutex_unlock(&table_lock);
		/* Two threads may end the process; the second waits. */
		stop_if_exiting();
		return (0);
	}
	exiting_thread = pthread_self();
	__atomic_store_n(&state, EXITING, __ATOMIC_RELEASE);
	pthread_mutex_unlock(&table_lock);
	host_quiesce();
	for (fd = 0; fd < table_end; fd++) {
		fp = table_take(fd);
		if (fp != NULL) {
			table_put(fd, GONE);
			host_close(fp);
		}
	}
	leaks = host_teardown(true);
	__atomic_store_n(&state, DOWN, __ATOMIC_RELEASE);
	return (leaks);
}

static void __attribute__((destructor))
at_exit(void)
{

	if (shut_down() != 0)
		os_exit(EXIT_LEAK);
}

EXPORT void
_exit(int status)
{

	if (shut_down() != 0)
		status = EXIT_LEAK;
	for (;;)
		syscall(SYS_exit_group, status);
}

EXPORT void
_Exit(int status)
{

	_exit(status);
}

static void
fork_prepare(void)
{

	pthread_mutex_lock(&table_lock);
	host_fork_prepare();
}

static void
fork_parent(void)
{

	host_fork_parent();
	pthread_mutex_unlock(&table_lock);
}

/*
 * The child has the descriptors and sees the pages, but devices behind them
 * it has none: sharing by fork is not modelled.
 */
static void
fork_child(void)
{

	host_fork_child();
	pthread_mutex_init(&table_lock, NULL);
	memset(table, 0, (size_t)table_end * sizeof(table[0]));
	table_end = 0;
	owner = getpid();
	state = RUNNING;
}

static void __attribute__((constructor))
at_start(void)
{

	owner = getpid();
	pthread_atfork(fork_prepare, fork_parent, fork_child);
}
