/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The Linuxulator's way to a driver: handlers for ranges of commands' low
 * halves, and the file behind a descriptor.
 */

#include <sys/param.h>
#include <sys/systm.h>
#include <sys/capsicum.h>
#include <sys/file.h>
#include <sys/proc.h>
#include <sys/refcount.h>
#include <sys/vnode.h>

#include <machine/../linux/linux.h>
#include <machine/../linux/linux_proto.h>
#include <compat/linux/linux_ioctl.h>

#include "kpi.h"

const cap_rights_t cap_ioctl_rights = { { 1, 0 } };

/* Registered before main(), as modules are when they are loaded. */
#define	HANDLERS_MAX	4
static struct linux_ioctl_handler *handlers[HANDLERS_MAX];

int
linux_ioctl_register_handler(struct linux_ioctl_handler *h)
{
	u_int i;

	if (h == NULL || h->func == NULL)
		return (EINVAL);
	for (i = 0; i < HANDLERS_MAX; i++)
		if (handlers[i] == NULL) {
			handlers[i] = h;
			return (0);
		}
	panic("too many handlers of Linux's commands");
}

int
linux_ioctl_unregister_handler(struct linux_ioctl_handler *h)
{
	u_int i;

	for (i = 0; i < HANDLERS_MAX; i++)
		if (handlers[i] == h) {
			handlers[i] = NULL;
			return (0);
		}
	return (EINVAL);
}

/* The one descriptor that a thread has while it is in here. */
#define	LINUX_FD	7
static __thread struct file *linux_file;

int
fget(struct thread *td, int fd, const struct cap_rights *rights,
    struct file **fpp)
{

	KASSERT(td == curthread, ("fget: of another thread"));
	KASSERT(rights == &cap_ioctl_rights, ("fget: not the right to ioctl"));
	if (fd != LINUX_FD || linux_file == NULL)
		return (EBADF);
	refcount_acquire(&linux_file->f_count);
	*fpp = linux_file;
	return (0);
}

int
fdrop(struct file *fp, struct thread *td)
{

	if (fp->f_type == DTYPE_VNODE)
		harness_close(fp);
	else
		refcount_release(&fp->f_count);
	return (0);
}

/* ENOSYS: no module takes it. */
int
harness_linux_ioctl(struct file *fp, uint32_t cmd, uintptr_t arg)
{
	struct linux_ioctl_args args;
	struct file other;
	u_int i, taken;
	int error, low;

	memset(&other, 0, sizeof(other));
	other.f_type = DTYPE_SOCKET;
	other.f_flag = FREAD | FWRITE;
	other.f_count = 1;
	low = (int)(cmd & 0xffff);
	error = ENOIOCTL;
	taken = 0;
	for (i = 0; error == ENOIOCTL && i < HANDLERS_MAX; i++) {
		if (handlers[i] == NULL)
			continue;
		taken++;
		if (low < handlers[i]->low || low > handlers[i]->high)
			continue;
		memset(&args, 0, sizeof(args));
		args.fd = LINUX_FD;
		args.cmd = cmd;
		args.arg = arg;
		linux_file = fp != NULL ? fp : &other;
		error = handlers[i]->func(curthread, &args);
		linux_file = NULL;
		kpi_no_locks("a handler of Linux's commands returned");
		KASSERT(other.f_count == 1, ("a handler of Linux's commands "
		    "kept the file"));
	}
	if (taken == 0)
		return (ENOSYS);
	return (error);
}
