/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 The xengnt authors */
/*
 * GRANT_COPY.
 *
 * Up to 16 operations are collected and issued together, as on Linux, because
 * callers can see the number: after an error the collected operations are
 * dropped, while earlier batches are complete.
 */

#include <sys/param.h>
#include <sys/systm.h>
#include <sys/kernel.h>
#include <sys/proc.h>

#include <vm/vm.h>
#include <vm/pmap.h>
#include <vm/vm_extern.h>
#include <vm/vm_map.h>
#include <vm/vm_page.h>

#include <xen/gntdev.h>

#include "xengnt.h"
#include "xengnt_stats.h"
#include "gntdev_var.h"

#define	COPY_BATCH	16

struct copy_batch {
	struct gnttab_copy ops[COPY_BATCH];
	char		*ustatus[COPY_BATCH];	/* of the user's segment */
	vm_page_t	pages[COPY_BATCH * 2];	/* held until issued */
	u_int		nops;
	u_int		npages;
	int		slept;		/* for xengnt_retry_eagain() */
	char		*failed;	/* last segment with an error stored */
};

static void
copy_drop(struct copy_batch *b)
{

	vm_page_unhold_pages(b->pages, b->npages);
	b->npages = 0;
	b->nops = 0;
}

static int
copy_issue(struct copy_batch *b)
{
	struct gnttab_copy *op;
	u_int bytes, i;
	int error;

	if (b->nops == 0)
		return (0);
	bytes = 0;
	error = xengnt_grant_op(GNTTABOP_copy, b->ops, b->nops);
	for (i = 0; error == 0 && i < b->nops; i++) {
		op = &b->ops[i];
		xengnt_retry_eagain(GNTTABOP_copy, op, &op->status,
		    &b->slept);
		if (op->status == GNTST_okay) {
			bytes += op->len;
			continue;
		}
		/* A segment reports the code of its first failed operation. */
		if (b->failed == b->ustatus[i])
			continue;
		if (suword16(b->ustatus[i], (uint16_t)op->status) != 0)
			error = EFAULT;
		b->failed = b->ustatus[i];
	}
	counter_u64_add(xengnt_copy_ops, b->nops);
	counter_u64_add(xengnt_copy_calls, 1);
	counter_u64_add(xengnt_copy_bytes, bytes);
	copy_drop(b);
	return (error);
}

typedef __typeof(((struct gntdev_grant_copy_segment *)0)->source) copy_end;

/*
 * Sets one end of an operation: a granted page, or the page behind a local
 * address.  That page is held, and *len is cut at its end.
 */
static int
copy_end_set(struct copy_batch *b, struct gnttab_copy_ptr *ptr,
    const copy_end *end, bool foreign, vm_prot_t prot, u_int done, u_int *len)
{
	vm_offset_t va;
	vm_page_t *m;

	if (foreign) {
		ptr->u.ref = end->foreign.ref;
		ptr->domid = end->foreign.domid;
		ptr->offset = end->foreign.offset + done;
		return (0);
	}
	va = (vm_offset_t)end->virt + done;
	m = &b->pages[b->npages];
	if (vm_fault_quick_hold_pages(&curproc->p_vmspace->vm_map, va, 1, prot,
	    m, 1) != 1)
		return (EFAULT);
	b->npages++;
	ptr->u.gmfn = atop(VM_PAGE_TO_PHYS(*m));
	ptr->domid = DOMID_SELF;
	ptr->offset = va & PAGE_MASK;
	*len = MIN(*len, PAGE_SIZE - (va & PAGE_MASK));
	return (0);
}

/* Adds one operation: as many bytes as fit, from done on in the segment. */
static int
copy_add(struct copy_batch *b, const struct gntdev_grant_copy_segment *seg,
    char *ustatus, u_int done, u_int *added)
{
	struct gnttab_copy *op;
	int error;

	op = &b->ops[b->nops];
	memset(op, 0, sizeof(*op));
	*added = seg->len - done;
	op->flags = seg->flags & (GNTCOPY_source_gref | GNTCOPY_dest_gref);
	error = copy_end_set(b, &op->source, &seg->source,
	    (op->flags & GNTCOPY_source_gref) != 0, VM_PROT_READ, done, added);
	if (error == 0)
		error = copy_end_set(b, &op->dest, &seg->dest,
		    (op->flags & GNTCOPY_dest_gref) != 0, VM_PROT_WRITE, done,
		    added);
	if (error != 0)
		return (error);
	op->len = *added;
	op->status = GNTST_general_error;
	b->ustatus[b->nops++] = ustatus;
	return (0);
}

/* useg need not be aligned. */
static int
copy_segment(struct copy_batch *b, char *useg)
{
	struct gntdev_grant_copy_segment seg;
	char *ustatus;
	u_int done, n;
	int error;

	ustatus = useg + offsetof(struct gntdev_grant_copy_segment, status);
	error = copyin(useg, &seg, sizeof(seg));
	if (error != 0)
		return (error);
	if ((seg.flags & (GNTCOPY_source_gref | GNTCOPY_dest_gref)) == 0)
		return (EINVAL);
	if ((seg.flags & GNTCOPY_source_gref) != 0 &&
	    seg.source.foreign.offset + seg.len > PAGE_SIZE)
		return (EINVAL);
	if ((seg.flags & GNTCOPY_dest_gref) != 0 &&
	    seg.dest.foreign.offset + seg.len > PAGE_SIZE)
		return (EINVAL);
	if (suword16(ustatus, GNTST_okay) != 0)
		return (EFAULT);
	for (done = 0; done < seg.len; done += n) {
		if (b->nops == COPY_BATCH) {
			error = copy_issue(b);
			if (error != 0)
				return (error);
		}
		error = copy_add(b, &seg, ustatus, done, &n);
		if (error != 0)
			return (error);
	}
	return (0);
}

int
gntdev_copy(const struct ioctl_gntdev_grant_copy *op)
{
	struct copy_batch b;
	uint32_t i;
	int error;

	b.nops = 0;
	b.npages = 0;
	b.slept = 0;
	b.failed = NULL;
	error = 0;
	for (i = 0; error == 0 && i < op->count; i++) {
		/* There may be four billion segments. */
		if (xengnt_interrupted())
			error = EINTR;
		else
			error = copy_segment(&b, (char *)op->segments +
			    i * sizeof(op->segments[0]));
	}
	if (error == 0)
		error = copy_issue(&b);
	else
		copy_drop(&b);
	SDT_PROBE2(xengnt, gntdev, copy, done, op->count, error);
	return (error);
}
