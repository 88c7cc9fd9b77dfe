/* SPDX-License-Identifier: BSD-2-Clause */
/* newbus: a xenpv bus, and drivers that add their own children to it. */

#include <sys/param.h>
#include <sys/systm.h>
#include <sys/bus.h>
#include <sys/queue.h>

#include "kpi.h"

struct _device {
	TAILQ_ENTRY(_device) link;
	device_t	parent;
	const char	*name;
	const char	*desc;
	char		nameunit[32];
	int		unit;
	driver_t	*driver;	/* attached */
	void		*softc;
};

static struct _device xenpv = { .name = "xenpv", .nameunit = "xenpv0" };
static TAILQ_HEAD(, _device) children = TAILQ_HEAD_INITIALIZER(children);
static struct kpi_module *modules;

void
kpi_module_register(struct kpi_module *mod)
{

	mod->next = modules;
	modules = mod;
}

static device_method_t *
method(driver_t *driver, const char *name)
{
	device_method_t *m;

	for (m = driver->methods; m->name != NULL; m++)
		if (strcmp(m->name, name) == 0)
			return (m);
	return (NULL);
}

static int
device_call(device_t dev, driver_t *driver, const char *name, int def)
{
	device_method_t *m;
	int error;

	m = method(driver, name);
	if (m == NULL)
		return (def);
	error = ((int (*)(device_t))m->func)(dev);
	kpi_no_locks(name);
	return (error);
}

device_t
device_find_child(device_t dev, const char *classname, int unit)
{
	device_t child;

	KASSERT(dev == &xenpv, ("device_find_child: not the xenpv bus"));
	TAILQ_FOREACH(child, &children, link)
		if (strcmp(child->name, classname) == 0 &&
		    (unit == -1 || child->unit == unit))
			return (child);
	return (NULL);
}

device_t
BUS_ADD_CHILD(device_t dev, u_int order, const char *name, int unit)
{
	device_t child;

	if (unit != -1 && device_find_child(dev, name, unit) != NULL)
		return (NULL);
	child = os_alloc(sizeof(*child));
	KASSERT(child != NULL, ("no memory for a device"));
	child->parent = dev;
	child->name = name;
	child->unit = unit == -1 ? 0 : unit;
	snprintf(child->nameunit, sizeof(child->nameunit), "%s%d", name,
	    child->unit);
	TAILQ_INSERT_TAIL(&children, child, link);
	return (child);
}

void
device_set_desc(device_t dev, const char *desc)
{

	dev->desc = desc;
}

int
device_printf(device_t dev, const char *fmt, ...)
{
	char prefix[64];
	va_list ap;

	snprintf(prefix, sizeof(prefix), "xengnt-harness: kernel: %s: ",
	    dev->nameunit);
	va_start(ap, fmt);
	os_vmessage(prefix, fmt, ap);
	va_end(ap);
	return (0);
}

static int
device_attach_driver(device_t dev, driver_t *driver)
{
	int error;

	if (driver->size != 0)
		dev->softc = os_alloc(driver->size);
	error = device_call(dev, driver, "device_probe", ENXIO);
	if (error <= 0)
		error = device_call(dev, driver, "device_attach", ENXIO);
	if (error == 0)
		dev->driver = driver;
	else {
		os_free(dev->softc);
		dev->softc = NULL;
	}
	return (error);
}

/* kldload: drivers identify, then unattached children are probed. */
int
kpi_modules_load(void)
{
	struct kpi_module *mod;
	device_method_t *m;
	device_t dev;
	int error;

	KASSERT(modules != NULL, ("no driver is linked in"));
	for (mod = modules; mod != NULL; mod = mod->next) {
		KASSERT(strcmp(mod->busname, "xenpv") == 0,
		    ("module %s: unknown bus %s", mod->name, mod->busname));
		m = method(mod->driver, "device_identify");
		if (m != NULL)
			((void (*)(driver_t *, device_t))m->func)(mod->driver,
			    &xenpv);
		TAILQ_FOREACH(dev, &children, link) {
			if (dev->driver != NULL ||
			    strcmp(dev->name, mod->driver->name) != 0)
				continue;
			error = device_attach_driver(dev, mod->driver);
			if (error != 0)
				return (error);
		}
	}
	return (0);
}

/* kldunload: the children stay behind, unattached. */
int
kpi_modules_unload(void)
{
	device_t dev;
	int error;

	TAILQ_FOREACH(dev, &children, link) {
		if (dev->driver == NULL)
			continue;
		error = device_call(dev, dev->driver, "device_detach",
		    EOPNOTSUPP);
		if (error != 0)
			return (error);
		dev->driver = NULL;
		os_free(dev->softc);
		dev->softc = NULL;
	}
	return (0);
}

/* bus_generic_suspend() of the xenpv bus. */
int
kpi_modules_suspend(void)
{
	device_t dev;
	int error;

	TAILQ_FOREACH(dev, &children, link) {
		if (dev->driver == NULL)
			continue;
		error = device_call(dev, dev->driver, "device_suspend", 0);
		if (error != 0)
			return (error);
	}
	return (0);
}
