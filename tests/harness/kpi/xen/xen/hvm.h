/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef _XEN_HVM_H_
#define	_XEN_HVM_H_

#include <xen/xen-os.h>

#endif /* !_XEN_HVM_H_ */
