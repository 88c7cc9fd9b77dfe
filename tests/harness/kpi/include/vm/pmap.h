/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef _VM_PMAP_H_
#define	_VM_PMAP_H_

#include <vm/vm.h>

struct pmap;

vm_memattr_t pmap_page_get_memattr(vm_page_t);
void	pmap_zero_page(vm_page_t);
void	pmap_zero_page_area(vm_page_t, int off, int size);

#endif /* !_VM_PMAP_H_ */
