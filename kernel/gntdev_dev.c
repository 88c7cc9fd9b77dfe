/* SPDX-License-Identifier: BSD-2-Clause */
/* /dev/xen/gntdev: entry points and the life of an open file. */

#include "compat.h"

#include <sys/systm.h>
#include <sys/conf.h>
#include <sys/errno.h>
#include <sys/fcntl.h>
#include <sys/filio.h>
#include <sys/kernel.h>
#include <sys/proc.h>
#include <sys/refcount.h>
#include <sys/sysent.h>

#include <xen/gntdev.h>

#include "xengnt.h"
#include "gntdev.h"

void
gntdev_file_hold(struct gntdev_file *file)
{

	refcount_acquire(&file->refs);
}

void
gntdev_file_rele(struct gntdev_file *file)
{

	if (!refcount_release(&file->refs))
		return;
	gntdev_file_release_maps(file);
	sx_destroy(&file->lock);
	free(file, M_XENGNT);
	xengnt_unhold();
}

static void
gntdev_close(void *arg)
{

	gntdev_file_rele(arg);
}

/* Any access mode will do (row O1); mmap(2) looks at it later. */
static int
gntdev_open(struct cdev *dev __unused, int oflags, int devtype __unused,
    struct thread *td __unused)
{
	struct gntdev_file *file;
	int error;

	error = xengnt_hold();
	if (error != 0)
		return (error);
	file = malloc(sizeof(*file), M_XENGNT, M_WAITOK | M_ZERO);
	sx_init(&file->lock, "gntdev file");
	refcount_init(&file->refs, 1);
	file->oflags = oflags;
	RB_INIT(&file->maps);
	error = devfs_set_cdevpriv(file, gntdev_close);
	if (error != 0)
		gntdev_file_rele(file);
	return (error);
}

static int
gntdev_ioctl(struct cdev *dev __unused, u_long cmd, caddr_t data,
    int fflag __unused, struct thread *td __unused)
{
	struct gntdev_file *file;
	char *uarg;
	int error;

	if (cmd == FIONBIO || cmd == FIOASYNC)
		return (0);
	/* The layouts are those of LP64 (row O5, K13). */
	if (SV_CURPROC_FLAG(SV_ILP32))
		return (ENOTTY);
	error = devfs_get_cdevpriv((void **)&file);
	if (error != 0)
		return (error);
	switch (cmd) {
	case IOCTL_GNTDEV_MAP_GRANT_REF:
		uarg = XENGNT_UARG(data);
		return (gntdev_ioctl_map(file, uarg));
	case IOCTL_GNTDEV_UNMAP_GRANT_REF:
		uarg = XENGNT_UARG(data);
		return (gntdev_ioctl_unmap(file, uarg));
	case IOCTL_GNTDEV_GET_OFFSET_FOR_VADDR:
		uarg = XENGNT_UARG(data);
		return (gntdev_ioctl_get_offset(uarg));
	case IOCTL_GNTDEV_GRANT_COPY:
		uarg = XENGNT_UARG(data);
		return (gntdev_ioctl_copy(uarg));
	default:
		return (ENOTTY);
	}
}

static int
gntdev_mmap_single(struct cdev *dev __unused, vm_ooffset_t *offset,
    vm_size_t size, struct vm_object **object, int nprot)
{
	struct gntdev_file *file;
	int error;

	error = devfs_get_cdevpriv((void **)&file);
	if (error != 0)
		return (error);
	return (gntdev_mmap(file, offset, size, object, nprot));
}

/* Without these the cdev layer would answer ENODEV (row O6). */
static int
gntdev_rw(struct cdev *dev __unused, struct uio *uio __unused,
    int ioflag __unused)
{

	return (EINVAL);
}

struct cdevsw gntdev_cdevsw = {
	.d_version =	D_VERSION,
	.d_name =	"gntdev",
	.d_open =	gntdev_open,
	.d_ioctl =	gntdev_ioctl,
	.d_mmap_single = gntdev_mmap_single,
	.d_read =	gntdev_rw,
	.d_write =	gntdev_rw,
};
