/* SPDX-License-Identifier: BSD-2-Clause */
/* Commands, and hooks for programs that know of the harness. */
#include "preload.h"

#include <errno.h>
#include <stdarg.h>
#include <sys/ioctl.h>

/* FreeBSD's numbers. */
#define	FREEBSD_ENOTTY	25
#define	FREEBSD_ENOSYS	78
#define	FREEBSD_ENOIOCTL (-3)

/*
 * Asks the Linuxulator's handlers.  A command that none of them takes is ENOTTY
 * here, EINVAL there (row K20).
 */
static int
linux_ioctl(struct file *fp, unsigned cmd, uintptr_t arg)
{
	int error;

	error = harness_linux_ioctl(fp, cmd, arg);
	/*
	 * Without the module, as for tests of the shim: pass the bare number.
	 */
	if (error == FREEBSD_ENOSYS)
		error = harness_ioctl(fp, HARNESS_IO('G', cmd & 0xff), arg);
	return (error == FREEBSD_ENOIOCTL ? FREEBSD_ENOTTY : error);
}

EXPORT int
ioctl(int fd, unsigned long request, ...)
{
	struct file *fp;
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
	else if (harness_file_is(fp, EVTCHN_NAME))
		error = cmd == FIONBIO ? NEXT(ioctl)(fd, request, arg) :
		    evtchn_ioctl(fp, cmd, arg);
	else {
		saved = errno;
		if (cmd == FIONBIO)
			error = harness_ioctl(fp, 0x8004667e, arg);
		else if (cmd == FIOASYNC)
			error = harness_ioctl(fp, 0x8004667d, arg);
		else
			error = linux_ioctl(fp, cmd, arg);
		error = result(error, saved);
		if (error == 0 && cmd == FIONBIO)
			error = NEXT(ioctl)(fd, request, arg);
	}
	if (fp != NULL) {
		saved = errno;
		harness_close(fp);
		errno = saved;
	}
	return (error);
}

/* Hooks for programs that know of the harness. */

int	xengnt_harness_peer(const char *request, char *reply, size_t replylen);
int	xengnt_harness_sysctl(const char *name, const unsigned *newval,
	    unsigned *oldval);
int	xengnt_harness_sysctl64(const char *name, uint64_t *value);
int	xengnt_harness_unload(void);

EXPORT int
xengnt_harness_peer(const char *request, char *reply, size_t replylen)
{

	return (harness_peer(request, reply, replylen));
}

EXPORT int
xengnt_harness_sysctl(const char *name, const unsigned *newval,
    unsigned *oldval)
{
	int saved;

	saved = errno;
	return (result(harness_sysctl(name, newval, oldval), saved));
}

EXPORT int
xengnt_harness_sysctl64(const char *name, uint64_t *value)
{
	int saved;

	saved = errno;
	return (result(harness_sysctl64(name, value), saved));
}

/* 0, or -1 with EBUSY; the next open loads again. */
EXPORT int
xengnt_harness_unload(void)
{
	int saved;

	saved = errno;
	return (result(harness_unload(), saved));
}
