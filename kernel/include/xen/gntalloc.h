/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * User ABI of /dev/xen/gntalloc, the grant allocator.
 *
 * As in xen/gntdev.h, Linux's LP64 layouts and names and nothing else.
 */
#ifndef _XEN_GNTALLOC_H_
#define	_XEN_GNTALLOC_H_

#ifdef _KERNEL
#include <sys/types.h>
#else
#include <stdint.h>
#endif

#ifndef XENGNT_IOC
#ifdef __linux__
#include <linux/ioctl.h>
#define	XENGNT_IOC(nr, type)	_IOC(_IOC_NONE, 'G', (nr), sizeof(type))
#else
#include <sys/ioccom.h>
#define	XENGNT_IOC(nr, type)	_IO('G', (nr))
#endif
#endif

/*
 * Allocates count zeroed pages and grants them to domid.  index is an output,
 * the mmap(2) offset of the first page.  The driver writes count references to
 * gref_ids[]; it cannot check that the caller left room for them.
 */
#define	IOCTL_GNTALLOC_ALLOC_GREF					\
	XENGNT_IOC(5, struct ioctl_gntalloc_alloc_gref)
struct ioctl_gntalloc_alloc_gref {
	uint16_t	domid;
	uint16_t	flags;
	uint32_t	count;
	uint64_t	index;
	uint32_t	gref_ids[1];
};
/* The peer may write; without this flag the grant is read-only. */
#define	GNTALLOC_FLAG_WRITABLE	1

/* Removes count pages, from byte offset index on, from the file. */
#define	IOCTL_GNTALLOC_DEALLOC_GREF					\
	XENGNT_IOC(6, struct ioctl_gntalloc_dealloc_gref)
struct ioctl_gntalloc_dealloc_gref {
	uint64_t	index;
	uint32_t	count;
};

/* Like IOCTL_GNTDEV_SET_UNMAP_NOTIFY, for a page of this file. */
#define	IOCTL_GNTALLOC_SET_UNMAP_NOTIFY					\
	XENGNT_IOC(7, struct ioctl_gntalloc_unmap_notify)
struct ioctl_gntalloc_unmap_notify {
	uint64_t	index;
	uint32_t	action;
	uint32_t	event_channel_port;
};
#ifndef UNMAP_NOTIFY_CLEAR_BYTE
#define	UNMAP_NOTIFY_CLEAR_BYTE	0x1
#define	UNMAP_NOTIFY_SEND_EVENT	0x2
#endif

#endif /* !_XEN_GNTALLOC_H_ */
