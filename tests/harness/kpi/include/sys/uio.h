/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef _SYS_UIO_H_
#define	_SYS_UIO_H_

#include <sys/types.h>

enum uio_rw { UIO_READ, UIO_WRITE };

/* One piece of the process's memory. */
struct uio {
	ssize_t		uio_resid;
	enum uio_rw	uio_rw;
	char		*kpi_user;
};

int	uiomove(void *cp, int n, struct uio *);

#endif /* !_SYS_UIO_H_ */
