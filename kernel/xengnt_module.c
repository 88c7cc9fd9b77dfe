/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 The xengnt authors */
/* The module: attachment to the Xen bus, nodes, unload. */

#include <sys/param.h>
#include <sys/systm.h>
#include <sys/bus.h>
#include <sys/conf.h>
#include <sys/kernel.h>
#include <sys/module.h>

#include <xen/xen-os.h>

#include "xengnt.h"
#include "xengnt_area.h"
#include "xengnt_arena.h"
#include "xengnt_defer.h"

/* The ABI has Xen's page size. */
CTASSERT(PAGE_SIZE == 4096);

MALLOC_DEFINE(M_XENGNT, "xengnt", "Xen grant devices");

SYSCTL_NODE(_hw, OID_AUTO, xen, CTLFLAG_RD | CTLFLAG_MPSAFE, NULL, "Xen");
SYSCTL_NODE(_hw_xen, OID_AUTO, gntdev, CTLFLAG_RD | CTLFLAG_MPSAFE, NULL,
    "Xen grant mapper");
SYSCTL_NODE(_hw_xen, OID_AUTO, gntalloc, CTLFLAG_RD | CTLFLAG_MPSAFE, NULL,
    "Xen grant allocator");

/* References on the module; UNLOADING while it attaches and detaches. */
#define	UNLOADING	0x80000000u
static volatile u_int xengnt_live;

static struct cdev *gntdev_node;
static struct cdev *gntalloc_node;

const struct xengnt_device *const xengnt_devices[XENGNT_LISTS] = {
	[XENGNT_MAPS] = &gntdev_device,
	[XENGNT_GREFS] = &gntalloc_device,
};

int
xengnt_hold(void)
{

	if ((atomic_fetchadd_int(&xengnt_live, 1) & UNLOADING) == 0)
		return (0);
	xengnt_unhold();
	return (ENXIO);
}

void
xengnt_hold_again(void)
{

	/* Cannot fail: the caller already holds the module. */
	atomic_add_int(&xengnt_live, 1);
}

void
xengnt_unhold(void)
{

	atomic_subtract_rel_int(&xengnt_live, 1);
}

static int
xengnt_make_node(struct cdev **node, struct cdevsw *devsw, const char *name)
{
	struct make_dev_args args;

	make_dev_args_init(&args);
	args.mda_flags = MAKEDEV_WAITOK | MAKEDEV_CHECKNAME;
	args.mda_devsw = devsw;
	args.mda_uid = UID_ROOT;
	args.mda_gid = GID_WHEEL;
	args.mda_mode = 0600;
	return (make_dev_s(&args, node, "%s", name));
}

static void
xengnt_identify(driver_t *driver __unused, device_t parent)
{

	/* The child of an earlier load is still there, unattached. */
	if (xen_domain() && device_find_child(parent, "xengnt", 0) == NULL &&
	    BUS_ADD_CHILD(parent, 0, "xengnt", 0) == NULL)
		device_printf(parent, "cannot add xengnt\n");
}

static int
xengnt_probe(device_t dev)
{

	device_set_desc(dev, "Xen grant devices with Linux's ABI");
	return (BUS_PROBE_NOWILDCARD);
}

static void
xengnt_fini(void)
{
	int i;

	xengnt_exit_fini();
	for (i = 0; i < XENGNT_LISTS; i++) {
		xengnt_queues_fini(xengnt_devices[i]->queues);
		KASSERT(!xengnt_devices[i]->busy(),
		    ("xengnt: grants in use at unload"));
	}
	xengnt_defer_fini();
	xengnt_arena_fini();
}

static int
xengnt_attach(device_t dev)
{
	int error, i;

	/* No open succeeds before both nodes exist. */
	xengnt_live = UNLOADING;
	xengnt_own_domid_init();
	xengnt_arena_init(dev);
	xengnt_defer_init();
	for (i = 0; i < XENGNT_LISTS; i++)
		xengnt_queues_init(xengnt_devices[i]->queues);
	xengnt_exit_init();
	error = xengnt_make_node(&gntdev_node, &gntdev_cdevsw, "xen/gntdev");
	if (error == EEXIST) {
		/* The base system's driver already has the name. */
		error = xengnt_make_node(&gntdev_node, &gntdev_cdevsw,
		    "xen/xengntdev");
		if (error == 0)
			device_printf(dev, "/dev/xen/gntdev is taken, using "
			    "/dev/xen/xengntdev; hint.gntdev.0.disabled=\"1\" "
			    "in loader.conf(5) frees the name\n");
	}
	if (error != 0) {
		device_printf(dev, "no node for gntdev: error %d\n", error);
		goto fail;
	}
	error = xengnt_make_node(&gntalloc_node, &gntalloc_cdevsw,
	    "xen/gntalloc");
	if (error != 0) {
		device_printf(dev, "no node for gntalloc: error %d\n", error);
		goto fail_gntdev;
	}
	atomic_subtract_rel_int(&xengnt_live, UNLOADING);
	return (0);
fail_gntdev:
	destroy_dev(gntdev_node);
fail:
	xengnt_fini();
	return (error);
}

static int
xengnt_detach(device_t dev __unused)
{

	/* From now on no open succeeds; fail if the module is held. */
	if (atomic_cmpset_acq_int(&xengnt_live, 0, UNLOADING) == 0)
		return (EBUSY);
	destroy_dev(gntalloc_node);
	destroy_dev(gntdev_node);
	/*
	 * A thread that released the last file in a pager's destructor may
	 * still be running code of the module, and nothing counts that.
	 */
	pause("xengntd", hz / 10 + 1);
	xengnt_fini();
	return (0);
}

/*
 * Maps and granted pages cannot survive a migration: the new domain knows
 * nothing of them.
 */
static int
xengnt_suspend(device_t dev)
{
	int i;

	for (i = 0; i < XENGNT_LISTS; i++)
		if (xengnt_devices[i]->busy()) {
			device_printf(dev, "grants are in use\n");
			return (EBUSY);
		}
	return (0);
}

static device_method_t xengnt_methods[] = {
	DEVMETHOD(device_identify, xengnt_identify),
	DEVMETHOD(device_probe, xengnt_probe),
	DEVMETHOD(device_attach, xengnt_attach),
	DEVMETHOD(device_detach, xengnt_detach),
	DEVMETHOD(device_suspend, xengnt_suspend),
	DEVMETHOD_END,
};

static driver_t xengnt_driver = {
	"xengnt",
	xengnt_methods,
	0,
};

DRIVER_MODULE(xengnt, xenpv, xengnt_driver, 0, 0);
MODULE_VERSION(xengnt, 1);
