/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef _MACHINE_BUS_H_
#define	_MACHINE_BUS_H_

#include <sys/types.h>

typedef int		bus_space_tag_t;
typedef uint64_t	bus_space_handle_t;
typedef uint64_t	bus_addr_t;
typedef uint64_t	bus_size_t;

#endif /* !_MACHINE_BUS_H_ */
