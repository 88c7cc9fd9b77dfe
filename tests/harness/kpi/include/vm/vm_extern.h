/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef _VM_VM_EXTERN_H_
#define	_VM_VM_EXTERN_H_

#include <vm/vm.h>
#include <vm/vm_param.h>

int	vm_fault_quick_hold_pages(vm_map_t, vm_offset_t addr, vm_size_t len,
	    vm_prot_t, vm_page_t *ma, int max_count);

#endif /* !_VM_VM_EXTERN_H_ */
