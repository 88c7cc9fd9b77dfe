/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef _SYS_BUS_H_
#define	_SYS_BUS_H_

#include <sys/types.h>

typedef struct kpi_device_method {
	const char	*name;
	void		(*func)(void);
} device_method_t;

typedef struct kpi_driver {
	const char	*name;
	device_method_t	*methods;
	size_t		size;		/* of the softc */
} driver_t;

#define	DEVMETHOD(NAME, FUNC)	{ #NAME, (void (*)(void))(FUNC) }
#define	DEVMETHOD_END		{ NULL, NULL }

#define	BUS_PROBE_NOWILDCARD	(-2000000000)

device_t device_find_child(device_t dev, const char *classname, int unit);
device_t BUS_ADD_CHILD(device_t dev, u_int order, const char *name, int unit);
void	device_set_desc(device_t, const char *);
int	device_printf(device_t, const char *, ...) __printflike(2, 3);

struct kpi_module {
	const char	*name;
	const char	*busname;
	driver_t	*driver;
	struct kpi_module *next;
};
void	kpi_module_register(struct kpi_module *);

#define	DRIVER_MODULE(name_, busname_, driver_, evh, arg)		\
	static struct kpi_module __CONCAT(kpi_module_, name_) = {	\
		.name = #name_,						\
		.busname = #busname_,					\
		.driver = &(driver_),					\
	};								\
	static void __attribute__((__constructor__))			\
	__CONCAT(kpi_module_add_, name_)(void)				\
	{								\
		kpi_module_register(&__CONCAT(kpi_module_, name_));	\
	}								\
	struct __hack

#endif /* !_SYS_BUS_H_ */
