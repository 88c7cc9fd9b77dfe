/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Many threads on the same open files and on their own, with everything the
 * two devices can do; made for ThreadSanitizer (meson: -Db_sanitize=thread),
 * which sees the driver's locks as what they are.
 *
 *	test_threads [ROUNDS]
 */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include <xen/xen.h>
#include <xen/event_channel.h>
#include <xen/grant_table.h>
#include <xen/gntalloc.h>
#include <xen/gntdev.h>

#include "ask_peer.h"
#include "harness.h"
#include "xen/model.h"

#define	PAGE	4096ul
#define	READ	HARNESS_PROT_READ
#define	RW	(HARNESS_PROT_READ | HARNESS_PROT_WRITE)
#define	DOMU	512u
#define	REF	8u	/* references REF to REF + 15 */
#define	BOTH	(UNMAP_NOTIFY_CLEAR_BYTE | UNMAP_NOTIFY_SEND_EVENT)
#define	THREADS	8
#define	SHARED	4	/* open files that all use; gntalloc at odd indices */
#define	AREAS	6	/* mappings of a thread */

static unsigned rounds = 600;
static bool shortages;		/* anything may fail */

/* Files that come and go while they are used, as descriptors do. */
static struct {
	pthread_mutex_t	lock;
	struct file	*files[SHARED];
} shared = { .lock = PTHREAD_MUTEX_INITIALIZER };

struct worker {
	pthread_t	thread;
	uint64_t	random;
	uint32_t	port;
	struct {
		char	*p;
		size_t	pages;
		bool	writable;
	} areas[AREAS];
	struct harness_pin	*pin;
	uint64_t	index;	/* of the last map or allocation */
	size_t		count;
	unsigned	peers;	/* the peer's slot of a page of ours, + 1 */
	bool		maps;	/* in test_one_index() */
	const char	*wrong;
	int		error;
	unsigned	done[16];	/* operations that were successful */
};

static unsigned
pick(struct worker *w, unsigned n)
{

	w->random = w->random * 6364136223846793005u + 1442695040888963407u;
	return ((unsigned)(w->random >> 33) % n);
}

static const char *
node(unsigned slot)
{

	return (slot % 2 == 0 ? "xen/gntdev" : "xen/gntalloc");
}

/* A shared file, held, as fget(9) would. */
static struct file *
take(unsigned slot)
{
	struct file *fp;

	pthread_mutex_lock(&shared.lock);
	fp = shared.files[slot];
	harness_hold(fp);
	pthread_mutex_unlock(&shared.lock);
	return (fp);
}

static int
replace(unsigned slot)
{
	struct file *fp, *old;
	int error;

	error = harness_open(node(slot), HARNESS_FREAD | HARNESS_FWRITE, &fp);
	if (error != 0)
		return (error);
	pthread_mutex_lock(&shared.lock);
	old = shared.files[slot];
	shared.files[slot] = fp;
	pthread_mutex_unlock(&shared.lock);
	harness_close(old);
	return (0);
}

static int
call(struct file *fp, unsigned nr, void *arg)
{

	return (harness_ioctl(fp, HARNESS_IO('G', nr), (uintptr_t)arg));
}

/*
 * Operations.  Others change what they work on, so most may fail, but only in
 * ways that a lost race explains.
 */

/* Indices are small numbers of pages, so threads use each other's. */
static uint64_t
some_index(struct worker *w)
{

	return (pick(w, 24) * PAGE);
}

static int
do_map(struct worker *w, struct file *fp)
{
	struct {
		struct ioctl_gntdev_map_grant_ref op;
		struct ioctl_gntdev_grant_ref more[3];
	} arg;
	unsigned i;
	int error;

	memset(&arg, 0, sizeof(arg));
	arg.op.count = 1 + pick(w, 4);
	for (i = 0; i < arg.op.count; i++) {
		(&arg.op.refs[0])[i].domid = DOMU;
		(&arg.op.refs[0])[i].ref = REF + pick(w, 16);
	}
	error = call(fp, 0, &arg);
	w->index = arg.op.index;
	w->count = arg.op.count;
	return (error);
}

static int
do_unmap(struct worker *w, struct file *fp)
{
	struct ioctl_gntdev_unmap_grant_ref op = { .index = some_index(w) };

	return (call(fp, 1, &op));
}

static int
do_alloc(struct worker *w, struct file *fp)
{
	struct {
		struct ioctl_gntalloc_alloc_gref op;
		uint32_t more[3];
	} arg;
	int error;

	memset(&arg, 0, sizeof(arg));
	arg.op.domid = DOMU;
	arg.op.flags = GNTALLOC_FLAG_WRITABLE;
	arg.op.count = (uint32_t)(1 + pick(w, 4));
	error = call(fp, 5, &arg);
	w->index = arg.op.index;
	w->count = arg.op.count;
	return (error);
}

static int
do_dealloc(struct worker *w, struct file *fp)
{
	struct ioctl_gntalloc_dealloc_gref op = {
		.index = some_index(w), .count = 1 + pick(w, 2),
	};

	return (call(fp, 6, &op));
}

static int
do_notify(struct worker *w, struct file *fp)
{
	struct ioctl_gntdev_unmap_notify op = {
		.index = some_index(w) + pick(w, PAGE),
		.action = pick(w, BOTH + 1), .event_channel_port = w->port,
	};

	return (call(fp, 7, &op));
}

static int
do_munmap(struct worker *w, unsigned i)
{
	size_t pages;
	char *p;
	int error;

	p = w->areas[i].p;
	pages = w->areas[i].pages;
	if (p == NULL)
		return (ENOENT);
	if (pages > 1 && pick(w, 3) == 0) {
		/* The first page only. */
		w->areas[i].p += PAGE;
		w->areas[i].pages--;
		pages = 1;
	} else
		w->areas[i].p = NULL;
	error = harness_munmap(p, pages * PAGE);
	if (error != 0)
		w->wrong = "munmap";
	return (error);
}

static int
do_mmap(struct worker *w, struct file *fp)
{
	uint64_t index;
	size_t pages;
	unsigned i;
	bool writable;
	void *p;
	int error;

	i = pick(w, AREAS);
	while (w->areas[i].p != NULL)
		do_munmap(w, i);
	/* What it just made, unless another was quicker; else anything. */
	index = w->index;
	pages = w->count;
	if (pages == 0 || pick(w, 4) == 0) {
		index = some_index(w);
		pages = 1 + pick(w, 4);
	}
	writable = pick(w, 4) != 0;
	error = harness_mmap(fp, NULL, pages * PAGE, writable ? RW : READ,
	    HARNESS_MAP_SHARED, (int64_t)index, &p);
	if (error == 0) {
		w->areas[i].p = p;
		w->areas[i].pages = pages;
		w->areas[i].writable = writable;
	}
	return (error);
}

static int
do_touch(struct worker *w)
{
	volatile char *p;
	unsigned i;

	i = pick(w, AREAS);
	if (w->areas[i].p == NULL)
		return (ENOENT);
	p = w->areas[i].p + pick(w, (unsigned)w->areas[i].pages) * PAGE;
	if (w->areas[i].writable)
		p[pick(w, PAGE)] = (char)i;
	else
		(void)p[pick(w, PAGE)];
	return (0);
}

static int
do_get_offset(struct worker *w, struct file *fp)
{
	struct ioctl_gntdev_get_offset_for_vaddr op;
	unsigned i;

	i = pick(w, AREAS);
	if (w->areas[i].p == NULL)
		return (ENOENT);
	memset(&op, 0, sizeof(op));
	op.vaddr = (uintptr_t)w->areas[i].p;
	return (call(fp, 2, &op));
}

static int
do_copy(struct worker *w, struct file *fp)
{
	struct gntdev_grant_copy_segment s[20];
	struct ioctl_gntdev_grant_copy op;
	char buf[20 * 16];
	unsigned i;

	memset(s, 0, sizeof(s));
	op.count = 1 + pick(w, 20);
	op.segments = s;
	for (i = 0; i < op.count; i++) {
		s[i].source.foreign.domid = DOMU;
		s[i].source.foreign.ref = REF + pick(w, 16);
		s[i].source.foreign.offset = (uint16_t)pick(w, 4000);
		s[i].dest.virt = buf + 16 * i;
		s[i].len = 16;
		s[i].flags = GNTCOPY_source_gref;
	}
	return (call(fp, 8, &op));
}

/* I/O that outlives the mapping. */
static int
do_pin(struct worker *w)
{
	unsigned i;
	int error;

	if (w->pin != NULL) {
		harness_unpin(w->pin);
		w->pin = NULL;
		return (0);
	}
	i = pick(w, AREAS);
	if (w->areas[i].p == NULL)
		return (ENOENT);
	error = harness_pin(w->areas[i].p, w->areas[i].writable, &w->pin);
	if (error != 0) {
		w->pin = NULL;
		if (!shortages)
			w->wrong = "pin";
	}
	return (error);
}

/* The peer maps any page of ours that it can, and unmaps it again. */
static int
do_peer(struct worker *w)
{
	char reply[64], request[32];
	unsigned slot;
	int status;

	if (w->peers != 0) {
		snprintf(request, sizeof(request), "unmap %u", w->peers - 1);
		w->peers = 0;
		if (harness_peer(request, reply, sizeof(reply)) != 0 ||
		    strcmp(reply, "ok status=0") != 0)
			w->wrong = "the peer's unmap";
		return (0);
	}
	snprintf(request, sizeof(request), "map %u", 8 + pick(w, 64));
	if (harness_peer(request, reply, sizeof(reply)) != 0)
		w->wrong = "the peer's map";
	else if (sscanf(reply, "ok status=%d slot=%u", &status, &slot) != 2)
		return (ENOSPC);	/* of the peer's slots */
	else if (status == 0)
		w->peers = slot + 1;
	return (w->peers == 0 ? ENOENT : 0);
}

/* A file of its own, with a mapping that outlives it. */
static int
do_own_file(struct worker *w)
{
	struct file *fp;
	unsigned slot;
	int error;

	slot = pick(w, 2);
	error = harness_open(node(slot), HARNESS_FREAD | HARNESS_FWRITE, &fp);
	if (error != 0) {
		if (!shortages)
			w->wrong = "open";
		return (error);
	}
	error = slot == 0 ? do_map(w, fp) : do_alloc(w, fp);
	if (error == 0) {
		do_notify(w, fp);
		do_mmap(w, fp);
	}
	harness_close(fp);
	return (error);
}

static int
one(struct worker *w, unsigned what)
{
	struct file *fp;
	unsigned slot;
	int error;

	slot = pick(w, SHARED);
	switch (what) {
	case 0:
		return (pick(w, 8) == 0 ? replace(slot) : 0);
	case 1:
		return (do_own_file(w));
	case 2:
		return (do_touch(w));
	case 3:
		return (do_munmap(w, pick(w, AREAS)));
	case 4:
		return (do_pin(w));
	case 11:
		return (do_peer(w));
	}
	fp = take(slot);
	switch (what) {
	case 5:
	case 6:
		error = slot % 2 == 0 ? do_map(w, fp) : do_alloc(w, fp);
		if (error == 0 && what == 6)
			error = do_mmap(w, fp);
		break;
	case 7:
		error = slot % 2 == 0 ? do_unmap(w, fp) : do_dealloc(w, fp);
		break;
	case 8:
		error = do_notify(w, fp);
		break;
	case 9:
		error = do_get_offset(w, fp);
		break;
	case 10:
		error = do_copy(w, fp);
		break;
	default:
		error = do_mmap(w, fp);
		break;
	}
	harness_close(fp);
	return (error);
}

static void *
work(void *arg)
{
	struct worker *w;
	unsigned i, what;
	int error;

	w = arg;
	for (i = 0; i < rounds && w->wrong == NULL; i++) {
		what = pick(w, 15);
		error = one(w, what);
		switch (error) {
		case 0:
			w->done[what]++;
			break;
		case EINVAL:
		case ENOENT:
		case ENOSPC:
		case 25:		/* FreeBSD's ENOTTY: the other node */
			break;
		case EFAULT:
		case ENOMEM:
			if (shortages)
				break;
			/* FALLTHROUGH */
		default:
			w->wrong = "errno";
			w->error = error;
			break;
		}
	}
	if (w->pin != NULL)
		harness_unpin(w->pin);
	if (w->peers != 0)
		do_peer(w);
	for (i = 0; i < AREAS; i++)
		while (w->areas[i].p != NULL)
			do_munmap(w, i);
	return (NULL);
}

static bool working;

/* Tries to unload the module while it is in use (row O13). */
static void *
unloader(void *arg)
{
	int *wrong;

	wrong = arg;
	while (__atomic_load_n(&working, __ATOMIC_RELAXED)) {
		*wrong = harness_unload();
		if (*wrong != EBUSY)
			return (NULL);
		harness_run_tasks();
		sched_yield();
	}
	*wrong = EBUSY;
	return (NULL);
}

static void
nothing_left(void)
{
	struct xen_counters own;
	struct harness_counts c;
	char request[64];
	uint64_t leaked;
	unsigned i;

	/* What waited for pages to be released. */
	for (i = 0; i < 1000 && (sysctl("hw.xen.gntdev.deferred") != 0 ||
	    sysctl("hw.xen.gntalloc.in_flight") != 0 ||
	    sysctl("hw.xen.gntalloc.deferred") != 0); i++)
		harness_run_tasks();
	assert_int_equal(sysctl("hw.xen.gntdev.maps"), 0);
	assert_int_equal(sysctl("hw.xen.gntdev.grants"), 0);
	assert_int_equal(sysctl("hw.xen.gntdev.deferred"), 0);
	leaked = sysctl("hw.xen.gntdev.slots.leaked");
	assert_int_equal(leaked, harness_unmap_refused());
	assert_true(leaked == 0 || shortages);
	assert_int_equal(sysctl("hw.xen.gntdev.slots.free") + leaked,
	    sysctl("hw.xen.gntdev.slots.total"));
	assert_int_equal(sysctl("hw.xen.gntalloc.pages"), 0);
	assert_int_equal(sysctl("hw.xen.gntalloc.deferred"), 0);
	harness_counts(&c);
	assert_int_equal(c.entries, 0);
	assert_int_equal(c.objects, 0);
	assert_int_equal(c.grants, 0);
	assert_int_equal(c.pages, 0);
	assert_int_equal(c.fakes, 0);
	assert_int_equal(c.files, 0);
	xen_domain_counters(harness_domain(), &own);
	assert_int_equal(own.maps_live, 0);
	for (i = 0; i < 16; i++) {
		snprintf(request, sizeof(request), "entry %u", REF + i);
		ask_peer(request, "ok flags=0x1 ");
	}
}

static void
all_operations(void)
{
	struct worker *w;
	pthread_t thread;
	uint32_t ports[2];
	unsigned done[16], i, j;
	int unload;

	for (i = 0; i < SHARED; i++)
		assert_int_equal(harness_open(node(i),
				     HARNESS_FREAD | HARNESS_FWRITE,
				     &shared.files[i]),
		    0);
	assert_int_equal(harness_loopback(&ports[0], &ports[1]), 0);
	w = calloc(THREADS, sizeof(*w));
	assert_non_null(w);
	if (shortages)
		harness_faults_start(HARNESS_FAIL_ALL, 0, 40, 1);
	__atomic_store_n(&working, true, __ATOMIC_RELAXED);
	assert_int_equal(pthread_create(&thread, NULL, unloader, &unload), 0);
	for (i = 0; i < THREADS; i++) {
		w[i].random = i * 7919 + 1;
		w[i].port = ports[0];
		assert_int_equal(pthread_create(&w[i].thread, NULL, work,
		    &w[i]), 0);
	}
	memset(done, 0, sizeof(done));
	for (i = 0; i < THREADS; i++) {
		pthread_join(w[i].thread, NULL);
		if (w[i].wrong != NULL)
			fail_msg("thread %u: %s (%d)", i, w[i].wrong,
			    w[i].error);
		for (j = 0; j < 16; j++)
			done[j] += w[i].done[j];
	}
	free(w);
	/*
	 * Every operation must have succeeded, or this tests nothing.  How
	 * often depends on the scheduler; with shortages there is no minimum.
	 */
	for (i = 0; i < 12 && !shortages; i++)
		if (done[i] == 0)
			fail_msg("operation %u never got through", i);
	__atomic_store_n(&working, false, __ATOMIC_RELAXED);
	pthread_join(thread, NULL);
	harness_faults_stop(NULL);
	assert_int_equal(unload, EBUSY);
	for (i = 0; i < SHARED; i++)
		harness_close(shared.files[i]);
	nothing_left();
	for (i = 0; i < 2; i++)
		harness_port_close(ports[i]);
	assert_int_equal(harness_unload(), 0);
}

static void
test_threads(void **state)
{

	(void)state;
	all_operations();
}

/* Error paths run concurrently. */
static void
test_shortages(void **state)
{

	(void)state;
	shortages = true;
	all_operations();
	shortages = false;
}

/* One index: some threads map it, and mmap it, while others remove it. */
static void *
fight(void *arg)
{
	struct ioctl_gntdev_map_grant_ref map;
	struct ioctl_gntdev_unmap_notify notify;
	struct ioctl_gntdev_unmap_grant_ref unmap;
	struct worker *w;
	struct file *fp;
	unsigned i;
	void *p;

	w = arg;
	fp = shared.files[0];
	for (i = 0; i < rounds; i++) {
		memset(&map, 0, sizeof(map));
		map.count = 1;
		map.refs[0].domid = DOMU;
		map.refs[0].ref = REF;
		memset(&unmap, 0, sizeof(unmap));
		memset(&notify, 0, sizeof(notify));
		notify.action = BOTH;
		notify.event_channel_port = w->port;
		if (!w->maps)
			w->error = call(fp, 1, &unmap);
		else if (call(fp, 0, &map) != 0)
			w->wrong = "map";
		else {
			call(fp, 7, &notify);
			w->error = harness_mmap(fp, NULL, PAGE, RW,
			    HARNESS_MAP_SHARED, 0, &p);
			if (w->error == 0 && harness_munmap(p, PAGE) != 0)
				w->wrong = "munmap";
			unmap.index = map.index;
			call(fp, 1, &unmap);
		}
	}
	return (NULL);
}

static void
test_one_index(void **state)
{
	struct worker w[4];
	uint32_t ports[2];
	unsigned i;

	(void)state;
	assert_int_equal(harness_open("xen/gntdev",
			     HARNESS_FREAD | HARNESS_FWRITE, &shared.files[0]),
	    0);
	assert_int_equal(harness_loopback(&ports[0], &ports[1]), 0);
	memset(w, 0, sizeof(w));
	for (i = 0; i < 4; i++) {
		w[i].maps = i % 2 != 0;
		w[i].port = ports[0];
		assert_int_equal(pthread_create(&w[i].thread, NULL, fight,
		    &w[i]), 0);
	}
	for (i = 0; i < 4; i++) {
		pthread_join(w[i].thread, NULL);
		if (w[i].wrong != NULL)
			fail_msg("thread %u: %s", i, w[i].wrong);
	}
	harness_close(shared.files[0]);
	nothing_left();
	for (i = 0; i < 2; i++)
		harness_port_close(ports[i]);
	assert_int_equal(harness_unload(), 0);
}

/* Opens race with the unload: either fails, and nothing else happens. */

static void *
opener(void *arg)
{
	struct file *fp;
	unsigned i;
	int *wrong;

	wrong = arg;
	for (i = 0; i < rounds / 6 && *wrong == 0; i++) {
		*wrong = harness_open(node(i), HARNESS_FREAD | HARNESS_FWRITE,
		    &fp);
		if (*wrong == 0)
			harness_close(fp);
		else if (*wrong == ENXIO || *wrong == ENOENT)
			*wrong = 0;
		/* A pause, or the unload would never get in. */
		nanosleep(&(struct timespec){ .tv_nsec = 100000 }, NULL);
	}
	return (NULL);
}

static void
test_open_and_unload(void **state)
{
	pthread_t threads[3];
	unsigned i, unloads;
	int error, wrong[3];

	(void)state;
	for (i = 0; i < 3; i++) {
		wrong[i] = 0;
		assert_int_equal(pthread_create(&threads[i], NULL, opener,
		    &wrong[i]), 0);
	}
	unloads = 0;
	for (i = 0; i < rounds || (unloads == 0 && i < 100000); i++) {
		error = harness_unload();
		if (error == 0)
			unloads++;
		else if (error != EBUSY && error != ENOENT)
			fail_msg("unload: %d", error);
		sched_yield();
	}
	for (i = 0; i < 3; i++) {
		pthread_join(threads[i], NULL);
		assert_int_equal(wrong[i], 0);
	}
	print_message("%u unloads among opens\n", unloads);
	error = harness_unload();
	assert_true(error == 0 || error == ENOENT);
}

static int
start(void **state)
{

	(void)state;
	harness_shake(true);
	ask_peer_for_grants(REF);
	return (0);
}

static int
end(void **state)
{

	(void)state;
	harness_shake(false);
	ask_peer("destroy", "ok");
	return (0);
}

int
main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_threads),
		cmocka_unit_test(test_one_index),
		cmocka_unit_test(test_open_and_unload),
		/* The last test: the slots that it loses stay lost. */
		cmocka_unit_test(test_shortages),
	};

	if (argc > 1)
		rounds = (unsigned)strtoul(argv[1], NULL, 0);
	return (cmocka_run_group_tests(tests, start, end));
}
