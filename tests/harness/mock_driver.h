/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Commands of mock_driver.c: HARNESS_IO('T', nr), with the argument if one is
 * named.
 */
#ifndef _MOCK_DRIVER_H_
#define	_MOCK_DRIVER_H_

enum mock_op {
	MOCK_NOTHING,
	/* Each of these must end in a panic. */
	MOCK_ALLOC_UNDER_MTX,
	MOCK_COPYIN_UNDER_MTX,
	MOCK_SX_UNDER_MTX,
	MOCK_PAUSE_UNDER_MTX,
	MOCK_RECURSE_MTX,
	MOCK_RECURSE_SX,
	MOCK_UNLOCK_UNLOCKED,
	MOCK_UNLOCK_STRANGER,	/* of the mutex that MOCK_HOLD holds */
	MOCK_DESTROY_HELD,
	MOCK_USE_DESTROYED,
	MOCK_RETURN_LOCKED,
	MOCK_ASSERT_UNOWNED,
	MOCK_FREE_TWICE,
	MOCK_FREE_OTHER_TYPE,
	MOCK_FREE_GRANTED,
	MOCK_REFCOUNT_REVIVE,
	MOCK_COPYIN_MAP_LOCKED,
	MOCK_INSERT_TWICE,
	MOCK_UNWIRE_FICTITIOUS,
	MOCK_LOCK_ORDER,
	MOCK_LOCK_ORDER_FAULT,	/* a page fault under a lock, and reversed */
	MOCK_LOCK_TWO_OF_A_KIND,
	/* These must not. */
	MOCK_ALLOC_UNDER_SX,
	MOCK_HOLD,		/* a mutex, until another thread's LET_GO */
	MOCK_LET_GO,
	MOCK_COPYIN,		/* 8 bytes from the argument */
	MOCK_COPYOUT,		/* 8 bytes to the argument */
	MOCK_LEAK,		/* 40 bytes */
	MOCK_LEAK_PAGE,
	MOCK_LOOKUP,		/* of struct mock_lookup */
	MOCK_HOLD_PAGE,		/* the argument's page, and lets it go */
	MOCK_HOLD_PAGE_RW,
	MOCK_PAGE_IS_ZERO,
	MOCK_TASK,		/* queue a task for one minute from now */
	MOCK_TASKS_RAN,		/* the argument: int, how many ran */
	MOCK_EVENTS,		/* the argument: struct mock_events */
	MOCK_ENOIOCTL,
};

/* vm_map_lookup_entry() of an address. */
struct mock_lookup {
	unsigned long	addr;
	unsigned long	start, end;	/* of the entry found */
	int		inside;		/* it holds the address */
	int		ours;		/* it has a VM object */
	int		none;		/* there is none, nor above */
};

struct mock_events {
	int	opens;
	int	dtors;		/* of open files */
	int	pager_dtors;
	int	faults;
	/* What the process_exit handler saw: */
	int	exits;
	int	exit_dtors;	/* files closed before it */
	int exit_ours; /* entries of the address space with an object */
	int	exit_others;
};

#endif /* !_MOCK_DRIVER_H_ */
