/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A model of Xen's grant tables as an HVM or PVH domain sees them: frames,
 * domains with their guest-physical address spaces, version 1 grant tables,
 * maps and copies.
 *
 * A machine is stored in one file: anonymous for one process, or named, so that
 * several processes are several of its domains.  The types are opaque; tests
 * use the accessors.
 */
#ifndef _XEN_MODEL_H_
#define	_XEN_MODEL_H_

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct xen_machine;
struct xen_domain;

#define	XEN_MODEL_PAGE		4096u

/* Guest-physical page numbers that a domain can have. */
#define	XEN_MODEL_GFNS		(1u << 21)
/*
 * Above these: ordinary memory of the calling process, by virtual page number.
 * It can only be the local side of a grant copy.
 */
#define	XEN_MODEL_LOCAL_GFN	(UINT64_C(1) << 40)

/* Xen's defaults, and the model's upper bounds. */
#define	XEN_MODEL_GRANT_FRAMES	64u
#define	XEN_MODEL_MAPTRACK_FRAMES 1024u
#define	XEN_MODEL_MAPTRACK_PER_FRAME 256u
/* Event channel ports of a domain, with the reserved 0. */
#define	XEN_MODEL_PORTS		1024u

enum xen_p2m_type {
	XEN_P2M_NONE,		/* nothing there */
	XEN_P2M_RAM,
	XEN_P2M_PAGED,		/* paged out: maps and copies get eagain */
	XEN_P2M_GRANT_RW,
	XEN_P2M_GRANT_RO,
	XEN_P2M_FOREIGN,
};

struct xen_counters {
	uint64_t	hypercalls;	/* grant-table operations issued */
	uint64_t	map_ops;	/* elements, successful or not */
	uint64_t	unmap_ops;
	uint64_t	copy_ops;
	uint64_t	event_ops;	/* event-channel hypercalls */
	uint32_t	maps_live;	/* grants this domain has mapped */
	uint32_t	pins_live;	/* maps of this domain's grants */
	uint32_t	ram_pages;
};

/*
 * All functions that can fail return 0 or a negative errno with Xen's (and
 * Linux's) numbers.  path NULL: a private machine.
 */
int	xen_machine_open(const char *path, struct xen_machine **);
void	xen_machine_close(struct xen_machine *);
/* For mappings of frames: frame n is at n pages from the base. */
int	xen_machine_fd(struct xen_machine *);
uint64_t xen_machine_frame_offset(struct xen_machine *, uint32_t mfn);

#define	XEN_MODEL_ANY_DOMID	0xffffu	/* a free one from 512 on */

struct xen_domain_config {
	uint16_t	domid;
	uint32_t	grant_frames;	/* frames at creation */
	uint32_t	max_grant_frames;
	uint32_t	maptrack_frames;
};
int	xen_domain_create(struct xen_machine *,
	    const struct xen_domain_config *, struct xen_domain **);
/*
 * Ends the domain: its maps are released, its pages live on while others map
 * them, and its number stays in use for as long (row V10).
 */
void	xen_domain_destroy(struct xen_domain *);
/* Drops the handle of a domain that continues in another process (fork). */
void	xen_domain_forget(struct xen_domain *);
/* Destroys domains whose process is gone; returns their number. */
unsigned xen_machine_reap(struct xen_machine *);

uint16_t xen_domain_id(const struct xen_domain *);
void	xen_domain_counters(struct xen_domain *, struct xen_counters *);

/* Puts a zeroed frame at a free gfn. */
int	xen_domain_populate(struct xen_domain *, uint64_t gfn);
/* Removes it; the frame lives on while a peer maps it. */
int	xen_domain_depopulate(struct xen_domain *, uint64_t gfn);
/* As if the pager had taken the page: the next n uses get eagain. */
int	xen_domain_page_out(struct xen_domain *, uint64_t gfn, unsigned n);
/* A page of another domain by privcmd, which must not be mapped over. */
int	xen_domain_make_foreign(struct xen_domain *, uint64_t gfn);

enum xen_p2m_type xen_domain_p2m(struct xen_domain *, uint64_t gfn,
	    uint32_t *mfn);
/* The harness's own view of the page at gfn, NULL if there is none. */
void	*xen_domain_page(struct xen_domain *, uint64_t gfn);
/* Grant maps of the page at gfn, by any domain. */
uint32_t xen_domain_page_pins(struct xen_domain *, uint64_t gfn);

/* The grant table, as the domain's own kernel sees it. */
struct grant_entry_v1;
uint32_t xen_domain_grant_entries(struct xen_domain *);
int	xen_domain_grow_grants(struct xen_domain *);
struct grant_entry_v1 *xen_domain_grant_entry(struct xen_domain *,
	    uint32_t ref);

/*
 * GNTTABOP_map_grant_ref, unmap_grant_ref, copy, query_size.  Mapping over a
 * slot that holds a grant, or mapping an own page, prints why and aborts.
 */
long	xen_grant_table_op(struct xen_domain *, unsigned cmd, void *ops,
	    unsigned count);

/*
 * EVTCHNOP_alloc_unbound, bind_interdomain, bind_virq, bind_ipi, bind_vcpu,
 * close, send, status, unmask, reset: 0 or a negative errno of Xen.
 */
long	xen_event_channel_op(struct xen_domain *, unsigned cmd, void *op);

/* A virtual interrupt of the hypervisor: false if nobody is bound to it. */
bool	xen_domain_virq(struct xen_domain *, unsigned virq);

/* What the domain's kernel sees of its ports. */
bool	xen_domain_port_pending(struct xen_domain *, uint32_t port);
/* Clears it if it is set and not masked. */
bool	xen_domain_port_take(struct xen_domain *, uint32_t port);
void	xen_domain_port_mask(struct xen_domain *, uint32_t port, bool mask);
/* When a port's last event came: its position among the domain's events. */
uint64_t xen_domain_port_order(struct xen_domain *, uint32_t port);
/* Ports in use, and those with an event that nobody has taken. */
unsigned xen_domain_ports(struct xen_domain *, unsigned *pending);
/*
 * For waiters: a number that changes with every event of the domain, and a wait
 * until it has changed, for at most the given time.
 */
uint32_t xen_domain_events(struct xen_domain *);
void	xen_domain_wait_event(struct xen_domain *, uint32_t seen,
	    uint64_t timeout_ns);
void	xen_domain_wake(struct xen_domain *);

/*
 * The helper domain: one line in ("grant 8 0 0x1"), one out ("ok",
 * "err ENOENT …").  0, or -1 if the reply did not fit.
 */
struct xen_peer;
struct xen_peer *xen_peer_new(struct xen_machine *);
void	xen_peer_free(struct xen_peer *);
int	xen_peer_request(struct xen_peer *, const char *request, char *reply,
	    size_t replylen);

#endif /* !_XEN_MODEL_H_ */
