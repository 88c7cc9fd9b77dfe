/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef _SYS_UIO_H_
#define	_SYS_UIO_H_

#include <sys/types.h>

struct uio;

#endif /* !_SYS_UIO_H_ */
