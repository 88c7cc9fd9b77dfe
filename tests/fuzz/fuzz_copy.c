/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * GRANT_COPY with any segments, against rows C1 to C20: which segment ends the
 * call and with which error, which status the others get.
 */
#include <sys/uio.h>
#include <unistd.h>

#include "world.h"

#include <xen/gntalloc.h>
#include <xen/gntdev.h>

#define	MAX_SEGMENTS	40u
#define	BATCH		16u
#define	GRANTED		4u	/* pages at the window, grants of the peer */

/* FreeBSD's numbers. */
#define	E_FAULT		14
#define	E_INVAL		22

/* The result for one side of a segment. */
enum side { GOOD, GRANT, FAULT, STATUS };

static bool
inside(const char *p, size_t len, const char *base, size_t size)
{

	return (p >= base && p <= base + size && len <= (size_t)(base + size -
	    p));
}

/* A page that the caller can read or write.  Only its grants are not RAM. */
static enum side
judge_page(const char *p, bool write)
{

	if (inside(p, 1, window, GRANTED * PAGE))
		return (GRANT);
	if (inside(p, 1, arena, ARENA_RW * PAGE))
		return (GOOD);
	if (!write && inside(p, 1, arena + ARENA_RO * PAGE, PAGE))
		return (GOOD);
	return (FAULT);
}

static enum side
judge_foreign(uint16_t domid, uint32_t ref, bool write)
{
	struct grant_entry_v1 *e;
	struct xen_domain *granter;

	granter = domid == DOMU		      ? peer :
	    domid == 0 || domid == DOMID_SELF ? harness_domain() :
						NULL;
	if (granter == NULL || ref >= xen_domain_grant_entries(granter))
		return (STATUS);
	e = xen_domain_grant_entry(granter, ref);
	if ((e->flags & GTF_type_mask) != GTF_permit_access || e->domid != 0 ||
	    (write && (e->flags & GTF_readonly) != 0))
		return (STATUS);
	return (xen_domain_p2m(granter, e->frame, NULL) == XEN_P2M_RAM ? GOOD :
	    STATUS);
}

struct verdict {
	int	error;		/* that ends the call */
	unsigned nops;		/* operations of the segment begun */
	bool	told;		/* its status was set to 0 (C9) */
	bool	bad;		/* some operation of it fails */
	bool	open;		/* perhaps: nothing to be sure of */
};

/* Rows C4 to C13. */
static struct verdict
judge(const struct gntdev_grant_copy_segment *seg, const char *useg)
{
	struct verdict v;
	enum side d, s;
	const char *p;
	unsigned done, n;

	memset(&v, 0, sizeof(v));
	if (!inside(useg, sizeof(*seg), segments, (SEGMENT_RW + 1) * PAGE)) {
		v.error = E_FAULT;
		return (v);
	}
	if ((seg->flags & 3) == 0 ||
	    ((seg->flags & GNTCOPY_source_gref) != 0 &&
	    seg->source.foreign.offset + seg->len > (int)PAGE) ||
	    ((seg->flags & GNTCOPY_dest_gref) != 0 &&
	    seg->dest.foreign.offset + seg->len > (int)PAGE)) {
		v.error = E_INVAL;
		return (v);
	}
	p = useg + offsetof(struct gntdev_grant_copy_segment, status);
	if (!inside(p, 2, segments, SEGMENT_RW * PAGE)) {
		v.error = E_FAULT;
		return (v);
	}
	v.told = true;
	for (done = 0; done < seg->len; done += n) {
		n = seg->len - done;
		if ((seg->flags & GNTCOPY_source_gref) != 0)
			s = judge_foreign(seg->source.foreign.domid,
			    seg->source.foreign.ref, false);
		else {
			p = (char *)seg->source.virt + done;
			s = judge_page(p, false);
			if (n > PAGE - (uintptr_t)p % PAGE)
				n = PAGE - (uintptr_t)p % PAGE;
		}
		if ((seg->flags & GNTCOPY_dest_gref) != 0)
			d = judge_foreign(seg->dest.foreign.domid,
			    seg->dest.foreign.ref, true);
		else {
			p = (char *)seg->dest.virt + done;
			d = judge_page(p, true);
			if (n > PAGE - (uintptr_t)p % PAGE)
				n = PAGE - (uintptr_t)p % PAGE;
		}
		if (s == FAULT || d == FAULT) {
			v.error = E_FAULT;
			return (v);
		}
		v.nops++;
		v.bad |= s != GOOD || d != GOOD;
	}
	return (v);
}

static struct file *gntdev, *gntalloc;

static void
set_up(struct input *in)
{
	struct {
		struct ioctl_gntalloc_alloc_gref op;
		uint32_t more[3];
	} alloc;
	struct {
		struct ioctl_gntdev_map_grant_ref op;
		struct ioctl_gntdev_grant_ref more[GRANTED - 1];
	} map;
	struct grant_entry_v1 *e;
	unsigned i;
	void *addr;

	MUST(harness_open("xen/gntdev", HARNESS_FREAD | HARNESS_FWRITE,
		 &gntdev) == 0);
	MUST(harness_open("xen/gntalloc", HARNESS_FREAD | HARNESS_FWRITE,
		 &gntalloc) == 0);
	memset(&map, 0, sizeof(map));
	map.op.count = GRANTED;
	for (i = 0; i < GRANTED; i++) {
		(&map.op.refs[0])[i].domid = DOMU;
		(&map.op.refs[0])[i].ref = PEER_REF + 4 * (i / 3) + i % 3;
	}
	MUST(harness_ioctl(gntdev, HARNESS_IO('G', 0), (uintptr_t)&map) == 0);
	addr = window;
	MUST(harness_mmap(gntdev, addr, GRANTED * PAGE,
		 HARNESS_PROT_READ | HARNESS_PROT_WRITE,
		 HARNESS_MAP_SHARED | HARNESS_MAP_FIXED, 0, &addr) == 0);
	window_mark(0, GRANTED);
	/* Two for our own domain and two for others (C17). */
	memset(&alloc, 0, sizeof(alloc));
	alloc.op.count = 4;
	alloc.op.flags = GNTALLOC_FLAG_WRITABLE;
	MUST(harness_ioctl(gntalloc, HARNESS_IO('G', 5), (uintptr_t)&alloc) ==
	    0);
	memcpy(own_ref, alloc.op.gref_ids, 4 * sizeof(own_ref[0]));
	for (i = take8(in) % 4; i > 0; i--) {
		e = xen_domain_grant_entry(peer, PEER_REF + 15 - i);
		e->flags = take8(in) & (GTF_type_mask | GTF_readonly);
		e->domid = take8(in) % 2;
		e->frame = PEER_GFN + take8(in) % (PEER_PAGES + 4);
	}
}

/* Checks the statuses that the call has left, segment by segment. */
static void
check(const struct gntdev_grant_copy_segment *seg, unsigned count, char *useg,
    int error)
{
	const char *now;
	struct verdict v;
	unsigned failed, i, ops;
	int16_t status;

	/* The first segment that ends the call, and how many are issued. */
	ops = 0;
	memset(&v, 0, sizeof(v));
	for (failed = 0; failed < count; failed++) {
		v = judge(&seg[failed], useg + failed * sizeof(*seg));
		ops += v.nops;
		if (v.error != 0)
			break;
	}
	SAY("expected: error %d at segment %u\n", v.error, failed);
	MUST(error == (failed == count ? 0 : v.error));
	if (error != 0)
		/*
		 * What was collected for a batch that is not full is dropped.
		 * A full one is issued when another operation begins, even if
		 * that one fails (C13).
		 */
		ops = (ops == 0 || v.told ? ops : ops - 1) / BATCH * BATCH;
	for (i = 0; i < count; i++) {
		if (!inside(useg + i * sizeof(*seg), sizeof(*seg), segments,
		    SEGMENT_RW * PAGE))
			break;
		/* Perhaps at an odd address. */
		now = useg + i * sizeof(*seg);
		memcpy(&status, now + offsetof(struct
		    gntdev_grant_copy_segment, status), sizeof(status));
		v = judge(&seg[i], now);
		if (i > failed || !v.told) {
			MUST(status == 0x5555);
			continue;
		}
		MUST(status <= 0 && status >= -13 &&
		    status != GNTST_eagain);
		if (seg[i].len == 0 || ops == 0)
			MUST(status == GNTST_okay);
		else if (ops >= v.nops && error == 0)
			MUST((status != GNTST_okay) == v.bad);
		ops -= ops < v.nops ? ops : v.nops;
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct gntdev_grant_copy_segment seg[MAX_SEGMENTS];
	struct ioctl_gntdev_grant_copy op;
	struct input in = { data, size };
	unsigned count, i, rounds;
	char *useg;
	uint8_t how;
	int error;

	world_begin();
	set_up(&in);
	for (rounds = 0; rounds < 8 && in.left > 0; rounds++) {
		how = take8(&in);
		count = how % (MAX_SEGMENTS + 1);
		for (i = 0; i < count; i++) {
			/* Runs of one kind fill batches. */
			if (i > 0 && take8(&in) % 2 != 0)
				seg[i] = seg[i - 1];
			else
				pick_segment(&in, &seg[i]);
			SAY("segment %u: flags %u, len %u, %#lx -> %#lx\n", i,
			    seg[i].flags, seg[i].len,
			    (unsigned long)seg[i].source.virt,
			    (unsigned long)seg[i].dest.virt);
		}
		useg = pick_segments(&in, count);
		fill(useg, seg, count * sizeof(seg[0]));
		memset(&op, 0, sizeof(op));
		op.count = count;
		op.segments = (void *)useg;
		if (how >= 240)
			op.count = take32(&in) | MAX_SEGMENTS;
		error = harness_ioctl(gntdev, HARNESS_IO('G', 8),
		    (uintptr_t)&op);
		SAY("copy(%u segments at %p) = %d\n", op.count, (void *)useg,
		    error);
		if (op.count == count)
			check(seg, count, useg, error);
		else	/* Zeroes, or nothing, follow (C20). */
			MUST(error == E_FAULT || error == E_INVAL);
		/* No copied page stays held. */
		for (i = 0; i < GRANTED; i++)
			MUST(harness_page_wirings(window + i * PAGE) == 1);
	}
	harness_close(gntdev);
	harness_close(gntalloc);
	world_end(false);
	return (0);
}
