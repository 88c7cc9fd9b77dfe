/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The driver in user space: FreeBSD's system calls on its devices, for C
 * programs on this machine.  The preload library adds file descriptors.
 *
 * Functions that can fail return 0 or an errno with *FreeBSD's* number.  Up to
 * 34, except 11, these are also Linux's (os_errno_to_linux()).
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

/* An _IO() command of FreeBSD. */
#define	HARNESS_IO(group, nr)	(0x20000000ul | (unsigned long)(group) << 8 | \
				    (unsigned long)(nr))

/*
 * Loads the module, as does the first harness_open(): opens the machine
 * (XENGNT_HARNESS_MACHINE), creates the domain (XENGNT_HARNESS_DOMID), attaches
 * the driver.
 */
int	harness_load(void);
bool	harness_loaded(void);

/* Asks the device to suspend; 0 or an errno. */
int	harness_suspend(void);

/* kldunload: EBUSY while something is in use (row O13). */
int	harness_unload(void);

/*
 * Does what the end of a process does, in FreeBSD's order: closes the files
 * that are still open, unmaps, runs what was deferred, unloads, and prints a
 * line for each leftover ("xengnt-harness: leak: …"); returns the number of
 * such lines.  With exiting, the process's own page tables stay as they are.
 */
unsigned harness_teardown(bool exiting);

/*
 * From here on only the calling thread can enter the driver, because the
 * process ends.  Returns when no other thread is inside.
 */
void	harness_quiesce(void);

/* name is relative to /dev.  ENOENT if the driver has no such node. */
int	harness_open(const char *name, int fflags, struct file **);
void	harness_hold(struct file *);
void	harness_close(struct file *);	/* one reference */
bool	harness_node_exists(const char *name);
bool	harness_file_is(const struct file *, const char *name);

/* ioctl(2) of a native program: cmd is FreeBSD's, arg the raw slot. */
int	harness_ioctl(struct file *, unsigned long cmd, uintptr_t arg);
/*
 * ioctl(2) of a Linux binary with Linux's command; a NULL file means a
 * descriptor of something else.  ENOIOCTL (-3): nobody takes it, EINVAL on
 * FreeBSD (row K20).  ENOSYS: the Linuxulator module is not there.
 */
int	harness_linux_ioctl(struct file *, uint32_t cmd, uintptr_t arg);
int	harness_read(struct file *, void *buf, size_t len, size_t *done);
int	harness_write(struct file *, const void *buf, size_t len, size_t *done);

/*
 * xen/evtchn: FreeBSD's own device, with FreeBSD's commands.  Reading without
 * anything to read is EAGAIN.  The watcher is called when there is something to
 * read, when there is nothing any more, and when the file is closed; it must
 * not call back.
 */
enum harness_watch {
	HARNESS_WATCH_READY,
	HARNESS_WATCH_EMPTY,
	HARNESS_WATCH_GONE
};
void harness_evtchn_watch(struct file *, void (*)(void *, enum harness_watch),
    void *arg);
/* Waits for something to read; false if there was nothing in time. */
bool	harness_evtchn_wait(struct file *, uint64_t timeout_ns);

int	harness_mmap(struct file *, void *hint, size_t len, int prot, int flags,
	    int64_t pos, void **addr);
/*
 * Normally mmap(2) makes all pages of a mapping accessible at once.  While this
 * is on, it enters, for reading, only pages that the VM object has already, and
 * harness_fault() enters the others: a fault on the page at addr, with the VM object
 * shadowed or not (as minherit(INHERIT_COPY) and fork(2) leave it).
 */
void	harness_lazy(bool on);
int	harness_fault(const void *addr, bool shadowed);
/*
 * The same while the address space is changed, so that the fault finds nothing
 * to map: by another thread of the process, by a process that shares it
 * (rfork(2)), or by the process itself during a debugger's access.
 */
enum harness_racer {
	HARNESS_RACER_THREAD,
	HARNESS_RACER_SHARER,
	HARNESS_RACER_DEBUGGED
};
int	harness_fault_raced(const void *addr, enum harness_racer);
/* mlock(2) and munlock(2) of our mappings; mlockall(MCL_FUTURE). */
void	harness_mlock(const void *addr, size_t len, bool lock);
void	harness_mlock_future(bool on);
/* Any part of the address space, like munmap(2). */
int	harness_munmap(void *addr, size_t len);
int	harness_mprotect(void *addr, size_t len, int prot);
/* Whether any page of the range belongs to a mapping of the driver. */
bool	harness_owns(const void *addr, size_t len);
/* Something else was mapped over the range: forget our mapping. */
void	harness_mapped_over(void *addr, size_t len);

/* "hw.xen.gntdev.limit"; newval may be NULL. */
int	harness_sysctl(const char *name, const unsigned *newval,
	    unsigned *oldval);

/* Any variable, counters in full. */
int	harness_sysctl64(const char *name, uint64_t *value);

/*
 * The end of a process in FreeBSD's order.  First it is marked as exiting and
 * the process_exit handlers run.  Then the caller closes its files, as the
 * process would by ascending descriptors.  Last, the address space goes.
 * harness_exit() does all of it, with files in the order of their opens.  The
 * process may continue as if it were a new one.
 */
void	harness_exit_begin(void);
void	harness_exit_end(void);
void	harness_exit(void);

/*
 * kill(2) has sent SIGKILL: as after psignal(), only the process's queue of
 * signals has it.
 */
void	harness_killed(bool killed);
/* The same by thr_kill(2): only the calling thread's queue has it. */
void	harness_thread_killed(bool killed);
/* Another thread is in exit(2), as after thread_single(SINGLE_EXIT). */
void	harness_exiting(bool exiting);

/*
 * Other users of what the process has mapped: I/O that holds a page (EFAULT if
 * there is none at addr), a process that shares the mapping by fork (NULL if
 * addr is not ours), users of the whole address space.
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
 * Event channels of our domain.  EVTCHNOP_* without fault injection: 0 or a
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
 * Acquisitions so far of all locks with that name, even destroyed ones; NULL
 * means all but the kernel's own.
 */
uint64_t harness_lock_count(const char *name);

/* Runs deferred work, due or not; returns how many tasks ran. */
unsigned harness_run_tasks(void);
/* Nothing runs except by that: for tests that count what happens when. */
void	harness_tasks_manual(bool on);

/* Sometimes delays threads that have released their last lock. */
void	harness_shake(bool on);

/*
 * The one place that makes things fail: the hook is asked for each resource, by
 * kind.
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
 * A hook that follows a plan: of the kinds (a bit each), the nth request fails,
 * counted from 1, and one in so many by chance; 0 for none.  Stopping returns
 * the number of requests.
 */
#define	HARNESS_FAIL_BIT(kind)	(1u << (kind))
#define	HARNESS_FAIL_ALL		(HARNESS_FAIL_BIT(HARNESS_FAIL_KINDS) - 1)
void	harness_faults_start(unsigned kinds, uint64_t nth, uint64_t one_in,
	    uint64_t seed);
uint64_t harness_faults_stop(uint64_t *failed);

/*
 * Performs the unmaps that the hook made fail, without the driver; returns the
 * number of grants.  Their slots must not have been used.
 */
unsigned harness_unmap_refused(void);

/*
 * Around fork(2): no thread may be inside the driver while the process is
 * copied.  The child has no devices; its first open loads the driver again, in
 * a new machine.
 */
void	harness_fork_prepare(void);
void	harness_fork_parent(void);
void	harness_fork_child(void);

#endif /* !_HARNESS_H_ */
