/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef _XEN_XEN_OS_H_
#define	_XEN_XEN_OS_H_

/*
 * FreeBSD's Xen kernel interface as far as the driver uses it, for builds
 * without FreeBSD's sources: the harness, and the type check against
 * FreeBSD's public headers.  Types come from Xen's own headers.
 */
#include <sys/types.h>

#include <xen/xen.h>

struct resource;

bool	xen_domain(void);
bool	xen_initial_domain(void);

struct resource *xenmem_alloc(struct _device *dev, int *res_id, size_t size);
int	xenmem_free(struct _device *dev, int res_id, struct resource *res);

#endif /* !_XEN_XEN_OS_H_ */
