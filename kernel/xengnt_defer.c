/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 The xengnt authors */

#include "xengnt_vm.h"

#include <sys/systm.h>
#include <sys/kernel.h>

#include "xengnt.h"
#include "xengnt_defer.h"

u_int
xengnt_io_delay_ms(u_int looks)
{

	/* As Linux: 5 ms more each time, here up to a second. */
	return (MIN(5 * (looks + 1), 1000));
}

static void
queue_schedule(struct xengnt_queue *queue)
{

	mtx_assert(&queue->mtx, MA_OWNED);
	/* At least a tick: without any it would be a busy loop. */
	taskqueue_enqueue_timeout(taskqueue_thread, &queue->task,
	    MAX(1, (int)((uint64_t)hz * queue->delay_ms(queue->looks) /
	    1000)));
}

/* Tries some of the queue, in turn. */
static void
queue_task(void *arg, int pending __unused)
{
	struct xengnt_deferred *item;
	struct xengnt_queue *queue;
	u_int n;
	bool done;

	queue = arg;
	mtx_lock(&queue->mtx);
	n = queue->count;
	if (queue->batch != NULL && *queue->batch != 0)
		n = MIN(n, *queue->batch);
	for (; n > 0; n--) {
		item = TAILQ_FIRST(&queue->items);
		TAILQ_REMOVE(&queue->items, item, link);
		mtx_unlock(&queue->mtx);
		done = item->try_free(item);
		mtx_lock(&queue->mtx);
		if (done) {
			queue->count--;
			xengnt_unhold();
		} else
			TAILQ_INSERT_TAIL(&queue->items, item, link);
	}
	queue->looks++;
	if (queue->count > 0)
		queue_schedule(queue);
	mtx_unlock(&queue->mtx);
}

void
xengnt_defer(struct xengnt_queue *queue, struct xengnt_deferred *item)
{

	/* What it came from may go; the module may not. */
	xengnt_hold_again();
	mtx_lock(&queue->mtx);
	TAILQ_INSERT_TAIL(&queue->items, item, link);
	queue->looks = 0;
	if (queue->count++ == 0)
		queue_schedule(queue);
	mtx_unlock(&queue->mtx);
}

void
xengnt_queue_init(struct xengnt_queue *queue, const char *name)
{

	mtx_init(&queue->mtx, name, NULL, MTX_DEF);
	TAILQ_INIT(&queue->items);
	queue->count = 0;
	TIMEOUT_TASK_INIT(taskqueue_thread, &queue->task, 0, queue_task,
	    queue);
}

void
xengnt_queue_fini(struct xengnt_queue *queue)
{

	/* It is empty: what waits keeps the module.  The task may run. */
	taskqueue_drain_timeout(taskqueue_thread, &queue->task);
	KASSERT(queue->count == 0, ("xengnt: %u still deferred",
	    queue->count));
	mtx_destroy(&queue->mtx);
}
