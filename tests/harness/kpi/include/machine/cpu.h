/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef _MACHINE_CPU_H_
#define	_MACHINE_CPU_H_

#define	cpu_spinwait()	__builtin_ia32_pause()

#endif /* !_MACHINE_CPU_H_ */
