/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 The xengnt authors */
/*
 * An area: the VM object of one mmap(2), of either device.
 *
 * The object is of OBJT_PHYS: it is on no list of the system, its pages are
 * unmanaged, and FreeBSD takes back what mlock(2) wired, which it does not do
 * for the objects of device pagers (vm_object_unwire()).
 *
 * Each index of an object has a page of its own, a fictitious one that keeps
 * one wiring of its owner's for as long as it exists.  More wirings than that
 * are somebody's I/O (vm_fault_quick_hold_pages()), and the memory behind the
 * page must stay until they are gone.
 */
#ifndef _XENGNT_AREA_H_
#define	_XENGNT_AREA_H_

#include <sys/types.h>

#include <vm/vm.h>

struct xengnt_area;
struct xengnt_file;

struct xengnt_area_ops {
	/* The page of an index below the area's count. */
	vm_page_t (*page)(struct xengnt_area *, vm_pindex_t);
	/* The VM object is gone; the file is held.  May sleep. */
	void	(*destroy)(struct xengnt_area *);
};

/* Embedded in the device's own struct. */
struct xengnt_area {
	const struct xengnt_area_ops *ops;
	struct xengnt_file *file;	/* held by the VM object */
	u_int		npages;
	pid_t		pid;		/* who mapped it */
};

/*
 * Makes the VM object of npages for mmap(2), with a reference of its own on
 * the file; the rest of the area is the caller's.  NULL if there is no
 * memory.
 */
vm_object_t xengnt_area_object(struct xengnt_area *area,
	    const struct xengnt_area_ops *ops, struct xengnt_file *file,
	    u_int npages, int prot);

/* The area that an entry of a locked map maps, or NULL. */
struct xengnt_area *xengnt_entry_area(vm_map_entry_t entry);

/* Whether somebody's I/O has the page. */
bool	xengnt_page_in_use(vm_page_t m);

/* xengnt_exit.c */
void	xengnt_exit_init(void);
void	xengnt_exit_fini(void);

#endif /* !_XENGNT_AREA_H_ */
