/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The driver in user space: FreeBSD's system calls on its devices, for C
 * programs of this machine.  The preload library puts file descriptors on top.
 *
 * Functions that can fail return 0 or an errno with *FreeBSD's* number;
 * those up to 34 but 11 are those of Linux, too (os_errno_to_linux()).
 */
#ifndef _HARNESS_H_
#define	_HARNESS_H_

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct file;
struct xen_domain;
struct xen_machine;

/* FreeBSD's numbers of what the calls below take. */
#define	HARNESS_FREAD		0x0001
#define	HARNESS_FWRITE		0x0002
#define	HARNESS_PROT_READ		0x1
#define	HARNESS_PROT_WRITE		0x2
#define	HARNESS_PROT_EXEC		0x4
#define	HARNESS_MAP_SHARED		0x0001
#define	HARNESS_MAP_PRIVATE	0x0002
#define	HARNESS_MAP_FIXED		0x0010
#define	HARNESS_MAP_NOSYNC		0x0800
#define	HARNESS_MAP_EXCL		0x4000
#define	HARNESS_MAP_32BIT		0x80000

/* An _IO() command word of FreeBSD. */
#define	HARNESS_IO(group, nr)	(0x20000000ul | (unsigned long)(group) << 8 | \
				    (unsigned long)(nr))

/*
 * Loads the module, as the first harness_open() does by itself: opens the
 * machine (XENGNT_HARNESS_MACHINE), creates the domain (XENGNT_HARNESS_DOMID),
 * attaches the driver.
 */
int	harness_load(void);
bool	harness_loaded(void);

/* The device is asked to suspend; 0 or an errno. */
int	harness_suspend(void);

/* kldunload: EBUSY while something lives (row O13). */
int	harness_unload(void);

/*
 * What the end of a process does, in FreeBSD's order: closes the files that
 * are still open, unmaps, runs what was deferred, unloads, and says what is
 * left over ("xengnt-harness: leak: …"); the number of such lines.  With
 * exiting, the process's own page tables stay as they are.
 */
unsigned harness_teardown(bool exiting);

/*
 * From here on only the calling thread gets into the driver, others stop at
 * its door: the process ends.  Returns when nobody else is inside.
 */
void	harness_quiesce(void);

/* name is relative to /dev.  ENOENT if the driver has no such node. */
int	harness_open(const char *name, int fflags, struct file **);
void	harness_hold(struct file *);
void	harness_close(struct file *);	/* one reference */
bool	harness_node_exists(const char *name);
bool	harness_file_is(const struct file *, const char *name);

/* ioctl(2) of a native program: cmd is a FreeBSD word, arg the raw slot. */
int	harness_ioctl(struct file *, unsigned long cmd, uintptr_t arg);
/*
 * ioctl(2) of a Linux binary with Linux's word; a NULL file stands for a
 * descriptor of something else.  ENOIOCTL (-3): nobody takes it, EINVAL on
 * FreeBSD (row K20).  ENOSYS: the Linuxulator module is not there.
 */
int	harness_linux_ioctl(struct file *, uint32_t cmd, uintptr_t arg);
int	harness_read(struct file *, void *buf, size_t len, size_t *done);
int	harness_write(struct file *, const void *buf, size_t len, size_t *done);

/*
 * xen/evtchn: a device of FreeBSD's own, with FreeBSD's commands.  Reading
 * without anything to read is EAGAIN.  The watcher is told when there is
 * something, nothing any more, and when the file is closed; it must not call
 * back.
 */
enum harness_watch {
	HARNESS_WATCH_READY,
	HARNESS_WATCH_EMPTY,
	HARNESS_WATCH_GONE
};
void harness_evtchn_watch(struct file *, void (*)(void *, enum harness_watch),
    void *arg);
/* Waits for something to read; false when there was nothing in time. */
bool	harness_evtchn_wait(struct file *, uint64_t timeout_ns);

int	harness_mmap(struct file *, void *hint, size_t len, int prot, int flags,
	    int64_t pos, void **addr);
/*
 * mmap(2) makes all pages of a mapping accessible at once.  While this is on
 * it leaves that to harness_fault(): a fault on the page at addr, with the VM
 * object shadowed or not (as minherit(INHERIT_COPY) and fork(2) leave it).
 */
void	harness_lazy(bool on);
int	harness_fault(const void *addr, bool shadowed);
/*
 * The same while somebody else changes the address space, so that the fault
 * finds nothing to map: another thread of the process, a process that shares
 * it (rfork(2)), or the process itself under the access of a debugger.
 */
enum harness_racer {
	HARNESS_RACER_THREAD,
	HARNESS_RACER_SHARER,
	HARNESS_RACER_DEBUGGED
};
int	harness_fault_raced(const void *addr, enum harness_racer);
/* mlock(2) and munlock(2) of what is ours; mlockall(MCL_FUTURE). */
void	harness_mlock(const void *addr, size_t len, bool lock);
void	harness_mlock_future(bool on);
/* Whole address space, as munmap(2): also what is not ours. */
int	harness_munmap(void *addr, size_t len);
int	harness_mprotect(void *addr, size_t len, int prot);
/* Does any page of the range belong to a mapping of the driver? */
bool	harness_owns(const void *addr, size_t len);
/* The range was mapped over by somebody else: forget ours. */
void	harness_mapped_over(void *addr, size_t len);

/* "hw.xen.gntdev.limit"; newval may be NULL. */
int	harness_sysctl(const char *name, const unsigned *newval,
	    unsigned *oldval);

/* Any of them, counters whole. */
int	harness_sysctl64(const char *name, uint64_t *value);

/*
 * The end of a process in FreeBSD's order: it is marked as exiting and the
 * process_exit handlers run; the caller closes its files, as the process
 * would by ascending descriptors; then the address space goes.  harness_exit()
 * is all of it, files in the order of their opens.  The process may go on
 * as if it were a new one.
 */
void	harness_exit_begin(void);
void	harness_exit_end(void);
void	harness_exit(void);

/*
 * kill(2) has sent SIGKILL, as psignal() leaves it: in the process's queue of
 * signals, and nowhere else.
 */
void	harness_killed(bool killed);
/* thr_kill(2) has: in the calling thread's own queue. */
void	harness_thread_killed(bool killed);
/* Another thread is in exit(2), as thread_single(SINGLE_EXIT) leaves it. */
void	harness_exiting(bool exiting);

/*
 * Others that keep what the process has mapped: I/O that holds a page
 * (EFAULT if there is none at addr), a process that shares the mapping (by
 * fork; NULL if addr is none of ours), users of the whole address space.
 */
struct harness_pin;
struct vm_object;
int	harness_pin(const void *addr, bool write, struct harness_pin **);
void	harness_unpin(struct harness_pin *);
struct vm_object *harness_share(const void *addr);
void	harness_unshare(struct vm_object *);
unsigned harness_vmspace_hold(int n);	/* adds n to vm_refcnt */

/* Wirings of the real page at addr; 0 if there is none. */
unsigned harness_page_wirings(const void *addr);

/*
 * Event channels of our domain.  EVTCHNOP_* past all fault injection: 0 or a
 * negative errno of Xen; the two ends of a channel within the domain, neither
 * with an event.
 */
int	harness_event_op(unsigned cmd, void *arg);
int	harness_loopback(uint32_t *a, uint32_t *b);
void	harness_port_close(uint32_t port);
bool	harness_event_pending(uint32_t port);
bool	harness_event_take(uint32_t port);	/* clears it */

/* The helper domain (xen/helper_domain.c); -1 if it cannot be made. */
int	harness_peer(const char *request, char *reply, size_t replylen);

/* For tests: the machine, our domain, and what lives. */
struct xen_machine *harness_machine(void);
struct xen_domain *harness_domain(void);

struct harness_counts {
	unsigned long	allocs;		/* malloc(9), all types */
	unsigned long	alloc_bytes;	/* in them */
	unsigned long	mallocs;	/* calls so far */
	unsigned	xenmem_allocs;	/* that were successful so far */
	unsigned	pages;		/* vm_page_alloc_noobj() */
	unsigned	fakes;		/* vm_page_getfake() */
	unsigned	objects;
	unsigned	entries;	/* of the address space */
	unsigned	resources;	/* xenmem_alloc() */
	unsigned	grants;		/* own references in use */
	unsigned	files;
	unsigned	locks;		/* initialised, not destroyed */
	unsigned	counters;
	unsigned	pauses;		/* pause_sbt() calls so far */
	unsigned long	paused_ms;	/* what they asked for, in all */
};
void	harness_counts(struct harness_counts *);
/*
 * Acquisitions so far of all locks of that name, dead ones too; NULL: of all
 * but the kernel's own.
 */
uint64_t harness_lock_count(const char *name);

/* Runs deferred work that is due at any time; how many tasks ran. */
unsigned harness_run_tasks(void);
/* Nothing runs but by that: for tests that count what happens when. */
void	harness_tasks_manual(bool on);

/* Threads that release their last lock are sometimes delayed there. */
void	harness_shake(bool on);

/*
 * The one place where something can be made to fail: asked at each kind of
 * resource, the hook answers.
 */
enum harness_fail {
	HARNESS_FAIL_MALLOC,	/* M_NOWAIT only */
	HARNESS_FAIL_PAGE,
	HARNESS_FAIL_PAGE_INSERT,
	HARNESS_FAIL_PAGER,
	HARNESS_FAIL_XENMEM,
	HARNESS_FAIL_GRANT,	/* a reference for a grant of our own */
	HARNESS_FAIL_END_ACCESS,	/* the peer has just mapped the page */
	HARNESS_FAIL_HYPERCALL,	/* on grants, as a whole */
	HARNESS_FAIL_STATUS,	/* one element of it, each asked for */
	HARNESS_FAIL_EVENT,	/* a hypercall on event channels */
	HARNESS_FAIL_COPYIN,
	HARNESS_FAIL_COPYOUT,	/* suword and friends too */
	HARNESS_FAIL_CDEVPRIV,
	HARNESS_FAIL_HOLD_PAGE,	/* vm_fault_quick_hold_pages() */
	HARNESS_FAIL_MAP,		/* mmap(2) after the driver's part */
	HARNESS_FAIL_KINDS,
};
extern bool (*harness_fail_hook)(enum harness_fail);
bool	xengnt_harness_fail(enum harness_fail);

/*
 * A hook that follows a plan: of the kinds (a bit each) fails the nth that is
 * asked for, from 1 on, and one in so many by chance, 0 for none.  Stopping
 * gives the number that was asked for.
 */
#define	HARNESS_FAIL_BIT(kind)	(1u << (kind))
#define	HARNESS_FAIL_ALL		(HARNESS_FAIL_BIT(HARNESS_FAIL_KINDS) - 1)
void	harness_faults_start(unsigned kinds, uint64_t nth, uint64_t one_in,
	    uint64_t seed);
uint64_t harness_faults_stop(uint64_t *failed);

/*
 * Unmaps that failed by the hook are done after all, behind the driver's
 * back; how many grants that were.  Their slots must not have been used.
 */
unsigned harness_unmap_refused(void);

/*
 * Around fork(2): no thread is inside the driver while the process is
 * copied.  The child starts without devices of its own; the first open loads
 * the driver anew, in a machine of its own.
 */
void	harness_fork_prepare(void);
void	harness_fork_parent(void);
void	harness_fork_child(void);

#endif /* !_HARNESS_H_ */
