/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A helper domain that runs: a few instructions that make hypercalls and copy
 * bytes, so that it can map grants of Dom0 and access them.
 */
#ifndef RUNNER_H
#define	RUNNER_H

#include <stdbool.h>
#include <stdint.h>

#include <xenctrl.h>
#include <xenforeignmemory.h>

#define	RUNNER_SLOTS	16u	/* maps at once */
#define	RUNNER_BYTES	2048u	/* most bytes of one read or write */

/* 0, or -1 with errno and *what set. */
int	runner_map(xc_interface *, xenforeignmemory_handle *, uint32_t domid,
	    uint32_t ref, bool readonly, unsigned *slot, int *status,
	    const char **what);
int	runner_unmap(unsigned slot, int *status, const char **what);
int	runner_read(unsigned slot, unsigned off, unsigned len, uint8_t *,
	    const char **what);
int	runner_write(unsigned slot, unsigned off, unsigned len,
	    const uint8_t *, const char **what);

/*
 * Binds the domain to an event channel of Dom0's; sends an event on its port.
 */
int	runner_bind(xc_interface *, xenforeignmemory_handle *, uint32_t domid,
	    uint32_t remote, uint32_t *port, const char **what);
int	runner_send(xc_interface *, xenforeignmemory_handle *, uint32_t domid,
	    uint32_t port, const char **what);

/*
 * From now on the domain answers: when the first word of one of its pages
 * differs from the second, it copies as many bytes as the third says from the
 * next page to the one after, makes the words equal and sends an event.  It
 * ends when the fourth word is not 0; the second function waits for that.
 */
int	runner_answer(xc_interface *, xenforeignmemory_handle *, uint32_t domid,
	    uint32_t page, uint32_t port, const char **what);
int	runner_answered(const char **what);

/* Unmaps everything; false if something stays. */
bool	runner_clear(void);
/* Call before the domain is destroyed. */
void	runner_forget(void);

/* A domain's only processor: protected mode, flat segments, no paging. */
int	runner_registers(xc_interface *, uint32_t domid, uint32_t ip);

#endif /* !RUNNER_H */
