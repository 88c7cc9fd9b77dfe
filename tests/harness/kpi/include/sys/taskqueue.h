/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef _SYS_TASKQUEUE_H_
#define	_SYS_TASKQUEUE_H_

#include <sys/types.h>
#include <sys/queue.h>

struct taskqueue;

typedef void task_fn_t(void *context, int pending);

struct task {
	STAILQ_ENTRY(task) ta_link;
	uint16_t	ta_pending;
	u_short		ta_priority;
	task_fn_t	*ta_func;
	void		*ta_context;
	bool		ta_queued;
	uint64_t	ta_due;		/* ns of the host's clock */
};

struct timeout_task {
	struct taskqueue *q;
	struct task	t;
};

#define	TASK_INIT(task, priority, func, context) do {			\
	(task)->ta_pending = 0;						\
	(task)->ta_priority = (priority);				\
	(task)->ta_func = (func);					\
	(task)->ta_context = (context);					\
	(task)->ta_queued = false;					\
} while (0)
#define	TIMEOUT_TASK_INIT(queue, timeout_task, priority, func, context) do { \
	(timeout_task)->q = (queue);					\
	TASK_INIT(&(timeout_task)->t, (priority), (func), (context));	\
} while (0)

typedef void (*taskqueue_enqueue_fn)(void *context);

/* There is one queue; creating another returns it. */
extern struct taskqueue *taskqueue_thread;
struct taskqueue *taskqueue_create(const char *name, int mflags,
	    taskqueue_enqueue_fn enqueue, void *context);
int	taskqueue_start_threads(struct taskqueue **, int count, int pri,
	    const char *name, ...);
void	taskqueue_free(struct taskqueue *);
void	taskqueue_thread_enqueue(void *context);

int	taskqueue_enqueue_timeout(struct taskqueue *, struct timeout_task *,
	    int ticks);
void	taskqueue_drain_timeout(struct taskqueue *, struct timeout_task *);

#endif /* !_SYS_TASKQUEUE_H_ */
