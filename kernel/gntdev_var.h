/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 The xengnt authors */
/*
 * The grant mapper.
 *
 * A map is one MAP_GRANT_REF request.  It lives while its file lists it or a VM
 * object of it exists; when the last reference goes, its grants are unmapped.
 */
#ifndef _GNTDEV_VAR_H_
#define	_GNTDEV_VAR_H_

#include <sys/types.h>
#include <sys/queue.h>

#include <vm/vm.h>

#include <xen/xen-os.h>
#include <xen/gnttab.h>

#include "xengnt_area.h"
#include "xengnt_defer.h"
#include "xengnt_index.h"
#include "xengnt_notify.h"

struct ioctl_gntdev_get_offset_for_vaddr;
struct ioctl_gntdev_grant_copy;
struct ioctl_gntdev_map_grant_ref;
struct ioctl_gntdev_unmap_grant_ref;
struct ioctl_gntdev_unmap_notify;
struct xengnt_file;
struct xengnt_slot;

/*
 * On gntdev's node only FreeBSD's own commands make grefs (gntdev_base.c).
 * Their page indices start at 1 TiB, above those of all maps.
 */
#define	GNTDEV_BASE_FIRST_GREF	(UINT64_C(1) << (40 - PAGE_SHIFT))

/* A handle that Xen never returns: nothing is mapped. */
#define	GNTDEV_NO_HANDLE	((grant_handle_t)-1)

struct gntdev_map {
	struct xengnt_range range;	/* (f) page index and count */
	struct xengnt_area area;	/* of the VM object, if there is one */
	u_int		refs;		/* list + VM object */
	bool		in_use;		/* (f) mmap was tried */
	bool		readonly;	/* (f) that mmap was read-only */
	u_int		count;
	/* (f) while listed; then used only by the thread that frees it. */
	struct xengnt_notify notify;
	struct xengnt_deferred deferred; /* waits for I/O on its pages */
	/* Arrays of count elements, allocated together with the struct. */
	struct xengnt_slot **slots;
	struct gnttab_map_grant_ref *map_ops;
	struct gnttab_unmap_grant_ref *unmap_ops;
};

/*
 * gntdev_map.c.  Copies the references in from the user's array urefs and
 * writes the struct to uop, unless that is NULL.
 */
int	gntdev_map(struct xengnt_file *file,
	    struct ioctl_gntdev_map_grant_ref *op, char *uop,
	    const char *urefs);
int	gntdev_unmap(struct xengnt_file *file,
	    const struct ioctl_gntdev_unmap_grant_ref *op);
int	gntdev_set_notify(struct xengnt_file *file,
	    const struct ioctl_gntdev_unmap_notify *op);
void	gntdev_map_rele(struct gntdev_map *map);

/* gntdev_mmap.c */
int	gntdev_mmap(struct xengnt_file *file, vm_ooffset_t *offset,
	    vm_size_t size, vm_object_t *object, int nprot);
int	gntdev_get_offset(struct ioctl_gntdev_get_offset_for_vaddr *op);

/* gntdev_grants.c: the hypercalls behind a map. */
int	gntdev_grants_map(struct gntdev_map *map);
void	gntdev_grants_unmap(struct gntdev_map *map);

/* gntdev_copy.c */
int	gntdev_copy(const struct ioctl_gntdev_grant_copy *op);

/* gntdev_base.c */
int	gntdev_base_ioctl(struct xengnt_file *file, u_long cmd, void *data);
int	gntdev_base_mmap(struct xengnt_file *file, vm_ooffset_t *offset,
	    vm_size_t size, vm_object_t *object, int nprot);

static inline struct gntdev_map *
gntdev_range_map(struct xengnt_range *range)
{

	return (__containerof(range, struct gntdev_map, range));
}

#endif /* !_GNTDEV_VAR_H_ */
