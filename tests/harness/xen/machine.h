/* SPDX-License-Identifier: BSD-2-Clause */
/* The layout of a machine in its file. */
#ifndef _XEN_MACHINE_H_
#define	_XEN_MACHINE_H_

#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>

#include <xen/xen.h>
#include <xen/grant_table.h>
#include <xen/event_channel.h>

#include "model.h"

#define	DOMAINS		16u
#define	FRAMES		(1u << 17)		/* 512 MiB */
#define	ENTRIES_PER_FRAME 512u
#define	ENTRIES		(XEN_MODEL_GRANT_FRAMES * ENTRIES_PER_FRAME)
#define	MAPTRACK	(XEN_MODEL_MAPTRACK_FRAMES * \
			    XEN_MODEL_MAPTRACK_PER_FRAME)
#define	NONE		0xffffffffu

/* Numbers of Xen's public errno.h. */
#define	X_EPERM		1
#define	X_ENOENT	2
#define	X_ESRCH		3
#define	X_ENOMEM	12
#define	X_EFAULT	14
#define	X_EBUSY		16
#define	X_EEXIST	17
#define	X_EINVAL	22
#define	X_ENOSPC	28
#define	X_ENOSYS	38

struct frame {
	uint8_t		owned;		/* by a domain, in its p2m */
	uint8_t		owner;		/* index of that domain */
	uint8_t		used;		/* allocated; content may be dirty */
	uint8_t		pad;
	uint32_t	refs;		/* pins of grants; next while free */
};

/*
 * Uses of a granted page by maps and copies.  As in Xen, counters of eight
 * bits, refused from 128 on; the domain is that of all current uses.
 */
struct active {
	uint16_t	readers;
	uint16_t	writers;
	uint16_t	domid;
	uint16_t	pad;
	uint32_t	mfn;
};
#define	PIN_LIMIT	128u

struct maptrack {
	uint32_t	used;
	uint32_t	ref;		/* next while free */
	uint32_t	gfn;
	uint8_t		granter;	/* index */
	uint8_t		readonly;
	uint16_t	pad;
};

/* An event channel's end. */
struct port {
	uint8_t		state;		/* EVTCHNSTAT_* */
	uint8_t		pending;
	uint8_t		masked;
	uint8_t		remote_index;	/* interdomain: of the other domain */
	uint16_t	remote;		/* unbound, interdomain: its number */
	uint16_t	virq;
	uint32_t	remote_port;
	uint64_t	order;		/* of the last event among all */
};

enum domain_state { DOMAIN_FREE, DOMAIN_LIVE, DOMAIN_DYING };

struct domain {
	uint32_t	state;
	uint16_t	domid;
	int32_t		pid;		/* process that runs it */
	uint64_t	start;		/* of that process */
	uint64_t	image;		/* of its program: execve(2) ends it */
	uint32_t	grant_frames;
	uint32_t	max_grant_frames;
	uint32_t	maptrack_limit;
	uint32_t	maptrack_hwm;
	uint32_t	maptrack_free;
	uint32_t	paged_left;	/* uses until the paged gfn is back */
	struct xen_counters counters;
	uint32_t	event_wake;	/* waited on: changes with each event */
	uint64_t	event_order;
	struct port	ports[XEN_MODEL_PORTS];
	/* From here on whole pages, given back when the domain goes. */
	struct active	active[ENTRIES] __attribute__((aligned(4096)));
	struct maptrack	maptrack[MAPTRACK];
	uint32_t	p2m[XEN_MODEL_GFNS];	/* type << 24 | mfn */
	grant_entry_v1_t table[ENTRIES] __attribute__((aligned(4096)));
};

struct shared {
	uint64_t	magic;
	uint64_t	size;
	pthread_mutex_t	lock;		/* robust, between processes */
	uint32_t	frames_hwm;
	uint32_t	frames_free;
	struct frame	frames[FRAMES];
	struct domain	domains[DOMAINS] __attribute__((aligned(4096)));
};

struct xen_machine {
	struct shared	*s;
	char		*frames;	/* all of them, mapped */
	uint64_t	frames_offset;	/* in the file */
	int		fd;
};

struct xen_domain {
	struct xen_machine *m;
	struct domain	*d;
	unsigned	index;
};

void	machine_lock(struct xen_machine *);
void	machine_unlock(struct xen_machine *);

static inline void *
frame_ptr(struct xen_machine *m, uint32_t mfn)
{

	return (m->frames + (size_t)mfn * XEN_MODEL_PAGE);
}

static inline enum xen_p2m_type
p2m_type(uint32_t entry)
{

	return ((enum xen_p2m_type)(entry >> 24));
}

static inline uint32_t
p2m_mfn(uint32_t entry)
{

	return (entry & 0xffffffu);
}

static inline uint32_t
p2m_make(enum xen_p2m_type type, uint32_t mfn)
{

	return ((uint32_t)type << 24 | mfn);
}

/* With the machine locked. */
void	frame_put(struct xen_machine *, uint32_t mfn);
void	domain_end_maps(struct xen_machine *, struct domain *);
void	domain_pin_gone(struct domain *);
struct domain *domain_find(struct xen_domain *self, domid_t domid);
void	domain_close_ports(struct xen_machine *, struct domain *);

#endif /* !_XEN_MACHINE_H_ */
