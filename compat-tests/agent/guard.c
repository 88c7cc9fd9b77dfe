/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Turns SIGSEGV and SIGBUS in a guarded access into a return value.  Elsewhere
 * they kill the process as if there were no handler: a worker that dies is a
 * result and must not be hidden.
 */
#include <signal.h>
#include <string.h>

#include "agent.h"

_Thread_local sigjmp_buf guard_jmp;
_Thread_local volatile sig_atomic_t guard_on;

static struct sigaction earlier_segv, earlier_bus;

static void
caught(int sig, siginfo_t *info, void *context)
{
	const struct sigaction *earlier;

	if (guard_on) {
		guard_on = 0;
		siglongjmp(guard_jmp, sig);
	}
	/* Not ours: the harness's own handler, or the default action. */
	earlier = sig == SIGSEGV ? &earlier_segv : &earlier_bus;
	if ((earlier->sa_flags & SA_SIGINFO) != 0)
		earlier->sa_sigaction(sig, info, context);
	else {
		/*
		 * Repeat the access that faulted; a signal by kill() does not
		 * recur.
		 */
		sigaction(sig, earlier, NULL);
		/* SI_USER and its kin: 0 and below on Linux, large on FreeBSD. */
		if (info->si_code <= 0 || info->si_code >= 0x10000)
			raise(sig);
	}
}

void
guard_init(void)
{
	struct sigaction sa;

	memset(&sa, 0, sizeof(sa));
	sa.sa_sigaction = caught;
	sa.sa_flags = SA_SIGINFO;
	sigemptyset(&sa.sa_mask);
	sigaction(SIGSEGV, &sa, &earlier_segv);
	sigaction(SIGBUS, &sa, &earlier_bus);
}
