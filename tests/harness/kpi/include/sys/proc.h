/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef _SYS_PROC_H_
#define	_SYS_PROC_H_

#include <sys/types.h>
#include <sys/lock.h>

struct file;
struct proc;
struct ucred;
struct vmspace;
struct sysentvec;

typedef struct {
	uint32_t	__bits[4];
} sigset_t;
typedef struct {
	sigset_t	sq_signals;
} sigqueue_t;

#define	SIGKILL		9
#define	SIGISMEMBER(set, sig) \
	(((set).__bits[((sig) - 1) / 32] & 1u << ((sig) - 1) % 32) != 0)
#define	td_siglist	td_sigqueue.sq_signals
#define	p_siglist	p_sigqueue.sq_signals

#define	KPI_HELD_MAX	32

struct thread {
	struct proc	*td_proc;
	struct ucred	*td_ucred;
	sigqueue_t	td_sigqueue;	/* signals of the thread's own */
	struct file	*td_fpop;	/* file of the current operation */
	/* The locks this thread holds, in the order it took them. */
	struct lock_object *td_held[KPI_HELD_MAX];
	u_int		td_nheld;
	bool		td_kthread;	/* of the shim, not of a user */
	u_int		td_nosleep;	/* how many of them forbid to sleep */
};

struct proc {
	struct vmspace	*p_vmspace;
	struct sysentvec *p_sysent;
	sigqueue_t	p_sigqueue;	/* signals no thread has yet */
	u_int		p_flag;
	pid_t		p_pid;
	int		p_numthreads;
};

#define	P_SINGLE_EXIT	0x00400	/* a thread waits for the others to end */
#define	P_WEXIT		0x02000
#define	P_WKILLED	0x08000	/* of killproc() and PT_KILL; not of kill(2) */

struct thread *kpi_curthread(void);
#define	curthread	(kpi_curthread())
#define	curproc		(curthread->td_proc)

#endif /* !_SYS_PROC_H_ */
