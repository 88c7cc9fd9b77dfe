/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a port of the library has to provide, and what it gets.
 *
 * *_core.c, handle.c	own the handle; leave checks to the kernel
 * *_calls.c		osdep_*: sequences of calls, and clean-up after errors
 * abi_*.c		struct abi: how a call is passed to a driver
 * linux.c, freebsd.c	os_*: where the nodes are, which driver has them
 * tools_*.c		tools_*: logging and the list of active handles
 */
#ifndef PRIVATE_H
#define PRIVATE_H

#include <stdbool.h>
#include <sys/mman.h>

#include <stddef.h>
#include <stdint.h>

/* Everything is compiled with hidden visibility except this public header. */
#pragma GCC visibility push(default)
#include <xengnttab.h>
#pragma GCC visibility pop

#define GRANT_PAGE_SIZE	((size_t)4096)

/* Linux leaves these pages out of core dumps anyway. */
#ifdef MAP_NOCORE
#define GRANT_MAP_FLAGS	(MAP_SHARED | MAP_NOCORE)
#else
#define GRANT_MAP_FLAGS	MAP_SHARED
#endif
#define NO_OFFSET	((uint32_t)-1)
#define NO_PORT		((evtchn_port_t)-1)

/*
 * Same layout as Xentoolcore__Active_Handle of libxentoolcore.so.1, whose
 * header is private to Xen's tree: a callback and a two-pointer list entry.
 */
struct active_handle {
	int (*restrict_cb)(struct active_handle *, domid_t);
	void *entry[2];
};

struct abi;

struct xengntdev_handle {
	const char *name;		/* in messages: "gnttab", "gntshr" */
	struct xentoollog_logger *logger;
	struct xentoollog_logger *own_logger;	/* to be freed, or NULL */
	bool registered;
	struct active_handle active;
	int fd;				/* -1: not open */
	const struct abi *abi;		/* of the driver behind fd */
};

/* One request to map: a domain for each reference, or one for all. */
struct map_request {
	uint32_t count;
	const uint32_t *domids;
	const uint32_t *refs;
	bool single_domain;		/* domids[0] serves for all refs */
	int prot;
	uint32_t notify_offset;		/* NO_OFFSET: no byte */
	evtchn_port_t notify_port;	/* NO_PORT: no event */
	bool refusable;			/* do not log a refusal by Xen */
};

/* One request to share; refs[count] is an output. */
struct share_request {
	uint32_t domid;
	int count;
	uint32_t *refs;
	bool writable;
	uint32_t notify_offset;
	evtchn_port_t notify_port;
};

#define UNMAP_NOTIFY_CLEAR_BYTE	0x1
#define UNMAP_NOTIFY_SEND_EVENT	0x2

/* Single calls of a driver: 0, or -1 and errno.  They do not log. */
struct abi {
	int (*set_max_grants)(int fd, uint32_t nr_grants);
	int (*map)(int fd, const struct map_request *req, uint64_t *index);
	int (*unmap)(int fd, uint64_t index, uint32_t count);
	int (*find)(int fd, uintptr_t vaddr, uint64_t *index, uint32_t *count);
	int (*notify)(int fd, uint64_t index, uint32_t action, uint32_t port);
	int (*copy)(xengnttab_handle *xgt, uint32_t count,
	    xengnttab_grant_copy_segment_t *segs);
	int (*alloc)(int fd, const struct share_request *req, uint64_t *index,
	    uint32_t *refs);
	int (*dealloc)(int fd, uint64_t index, uint32_t count);
	bool dmabuf;			/* has the commands of DMA buffers */
	/*
	 * If not 0, alloc takes one page at a time, and at most so many in all.
	 */
	int pagewise;
};
extern const struct abi abi_native;	/* Linux's, and our module's */
extern const struct abi abi_base;	/* of FreeBSD's base system */

/* copy_by_map.c: abi.copy for a driver without it. */
int copy_by_map(xengnttab_handle *xgt, uint32_t count,
    xengnttab_grant_copy_segment_t *segs);

/*
 * handle.c.  handle_close() also accepts a half-made handle.  handle_close()
 * and log_errno() keep the errno of the failed call.
 */
struct xengntdev_handle *handle_open(const char *name,
    struct xentoollog_logger *logger,
    int (*open_node)(struct xengntdev_handle *), bool restrictable);
int handle_close(struct xengntdev_handle *h);

/* handle.c: arms what is not NO_OFFSET or NO_PORT; 0, or -1 and errno. */
int arm_notify(struct xengntdev_handle *h, uint64_t index, size_t pages,
    uint32_t offset, evtchn_port_t port);

/*
 * os: set fd and abi; -1 and errno.  As in Xen's library, gntshr survives exec.
 */
int os_gnttab_open(struct xengntdev_handle *h);
int os_gntshr_open(struct xengntdev_handle *h);

/* osdep: return 0 or a pointer, or -1 or NULL and errno.  They log failures. */
int osdep_gnttab_set_max_grants(xengnttab_handle *xgt, uint32_t nr_grants);
void *osdep_gnttab_map(xengnttab_handle *xgt, const struct map_request *req);
int osdep_gnttab_unmap(xengnttab_handle *xgt, void *start, uint32_t count);
int osdep_gnttab_copy(xengnttab_handle *xgt, uint32_t count,
    xengnttab_grant_copy_segment_t *segs);
int osdep_dmabuf_exp_from_refs(xengnttab_handle *xgt, uint32_t domid,
    uint32_t flags, uint32_t count, const uint32_t *refs, uint32_t *fd);
int osdep_dmabuf_exp_wait_released(xengnttab_handle *xgt, uint32_t fd,
    uint32_t wait_to_ms);
int osdep_dmabuf_imp_to_refs(xengnttab_handle *xgt, uint32_t domid, uint32_t fd,
    uint32_t count, uint32_t *refs);
int osdep_dmabuf_imp_release(xengnttab_handle *xgt, uint32_t fd);
void *osdep_gntshr_share(xengntshr_handle *xgs,
    const struct share_request *req);
int osdep_gntshr_unshare(xengntshr_handle *xgs, void *start, uint32_t count);

/* tools: with Xen's libraries (tools_xen.c) or without (tools_none.c). */
int tools_log_open(struct xengntdev_handle *h);	/* when h->logger is NULL */
void tools_log_close(struct xengntdev_handle *h);
void tools_register(struct xengntdev_handle *h);
void tools_deregister(struct xengntdev_handle *h);
/* One line at level error with the text of errno, which it keeps. */
void log_errno(struct xengntdev_handle *h, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

#endif /* PRIVATE_H */
