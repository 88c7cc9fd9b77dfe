/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * mmap(2) of granted pages.
 *
 * A page may be mapped many times (row B6) while a vm_page can be in one VM
 * object only.  So each mmap has an object of its own, made of fictitious
 * pages with the addresses of the real ones.
 */

#include "xengnt_vm.h"

#include <sys/systm.h>
#include <sys/errno.h>
#include <sys/kernel.h>
#include <sys/lock.h>
#include <sys/proc.h>
#include <sys/refcount.h>
#include <sys/rwlock.h>

#include <vm/vm_object.h>
#include <vm/vm_pager.h>

#include "xengnt.h"
#include "xengnt_file.h"
#include "gntalloc.h"

static int
gntalloc_pager_ctor(void *handle __unused, vm_ooffset_t size __unused,
    vm_prot_t prot __unused, vm_ooffset_t foff __unused,
    struct ucred *cred __unused, u_short *color)
{

	*color = 0;
	return (0);
}

static void
gntalloc_pager_dtor(void *handle)
{
	struct gntalloc_vma *vma;
	u_int i;

	vma = handle;
	for (i = 0; i < vma->count; i++)
		gntalloc_gref_rele(vma->grefs[i]);
	xengnt_file_rele(vma->area.file);
	free(vma, M_XENGNT);
}

static int
gntalloc_pager_fault(vm_object_t object, vm_ooffset_t offset, int prot __unused,
    vm_page_t *mres)
{
	struct gntalloc_vma *vma;
	vm_page_t fake, m;
	u_int i;

	vma = object->handle;
	if (OFF_TO_IDX(offset) >= vma->count)
		return (VM_PAGER_FAIL);
	i = OFF_TO_IDX(offset);
	m = vma->grefs[i]->page;
	if (((*mres)->flags & PG_FICTITIOUS) != 0) {
		vm_page_updatefake(*mres, VM_PAGE_TO_PHYS(m),
		    pmap_page_get_memattr(m));
	} else {
		/* Sleeps; the object's placeholder stays busy meanwhile. */
		VM_OBJECT_WUNLOCK(object);
		fake = vm_page_getfake(VM_PAGE_TO_PHYS(m),
		    pmap_page_get_memattr(m));
		VM_OBJECT_WLOCK(object);
		vm_page_replace(fake, object, (*mres)->pindex, *mres);
		*mres = fake;
	}
	vm_page_valid(*mres);
	return (VM_PAGER_OK);
}

static const struct cdev_pager_ops gntalloc_pager_ops = {
	.cdev_pg_fault = gntalloc_pager_fault,
	.cdev_pg_ctor =	gntalloc_pager_ctor,
	.cdev_pg_dtor =	gntalloc_pager_dtor,
};

/* The mmap behind a VM object; NULL if the object is none of gntalloc's. */
struct gntalloc_vma *
gntalloc_object_vma(vm_object_t object)
{

	if (object->type != OBJT_DEVICE ||
	    object->un_pager.devp.ops != &gntalloc_pager_ops)
		return (NULL);
	return (object->handle);
}

/* REFERENCE 2.13.  offset and size are whole pages; size is not 0. */
int
gntalloc_mmap(struct xengnt_file *file, vm_ooffset_t *offset, vm_size_t size,
    vm_object_t *object, int nprot)
{
	struct gntalloc_gref *gref;
	struct gntalloc_vma *vma;
	struct xengnt_range *range;
	vm_object_t obj;
	u_int i;

	sx_xlock(&file->lock);
	/* The run bounds what the caller makes us allocate. */
	gref = gntalloc_find_run(file, atop((vm_ooffset_t)*offset),
	    atop(size));
	if (gref == NULL) {
		sx_xunlock(&file->lock);
		return (ENOENT);		/* row B4 */
	}
	vma = malloc(sizeof(*vma) + atop(size) * sizeof(vma->grefs[0]),
	    M_XENGNT, M_WAITOK);
	vma->area.file = file;
	vma->count = atop(size);
	range = &gref->range;
	for (i = 0; i < vma->count; i++) {
		vma->grefs[i] = gntalloc_range_gref(range);
		refcount_acquire(&vma->grefs[i]->users);
		range = xengnt_index_adjacent(range);
	}
	xengnt_file_hold(file);
	sx_xunlock(&file->lock);

	obj = cdev_pager_allocate(vma, OBJT_DEVICE, &gntalloc_pager_ops, size,
	    nprot, 0, curthread->td_ucred);
	if (obj == NULL) {
		gntalloc_pager_dtor(vma);
		return (ENOMEM);
	}
	*offset = 0;
	*object = obj;
	return (0);
}
