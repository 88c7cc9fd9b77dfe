/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The grant mapper: files and maps (REFERENCE 2.0).
 *
 * A *map* is one MAP_GRANT_REF request.  It lives while its file lists it or
 * a VM object of it exists; the last reference unmaps its grants.  A *file*
 * lives while the descriptor or any VM object made through it exists: when
 * it goes, so does everything it lists (row O9; FreeBSD itself would run the
 * destructor at the last close and leave the objects alone).
 */
#ifndef _GNTDEV_H_
#define	_GNTDEV_H_

#include <sys/types.h>
#include <sys/lock.h>
#include <sys/sx.h>

#include <vm/vm.h>

#include <xen/xen-os.h>
#include <xen/gnttab.h>

#include "xengnt_index.h"

struct thread;
struct xengnt_slot;

/* A handle that Xen never gives out: nothing is mapped. */
#define	GNTDEV_NO_HANDLE	((grant_handle_t)-1)

struct gntdev_file {
	struct sx	lock;
	u_int		refs;		/* descriptor + VM objects */
	int		oflags;		/* FREAD, FWRITE of the open (K4) */
	struct xengnt_index maps;	/* (f) */
};

struct gntdev_map {
	struct xengnt_range range;	/* (f) page index and count */
	struct gntdev_file *file;	/* valid while a VM object exists */
	u_int		refs;		/* list + VM object */
	bool		in_use;		/* (f) mmap was tried (row P10) */
	u_int		count;
	/* Elements of one allocation, behind the struct; count of each. */
	struct xengnt_slot **slots;
	struct gnttab_map_grant_ref *map_ops;
	struct gnttab_unmap_grant_ref *unmap_ops;
};

/* gntdev_dev.c */
void	gntdev_file_hold(struct gntdev_file *file);
void	gntdev_file_rele(struct gntdev_file *file);

/* gntdev_map.c: arguments are the file and the user's pointer. */
int	gntdev_ioctl_map(struct gntdev_file *file, char *uarg);
int	gntdev_ioctl_unmap(struct gntdev_file *file, char *uarg);
void	gntdev_map_hold(struct gntdev_map *map);
void	gntdev_map_rele(struct gntdev_map *map);
void	gntdev_file_release_maps(struct gntdev_file *file);

/* gntdev_mmap.c */
int	gntdev_mmap(struct gntdev_file *file, vm_ooffset_t *offset,
	    vm_size_t size, vm_object_t *object, int nprot);
int	gntdev_ioctl_get_offset(char *uarg);

/* gntdev_grants.c: the hypercalls behind a map. */
int	gntdev_grants_map(struct gntdev_map *map, bool readonly);
void	gntdev_grants_unmap(struct gntdev_map *map);

/* gntdev_copy.c */
int	gntdev_ioctl_copy(char *uarg);

#endif /* !_GNTDEV_H_ */
