/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef _XEN_ERROR_H_
#define	_XEN_ERROR_H_

/* FreeBSD's number of a negative errno of Xen. */
int	xen_translate_error(int error);

#endif /* !_XEN_ERROR_H_ */
