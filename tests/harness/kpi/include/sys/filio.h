/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef _SYS_FILIO_H_
#define	_SYS_FILIO_H_

#include <sys/ioccom.h>

#define	FIOASYNC	_IOW('f', 125, int)
#define	FIONBIO		_IOW('f', 126, int)

#endif /* !_SYS_FILIO_H_ */
