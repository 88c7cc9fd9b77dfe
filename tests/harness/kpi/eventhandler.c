/* SPDX-License-Identifier: BSD-2-Clause */
/* eventhandler(9), and the end of a process. */

#include <sys/param.h>
#include <sys/systm.h>
#include <sys/eventhandler.h>
#include <sys/proc.h>
#include <sys/queue.h>
#include <sys/refcount.h>

#include "kpi.h"

struct kpi_eventhandler {
	TAILQ_ENTRY(kpi_eventhandler) link;
	const char	*name;
	void		*func;
	void		*arg;
	int		priority;
	bool		dead;
};

static struct {
	volatile u_int	spin;
	TAILQ_HEAD(, kpi_eventhandler) list;	/* by priority */
	u_int		running;
	u_int		live;
} handlers = { .list = TAILQ_HEAD_INITIALIZER(handlers.list) };

static void
handlers_lock(void)
{

	while (atomic_cmpset_int(&handlers.spin, 0, 1) == 0)
		os_yield();
}

static void
handlers_unlock(void)
{

	atomic_store_rel_int(&handlers.spin, 0);
}

u_int
kpi_eventhandlers_live(void)
{
	u_int n;

	handlers_lock();
	n = handlers.live;
	handlers_unlock();
	return (n);
}

eventhandler_tag
kpi_eventhandler_register(const char *name, void *func, void *arg,
    int priority)
{
	struct kpi_eventhandler *h, *before;

	kpi_no_sleep("EVENTHANDLER_REGISTER");
	h = os_alloc(sizeof(*h));
	KASSERT(h != NULL, ("no memory for an event handler"));
	h->name = name;
	h->func = func;
	h->arg = arg;
	h->priority = priority;
	handlers_lock();
	TAILQ_FOREACH(before, &handlers.list, link)
		if (before->priority > priority)
			break;
	if (before != NULL)
		TAILQ_INSERT_BEFORE(before, h, link);
	else
		TAILQ_INSERT_TAIL(&handlers.list, h, link);
	handlers.live++;
	handlers_unlock();
	return (h);
}

void
kpi_eventhandler_deregister(const char *name, eventhandler_tag h)
{

	kpi_no_sleep("EVENTHANDLER_DEREGISTER");
	handlers_lock();
	KASSERT(strcmp(h->name, name) == 0,
	    ("event handler of %s, not %s", h->name, name));
	h->dead = true;
	while (handlers.running != 0) {
		handlers_unlock();
		os_yield();
		handlers_lock();
	}
	TAILQ_REMOVE(&handlers.list, h, link);
	handlers.live--;
	handlers_unlock();
	os_free(h);
}

/* Runs in the process that ends, after its other threads are gone. */
void
kpi_process_exit(struct proc *p)
{
	struct kpi_eventhandler *h;

	handlers_lock();
	handlers.running++;
	TAILQ_FOREACH(h, &handlers.list, link) {
		if (h->dead || strcmp(h->name, "process_exit") != 0)
			continue;
		handlers_unlock();
		((exitlist_fn)h->func)(h->arg, p);
		kpi_no_locks("a process_exit handler returned");
		handlers_lock();
	}
	handlers.running--;
	handlers_unlock();
}
