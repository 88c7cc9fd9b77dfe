/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * User ABI of the gntdev driver in FreeBSD's base system: one node for both
 * halves, and pointers where Linux has arrays (REFERENCE 3.1).
 */
#ifndef BASE_GNTDEV_H
#define BASE_GNTDEV_H

#include <sys/ioctl.h>

#include <stdint.h>

struct base_unmap_notify {
	uint64_t index;
	uint32_t action;
	uint32_t event_channel_port;
};
struct base_alloc_gref {
	uint16_t domid;
	uint16_t flags;
	uint32_t count;
	uint64_t index;
	uint32_t *gref_ids;
};
struct base_dealloc_gref {
	uint64_t index;
	uint32_t count;
};
struct base_grant_ref {
	uint32_t domid;
	uint32_t ref;
};
struct base_map_grant_ref {
	uint32_t count;
	uint32_t pad0;
	uint64_t index;
	struct base_grant_ref *refs;
};
struct base_unmap_grant_ref {
	uint64_t index;
	uint32_t count;
};
struct base_get_offset_for_vaddr {
	uint64_t vaddr;
	uint64_t offset;
	uint32_t count;
};

#define BASE_SET_UNMAP_NOTIFY	  _IOW('E', 0, struct base_unmap_notify)
#define BASE_ALLOC_GREF		  _IOWR('E', 1, struct base_alloc_gref)
#define BASE_DEALLOC_GREF	  _IOW('E', 2, struct base_dealloc_gref)
#define BASE_MAP_GRANT_REF	  _IOWR('E', 3, struct base_map_grant_ref)
#define BASE_UNMAP_GRANT_REF	  _IOW('E', 4, struct base_unmap_grant_ref)
#define BASE_GET_OFFSET_FOR_VADDR _IOWR('E', 5, struct base_get_offset_for_vaddr)

#define BASE_ALLOC_FLAG_WRITABLE  1

/* Most grants of one request: as many as our module takes (row M3). */
#define BASE_MAX_GRANTS	65536

#ifdef __FreeBSD__
_Static_assert(BASE_SET_UNMAP_NOTIFY == 0x80104500, "word 0");
_Static_assert(BASE_ALLOC_GREF == 0xc0184501, "word 1");
_Static_assert(BASE_DEALLOC_GREF == 0x80104502, "word 2");
_Static_assert(BASE_MAP_GRANT_REF == 0xc0184503, "word 3");
_Static_assert(BASE_UNMAP_GRANT_REF == 0x80104504, "word 4");
_Static_assert(BASE_GET_OFFSET_FOR_VADDR == 0xc0184505, "word 5");
#endif

#endif /* BASE_GNTDEV_H */
