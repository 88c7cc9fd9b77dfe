/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the files of the driver share.
 *
 * Locks: the sx of a file (xengnt_file.h) guards what is marked
 * (f) and may be held across copyin, copyout and allocations; it is never
 * held across a grant-table hypercall, and never taken in a pager destructor
 * other than through a last release.  The mutexes of the arena and of the
 * deferred list are leaves.  Fields without a mark do not change after set-up.
 */
#ifndef _XENGNT_H_
#define	_XENGNT_H_

#include <sys/types.h>
#include <sys/malloc.h>
#include <sys/sysctl.h>

MALLOC_DECLARE(M_XENGNT);
SYSCTL_DECL(_hw_xen);
SYSCTL_DECL(_hw_xen_gntdev);
SYSCTL_DECL(_hw_xen_gntalloc);

extern struct cdevsw gntdev_cdevsw;
extern struct cdevsw gntalloc_cdevsw;

/*
 * The raw user pointer of an _IO() command: sys_ioctl() hands the driver the
 * kernel's copy of the argument slot (REFERENCE 3.5).
 */
#define	XENGNT_UARG(data)	(*(char **)(data))

/*
 * The module cannot go while anything of it lives (row O13, K22).  Each open
 * file, which a mapping keeps alive (row O9), and each page on the deferred
 * list holds the module.  xengnt_hold() fails with ENXIO during unload.
 */
int	xengnt_hold(void);
void	xengnt_hold_more(void);
void	xengnt_unhold(void);

/*
 * One grant-table hypercall over n operations; 0 or an errno.  Statuses of
 * the operations are left for the caller.
 */
int	xengnt_grant_op(u_int cmd, void *ops, u_int n);

/*
 * Repeats one operation whose status is GNTST_eagain, sleeping 1 to 255 ms
 * in between, then turns the status into GNTST_bad_page (rows P15, C16).
 */
void	xengnt_retry_eagain(u_int cmd, void *op, int16_t *status);

#endif /* !_XENGNT_H_ */
