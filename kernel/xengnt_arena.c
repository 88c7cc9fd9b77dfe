/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 The xengnt authors */

#include <sys/param.h>
#include <sys/systm.h>
#include <sys/kernel.h>
#include <sys/lock.h>
#include <sys/mutex.h>
#include <sys/rman.h>
#include <sys/sx.h>
#include <sys/syslog.h>

#include <machine/bus.h>
#include <machine/resource.h>

#include <vm/vm.h>
#include <vm/pmap.h>
#include <vm/vm_page.h>

#include <xen/xen-os.h>

#include "xengnt.h"
#include "xengnt_arena.h"
#include "xengnt_stats.h"

/* 2 MiB; they need not be aligned. */
#define	CHUNK_PAGES	512

struct xengnt_chunk {
	SLIST_ENTRY(xengnt_chunk) link;
	struct resource	*res;
	int		res_id;
	u_int		npages;
	struct xengnt_slot slots[];
};

/* In pages; each takes about 200 bytes of kernel memory until unload. */
static u_int arena_limit = 1048576;

static struct {
	device_t	dev;
	struct sx	grow;		/* serialises growth, guards chunks */
	SLIST_HEAD(, xengnt_chunk) chunks;
	int		next_res_id;

	struct mtx	mtx;		/* guards the rest */
	SLIST_HEAD(, xengnt_slot) free;
	u_int		nfree;
	u_int		ntotal;
	u_int		nleaked;
} arena;

SYSCTL_NODE(_hw_xen_gntdev, OID_AUTO, slots, CTLFLAG_RD | CTLFLAG_MPSAFE, NULL,
    "Placeholder pages for grant mappings");
SYSCTL_UINT(_hw_xen_gntdev_slots, OID_AUTO, limit, CTLFLAG_RWTUN, &arena_limit,
    0, "Largest number of placeholder pages, system-wide");
SYSCTL_UINT(_hw_xen_gntdev_slots, OID_AUTO, total, CTLFLAG_RD, &arena.ntotal,
    0, "Placeholder pages taken from the Xen bus");
SYSCTL_UINT(_hw_xen_gntdev_slots, OID_AUTO, free, CTLFLAG_RD, &arena.nfree, 0,
    "Placeholder pages without a mapping");
SYSCTL_UINT(_hw_xen_gntdev_slots, OID_AUTO, leaked, CTLFLAG_RD,
    &arena.nleaked, 0, "Placeholder pages given up because Xen did not unmap");

void
xengnt_arena_init(device_t dev)
{

	arena.dev = dev;
	SLIST_INIT(&arena.chunks);
	SLIST_INIT(&arena.free);
	arena.nfree = arena.ntotal = arena.nleaked = 0;
	arena.next_res_id = 0;
	sx_init(&arena.grow, "xengnt arena growth");
	mtx_init(&arena.mtx, "xengnt arena", NULL, MTX_DEF);
}

void
xengnt_arena_fini(void)
{
	struct xengnt_chunk *chunk;

	KASSERT(arena.nfree + arena.nleaked == arena.ntotal,
	    ("xengnt: %u of %u slots in use at unload",
	    arena.ntotal - arena.nfree - arena.nleaked, arena.ntotal));
	while ((chunk = SLIST_FIRST(&arena.chunks)) != NULL) {
		SLIST_REMOVE_HEAD(&arena.chunks, link);
		/*
		 * Xen may still map something at a leaked slot's address, so
		 * nobody else may ever get that.
		 */
		if (arena.nleaked == 0)
			xenmem_free(arena.dev, chunk->res_id, chunk->res);
		free(chunk, M_XENGNT);
	}
	mtx_destroy(&arena.mtx);
	sx_destroy(&arena.grow);
}

/* Adds a chunk of CHUNK_PAGES, halved for as long as the bus refuses. */
static int
arena_grow(void)
{
	struct xengnt_chunk *chunk;
	struct xengnt_slot *slot;
	u_int i, n;

	sx_assert(&arena.grow, SA_XLOCKED);
	chunk = malloc(sizeof(*chunk) + CHUNK_PAGES * sizeof(chunk->slots[0]),
	    M_XENGNT, M_WAITOK | M_ZERO);
	chunk->res_id = arena.next_res_id;
	for (n = CHUNK_PAGES; n > 0; n /= 2) {
		chunk->res = xenmem_alloc(arena.dev, &chunk->res_id, ptoa(n));
		if (chunk->res != NULL)
			break;
	}
	if (chunk->res == NULL) {
		free(chunk, M_XENGNT);
		return (ENOMEM);
	}
	arena.next_res_id++;
	chunk->npages = n;
	SLIST_INSERT_HEAD(&arena.chunks, chunk, link);
	for (i = 0; i < n; i++) {
		slot = &chunk->slots[i];
		slot->pa = rman_get_start(chunk->res) + ptoa(i);
		slot->va = (char *)rman_get_virtual(chunk->res) + ptoa(i);
		slot->page = PHYS_TO_VM_PAGE(slot->pa);
		KASSERT(slot->page != NULL, ("xengnt: no page for slot"));
		KASSERT((slot->page->flags & PG_FICTITIOUS) != 0,
		    ("xengnt: page %p is not fictitious", slot->page));
		/* As an area's object requires (xengnt_area.h). */
		slot->page->oflags |= VPO_UNMANAGED;
	}

	mtx_lock(&arena.mtx);
	/* In reverse, so that slots are handed out in ascending order. */
	for (i = n; i-- > 0;)
		SLIST_INSERT_HEAD(&arena.free, &chunk->slots[i], link);
	arena.nfree += n;
	arena.ntotal += n;
	mtx_unlock(&arena.mtx);
	return (0);
}

/*
 * Takes n slots off the free list.  EAGAIN means that there are not enough,
 * ENOMEM that the limit, which includes leaked slots, does not allow them.
 */
static int
arena_try_take(struct xengnt_slot **slots, u_int n)
{
	u_int i, used;
	int error;

	error = 0;
	mtx_lock(&arena.mtx);
	used = arena.ntotal - arena.nfree;
	if (used > arena_limit || n > arena_limit - used)
		error = ENOMEM;
	else if (arena.nfree < n)
		error = EAGAIN;
	for (i = 0; error == 0 && i < n; i++) {
		slots[i] = SLIST_FIRST(&arena.free);
		SLIST_REMOVE_HEAD(&arena.free, link);
		arena.nfree--;
	}
	mtx_unlock(&arena.mtx);
	return (error);
}

int
xengnt_arena_take(struct xengnt_slot **slots, u_int n)
{
	int error;

	error = arena_try_take(slots, n);
	if (error != EAGAIN)
		return (error);
	sx_xlock(&arena.grow);
	while ((error = arena_try_take(slots, n)) == EAGAIN) {
		error = arena_grow();
		if (error != 0)
			break;
	}
	sx_xunlock(&arena.grow);
	return (error);
}

void
xengnt_arena_put(struct xengnt_slot **slots, u_int n)
{

	mtx_lock(&arena.mtx);
	while (n-- > 0) {
		if (slots[n] == NULL)
			continue;
		SLIST_INSERT_HEAD(&arena.free, slots[n], link);
		arena.nfree++;
	}
	mtx_unlock(&arena.mtx);
}

void
xengnt_arena_leak(struct xengnt_slot *slot)
{
	bool first;

	mtx_lock(&arena.mtx);
	first = arena.nleaked++ == 0;
	mtx_unlock(&arena.mtx);
	SDT_PROBE1(xengnt, , slot, leak, slot->pa);
	if (first)
		log(LOG_ERR, "xengnt: Xen did not unmap guest page %#jx; "
		    "its address will not be reused "
		    "(see hw.xen.gntdev.slots.leaked)\n",
		    (uintmax_t)slot->pa);
}
