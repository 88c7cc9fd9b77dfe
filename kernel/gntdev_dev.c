/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 The xengnt authors */
/* /dev/xen/gntdev: entry points. */

#include <sys/param.h>
#include <sys/systm.h>
#include <sys/conf.h>

#include <vm/vm.h>

#include <xen/gntdev.h>

#include "xengnt.h"
#include "xengnt_file.h"
#include "gntdev_var.h"

static int
gntdev_open(struct cdev *dev __unused, int oflags, int devtype __unused,
    struct thread *td __unused)
{

	return (xengnt_file_open(oflags, GNTDEV_BASE_FIRST_GREF));
}

static int
gntdev_ioctl(struct cdev *dev __unused, u_long cmd, caddr_t data,
    int fflag __unused, struct thread *td __unused)
{
	union {
		struct ioctl_gntdev_map_grant_ref map;
		struct ioctl_gntdev_unmap_grant_ref unmap;
		struct ioctl_gntdev_get_offset_for_vaddr offset;
		struct ioctl_gntdev_unmap_notify notify;
		struct ioctl_gntdev_grant_copy copy;
	} op;
	struct xengnt_file *file;
	char *uarg;
	int error;

	error = xengnt_file_ioctl(cmd, &file);
	if (error != 0)
		return (error == EJUSTRETURN ? 0 : error);
	uarg = XENGNT_UARG(data);
	switch (cmd) {
	case IOCTL_GNTDEV_MAP_GRANT_REF:
		error = copyin(uarg, &op.map, sizeof(op.map));
		return (error != 0 ? error : gntdev_map(file, &op.map, uarg,
		    uarg + offsetof(struct ioctl_gntdev_map_grant_ref, refs)));
	case IOCTL_GNTDEV_UNMAP_GRANT_REF:
		error = copyin(uarg, &op.unmap, sizeof(op.unmap));
		return (error != 0 ? error : gntdev_unmap(file, &op.unmap));
	case IOCTL_GNTDEV_GET_OFFSET_FOR_VADDR:
		error = copyin(uarg, &op.offset, sizeof(op.offset));
		if (error == 0)
			error = gntdev_get_offset(&op.offset);
		return (error != 0 ? error :
		    copyout(&op.offset, uarg, sizeof(op.offset)));
	case IOCTL_GNTDEV_SET_UNMAP_NOTIFY:
		error = copyin(uarg, &op.notify, sizeof(op.notify));
		return (error != 0 ? error :
		    gntdev_set_notify(file, &op.notify));
	case IOCTL_GNTDEV_GRANT_COPY:
		error = copyin(uarg, &op.copy, sizeof(op.copy));
		return (error != 0 ? error : gntdev_copy(&op.copy));
	default:
		return (gntdev_base_ioctl(file, cmd, data));
	}
}

static int
gntdev_mmap_single(struct cdev *dev __unused, vm_ooffset_t *offset,
    vm_size_t size, struct vm_object **object, int nprot)
{
	struct xengnt_file *file;
	int error;

	error = xengnt_file_mmap(&file);
	if (error != 0)
		return (error);
	if (atop((vm_ooffset_t)*offset) >= GNTDEV_BASE_FIRST_GREF)
		return (gntdev_base_mmap(file, offset, size, object, nprot));
	return (gntdev_mmap(file, offset, size, object, nprot));
}

struct cdevsw gntdev_cdevsw = {
	.d_version =	D_VERSION,
	.d_name =	"gntdev",
	.d_open =	gntdev_open,
	.d_ioctl =	gntdev_ioctl,
	.d_mmap_single = gntdev_mmap_single,
	.d_read =	xengnt_file_rw,
	.d_write =	xengnt_file_rw,
};
