/* SPDX-License-Identifier: BSD-2-Clause */
/* Messages, memory, user addresses, time, counters, sysctls. */

#include <sys/param.h>
#include <sys/systm.h>
#include <sys/counter.h>
#include <sys/kernel.h>
#include <sys/malloc.h>
#include <sys/proc.h>
#include <sys/sysctl.h>
#include <sys/sysent.h>
#include <sys/syslog.h>
#include <sys/ucred.h>
#include <sys/uio.h>

#include "kpi.h"

int hz = 1000;

/* Threads. */

static struct sysentvec kpi_sysent = { .sv_flags = SV_LP64 };
static struct ucred kpi_ucred = { .cr_ref = 1 };
struct vmspace kpi_vmspace;
static struct proc kpi_proc = {
	.p_vmspace = &kpi_vmspace,
	.p_sysent = &kpi_sysent,
	.p_numthreads = 1,
};
static __thread struct thread kpi_thread;

struct thread *
kpi_curthread(void)
{

	if (kpi_thread.td_proc == NULL) {
		kpi_thread.td_proc = &kpi_proc;
		kpi_thread.td_ucred = &kpi_ucred;
		/*
		 * Not again in each thread: the driver reads it without a lock.
		 */
		if (__atomic_load_n(&kpi_proc.p_pid, __ATOMIC_RELAXED) !=
		    os_getpid())
			__atomic_store_n(&kpi_proc.p_pid, os_getpid(),
			    __ATOMIC_RELAXED);
	}
	return (&kpi_thread);
}

/* Messages. */

void
panic(const char *fmt, ...)
{
	char text[512];
	va_list ap;

	va_start(ap, fmt);
	__builtin_vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	/* The driver's messages have no newline, as panic(9) wants them. */
	kpi_message("panic: %s\n", text);
	os_abort();
}

void
kpi_message(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	os_vmessage("xengnt-harness: ", fmt, ap);
	va_end(ap);
}

int
printf(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	os_vmessage("xengnt-harness: kernel: ", fmt, ap);
	va_end(ap);
	return (0);
}

void
log(int level, const char *fmt, ...)
{
	va_list ap;

	if (level > LOG_NOTICE)
		return;
	va_start(ap, fmt);
	os_vmessage("xengnt-harness: kernel: ", fmt, ap);
	va_end(ap);
}

/* malloc(9). */

#define	ALLOC_MAGIC	0x6d616c6c6f632839u
/* Larger allocations find kernel memory exhausted. */
#define	ALLOC_MAX	(1ul << 30)

struct alloc {
	uint64_t	magic;
	size_t		size;
	struct malloc_type *type;
	uint64_t	pad;		/* keep 16-byte alignment */
};

static struct malloc_type *malloc_types;
static volatile u_int malloc_types_lock;

static void
malloc_types_enter(void)
{

	while (atomic_cmpset_int(&malloc_types_lock, 0, 1) == 0)
		os_yield();
}

static void
malloc_types_leave(void)
{

	atomic_store_rel_int(&malloc_types_lock, 0);
}

static void
malloc_type_register(struct malloc_type *type)
{

	malloc_types_enter();
	if (!type->ks_known) {
		type->ks_known = true;
		type->ks_next = malloc_types;
		malloc_types = type;
	}
	malloc_types_leave();
}

void *
malloc(size_t size, struct malloc_type *type, int flags)
{
	struct alloc *a;

	KASSERT(((flags & M_WAITOK) != 0) != ((flags & M_NOWAIT) != 0),
	    ("malloc(%s): exactly one of M_WAITOK and M_NOWAIT",
	    type->ks_shortdesc));
	if ((flags & M_WAITOK) != 0)
		kpi_no_sleep("malloc(M_WAITOK)");
	else if (size > ALLOC_MAX || xengnt_harness_fail(HARNESS_FAIL_MALLOC))
		return (NULL);
	a = size > ALLOC_MAX ? NULL : os_alloc(sizeof(*a) + size);
	if (a == NULL) {
		KASSERT((flags & M_WAITOK) == 0, ("malloc(%s, %zu, M_WAITOK) "
		    "sleeps for ever", type->ks_shortdesc, size));
		return (NULL);
	}
	malloc_type_register(type);
	a->magic = ALLOC_MAGIC;
	a->size = size;
	a->type = type;
	atomic_add_long(&type->ks_allocs, 1);
	atomic_add_long(&type->ks_bytes, size);
	atomic_add_long(&type->ks_requests, 1);
	if ((flags & M_ZERO) == 0)
		memset(a + 1, 0xa5, size);
	return (a + 1);
}

void
free(void *addr, struct malloc_type *type)
{
	struct alloc *a;

	if (addr == NULL)
		return;
	a = (struct alloc *)addr - 1;
	KASSERT(a->magic == ALLOC_MAGIC, ("free(%s): freed twice, or not from "
	    "malloc", type->ks_shortdesc));
	KASSERT(a->type == type, ("free: allocated as %s, freed as %s",
	    a->type->ks_shortdesc, type->ks_shortdesc));
	a->magic = 0;
	atomic_subtract_long(&type->ks_allocs, 1);
	atomic_subtract_long(&type->ks_bytes, a->size);
	memset(addr, 0xde, a->size);
	os_free(a);
}

void
kpi_malloc_counts(u_long *allocs, u_long *bytes, u_long *requests)
{
	struct malloc_type *type;

	*allocs = *bytes = *requests = 0;
	malloc_types_enter();
	for (type = malloc_types; type != NULL; type = type->ks_next) {
		*allocs += atomic_load_long(&type->ks_allocs);
		*bytes += atomic_load_long(&type->ks_bytes);
		*requests += atomic_load_long(&type->ks_requests);
	}
	malloc_types_leave();
}

u_int
kpi_leaked_allocs(u_int *lines)
{
	struct malloc_type *type;
	u_int n;

	n = 0;
	for (type = malloc_types; type != NULL; type = type->ks_next) {
		if (type->ks_allocs == 0)
			continue;
		kpi_message("leak: malloc type %s: %lu allocation(s), %lu "
		    "bytes\n", type->ks_shortdesc, type->ks_allocs,
		    type->ks_bytes);
		(*lines)++;
		n += (u_int)type->ks_allocs;
	}
	return (n);
}

/* User addresses, which are the process's own. */

static bool
user_range(const void *uaddr, size_t len)
{
	uintptr_t start;

	start = (uintptr_t)uaddr;
	return (start + len >= start && start + len <= VM_MAXUSER_ADDRESS);
}

int
copyin(const void *uaddr, void *kaddr, size_t len)
{

	kpi_no_sleep("copyin");
	kpi_no_map_lock("copyin");
	if (!user_range(uaddr, len) ||
	    xengnt_harness_fail(HARNESS_FAIL_COPYIN) ||
	    !os_copyin(uaddr, kaddr, len))
		return (EFAULT);
	return (0);
}

int
copyout(const void *kaddr, void *uaddr, size_t len)
{

	kpi_no_sleep("copyout");
	kpi_no_map_lock("copyout");
	if (!user_range(uaddr, len) ||
	    xengnt_harness_fail(HARNESS_FAIL_COPYOUT) ||
	    !os_copyout(kaddr, uaddr, len))
		return (EFAULT);
	return (0);
}

int
uiomove(void *cp, int n, struct uio *uio)
{
	size_t len;
	int error;

	len = (size_t)MIN((ssize_t)n, uio->uio_resid);
	error = uio->uio_rw == UIO_READ ? copyout(cp, uio->kpi_user, len) :
	    copyin(uio->kpi_user, cp, len);
	if (error == 0) {
		uio->kpi_user += len;
		uio->uio_resid -= (ssize_t)len;
	}
	return (error);
}

int
suword16(volatile void *uaddr, int word)
{
	uint16_t value;

	value = (uint16_t)word;
	return (copyout(&value, __DEVOLATILE(void *, uaddr), 2) == 0 ? 0 : -1);
}

/*
 * Time.  A retry does not really wait: it is counted, and the peer gets a turn.
 */

volatile u_int kpi_pauses;
volatile u_long kpi_paused_ms;

int
pause_sbt(const char *wmesg, sbintime_t sbt, sbintime_t pr, int flags)
{

	kpi_no_sleep("pause_sbt");
	atomic_add_int(&kpi_pauses, 1);
	atomic_add_long(&kpi_paused_ms, (u_long)(sbt / SBT_1MS));
	os_yield();
	return (35);	/* EWOULDBLOCK: the time is over */
}

int
pause(const char *wmesg, int ticks)
{

	kpi_no_sleep("pause");
	os_yield();
	return (35);
}

/* counter(9). */

volatile u_int kpi_counters_live;

uint64_t
counter_u64_fetch(counter_u64_t c)
{

	return (__atomic_load_n(c, __ATOMIC_RELAXED));
}

/* sysctl(9): variables by name. */

static struct kpi_sysctl *kpi_sysctls;	/* all made before main() */

void
kpi_sysctl_register(struct kpi_sysctl *oid)
{

	oid->next = kpi_sysctls;
	kpi_sysctls = oid;
}

static bool
sysctl_is(const struct kpi_sysctl *oid, const char *name)
{
	const char *p;

	p = oid->name;
	if (*p == '_')
		p++;
	for (; *p != '\0' && *name != '\0'; p++, name++)
		if (*p != *name && !(*p == '_' && *name == '.'))
			return (false);
	return (*p == *name);
}

static struct kpi_sysctl *
sysctl_find(const char *name)
{
	struct kpi_sysctl *oid;

	for (oid = kpi_sysctls; oid != NULL; oid = oid->next)
		if (sysctl_is(oid, name))
			break;
	return (oid);
}

/*
 * As in the kernel's handler, any variable is read without the lock that guards
 * it.
 */
static u_int __attribute__((__no_sanitize__("thread")))
sysctl_peek(const void *ptr)
{

	return (*(const volatile u_int *)ptr);
}

static int
sysctl_read(const struct kpi_sysctl *oid, uint64_t *value)
{
	counter_u64_t c;

	if (oid->type != CTLTYPE_U64) {
		*value = sysctl_peek(oid->ptr);
		return (0);
	}
	c = *(counter_u64_t *)oid->ptr;
	/* Allocated when the module loads. */
	if (c == NULL)
		return (ENOENT);
	*value = counter_u64_fetch(c);
	return (0);
}

int
kpi_sysctl64(const char *name, uint64_t *value)
{
	struct kpi_sysctl *oid;

	oid = sysctl_find(name);
	return (oid == NULL ? ENOENT : sysctl_read(oid, value));
}

int
kpi_sysctl(const char *name, const u_int *newval, u_int *oldval)
{
	struct kpi_sysctl *oid;
	uint64_t value;
	int error;

	oid = sysctl_find(name);
	if (oid == NULL)
		return (ENOENT);
	if (oid->type == CTLTYPE_U64 && newval != NULL)
		return (EPERM);
	error = sysctl_read(oid, &value);
	if (error != 0)
		return (error);
	if (oldval != NULL)
		*oldval = (u_int)value;
	if (newval != NULL) {
		if ((oid->flags & CTLFLAG_WR) == 0)
			return (EPERM);
		atomic_store_int((volatile u_int *)oid->ptr, *newval);
	}
	return (0);
}
