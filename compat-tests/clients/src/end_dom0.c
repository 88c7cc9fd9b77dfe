/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Dom0's side of a libxenvchan whose other end is a helper domain
 * (end_guest.c): makes the domain, lets it run, reports what it has seen.
 *
 *	xengnt-end server|client CODE STORE PATH BYTES [ORDER]
 *
 * The role is the helper domain's; STORE is the directory of xenstore.c's
 * nodes.  BYTES is the amount each way.  Prints "open", "flowing", then one
 * line of JSON.
 */
#include <sys/mman.h>
#include <cpuid.h>
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <xenctrl.h>
#include <xen/grant_table.h>
#include <xenforeignmemory.h>

#include "end.h"
#include "runner.h"

#define	FRAMES_GFN	0x2000u	/* where its grant table is mapped */
#define	MAX_PAGES	64u
#define	STEP_MS		5
#define	PATIENCE_MS	120000	/* without a byte */
#define	FLOWING		65536u

static xc_interface *xch;
static xenforeignmemory_handle *fmem;
static uint32_t domid;
static const char *store, *path;

static void *
map_frames(xen_pfn_t first, unsigned n)
{
	xen_pfn_t gfns[MAX_PAGES];
	int errors[MAX_PAGES];
	void *p;

	for (unsigned i = 0; i < n; i++)
		gfns[i] = first + i;
	p = xenforeignmemory_map(fmem, domid, PROT_READ | PROT_WRITE, n, gfns,
	    errors);
	if (p == NULL || errors[0] != 0)
		err(1, "mapping the helper domain's frame %lu",
		    (unsigned long)first);
	memset(p, 0, n * END_PAGE);
	return (p);
}

static void *
populate(xen_pfn_t first, unsigned n)
{
	xen_pfn_t gfns[MAX_PAGES];

	for (unsigned i = 0; i < n; i++)
		gfns[i] = first + i;
	if (xc_domain_populate_physmap_exact(xch, domid, n, 0, 0, gfns) != 0)
		err(1, "xc_domain_populate_physmap_exact");
	return (map_frames(first, n));
}

static void
create(void)
{
	struct xen_domctl_createdomain config = {
		.flags = XEN_DOMCTL_CDF_hvm | XEN_DOMCTL_CDF_hap,
		.max_vcpus = 1,
		.max_evtchn_port = -1,
		.max_grant_frames = 4,
		.max_maptrack_frames = 4,
		.grant_opts = XEN_DOMCTL_GRANT_version(1),
		.arch = { .emulation_flags = XEN_X86_EMU_LAPIC },
	};

	if (xc_domain_create(xch, &domid, &config) != 0)
		err(1, "xc_domain_create");
	if (xc_domain_setmaxmem(xch, domid, 4096) != 0)
		err(1, "xc_domain_setmaxmem");
	if (xc_domain_max_vcpus(xch, domid, 1) != 0)
		err(1, "xc_domain_max_vcpus");
}

static void
load(const char *file)
{
	ssize_t n;
	char *code;
	int fd;

	code = populate(END_CODE_GFN, END_CODE_PAGES);
	fd = open(file, O_RDONLY);
	if (fd < 0)
		err(1, "%s", file);
	/* The second half is for the stack. */
	n = read(fd, code, END_CODE_PAGES * END_PAGE);
	if (n <= 0 || n > (ssize_t)(END_CODE_PAGES * END_PAGE / 2))
		errx(1, "%s: %zd bytes", file, n);
	close(fd);
	xenforeignmemory_unmap(fmem, code, END_CODE_PAGES);
	if (runner_registers(xch, domid, END_CODE_GFN * END_PAGE) != 0)
		err(1, "xc_domain_hvm_setcontext");
}

static void
node_name(char *name, size_t size, const char *node)
{
	char *p;

	snprintf(name, size, "%s/%s/%s", store, path, node);
	for (p = name + strlen(store) + 1; *p != '\0'; p++)
		if (*p == '/')
			*p = '!';
}

static void
node_write(const char *node, uint32_t value)
{
	char name[512], temporary[520];
	FILE *f;

	node_name(name, sizeof(name), node);
	snprintf(temporary, sizeof(temporary), "%s.new", name);
	f = fopen(temporary, "w");
	if (f == NULL || fprintf(f, "%" PRIu32, value) < 0 || fclose(f) != 0 ||
	    rename(temporary, name) != 0)
		err(1, "%s", name);
}

static uint32_t
node_wait(const char *node)
{
	static const struct timespec moment = { 0, STEP_MS * 1000000 };
	char name[512];
	uint32_t value;
	FILE *f;

	node_name(name, sizeof(name), node);
	for (int ms = 0; ms < PATIENCE_MS; ms += STEP_MS) {
		f = fopen(name, "r");
		if (f != NULL) {
			if (fscanf(f, "%" SCNu32, &value) != 1)
				errx(1, "%s must be a number", name);
			fclose(f);
			return (value);
		}
		nanosleep(&moment, NULL);
	}
	errx(1, "no %s", name);
}

/* The ring pages are its first frames, granted to Dom0. */
static void
grant(unsigned pages)
{
	grant_entry_v1_t *entries;

	(void)populate(0, pages);
	if (xc_domain_add_to_physmap(xch, domid, XENMAPSPACE_grant_table, 0,
	    FRAMES_GFN) != 0)
		err(1, "XENMAPSPACE_grant_table");
	entries = map_frames(FRAMES_GFN, 1);
	for (unsigned i = 0; i < pages; i++) {
		entries[END_FIRST_REF + i].domid = 0;
		entries[END_FIRST_REF + i].frame = i;
		__atomic_store_n(&entries[END_FIRST_REF + i].flags,
		    (uint16_t)GTF_permit_access, __ATOMIC_RELEASE);
	}
}

/* Its last state; complains and exits if nothing moves any more. */
static uint32_t
watch(const struct end_task *task)
{
	static const struct timespec moment = { 0, STEP_MS * 1000000 };
	uint32_t before, now, state;
	bool flowing, open;
	int ms;

	before = 0;
	flowing = open = false;
	for (ms = 0; ms < PATIENCE_MS; ms += STEP_MS) {
		state = __atomic_load_n(&task->state, __ATOMIC_ACQUIRE);
		if (state != END_BOOTS && !open) {
			printf("open\n");
			open = true;
		}
		now = task->sent + task->received;
		if (!flowing && task->sent > FLOWING &&
		    task->received > FLOWING) {
			printf("flowing\n");
			flowing = true;
		}
		if (state == END_CLOSED || state == END_GONE ||
		    state == END_FAILED)
			return (state);
		if (now != before) {
			before = now;
			ms = 0;
		}
		nanosleep(&moment, NULL);
	}
	printf("nothing moves in state %" PRIu32 " after %" PRIu32
	    " and %" PRIu32 " bytes\n", task->state, task->sent,
	    task->received);
	return (END_FAILED);
}

int
main(int argc, char **argv)
{
	unsigned eax, ebx, ecx, edx;
	struct end_task *task;
	uint32_t state;
	int port;

	if (argc < 6 || argc > 7) {
		fprintf(stderr, "usage: xengnt-end server|client CODE STORE "
		    "PATH BYTES [ORDER]\n");
		return (2);
	}
	store = argv[3];
	path = argv[4];
	setvbuf(stdout, NULL, _IOLBF, 0);
	xch = xc_interface_open(NULL, NULL, 0);
	fmem = xenforeignmemory_open(NULL, 0);
	if (xch == NULL || fmem == NULL)
		err(1, "/dev/xen/privcmd");
	create();
	printf("domid %" PRIu32 "\n", domid);
	load(argv[2]);
	task = populate(END_TASK_GFN, 1);
	task->server = strcmp(argv[1], "server") == 0;
	task->total = (uint32_t)strtoul(argv[5], NULL, 0);
	task->order = argc > 6 ? (uint32_t)strtoul(argv[6], NULL, 0) : 16;
	if (__get_cpuid(0, &eax, &ebx, &ecx, &edx) != 0)
		task->intel = ecx == signature_INTEL_ecx;
	if (task->server) {
		grant(1 + 2 * ((1u << task->order) / END_PAGE));
		port = xc_evtchn_alloc_unbound(xch, domid, 0);
		if (port < 0)
			err(1, "EVTCHNOP_alloc_unbound");
		task->port = (uint32_t)port;
		if (xc_domain_unpause(xch, domid) != 0)
			err(1, "xc_domain_unpause");
		node_write("ring-ref", END_FIRST_REF);
		node_write("event-channel", task->port);
	} else {
		task->ref = node_wait("ring-ref");
		task->remote_port = node_wait("event-channel");
		if (xc_domain_unpause(xch, domid) != 0)
			err(1, "xc_domain_unpause");
	}
	state = watch(task);
	xc_domain_pause(xch, domid);
	if (state == END_FAILED)
		printf("end_guest.c:%" PRIu32 ": error %" PRId32 "\n",
		    task->line, task->error);
	printf("{\"role\": \"%s\", \"whole\": %s, \"sent\": %" PRIu32
	    ", \"received\": %" PRIu32 ", \"sent_sum\": \"%016" PRIx64
	    "\", \"received_sum\": \"%016" PRIx64 "\", \"events\": %" PRIu32
	    ", \"reminders\": %" PRIu32 "}\n",
	    argv[1], state == END_CLOSED ? "true" : "false", task->sent,
	    task->received, task->sent_sum, task->received_sum, task->events,
	    task->reminders);
	xc_domain_destroy(xch, domid);
	return (state == END_FAILED ? 1 : 0);
}
