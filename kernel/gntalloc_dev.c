/* SPDX-License-Identifier: BSD-2-Clause */
/* /dev/xen/gntalloc: entry points and the life of an open file. */

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

#include <xen/gntalloc.h>

#include "xengnt.h"
#include "gntalloc.h"

void
gntalloc_file_hold(struct gntalloc_file *file)
{

	refcount_acquire(&file->refs);
}

void
gntalloc_file_rele(struct gntalloc_file *file)
{

	if (!refcount_release(&file->refs))
		return;
	gntalloc_file_release_grefs(file);
	sx_destroy(&file->lock);
	free(file, M_XENGNT);
	xengnt_unhold();
}

static void
gntalloc_close(void *arg)
{

	gntalloc_file_rele(arg);
}

static int
gntalloc_open(struct cdev *dev __unused, int oflags, int devtype __unused,
    struct thread *td __unused)
{
	struct gntalloc_file *file;
	int error;

	error = xengnt_hold();
	if (error != 0)
		return (error);
	file = malloc(sizeof(*file), M_XENGNT, M_WAITOK | M_ZERO);
	sx_init(&file->lock, "gntalloc file");
	refcount_init(&file->refs, 1);
	file->oflags = oflags;
	RB_INIT(&file->grefs);
	error = devfs_set_cdevpriv(file, gntalloc_close);
	if (error != 0)
		gntalloc_file_rele(file);
	return (error);
}

static int
gntalloc_ioctl(struct cdev *dev __unused, u_long cmd, caddr_t data,
    int fflag __unused, struct thread *td __unused)
{
	struct gntalloc_file *file;
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
	case IOCTL_GNTALLOC_ALLOC_GREF:
		return (gntalloc_ioctl_alloc(file, XENGNT_UARG(data)));
	case IOCTL_GNTALLOC_DEALLOC_GREF:
		return (gntalloc_ioctl_dealloc(file, XENGNT_UARG(data)));
	default:
		return (ENOTTY);
	}
}

static int
gntalloc_mmap_single(struct cdev *dev __unused, vm_ooffset_t *offset,
    vm_size_t size, struct vm_object **object, int nprot)
{
	struct gntalloc_file *file;
	int error;

	error = devfs_get_cdevpriv((void **)&file);
	if (error != 0)
		return (error);
	return (gntalloc_mmap(file, offset, size, object, nprot));
}

/* Without these the cdev layer would answer ENODEV (row O6). */
static int
gntalloc_rw(struct cdev *dev __unused, struct uio *uio __unused,
    int ioflag __unused)
{

	return (EINVAL);
}

struct cdevsw gntalloc_cdevsw = {
	.d_version =	D_VERSION,
	.d_name =	"gntalloc",
	.d_open =	gntalloc_open,
	.d_ioctl =	gntalloc_ioctl,
	.d_mmap_single = gntalloc_mmap_single,
	.d_read =	gntalloc_rw,
	.d_write =	gntalloc_rw,
};
