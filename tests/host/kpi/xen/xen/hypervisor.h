/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef _XEN_HYPERVISOR_H_
#define	_XEN_HYPERVISOR_H_

#include <xen/xen-os.h>

#include <xen/event_channel.h>

/* 0 or a negative errno with Xen's numbers. */
int	HYPERVISOR_grant_table_op(unsigned int cmd, void *uop,
	    unsigned int count);
int	HYPERVISOR_event_channel_op(int cmd, void *arg);

#endif /* !_XEN_HYPERVISOR_H_ */
