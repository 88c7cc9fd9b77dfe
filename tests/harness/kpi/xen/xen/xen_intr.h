/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef _XEN_XEN_INTR_H_
#define	_XEN_XEN_INTR_H_

#include <xen/xen-os.h>

#include <xen/event_channel.h>

#endif /* !_XEN_XEN_INTR_H_ */
