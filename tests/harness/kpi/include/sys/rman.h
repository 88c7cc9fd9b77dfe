/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef _SYS_RMAN_H_
#define	_SYS_RMAN_H_

#include <sys/types.h>

struct resource;

rman_res_t rman_get_start(struct resource *);
void	*rman_get_virtual(struct resource *);

#endif /* !_SYS_RMAN_H_ */
