/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * User ABI of /dev/xen/gntdev, the grant mapper.
 *
 * Struct layouts, numbers and macro names are those of Linux on LP64.  Nothing
 * else belongs in this file: the module, the library, the bindings and the
 * tests include it unchanged.
 *
 * FreeBSD's sys_ioctl() refuses Linux's own command values.  The arrays behind
 * the fixed structs need the caller's pointer, which a driver gets only with a
 * command without a size.  So there the commands are _IO('G', nr).
 */
#ifndef _XEN_GNTDEV_H_
#define	_XEN_GNTDEV_H_

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

/* One grant: the domain that granted it and its grant reference. */
struct ioctl_gntdev_grant_ref {
	uint32_t	domid;
	uint32_t	ref;
};

/*
 * Prepares a mapping of count grants; mmap(2) at offset index maps them.
 * count elements follow in refs[]; index is an output, a multiple of 4096.
 */
#define	IOCTL_GNTDEV_MAP_GRANT_REF					\
	XENGNT_IOC(0, struct ioctl_gntdev_map_grant_ref)
struct ioctl_gntdev_map_grant_ref {
	uint32_t	count;
	uint32_t	pad;
	uint64_t	index;
	struct ioctl_gntdev_grant_ref refs[1];
};

/* Removes a mapping from the file; count is 0 or that of the request. */
#define	IOCTL_GNTDEV_UNMAP_GRANT_REF					\
	XENGNT_IOC(1, struct ioctl_gntdev_unmap_grant_ref)
struct ioctl_gntdev_unmap_grant_ref {
	uint64_t	index;
	uint32_t	count;
	uint32_t	pad;
};

/* Finds the index and the count of the mapping that holds an address. */
#define	IOCTL_GNTDEV_GET_OFFSET_FOR_VADDR				\
	XENGNT_IOC(2, struct ioctl_gntdev_get_offset_for_vaddr)
struct ioctl_gntdev_get_offset_for_vaddr {
	uint64_t	vaddr;
	uint64_t	offset;
	uint32_t	count;
	uint32_t	pad;
};

/* Part of the ABI, but every driver answers ENOTTY. */
#define	IOCTL_GNTDEV_SET_MAX_GRANTS					\
	XENGNT_IOC(3, struct ioctl_gntdev_set_max_grants)
struct ioctl_gntdev_set_max_grants {
	uint32_t	count;
};

/*
 * Arms what happens when the page at byte offset index is unmapped: a zero byte
 * is stored there, an event is sent, or both.
 */
#define	IOCTL_GNTDEV_SET_UNMAP_NOTIFY					\
	XENGNT_IOC(7, struct ioctl_gntdev_unmap_notify)
struct ioctl_gntdev_unmap_notify {
	uint64_t	index;
	uint32_t	action;
	uint32_t	event_channel_port;
};
#ifndef UNMAP_NOTIFY_CLEAR_BYTE
#define	UNMAP_NOTIFY_CLEAR_BYTE	0x1
#define	UNMAP_NOTIFY_SEND_EVENT	0x2
#endif

/*
 * One part of a grant copy.  A side is foreign if its flag is set
 * (GNTCOPY_source_gref 1, GNTCOPY_dest_gref 2 in Xen's public headers);
 * otherwise it is an address of the caller.  status is an output, a GNTST_
 * code.
 */
struct gntdev_grant_copy_segment {
	union {
		void	*virt;
		struct {
			uint32_t	ref;
			uint16_t	offset;
			uint16_t	domid;
		} foreign;
	} source, dest;
	uint16_t	len;
	uint16_t	flags;
	int16_t		status;
};

#define	IOCTL_GNTDEV_GRANT_COPY						\
	XENGNT_IOC(8, struct ioctl_gntdev_grant_copy)
struct ioctl_gntdev_grant_copy {
	uint32_t	count;
	struct gntdev_grant_copy_segment *segments;
};

#endif /* !_XEN_GNTDEV_H_ */
