/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 The xengnt authors */

#include <sys/param.h>
#include <sys/systm.h>
#include <sys/conf.h>
#include <sys/fcntl.h>
#include <sys/filio.h>
#include <sys/kernel.h>
#include <sys/proc.h>
#include <sys/refcount.h>
#include <sys/sysent.h>

#include "xengnt.h"
#include "xengnt_file.h"

void
xengnt_file_hold(struct xengnt_file *file)
{

	refcount_acquire(&file->refs);
}

void
xengnt_file_rele(struct xengnt_file *file)
{
	int i;

	if (!refcount_release(&file->refs))
		return;
	/* Nobody else can reach the lists any more. */
	for (i = 0; i < XENGNT_LISTS; i++)
		xengnt_devices[i]->drop(&file->lists[i]);
	sx_destroy(&file->lock);
	free(file, M_XENGNT);
	xengnt_unhold();
}

static void
file_close(void *arg)
{

	xengnt_file_rele(arg);
}

int
xengnt_file_open(int oflags, uint64_t first_gref)
{
	struct xengnt_file *file;
	int error, i;

	error = xengnt_hold();
	if (error != 0)
		return (error);
	file = malloc(sizeof(*file), M_XENGNT, M_WAITOK | M_ZERO);
	sx_init(&file->lock, "xengnt file");
	refcount_init(&file->refs, 1);
	file->oflags = oflags;
	for (i = 0; i < XENGNT_LISTS; i++)
		RB_INIT(&file->lists[i]);
	file->next_gref = first_gref;
	error = devfs_set_cdevpriv(file, file_close);
	if (error != 0)
		xengnt_file_rele(file);
	return (error);
}

int
xengnt_file_ioctl(u_long cmd, struct xengnt_file **file)
{

	if (cmd == FIONBIO || cmd == FIOASYNC)
		return (EJUSTRETURN);
	/* The struct layouts are those of LP64 (K13). */
	if (SV_CURPROC_FLAG(SV_ILP32))
		return (ENOTTY);
	return (devfs_get_cdevpriv((void **)file));
}

int
xengnt_file_mmap(struct xengnt_file **file)
{
	int error;

	error = devfs_get_cdevpriv((void **)file);
	/* FreeBSD would let a write-only descriptor be mapped writable (K4). */
	if (error == 0 && ((*file)->oflags & FREAD) == 0)
		error = EACCES;
	return (error);
}

int
xengnt_file_rw(struct cdev *dev __unused, struct uio *uio __unused,
    int ioflag __unused)
{

	return (EINVAL);
}
