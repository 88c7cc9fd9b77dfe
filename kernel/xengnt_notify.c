/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 The xengnt authors */

#include <sys/param.h>
#include <sys/systm.h>
#include <sys/kernel.h>
#include <sys/sdt.h>

#include <machine/atomic.h>

#include <xen/gntdev.h>

#include "xengnt.h"
#include "xengnt_notify.h"
#include "xengnt_stats.h"

/* Number of armed notifications: a hint for xengnt_exit.c. */
static volatile u_int notify_armed;

/* Whether it is either end of a channel that a program may have (K15). */
static bool
port_is_channel(evtchn_port_t port)
{
	struct evtchn_status status = { .dom = DOMID_SELF, .port = port };

	return (HYPERVISOR_event_channel_op(EVTCHNOP_status, &status) == 0 &&
	    (status.status == EVTCHNSTAT_interdomain ||
	    status.status == EVTCHNSTAT_unbound));
}

int
xengnt_notify_check(uint32_t action, evtchn_port_t port)
{

	if ((action & ~(UNMAP_NOTIFY_CLEAR_BYTE | UNMAP_NOTIFY_SEND_EVENT)) !=
	    0)
		return (EINVAL);
	/* Without an event the port is not checked (N10). */
	if ((action & UNMAP_NOTIFY_SEND_EVENT) != 0 && !port_is_channel(port))
		return (EINVAL);
	return (0);
}

void
xengnt_notify_arm(struct xengnt_notify *notify, uint32_t action,
    evtchn_port_t port, uint64_t byte)
{

	if (notify->action == 0 && action != 0)
		atomic_add_int(&notify_armed, 1);
	else if (notify->action != 0 && action == 0)
		atomic_subtract_int(&notify_armed, 1);
	notify->action = action;
	notify->port = port;
	notify->byte = byte;
}

void
xengnt_notify_send(struct xengnt_notify *notify)
{
	struct evtchn_send send = { .port = notify->port };
	bool sent;

	if ((notify->action & UNMAP_NOTIFY_SEND_EVENT) != 0) {
		/*
		 * The port may have another owner by now.  To one of the
		 * kernel's own handlers an event is harmless, but the port of a
		 * VIRQ or an IPI must never be signalled.
		 */
		sent = port_is_channel(notify->port) &&
		    HYPERVISOR_event_channel_op(EVTCHNOP_send, &send) == 0;
		counter_u64_add(sent ? xengnt_events : xengnt_events_lost, 1);
		SDT_PROBE2(xengnt, , notify, send, notify->port, sent);
	}
	xengnt_notify_arm(notify, 0, 0, 0);
}

bool
xengnt_notify_any(void)
{

	return (atomic_load_int(&notify_armed) != 0);
}
