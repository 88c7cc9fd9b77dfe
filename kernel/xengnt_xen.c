/* SPDX-License-Identifier: BSD-2-Clause */
/* The hypercall, and the retry that its callers share. */

#include "compat.h"

#include <sys/systm.h>
#include <sys/errno.h>
#include <sys/kernel.h>

#include <xen/xen-os.h>
#include <xen/hypervisor.h>
#include <xen/gnttab.h>
#include <xen/error.h>

#include "xengnt.h"

int
xengnt_grant_op(u_int cmd, void *ops, u_int n)
{
	int rc;

	rc = HYPERVISOR_grant_table_op(cmd, ops, n);
	return (rc < 0 ? xen_translate_error(rc) : 0);
}

void
xengnt_retry_eagain(u_int cmd, void *op, int16_t *status)
{
	int delay;

	for (delay = 1; *status == GNTST_eagain && delay < 256; delay++) {
		/* Uninterruptible on purpose, as on Linux (K14). */
		pause_sbt("gnteag", delay * SBT_1MS, 0, 0);
		if (xengnt_grant_op(cmd, op, 1) != 0)
			*status = GNTST_general_error;
	}
	if (*status == GNTST_eagain)
		*status = GNTST_bad_page;
}
