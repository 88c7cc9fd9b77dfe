/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * libxengnttab: Xen's grant tables for user space.
 *
 * A domain shares pages of its memory by granting them to another domain,
 * which refers to them by grant references.  This header has both halves:
 *
 *   xengnttab_*  maps and copies pages that other domains granted to us;
 *   xengntshr_*  allocates pages of our own and grants them to a domain.
 *
 * Names, types, symbol versions and behaviour are those of Xen's library of
 * the same soname, so programs built for one run with the other.
 *
 * Errors: functions that return a pointer return NULL, those that return an
 * int return -1, and errno says why; clean-up and logging never change it.
 * Messages go to the logger given to open, by default to stderr.
 *
 * Threads: a handle has no state but its descriptor and so needs no lock.
 * Calls from several threads are as safe as the kernel makes them.
 *
 * Fork: a child may only close an inherited handle, and must not touch the
 * areas that its parent mapped.
 *
 * Unmap notification: when an area made by one of the _notify functions goes
 * away, even because the process died, the byte at notify_offset becomes zero
 * and then notify_port is signalled, so that the peer learns of it.  Pass
 * (uint32_t)-1 as the offset or (evtchn_port_t)-1 as the port to leave one of
 * them out.  If the notification cannot be armed, the whole call fails and
 * nothing stays mapped.
 */
#ifndef XENGNTTAB_H
#define XENGNTTAB_H

#include <stdint.h>

#include <xen/grant_table.h>
#include <xen/event_channel.h>

#ifdef __cplusplus
extern "C" {
#endif

/* From xentoollog.h, which only a caller with its own logger needs. */
struct xentoollog_logger;

/* Grants of other domains ------------------------------------------------- */

typedef struct xengntdev_handle xengnttab_handle;

/*
 * Opens the grant device.  logger may be NULL; open_flags is reserved, pass 0.
 * xentoolcore_restrict_all() covers the handle.
 */
xengnttab_handle *xengnttab_open(struct xentoollog_logger *logger,
    unsigned open_flags);

/*
 * Closes the handle; NULL is allowed.  What is still mapped stays mapped until
 * the last of its areas is gone.
 */
int xengnttab_close(xengnttab_handle *xgt);

/*
 * The descriptor behind the handle, to be passed on; it never has events to
 * wait for.
 */
int xengnttab_fd(xengnttab_handle *xgt);

/*
 * Maps grants at consecutive addresses, one page each.  prot is as for
 * mmap(2); PROT_WRITE needs grants that permit it.  All grants are mapped or
 * none.  The first form maps one grant, the second grants of several domains,
 * the third several grants of one domain.
 */
void *xengnttab_map_grant_ref(xengnttab_handle *xgt, uint32_t domid,
    uint32_t ref, int prot);
void *xengnttab_map_grant_refs(xengnttab_handle *xgt, uint32_t count,
    uint32_t *domids, uint32_t *refs, int prot);
void *xengnttab_map_domain_grant_refs(xengnttab_handle *xgt, uint32_t count,
    uint32_t domid, uint32_t *refs, int prot);

/* Maps one grant and arms an unmap notification on its page. */
void *xengnttab_map_grant_ref_notify(xengnttab_handle *xgt, uint32_t domid,
    uint32_t ref, int prot, uint32_t notify_offset, evtchn_port_t notify_port);

/*
 * Unmaps an area that one of the functions above returned, as a whole: count
 * is the number of its pages.
 */
int xengnttab_unmap(xengnttab_handle *xgt, void *start_address, uint32_t count);

/*
 * Announces how many grants will be mapped at once.  This is only advice:
 * kernels without such a limit return success.
 */
int xengnttab_set_max_grants(xengnttab_handle *xgt, uint32_t nr_grants);

/*
 * One part of a copy.  Each side is a local address, or a place in a granted
 * page if flags has GNTCOPY_source_gref or GNTCOPY_dest_gref; at least one must
 * be granted.  A granted side may not cross the end of its page.  status is the
 * result, a GNTST_ code.
 */
struct xengnttab_grant_copy_segment {
	union xengnttab_copy_ptr {
		void *virt;
		struct {
			uint32_t ref;
			uint16_t offset;
			uint16_t domid;
		} foreign;
	} source, dest;
	uint16_t len;
	uint16_t flags;
	int16_t status;
};
typedef struct xengnttab_grant_copy_segment xengnttab_grant_copy_segment_t;

/*
 * Copies count parts through the hypervisor.  After 0 all were tried and each
 * status is valid; after -1 none is.  A count of 0 succeeds if copying is
 * supported at all.
 */
int xengnttab_grant_copy(xengnttab_handle *xgt, uint32_t count,
    xengnttab_grant_copy_segment_t *segs);

/* Grants as Linux DMA buffers.  A system without them returns -1 with ENOTTY. */
#define GNTDEV_DMA_FLAG_WC	(1 << 0)	/* write-combining memory */
#define GNTDEV_DMA_FLAG_COHERENT (1 << 1)	/* coherent memory */

/* Makes a buffer of count grants of domid; *fd is its descriptor. */
int xengnttab_dmabuf_exp_from_refs(xengnttab_handle *xgt, uint32_t domid,
    uint32_t flags, uint32_t count, const uint32_t *refs, uint32_t *fd);

/* Waits until the last user of such a buffer is gone; 0 if it already is. */
int xengnttab_dmabuf_exp_wait_released(xengnttab_handle *xgt, uint32_t fd,
    uint32_t wait_to_ms);

/* Grants the count pages of buffer fd to domid and stores the references. */
int xengnttab_dmabuf_imp_to_refs(xengnttab_handle *xgt, uint32_t domid,
    uint32_t fd, uint32_t count, uint32_t *refs);

/* Ends those grants. */
int xengnttab_dmabuf_imp_release(xengnttab_handle *xgt, uint32_t fd);

/* Pages granted to other domains ------------------------------------------ */

typedef struct xengntdev_handle xengntshr_handle;

/*
 * Opens the grant allocator, as xengnttab_open does the grant device.
 * xentoolcore_restrict_all() does not cover the handle.
 */
xengntshr_handle *xengntshr_open(struct xentoollog_logger *logger,
    unsigned open_flags);
int xengntshr_close(xengntshr_handle *xgs);
int xengntshr_fd(xengntshr_handle *xgs);

/*
 * Allocates count zeroed pages at consecutive addresses, grants them to domid
 * and stores their references.  writable is about the peer: we can always
 * write.
 */
void *xengntshr_share_pages(xengntshr_handle *xgs, uint32_t domid, int count,
    uint32_t *refs, int writable);

/* Shares one page and arms an unmap notification on it. */
void *xengntshr_share_page_notify(xengntshr_handle *xgs, uint32_t domid,
    uint32_t *ref, int writable, uint32_t notify_offset,
    evtchn_port_t notify_port);

/*
 * Stops sharing an area that one of the functions above returned.  Pages that
 * the peer still has mapped stay with it, and nobody else gets them, until it
 * unmaps them.
 */
int xengntshr_unshare(xengntshr_handle *xgs, void *start_address,
    uint32_t count);

#ifdef __cplusplus
}
#endif

#endif /* XENGNTTAB_H */
