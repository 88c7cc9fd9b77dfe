/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 The xengnt authors */
/*
 * Declarations shared by the driver's files.
 *
 * Locks, in the order in which they nest:
 *
 *  xengnt file    sx of each file (xengnt_file.h); guards what is marked (f).
 *                 May be held across copyin, copyout and allocations, but not
 *                 across a grant-table hypercall.
 *  arena growth   sx; guards the chunks of placeholders.
 *  arena, queues (xengnt_defer.h)
 *                 leaf mutexes, held briefly; nothing sleeps under them.
 *
 * Fields without a mark do not change after set-up.  A thread that holds the
 * only reference on something that is on no list needs no lock for it.
 */
#ifndef _XENGNT_H_
#define	_XENGNT_H_

#include <sys/types.h>
#include <sys/malloc.h>
#include <sys/sysctl.h>

#include <xen/xen-os.h>

struct xengnt_index;
struct xengnt_queue;

MALLOC_DECLARE(M_XENGNT);
SYSCTL_DECL(_hw_xen);
SYSCTL_DECL(_hw_xen_gntdev);
SYSCTL_DECL(_hw_xen_gntalloc);

extern struct cdevsw gntdev_cdevsw;
extern struct cdevsw gntalloc_cdevsw;

/* What a device provides to the core besides its cdevsw. */
struct xengnt_device {
	struct xengnt_queue *queues[3];	/* ends with NULL */
	/* Whether any of its pages is shared with a peer. */
	bool	(*busy)(void);
	/* Releases everything on a file's list, in ascending order. */
	void	(*drop)(struct xengnt_index *);
};
extern const struct xengnt_device gntdev_device;
extern const struct xengnt_device gntalloc_device;

/* Each open file has one list of each kind. */
enum { XENGNT_MAPS, XENGNT_GREFS, XENGNT_LISTS };
extern const struct xengnt_device *const xengnt_devices[XENGNT_LISTS];

/*
 * The raw user pointer of an _IO() command: sys_ioctl() hands the driver its
 * copy of the argument.
 */
#define	XENGNT_UARG(data)	(*(char **)(data))

/*
 * The module cannot be unloaded while it is held.  Each open file, which a
 * mapping keeps alive, and each deferred item holds it.  xengnt_hold() fails
 * with ENXIO during unload.
 */
int	xengnt_hold(void);
void	xengnt_hold_again(void);
void	xengnt_unhold(void);

/*
 * Issues one grant-table hypercall with n operations; returns 0 or an errno.
 * The caller checks the statuses of the operations.
 */
int	xengnt_grant_op(u_int cmd, void *ops, u_int n);

/* The ID of this domain, or DOMID_INVALID if it is unknown. */
extern domid_t xengnt_own_domid;
void	xengnt_own_domid_init(void);

/*
 * Repeats an operation while its status is GNTST_eagain, sleeping 1 to 255 ms
 * in between; a status that is still GNTST_eagain becomes GNTST_bad_page.  The
 * operations of a request share *slept, which starts at 0: together they sleep
 * for as long as Linux would for one.
 */
void	xengnt_retry_eagain(u_int cmd, void *op, int16_t *status, int *slept);

/*
 * Whether the calling thread's process was killed or is exiting, so that a long
 * operation must end.
 */
bool	xengnt_interrupted(void);

#endif /* !_XENGNT_H_ */
