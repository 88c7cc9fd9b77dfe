/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A driver for the tests of the shim: kernel code with every mistake that a
 * driver can make, and questions to the shim.  Its node can be mapped: four
 * pages of memory, one object for each mmap.
 */

#include <sys/param.h>
#include <sys/systm.h>
#include <sys/bus.h>
#include <sys/conf.h>
#include <sys/counter.h>
#include <sys/eventhandler.h>
#include <sys/ioccom.h>
#include <sys/kernel.h>
#include <sys/malloc.h>
#include <sys/module.h>
#include <sys/mutex.h>
#include <sys/proc.h>
#include <sys/refcount.h>
#include <sys/sx.h>
#include <sys/sysctl.h>
#include <sys/taskqueue.h>

#include <vm/vm.h>
#include <vm/pmap.h>
#include <vm/vm_extern.h>
#include <vm/vm_map.h>
#include <vm/vm_object.h>
#include <vm/vm_page.h>
#include <vm/vm_pager.h>

#include <xen/gnttab.h>

#include "mock_driver.h"

#define	NPAGES	4

static MALLOC_DEFINE(M_MOCK, "mock", "mock driver");
static MALLOC_DEFINE(M_OTHER, "other", "another type");

static struct mtx mtx;
static struct sx sx;
static struct cdev *node, *gntdev_node;
static vm_page_t pages[NPAGES];
static struct timeout_task task;
static volatile u_int held;
static u_int tasks_ran;
static struct mock_events events;
static u_int mock_limit = 42;
static u_int mock_fixed = 7;

SYSCTL_NODE(_hw, OID_AUTO, mock, CTLFLAG_RD, NULL, "mock");
SYSCTL_UINT(_hw_mock, OID_AUTO, limit, CTLFLAG_RWTUN, &mock_limit, 0, "limit");
SYSCTL_UINT(_hw_mock, OID_AUTO, fixed, CTLFLAG_RD, &mock_fixed, 0, "fixed");

static void
mock_task(void *arg, int pending)
{

	tasks_ran++;
}

static int
mock_hold(vm_offset_t va, vm_prot_t prot)
{
	vm_page_t m;

	if (vm_fault_quick_hold_pages(&curproc->p_vmspace->vm_map, va, 1, prot,
	    &m, 1) != 1)
		return (EFAULT);
	vm_page_unhold_pages(&m, 1);
	return (0);
}

static int
mock_lookup(struct mock_lookup *uarg)
{
	struct mock_lookup l;
	vm_map_entry_t entry;
	vm_map_t map;
	int error;

	error = copyin(uarg, &l, sizeof(l));
	if (error != 0)
		return (error);
	map = &curproc->p_vmspace->vm_map;
	vm_map_lock_read(map);
	l.inside = vm_map_lookup_entry(map, l.addr, &entry);
	if (!l.inside)
		entry = vm_map_entry_succ(entry);
	l.none = entry == &map->header;
	l.start = entry->start;
	l.end = entry->end;
	l.ours = !l.none && entry->object.vm_object != NULL;
	vm_map_unlock_read(map);
	return (copyout(&l, uarg, sizeof(l)));
}

static int
mock_wrong(int op)
{
	struct mtx a, b;
	struct sx local;
	grant_ref_t ref;
	vm_page_t m;
	u_int count;
	char buf[8];
	void *p;

	switch (op) {
	case MOCK_ALLOC_UNDER_MTX:
		mtx_lock(&mtx);
		p = malloc(8, M_MOCK, M_WAITOK);
		free(p, M_MOCK);
		break;
	case MOCK_COPYIN_UNDER_MTX:
		mtx_lock(&mtx);
		return (copyin(&buf, &buf, sizeof(buf)));
	case MOCK_SX_UNDER_MTX:
		mtx_lock(&mtx);
		sx_xlock(&sx);
		break;
	case MOCK_PAUSE_UNDER_MTX:
		mtx_lock(&mtx);
		pause_sbt("mock", SBT_1MS, 0, 0);
		break;
	case MOCK_RECURSE_MTX:
		mtx_lock(&mtx);
		mtx_lock(&mtx);
		break;
	case MOCK_RECURSE_SX:
		sx_slock(&sx);
		sx_slock(&sx);
		break;
	case MOCK_UNLOCK_UNLOCKED:
	case MOCK_UNLOCK_STRANGER:
		mtx_unlock(&mtx);
		break;
	case MOCK_DESTROY_HELD:
		sx_xlock(&sx);
		sx_destroy(&sx);
		break;
	case MOCK_USE_DESTROYED:
		memset(&local, 0, sizeof(local));
		sx_init(&local, "local");
		sx_destroy(&local);
		sx_xlock(&local);
		break;
	case MOCK_RETURN_LOCKED:
		sx_xlock(&sx);
		break;
	case MOCK_ASSERT_UNOWNED:
		mtx_assert(&mtx, MA_OWNED);
		break;
	case MOCK_LOCK_ORDER:
		/* Through a third lock: mtx, a; a, b; b, mtx. */
		mtx_init(&a, "local a", NULL, MTX_DEF);
		mtx_init(&b, "local b", NULL, MTX_DEF);
		mtx_lock(&mtx);
		mtx_lock(&a);
		mtx_unlock(&mtx);
		mtx_lock(&b);
		mtx_unlock(&a);
		mtx_lock(&mtx);
		return (0);
	case MOCK_LOCK_ORDER_FAULT:
		sx_xlock(&sx);
		if (copyin(NULL, buf, sizeof(buf)) == 0)
			return (0);
		sx_xunlock(&sx);
		vm_map_lock_read(&curproc->p_vmspace->vm_map);
		sx_xlock(&sx);
		return (0);
	case MOCK_LOCK_TWO_OF_A_KIND:
		mtx_init(&a, "local", NULL, MTX_DEF);
		mtx_init(&b, "local", NULL, MTX_DEF);
		mtx_lock(&a);
		mtx_lock(&b);
		return (0);
	case MOCK_FREE_TWICE:
		p = malloc(8, M_MOCK, M_WAITOK);
		free(p, M_MOCK);
		free(p, M_MOCK);
		break;
	case MOCK_FREE_OTHER_TYPE:
		p = malloc(8, M_MOCK, M_WAITOK);
		free(p, M_OTHER);
		break;
	case MOCK_FREE_GRANTED:
		m = vm_page_alloc_noobj(VM_ALLOC_WIRED | VM_ALLOC_ZERO);
		if (gnttab_alloc_grant_references(1, &ref) == 0)
			gnttab_grant_foreign_access_ref(
			    gnttab_claim_grant_reference(&ref), 1,
			    atop(VM_PAGE_TO_PHYS(m)), 0);
		if (vm_page_unwire_noq(m))
			vm_page_free(m);
		break;
	case MOCK_REFCOUNT_REVIVE:
		refcount_init(&count, 1);
		refcount_release(&count);
		refcount_acquire(&count);
		break;
	case MOCK_COPYIN_MAP_LOCKED:
		vm_map_lock_read(&curproc->p_vmspace->vm_map);
		return (copyin(&buf, &buf, sizeof(buf)));
	case MOCK_UNWIRE_FICTITIOUS:
		m = vm_page_getfake(VM_PAGE_TO_PHYS(pages[0]),
		    VM_MEMATTR_DEFAULT);
		vm_page_unwire_noq(m);
		break;
	}
	return (0);
}

/* An mmap: fictitious pages for the driver's own. */
struct area {
	vm_page_t	fakes[NPAGES];
};

static void
mock_pager_dtor(vm_object_t object)
{
	struct area *area;
	u_int i;

	area = object->un_pager.phys.data_ptr;
	events.pager_dtors++;
	VM_OBJECT_WUNLOCK(object);
	for (i = 0; i < NPAGES; i++)
		if (area->fakes[i] != NULL)
			vm_page_putfake(area->fakes[i]);
	free(area, M_MOCK);
	VM_OBJECT_WLOCK(object);
}

static boolean_t
mock_pager_haspage(vm_object_t object, vm_pindex_t pidx, int *before,
    int *after)
{

	if (before != NULL)
		*before = 0;
	if (after != NULL)
		*after = 0;
	return (TRUE);
}

static int
mock_pager_getpages(vm_object_t object, vm_page_t *ma, int count,
    int *rbehind, int *rahead)
{
	struct area *area;
	vm_page_t fake;

	area = object->un_pager.phys.data_ptr;
	fake = vm_page_getfake(VM_PAGE_TO_PHYS(pages[ma[0]->pindex]),
	    VM_MEMATTR_DEFAULT);
	area->fakes[ma[0]->pindex] = fake;
	VM_OBJECT_WLOCK(object);
	events.faults++;
	vm_page_valid(fake);
	vm_page_replace(fake, object, ma[0]->pindex, ma[0]);
	ma[0] = fake;
	VM_OBJECT_WUNLOCK(object);
	if (rbehind != NULL)
		*rbehind = 0;
	if (rahead != NULL)
		*rahead = 0;
	return (VM_PAGER_OK);
}

static const struct phys_pager_ops mock_pager_ops = {
	.phys_pg_getpages = mock_pager_getpages,
	.phys_pg_haspage = mock_pager_haspage,
	.phys_pg_dtor =	mock_pager_dtor,
};

static vm_object_t
mock_object(vm_ooffset_t size, int prot)
{

	return (phys_pager_allocate(NULL, &mock_pager_ops,
	    malloc(sizeof(struct area), M_MOCK, M_WAITOK | M_ZERO), size, prot,
	    0, curthread->td_ucred));
}

static int
mock_mmap_single(struct cdev *dev, vm_ooffset_t *offset, vm_size_t size,
    struct vm_object **object, int nprot)
{

	if (*offset + size > ptoa(NPAGES))
		return (EINVAL);
	*object = mock_object(*offset + size, nprot);
	return (0);
}

static int
mock_insert_twice(void)
{
	vm_object_t object;
	vm_page_t a, b;

	object = mock_object(PAGE_SIZE, VM_PROT_READ);
	a = vm_page_getfake(0, VM_MEMATTR_DEFAULT);
	b = vm_page_getfake(0, VM_MEMATTR_DEFAULT);
	VM_OBJECT_WLOCK(object);
	vm_page_insert(a, object, 0);
	vm_page_insert(b, object, 0);
	VM_OBJECT_WUNLOCK(object);
	return (0);
}

static int
mock_ioctl(struct cdev *dev, u_long cmd, caddr_t data, int fflag,
    struct thread *td)
{
	uint64_t word;
	vm_page_t m;
	char *uarg;
	u_int i;
	void *p;

	uarg = *(char **)data;
	/* Under the preload library: UNMAP_GRANT_REF leaks. */
	if (IOCGROUP(cmd) == 'G')
		cmd = (cmd & 0xff) == 1 ? MOCK_LEAK : MOCK_NOTHING;
	switch (cmd & 0xff) {
	case MOCK_NOTHING:
		return (0);
	case MOCK_INSERT_TWICE:
		return (mock_insert_twice());
	case MOCK_ALLOC_UNDER_SX:
		sx_xlock(&sx);
		p = malloc(8, M_MOCK, M_WAITOK);
		sx_xunlock(&sx);
		free(p, M_MOCK);
		return (0);
	case MOCK_HOLD:
		mtx_lock(&mtx);
		atomic_store_rel_int(&held, 1);
		while (atomic_load_acq_int(&held) != 0)
			cpu_spinwait();
		mtx_unlock(&mtx);
		return (0);
	case MOCK_LET_GO:
		atomic_store_rel_int(&held, 0);
		return (0);
	case MOCK_COPYIN:
		return (copyin(uarg, &word, sizeof(word)));
	case MOCK_COPYOUT:
		word = 0x1122334455667788;
		return (copyout(&word, uarg, sizeof(word)));
	case MOCK_LEAK:
		p = malloc(40, M_MOCK, M_WAITOK);
		return (p == NULL);
	case MOCK_LEAK_PAGE:
		return (vm_page_alloc_noobj(VM_ALLOC_WIRED) == NULL);
	case MOCK_LOOKUP:
		return (mock_lookup((struct mock_lookup *)uarg));
	case MOCK_HOLD_PAGE:
		return (mock_hold((vm_offset_t)uarg, VM_PROT_READ));
	case MOCK_HOLD_PAGE_RW:
		return (mock_hold((vm_offset_t)uarg,
		    VM_PROT_READ | VM_PROT_WRITE));
	case MOCK_PAGE_IS_ZERO:
		m = vm_page_alloc_noobj(VM_ALLOC_WIRED | VM_ALLOC_ZERO);
		if (m == NULL)
			return (ENOMEM);
		word = 0;
		for (i = 0; i < PAGE_SIZE; i++)
			word |= ((char *)PHYS_TO_DMAP(VM_PAGE_TO_PHYS(m)))[i];
		memset((void *)PHYS_TO_DMAP(VM_PAGE_TO_PHYS(m)), 1, PAGE_SIZE);
		if (vm_page_unwire_noq(m))
			vm_page_free(m);
		return (word == 0 ? 0 : EINVAL);
	case MOCK_TASK:
		taskqueue_enqueue_timeout(taskqueue_thread, &task, 60 * hz);
		return (0);
	case MOCK_TASKS_RAN:
		return (copyout(&tasks_ran, uarg, sizeof(tasks_ran)));
	case MOCK_EVENTS:
		return (copyout(&events, uarg, sizeof(events)));
	case MOCK_ENOIOCTL:
		return (ENOIOCTL);
	default:
		return (mock_wrong(cmd & 0xff));
	}
}

static void
mock_dtor(void *priv)
{

	events.dtors++;
	free(priv, M_MOCK);
}

static int
mock_open(struct cdev *dev, int oflags, int devtype, struct thread *td)
{
	void *priv;
	int error;

	priv = malloc(1, M_MOCK, M_WAITOK);
	error = devfs_set_cdevpriv(priv, mock_dtor);
	if (error != 0) {
		free(priv, M_MOCK);
		return (error);
	}
	events.opens++;
	return (0);
}

static eventhandler_tag exit_tag;

static void
mock_exit(void *arg, struct proc *p)
{
	vm_map_entry_t entry;
	vm_map_t map;

	KASSERT(arg == &events, ("process_exit: another argument"));
	KASSERT((p->p_flag & P_WEXIT) != 0, ("process_exit without P_WEXIT"));
	KASSERT(p == curproc && p->p_vmspace->vm_refcnt == 1,
	    ("process_exit of another process"));
	events.exits++;
	events.exit_dtors = events.dtors;
	events.exit_ours = events.exit_others = 0;
	map = &p->p_vmspace->vm_map;
	vm_map_lock_read(map);
	VM_MAP_ENTRY_FOREACH(entry, map) {
		if ((entry->eflags & MAP_ENTRY_IS_SUB_MAP) == 0 &&
		    entry->object.vm_object != NULL)
			events.exit_ours++;
		else
			events.exit_others++;
	}
	vm_map_unlock_read(map);
}

static struct cdevsw mock_cdevsw = {
	.d_version =	D_VERSION,
	.d_name =	"mock",
	.d_open =	mock_open,
	.d_ioctl =	mock_ioctl,
	.d_mmap_single = mock_mmap_single,
};

static void
mock_identify(driver_t *driver, device_t parent)
{

	if (device_find_child(parent, "mock", -1) == NULL)
		BUS_ADD_CHILD(parent, 0, "mock", -1);
}

static int
mock_probe(device_t dev)
{

	return (BUS_PROBE_NOWILDCARD);
}

static int
mock_attach(device_t dev)
{
	struct make_dev_args args;
	int i;

	memset(&events, 0, sizeof(events));
	tasks_ran = 0;
	mtx_init(&mtx, "mock mutex", NULL, MTX_DEF);
	sx_init(&sx, "mock sx");
	TIMEOUT_TASK_INIT(taskqueue_thread, &task, 0, mock_task, NULL);
	for (i = 0; i < NPAGES; i++) {
		pages[i] = vm_page_alloc_noobj(VM_ALLOC_WIRED | VM_ALLOC_ZERO);
		pages[i]->valid = VM_PAGE_BITS_ALL;
	}
	exit_tag = EVENTHANDLER_REGISTER(process_exit, mock_exit, &events,
	    EVENTHANDLER_PRI_ANY);
	make_dev_args_init(&args);
	args.mda_flags = MAKEDEV_WAITOK | MAKEDEV_CHECKNAME;
	args.mda_devsw = &mock_cdevsw;
	if (make_dev_s(&args, &node, "mock") != 0)
		return (ENXIO);
	if (make_dev_s(&args, &gntdev_node, "xen/gntdev") != 0)
		return (ENXIO);
	/* The name is taken now. */
	return (make_dev_s(&args, &node, "mock") == EEXIST ? 0 : ENXIO);
}

static int
mock_detach(device_t dev)
{
	int i;

	destroy_dev(node);
	destroy_dev(gntdev_node);
	EVENTHANDLER_DEREGISTER(process_exit, exit_tag);
	taskqueue_drain_timeout(taskqueue_thread, &task);
	for (i = 0; i < NPAGES; i++)
		if (vm_page_unwire_noq(pages[i]))
			vm_page_free(pages[i]);
	sx_destroy(&sx);
	mtx_destroy(&mtx);
	return (0);
}

static device_method_t mock_methods[] = {
	DEVMETHOD(device_identify, mock_identify),
	DEVMETHOD(device_probe, mock_probe),
	DEVMETHOD(device_attach, mock_attach),
	DEVMETHOD(device_detach, mock_detach),
	DEVMETHOD_END,
};

static driver_t mock_driver = {
	"mock",
	mock_methods,
	0,
};

DRIVER_MODULE(mock, xenpv, mock_driver, 0, 0);
