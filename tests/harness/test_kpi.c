/* SPDX-License-Identifier: BSD-2-Clause */
/* The shim: mock_driver.c breaks FreeBSD's rules one by one. */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "death.h"
#include "harness.h"
#include "mock_driver.h"
#include "os/host_os.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define	HEAP_SANITIZER
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define	HEAP_SANITIZER
#endif
#endif

#define	PAGE	4096ul

static struct file *fp;

static int
op(enum mock_op nr, const void *arg)
{

	return (harness_ioctl(fp, HARNESS_IO('T', nr), (uintptr_t)arg));
}

static int
setup(void **state)
{

	(void)state;
	return (harness_open("mock", HARNESS_FREAD | HARNESS_FWRITE, &fp));
}

static int
teardown(void **state)
{

	(void)state;
	return ((int)harness_teardown(false));
}

/* Panics. */

static void
do_wrong(void *arg)
{

	op((enum mock_op)(intptr_t)arg, NULL);
}

static void
test_panics(void **state)
{
	static const struct {
		enum mock_op	op;
		const char	*says;
	} wrongs[] = {
		{ MOCK_ALLOC_UNDER_MTX,
		    "malloc(M_WAITOK) with mutex \"mock mutex\" held" },
		{ MOCK_COPYIN_UNDER_MTX,
		    "copyin with mutex \"mock mutex\" held" },
		{ MOCK_SX_UNDER_MTX,
		    "acquisition of an sx lock with mutex \"mock mutex\"" },
		{ MOCK_PAUSE_UNDER_MTX, "pause_sbt with mutex" },
		{ MOCK_RECURSE_MTX, "recursion on mutex \"mock mutex\"" },
		{ MOCK_RECURSE_SX, "recursion on sx \"mock sx\"" },
		{ MOCK_UNLOCK_UNLOCKED, "\"mock mutex\", not locked" },
		{ MOCK_DESTROY_HELD, "destruction of held sx \"mock sx\"" },
		{ MOCK_USE_DESTROYED, "lock of destroyed sx \"local\"" },
		{ MOCK_RETURN_LOCKED, "d_ioctl returned with sx \"mock sx\"" },
		{ MOCK_ASSERT_UNOWNED, "\"mock mutex\" not exclusively held" },
#ifndef HEAP_SANITIZER
		/* It has its own words for this. */
		{ MOCK_FREE_TWICE, "freed twice" },
#endif
		{ MOCK_FREE_OTHER_TYPE, "allocated as mock, freed as other" },
		{ MOCK_FREE_GRANTED, "freed while it is granted" },
		{ MOCK_REFCOUNT_REVIVE, "acquired after the last release" },
		{ MOCK_COPYIN_MAP_LOCKED, "the address space locked" },
		{ MOCK_INSERT_TWICE, "index 0 is taken" },
		{ MOCK_UNWIRE_FICTITIOUS, "lost its last wiring" },
		{ MOCK_LOCK_ORDER, "lock order reversal: \"mock mutex\" with "
		    "\"local b\" held" },
		{ MOCK_LOCK_ORDER_FAULT, "lock order reversal: \"mock sx\" "
		    "with \"vm map (user)\" held" },
		{ MOCK_LOCK_TWO_OF_A_KIND, "two locks of the name \"local\"" },
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(wrongs) / sizeof(wrongs[0]); i++)
		assert_dies(do_wrong, (void *)(intptr_t)wrongs[i].op,
		    wrongs[i].says);
}

static void *
holder(void *arg)
{

	(void)arg;
	op(MOCK_HOLD, NULL);
	return (NULL);
}

static void
unlock_of_strangers(void *arg)
{
	pthread_t t;

	(void)arg;
	pthread_create(&t, NULL, holder, NULL);
	usleep(50000);
	op(MOCK_UNLOCK_STRANGER, NULL);
}

static void
test_unlock_by_stranger(void **state)
{

	(void)state;
	assert_dies(unlock_of_strangers, NULL,
	    "unlock of mutex \"mock mutex\", held by another thread");
}

/* What is allowed. */

static void
test_sleep_under_sx(void **state)
{

	(void)state;
	assert_int_equal(op(MOCK_ALLOC_UNDER_SX, NULL), 0);
}

static void
test_user_addresses(void **state)
{
	uint64_t word = 0;
	char *p;

	(void)state;
	assert_int_equal(op(MOCK_COPYIN, &word), 0);
	assert_int_equal(op(MOCK_COPYOUT, &word), 0);
	assert_true(word == 0x1122334455667788);
	assert_int_equal(op(MOCK_COPYIN, NULL), EFAULT);
	assert_int_equal(op(MOCK_COPYIN, (void *)0xffff800000000000), EFAULT);
	assert_int_equal(op(MOCK_COPYIN, (void *)-4), EFAULT);
	p = mmap(NULL, 2 * PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1,
	    0);
	assert_int_equal(op(MOCK_COPYIN, p), 0);
	assert_int_equal(op(MOCK_COPYOUT, p), EFAULT);
	munmap(p + PAGE, PAGE);
	/* Only half of it is there. */
	assert_int_equal(op(MOCK_COPYIN, p + PAGE - 4), EFAULT);
	munmap(p, PAGE);
}

static void
test_ioctl_words(void **state)
{
	char *ro;
	int value = 1;

	(void)state;
	/* Refused: no direction, sized void, sizeless in and out. */
	assert_int_equal(harness_ioctl(fp, 0x00184700, 0), 25);
	assert_int_equal(harness_ioctl(fp, 0x20180000 | 'T' << 8, 0), 25);
	assert_int_equal(harness_ioctl(fp, 0x40000000 | 'T' << 8, 0), 25);
	assert_int_equal(harness_ioctl(fp, 0x80000000 | 'T' << 8, 0), 25);
	assert_int_equal(op(MOCK_ENOIOCTL, NULL), 25);
	/* _IOW: copied in first, and fails there. */
	assert_int_equal(harness_ioctl(fp, 0x80040000ul | 'T' << 8,
	    (uintptr_t)&value), 0);
	assert_int_equal(harness_ioctl(fp, 0x80040000ul | 'T' << 8, 8), EFAULT);
	/* _IOR: copied out afterwards. */
	ro = mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	assert_int_equal(harness_ioctl(fp, 0x40040000ul | 'T' << 8,
	    (uintptr_t)&value), 0);
	assert_int_equal(value, 0);
	assert_int_equal(harness_ioctl(fp, 0x40040000ul | 'T' << 8,
	    (uintptr_t)ro), EFAULT);
	munmap(ro, PAGE);
}

static void
test_open_files(void **state)
{
	struct mock_events ev;
	struct file *other;

	(void)state;
	assert_int_equal(harness_open("nothing", HARNESS_FREAD, &other),
	    ENOENT);
	assert_int_equal(harness_open("mock", HARNESS_FREAD, &other), 0);
	harness_hold(other);
	harness_close(other);
	assert_int_equal(op(MOCK_EVENTS, &ev), 0);
	assert_int_equal(ev.opens, 2);
	assert_int_equal(ev.dtors, 0);
	harness_close(other);
	assert_int_equal(op(MOCK_EVENTS, &ev), 0);
	assert_int_equal(ev.dtors, 1);
	/* No d_read: ENODEV (row O6); and not for a write-only file. */
	assert_int_equal(harness_read(fp, NULL, 0, &(size_t){ 0 }), 19);
	assert_int_equal(harness_open("mock", HARNESS_FWRITE, &other), 0);
	assert_int_equal(harness_read(other, NULL, 0, &(size_t){ 0 }), EBADF);
	harness_close(other);
}

static void *
map(size_t len, int prot, int flags, int64_t off)
{
	void *p;

	assert_int_equal(harness_mmap(fp, NULL, len, prot, flags, off, &p), 0);
	return (p);
}

static int
map_error(struct file *file, size_t len, int prot, int flags, int64_t off)
{
	void *p;

	return (harness_mmap(file, NULL, len, prot, flags, off, &p));
}

#define	RW	(HARNESS_PROT_READ | HARNESS_PROT_WRITE)

/* What FreeBSD's mmap(2) refuses before it asks a driver. */
static void
test_mmap_rules(void **state)
{
	struct file *rdonly, *wronly;
	char *p;

	(void)state;
	assert_int_equal(harness_open("mock", HARNESS_FREAD, &rdonly), 0);
	assert_int_equal(harness_open("mock", HARNESS_FWRITE, &wronly), 0);
	assert_int_equal(map_error(fp, 0, RW, HARNESS_MAP_SHARED, 0), EINVAL);
	assert_int_equal(map_error(fp, PAGE, RW, 0, 0), EINVAL);
	assert_int_equal(map_error(fp, PAGE, RW,
	    HARNESS_MAP_SHARED | HARNESS_MAP_PRIVATE, 0), EINVAL);
	assert_int_equal(map_error(fp, PAGE, RW, HARNESS_MAP_PRIVATE, 0),
	    EACCES);
	assert_int_equal(map_error(fp, PAGE, HARNESS_PROT_READ,
			     HARNESS_MAP_PRIVATE, 0),
	    EINVAL);
	assert_int_equal(map_error(rdonly, PAGE, RW, HARNESS_MAP_SHARED, 0),
	    EACCES);
	assert_int_equal(map_error(wronly, PAGE, HARNESS_PROT_READ,
	    HARNESS_MAP_SHARED, 0), EACCES);
	assert_int_equal(map_error(wronly, PAGE, HARNESS_PROT_WRITE,
	    HARNESS_MAP_SHARED, 0), 0);
	assert_int_equal(map_error(fp, 5 * PAGE, RW, HARNESS_MAP_SHARED, 0),
	    EINVAL);
	/* Row K3: rounded down, and the rest stays in the address. */
	p = map(PAGE, RW, HARNESS_MAP_SHARED, 0x123);
	assert_int_equal((uintptr_t)p % PAGE, 0x123);
	p[PAGE - 1] = 1;
	/* mprotect within what the descriptor allowed at mmap. */
	assert_int_equal(harness_mmap(rdonly, NULL, PAGE, HARNESS_PROT_READ,
	    HARNESS_MAP_SHARED, 0, (void **)&p), 0);
	assert_int_equal(harness_mprotect(p, PAGE, RW), EACCES);
	assert_int_equal(harness_mprotect(p, PAGE, 0), 0);
	harness_close(rdonly);
	harness_close(wronly);
}

static void
test_shared_pages(void **state)
{
	char *a, *b;

	(void)state;
	a = map(4 * PAGE, RW, HARNESS_MAP_SHARED, 0);
	b = map(2 * PAGE, RW, HARNESS_MAP_SHARED, 2 * PAGE);
	strcpy(a + 2 * PAGE, "both");
	assert_string_equal(b, "both");
	strcpy(b + PAGE, "ways");
	assert_string_equal(a + 3 * PAGE, "ways");
	assert_string_equal(a, "");
}

static int
pager_dtors(void)
{
	struct mock_events ev;

	assert_int_equal(op(MOCK_EVENTS, &ev), 0);
	return (ev.pager_dtors);
}

/* The last piece of a mapping takes the object with it. */
static void
test_partial_munmap(void **state)
{
	struct harness_counts c;
	char *a;

	(void)state;
	a = map(4 * PAGE, RW, HARNESS_MAP_SHARED, 0);
	assert_int_equal(harness_munmap(a + PAGE, PAGE), 0);
	harness_counts(&c);
	assert_int_equal(c.entries, 2);
	assert_int_equal(c.objects, 1);
	a[0] = a[2 * PAGE] = a[4 * PAGE - 1] = 1;
	assert_int_equal(op(MOCK_COPYIN, a + PAGE), EFAULT);
	assert_int_equal(harness_munmap(a + 2 * PAGE, 2 * PAGE), 0);
	assert_int_equal(pager_dtors(), 0);
	assert_int_equal(harness_munmap(a, PAGE), 0);
	assert_int_equal(pager_dtors(), 1);
	harness_counts(&c);
	assert_int_equal(c.objects, 0);
	assert_int_equal(c.entries, 0);
	assert_int_equal(c.fakes, 0);
}

static void
test_fixed_over_ours(void **state)
{
	char *a;
	void *p;

	(void)state;
	a = map(2 * PAGE, RW, HARNESS_MAP_SHARED, 0);
	assert_int_equal(harness_mmap(fp, a, 2 * PAGE, RW,
	    HARNESS_MAP_SHARED | HARNESS_MAP_FIXED, 0, &p), 0);
	assert_ptr_equal(p, a);
	assert_int_equal(pager_dtors(), 1);
	assert_int_equal(harness_mmap(fp, a, PAGE, RW, HARNESS_MAP_SHARED |
	    HARNESS_MAP_FIXED | HARNESS_MAP_EXCL, 0, &p), ENOMEM);
	assert_int_equal(pager_dtors(), 2);
	a[0] = 1;
	assert_int_equal(harness_munmap(a, 2 * PAGE), 0);
	assert_int_equal(pager_dtors(), 3);
}

/* As in Linux's find_vma (rows G2 to G4): our mappings and others. */
static void
test_lookup(void **state)
{
	struct mock_lookup l;
	char *mem;
	void *p;

	(void)state;
	/* hole, ours, ordinary memory */
	mem = mmap(NULL, 4 * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
	    0);
	assert_int_equal(harness_mmap(fp, mem + PAGE, PAGE, RW,
	    HARNESS_MAP_SHARED | HARNESS_MAP_FIXED, 0, &p), 0);
	munmap(mem, PAGE);
	munmap(mem + 3 * PAGE, PAGE);
	l.addr = (unsigned long)mem + PAGE + 17;
	assert_int_equal(op(MOCK_LOOKUP, &l), 0);
	assert_true(l.inside && l.ours);
	assert_int_equal(l.start, (unsigned long)mem + PAGE);
	assert_int_equal(l.end, (unsigned long)mem + 2 * PAGE);
	l.addr = (unsigned long)mem + 5;
	assert_int_equal(op(MOCK_LOOKUP, &l), 0);
	assert_true(!l.inside && l.ours);
	l.addr = (unsigned long)mem + 2 * PAGE;
	assert_int_equal(op(MOCK_LOOKUP, &l), 0);
	assert_true(l.inside && !l.ours);
	l.addr = (unsigned long)&l;
	assert_int_equal(op(MOCK_LOOKUP, &l), 0);
	assert_true(l.inside && !l.ours);
	munmap(mem + 2 * PAGE, PAGE);
}

static void
test_held_pages(void **state)
{
	static char memory[PAGE] __attribute__((aligned(4096)));
	static const char constant[PAGE] __attribute__((aligned(4096))) = "x";
	struct harness_counts c;
	char *a;

	(void)state;
	assert_int_equal(op(MOCK_HOLD_PAGE, memory), 0);
	assert_int_equal(op(MOCK_HOLD_PAGE_RW, memory), 0);
	assert_int_equal(op(MOCK_HOLD_PAGE, constant), 0);
	assert_int_equal(op(MOCK_HOLD_PAGE_RW, constant), EFAULT);
	assert_int_equal(op(MOCK_HOLD_PAGE, NULL), EFAULT);
	a = map(PAGE, HARNESS_PROT_READ, HARNESS_MAP_SHARED, 0);
	assert_int_equal(op(MOCK_HOLD_PAGE, a), 0);
	assert_int_equal(op(MOCK_HOLD_PAGE_RW, a), EFAULT);
	assert_int_equal(harness_mprotect(a, PAGE, RW), 0);
	assert_int_equal(op(MOCK_HOLD_PAGE_RW, a), 0);
	assert_int_equal(harness_munmap(a, PAGE), 0);
	harness_counts(&c);
	assert_int_equal(c.fakes, 0);
}

static void
test_zeroed_pages(void **state)
{
	int i;

	(void)state;
	/* The second time the page was used before. */
	for (i = 0; i < 3; i++)
		assert_int_equal(op(MOCK_PAGE_IS_ZERO, NULL), 0);
}

/* A minute passes at once. */
static void
test_tasks_on_demand(void **state)
{
	int ran = -1;

	(void)state;
	assert_int_equal(op(MOCK_TASK, NULL), 0);
	assert_int_equal(op(MOCK_TASKS_RAN, &ran), 0);
	assert_int_equal(ran, 0);
	assert_int_equal(harness_run_tasks(), 1);
	assert_int_equal(op(MOCK_TASKS_RAN, &ran), 0);
	assert_int_equal(ran, 1);
	assert_int_equal(harness_run_tasks(), 0);
	/* The one that is left is drained at unload. */
	assert_int_equal(op(MOCK_TASK, NULL), 0);
}

static void
test_sysctl(void **state)
{
	unsigned old, new = 5;

	(void)state;
	assert_int_equal(harness_sysctl("hw.mock.limit", &new, &old), 0);
	assert_int_equal(old, 42);
	new = 42;
	assert_int_equal(harness_sysctl("hw.mock.limit", &new, &old), 0);
	assert_int_equal(old, 5);
	assert_int_equal(harness_sysctl("hw.mock.fixed", NULL, &old), 0);
	assert_int_equal(old, 7);
	assert_int_equal(harness_sysctl("hw.mock.fixed", &new, NULL), EPERM);
	assert_int_equal(harness_sysctl("hw.mock.limits", NULL, &old), ENOENT);
}

/* The shim reports what a driver leaves behind. */
static unsigned
leaks_after(enum mock_op nr)
{
	int status;
	pid_t pid;

	pid = fork();
	if (pid == 0) {
		harness_open("mock", HARNESS_FREAD, &fp);
		op(nr, NULL);
		freopen("/dev/null", "w", stderr);
		_exit((int)harness_teardown(false));
	}
	waitpid(pid, &status, 0);
	assert_true(WIFEXITED(status));
	return ((unsigned)WEXITSTATUS(status));
}

static void
test_leaks(void **state)
{

	(void)state;
	assert_int_equal(leaks_after(MOCK_NOTHING), 0);
	assert_int_equal(leaks_after(MOCK_LEAK), 1);
	assert_int_equal(leaks_after(MOCK_LEAK_PAGE), 1);
}

/* A child drops the parent's driver and loads its own; the parent continues. */
static void
test_fork(void **state)
{
	struct mock_events ev;
	struct file *parents;
	char *a;
	int status;
	pid_t pid;

	(void)state;
	a = map(PAGE, RW, HARNESS_MAP_SHARED, 0);
	a[0] = 1;
	harness_fork_prepare();
	pid = fork();
	if (pid == 0) {
		harness_fork_child();
		assert_false(harness_loaded());
		parents = fp;
		a[0] = 2;
		if (harness_open("mock", HARNESS_FREAD | HARNESS_FWRITE, &fp) !=
		    0)
			_exit(100);
		(void)parents;
		a = map(PAGE, RW, HARNESS_MAP_SHARED, 0);
		if (a[0] != 0)
			_exit(101);
		_exit((int)harness_teardown(false));
	}
	harness_fork_parent();
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	assert_int_equal(a[0], 2);
	assert_int_equal(op(MOCK_EVENTS, &ev), 0);
	assert_int_equal(ev.opens, 1);
	assert_int_equal(ev.dtors, 0);
	assert_int_equal(harness_munmap(a, PAGE), 0);
	assert_int_equal(pager_dtors(), 1);
}

/* FreeBSD's order: the handlers, the files, the address space (row K9). */
static void
test_process_exit(void **state)
{
	struct mock_events ev;
	struct vm_object *object;
	char *a;

	(void)state;
	a = map(PAGE, RW, HARNESS_MAP_SHARED, 0);
	map(PAGE, RW, HARNESS_MAP_SHARED, 0);
	object = harness_share(a);
	assert_non_null(object);
	assert_null(harness_share(&object));
	harness_exit();
	assert_false(harness_owns(a, PAGE));
	assert_int_equal(harness_open("mock", HARNESS_FREAD | HARNESS_FWRITE,
			     &fp),
	    0);
	assert_int_equal(op(MOCK_EVENTS, &ev), 0);
	assert_int_equal(ev.exits, 1);
	assert_int_equal(ev.exit_dtors, 0);
	assert_int_equal(ev.exit_ours, 2);
	assert_int_equal(ev.exit_others, 2);
	assert_int_equal(ev.dtors, 1);
	/* Another process still has one of them. */
	assert_int_equal(ev.pager_dtors, 1);
	harness_unshare(object);
	assert_int_equal(op(MOCK_EVENTS, &ev), 0);
	assert_int_equal(ev.pager_dtors, 2);
	assert_int_equal(harness_vmspace_hold(1), 2);
	assert_int_equal(harness_vmspace_hold(-1), 1);
}

static void
test_pins(void **state)
{
	struct harness_pin *one, *two;
	char *a;

	(void)state;
	a = map(PAGE, RW, HARNESS_MAP_SHARED, 0);
	/* For an untouched page these would be the wirings of the fake one. */
	a[0] = 1;
	assert_int_equal(harness_page_wirings(a), 1);
	assert_int_equal(harness_pin(a + 5, true, &one), 0);
	assert_int_equal(harness_pin(a, false, &two), 0);
	assert_int_equal(harness_page_wirings(a), 3);
	harness_unpin(two);
	/* The mapping goes; the page does not. */
	assert_int_equal(harness_munmap(a, PAGE), 0);
	a = map(PAGE, RW, HARNESS_MAP_SHARED, 0);
	a[0] = 1;
	assert_int_equal(harness_page_wirings(a), 2);
	harness_unpin(one);
	assert_int_equal(harness_page_wirings(a), 1);
	assert_int_equal(harness_pin((void *)8, false, &one), EFAULT);
}

/* FreeBSD's commands of the event channel device. */
static void
test_evtchn(void **state)
{
	struct {
		unsigned remote, port;
	} unbound = { 0, 0 };
	struct {
		unsigned domain, remote, port;
	} bind = { 0, 0, 0 };
	struct file *a, *b;
	uint32_t far, near, port;
	size_t n;

	(void)state;
	assert_int_equal(harness_open("xen/evtchn",
			     HARNESS_FREAD | HARNESS_FWRITE, &a),
	    0);
	assert_int_equal(harness_open("xen/evtchn",
			     HARNESS_FREAD | HARNESS_FWRITE, &b),
	    0);
	assert_int_equal(harness_ioctl(a, 0xc0084506, (uintptr_t)&unbound), 0);
	bind.remote = unbound.port;
	assert_int_equal(harness_ioctl(b, 0xc00c4505, (uintptr_t)&bind), 0);
	assert_true(harness_evtchn_wait(b, 0));
	assert_int_equal(harness_read(b, &port, 4, &n), 0);
	assert_int_equal(n, 4);
	assert_int_equal(port, bind.port);
	assert_int_equal(harness_read(b, &port, 4, &n), 35);	/* EAGAIN */
	assert_false(harness_evtchn_wait(b, 1000000));
	assert_int_equal(harness_write(b, &port, 4, &n), 0);
	assert_int_equal(harness_ioctl(a, 0x80044508, (uintptr_t)&unbound.port),
	    0);
	assert_true(harness_evtchn_wait(b, 0));
	/* The driver unloads and loads; the channels stay. */
	harness_close(fp);
	assert_int_equal(harness_unload(), 0);
	assert_int_equal(harness_read(b, &port, 4, &n), 0);
	harness_close(a);
	assert_int_equal(harness_open("mock", HARNESS_FREAD | HARNESS_FWRITE,
			     &fp),
	    0);
	harness_close(b);
	/* Ends that no program reads. */
	assert_int_equal(harness_loopback(&near, &far), 0);
	assert_false(harness_event_pending(near) || harness_event_pending(far));
	harness_port_close(near);
	harness_port_close(far);
	/* And no handler of Linux's words. */
	assert_int_equal(harness_linux_ioctl(fp, 0x00184700, 0),
	    78); /* ENOSYS */
}

static void
test_errno_translation(void **state)
{
	int i;

	(void)state;
	assert_int_equal(os_errno_to_linux(35), EAGAIN);
	assert_int_equal(os_errno_to_linux(11), EDEADLK);
	assert_int_equal(os_errno_to_linux(78), ENOSYS);
	assert_int_equal(os_errno_to_linux(45), EOPNOTSUPP);
	assert_int_equal(os_errno_to_linux(60), ETIMEDOUT);
	assert_int_equal(os_errno_to_linux(84), EOVERFLOW);
	for (i = 1; i <= 34; i++)
		if (i != 11)
			assert_int_equal(os_errno_to_linux(i), i);
	assert_int_equal(os_errno_to_freebsd(0), 0);
	assert_int_equal(os_errno_to_freebsd(EAGAIN), 35);
	assert_int_equal(os_errno_to_freebsd(ENODATA), 87);
}

#define	TEST(f)	cmocka_unit_test_setup_teardown(f, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_leaks),
		TEST(test_panics),
		TEST(test_unlock_by_stranger),
		TEST(test_sleep_under_sx),
		TEST(test_user_addresses),
		TEST(test_ioctl_words),
		TEST(test_open_files),
		TEST(test_mmap_rules),
		TEST(test_shared_pages),
		TEST(test_partial_munmap),
		TEST(test_fixed_over_ours),
		TEST(test_lookup),
		TEST(test_held_pages),
		TEST(test_zeroed_pages),
		TEST(test_tasks_on_demand),
		TEST(test_sysctl),
		TEST(test_fork),
		TEST(test_process_exit),
		TEST(test_pins),
		TEST(test_evtchn),
		cmocka_unit_test(test_errno_translation),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
