/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef _VM_VM_PARAM_H_
#define	_VM_VM_PARAM_H_

#include <sys/param.h>

#define	KERN_NO_SPACE		3

#define	VM_MAXUSER_ADDRESS	0x0000800000000000ul

/* Guest-physical memory through the kernel's direct map. */
void	*kpi_phys_to_dmap(vm_paddr_t);
#define	PHYS_TO_DMAP(x)		((vm_offset_t)kpi_phys_to_dmap(x))

#endif /* !_VM_VM_PARAM_H_ */
