/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 The xengnt authors */
/*
 * An area: the VM object of one mmap(2), of either device.
 *
 * The object is of type OBJT_PHYS: it is on no list of the system and its pages
 * are unmanaged.  FreeBSD undoes mlock(2)'s wirings in such an object, but not
 * in those of device pagers (vm_object_unwire()).
 *
 * Each index of an object has its own fictitious page, on which its owner keeps
 * one wiring for as long as it exists.  Any more wirings are I/O
 * (vm_fault_quick_hold_pages()), and the memory behind the page must stay until
 * that is over.
 */
#ifndef _XENGNT_AREA_H_
#define	_XENGNT_AREA_H_

#include <sys/types.h>

#include <vm/vm.h>

struct xengnt_area;
struct xengnt_file;

struct xengnt_area_ops {
	/* Returns the page at an index below npages. */
	vm_page_t (*page)(struct xengnt_area *, vm_pindex_t);
	/* Called without the VM object, with the file held.  May sleep. */
	void	(*destroy)(struct xengnt_area *);
};

/* Embedded in the device's own struct. */
struct xengnt_area {
	const struct xengnt_area_ops *ops;
	struct xengnt_file *file;	/* held by the VM object */
	u_int		npages;
	pid_t		pid;		/* process that mapped it */
};

/*
 * Makes the VM object of npages pages for mmap(2), with its own reference on
 * the file.  The caller frees the area if this fails (NULL, no memory).
 */
vm_object_t xengnt_area_object(struct xengnt_area *area,
	    const struct xengnt_area_ops *ops, struct xengnt_file *file,
	    u_int npages, int prot);

/* The area that an entry of a locked vm_map maps, or NULL. */
struct xengnt_area *xengnt_entry_area(vm_map_entry_t entry);

/* Whether I/O uses the page. */
bool	xengnt_page_in_use(vm_page_t m);

/* xengnt_exit.c */
void	xengnt_exit_init(void);
void	xengnt_exit_fini(void);

#endif /* !_XENGNT_AREA_H_ */
