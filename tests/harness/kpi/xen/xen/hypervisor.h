/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef _XEN_HYPERVISOR_H_
#define	_XEN_HYPERVISOR_H_

#include <xen/xen-os.h>

#include <xen/event_channel.h>

#include <machine/xen/hypercall.h>

#endif /* !_XEN_HYPERVISOR_H_ */
