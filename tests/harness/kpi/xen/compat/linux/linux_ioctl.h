/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef _COMPAT_LINUX_LINUX_IOCTL_H_
#define	_COMPAT_LINUX_LINUX_IOCTL_H_

#include <sys/kernel.h>

struct linux_ioctl_args;
struct thread;

typedef int linux_ioctl_function_t(struct thread *, struct linux_ioctl_args *);

/* A range of the low halves of commands. */
struct linux_ioctl_handler {
	linux_ioctl_function_t *func;
	int	low, high;
};

int	linux_ioctl_register_handler(struct linux_ioctl_handler *);
int	linux_ioctl_unregister_handler(struct linux_ioctl_handler *);

#endif /* !_COMPAT_LINUX_LINUX_IOCTL_H_ */
