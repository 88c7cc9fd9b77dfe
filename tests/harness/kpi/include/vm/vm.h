/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef _VM_VM_H_
#define	_VM_VM_H_

#include <sys/types.h>

typedef u_char		vm_prot_t;
#define	VM_PROT_READ	((vm_prot_t)0x01)
#define	VM_PROT_WRITE	((vm_prot_t)0x02)
#define	VM_PROT_EXECUTE	((vm_prot_t)0x04)
#define	VM_PROT_RW	(VM_PROT_READ | VM_PROT_WRITE)
#define	VM_PROT_ALL	(VM_PROT_READ | VM_PROT_WRITE | VM_PROT_EXECUTE)

typedef struct vm_object *vm_object_t;
typedef struct vm_map	*vm_map_t;
typedef struct vm_map_entry *vm_map_entry_t;

typedef int		vm_memattr_t;
#define	VM_MEMATTR_WRITE_BACK		6
#define	VM_MEMATTR_DEFAULT		VM_MEMATTR_WRITE_BACK

#endif /* !_VM_VM_H_ */
