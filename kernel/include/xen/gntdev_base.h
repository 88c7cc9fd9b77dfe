/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 The xengnt authors */
/*
 * User ABI of the gntdev in FreeBSD's base system: one node for both devices,
 * and pointers where Linux has arrays.  Structs that equal Linux's come from
 * the other two headers.
 */
#ifndef _XEN_GNTDEV_BASE_H_
#define	_XEN_GNTDEV_BASE_H_

#include <xen/gntalloc.h>
#include <xen/gntdev.h>

#define	BASE_SET_UNMAP_NOTIFY	_IOW('E', 0, struct ioctl_gntdev_unmap_notify)

#define	BASE_ALLOC_GREF		_IOWR('E', 1, struct base_alloc_gref)
struct base_alloc_gref {
	uint16_t	domid;
	uint16_t	flags;		/* GNTALLOC_FLAG_WRITABLE */
	uint32_t	count;
	uint64_t	index;		/* out */
	uint32_t	*gref_ids;	/* count elements, out */
};

#define	BASE_DEALLOC_GREF						\
	_IOW('E', 2, struct ioctl_gntalloc_dealloc_gref)

#define	BASE_MAP_GRANT_REF	_IOWR('E', 3, struct base_map_grant_ref)
struct base_map_grant_ref {
	uint32_t	count;
	uint32_t	pad;
	uint64_t	index;		/* out */
	struct ioctl_gntdev_grant_ref *refs;	/* count elements */
};

#define	BASE_UNMAP_GRANT_REF						\
	_IOW('E', 4, struct ioctl_gntdev_unmap_grant_ref)

#define	BASE_GET_OFFSET_FOR_VADDR					\
	_IOWR('E', 5, struct ioctl_gntdev_get_offset_for_vaddr)

#endif /* !_XEN_GNTDEV_BASE_H_ */
