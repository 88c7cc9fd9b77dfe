/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What older FreeBSD lacks.  This and support.h are the only files that look
 * at __FreeBSD_version; each entry goes when the release it names does.
 */
#ifndef _XENGNT_COMPAT_H_
#define	_XENGNT_COMPAT_H_

#include <sys/param.h>

#include <vm/vm.h>
#include <vm/pmap.h>
#include <vm/vm_page.h>

#if __FreeBSD_version < 1400000
/* 13.x: pages without an object come from vm_page_alloc(), dirty. */
static inline vm_page_t
xengnt_page_alloc(void)
{
	vm_page_t m;

	m = vm_page_alloc(NULL, 0, VM_ALLOC_NORMAL | VM_ALLOC_NOOBJ |
	    VM_ALLOC_WIRED | VM_ALLOC_ZERO);
	if (m != NULL && (m->flags & PG_ZERO) == 0)
		pmap_zero_page(m);
	return (m);
}
#else
static inline vm_page_t
xengnt_page_alloc(void)
{

	return (vm_page_alloc_noobj(VM_ALLOC_WIRED | VM_ALLOC_ZERO));
}
#endif

#endif /* !_XENGNT_COMPAT_H_ */
