/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a FreeBSD Dom0 is asked about itself after the cases: its counters,
 * and whether modules come and go.  Part of the peer program, which is a
 * native one on every target.
 */
#ifndef SYSTEM_H
#define	SYSTEM_H

#include <stdbool.h>
#include <stddef.h>

/* Answers a request into reply; false if it is none of these. */
bool	system_request(int argc, char **argv, char *reply, size_t len);

#endif /* !SYSTEM_H */
