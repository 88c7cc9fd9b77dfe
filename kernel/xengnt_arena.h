/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 The xengnt authors */
/*
 * Placeholder pages: guest-physical addresses without memory, where Xen maps
 * the pages of other domains.
 *
 * They are taken from the Xen bus in chunks and kept until unload, so that a
 * mapping costs no bus allocation and no registration of fictitious pages.  Xen
 * crashes a domain that maps over a live slot, so a slot is used again only
 * after Xen has confirmed its unmap; any other is given up with
 * xengnt_arena_leak().
 */
#ifndef _XENGNT_ARENA_H_
#define	_XENGNT_ARENA_H_

#include <sys/types.h>
#include <sys/bus.h>
#include <sys/queue.h>

#include <vm/vm.h>

struct xengnt_slot {
	SLIST_ENTRY(xengnt_slot) link;	/* while free */
	vm_page_t	page;		/* fictitious, at this address */
	vm_paddr_t	pa;
	char		*va;		/* kernel mapping */
};

void	xengnt_arena_init(device_t dev);
void	xengnt_arena_fini(void);

/* Takes n slots or none; 0 or ENOMEM.  May sleep. */
int	xengnt_arena_take(struct xengnt_slot **slots, u_int n);

/* Gives back n slots; NULL elements are skipped. */
void	xengnt_arena_put(struct xengnt_slot **slots, u_int n);

void	xengnt_arena_leak(struct xengnt_slot *slot);

#endif /* !_XENGNT_ARENA_H_ */
