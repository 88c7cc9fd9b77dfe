/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Event channels for the Linux agent on FreeBSD, whose Linuxulator gives every
 * ioctl of type 'E' to its evdev code: a native program makes the call for it.
 *
 * The agent sends a message over the datagram socket that EVENT_HELPER names
 * by its number, with two descriptors: the open /dev/xen/evtchn, so that the
 * port belongs to that file, and a socket for the answer.
 */
#ifndef EVENT_HELPER_H
#define	EVENT_HELPER_H

#include <stdint.h>

#define	EVENT_HELPER	"XENGNT_EVENT_HELPER"
/* Out of the way of the descriptors that cases look at. */
#define	EVENT_HELPER_FD	200

struct event_request {
	uint32_t	nr;		/* of Linux's command */
	uint32_t	args[2];	/* of its struct */
};

/* A Linux errno value, and the port of a command that binds one. */
struct event_answer {
	uint32_t	error;
	uint32_t	port;
};

#endif /* !EVENT_HELPER_H */
