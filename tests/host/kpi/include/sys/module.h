/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef _SYS_MODULE_H_
#define	_SYS_MODULE_H_

#define	MODULE_VERSION(module, version)	struct __hack
#define	MODULE_DEPEND(module, mdepend, vmin, vpref, vmax)	struct __hack

#endif /* !_SYS_MODULE_H_ */
