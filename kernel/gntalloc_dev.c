/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 The xengnt authors */
/* /dev/xen/gntalloc: entry points. */

#include <sys/param.h>
#include <sys/systm.h>
#include <sys/conf.h>
#include <sys/fcntl.h>

#include <vm/vm.h>

#include <xen/gntalloc.h>

#include "xengnt.h"
#include "xengnt_file.h"
#include "gntalloc_var.h"

static int
gntalloc_open(struct cdev *dev __unused, int oflags, int devtype __unused,
    struct thread *td __unused)
{

	return (xengnt_file_open(oflags, 0));
}

static int
gntalloc_ioctl(struct cdev *dev __unused, u_long cmd, caddr_t data,
    int fflag __unused, struct thread *td __unused)
{
	union {
		struct ioctl_gntalloc_alloc_gref alloc;
		struct ioctl_gntalloc_dealloc_gref dealloc;
		struct ioctl_gntalloc_unmap_notify notify;
	} op;
	struct xengnt_file *file;
	char *uarg;
	int error;

	error = xengnt_file_ioctl(cmd, &file);
	if (error != 0)
		return (error == EJUSTRETURN ? 0 : error);
	uarg = XENGNT_UARG(data);
	switch (cmd) {
	case IOCTL_GNTALLOC_ALLOC_GREF:
		error = copyin(uarg, &op.alloc, sizeof(op.alloc));
		return (error != 0 ? error : gntalloc_alloc(file, &op.alloc,
		    uarg, uarg +
		    offsetof(struct ioctl_gntalloc_alloc_gref, gref_ids)));
	case IOCTL_GNTALLOC_DEALLOC_GREF:
		error = copyin(uarg, &op.dealloc, sizeof(op.dealloc));
		return (error != 0 ? error :
		    gntalloc_dealloc(file, &op.dealloc));
	case IOCTL_GNTALLOC_SET_UNMAP_NOTIFY:
		error = copyin(uarg, &op.notify, sizeof(op.notify));
		return (error != 0 ? error :
		    gntalloc_set_notify(file, &op.notify));
	default:
		return (ENOTTY);
	}
}

static int
gntalloc_mmap_single(struct cdev *dev __unused, vm_ooffset_t *offset,
    vm_size_t size, struct vm_object **object, int nprot)
{
	struct xengnt_file *file;
	int error;

	error = xengnt_file_mmap(&file);
	/* Linux refuses to map a read-only descriptor shared. */
	if (error == 0 && (file->oflags & FWRITE) == 0)
		error = EINVAL;
	if (error != 0)
		return (error);
	return (gntalloc_mmap(file, offset, size, object, nprot));
}

struct cdevsw gntalloc_cdevsw = {
	.d_version =	D_VERSION,
	.d_name =	"gntalloc",
	.d_open =	gntalloc_open,
	.d_ioctl =	gntalloc_ioctl,
	.d_mmap_single = gntalloc_mmap_single,
	.d_read =	xengnt_file_rw,
	.d_write =	xengnt_file_rw,
};
