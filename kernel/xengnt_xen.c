/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 The xengnt authors */
/* The grant-table hypercall, its retry, and the ID of this domain. */

#include <sys/param.h>
#include <sys/systm.h>
#include <sys/kernel.h>
#include <sys/proc.h>

#if defined(__amd64__) || defined(__i386__)
#include <machine/cpufunc.h>
#endif

#include <xen/xen-os.h>
#include <xen/hypervisor.h>
#include <xen/gnttab.h>
#include <xen/error.h>

#include "xengnt.h"
#include "xengnt_stats.h"

int
xengnt_grant_op(u_int cmd, void *ops, u_int n)
{
	int rc;

	rc = HYPERVISOR_grant_table_op(cmd, ops, n);
	return (rc < 0 ? xen_translate_error(rc) : 0);
}

/*
 * P_WKILLED alone is not enough: the out-of-memory killer and PT_KILL set it,
 * but kill(2) only queues SIGKILL. P_SINGLE_EXIT is set while another thread's
 * exit waits for this one.  The flags are read without the process lock: what
 * is set just now is seen by the next call.
 */
bool
xengnt_interrupted(void)
{
	struct thread *td;
	struct proc *p;

	td = curthread;
	p = td->td_proc;
	return ((p->p_flag & (P_WKILLED | P_SINGLE_EXIT)) != 0 ||
	    SIGISMEMBER(td->td_siglist, SIGKILL) ||
	    SIGISMEMBER(p->p_siglist, SIGKILL));
}

void
xengnt_retry_eagain(u_int cmd, void *op, int16_t *status, int *slept)
{

	/* Other signals do not end the wait, as on Linux. */
	while (*status == GNTST_eagain && *slept < 255 &&
	    !xengnt_interrupted()) {
		++*slept;
		pause_sbt("gnteag", *slept * SBT_1MS, 0, 0);
		counter_u64_add(xengnt_retries, 1);
		if (xengnt_grant_op(cmd, op, 1) != 0)
			*status = GNTST_general_error;
	}
	if (*status == GNTST_eagain)
		*status = GNTST_bad_page;
}

domid_t xengnt_own_domid = DOMID_INVALID;

/* FreeBSD does not keep it; Xen 4.14 and newer report it by CPUID. */
void
xengnt_own_domid_init(void)
{
#if defined(__amd64__) || defined(__i386__)
	u_int leaf, regs[4];

	/* Xen's leaves move up by 0x100 if there are Viridian's, too. */
	for (leaf = 0x40000000; leaf < 0x40010000; leaf += 0x100) {
		cpuid_count(leaf, 0, regs);
		if (memcmp(&regs[1], "XenVMMXenVMM", 12) == 0)
			break;
	}
	if (leaf < 0x40010000 && regs[0] >= leaf + 4) {
		cpuid_count(leaf + 4, 0, regs);
		/* XEN_HVM_CPUID_DOMID_PRESENT */
		if ((regs[0] & (1u << 4)) != 0)
			xengnt_own_domid = (domid_t)regs[2];
	}
#endif
	if (xen_initial_domain())
		xengnt_own_domid = 0;
}
