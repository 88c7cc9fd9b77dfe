/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 The xengnt authors */
/* /dev/xen/gntdev: entry points. */

#include "xengnt_vm.h"

#include <sys/systm.h>
#include <sys/conf.h>
#include <sys/errno.h>

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
ioctl_unmap(struct xengnt_file *file, char *uarg)
{
	struct ioctl_gntdev_unmap_grant_ref op;
	int error;

	error = copyin(uarg, &op, sizeof(op));
	return (error != 0 ? error : gntdev_unmap(file, &op));
}

static int
ioctl_get_offset(char *uarg)
{
	struct ioctl_gntdev_get_offset_for_vaddr op;
	int error;

	error = copyin(uarg, &op, sizeof(op));
	if (error == 0)
		error = gntdev_get_offset(&op);
	return (error != 0 ? error : copyout(&op, uarg, sizeof(op)));
}

static int
ioctl_set_notify(struct xengnt_file *file, char *uarg)
{
	struct ioctl_gntdev_unmap_notify op;
	int error;

	error = copyin(uarg, &op, sizeof(op));
	return (error != 0 ? error : gntdev_set_notify(file, &op));
}

static int
gntdev_ioctl(struct cdev *dev __unused, u_long cmd, caddr_t data,
    int fflag __unused, struct thread *td __unused)
{
	struct xengnt_file *file;
	int error;

	error = xengnt_file_ioctl(cmd, &file);
	if (error != 0)
		return (error == EJUSTRETURN ? 0 : error);
	switch (cmd) {
	case IOCTL_GNTDEV_MAP_GRANT_REF:
		return (gntdev_ioctl_map(file, XENGNT_UARG(data)));
	case IOCTL_GNTDEV_UNMAP_GRANT_REF:
		return (ioctl_unmap(file, XENGNT_UARG(data)));
	case IOCTL_GNTDEV_GET_OFFSET_FOR_VADDR:
		return (ioctl_get_offset(XENGNT_UARG(data)));
	case IOCTL_GNTDEV_SET_UNMAP_NOTIFY:
		return (ioctl_set_notify(file, XENGNT_UARG(data)));
	case IOCTL_GNTDEV_GRANT_COPY:
		return (gntdev_ioctl_copy(XENGNT_UARG(data)));
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
