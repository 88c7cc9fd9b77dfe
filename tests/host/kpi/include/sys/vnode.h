/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef _SYS_VNODE_H_
#define	_SYS_VNODE_H_

#include <sys/types.h>

struct cdev;

enum vtype { VNON, VREG, VDIR, VBLK, VCHR, VLNK, VSOCK, VFIFO, VBAD };

struct vnode {
	enum vtype	v_type;
	struct cdev	*v_rdev;	/* VCHR; NULL when it is gone */
};

#endif /* !_SYS_VNODE_H_ */
