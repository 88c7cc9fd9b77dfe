/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * /dev/xen/evtchn: FreeBSD's device (kpi/evtchn_dev.c) with Linux's commands.
 *
 * The descriptor is one end of a pair of sockets, with a byte in it while there
 * is something to read, so the system itself handles poll(2), epoll(7) and a
 * blocking read.
 */
#include "preload.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#define	FREEBSD_EAGAIN	35

struct bell {
	struct bell	*next;
	dev_t		dev;		/* of the program's end */
	ino_t		ino;
	int		ours;
	int		theirs;		/* a copy */
	bool		rung;
};

static pthread_mutex_t bells_lock = PTHREAD_MUTEX_INITIALIZER;
static struct bell *bells;

static void
bell_free(struct bell *b)
{

	if (b->ours >= 0)
		syscall(SYS_close, b->ours);
	if (b->theirs >= 0)
		syscall(SYS_close, b->theirs);
	free(b);
}

/* Called by the device, one call at a time. */
static void
bell_told(void *arg, enum harness_watch what)
{
	struct bell *b, **bp;
	char byte;
	int saved;

	saved = errno;
	b = arg;
	byte = 0;
	if (what == HARNESS_WATCH_GONE) {
		pthread_mutex_lock(&bells_lock);
		for (bp = &bells; *bp != b; bp = &(*bp)->next)
			;
		*bp = b->next;
		pthread_mutex_unlock(&bells_lock);
		bell_free(b);
	} else if (what == HARNESS_WATCH_READY && !b->rung) {
		b->rung = true;
		syscall(SYS_sendto, b->ours, &byte, 1ul,
		    (long)(MSG_DONTWAIT | MSG_NOSIGNAL), NULL, 0l);
	} else if (what == HARNESS_WATCH_EMPTY && b->rung) {
		b->rung = false;
		syscall(SYS_recvfrom, b->theirs, &byte, 1ul,
		    (long)MSG_DONTWAIT, NULL, NULL);
	}
	errno = saved;
}

int
evtchn_open(int flags, struct bell **bp)
{
	struct bell *b;
	struct stat st;
	int fds[2], saved, type;

	b = calloc(1, sizeof(*b));
	if (b == NULL)
		return (-1);
	type = SOCK_STREAM | ((flags & O_CLOEXEC) != 0 ? SOCK_CLOEXEC : 0) |
	    ((flags & O_NONBLOCK) != 0 ? SOCK_NONBLOCK : 0);
	if (syscall(SYS_socketpair, (long)AF_UNIX, (long)type, 0l, fds) != 0) {
		free(b);
		return (-1);
	}
	b->ours = os_move_fd_up(fds[1]);
	b->theirs = (int)syscall(SYS_fcntl, fds[0], (long)F_DUPFD_CLOEXEC, 3l);
	saved = errno;
	if (b->theirs < 0 || syscall(SYS_fstat, fds[0], &st) != 0) {
		bell_free(b);
		syscall(SYS_close, fds[0]);
		errno = saved;
		return (-1);
	}
	b->theirs = os_move_fd_up(b->theirs);
	b->dev = st.st_dev;
	b->ino = st.st_ino;
	*bp = b;
	return (fds[0]);
}

void
evtchn_opened(struct file *fp, struct bell *b)
{

	if (fp == NULL) {
		bell_free(b);
		return;
	}
	pthread_mutex_lock(&bells_lock);
	b->next = bells;
	bells = b;
	pthread_mutex_unlock(&bells_lock);
	harness_evtchn_watch(fp, bell_told, b);
}

bool
evtchn_is_descriptor(const struct stat *st)
{
	struct bell *b;

	pthread_mutex_lock(&bells_lock);
	for (b = bells; b != NULL; b = b->next)
		if (b->dev == st->st_dev && b->ino == st->st_ino)
			break;
	pthread_mutex_unlock(&bells_lock);
	return (b != NULL);
}

void
evtchn_fork_child(void)
{

	pthread_mutex_init(&bells_lock, NULL);
}

/* Waits as a read of the descriptor would; false with errno. */
static bool
wait_readable(int fd)
{
	char byte;
	long n;

	n = syscall(SYS_recvfrom, fd, &byte, 1ul, (long)MSG_PEEK, NULL, NULL);
	return (n > 0);
}

ssize_t
evtchn_readv(int fd, struct file *fp, const struct iovec *iov, int n)
{
	size_t done, part;
	int error, i, saved;

	saved = errno;
	for (;;) {
		error = 0;
		done = 0;
		for (i = 0; i < n && error == 0; i++) {
			error = harness_read(fp, iov[i].iov_base,
			    iov[i].iov_len, &part);
			done += part;
			if (part < iov[i].iov_len)
				break;
		}
		if (done != 0)
			error = 0;
		if (error != FREEBSD_EAGAIN)
			break;
		if (!wait_readable(fd))
			return (-1);
		stop_if_exiting();
	}
	return (result(error, saved) == 0 ? (ssize_t)done : -1);
}

ssize_t
evtchn_writev(struct file *fp, const struct iovec *iov, int n)
{
	size_t done, part;
	int error, i, saved;

	saved = errno;
	error = 0;
	done = 0;
	for (i = 0; i < n && error == 0; i++) {
		error = harness_write(fp, iov[i].iov_base, iov[i].iov_len,
		    &part);
		done += part;
	}
	if (done != 0)
		error = 0;
	return (result(error, saved) == 0 ? (ssize_t)done : -1);
}

/* Linux's commands; those that bind return the port. */
#define	LINUX_WORD(nr, size)	((unsigned)(size) << 16 | 'E' << 8 | (nr))
#define	BIND_VIRQ		LINUX_WORD(0, 4)
#define	BIND_INTERDOMAIN	LINUX_WORD(1, 8)
#define	BIND_UNBOUND_PORT	LINUX_WORD(2, 4)
#define	UNBIND			LINUX_WORD(3, 4)
#define	NOTIFY			LINUX_WORD(4, 4)
#define	RESET			LINUX_WORD(5, 0)

/* FreeBSD's: the same structs; those that bind have the port at the end. */
#define	FREEBSD_WORD(dir, nr, size)					\
	((dir) | (unsigned long)(size) << 16 | 'E' << 8 | (nr))
#define	IN	0x80000000ul
#define	INOUT	0xc0000000ul

int
evtchn_ioctl(struct file *fp, unsigned cmd, uintptr_t arg)
{
	static const struct {
		unsigned	linux_word;
		unsigned long	word;
		bool		binds;
	} words[] = {
		{ BIND_VIRQ, FREEBSD_WORD(INOUT, 4, 8), true },
		{ BIND_INTERDOMAIN, FREEBSD_WORD(INOUT, 5, 12), true },
		{ BIND_UNBOUND_PORT, FREEBSD_WORD(INOUT, 6, 8), true },
		{ UNBIND, FREEBSD_WORD(IN, 7, 4), false },
		{ NOTIFY, FREEBSD_WORD(IN, 8, 4), false },
		{ RESET, HARNESS_IO('E', 9), false },
	};
	unsigned op[3], i, size;
	int error, saved;

	for (i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (words[i].linux_word == cmd)
			break;
	if (i == sizeof(words) / sizeof(words[0])) {
		errno = ENOTTY;
		return (-1);
	}
	size = cmd >> 16;
	saved = errno;
	if (size != 0 && !os_copyin((const void *)arg, op, size)) {
		errno = EFAULT;
		return (-1);
	}
	error = harness_ioctl(fp, words[i].word, (uintptr_t)op);
	if (error == 0 && words[i].binds) {
		errno = saved;
		return ((int)op[size / sizeof(op[0])]);
	}
	return (result(error, saved));
}
