/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Other parts of a FreeBSD kernel, for tests to put in the driver's way.  Tests
 * and kernel code include this: plain C types only.
 */
#ifndef _STAND_IN_H_
#define	_STAND_IN_H_

#include <stdbool.h>

/* Another driver's node, such as that of FreeBSD's own gntdev. */
void	stand_in_node(int i, const char *name);
void	stand_in_node_gone(int i);

/* The calling process is a 32-bit one (row O5). */
void	stand_in_ilp32(bool on);

#endif /* !_STAND_IN_H_ */
