/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef _VM_VM_OBJECT_H_
#define	_VM_VM_OBJECT_H_

#include <sys/queue.h>
#include <sys/rwlock.h>
#include <sys/tree.h>
#include <vm/vm.h>
#include <vm/vm_page.h>

enum obj_type { OBJT_PHYS, OBJT_DEAD };

#define	OFF_TO_IDX(off)	((vm_pindex_t)(((vm_ooffset_t)(off)) >> PAGE_SHIFT))
#define	IDX_TO_OFF(idx)	(((vm_ooffset_t)(idx)) << PAGE_SHIFT)

struct phys_pager_ops;
RB_HEAD(vm_pages, vm_page);

struct vm_object {
	struct rwlock	lock;
	vm_pindex_t	size;
	volatile u_int	ref_count;
	u_char		type;
	u_int		resident_page_count;
	union {
		struct {
			const struct phys_pager_ops *ops;
			void	*data_ptr;
		} phys;
	} un_pager;
	struct vm_pages	pages;
};

#define	VM_OBJECT_WLOCK(object)		rw_wlock(&(object)->lock)
#define	VM_OBJECT_WUNLOCK(object)	rw_wunlock(&(object)->lock)
#define	VM_OBJECT_ASSERT_WLOCKED(object) \
	rw_assert(&(object)->lock, RA_WLOCKED)
#define	VM_OBJECT_ASSERT_LOCKED(object) \
	rw_assert(&(object)->lock, RA_LOCKED)

void	vm_object_reference(vm_object_t);
void	vm_object_deallocate(vm_object_t);

#endif /* !_VM_VM_OBJECT_H_ */
