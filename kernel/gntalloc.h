/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The grant allocator: grefs (REFERENCE 2.0).
 *
 * A *gref* is one page granted to a peer.  It has a user while its file
 * lists it, and one for each mmap(2) that covers it; the last user's going
 * destroys it, or hands it to the deferred list while the peer still maps
 * it (2.14).
 */
#ifndef _GNTALLOC_H_
#define	_GNTALLOC_H_

#include <sys/types.h>
#include <sys/queue.h>

#include <vm/vm.h>

#include <xen/xen-os.h>
#include <xen/gnttab.h>

#include "xengnt_index.h"

struct xengnt_file;

struct gntalloc_gref {
	struct xengnt_range range;	/* (f) page index; count is 1 */
	u_int		users;		/* list + mappings */
	grant_ref_t	ref;
	vm_page_t	page;		/* wired */
	u_int		tries;		/* on the deferred list */
	TAILQ_ENTRY(gntalloc_gref) link; /* being set up; deferred */
};
TAILQ_HEAD(gntalloc_grefs, gntalloc_gref);

/* gntalloc_alloc.c */
int	gntalloc_ioctl_alloc(struct xengnt_file *file, char *uarg);
int	gntalloc_ioctl_dealloc(struct xengnt_file *file, char *uarg);
struct gntalloc_gref *gntalloc_find_run(struct xengnt_file *file,
	    uint64_t page, uint64_t count);

/* gntalloc_gref.c */
int	gntalloc_reserve(uint32_t count);
void	gntalloc_unreserve(uint32_t count);
int	gntalloc_gref_create(domid_t domid, bool readonly,
	    struct gntalloc_gref **grefp);
void	gntalloc_gref_rele(struct gntalloc_gref *gref);
void	gntalloc_gref_drop(struct xengnt_range *range);
void	gntalloc_deferred_init(void);
void	gntalloc_deferred_fini(void);

/* gntalloc_mmap.c */
int	gntalloc_mmap(struct xengnt_file *file, vm_ooffset_t *offset,
	    vm_size_t size, vm_object_t *object, int nprot);

static inline struct gntalloc_gref *
gntalloc_range_gref(struct xengnt_range *range)
{

	return (__containerof(range, struct gntalloc_gref, range));
}

#endif /* !_GNTALLOC_H_ */
