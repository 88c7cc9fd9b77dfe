/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef _SYS_SYSLOG_H_
#define	_SYS_SYSLOG_H_

#define	LOG_ERR		3
#define	LOG_NOTICE	5

#endif /* !_SYS_SYSLOG_H_ */
