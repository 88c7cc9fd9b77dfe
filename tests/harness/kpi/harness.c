/* SPDX-License-Identifier: BSD-2-Clause */
/* Loading, unloading, the end of the process, fork. */

#include <sys/param.h>
#include <sys/systm.h>
#include <sys/lock.h>
#include <sys/refcount.h>

#include <xen/xen_intr.h>

#include "kpi.h"

/*
 * Threads inside the driver hold it for reading; fork(2) waits until there are
 * none.
 */
static struct {
	volatile u_int	once;
	bool		ready;
	struct os_rwlock *lock;
	struct os_mutex	load;
} gate;

static void
gate_lock_new(void)
{

	gate.lock = os_alloc(sizeof(*gate.lock));
	KASSERT(gate.lock != NULL, ("no memory for a lock"));
	os_rwlock_init(gate.lock);
}

static bool loaded;
static struct xen_peer *peer;
static u_int locks_at_load;
static u_int counters_at_load;

static void
gate_init(void)
{

	while (atomic_cmpset_int(&gate.once, 0, 1) == 0)
		os_yield();
	if (!gate.ready) {
		gate_lock_new();
		os_mutex_init(&gate.load);
		gate.ready = true;
	}
	atomic_store_rel_int(&gate.once, 0);
}

/* The thread that ends the process; no others get in. */
static struct thread *exiting;

void
kpi_enter(void)
{

	gate_init();
	os_rwlock_rdlock(gate.lock);
	if (exiting != NULL && exiting != curthread && !curthread->td_kthread) {
		os_rwlock_unlock(gate.lock);
		os_sleep_forever();
	}
}

void
kpi_barrier(void)
{

	gate_init();
	os_rwlock_wrlock(gate.lock);
	os_rwlock_unlock(gate.lock);
}

void
harness_quiesce(void)
{

	gate_init();
	os_rwlock_wrlock(gate.lock);
	exiting = curthread;
	os_rwlock_unlock(gate.lock);
}

/* Back to user mode: as userret() with INVARIANTS. */
void
kpi_leave(const char *what)
{

	kpi_no_locks(what);
	os_rwlock_unlock(gate.lock);
}

static int
machine_open(void)
{
	const char *path;
	int error;

	if (kpi_machine != NULL)
		return (0);
	path = os_getenv("XENGNT_HARNESS_MACHINE");
	if (path != NULL && *path == '\0')
		path = NULL;
	error = xen_machine_open(path, &kpi_machine);
	if (error != 0) {
		kpi_message("machine %s: host errno %d\n",
		    path == NULL ? "(private)" : path, -error);
		return (os_errno_to_freebsd(-error));
	}
	return (0);
}

/* Ends the domain, unless a program still has its event channels. */
static void
domain_end(void)
{

	if (kpi_evtchn_busy())
		return;
	kpi_evtchn_unload();
	kpi_xen_fini();
}

static int
load_locked(void)
{
	int error;

	kpi_map_init();
	kpi_devfs_init();
	error = machine_open();
	if (error == 0 && kpi_domain == NULL) {
		error = kpi_xen_init();
		if (error == 0)
			kpi_evtchn_load();
	}
	if (error != 0)
		return (error);
	locks_at_load = kpi_locks_live();
	counters_at_load = kpi_counters_live;
	error = kpi_modules_load();
	if (error != 0) {
		kpi_message("the driver did not attach: error %d\n", error);
		domain_end();
		return (error);
	}
	loaded = true;
	return (0);
}

/* Drops the driver's state that a forked child has from its parent. */
static int
disown(void)
{
	u_int i;
	int error;

	kpi_files_close_all();
	kpi_map_remove(0, VM_MAXUSER_ADDRESS, KPI_UNMAP_NOTHING);
	error = EBUSY;
	for (i = 0; error == EBUSY && i < 4096; i++) {
		error = kpi_modules_unload();
		if (error == EBUSY && kpi_tasks_run() == 0)
			break;
	}
	kpi_tasks_stop();
	if (error != 0) {
		kpi_message("a forked child cannot shed its parent's driver: "
		    "error %d\n", error);
		return (ENXIO);
	}
	domain_end();
	xen_machine_close(kpi_machine);
	kpi_machine = NULL;
	peer = NULL;
	kpi_inherited = false;
	loaded = false;
	return (0);
}

int
harness_load(void)
{
	int error;

	gate_init();
	os_mutex_lock(&gate.load);
	error = 0;
	if (kpi_inherited)
		error = disown();
	if (error == 0 && !loaded)
		error = load_locked();
	os_mutex_unlock(&gate.load);
	return (error);
}

bool
harness_loaded(void)
{

	return (loaded && !kpi_inherited);
}

/* Leaks. */

static u_int
leak(u_int n, const char *what)
{

	if (n == 0)
		return (0);
	kpi_message("leak: %u %s\n", n, what);
	return (1);
}

static u_int
leaks_report(void)
{
	struct xen_counters c;
	u_int lines;

	xen_domain_counters(kpi_domain, &c);
	lines = leak(kpi_grants_live(), "grant reference(s) in use");
	lines += leak(c.maps_live, "grant(s) still mapped");
	lines += leak(kpi_objects_live(), "VM object(s)");
	lines += leak(kpi_pages_live(), "page(s) allocated");
	lines += leak(kpi_fakes_live(), "fictitious or held page(s)");
	lines += leak(kpi_resources_live(), "xenmem range(s)");
	/* One node is not the driver's. */
	lines += leak(kpi_nodes_live() - 1, "device node(s)");
	lines += leak(kpi_eventhandlers_live(), "event handler(s)");
	lines += leak(kpi_counters_live - counters_at_load, "counter(s)");
	kpi_leaked_allocs(&lines);
	if (kpi_locks_live() != locks_at_load) {
		kpi_locks_report();
		lines += leak(kpi_locks_live() - locks_at_load, "lock(s)");
	}
	return (lines);
}

/*
 * Detaches, after any deferred work has had a chance to finish; 0 or an errno.
 */
static int
unload(void)
{
	u_int before, rounds;
	int error;

	rounds = 0;
	before = kpi_grants_live();
	for (;;) {
		error = kpi_modules_unload();
		if (error != EBUSY || kpi_tasks_run() == 0)
			return (error);
		/* Progress, or one more pass over the whole list. */
		if (kpi_grants_live() != before) {
			before = kpi_grants_live();
			rounds = 0;
		} else if (++rounds > before / 10 + 8)
			return (error);
	}
}

int
harness_suspend(void)
{
	int error;

	kpi_enter();
	error = kpi_modules_suspend();
	kpi_leave("device_suspend returned");
	return (error);
}

int
harness_unload(void)
{
	int error;

	gate_init();
	os_mutex_lock(&gate.load);
	error = ENOENT;
	if (loaded && !kpi_inherited) {
		error = kpi_modules_unload();
		if (error == 0) {
			leaks_report();
			domain_end();
			loaded = false;
		}
	}
	os_mutex_unlock(&gate.load);
	return (error);
}

/* The end of a process as exit1() has it. */

void
harness_exit_begin(void)
{

	kpi_enter();
	curproc->p_flag |= P_WEXIT;
	kpi_process_exit(curproc);
	kpi_leave("process_exit handlers returned");
}

void
harness_exit_end(void)
{

	kpi_enter();
	kpi_map_remove(0, VM_MAXUSER_ADDRESS, KPI_UNMAP_OURS);
	kpi_leave("exit");
	curproc->p_flag &= ~P_WEXIT;
}

void
harness_exit(void)
{

	harness_exit_begin();
	kpi_files_close_all();
	harness_exit_end();
}

void
harness_killed(bool killed)
{

	kpi_enter();
	curproc->p_siglist.__bits[0] = killed ? 1u << (SIGKILL - 1) : 0;
	kpi_leave("a signal was sent");
}

void
harness_thread_killed(bool killed)
{

	curthread->td_siglist.__bits[0] = killed ? 1u << (SIGKILL - 1) : 0;
}

void
harness_exiting(bool exits)
{

	kpi_enter();
	if (exits)
		curproc->p_flag |= P_SINGLE_EXIT;
	else
		curproc->p_flag &= ~P_SINGLE_EXIT;
	kpi_leave("another thread ends the process");
}

void
harness_lazy(bool on)
{

	kpi_map_lazy = on;
}

int
harness_fault(const void *addr, bool shadowed)
{
	int error;

	kpi_enter();
	error = kpi_map_fault((vm_offset_t)addr, shadowed);
	kpi_leave("a fault");
	return (error);
}

int
harness_fault_raced(const void *addr, enum harness_racer racer)
{
	static struct vmspace debuggers_vmspace = { .vm_refcnt = 1 };
	struct proc debugger;
	struct proc *p;
	int error;

	kpi_enter();
	p = curproc;
	debugger = *p;
	debugger.p_pid = p->p_pid + 1;
	debugger.p_vmspace = &debuggers_vmspace;
	switch (racer) {
	case HARNESS_RACER_THREAD:
		p->p_numthreads++;
		break;
	case HARNESS_RACER_SHARER:
		refcount_acquire(&p->p_vmspace->vm_refcnt);
		break;
	case HARNESS_RACER_DEBUGGED:
		curthread->td_proc = &debugger;
		break;
	}
	kpi_map_changes = true;
	error = kpi_map_fault((vm_offset_t)addr, false);
	kpi_map_changes = false;
	curthread->td_proc = p;
	if (racer == HARNESS_RACER_THREAD)
		p->p_numthreads--;
	else if (racer == HARNESS_RACER_SHARER)
		refcount_release(&p->p_vmspace->vm_refcnt);
	kpi_leave("a fault");
	return (error);
}

void
harness_mlock(const void *addr, size_t len, bool lock)
{

	kpi_enter();
	kpi_map_wire(trunc_page(addr), round_page((vm_offset_t)addr + len),
	    lock);
	kpi_leave("mlock");
}

void
harness_mlock_future(bool on)
{

	kpi_map_wire_future = on;
}

/* Other users of what the process has mapped. */

struct harness_pin {
	vm_page_t	page;
};

int
harness_pin(const void *addr, bool write, struct harness_pin **pinp)
{
	struct harness_pin *pin;
	vm_page_t m;

	kpi_enter();
	m = kpi_hold_page(trunc_page(addr), write ? VM_PROT_RW : VM_PROT_READ);
	kpi_leave("a page was held");
	if (m == NULL)
		return (EFAULT);
	pin = os_alloc(sizeof(*pin));
	KASSERT(pin != NULL, ("no memory for a pin"));
	pin->page = m;
	*pinp = pin;
	return (0);
}

void
harness_unpin(struct harness_pin *pin)
{

	kpi_enter();
	vm_page_unhold_pages(&pin->page, 1);
	kpi_leave("a page was released");
	os_free(pin);
}

unsigned
harness_page_wirings(const void *addr)
{
	vm_page_t m;
	u_int n;

	kpi_enter();
	m = kpi_hold_page(trunc_page(addr), VM_PROT_READ);
	n = 0;
	if (m != NULL) {
		n = VPRC_WIRE_COUNT(atomic_load_int(&m->ref_count)) - 1;
		vm_page_unhold_pages(&m, 1);
	}
	kpi_leave("a look-up returned");
	return (n);
}

struct vm_object *
harness_share(const void *addr)
{
	vm_map_entry_t entry;
	vm_object_t object;
	vm_map_t map;

	kpi_enter();
	map = &kpi_vmspace.vm_map;
	vm_map_lock_read(map);
	object = NULL;
	if (vm_map_lookup_entry(map, (vm_offset_t)addr, &entry))
		object = entry->object.vm_object;
	if (object != NULL)
		vm_object_reference(object);
	vm_map_unlock_read(map);
	kpi_leave("a look-up returned");
	return (object);
}

void
harness_unshare(struct vm_object *object)
{

	kpi_enter();
	vm_object_deallocate(object);
	kpi_leave("another process unmapped");
}

unsigned
harness_vmspace_hold(int n)
{

	return (atomic_fetchadd_int(&kpi_vmspace.vm_refcnt, (u_int)n) +
	    (u_int)n);
}

/* Event channels. */

int
harness_event_op(unsigned cmd, void *arg)
{
	int error;

	error = (int)xen_event_channel_op(kpi_domain, cmd, arg);
	kpi_evtchn_scan();
	return (error);
}

int
harness_loopback(uint32_t *a, uint32_t *b)
{
	struct evtchn_bind_interdomain bind;
	struct evtchn_alloc_unbound alloc;
	struct evtchn_close close;
	int error;

	memset(&alloc, 0, sizeof(alloc));
	alloc.dom = alloc.remote_dom = DOMID_SELF;
	error = harness_event_op(EVTCHNOP_alloc_unbound, &alloc);
	if (error != 0)
		return (os_errno_to_freebsd(-error));
	memset(&bind, 0, sizeof(bind));
	bind.remote_dom = DOMID_SELF;
	bind.remote_port = alloc.port;
	error = harness_event_op(EVTCHNOP_bind_interdomain, &bind);
	if (error != 0) {
		close.port = alloc.port;
		harness_event_op(EVTCHNOP_close, &close);
		return (os_errno_to_freebsd(-error));
	}
	*a = alloc.port;
	*b = bind.local_port;
	harness_event_take(*b);
	return (0);
}

void
harness_port_close(uint32_t port)
{
	struct evtchn_close close;

	close.port = port;
	harness_event_op(EVTCHNOP_close, &close);
}

bool
harness_event_pending(uint32_t port)
{

	return (xen_domain_port_pending(kpi_domain, port));
}

bool
harness_event_take(uint32_t port)
{

	return (xen_domain_port_take(kpi_domain, port));
}

unsigned
harness_teardown(bool exiting)
{
	u_int lines;
	int error;

	gate_init();
	os_mutex_lock(&gate.load);
	if (!loaded || kpi_inherited) {
		os_mutex_unlock(&gate.load);
		return (0);
	}
	lines = 0;
	/* Descriptors were closed in their order; then the address space. */
	kpi_files_close_all();
	kpi_enter();
	kpi_map_remove(0, VM_MAXUSER_ADDRESS, exiting ? KPI_UNMAP_NOTHING :
	    KPI_UNMAP_OURS);
	kpi_leave("exit");
	error = unload();
	kpi_tasks_stop();
	if (error == EBUSY && kpi_grants_busy() != 0 &&
	    kpi_grants_busy() == kpi_grants_live()) {
		/*
		 * Peers in other processes hold the rest, which is not an
		 * error.
		 */
		error = 0;
	} else {
		if (error != 0) {
			kpi_message("leak: the module does not unload: error "
			    "%d\n", error);
			lines++;
		}
		lines += leaks_report();
	}
	domain_end();
	loaded = false;
	os_mutex_unlock(&gate.load);
	return (lines);
}

void
harness_counts(struct harness_counts *c)
{

	memset(c, 0, sizeof(*c));
	kpi_malloc_counts(&c->allocs, &c->alloc_bytes, &c->mallocs);
	c->xenmem_allocs = kpi_resources_made();
	c->pages = kpi_pages_live();
	c->fakes = kpi_fakes_live();
	c->objects = kpi_objects_live();
	c->entries = kpi_entries_live();
	c->resources = kpi_resources_live();
	c->grants = kpi_grants_live();
	c->files = kpi_files_live();
	c->locks = kpi_locks_live();
	c->counters = kpi_counters_live;
	c->pauses = kpi_pauses;
	c->paused_ms = kpi_paused_ms;
}

uint64_t
harness_lock_count(const char *name)
{

	return (kpi_lock_count(name));
}

unsigned
harness_run_tasks(void)
{

	return (kpi_tasks_run());
}

struct xen_machine *
harness_machine(void)
{

	return (kpi_machine);
}

struct xen_domain *
harness_domain(void)
{

	return (kpi_domain);
}

int
harness_sysctl(const char *name, const unsigned *newval, unsigned *oldval)
{

	return (kpi_sysctl(name, newval, oldval));
}

int
harness_sysctl64(const char *name, uint64_t *value)
{

	return (kpi_sysctl64(name, value));
}

int
harness_peer(const char *request, char *reply, size_t replylen)
{
	int error;

	gate_init();
	os_mutex_lock(&gate.load);
	error = kpi_inherited ? disown() : 0;
	if (error == 0)
		error = machine_open();
	if (error == 0 && peer == NULL) {
		peer = xen_peer_new(kpi_machine);
		if (peer == NULL)
			error = ENOMEM;
	}
	os_mutex_unlock(&gate.load);
	if (error != 0)
		return (-1);
	error = xen_peer_request(peer, request, reply, replylen);
	kpi_evtchn_scan();
	return (error);
}

/* fork(2). */

void
harness_fork_prepare(void)
{

	gate_init();
	os_mutex_lock(&gate.load);
	os_rwlock_wrlock(gate.lock);
}

void
harness_fork_parent(void)
{

	os_rwlock_unlock(gate.lock);
	os_mutex_unlock(&gate.load);
}

void
harness_fork_child(void)
{

	/* The writer was a thread of the parent, not of the child. */
	os_rwlock_abandon(gate.lock);
	gate_lock_new();
	os_mutex_unlock(&gate.load);
	exiting = NULL;
	kpi_tasks_fork_child();
	kpi_evtchn_fork_child();
	/*
	 * A machine that only holds the helper domain is kept in the child; the
	 * parent's driver is not.
	 */
	if (loaded)
		kpi_inherited = true;
}
