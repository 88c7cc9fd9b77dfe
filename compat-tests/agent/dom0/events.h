/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef EVENTS_H
#define	EVENTS_H

/*
 * Starts the helper of event_helper.h, which later children inherit; 0 or
 * errno.
 */
int events_start(void);

#endif /* !EVENTS_H */
