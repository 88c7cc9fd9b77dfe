/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef _VM_VM_PAGER_H_
#define	_VM_VM_PAGER_H_

#include <vm/vm_object.h>

struct ucred;

#define	VM_PAGER_OK	0
#define	VM_PAGER_BAD	1
#define	VM_PAGER_FAIL	2

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

#endif /* !_VM_VM_PAGER_H_ */
