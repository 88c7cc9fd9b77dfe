/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Event channels for the Linux agent on FreeBSD, whose Linuxulator gives every
 * ioctl of type 'E' to its evdev code; the devices' page limits, which are sysctls
 * and not files of /sys; and a disk in memory: a native program makes the call
 * for it.
 *
 * The agent sends a message over the datagram socket that EVENT_HELPER names
 * by its number, with two descriptors: the open /dev/xen/evtchn, so that the
 * port belongs to that file (any file for the others), and a socket for the
 * answer.
 */
#ifndef EVENT_HELPER_H
#define	EVENT_HELPER_H

#include <stdint.h>

#define	EVENT_HELPER	"XENGNT_EVENT_HELPER"
/* Out of the way of the descriptors that cases look at. */
#define	EVENT_HELPER_FD	200

/* The numbers of evtchn's commands end below these. */
#define	HELPER_GNTDEV_LIMIT	0x100
#define	HELPER_GNTALLOC_LIMIT	0x101
#define	HELPER_DISK		0x102

#define	FREEBSD_DISK_UNIT	77
#define	FREEBSD_DISK		"/dev/md77"

struct event_request {
	uint32_t	nr;		/* of Linux's command, or HELPER_... */
	uint32_t	args[2];	/* of its struct; for a limit whether to
					   set it, and to what */
};

/* A Linux errno value, and the port of a command that binds one or a limit
   as it was. */
struct event_answer {
	uint32_t	error;
	uint32_t	value;
};

#endif /* !EVENT_HELPER_H */
