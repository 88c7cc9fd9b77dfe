/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef _SYS_TYPES_H_
#define	_SYS_TYPES_H_

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <sys/cdefs.h>

typedef unsigned char	u_char;
typedef unsigned short	u_short;
typedef unsigned int	u_int;
typedef unsigned long	u_long;
typedef uint8_t		u_int8_t;
typedef uint16_t	u_int16_t;
typedef uint32_t	u_int32_t;
typedef uint64_t	u_int64_t;
typedef char		*caddr_t;
typedef const char	*c_caddr_t;

typedef int64_t		off_t;
typedef long		ssize_t;
typedef int64_t		time_t;
typedef int32_t		pid_t;
typedef uint32_t	uid_t;
typedef uint32_t	gid_t;
typedef uint16_t	mode_t;
typedef uint64_t	dev_t;
typedef int		boolean_t;
#define	TRUE		1
typedef int64_t		sbintime_t;

typedef struct _device	*device_t;
typedef uintmax_t	rman_res_t;

typedef uint64_t	vm_offset_t;
typedef int64_t		vm_ooffset_t;
typedef uint64_t	vm_paddr_t;
typedef uint64_t	vm_pindex_t;
typedef uint64_t	vm_size_t;

typedef struct vm_page	*vm_page_t;

#endif /* !_SYS_TYPES_H_ */
