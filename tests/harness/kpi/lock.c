/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Locks that know their owner.  They panic at once for what a FreeBSD kernel
 * with INVARIANTS and WITNESS would report.
 */

#include <sys/param.h>
#include <sys/systm.h>
#include <sys/lock.h>
#include <sys/mutex.h>
#include <sys/proc.h>
#include <sys/rwlock.h>
#include <sys/sx.h>

#include "kpi.h"

#define	LOCK_MAGIC	0x4c4f434bu
#define	LOCK_DEAD	0xdeadc0deu

enum { KIND_MTX = 1, KIND_SX, KIND_RW };

static const char *const kind_names[] = { "lock", "mutex", "sx", "rwlock" };

/* The existing ones, to name those that nobody destroys. */
#define	LOCKS_MAX	4096
static struct {
	volatile u_int	spin;
	u_int		n;
	u_int		over;
	struct lock_object *list[LOCKS_MAX];
} locks;

static void
locks_enter(void)
{

	while (atomic_cmpset_int(&locks.spin, 0, 1) == 0)
		os_yield();
}

static void
locks_leave(void)
{

	atomic_store_rel_int(&locks.spin, 0);
}

/* For each name: how often any lock was taken. */
#define	CLASSES_MAX	64
struct kpi_lock_class {
	const char	*name;
	volatile uint64_t taken;
	/* A bit for each class that was taken while one of this was held. */
	volatile uint64_t after;
};
static struct kpi_lock_class classes[CLASSES_MAX];
static u_int nclasses;

/* With the list locked. */
static struct kpi_lock_class *
class_of(const char *name)
{
	u_int i;

	for (i = 0; i < nclasses; i++)
		if (strcmp(classes[i].name, name) == 0)
			return (&classes[i]);
	return (NULL);
}

/*
 * As in WITNESS: names have an order, the first one seen.  Threads that take
 * them in both orders may deadlock.
 */

/* Whether to was ever taken after from, directly or through others. */
static bool
order_leads(u_int from, u_int to)
{
	uint64_t done, next, todo;
	u_int i;

	done = 0;
	todo = 1ul << from;
	while (todo != 0) {
		i = (u_int)__builtin_ctzl(todo);
		done |= 1ul << i;
		next = atomic_load_64(&classes[i].after);
		if ((next & 1ul << to) != 0)
			return (true);
		todo = (todo | next) & ~done;
	}
	return (false);
}

static void
order_check(const struct kpi_lock_class *held, const struct kpi_lock_class *c)
{
	u_int from, to;

	from = (u_int)(held - classes);
	to = (u_int)(c - classes);
	if ((atomic_load_64(&held->after) & 1ul << to) != 0)
		return;
	locks_enter();
	if (order_leads(to, from)) {
		locks_leave();
		panic("lock order reversal: \"%s\" with \"%s\" held, before "
		    "the other way round", c->name, held->name);
	}
	atomic_set_64(&classes[from].after, 1ul << to);
	locks_leave();
}

/* Called before a lock that may have to wait. */
static void
order_take(const struct lock_object *lo)
{
	struct thread *td;
	u_int i;

	td = curthread;
	for (i = 0; i < td->td_nheld; i++) {
		KASSERT(td->td_held[i]->lo_class != lo->lo_class ||
		    lo->lo_kind == KIND_RW || (lo->lo_opts &
		    (lo->lo_kind == KIND_SX ? SX_DUPOK : MTX_DUPOK)) != 0,
		    ("two locks of the name \"%s\"", lo->lo_name));
		if (td->td_held[i]->lo_class != lo->lo_class)
			order_check(td->td_held[i]->lo_class, lo->lo_class);
	}
}

/* Locks taken by the driver's callers and by the shim itself. */
static bool
is_kernels(const char *name)
{

	return (strcmp(name, "vm object") == 0 ||
	    strcmp(name, "vm map (user)") == 0 ||
	    strcmp(name, "vnode interlock") == 0);
}

uint64_t
kpi_lock_count(const char *name)
{
	struct kpi_lock_class *c;
	uint64_t n;

	locks_enter();
	n = 0;
	for (c = classes; c < classes + nclasses; c++)
		if (name == NULL ? !is_kernels(c->name) :
		    strcmp(c->name, name) == 0)
			n += atomic_load_64(&c->taken);
	locks_leave();
	return (n);
}

static void
lock_init(struct lock_object *lo, u_int kind, const char *name, u_int opts)
{

	KASSERT(lo->lo_magic != LOCK_MAGIC,
	    ("%s \"%s\" initialised twice", kind_names[kind], name));
	memset(lo, 0, sizeof(*lo));
	lo->lo_magic = LOCK_MAGIC;
	lo->lo_kind = kind;
	lo->lo_name = name;
	lo->lo_opts = opts;
	locks_enter();
	lo->lo_class = class_of(name);
	if (lo->lo_class == NULL) {
		KASSERT(nclasses < CLASSES_MAX, ("too many names of locks"));
		lo->lo_class = &classes[nclasses++];
		lo->lo_class->name = name;
	}
	if (locks.n < LOCKS_MAX)
		locks.list[locks.n++] = lo;
	else
		locks.over++;
	locks_leave();
}

static void
lock_check(const struct lock_object *lo, u_int kind, const char *what)
{

	KASSERT(lo->lo_magic != LOCK_DEAD, ("%s of destroyed %s \"%s\"", what,
	    kind_names[kind], lo->lo_name));
	KASSERT(lo->lo_magic == LOCK_MAGIC && lo->lo_kind == kind,
	    ("%s of uninitialised %s %p", what, kind_names[kind], lo));
}

static void
lock_destroy(struct lock_object *lo, u_int kind)
{
	u_int i;

	lock_check(lo, kind, "destruction");
	KASSERT(atomic_load_ptr(&lo->lo_owner) == NULL && lo->lo_shared == 0,
	    ("destruction of held %s \"%s\"", kind_names[kind], lo->lo_name));
	lo->lo_magic = LOCK_DEAD;
	locks_enter();
	for (i = 0; i < locks.n; i++)
		if (locks.list[i] == lo)
			break;
	if (i < locks.n)
		locks.list[i] = locks.list[--locks.n];
	else
		locks.over--;
	locks_leave();
}

u_int
kpi_locks_live(void)
{
	u_int n;

	locks_enter();
	n = locks.n + locks.over;
	locks_leave();
	return (n);
}

void
kpi_locks_report(void)
{
	u_int i;

	for (i = 0; i < locks.n && i < 8; i++)
		if (locks.list[i] != &kpi_vmspace.vm_map.lock.lock_object)
			kpi_message("leak: %s \"%s\" never destroyed\n",
			    kind_names[locks.list[i]->lo_kind],
			    locks.list[i]->lo_name);
}

/* May be read at any time: compared with the calling thread, it is exact. */
static struct thread *
owner(const struct lock_object *lo)
{

	return (atomic_load_ptr(&lo->lo_owner));
}

static void
set_owner(struct lock_object *lo, struct thread *td)
{

	atomic_store_ptr(&lo->lo_owner, td);
}

/* The locks that a thread holds. */

static bool
held(const struct lock_object *lo)
{
	struct thread *td;
	u_int i;

	td = curthread;
	for (i = 0; i < td->td_nheld; i++)
		if (td->td_held[i] == lo)
			return (true);
	return (false);
}

static void
held_push(struct lock_object *lo)
{
	struct thread *td;

	td = curthread;
	KASSERT(td->td_nheld < KPI_HELD_MAX, ("too many locks held"));
	td->td_held[td->td_nheld++] = lo;
	atomic_add_64(&lo->lo_class->taken, 1);
	if (lo->lo_kind != KIND_SX)
		td->td_nosleep++;
}

static void
held_pop(struct lock_object *lo)
{
	struct thread *td;
	u_int i;

	td = curthread;
	for (i = td->td_nheld; i-- > 0;)
		if (td->td_held[i] == lo)
			break;
	KASSERT(i < td->td_nheld, ("unlock of %s \"%s\", not held by this "
	    "thread", kind_names[lo->lo_kind], lo->lo_name));
	for (td->td_nheld--; i < td->td_nheld; i++)
		td->td_held[i] = td->td_held[i + 1];
	if (lo->lo_kind != KIND_SX)
		td->td_nosleep--;
}

void
kpi_no_sleep(const char *what)
{
	struct thread *td;
	u_int i;

	td = curthread;
	if (td->td_nosleep == 0)
		return;
	for (i = td->td_nheld; i-- > 0;)
		if (td->td_held[i]->lo_kind != KIND_SX)
			panic("%s with %s \"%s\" held", what,
			    kind_names[td->td_held[i]->lo_kind],
			    td->td_held[i]->lo_name);
}

void
kpi_no_locks(const char *what)
{
	struct thread *td;

	td = curthread;
	if (td->td_nheld != 0)
		panic("%s with %s \"%s\" held", what,
		    kind_names[td->td_held[td->td_nheld - 1]->lo_kind],
		    td->td_held[td->td_nheld - 1]->lo_name);
}

/* A page fault in copyin would take the lock again. */
void
kpi_no_map_lock(const char *what)
{

	if (held(&kpi_vmspace.vm_map.lock.lock_object))
		panic("%s with the address space locked", what);
	order_take(&kpi_vmspace.vm_map.lock.lock_object);
}

/* Lets other threads run now and then after a lock was released. */

static volatile u_int shaking;

void
harness_shake(bool on)
{

	atomic_store_int(&shaking, on);
}

static void
shake(void)
{
	static volatile u_int seeds;
	static __thread u_int random;

	if (atomic_load_int(&shaking) == 0 || curthread->td_nheld != 0)
		return;
	if (random == 0)
		random = atomic_fetchadd_int(&seeds, 2654435761u) | 1;
	random = random * 1103515245u + 12345u;
	if ((random >> 16) % 32 == 0)
		os_nap(50000);
}

static void
lock_acquired(struct lock_object *lo)
{

	set_owner(lo, curthread);
	held_push(lo);
}

static void
check_unlock(struct lock_object *lo, u_int kind)
{

	lock_check(lo, kind, "unlock");
	KASSERT(owner(lo) != NULL, ("unlock of %s \"%s\", not locked",
	    kind_names[kind], lo->lo_name));
	KASSERT(owner(lo) == curthread, ("unlock of %s \"%s\", held by "
	    "another thread", kind_names[kind], lo->lo_name));
}

static void
lock_assert(const struct lock_object *lo, int what, const char *file, int line)
{
	bool mine, shared;

	mine = owner(lo) == curthread;
	shared = !mine && held(lo);
	if (what == LA_UNLOCKED)
		KASSERT(!mine && !shared, ("%s \"%s\" held at %s:%d",
		    kind_names[lo->lo_kind], lo->lo_name, file, line));
	if ((what & LA_XLOCKED) != 0)
		KASSERT(mine, ("%s \"%s\" not exclusively held at %s:%d",
		    kind_names[lo->lo_kind], lo->lo_name, file, line));
	if ((what & LA_SLOCKED) != 0)
		KASSERT(shared, ("%s \"%s\" not held shared at %s:%d",
		    kind_names[lo->lo_kind], lo->lo_name, file, line));
	if ((what & LA_LOCKED) != 0)
		KASSERT(mine || shared, ("%s \"%s\" not held at %s:%d",
		    kind_names[lo->lo_kind], lo->lo_name, file, line));
	if ((what & LA_NOTRECURSED) != 0)
		KASSERT(lo->lo_recurse == 0, ("%s \"%s\" recursed at %s:%d",
		    kind_names[lo->lo_kind], lo->lo_name, file, line));
}

/* mutex(9). */

void
mtx_init(struct mtx *m, const char *name, const char *type, int opts)
{

	KASSERT((opts & MTX_SPIN) == 0, ("spin mutex \"%s\"", name));
	lock_init(&m->lock_object, KIND_MTX, name, (u_int)opts);
	os_mutex_init((struct os_mutex *)m->mtx_host);
}

void
mtx_destroy(struct mtx *m)
{

	/* As FreeBSD allows: by its owner. */
	if (owner(&m->lock_object) == curthread)
		mtx_unlock(m);
	lock_destroy(&m->lock_object, KIND_MTX);
	os_mutex_destroy((struct os_mutex *)m->mtx_host);
}

static bool
mtx_recurses(struct mtx *m)
{

	if (owner(&m->lock_object) != curthread)
		return (false);
	KASSERT((m->lock_object.lo_opts & MTX_RECURSE) != 0,
	    ("recursion on mutex \"%s\"", m->lock_object.lo_name));
	m->lock_object.lo_recurse++;
	return (true);
}

void
mtx_lock(struct mtx *m)
{

	lock_check(&m->lock_object, KIND_MTX, "lock");
	if (mtx_recurses(m))
		return;
	order_take(&m->lock_object);
	os_mutex_lock((struct os_mutex *)m->mtx_host);
	lock_acquired(&m->lock_object);
}

void
mtx_unlock(struct mtx *m)
{

	check_unlock(&m->lock_object, KIND_MTX);
	if (m->lock_object.lo_recurse > 0) {
		m->lock_object.lo_recurse--;
		return;
	}
	held_pop(&m->lock_object);
	set_owner(&m->lock_object, NULL);
	os_mutex_unlock((struct os_mutex *)m->mtx_host);
	shake();
}

void
kpi_mtx_assert(const struct mtx *m, int what, const char *file, int line)
{

	lock_assert(&m->lock_object, what, file, line);
}

int
mtx_initialized(const struct mtx *m)
{

	return (m->lock_object.lo_magic == LOCK_MAGIC);
}

/* sx(9) and rwlock(9): the same except for sleeping. */

_Static_assert(sizeof(struct os_rwlock) <= sizeof(((struct sx *)0)->sx_host) &&
    sizeof(struct os_mutex) <= sizeof(((struct mtx *)0)->mtx_host),
    "room for the host's locks");

static void
shared_init(struct lock_object *lo, uint64_t *host, u_int kind,
    const char *name, u_int opts)
{

	lock_init(lo, kind, name, opts);
	os_rwlock_init((struct os_rwlock *)host);
}

static void
shared_destroy(struct lock_object *lo, uint64_t *host, u_int kind)
{

	lock_destroy(lo, kind);
	os_rwlock_destroy((struct os_rwlock *)host);
}

static void
exclusive_lock(struct lock_object *lo, uint64_t *host, u_int kind)
{

	lock_check(lo, kind, "lock");
	if (kind == KIND_SX)
		kpi_no_sleep("acquisition of an sx lock");
	if (owner(lo) == curthread) {
		KASSERT((lo->lo_opts & SX_RECURSE) != 0,
		    ("recursion on %s \"%s\"", kind_names[kind], lo->lo_name));
		lo->lo_recurse++;
		return;
	}
	KASSERT(!held(lo), ("exclusive lock of %s \"%s\", held shared",
	    kind_names[kind], lo->lo_name));
	order_take(lo);
	os_rwlock_wrlock((struct os_rwlock *)host);
	lock_acquired(lo);
}

static void
exclusive_unlock(struct lock_object *lo, uint64_t *host, u_int kind)
{

	check_unlock(lo, kind);
	if (lo->lo_recurse > 0) {
		lo->lo_recurse--;
		return;
	}
	held_pop(lo);
	set_owner(lo, NULL);
	os_rwlock_unlock((struct os_rwlock *)host);
	shake();
}

static void
shared_lock(struct lock_object *lo, uint64_t *host, u_int kind)
{

	lock_check(lo, kind, "lock");
	if (kind == KIND_SX)
		kpi_no_sleep("acquisition of an sx lock");
	/* A writer waiting in between would deadlock it. */
	KASSERT(owner(lo) != curthread && !held(lo),
	    ("recursion on %s \"%s\"", kind_names[kind], lo->lo_name));
	order_take(lo);
	os_rwlock_rdlock((struct os_rwlock *)host);
	atomic_add_int(&lo->lo_shared, 1);
	held_push(lo);
}

static void
shared_unlock(struct lock_object *lo, uint64_t *host, u_int kind)
{

	lock_check(lo, kind, "unlock");
	KASSERT(owner(lo) == NULL, ("shared unlock of %s \"%s\", held "
	    "exclusively", kind_names[kind], lo->lo_name));
	held_pop(lo);
	atomic_subtract_int(&lo->lo_shared, 1);
	os_rwlock_unlock((struct os_rwlock *)host);
}

void
sx_init_flags(struct sx *sx, const char *name, int opts)
{

	shared_init(&sx->lock_object, sx->sx_host, KIND_SX, name, (u_int)opts);
}

void
sx_destroy(struct sx *sx)
{

	shared_destroy(&sx->lock_object, sx->sx_host, KIND_SX);
}

void
sx_xlock(struct sx *sx)
{

	exclusive_lock(&sx->lock_object, sx->sx_host, KIND_SX);
}

void
sx_xunlock(struct sx *sx)
{

	exclusive_unlock(&sx->lock_object, sx->sx_host, KIND_SX);
}

void
sx_slock(struct sx *sx)
{

	shared_lock(&sx->lock_object, sx->sx_host, KIND_SX);
}

void
sx_sunlock(struct sx *sx)
{

	shared_unlock(&sx->lock_object, sx->sx_host, KIND_SX);
}

void
kpi_sx_assert(const struct sx *sx, int what, const char *file, int line)
{

	lock_assert(&sx->lock_object, what, file, line);
}

void
rw_init(struct rwlock *rw, const char *name)
{

	shared_init(&rw->lock_object, rw->rw_host, KIND_RW, name, 0);
}

void
rw_destroy(struct rwlock *rw)
{

	shared_destroy(&rw->lock_object, rw->rw_host, KIND_RW);
}

void
rw_wlock(struct rwlock *rw)
{

	exclusive_lock(&rw->lock_object, rw->rw_host, KIND_RW);
}

void
rw_wunlock(struct rwlock *rw)
{

	exclusive_unlock(&rw->lock_object, rw->rw_host, KIND_RW);
}

void
kpi_rw_assert(const struct rwlock *rw, int what, const char *file, int line)
{

	lock_assert(&rw->lock_object, what, file, line);
}

int
rw_wowned(const struct rwlock *rw)
{

	return (owner(&rw->lock_object) == curthread);
}
