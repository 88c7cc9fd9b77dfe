/* SPDX-License-Identifier: BSD-2-Clause */
/* Operations on descriptors. */
#include "preload.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <sys/uio.h>
#include <unistd.h>

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
	unsigned fd;
	int error, saved;

	error = NEXT(close_range)(first, last, flags);
	if (error != 0 || (flags & CLOSE_RANGE_CLOEXEC) != 0)
		return (error);
	saved = errno;
	for (fd = first; fd < MAX_FDS && fd <= last; fd++) {
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
