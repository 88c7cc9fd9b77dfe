/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef _XEN_GNTTAB_H_
#define	_XEN_GNTTAB_H_

#include <xen/xen-os.h>

#include <xen/grant_table.h>

#define	GNTTAB_LIST_END	0xffffffffu

void	gnttab_grant_foreign_access_ref(grant_ref_t ref, domid_t domid,
	    unsigned long frame, int readonly);
int	gnttab_end_foreign_access_ref(grant_ref_t ref);
int	gnttab_query_foreign_access(grant_ref_t ref);
int	gnttab_alloc_grant_references(uint16_t count, grant_ref_t *head);
int	gnttab_claim_grant_reference(grant_ref_t *head);
void	gnttab_release_grant_reference(grant_ref_t *head, grant_ref_t ref);
void	gnttab_free_grant_references(grant_ref_t head);

#endif /* !_XEN_GNTTAB_H_ */
