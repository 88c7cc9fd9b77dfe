/* SPDX-License-Identifier: BSD-2-Clause */
/* Command words, and hooks for programs that know of the harness. */
#include "preload.h"

#include <errno.h>
#include <stdarg.h>
#include <sys/ioctl.h>
#include <xen/gntalloc.h>
#include <xen/gntdev.h>

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

#define	FREEBSD_ENOSYS	78

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
		else {
			/* The Linuxulator module's translation, if it is there. */
			error = word == 0 && (cmd >> 8 & 0xff) != 'G' ?
			    FREEBSD_ENOSYS : host_linux_ioctl(fp, cmd, arg);
			if (error == FREEBSD_ENOSYS)
				error = host_ioctl(fp, word, arg);
		}
		error = result(error, saved);
		if (error == 0 && cmd == FIONBIO)
			error = NEXT(ioctl)(fd, request, arg);
	}
	if (fp != NULL)
		host_close(fp);
	return (error);
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
