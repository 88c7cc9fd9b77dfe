/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef _LINUX_MI_H_
#define	_LINUX_MI_H_

/* Nothing of it is used: the types are in <machine/../linux/linux.h>. */

#endif /* !_LINUX_MI_H_ */
