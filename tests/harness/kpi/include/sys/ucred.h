/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef _SYS_UCRED_H_
#define	_SYS_UCRED_H_

#include <sys/types.h>

struct ucred {
	u_int	cr_ref;
};

#endif /* !_SYS_UCRED_H_ */
