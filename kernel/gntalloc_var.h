/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 The xengnt authors */
/*
 * The grant allocator.
 *
 * A gref is one page granted to a peer.  Its users are its file, while that
 * lists it, and each mmap(2) that covers it.  After the last user it is freed,
 * or deferred while the peer still maps it.
 */
#ifndef _GNTALLOC_VAR_H_
#define	_GNTALLOC_VAR_H_

#include <sys/types.h>
#include <sys/queue.h>

#include <vm/vm.h>

#include <xen/xen-os.h>
#include <xen/gnttab.h>

#include "xengnt_area.h"
#include "xengnt_defer.h"
#include "xengnt_index.h"
#include "xengnt_notify.h"

struct ioctl_gntalloc_alloc_gref;
struct ioctl_gntalloc_dealloc_gref;
struct ioctl_gntalloc_unmap_notify;
struct xengnt_file;

struct gntalloc_gref {
	struct xengnt_range range;	/* (f) page index; count is 1 */
	u_int		users;		/* list + mappings */
	grant_ref_t	ref;
	vm_page_t	page;		/* wired */
	/* (f) while listed; then used only by the thread that frees it. */
	struct xengnt_notify notify;
	u_int		tries;		/* while deferred */
	struct xengnt_deferred deferred; /* waits for the peer */
	TAILQ_ENTRY(gntalloc_gref) link; /* list of new or released ones */
};
TAILQ_HEAD(gntalloc_grefs, gntalloc_gref);

/*
 * gntalloc_alloc.c.  Writes the struct to uop, unless that is NULL, and then
 * the references to the user's array uids.
 */
int	gntalloc_alloc(struct xengnt_file *file,
	    struct ioctl_gntalloc_alloc_gref *op, char *uop, char *uids);
int	gntalloc_dealloc(struct xengnt_file *file,
	    const struct ioctl_gntalloc_dealloc_gref *op);
int	gntalloc_set_notify(struct xengnt_file *file,
	    const struct ioctl_gntalloc_unmap_notify *op);
struct gntalloc_gref *gntalloc_find_run(struct xengnt_file *file,
	    uint64_t page, uint64_t count);

/* gntalloc_gref.c */
int	gntalloc_reserve(uint32_t count);
void	gntalloc_unreserve(uint32_t count);
int	gntalloc_grefs_create(struct gntalloc_grefs *grefs, uint32_t count,
	    domid_t domid, bool readonly);
/* Releases a user; the last one moves the gref to dead. */
void	gntalloc_gref_rele(struct gntalloc_gref *gref,
	    struct gntalloc_grefs *dead);
/* Sends the notifications of the grefs and frees them; may sleep. */
void	gntalloc_grefs_free(struct gntalloc_grefs *dead);
void	gntalloc_page_rele(vm_page_t m);

/* gntalloc_mmap.c */
extern struct xengnt_queue gntalloc_io_queue;
int	gntalloc_mmap(struct xengnt_file *file, vm_ooffset_t *offset,
	    vm_size_t size, vm_object_t *object, int nprot);

static inline struct gntalloc_gref *
gntalloc_range_gref(struct xengnt_range *range)
{

	return (__containerof(range, struct gntalloc_gref, range));
}

#endif /* !_GNTALLOC_VAR_H_ */
