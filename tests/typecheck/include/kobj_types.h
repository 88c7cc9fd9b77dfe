/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * FreeBSD generates device_if.h and bus_if.h from kern/{device,bus}_if.m and
 * does not install them.  A type check only needs each method's type:
 * DEVMETHOD(x, f) compares f with x_t and takes the address of x_desc.
 */
#ifndef _TYPECHECK_KOBJ_TYPES_H_
#define	_TYPECHECK_KOBJ_TYPES_H_

#include <sys/types.h>
#include <sys/kobj.h>

#define	METHOD_TYPE(type, name, ...)					\
	extern struct kobjop_desc name##_desc;				\
	typedef type name##_t(__VA_ARGS__)

#endif /* !_TYPECHECK_KOBJ_TYPES_H_ */
