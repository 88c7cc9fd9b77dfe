/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef _SYS_VNODE_H_
#define	_SYS_VNODE_H_

#include <sys/mutex.h>

struct cdev;

enum vtype { VNON, VREG, VDIR, VBLK, VCHR, VLNK, VSOCK, VFIFO, VBAD };

struct vnode {
	enum vtype	v_type;
	struct cdev	*v_rdev;	/* VCHR; NULL when it is gone */
};

/* One for all of them. */
extern struct mtx kpi_vnode_interlock;
#define	VI_LOCK(vp)	((void)(vp), mtx_lock(&kpi_vnode_interlock))
#define	VI_UNLOCK(vp)	((void)(vp), mtx_unlock(&kpi_vnode_interlock))

#endif /* !_SYS_VNODE_H_ */
