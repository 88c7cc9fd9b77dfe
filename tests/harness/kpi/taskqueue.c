/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * taskqueue(9): one queue and one thread, made when first needed.  Tests and
 * the end of the process run what is queued without waiting.
 */

#include <sys/param.h>
#include <sys/systm.h>
#include <sys/kernel.h>
#include <sys/malloc.h>
#include <sys/proc.h>
#include <sys/taskqueue.h>

#include "kpi.h"

struct taskqueue {
	struct os_mutex	mutex;
	struct os_cond	cond;
	STAILQ_HEAD(, task) tasks;
	struct task	*running;
	bool		ready;		/* mutex and cond are made */
	bool		started;
	bool		stop;
	os_thread_t	thread;
};

static struct taskqueue queue;
static volatile u_int manual;		/* tests run the tasks */
struct taskqueue *taskqueue_thread = &queue;
static volatile u_int queue_once;

static void
queue_lock(struct taskqueue *q)
{

	if (!q->ready) {
		while (atomic_cmpset_int(&queue_once, 0, 1) == 0)
			os_yield();
		if (!q->ready) {
			os_mutex_init(&q->mutex);
			os_cond_init(&q->cond);
			STAILQ_INIT(&q->tasks);
			q->ready = true;
		}
		atomic_store_rel_int(&queue_once, 0);
	}
	os_mutex_lock(&q->mutex);
}

static void
queue_unlock(struct taskqueue *q)
{

	os_mutex_unlock(&q->mutex);
}

/* The task that is due first. */
static struct task *
queue_first(struct taskqueue *q)
{
	struct task *first, *t;

	first = NULL;
	STAILQ_FOREACH(t, &q->tasks, ta_link)
		if (first == NULL || t->ta_due < first->ta_due)
			first = t;
	return (first);
}

/* Called and returns with the queue locked. */
static void
task_run(struct taskqueue *q, struct task *t)
{
	int pending;

	STAILQ_REMOVE(&q->tasks, t, task, ta_link);
	t->ta_queued = false;
	pending = t->ta_pending;
	t->ta_pending = 0;
	q->running = t;
	queue_unlock(q);
	kpi_enter();
	t->ta_func(t->ta_context, pending);
	kpi_leave("a task returned");
	queue_lock(q);
	q->running = NULL;
	os_cond_broadcast(&q->cond);
}

static void
queue_main(void *arg)
{
	struct taskqueue *q;
	struct task *t;

	curthread->td_kthread = true;
	q = arg;
	queue_lock(q);
	while (!q->stop) {
		t = queue_first(q);
		if (t == NULL || atomic_load_int(&manual) != 0)
			os_cond_wait(&q->cond, &q->mutex);
		else if (q->running != NULL || t->ta_due > os_now())
			os_cond_timedwait(&q->cond, &q->mutex,
			    MAX(t->ta_due, os_now() + 1000000));
		else
			task_run(q, t);
	}
	queue_unlock(q);
}

static int
enqueue(struct taskqueue *q, struct task *t, uint64_t delay)
{
	int pending;

	queue_lock(q);
	pending = t->ta_pending;
	if (t->ta_pending < UINT16_MAX)
		t->ta_pending++;
	t->ta_due = os_now() + delay;
	if (!t->ta_queued) {
		STAILQ_INSERT_TAIL(&q->tasks, t, ta_link);
		t->ta_queued = true;
	}
	if (!q->started) {
		q->started = true;
		q->stop = false;
		if (os_thread_start(&q->thread, queue_main, q) != 0)
			panic("no thread for the task queue");
	}
	os_cond_broadcast(&q->cond);
	queue_unlock(q);
	return (pending);
}

static int
cancel(struct taskqueue *q, struct task *t, u_int *pendp)
{
	int error;

	queue_lock(q);
	if (pendp != NULL)
		*pendp = t->ta_pending;
	t->ta_pending = 0;
	if (t->ta_queued) {
		STAILQ_REMOVE(&q->tasks, t, task, ta_link);
		t->ta_queued = false;
	}
	error = q->running == t ? EBUSY : 0;
	queue_unlock(q);
	return (error);
}

static void
drain(struct taskqueue *q, struct task *t, bool cancel_timer)
{

	kpi_no_sleep("taskqueue_drain");
	if (cancel_timer)
		cancel(q, t, NULL);
	queue_lock(q);
	while (q->running == t || t->ta_queued) {
		if (t->ta_queued && q->running == NULL)
			task_run(q, t);
		else
			os_cond_wait(&q->cond, &q->mutex);
	}
	queue_unlock(q);
}

struct taskqueue *
taskqueue_create(const char *name, int mflags, taskqueue_enqueue_fn enqueue,
    void *context)
{

	kpi_no_sleep("taskqueue_create");
	KASSERT(mflags == M_WAITOK && enqueue == taskqueue_thread_enqueue,
	    ("taskqueue %s", name));
	return (*(struct taskqueue **)context = taskqueue_thread);
}

/* The thread starts with the first task. */
int
taskqueue_start_threads(struct taskqueue **qp, int count, int pri,
    const char *name, ...)
{

	KASSERT(*qp == taskqueue_thread && count == 1, ("threads of %s",
	    name));
	return (0);
}

void
taskqueue_thread_enqueue(void *context)
{

	panic("taskqueue_thread_enqueue called");
}

void
taskqueue_free(struct taskqueue *q)
{

	kpi_no_sleep("taskqueue_free");
	queue_lock(q);
	KASSERT(STAILQ_EMPTY(&q->tasks), ("tasks left in a queue freed"));
	queue_unlock(q);
}

int
taskqueue_enqueue_timeout(struct taskqueue *q, struct timeout_task *tt,
    int n)
{

	KASSERT(tt->q == q, ("timeout task of another queue"));
	return (enqueue(q, &tt->t, n <= 0 ? 0 :
	    (uint64_t)n * (1000000000u / (u_int)hz)));
}

void
taskqueue_drain_timeout(struct taskqueue *q, struct timeout_task *tt)
{

	drain(q, &tt->t, true);
}

void
harness_tasks_manual(bool on)
{
	struct taskqueue *q;

	q = taskqueue_thread;
	queue_lock(q);
	atomic_store_int(&manual, on);
	os_cond_broadcast(&q->cond);
	while (q->running != NULL)
		os_cond_wait(&q->cond, &q->mutex);
	queue_unlock(q);
}

u_int
kpi_tasks_run(void)
{
	struct taskqueue *q;
	struct task *t;
	u_int n, ran;

	q = taskqueue_thread;
	queue_lock(q);
	/* Those queued now; tasks that they queue wait for the next call. */
	n = 0;
	STAILQ_FOREACH(t, &q->tasks, ta_link)
		n++;
	for (ran = 0; ran < n; ran++) {
		while (q->running != NULL)
			os_cond_wait(&q->cond, &q->mutex);
		t = queue_first(q);
		if (t == NULL)
			break;
		task_run(q, t);
	}
	queue_unlock(q);
	return (ran);
}

void
kpi_tasks_stop(void)
{
	struct taskqueue *q;
	bool started;

	q = taskqueue_thread;
	queue_lock(q);
	started = q->started;
	q->stop = true;
	os_cond_broadcast(&q->cond);
	queue_unlock(q);
	if (started)
		os_thread_join(q->thread);
	q->started = false;
}

/* The child does not have the thread. */
void
kpi_tasks_fork_child(void)
{
	struct taskqueue *q;

	q = taskqueue_thread;
	if (!q->ready)
		return;
	os_mutex_init(&q->mutex);
	os_cond_init(&q->cond);
	q->started = false;
	q->running = NULL;
}
