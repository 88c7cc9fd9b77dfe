/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef _SYS_SYSCTL_H_
#define	_SYS_SYSCTL_H_

#include <sys/counter.h>
#include <sys/kassert.h>

#define	OID_AUTO	(-1)
#define	CTLTYPE_INT	2
#define	CTLTYPE_U64	9
#define	CTLTYPE_UINT	6
#define	CTLFLAG_RD	0x80000000u
#define	CTLFLAG_WR	0x40000000u
#define	CTLFLAG_RW	(CTLFLAG_RD | CTLFLAG_WR)
#define	CTLFLAG_TUN	0x00080000u
#define	CTLFLAG_RWTUN	(CTLFLAG_RW | CTLFLAG_TUN)
#define	CTLFLAG_MPSAFE	0x00040000u

/* A variable that the harness finds by its name, dots as underscores. */
struct kpi_sysctl {
	const char	*name;
	u_int		type;
	u_int		flags;
	void		*ptr;
	struct kpi_sysctl *next;
};
void	kpi_sysctl_register(struct kpi_sysctl *);

#define	SYSCTL_DECL(name)	struct __hack
#define	SYSCTL_NODE(parent, nbr, name, access, handler, descr)		\
	struct __hack
#define	__KPI_SYSCTL(parent, name_, type_, access, ptr_)		\
	static struct kpi_sysctl __CONCAT(kpi_sysctl##parent##_, name_) = { \
		.name = #parent "_" #name_,				\
		.type = (type_),					\
		.flags = (access),					\
		.ptr = __DECONST(void *, (ptr_)),			\
	};								\
	static void __attribute__((__constructor__))			\
	__CONCAT(kpi_sysctl_add##parent##_, name_)(void)		\
	{								\
		kpi_sysctl_register(					\
		    &__CONCAT(kpi_sysctl##parent##_, name_));		\
	}								\
	struct __hack
#define	SYSCTL_UINT(parent, nbr, name, access, ptr, val, descr)		\
	CTASSERT(sizeof(*(ptr)) == sizeof(u_int));			\
	__KPI_SYSCTL(parent, name, CTLTYPE_UINT, access, ptr)
#define	SYSCTL_INT(parent, nbr, name, access, ptr, val, descr)		\
	CTASSERT(sizeof(*(ptr)) == sizeof(int));			\
	__KPI_SYSCTL(parent, name, CTLTYPE_INT, access, ptr)
#define	SYSCTL_COUNTER_U64(parent, nbr, name, access, ptr, descr)	\
	__KPI_SYSCTL(parent, name, CTLTYPE_U64, access, ptr)

#endif /* !_SYS_SYSCTL_H_ */
