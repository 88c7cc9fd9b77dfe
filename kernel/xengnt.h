/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 The xengnt authors */
/*
 * What the files of the driver share.
 *
 * Locks, in the order in which they nest:
 *
 *  xengnt file    sx of each file (xengnt_file.h): what is marked (f).  May
 *                 be held across copyin, copyout and allocations; never
 *                 across a grant-table hypercall.
 *  arena growth   sx: chunks of placeholders.
 *  arena, queues (xengnt_defer.h)
 *                 mutexes, leaves: short, nothing sleeps under them.
 *
 * Fields without a mark do not change after set-up.  Whoever holds the only
 * reference on something that is on no list needs no lock for it.
 */
#ifndef _XENGNT_H_
#define	_XENGNT_H_

#include <sys/types.h>
#include <sys/malloc.h>
#include <sys/sysctl.h>

#include <xen/xen-os.h>

struct xengnt_index;

MALLOC_DECLARE(M_XENGNT);
SYSCTL_DECL(_hw_xen);
SYSCTL_DECL(_hw_xen_gntdev);
SYSCTL_DECL(_hw_xen_gntalloc);

extern struct cdevsw gntdev_cdevsw;
extern struct cdevsw gntalloc_cdevsw;

/* What the core asks of a device that is more than its cdevsw. */
struct xengnt_device {
	void	(*init)(void);
	void	(*fini)(void);
	/* Whether something of it is shared with a peer. */
	bool	(*busy)(void);
	/* Releases all that a file's list has, in ascending order. */
	void	(*drop)(struct xengnt_index *);
};
extern const struct xengnt_device gntdev_device;
extern const struct xengnt_device gntalloc_device;

/* Each open file has a list for either. */
enum { XENGNT_MAPS, XENGNT_GREFS, XENGNT_LISTS };
extern const struct xengnt_device *const xengnt_devices[XENGNT_LISTS];

/*
 * The raw user pointer of an _IO() command: sys_ioctl() hands the driver the
 * kernel's copy of the argument slot.
 */
#define	XENGNT_UARG(data)	(*(char **)(data))

/*
 * The module cannot be unloaded while anything of it lives.  Each open file,
 * which a mapping keeps alive, and each deferred item holds the module.
 * xengnt_hold() fails with ENXIO during unload.
 */
int	xengnt_hold(void);
void	xengnt_hold_again(void);
void	xengnt_unhold(void);

/*
 * One grant-table hypercall over n operations; 0 or an errno.  Statuses of
 * the operations are left for the caller.
 */
int	xengnt_grant_op(u_int cmd, void *ops, u_int n);

/* This domain, where that can be told; DOMID_INVALID elsewhere. */
domid_t	xengnt_own_domid(void);
void	xengnt_own_domid_init(void);

/*
 * Repeats one operation whose status is GNTST_eagain, sleeping 1 to 255 ms
 * in between, then turns the status into GNTST_bad_page.
 * *slept, which starts at 0, is shared by the operations of a request: all of
 * them together sleep for as long as Linux would for one.
 */
void	xengnt_retry_eagain(u_int cmd, void *op, int16_t *status, int *slept);

/*
 * Whether the calling thread's process has been killed or is exiting, so that
 * what takes long must end.
 */
bool	xengnt_interrupted(void);

#endif /* !_XENGNT_H_ */
