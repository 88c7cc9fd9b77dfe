/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Help from a native program for the Linux agent on FreeBSD: event channels,
 * because the Linuxulator gives every ioctl of group 'E' to its evdev code; the
 * devices' page limits, which are sysctls and not files of /sys; and a disk in
 * memory.
 *
 * The agent sends a message over the datagram socket whose number is in
 * EVENT_HELPER, with two descriptors: the open /dev/xen/evtchn, so that the
 * port belongs to that file (any file for the other calls), and a socket for
 * the answer.
 */
#ifndef EVENT_HELPER_H
#define	EVENT_HELPER_H

#include <stdint.h>

#define	EVENT_HELPER	"XENGNT_EVENT_HELPER"
/* Away from the descriptors that cases use. */
#define	EVENT_HELPER_FD	200

/* The numbers of evtchn's commands are lower than these. */
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
