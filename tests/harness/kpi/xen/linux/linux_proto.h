/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef _LINUX_LINUX_PROTO_H_
#define	_LINUX_LINUX_PROTO_H_

#include <linux/linux.h>

/* Each argument is one register. */
struct linux_ioctl_args {
	l_uint	fd;
	char	fd_r_[4];
	l_uint	cmd;
	char	cmd_r_[4];
	l_ulong	arg;
};

#endif /* !_LINUX_LINUX_PROTO_H_ */
