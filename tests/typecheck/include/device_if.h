/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef _TYPECHECK_DEVICE_IF_H_
#define	_TYPECHECK_DEVICE_IF_H_

#include "kobj_types.h"

METHOD_TYPE(void, device_identify, driver_t *driver, device_t parent);
METHOD_TYPE(int, device_probe, device_t dev);
METHOD_TYPE(int, device_attach, device_t dev);
METHOD_TYPE(int, device_detach, device_t dev);
METHOD_TYPE(int, device_shutdown, device_t dev);
METHOD_TYPE(int, device_suspend, device_t dev);
METHOD_TYPE(int, device_resume, device_t dev);
METHOD_TYPE(int, device_quiesce, device_t dev);

#endif /* !_TYPECHECK_DEVICE_IF_H_ */
