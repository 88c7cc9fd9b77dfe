/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The environment of a fuzzed driver: a peer domain, memory of all kinds for
 * arguments, a window for mappings, and the check that nothing is left.
 */
#ifndef _FUZZ_WORLD_H_
#define	_FUZZ_WORLD_H_

#include "fuzz.h"

#include <xen/xen.h>
#include <xen/grant_table.h>
#include <xen/event_channel.h>

#include "harness.h"
#include "xen/model.h"

#define	PAGE		4096u
#define	PEER_PAGES	16u
#define	PEER_GFN	0x100u
#define	PEER_REF	8u	/* the first one granted at the start */
#define	PEER_REFS	64u	/* number that an input can name */
#define	DOMU		600u

/* Memory for arguments. */
#define	ARENA_RW	8u	/* pages, then one each of: */
enum { ARENA_RO = ARENA_RW, ARENA_NONE, ARENA_SLACK, ARENA_PAGES = 16 };
#define	WINDOW_PAGES	96u

extern struct xen_domain *peer;
extern char *arena, *window;
/* Segments of copies, which a copy must not change.  RW, RO, none. */
#define	SEGMENT_RW	4u
extern char *segments;

void	world_begin(void);
/*
 * Closes and releases everything; aborts if something is left.  refused:
 * hypercalls may have been made to fail.
 */
void	world_end(bool refused);

/* Marks pages of the window where a driver's mapping has been put. */
void	window_mark(size_t page, size_t n);
/* Some of them may be gone: reserves their addresses again. */
void	window_reserve(size_t page, size_t n);

/* An address for an argument of len bytes: good, bad, or partly both. */
char	*pick_address(struct input *in, size_t len);
/*
 * A segment whose local sides are addresses as above: a copy that is done
 * must not destroy the fuzzer.
 */
struct gntdev_grant_copy_segment;
void	pick_segment(struct input *in, struct gntdev_grant_copy_segment *seg);
/* An address for count segments, like pick_address(). */
char	*pick_segments(struct input *in, size_t count);
uint16_t pick_domid(struct input *in);
uint32_t pick_ref(struct input *in);
/* Our own references that an input can name. */
#define	OWN_REFS	16u
extern uint32_t own_ref[OWN_REFS];

/* Writes the bytes as far as the harness may write. */
void	fill(char *addr, const void *bytes, size_t len);

#endif /* !_FUZZ_WORLD_H_ */
