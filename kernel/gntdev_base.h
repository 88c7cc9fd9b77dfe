/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 The xengnt authors */
/*
 * The words and structs of FreeBSD's own gntdev (REFERENCE 3.1), which
 * programs of FreeBSD's xen-tools speak.  Only the structs that differ from
 * Linux's are here.
 */
#ifndef _GNTDEV_BASE_H_
#define	_GNTDEV_BASE_H_

#include <sys/types.h>
#include <sys/ioccom.h>

#include <xen/gntalloc.h>
#include <xen/gntdev.h>

struct base_alloc_gref {
	uint16_t	domid;
	uint16_t	flags;		/* 1: writable */
	uint32_t	count;
	uint64_t	index;		/* out */
	uint32_t	*gref_ids;	/* user's array of count, out */
};

struct base_map_grant_ref {
	uint32_t	count;
	uint32_t	pad;
	uint64_t	index;		/* out */
	struct ioctl_gntdev_grant_ref *refs;	/* user's array of count */
};

#define	BASE_SET_UNMAP_NOTIFY	_IOW('E', 0, struct ioctl_gntdev_unmap_notify)
#define	BASE_ALLOC_GREF		_IOWR('E', 1, struct base_alloc_gref)
#define	BASE_DEALLOC_GREF	\
	_IOW('E', 2, struct ioctl_gntalloc_dealloc_gref)
#define	BASE_MAP_GRANT_REF	_IOWR('E', 3, struct base_map_grant_ref)
#define	BASE_UNMAP_GRANT_REF	\
	_IOW('E', 4, struct ioctl_gntdev_unmap_grant_ref)
#define	BASE_GET_OFFSET_FOR_VADDR \
	_IOWR('E', 5, struct ioctl_gntdev_get_offset_for_vaddr)

#endif /* !_GNTDEV_BASE_H_ */
