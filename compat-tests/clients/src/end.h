/* SPDX-License-Identifier: BSD-2-Clause */
/* What end_dom0.c and end_guest.c have in common: one page of the domain. */
#ifndef END_H
#define	END_H

#include <stdint.h>

#define	END_PAGE	4096u
/* Frames of the domain: code with its stack, this page, and what it maps. */
#define	END_CODE_GFN	0x10000u
#define	END_CODE_PAGES	8u
#define	END_TASK_GFN	0x10010u
#define	END_MAP_GFN	0x10100u
/* As a server it grants its first frames, by these references. */
#define	END_FIRST_REF	16u

enum { END_BOOTS, END_OPEN, END_MOVED, END_GONE, END_CLOSED, END_FAILED };

struct end_task {
	/* Told. */
	uint32_t	server;
	uint32_t	intel;		/* the hypercall instruction */
	uint32_t	remote_port;	/* Dom0's; as a client */
	uint32_t	ref;		/* Dom0's; as a client */
	uint32_t	port;		/* its own; as a server */
	uint32_t	order;		/* of both rings; as a server */
	uint32_t total; /* bytes each way */
	/* Answered. */
	volatile uint32_t state;
	volatile uint32_t line;		/* where it failed */
	volatile int32_t error;
	volatile uint32_t sent, received;
	volatile uint32_t events;	/* asked for by the other end */
	volatile uint32_t reminders;	/* not asked for */
	volatile uint64_t sent_sum, received_sum;
};

#endif /* !END_H */
