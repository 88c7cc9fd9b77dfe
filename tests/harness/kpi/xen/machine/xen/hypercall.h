/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef _MACHINE_XEN_HYPERCALL_H_
#define	_MACHINE_XEN_HYPERCALL_H_

/* 0 or a negative errno with Xen's numbers. */
int	HYPERVISOR_grant_table_op(unsigned int cmd, void *uop,
	    unsigned int count);
int	HYPERVISOR_event_channel_op(int cmd, void *arg);

#endif /* !_MACHINE_XEN_HYPERCALL_H_ */
