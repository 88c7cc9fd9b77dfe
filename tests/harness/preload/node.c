/* SPDX-License-Identifier: BSD-2-Clause */
/* Opens of the nodes, and what the nodes look like. */
#include "preload.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

const char *
device_name(const char *path)
{

	if (path == NULL || strncmp(path, "/dev/xen/", 9) != 0)
		return (NULL);
	path += 5;
	if (strcmp(path, "xen/gntdev") == 0 ||
	    strcmp(path, "xen/gntalloc") == 0 ||
	    strcmp(path, "xen/xengntdev") == 0 ||
	    strcmp(path, EVTCHN_NAME) == 0)
		return (path);
	return (NULL);
}

static int
device_open(const char *name, int flags)
{
	struct bell *bell;
	struct file *fp;
	int error, fd, fflags, saved;

	saved = errno;
	stop_if_exiting();
	if (!is_running()) {
		errno = ENXIO;
		return (-1);
	}
	error = harness_load();
	if (error == 0 && !harness_node_exists(name))
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
	bell = NULL;
	if (strcmp(name, EVTCHN_NAME) == 0 && (flags & O_PATH) == 0)
		fd = evtchn_open(flags, &bell);
	else
		fd = (int)syscall(SYS_openat, AT_FDCWD, "/dev/null", flags &
		    (O_ACCMODE | O_CLOEXEC | O_NONBLOCK | O_PATH));
	if (fd < 0 || (flags & O_PATH) != 0)
		return (fd);
	fp = NULL;
	error = 0;
	if (fd >= MAX_FDS)
		error = 24;		/* FreeBSD's EMFILE */
	switch (flags & O_ACCMODE) {
	case O_RDONLY:
		fflags = HARNESS_FREAD;
		break;
	case O_WRONLY:
		fflags = HARNESS_FWRITE;
		break;
	case O_RDWR:
		fflags = HARNESS_FREAD | HARNESS_FWRITE;
		break;
	default:
		fflags = 0;
		break;
	}
	if (error == 0)
		error = harness_open(name, fflags, &fp);
	if (bell != NULL)
		evtchn_opened(error == 0 ? fp : NULL, bell);
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

/* <fcntl.h> turns opens into these with _FORTIFY_SOURCE. */
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

/* What the nodes look like. */

#define	NODE_MODE	(S_IFCHR | 0600)

static dev_t
node_rdev(const char *name)
{

	return (makedev(10, strcmp(name, EVTCHN_NAME) == 0 ? 202 :
	    strstr(name, "alloc") != NULL ? 201 : 200));
}

/* The name of the node behind a path or descriptor; NULL: not ours. */
static const char *
node_by_path(const char *path)
{
	const char *name;

	name = device_name(path);
	return (name != NULL && is_owner() && is_running() ? name : NULL);
}

static const char *
node_by_fd(int fd)
{
	struct file *fp;
	const char *name;

	fp = table_get(fd);
	if (fp == NULL)
		return (NULL);
	name = harness_file_is(fp, EVTCHN_NAME) ? EVTCHN_NAME :
	    harness_file_is(fp, "xen/gntalloc") ? "xen/gntalloc" :
	    "xen/gntdev";
	harness_close(fp);
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
	if (harness_node_exists(name)) {
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
