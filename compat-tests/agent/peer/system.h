/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Questions to a FreeBSD Dom0 about itself after the cases: its counters, and
 * whether modules load and unload.  Part of the peer program, which is a native
 * one on every target.
 */
#ifndef SYSTEM_H
#define	SYSTEM_H

#include <stdbool.h>
#include <stddef.h>

/* Answers a request into reply; false if it is not one of these. */
bool	system_request(int argc, char **argv, char *reply, size_t len);

#endif /* !SYSTEM_H */
