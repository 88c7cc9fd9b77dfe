/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 The xengnt authors */
/*
 * Linux's own ioctl commands, for Linux binaries.
 *
 * The Linuxulator asks every handler registered for a range of commands.
 * Commands of other devices may be in ours, so a file that is not the driver's
 * is passed on.
 */

#include <sys/param.h>
#include <sys/systm.h>
#include <sys/capsicum.h>
#include <sys/conf.h>
#include <sys/errno.h>
#include <sys/file.h>
#include <sys/kernel.h>
#include <sys/module.h>
#include <sys/proc.h>
#include <sys/sysent.h>
#include <sys/vnode.h>

#include <machine/../linux/linux.h>
#include <machine/../linux/linux_proto.h>
#include <compat/linux/linux_ioctl.h>

#include <xen/gntalloc.h>
#include <xen/gntdev.h>

#include "../xengnt.h"

/* Linux's _IOC(_IOC_NONE, 'G', nr, size). */
#define	LINUX_WORD(nr, size)	((uint32_t)(size) << 16 | 'G' << 8 | (nr))

#define	WORD(name, type)						\
	{ LINUX_WORD(IOCTL_##name & 0xff, sizeof(struct type)), IOCTL_##name }
static const struct {
	uint32_t	linux_word;
	u_long		word;
} words[] = {
	WORD(GNTDEV_MAP_GRANT_REF, ioctl_gntdev_map_grant_ref),
	WORD(GNTDEV_UNMAP_GRANT_REF, ioctl_gntdev_unmap_grant_ref),
	WORD(GNTDEV_GET_OFFSET_FOR_VADDR, ioctl_gntdev_get_offset_for_vaddr),
	WORD(GNTALLOC_ALLOC_GREF, ioctl_gntalloc_alloc_gref),
	WORD(GNTALLOC_DEALLOC_GREF, ioctl_gntalloc_dealloc_gref),
	/* Both devices have this command. */
	WORD(GNTDEV_SET_UNMAP_NOTIFY, ioctl_gntdev_unmap_notify),
	WORD(GNTDEV_GRANT_COPY, ioctl_gntdev_grant_copy),
};
CTASSERT(IOCTL_GNTALLOC_SET_UNMAP_NOTIFY == IOCTL_GNTDEV_SET_UNMAP_NOTIFY);

/* The whole group 'G': unknown commands are ENOTTY on Linux, too (O4). */
#define	FIRST_WORD	0x4700
#define	LAST_WORD	0x47ff

static bool
file_is_ours(struct file *fp)
{
	struct vnode *vp;
	struct cdev *dev;
	bool ours;

	if (fp->f_type != DTYPE_VNODE)
		return (false);
	vp = fp->f_vnode;
	/* The lock keeps the device in place (destroy_dev). */
	VI_LOCK(vp);
	dev = vp->v_type == VCHR ? vp->v_rdev : NULL;
	ours = dev != NULL && (dev->si_devsw == &gntdev_cdevsw ||
	    dev->si_devsw == &gntalloc_cdevsw);
	VI_UNLOCK(vp);
	return (ours);
}

static int
xengnt_linux_ioctl(struct thread *td, struct linux_ioctl_args *args)
{
	struct file *fp;
	u_int i;
	int error;

	error = fget(td, args->fd, &cap_ioctl_rights, &fp);
	if (error != 0)
		return (error);
	if (!file_is_ours(fp)) {
		error = ENOIOCTL;
		goto out;
	}
	/* ENOTTY for 32-bit callers and all but Linux's commands (O4, O5). */
	error = ENOTTY;
	if (SV_CURPROC_FLAG(SV_ILP32))
		goto out;
	for (i = 0; i < nitems(words); i++)
		if (words[i].linux_word == args->cmd)
			break;
	/* For fo_ioctl(), &args->arg is like a native call's argument slot. */
	if (i < nitems(words))
		error = fo_ioctl(fp, words[i].word, (void *)&args->arg,
		    td->td_ucred, td);
out:
	fdrop(fp, td);
	return (error);
}

static struct linux_ioctl_handler xengnt_linux_handler = {
	.func =	xengnt_linux_ioctl,
	.low =	FIRST_WORD,
	.high =	LAST_WORD,
};

static int
xengnt_linux_event(module_t mod __unused, int what, void *arg __unused)
{

	switch (what) {
	case MOD_LOAD:
		return (linux_ioctl_register_handler(&xengnt_linux_handler));
	case MOD_UNLOAD:
		return (linux_ioctl_unregister_handler(&xengnt_linux_handler));
	default:
		return (EOPNOTSUPP);
	}
}

static moduledata_t xengnt_linux_module = {
	"xengnt_linux",
	xengnt_linux_event,
	NULL,
};

DECLARE_MODULE(xengnt_linux, xengnt_linux_module, SI_SUB_DRIVERS,
    SI_ORDER_ANY);
MODULE_VERSION(xengnt_linux, 1);
MODULE_DEPEND(xengnt_linux, xengnt, 1, 1, 1);
MODULE_DEPEND(xengnt_linux, linux64, 1, 1, 1);
