/* SPDX-License-Identifier: BSD-2-Clause */
/* Probes: the harness has no tracer. */
#ifndef _SYS_SDT_H_
#define	_SYS_SDT_H_

#include <sys/types.h>

#define	SDT_PROVIDER_DEFINE(prov)	struct __hack
#define	SDT_PROVIDER_DECLARE(prov)	struct __hack
#define	SDT_PROBE_DECLARE(prov, mod, func, name)	struct __hack
#define	SDT_PROBE_DEFINE1(prov, mod, func, name, a)	struct __hack
#define	SDT_PROBE_DEFINE2(prov, mod, func, name, a, b)	struct __hack
#define	SDT_PROBE_DEFINE4(prov, mod, func, name, a, b, c, d)	struct __hack
#define	SDT_PROBE1(prov, mod, func, name, a)	do { (void)(a); } while (0)
#define	SDT_PROBE2(prov, mod, func, name, a, b)				\
	do { (void)(a); (void)(b); } while (0)
#define	SDT_PROBE4(prov, mod, func, name, a, b, c, d)			\
	do { (void)(a); (void)(b); (void)(c); (void)(d); } while (0)

#endif /* !_SYS_SDT_H_ */
