/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef _SYS_CDEFS_H_
#define	_SYS_CDEFS_H_

#define	__CONCAT1(x, y)	x ## y
#define	__CONCAT(x, y)	__CONCAT1(x, y)
#define	__STRING(x)	#x

#define	__unused	__attribute__((__unused__))
#define	__aligned(x)	__attribute__((__aligned__(x)))
#define	__dead2		__attribute__((__noreturn__))
#define	__nodiscard	__attribute__((__warn_unused_result__))
#define	__printflike(fmt, first) \
	__attribute__((__format__(__printf__, fmt, first)))
#define	__predict_false(e)	__builtin_expect((e), 0)

#define	__offsetof(type, field)	__builtin_offsetof(type, field)
#define	__containerof(x, s, m) ({					\
	const volatile __typeof(((s *)0)->m) *__x = (x);		\
	((s *)(uintptr_t)((const volatile char *)__x -			\
	    __offsetof(s, m)));						\
})
#define	__DECONST(type, var)	((type)(uintptr_t)(const void *)(var))
#define	__DEVOLATILE(type, var)	((type)(uintptr_t)(volatile void *)(var))

typedef __UINTPTR_TYPE__ __uintptr_t;

/*
 * Names that the host's C library also has: the shim's functions get other
 * symbols.
 */
#define	__kpi_symbol(name)	__asm__("kpi_" #name)

#endif /* !_SYS_CDEFS_H_ */
