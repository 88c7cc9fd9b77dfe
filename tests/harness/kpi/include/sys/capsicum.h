/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef _SYS_CAPSICUM_H_
#define	_SYS_CAPSICUM_H_

typedef struct cap_rights {
	unsigned long	cr_rights[2];
} cap_rights_t;

extern const cap_rights_t cap_ioctl_rights;

#endif /* !_SYS_CAPSICUM_H_ */
