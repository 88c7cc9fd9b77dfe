/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 The xengnt authors */
/*
 * Unmap notifications: what the peer sees when a mapping or a granted page
 * ends.
 *
 * Only the number of the event channel is kept.  A reference on the channel
 * would outlive its owner's descriptor, and FreeBSD's evtchn device frees what
 * the channel's handler uses when that descriptor is closed.  So the port is
 * checked again before an event is sent; if its channel is gone, the event is
 * lost (K24).
 */
#ifndef _XENGNT_NOTIFY_H_
#define	_XENGNT_NOTIFY_H_

#include <sys/types.h>

#include <xen/xen-os.h>
#include <xen/hypervisor.h>

struct xengnt_notify {
	uint32_t	action;		/* UNMAP_NOTIFY_*; 0: none */
	evtchn_port_t	port;
	uint64_t	byte;		/* offset from the start of the map
					   or gref */
};

/*
 * Whether a caller may arm this: EINVAL for unknown actions (N2) and for
 * ports that are not an end of an event channel (N3, K15).
 */
int	xengnt_notify_check(uint32_t action, evtchn_port_t port);

/* Replaces what was armed. */
void	xengnt_notify_arm(struct xengnt_notify *notify, uint32_t action,
	    evtchn_port_t port, uint64_t byte);

/* Sends the event, if one is armed, and disarms. */
void	xengnt_notify_send(struct xengnt_notify *notify);

/* Whether any notification in the system is armed. */
bool	xengnt_notify_any(void);

#endif /* !_XENGNT_NOTIFY_H_ */
