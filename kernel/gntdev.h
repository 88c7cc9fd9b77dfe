/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The grant mapper: maps (REFERENCE 2.0).
 *
 * A *map* is one MAP_GRANT_REF request.  It lives while its file lists it or
 * a VM object of it exists; the last reference unmaps its grants.
 */
#ifndef _GNTDEV_H_
#define	_GNTDEV_H_

#include <sys/types.h>

#include <vm/vm.h>

#include <xen/xen-os.h>
#include <xen/gnttab.h>

#include "xengnt_index.h"

struct xengnt_file;
struct xengnt_slot;

/* A handle that Xen never gives out: nothing is mapped. */
#define	GNTDEV_NO_HANDLE	((grant_handle_t)-1)

struct gntdev_map {
	struct xengnt_range range;	/* (f) page index and count */
	struct xengnt_file *file;	/* valid while a VM object exists */
	u_int		refs;		/* list + VM object */
	bool		in_use;		/* (f) mmap was tried (row P10) */
	u_int		count;
	/* Elements of one allocation, behind the struct; count of each. */
	struct xengnt_slot **slots;
	struct gnttab_map_grant_ref *map_ops;
	struct gnttab_unmap_grant_ref *unmap_ops;
};

/* gntdev_map.c: arguments are the file and the user's pointer. */
int	gntdev_ioctl_map(struct xengnt_file *file, char *uarg);
int	gntdev_ioctl_unmap(struct xengnt_file *file, char *uarg);
void	gntdev_map_hold(struct gntdev_map *map);
void	gntdev_map_rele(struct gntdev_map *map);
void	gntdev_map_drop(struct xengnt_range *range);

/* gntdev_mmap.c */
int	gntdev_mmap(struct xengnt_file *file, vm_ooffset_t *offset,
	    vm_size_t size, vm_object_t *object, int nprot);
int	gntdev_ioctl_get_offset(char *uarg);

/* gntdev_grants.c: the hypercalls behind a map. */
int	gntdev_grants_map(struct gntdev_map *map, bool readonly);
void	gntdev_grants_unmap(struct gntdev_map *map);

/* gntdev_copy.c */
int	gntdev_ioctl_copy(char *uarg);

#endif /* !_GNTDEV_H_ */
