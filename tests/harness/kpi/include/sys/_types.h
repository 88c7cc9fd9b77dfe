/* SPDX-License-Identifier: BSD-2-Clause */
/* GCC's <stddef.h> includes this when it compiles for FreeBSD. */
#include <sys/cdefs.h>
