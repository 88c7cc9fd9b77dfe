/* SPDX-License-Identifier: BSD-2-Clause */
/* Operations on descriptors. */
#include "preload.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdint.h>
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
		harness_close(fp);
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
			harness_close(fp);
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
		/* Our old number may belong to something else now. */
		old = new < 0 ? NULL : table_take(new);
		if (old != NULL)
			harness_close(old);
	} else if (new < 0)
		harness_close(fp);
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

/*
 * Data transfer: events support it, without a position; the driver refuses it
 * (row O6).
 */
enum rw { READ, WRITE, PREAD, PWRITE };

static bool
device_rw(int fd, enum rw rw, const struct iovec *iov, int niov, ssize_t *done)
{
	struct file *fp;
	size_t n;
	int error, saved;

	fp = table_get(fd);
	if (fp == NULL)
		return (false);
	saved = errno;
	if (!harness_file_is(fp, EVTCHN_NAME)) {
		error = rw == WRITE || rw == PWRITE ?
		    harness_write(fp, NULL, 0, &n) :
		    harness_read(fp, NULL, 0, &n);
		*done = result(error, saved);
	} else if (rw == READ)
		*done = evtchn_readv(fd, fp, iov, niov);
	else if (rw == WRITE)
		*done = evtchn_writev(fp, iov, niov);
	else {
		*done = -1;
		errno = ESPIPE;
	}
	saved = errno;
	harness_close(fp);
	errno = saved;
	return (true);
}

#define	RW(name, rw, params, args, base, len)				\
EXPORT ssize_t								\
name params								\
{									\
	struct iovec one = { (void *)(uintptr_t)(base), (len) };	\
	ssize_t done;							\
									\
	if (device_rw(fd, rw, &one, 1, &done))				\
		return (done);						\
	done = NEXT(name) args;						\
	if (rw == READ)							\
		pipe_was_read(fd);					\
	return (done);							\
}
RW(read, READ, (int fd, void *buf, size_t n), (fd, buf, n), buf, n)
RW(write, WRITE, (int fd, const void *buf, size_t n), (fd, buf, n), buf, n)
RW(pread, PREAD, (int fd, void *buf, size_t n, off_t off), (fd, buf, n, off),
    buf, n)
RW(pread64, PREAD, (int fd, void *buf, size_t n, off64_t off),
    (fd, buf, n, off), buf, n)
RW(pwrite, PWRITE, (int fd, const void *buf, size_t n, off_t off),
    (fd, buf, n, off), buf, n)
RW(pwrite64, PWRITE, (int fd, const void *buf, size_t n, off64_t off),
    (fd, buf, n, off), buf, n)

ssize_t	__read_chk(int, void *, size_t, size_t);
RW(__read_chk, READ, (int fd, void *buf, size_t n, size_t buflen),
    (fd, buf, n, buflen), buf, n)

#define	RWV(name, rw)							\
EXPORT ssize_t								\
name(int fd, const struct iovec *iov, int n)				\
{									\
	ssize_t done;							\
									\
	if (device_rw(fd, rw, iov, n, &done))				\
		return (done);						\
	done = NEXT(name)(fd, iov, n);					\
	if (rw == READ)							\
		pipe_was_read(fd);					\
	return (done);							\
}
RWV(readv, READ)
RWV(writev, WRITE)
