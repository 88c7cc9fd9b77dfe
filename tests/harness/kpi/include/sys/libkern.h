/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef _SYS_LIBKERN_H_
#define	_SYS_LIBKERN_H_

#include <sys/systm.h>

#endif /* !_SYS_LIBKERN_H_ */
