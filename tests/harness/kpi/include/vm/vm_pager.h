/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef _VM_VM_PAGER_H_
#define	_VM_VM_PAGER_H_

#include <vm/vm_object.h>

struct ucred;

#define	VM_PAGER_OK	0
#define	VM_PAGER_BAD	1
#define	VM_PAGER_FAIL	2
#define	VM_PAGER_PEND	3
#define	VM_PAGER_ERROR	4
#define	VM_PAGER_AGAIN	5

struct cdev_pager_ops {
	int	(*cdev_pg_fault)(vm_object_t, vm_ooffset_t offset, int prot,
		    vm_page_t *mres);
	int	(*cdev_pg_populate)(vm_object_t, vm_pindex_t pidx,
		    int fault_type, vm_prot_t max_prot, vm_pindex_t *first,
		    vm_pindex_t *last);
	int	(*cdev_pg_ctor)(void *handle, vm_ooffset_t size, vm_prot_t,
		    vm_ooffset_t foff, struct ucred *, u_short *color);
	void	(*cdev_pg_dtor)(void *handle);
	void	(*cdev_pg_path)(void *handle, char *path, size_t len);
};

struct phys_pager_ops {
	int	(*phys_pg_getpages)(vm_object_t, vm_page_t *, int count,
		    int *rbehind, int *rahead);
	int	(*phys_pg_populate)(vm_object_t, vm_pindex_t pidx,
		    int fault_type, vm_prot_t max_prot, vm_pindex_t *first,
		    vm_pindex_t *last);
	boolean_t (*phys_pg_haspage)(vm_object_t, vm_pindex_t, int *before,
		    int *after);
	void	(*phys_pg_ctor)(vm_object_t, vm_prot_t, vm_ooffset_t foff,
		    struct ucred *);
	void	(*phys_pg_dtor)(vm_object_t);
};

vm_object_t phys_pager_allocate(void *handle, const struct phys_pager_ops *,
	    void *data, vm_ooffset_t size, vm_prot_t, vm_ooffset_t foff,
	    struct ucred *);

vm_object_t cdev_pager_allocate(void *handle, enum obj_type,
	    const struct cdev_pager_ops *, vm_ooffset_t size, vm_prot_t,
	    vm_ooffset_t foff, struct ucred *);
vm_object_t cdev_pager_lookup(void *handle);
void	cdev_pager_free_page(vm_object_t, vm_page_t);
void	cdev_mgtdev_pager_free_pages(vm_object_t);

#endif /* !_VM_VM_PAGER_H_ */
