/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Seen by the agent's sources before anything else: the calls through which
 * they act on the system lead to fuzz_agent.c.
 */
#ifndef _AGENT_STUBS_H_
#define	_AGENT_STUBS_H_

#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

void	*stub_malloc(size_t);
void	*stub_calloc(size_t, size_t);
void	*stub_aligned_alloc(size_t, size_t);
char	*stub_strdup(const char *);
void	stub_free(void *);
int	stub_open(const char *, int, ...);
int	stub_close(int);
int	stub_dup(int);
int	stub_dup2(int, int);
int	stub_pipe(int [2]);
int	stub_ioctl(int, unsigned long, ...);
int	stub_fcntl(int, int, ...);
ssize_t	stub_read(int, void *, size_t);
ssize_t	stub_write(int, const void *, size_t);
off_t	stub_lseek(int, off_t, int);
int	stub_poll(struct pollfd *, nfds_t, int);
int	stub_stat(const char *, struct stat *);
int	stub_fstat(int, struct stat *);
void	*stub_mmap(void *, size_t, int, int, int, off_t);
int	stub_munmap(void *, size_t);
int	stub_mprotect(void *, size_t, int);
int	stub_madvise(void *, size_t, int);
int	stub_mlock(const void *, size_t);
int	stub_mlockall(int);
int	stub_munlockall(void);
int	stub_msync(void *, size_t, int);
int	stub_mincore(void *, size_t, unsigned char *);
int	stub_socketpair(int, int, int, int [2]);
int	stub_setsockopt(int, int, int, const void *, socklen_t);
ssize_t	stub_sendmsg(int, const struct msghdr *, int);
ssize_t	stub_recvmsg(int, struct msghdr *, int);
ssize_t	stub_send(int, const void *, size_t, int);
ssize_t	stub_recv(int, void *, size_t, int);
pid_t	stub_fork(void);
pid_t	stub_waitpid(pid_t, int *, int);
int	stub_kill(pid_t, int);
int	stub_setpgid(pid_t, pid_t);
int	stub_execl(const char *, const char *, ...);
void	stub_exit(int) __attribute__((noreturn));
int	stub_sigaction(int, const struct sigaction *, struct sigaction *);
int	stub_pthread_create(pthread_t *, const pthread_attr_t *,
	    void *(*)(void *), void *);
int	stub_pthread_join(pthread_t, void **);
int	stub_nanosleep(const struct timespec *, struct timespec *);

#define	malloc		stub_malloc
#define	calloc		stub_calloc
#define	aligned_alloc	stub_aligned_alloc
#define	strdup		stub_strdup
#define	free		stub_free
#define	open		stub_open
#define	close		stub_close
#define	dup		stub_dup
#define	dup2		stub_dup2
#define	pipe		stub_pipe
#define	ioctl		stub_ioctl
#define	fcntl		stub_fcntl
#define	read		stub_read
#define	write		stub_write
#define	lseek		stub_lseek
#define	poll(p, n, t)	stub_poll(p, n, t)
#define	stat(p, s)	stub_stat(p, s)
#define	fstat		stub_fstat
#define	mmap		stub_mmap
#define	munmap		stub_munmap
#define	mprotect	stub_mprotect
#define	madvise		stub_madvise
#define	mlock		stub_mlock
#define	munlock		stub_mlock
#define	mlockall	stub_mlockall
#define	munlockall	stub_munlockall
#define	msync		stub_msync
#define	mincore		stub_mincore
#define	socketpair	stub_socketpair
#define	setsockopt	stub_setsockopt
#define	sendmsg		stub_sendmsg
#define	recvmsg		stub_recvmsg
#define	send		stub_send
#define	recv		stub_recv
#define	fork		stub_fork
#define	waitpid		stub_waitpid
#define	kill		stub_kill
#define	setpgid		stub_setpgid
#define	execl		stub_execl
#define	exit		stub_exit
#define	_exit		stub_exit
#define	sigaction(s, a, o) stub_sigaction(s, a, o)
#define	signal(s, h)	((void)(h))
#define	pthread_create	stub_pthread_create
#define	pthread_join	stub_pthread_join
#define	nanosleep	stub_nanosleep

#endif /* !_AGENT_STUBS_H_ */
