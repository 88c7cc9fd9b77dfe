/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What else is in a FreeBSD kernel, for tests to put in the driver's way.
 * Seen by tests and by kernel code: plain C types only.
 */
#ifndef _STAND_IN_H_
#define	_STAND_IN_H_

#include <stdbool.h>

/* A node of somebody else, as FreeBSD's own gntdev has it. */
void	stand_in_node(int i, const char *name);
void	stand_in_node_gone(int i);

/* The calling process is a 32-bit one (row O5). */
void	stand_in_ilp32(bool on);

#endif /* !_STAND_IN_H_ */
