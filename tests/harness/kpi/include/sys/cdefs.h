/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef _SYS_CDEFS_H_
#define	_SYS_CDEFS_H_

#define	__BEGIN_DECLS
#define	__END_DECLS
#define	__CONCAT1(x, y)	x ## y
#define	__CONCAT(x, y)	__CONCAT1(x, y)
#define	__STRING(x)	#x
#define	__XSTRING(x)	__STRING(x)

#define	__unused	__attribute__((__unused__))
#define	__diagused	__unused
#define	__used		__attribute__((__used__))
#define	__packed	__attribute__((__packed__))
#define	__aligned(x)	__attribute__((__aligned__(x)))
#define	__section(x)	__attribute__((__section__(x)))
#define	__dead2		__attribute__((__noreturn__))
#define	__pure2		__attribute__((__const__))
#define	__always_inline	__inline __attribute__((__always_inline__))
#define	__noinline	__attribute__((__noinline__))
#define	__nodiscard	__attribute__((__warn_unused_result__))
#define	__result_use_check __nodiscard
#define	__malloc_like	__attribute__((__malloc__))
#define	__printflike(fmt, first) \
	__attribute__((__format__(__printf__, fmt, first)))
#define	__predict_true(e)	__builtin_expect((e), 1)
#define	__predict_false(e)	__builtin_expect((e), 0)
#define	__read_mostly
#define	__FBSDID(s)	struct __hack

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
 * Names that the C library of the host owns too: the shim's functions of
 * these names have other symbols.
 */
#define	__kpi_symbol(name)	__asm__("kpi_" #name)

#endif /* !_SYS_CDEFS_H_ */
