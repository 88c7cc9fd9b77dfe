/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 The xengnt authors */
/*
 * An open file of either node.
 *
 * It lives while its descriptor or any VM object made through it exists, and
 * everything on its lists is freed with it.  FreeBSD runs the cdevpriv
 * destructor at the last close even if VM objects remain, so the objects hold
 * the file here.
 *
 * It has one list for gntdev's maps and one for gntalloc's grefs: programs that
 * use the commands of FreeBSD's own gntdev have both in one file.
 */
#ifndef _XENGNT_FILE_H_
#define	_XENGNT_FILE_H_

#include <sys/types.h>
#include <sys/lock.h>
#include <sys/sx.h>

#include "xengnt.h"
#include "xengnt_index.h"

struct cdev;
struct uio;

struct xengnt_file {
	struct sx	lock;		/* guards what is marked (f) */
	u_int		refs;		/* descriptor + VM objects */
	int		oflags;		/* FREAD, FWRITE of the open */
	struct xengnt_index lists[XENGNT_LISTS]; /* (f) by page index */
	uint64_t	next_gref;	/* (f) page index; never decreases */
};

/*
 * For d_open, with any access mode.  Grefs get page indices from first_gref on.
 */
int	xengnt_file_open(int oflags, uint64_t first_gref);

void	xengnt_file_hold(struct xengnt_file *file);
void	xengnt_file_rele(struct xengnt_file *file);

/*
 * For d_ioctl: the file, or an errno.  EJUSTRETURN means that the command
 * succeeds without anything to do.
 */
int	xengnt_file_ioctl(u_long cmd, struct xengnt_file **file);

/* For d_mmap_single. */
int	xengnt_file_mmap(struct xengnt_file **file);

/* For d_read and d_write: EINVAL, where the cdev layer has ENODEV. */
int	xengnt_file_rw(struct cdev *dev, struct uio *uio, int ioflag);

#endif /* !_XENGNT_FILE_H_ */
