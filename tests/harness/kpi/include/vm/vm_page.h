/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef _VM_VM_PAGE_H_
#define	_VM_VM_PAGE_H_

#include <sys/tree.h>
#include <vm/vm.h>
#include <vm/vm_param.h>

struct vm_page {
	vm_object_t	object;
	vm_pindex_t	pindex;
	vm_paddr_t	phys_addr;
	volatile u_int	ref_count;	/* wirings, VPRC_OBJREF */
	volatile u_int	busy_lock;	/* VPB_* */
	struct thread	*busy_owner;
	uint16_t	flags;		/* PG_* */
	uint8_t		oflags;		/* VPO_* */
	uint8_t		valid;
	uint8_t		dirty;
	vm_memattr_t	memattr;
	u_int		grants;		/* own grants of this page */
	RB_ENTRY(vm_page) objlink;	/* object's pages */
	RB_ENTRY(vm_page) physlink;	/* all real pages */
};

#define	VPRC_BLOCKED		0x40000000u
#define	VPRC_OBJREF		0x80000000u
#define	VPRC_WIRE_COUNT(c)	((c) & ~(VPRC_BLOCKED | VPRC_OBJREF))

#define	VPO_UNMANAGED		0x04

#define	VPB_UNBUSIED		0
#define	VPB_EXCLUSIVE		1

#define	PG_FICTITIOUS		0x02
#define	PG_ZERO			0x04
/* The shim's own: page of the process, held for a copy. */
#define	PG_KPI_LOCAL		0x100

#define	VM_PAGE_BITS_ALL	0xff

#define	VM_ALLOC_WAITOK		0x0008
#define	VM_ALLOC_WAITFAIL	0x0010
#define	VM_ALLOC_WIRED		0x0020
#define	VM_ALLOC_ZERO		0x0040
#define	VM_ALLOC_NOWAIT		0x8000

#define	VM_PAGE_TO_PHYS(m)	((m)->phys_addr)
vm_page_t PHYS_TO_VM_PAGE(vm_paddr_t);

vm_page_t vm_page_alloc_noobj(int req);
void	vm_page_free(vm_page_t);
void	vm_page_wire(vm_page_t);
bool	vm_page_unwire_noq(vm_page_t);

void	vm_page_initfake(vm_page_t, vm_paddr_t, vm_memattr_t);
vm_page_t vm_page_getfake(vm_paddr_t, vm_memattr_t);
void	vm_page_putfake(vm_page_t);

bool	vm_page_busy_acquire(vm_page_t, int allocflags);
bool	vm_page_tryxbusy(vm_page_t);
void	vm_page_xunbusy(vm_page_t);
bool	vm_page_xbusied(vm_page_t);
void	vm_page_valid(vm_page_t);
void	vm_page_dirty(vm_page_t);

int	vm_page_insert(vm_page_t, vm_object_t, vm_pindex_t);
vm_page_t vm_page_lookup(vm_object_t, vm_pindex_t);
bool	vm_page_remove(vm_page_t);
void	vm_page_replace(vm_page_t mnew, vm_object_t, vm_pindex_t,
	    vm_page_t mold);

void	vm_page_unhold_pages(vm_page_t *ma, int count);

#endif /* !_VM_VM_PAGE_H_ */
