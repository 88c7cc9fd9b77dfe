/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef _VM_VM_MAP_H_
#define	_VM_VM_MAP_H_

#include <sys/sx.h>
#include <vm/vm.h>

typedef u_int		vm_eflags_t;
#define	MAP_ENTRY_IS_SUB_MAP	0x00000002u

struct vm_map_entry {
	struct vm_map_entry *prev;
	struct vm_map_entry *next;
	vm_offset_t	start;
	vm_offset_t	end;
	union {
		vm_object_t	vm_object;
		vm_map_t	sub_map;
	} object;
	vm_ooffset_t	offset;
	vm_eflags_t	eflags;
	vm_prot_t	protection;
	vm_prot_t	max_protection;
	bool		wired;		/* by mlock(2) */
};

struct vm_map {
	struct vm_map_entry header;
	struct sx	lock;
};

struct vmspace {
	struct vm_map	vm_map;
	u_int		vm_refcnt;
};

#define	vm_map_lock(map)		sx_xlock(&(map)->lock)
#define	vm_map_unlock(map)		sx_xunlock(&(map)->lock)
#define	vm_map_lock_read(map)		sx_slock(&(map)->lock)
#define	vm_map_unlock_read(map)		sx_sunlock(&(map)->lock)

int	vm_map_remove(vm_map_t, vm_offset_t, vm_offset_t);
boolean_t vm_map_lookup_entry(vm_map_t, vm_offset_t, vm_map_entry_t *);
vm_map_entry_t vm_map_entry_succ(vm_map_entry_t);

/*
 * A walk shows the process's other mappings as two entries in front: one
 * without an object, one that belongs to no object.
 */
vm_map_entry_t vm_map_entry_first(vm_map_t);
#define	VM_MAP_ENTRY_FOREACH(it, map)					\
	for ((it) = vm_map_entry_first(map);				\
	    (it) != &(map)->header;					\
	    (it) = vm_map_entry_succ(it))

#endif /* !_VM_VM_MAP_H_ */
