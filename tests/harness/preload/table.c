/* SPDX-License-Identifier: BSD-2-Clause */
/* The table of open devices, and how the process begins, forks and ends. */
#include "preload.h"

#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#define	EXIT_LEAK	99

void *
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

static pthread_mutex_t table_lock = PTHREAD_MUTEX_INITIALIZER;
static struct file *table[MAX_FDS];
static int table_end;		/* no entries from here on */
static pid_t owner;

enum { RUNNING, EXITING, DOWN };
static int state;
static pthread_t exiting_thread;

bool
is_owner(void)
{

	return (getpid() == owner);
}

bool
is_running(void)
{

	return (__atomic_load_n(&state, __ATOMIC_ACQUIRE) == RUNNING);
}

void
stop_if_exiting(void)
{

	if (__atomic_load_n(&state, __ATOMIC_ACQUIRE) != RUNNING &&
	    !pthread_equal(exiting_thread, pthread_self()))
		os_sleep_forever();
}

/* Left in the table at the end of the process: a device was open here. */
#define	GONE	((struct file *)1)

static bool
is_placeholder(int fd)
{
	struct stat st;

	if (syscall(SYS_fstat, fd, &st) != 0)
		return (false);
	if (S_ISSOCK(st.st_mode))
		return (evtchn_is_descriptor(&st));
	return (S_ISCHR(st.st_mode) && st.st_rdev == makedev(1, 3));
}

struct file *
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

void
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
		harness_close(old);
}

/* The file behind fd, held, or NULL. */
struct file *
table_get(int fd)
{
	struct file *fp;
	int saved;

	if (fd < 0 || fd >= __atomic_load_n(&table_end, __ATOMIC_ACQUIRE) ||
	    table[fd] == NULL || !is_owner())
		return (NULL);
	stop_if_exiting();
	saved = errno;
	/* It may have been closed without our notice. */
	if (!is_placeholder(fd)) {
		fp = table_take(fd);
		if (fp != NULL)
			harness_close(fp);
		errno = saved;
		return (NULL);
	}
	errno = saved;
	pthread_mutex_lock(&table_lock);
	fp = table[fd];
	if (fp == GONE)
		fp = NULL;
	if (fp != NULL)
		harness_hold(fp);
	pthread_mutex_unlock(&table_lock);
	if (fp == NULL)
		stop_if_exiting();
	return (fp);
}

int
result(int error, int saved)
{

	errno = error == 0 ? saved : os_errno_to_linux(error);
	return (error == 0 ? 0 : -1);
}

/* The end of the process, and its beginning. */

/*
 * In FreeBSD's order (row K9): descriptors ascending, then the address space.
 * Returns the number of leaks.
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
	harness_quiesce();
	if (harness_loaded())
		harness_exit_begin();
	for (fd = 0; fd < table_end; fd++) {
		fp = table_take(fd);
		if (fp != NULL) {
			table_put(fd, GONE);
			harness_close(fp);
		}
	}
	pipes_closed();
	leaks = harness_teardown(true);
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
	harness_fork_prepare();
}

static void
fork_parent(void)
{

	harness_fork_parent();
	pthread_mutex_unlock(&table_lock);
}

/*
 * The child has the descriptors and sees the pages, but no devices behind them:
 * sharing by fork is not modelled.
 */
static void
fork_child(void)
{

	harness_fork_child();
	pthread_mutex_init(&table_lock, NULL);
	evtchn_fork_child();
	pipes_fork_child();
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
