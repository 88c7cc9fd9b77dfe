/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef _XEN_GNTTAB_H_
#define	_XEN_GNTTAB_H_

#include <xen/xen-os.h>

#include <xen/grant_table.h>

int	gnttab_grant_foreign_access(domid_t domid, unsigned long frame,
	    int readonly, grant_ref_t *result);
int	gnttab_end_foreign_access_ref(grant_ref_t ref);
int	gnttab_query_foreign_access(grant_ref_t ref);
void	gnttab_free_grant_reference(grant_ref_t ref);

#endif /* !_XEN_GNTTAB_H_ */
