/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * libxengnt-harness.so: when preloaded, it puts the driver behind
 * /dev/xen/gntdev and /dev/xen/gntalloc of any Linux program, and event
 * channels behind /dev/xen/evtchn.
 *
 * An open device is a descriptor of /dev/null, so the system itself handles its
 * number, dup(2), poll(2) and close-on-exec.  Commands go through the
 * Linuxulator module.
 *
 * Include this first: open and open64 are two symbols here.
 */
#ifndef _PRELOAD_H_
#define	_PRELOAD_H_

#undef _FILE_OFFSET_BITS
#undef _FORTIFY_SOURCE
#define	_GNU_SOURCE

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "../harness.h"
#include "../os/host_os.h"

#define	EXPORT		__attribute__((visibility("default")))

/* The next definition of a function, usually the C library's. */
#define	NEXT(name) ({							\
	static __typeof__(&name) next;					\
	if (next == NULL)						\
		next = (__typeof__(&name))next_symbol(#name);		\
	next;								\
})
void	*next_symbol(const char *name);

/*
 * table.c: which descriptors are ours.  A table entry holds a reference on
 * its file; so does the caller of table_get().
 */
#define	MAX_FDS		65536
struct file *table_get(int fd);
struct file *table_take(int fd); /* out of the table, with its reference */
void	table_put(int fd, struct file *);

/*
 * A child of vfork(2) runs in our memory until it executes something: what it
 * does does not count.
 */
bool	is_owner(void);
/* The process has not begun to end. */
bool	is_running(void);
/* Stops a thread that the end of the process has overtaken. */
void	stop_if_exiting(void);

/* 0, or -1 with errno, of FreeBSD's error number; on 0 errno is saved. */
int	result(int error, int saved);

/*
 * evtchn_linux.c: a descriptor for the device and the bell on it; then, for both,
 * the open file, or NULL if there is none after all.
 */
#define	EVTCHN_NAME	"xen/evtchn"
struct bell;
struct iovec;
struct stat;
int	evtchn_open(int flags, struct bell **);
void	evtchn_opened(struct file *, struct bell *);
bool	evtchn_is_descriptor(const struct stat *);
void	evtchn_fork_child(void);
ssize_t	evtchn_readv(int fd, struct file *, const struct iovec *, int n);
ssize_t	evtchn_writev(struct file *, const struct iovec *, int n);
int	evtchn_ioctl(struct file *, unsigned cmd, uintptr_t arg);

/* pipe.c: pages that pipes hold. */
void	pipe_was_read(int fd);
void	pipes_closed(void);
void	pipes_fork_child(void);

/* node.c: the node's name below /dev, or NULL for other people's paths. */
const char *device_name(const char *path);

#endif /* !_PRELOAD_H_ */
