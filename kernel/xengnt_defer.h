/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 The xengnt authors */
/*
 * Queues of what cannot be freed before I/O or the peer is done with it.  One
 * thread tries the items again from time to time.  A queued item holds the
 * module.
 */
#ifndef _XENGNT_DEFER_H_
#define	_XENGNT_DEFER_H_

#include <sys/types.h>
#include <sys/lock.h>
#include <sys/mutex.h>
#include <sys/queue.h>
#include <sys/taskqueue.h>

struct xengnt_deferred {
	TAILQ_ENTRY(xengnt_deferred) link;
	/* Frees the item if it can; returns whether it did. */
	bool	(*try_free)(struct xengnt_deferred *);
};

struct xengnt_queue {
	const char	*name;
	/* Time until the next try; tries: since the last item came. */
	u_int	(*delay_ms)(u_int tries);
	/* Number of items tried each time; all if NULL or 0. */
	u_int		*batch;

	struct mtx	mtx;		/* guards the rest */
	TAILQ_HEAD(, xengnt_deferred) items;
	u_int		count;
	u_int		tries;
	struct timeout_task task;
};

/* For items that wait for I/O. */
u_int	xengnt_io_delay_ms(u_int tries);

void	xengnt_defer_init(void);
void	xengnt_defer_fini(void);

/* For the queues of one device, up to the first NULL. */
void	xengnt_queues_init(struct xengnt_queue *const *queues);
void	xengnt_queues_fini(struct xengnt_queue *const *queues);

/* Queues an item whose try_free is set and has failed once. */
void	xengnt_defer(struct xengnt_queue *queue, struct xengnt_deferred *item);

#endif /* !_XENGNT_DEFER_H_ */
