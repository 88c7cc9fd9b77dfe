/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef _TYPECHECK_BUS_IF_H_
#define	_TYPECHECK_BUS_IF_H_

#include "kobj_types.h"

METHOD_TYPE(device_t, bus_add_child, device_t dev, u_int order,
    const char *name, int unit);

/* In FreeBSD an inline that looks the method up; nothing is linked here. */
device_t BUS_ADD_CHILD(device_t dev, u_int order, const char *name, int unit);

#endif /* !_TYPECHECK_BUS_IF_H_ */
