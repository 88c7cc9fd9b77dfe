/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 The xengnt authors */

#include <sys/param.h>
#include <sys/systm.h>
#include <sys/kernel.h>

#include "xengnt.h"
#include "xengnt_defer.h"

/* Not a shared one: unmapping a large map takes a while. */
static struct taskqueue *defer_queue;

u_int
xengnt_io_delay_ms(u_int tries)
{

	/* As on Linux, 5 ms more each time, but at most a second. */
	return (MIN(5 * (tries + 1), 1000));
}

static void
queue_schedule(struct xengnt_queue *queue)
{

	mtx_assert(&queue->mtx, MA_OWNED);
	/* At least a tick: 0 would make it a busy loop. */
	taskqueue_enqueue_timeout(defer_queue, &queue->task,
	    MAX(1, (int)((uint64_t)hz * queue->delay_ms(queue->tries) /
	    1000)));
}

/* Tries *batch items, or all, and puts the failed ones at the end. */
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
	queue->tries++;
	if (queue->count > 0)
		queue_schedule(queue);
	mtx_unlock(&queue->mtx);
}

void
xengnt_defer(struct xengnt_queue *queue, struct xengnt_deferred *item)
{

	/* The file may go away while the item waits; the module may not. */
	xengnt_hold_again();
	mtx_lock(&queue->mtx);
	TAILQ_INSERT_TAIL(&queue->items, item, link);
	queue->tries = 0;
	if (queue->count++ == 0)
		queue_schedule(queue);
	mtx_unlock(&queue->mtx);
}

void
xengnt_defer_init(void)
{

	defer_queue = taskqueue_create("xengnt", M_WAITOK,
	    taskqueue_thread_enqueue, &defer_queue);
	taskqueue_start_threads(&defer_queue, 1, PWAIT, "xengnt");
}

void
xengnt_defer_fini(void)
{

	taskqueue_free(defer_queue);
}

void
xengnt_queues_init(struct xengnt_queue *const *queues)
{
	struct xengnt_queue *queue;

	for (; (queue = *queues) != NULL; queues++) {
		mtx_init(&queue->mtx, queue->name, NULL, MTX_DEF);
		TAILQ_INIT(&queue->items);
		queue->count = 0;
		TIMEOUT_TASK_INIT(defer_queue, &queue->task, 0, queue_task,
		    queue);
	}
}

void
xengnt_queues_fini(struct xengnt_queue *const *queues)
{
	struct xengnt_queue *queue;

	for (; (queue = *queues) != NULL; queues++) {
		/* It is empty: items hold the module.  But the task may run. */
		taskqueue_drain_timeout(defer_queue, &queue->task);
		KASSERT(queue->count == 0, ("%s: %u still deferred",
		    queue->name, queue->count));
		mtx_destroy(&queue->mtx);
	}
}
