/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef _SYS_MODULE_H_
#define	_SYS_MODULE_H_

#include <sys/cdefs.h>

typedef enum modeventtype {
	MOD_LOAD,
	MOD_UNLOAD,
	MOD_SHUTDOWN,
	MOD_QUIESCE,
} modeventtype_t;

typedef struct module *module_t;
typedef int (*modeventhand_t)(module_t, int, void *);

typedef struct moduledata {
	const char	*name;
	modeventhand_t	evhand;
	void		*priv;
} moduledata_t;

/* Loaded with the program, and never unloaded. */
#define	DECLARE_MODULE(name, data, sub, order)				\
	static void __attribute__((__constructor__))			\
	__CONCAT(kpi_module_load_, name)(void)				\
	{								\
		(void)(sub);						\
		(void)(order);						\
		if ((data).evhand((module_t)0, MOD_LOAD, (data).priv) != 0) \
			__builtin_trap();				\
	}								\
	struct __hack

#define	MODULE_VERSION(module, version)	struct __hack
#define	MODULE_DEPEND(module, mdepend, vmin, vpref, vmax)	struct __hack

#endif /* !_SYS_MODULE_H_ */
