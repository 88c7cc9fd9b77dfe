/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Names for what has different numbers on each system: errno values, signals,
 * ioctl commands, device nodes.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include <xen/gntdev.h>
#include <xen/gntalloc.h>

#include "agent.h"

struct pair {
	int		 value;
	const char	*name;
};

#define	P(x)	{ x, #x }

static const struct pair errnos[] = {
	P(EPERM), P(ENOENT), P(ESRCH), P(EINTR), P(EIO), P(ENXIO), P(E2BIG),
	P(ENOEXEC), P(EBADF), P(ECHILD), P(EAGAIN), P(ENOMEM), P(EACCES),
	P(EFAULT), P(EBUSY), P(EEXIST), P(EXDEV), P(ENODEV), P(ENOTDIR),
	P(EISDIR), P(EINVAL), P(ENFILE), P(EMFILE), P(ENOTTY), P(ETXTBSY),
	P(EFBIG), P(ENOSPC), P(ESPIPE), P(EROFS), P(EMLINK), P(EPIPE),
	P(EDOM), P(ERANGE), P(EDEADLK), P(ENAMETOOLONG), P(ENOLCK),
	P(ENOSYS), P(ENOTEMPTY), P(ELOOP), P(EOVERFLOW), P(EOPNOTSUPP),
	P(ENOBUFS), P(ENOTCONN), P(EISCONN), P(ETIMEDOUT), P(ECONNREFUSED),
	P(ECONNRESET), P(EALREADY), P(EINPROGRESS), P(ECANCELED), P(EBADMSG),
	P(EPROTO), P(ENOTSOCK), P(EMSGSIZE), P(ESTALE), P(EILSEQ),
	P(EIDRM), P(ENOMSG), P(EUSERS), P(EDQUOT),
#ifdef ENODATA
	P(ENODATA),
#endif
#ifdef ENOTBLK
	P(ENOTBLK),
#endif
#ifdef ENOKEY
	P(ENOKEY),
#endif
#ifdef ENOTCAPABLE
	P(ENOTCAPABLE),
#endif
#ifdef ECAPMODE
	P(ECAPMODE),
#endif
};

static const struct pair signals[] = {
	P(SIGHUP), P(SIGINT), P(SIGQUIT), P(SIGILL), P(SIGTRAP), P(SIGABRT),
	P(SIGBUS), P(SIGFPE), P(SIGKILL), P(SIGUSR1), P(SIGSEGV), P(SIGUSR2),
	P(SIGPIPE), P(SIGALRM), P(SIGTERM), P(SIGSTOP), P(SIGCONT),
	P(SIGSYS), P(SIGXCPU), P(SIGXFSZ),
};

#define	N(a)	(sizeof(a) / sizeof((a)[0]))

static const char *
name_of(const struct pair *p, size_t n, int value, char letter, char buf[16])
{
	size_t i;

	for (i = 0; i < n; i++)
		if (p[i].value == value)
			return (p[i].name);
	snprintf(buf, 16, "%c%d", letter, value);
	return (buf);
}

const char *
errno_name(int value, char buf[16])
{
	return (name_of(errnos, N(errnos), value, 'E', buf));
}

const char *
signal_name(int value, char buf[16])
{
	return (name_of(signals, N(signals), value, 'S', buf));
}

int
signal_number(const char *name)
{
	size_t i;

	for (i = 0; i < N(signals); i++)
		if (strcmp(signals[i].name, name) == 0)
			return (signals[i].value);
	return (0);
}

/* Finds a macro name of the ABI headers, or takes the command as 0x.... */
int
ioctl_word(const char *name, unsigned long *word)
{
	static const struct {
		const char	*name;
		unsigned long	 word;
	} words[] = {
#define	W(x)	{ #x, (unsigned long)x }
		W(IOCTL_GNTDEV_MAP_GRANT_REF),
		W(IOCTL_GNTDEV_UNMAP_GRANT_REF),
		W(IOCTL_GNTDEV_GET_OFFSET_FOR_VADDR),
		W(IOCTL_GNTDEV_SET_MAX_GRANTS),
		W(IOCTL_GNTDEV_SET_UNMAP_NOTIFY),
		W(IOCTL_GNTDEV_GRANT_COPY),
		W(IOCTL_GNTALLOC_ALLOC_GREF),
		W(IOCTL_GNTALLOC_DEALLOC_GREF),
		W(IOCTL_GNTALLOC_SET_UNMAP_NOTIFY),
#undef W
	};
	uint64_t v;
	size_t i;

	for (i = 0; i < N(words); i++)
		if (strcmp(words[i].name, name) == 0) {
			*word = words[i].word;
			return (0);
		}
	if (strncmp(name, "0x", 2) != 0 || parse_u64(name, &v) != 0)
		return (-1);
	*word = (unsigned long)v;
	return (0);
}

static struct {
	const char	*name;
	const char	*path;
} devices[] = {
	{ "gntdev", "/dev/xen/gntdev" },
	{ "gntalloc", "/dev/xen/gntalloc" },
	{ "evtchn", "/dev/xen/evtchn" },
};

/* Sets the node of a device, such as our driver's beside the base system's. */
void
device_path(const char *name, const char *path)
{
	size_t i;

	for (i = 0; i < N(devices); i++)
		if (strcmp(devices[i].name, name) == 0)
			devices[i].path = path;
}

/* The node of a device name; any other text is already a path. */
const char *
device_of(const char *name)
{
	size_t i;

	for (i = 0; i < N(devices); i++)
		if (strcmp(devices[i].name, name) == 0)
			return (devices[i].path);
	return (name);
}
