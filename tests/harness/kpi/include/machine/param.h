/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef _MACHINE_PARAM_H_
#define	_MACHINE_PARAM_H_

#define	PAGE_SHIFT	12
#define	PAGE_SIZE	(1 << PAGE_SHIFT)
#define	PAGE_MASK	(PAGE_SIZE - 1)

#endif /* !_MACHINE_PARAM_H_ */
