/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 The xengnt authors */
/*
 * The end of a process (REFERENCE 7.6, option 3).
 *
 * Linux takes the address space down before it closes files, so a dying
 * process's notifications reach its peers through event channels that are
 * still open.  FreeBSD closes files first (K9).  So what is bound to go with
 * the process fires early here: for pages that live by their mapping alone
 * before any descriptor is closed, for a file's own when its descriptor is
 * closed.  Unmapping itself waits for its turn.
 */
#ifndef _XENGNT_EXIT_H_
#define	_XENGNT_EXIT_H_

#include <sys/types.h>

struct xengnt_file;

void	xengnt_exit_init(void);
void	xengnt_exit_fini(void);

/* A descriptor's end, before its reference on the file goes. */
void	xengnt_exit_close(struct xengnt_file *file);

#endif /* !_XENGNT_EXIT_H_ */
