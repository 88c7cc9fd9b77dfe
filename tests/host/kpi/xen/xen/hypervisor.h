/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef _XEN_HYPERVISOR_H_
#define	_XEN_HYPERVISOR_H_

#include <xen/xen-os.h>

/* 0 or a negative errno with Xen's numbers. */
int	HYPERVISOR_grant_table_op(unsigned int cmd, void *uop,
	    unsigned int count);

#endif /* !_XEN_HYPERVISOR_H_ */
