/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 The xengnt authors */
/*
 * What has to wait before it can be freed, for somebody's I/O or for the
 * peer: queues whose items are tried again from time to time, by one thread.
 * What waits keeps the module.
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
	/* Frees it if that is possible; whether it was. */
	bool	(*try_free)(struct xengnt_deferred *);
};

struct xengnt_queue {
	/* How long until the next try; tries: since something came. */
	u_int	(*delay_ms)(u_int tries);
	/* How many items are tried each time; NULL or 0: all. */
	u_int		*batch;

	struct mtx	mtx;		/* guards the rest */
	TAILQ_HEAD(, xengnt_deferred) items;
	u_int		count;
	u_int		tries;
	struct timeout_task task;
};

/* For what waits for I/O. */
u_int	xengnt_io_delay_ms(u_int tries);

void	xengnt_defer_init(void);
void	xengnt_defer_fini(void);
void	xengnt_queue_init(struct xengnt_queue *queue, const char *name);
void	xengnt_queue_fini(struct xengnt_queue *queue);

/* Takes over something whose try_free is set and has failed once. */
void	xengnt_defer(struct xengnt_queue *queue, struct xengnt_deferred *item);

#endif /* !_XENGNT_DEFER_H_ */
