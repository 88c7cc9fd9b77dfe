/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef _COMPAT_LINUX_LINUX_IOCTL_H_
#define	_COMPAT_LINUX_LINUX_IOCTL_H_

#include <sys/kernel.h>

struct linux_ioctl_args;
struct thread;

typedef int linux_ioctl_function_t(struct thread *, struct linux_ioctl_args *);

/* A range of what a command word has in its low half. */
struct linux_ioctl_handler {
	linux_ioctl_function_t *func;
	int	low, high;
};

int	linux_ioctl_register_handler(struct linux_ioctl_handler *);
int	linux_ioctl_unregister_handler(struct linux_ioctl_handler *);

#define	LINUX_IOCTL_SET(n, low, high)					\
	static linux_ioctl_function_t n##_linux_ioctl;			\
	static struct linux_ioctl_handler n##_linux_handler = {		\
		n##_linux_ioctl, low, high				\
	};								\
	SYSINIT(n##_ioctl_register, SI_SUB_KLD, SI_ORDER_MIDDLE,	\
	    linux_ioctl_register_handler, &n##_linux_handler);		\
	SYSUNINIT(n##_ioctl_unregister, SI_SUB_KLD, SI_ORDER_MIDDLE,	\
	    linux_ioctl_unregister_handler, &n##_linux_handler)

#endif /* !_COMPAT_LINUX_LINUX_IOCTL_H_ */
