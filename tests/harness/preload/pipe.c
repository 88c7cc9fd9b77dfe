/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * vmsplice(2) puts the pages themselves into a pipe, which holds them until it
 * is read: for the driver that is I/O in flight (rows Z).  Pages in a pipe that
 * is closed unread are held until the process ends.
 */
#include "preload.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#define	PAGE	4096u

struct held {
	struct held	*next;
	struct harness_pin	*pin;
	dev_t		dev;		/* of the pipe */
	ino_t		ino;
};

static pthread_mutex_t held_lock = PTHREAD_MUTEX_INITIALIZER;
static struct held *held;

static void
let_go(struct held *list)
{
	struct held *h;

	while ((h = list) != NULL) {
		list = h->next;
		harness_unpin(h->pin);
		free(h);
	}
}

/* Our pages among those of iov; false with errno. */
static bool
hold(int fd, const struct iovec *iov, size_t n, struct held **list)
{
	struct held *h;
	struct stat st;
	uintptr_t addr;
	size_t i;

	if (syscall(SYS_fstat, fd, &st) != 0)
		return (false);
	for (i = 0; i < n; i++) {
		addr = (uintptr_t)iov[i].iov_base & ~(uintptr_t)(PAGE - 1);
		for (; addr < (uintptr_t)iov[i].iov_base + iov[i].iov_len;
		    addr += PAGE) {
			if (!harness_owns((void *)addr, 1))
				continue;
			h = calloc(1, sizeof(*h));
			if (h == NULL)
				return (false);
			if (harness_pin((void *)addr, false, &h->pin) != 0) {
				free(h);
				errno = EFAULT;
				return (false);
			}
			h->dev = st.st_dev;
			h->ino = st.st_ino;
			h->next = *list;
			*list = h;
		}
	}
	return (true);
}

EXPORT ssize_t
vmsplice(int fd, const struct iovec *iov, size_t n, unsigned flags)
{
	struct held *h, *list;
	ssize_t done;
	int saved;

	if (!is_owner() || !is_running() || !harness_loaded())
		return (NEXT(vmsplice)(fd, iov, n, flags));
	saved = errno;
	list = NULL;
	done = -1;
	if (hold(fd, iov, n, &list)) {
		errno = saved;
		done = NEXT(vmsplice)(fd, iov, n, flags);
	}
	saved = errno;
	if (done <= 0)
		let_go(list);
	else if (list != NULL) {
		for (h = list; h->next != NULL; h = h->next)
			;
		pthread_mutex_lock(&held_lock);
		h->next = held;
		held = list;
		pthread_mutex_unlock(&held_lock);
	}
	errno = saved;
	return (done);
}

/* After a read of a descriptor that is not ours. */
void
pipe_was_read(int fd)
{
	struct held *h, **hp, *list;
	struct stat st;
	int left, saved;

	if (__atomic_load_n(&held, __ATOMIC_RELAXED) == NULL)
		return;
	saved = errno;
	list = NULL;
	if (syscall(SYS_fstat, fd, &st) == 0 && S_ISFIFO(st.st_mode) &&
	    syscall(SYS_ioctl, fd, (long)FIONREAD, &left) == 0 && left == 0) {
		pthread_mutex_lock(&held_lock);
		for (hp = &held; (h = *hp) != NULL;) {
			if (h->dev != st.st_dev || h->ino != st.st_ino) {
				hp = &h->next;
				continue;
			}
			*hp = h->next;
			h->next = list;
			list = h;
		}
		pthread_mutex_unlock(&held_lock);
	}
	let_go(list);
	errno = saved;
}

/* The process has closed its descriptors. */
void
pipes_closed(void)
{
	struct held *list;

	pthread_mutex_lock(&held_lock);
	list = held;
	held = NULL;
	pthread_mutex_unlock(&held_lock);
	let_go(list);
}

/* What the parent's pipes hold is not the child's. */
void
pipes_fork_child(void)
{

	pthread_mutex_init(&held_lock, NULL);
	held = NULL;
}
