/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef _SYS_EVENTHANDLER_H_
#define	_SYS_EVENTHANDLER_H_

#include <sys/types.h>

struct proc;

typedef struct kpi_eventhandler *eventhandler_tag;

#define	EVENTHANDLER_PRI_ANY	10000
#define	EVENTHANDLER_PRI_LAST	20000

typedef void (*exitlist_fn)(void *, struct proc *);

eventhandler_tag kpi_eventhandler_register(const char *name, void *func,
	    void *arg, int priority);
/* Returns when no handler of the list is running. */
void	kpi_eventhandler_deregister(const char *name, eventhandler_tag);

#define	EVENTHANDLER_REGISTER(name, func, arg, priority)		\
	kpi_eventhandler_register(#name, (func), (arg), (priority))
#define	EVENTHANDLER_DEREGISTER(name, tag)				\
	kpi_eventhandler_deregister(#name, (tag))

#endif /* !_SYS_EVENTHANDLER_H_ */
