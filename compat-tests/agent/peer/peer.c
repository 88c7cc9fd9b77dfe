/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The helper domain: an empty PVH domain.  A test case writes and reads its
 * grant entries and pages, so that Dom0 can map *foreign* grants.
 *
 * There is one request line on standard input and one reply line on standard
 * output: "ok key=value ..." or "err ERRNO detail".  There is one domain at a
 * time, and it never runs by itself.  The program ends, and destroys its
 * domain, at the end of its input.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <xencall.h>
#include <xenctrl.h>
#include <xen/event_channel.h>
#include <xen/grant_table.h>
#include <xenforeignmemory.h>

#include "runner.h"
#include "system.h"

#define	PAGE		4096u
#define	MAX_PAGES	1024u
#define	MAX_FRAMES	64u
/* Where the grant-table frames are placed for mapping, above all pages. */
#define	FRAMES_GFN	(MAX_PAGES + 1024u)
#define	ENTRIES_A_FRAME	(PAGE / sizeof(grant_entry_v1_t))
#define	LINE		(64 * 1024)

static struct {
	xc_interface	*xch;
	xenforeignmemory_handle *fmem;
	bool		alive;
	uint32_t	domid;
	unsigned	npages, nframes;
	uint8_t		*pages;		/* the domain's, as Dom0 sees them */
	grant_entry_v1_t *entries;
} peer;

static char reply[LINE];

static int __attribute__((format(printf, 1, 2)))
answer(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(reply, sizeof(reply), fmt, ap);
	va_end(ap);
	return (0);
}

#ifdef __GLIBC__
static const char *
error_name(int error)
{
	const char *name = strerrorname_np(error);

	return (name != NULL ? name : "EIO");
}
#else
/* The names of Xen's errors. */
static const char *
error_name(int error)
{
	static const struct {
		int		 error;
		const char	*name;
	} names[] = {
		{ EPERM, "EPERM" }, { ENOENT, "ENOENT" }, { ESRCH, "ESRCH" },
		{ ENOMEM, "ENOMEM" }, { EFAULT, "EFAULT" },
		{ EBUSY, "EBUSY" }, { EEXIST, "EEXIST" },
		{ EINVAL, "EINVAL" }, { ENOSPC, "ENOSPC" },
		{ ENOSYS, "ENOSYS" }, { EACCES, "EACCES" },
	};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (names[i].error == error)
			return (names[i].name);
	return ("EIO");
}
#endif

static int
failed(const char *what)
{
	int error = errno;

	return (answer("err %s %s: %s", error_name(error), what,
	    strerror(error)));
}

static void
domain_destroy(void)
{

	runner_forget();
	if (peer.entries != NULL)
		xenforeignmemory_unmap(peer.fmem, peer.entries, peer.nframes);
	if (peer.pages != NULL)
		xenforeignmemory_unmap(peer.fmem, peer.pages, peer.npages);
	if (peer.alive)
		xc_domain_destroy(peer.xch, peer.domid);
	peer.entries = NULL;
	peer.pages = NULL;
	peer.alive = false;
}

static int
map_gfns(void **where, xen_pfn_t first, unsigned n, const char *what)
{
	xen_pfn_t gfns[MAX_PAGES] = { 0 };
	int errors[MAX_PAGES];

	for (unsigned i = 0; i < n; i++)
		gfns[i] = first + i;
	*where = xenforeignmemory_map(peer.fmem, peer.domid,
	    PROT_READ | PROT_WRITE, n, gfns, errors);
	if (*where == NULL)
		return (failed(what), -1);
	for (unsigned i = 0; i < n; i++) {
		if (errors[i] == 0)
			continue;
		errno = -errors[i];
		xenforeignmemory_unmap(peer.fmem, *where, n);
		*where = NULL;
		return (failed(what), -1);
	}
	return (0);
}

static int
domain_create(unsigned npages, unsigned nframes)
{
	struct xen_domctl_createdomain config = {
		.flags = XEN_DOMCTL_CDF_hvm | XEN_DOMCTL_CDF_hap,
		.max_vcpus = 1,
		.max_evtchn_port = -1,
		.max_grant_frames = nframes,
		.max_maptrack_frames = 1,
		.grant_opts = XEN_DOMCTL_GRANT_version(1),
		.arch = { .emulation_flags = XEN_X86_EMU_LAPIC },
	};
	xen_pfn_t gfns[MAX_PAGES] = { 0 };
	void *where;

	peer.domid = 0;
	if (xc_domain_create(peer.xch, &peer.domid, &config) != 0)
		return (failed("xc_domain_create"), -1);
	peer.alive = true;
	peer.npages = npages;
	peer.nframes = nframes;
	/* In KiB, with room for what Xen itself adds. */
	if (xc_domain_setmaxmem(peer.xch, peer.domid, (npages + 256) * 4) != 0)
		return (failed("xc_domain_setmaxmem"), -1);
	for (unsigned i = 0; i < npages; i++)
		gfns[i] = i;
	if (xc_domain_populate_physmap_exact(peer.xch, peer.domid, npages, 0,
	    0, gfns) != 0)
		return (failed("xc_domain_populate_physmap_exact"), -1);
	if (map_gfns(&where, 0, npages, "mapping the pages") != 0)
		return (-1);
	peer.pages = where;
	for (unsigned i = 0; i < nframes; i++) {
		if (xc_domain_add_to_physmap(peer.xch, peer.domid,
		    XENMAPSPACE_grant_table, i, FRAMES_GFN + i) != 0)
			return (failed("XENMAPSPACE_grant_table"), -1);
	}
	if (map_gfns(&where, FRAMES_GFN, nframes, "mapping the grant table")
	    != 0)
		return (-1);
	peer.entries = where;
	/* Xen itself should grant the toolstack nothing here, but be sure. */
	memset(peer.entries, 0, (size_t)nframes * PAGE);
	memset(peer.pages, 0, (size_t)npages * PAGE);
	return (0);
}

/* --- requests ----------------------------------------------------------- */

#define	MAX_ARGS	8

struct args {
	unsigned n;
	char	*arg[MAX_ARGS];
};

/* Argument i as a number below limit; false after answering. */
static bool
number(const struct args *a, unsigned i, const char *name, uint64_t limit,
    unsigned *value)
{
	unsigned long long v;
	char *end;

	if (i >= a->n) {
		answer("err EPROTO %s: %s is missing", a->arg[0], name);
		return (false);
	}
	errno = 0;
	v = strtoull(a->arg[i], &end, 0);
	if (end == a->arg[i] || *end != '\0' || a->arg[i][0] == '-') {
		answer("err EPROTO %s: %s is not a number: %.40s", a->arg[0],
		    name, a->arg[i]);
		return (false);
	}
	if (errno != 0 || v >= limit) {
		answer("err ERANGE %s: %s %.40s is not below %" PRIu64,
		    a->arg[0], name, a->arg[i], limit);
		return (false);
	}
	*value = (unsigned)v;
	return (true);
}

/* "key=value" anywhere after the operation; otherwise the default. */
static bool
option(const struct args *a, const char *key, uint64_t limit, unsigned *value)
{
	size_t len = strlen(key);

	for (unsigned i = 1; i < a->n; i++) {
		struct args one = { 2, { a->arg[0], a->arg[i] + len + 1 } };

		if (strncmp(a->arg[i], key, len) == 0 &&
		    a->arg[i][len] == '=')
			return (number(&one, 1, key, limit, value));
	}
	return (true);
}

static unsigned
nentries(void)
{

	return ((unsigned)(peer.nframes * ENTRIES_A_FRAME));
}

static int
describe(void)
{

	return (answer("ok domid=%" PRIu32 " pages=%u entries=%u", peer.domid,
	    peer.npages, nentries()));
}

static int
op_new(const struct args *a)
{
	unsigned npages = 64, nframes = 4;

	if (peer.alive)
		return (answer("err EEXIST new: domain %" PRIu32 " exists",
		    peer.domid));
	if (!option(a, "pages", MAX_PAGES + 1, &npages) ||
	    !option(a, "frames", MAX_FRAMES + 1, &nframes))
		return (0);
	if (npages == 0 || nframes == 0)
		return (answer("err EINVAL new: pages and frames must not "
		    "be 0"));
	if (domain_create(npages, nframes) != 0) {
		domain_destroy();
		return (0);
	}
	return (describe());
}

static int
op_info(const struct args *a)
{

	(void)a;
	return (describe());
}

static int
op_grant(const struct args *a)
{
	unsigned ref, page, flags, domid = 0;
	volatile grant_entry_v1_t *e;

	if (!number(a, 1, "ref", nentries(), &ref))
		return (0);
	if (a->n > 2 && strcmp(a->arg[2], "none") == 0)
		page = peer.npages;	/* nothing is there */
	else if (!number(a, 2, "page", peer.npages, &page))
		return (0);
	if (!number(a, 3, "flags", 0x10000, &flags) ||
	    !option(a, "domid", 0x10000, &domid))
		return (0);
	e = &peer.entries[ref];
	e->flags = 0;
	e->domid = (domid_t)domid;
	e->frame = page;
	/* Xen may read the entry as soon as the flags permit it. */
	__atomic_store_n(&e->flags, (uint16_t)flags, __ATOMIC_RELEASE);
	return (answer("ok"));
}

static int
op_flags(const struct args *a)
{
	unsigned ref, flags;

	if (!number(a, 1, "ref", nentries(), &ref) ||
	    !number(a, 2, "flags", 0x10000, &flags))
		return (0);
	__atomic_store_n(&peer.entries[ref].flags, (uint16_t)flags,
	    __ATOMIC_RELEASE);
	return (answer("ok"));
}

static int
op_entry(const struct args *a)
{
	unsigned ref;
	volatile grant_entry_v1_t *e;

	if (!number(a, 1, "ref", nentries(), &ref))
		return (0);
	e = &peer.entries[ref];
	return (answer("ok flags=0x%02x domid=%u page=%d",
	    __atomic_load_n(&e->flags, __ATOMIC_ACQUIRE), e->domid,
	    e->frame < peer.npages ? (int)e->frame : -1));
}

static int
op_read(const struct args *a)
{
	unsigned page, off, len, n;

	if (!number(a, 1, "page", peer.npages, &page) ||
	    !number(a, 2, "offset", PAGE, &off) ||
	    !number(a, 3, "length", PAGE - off + 1, &len))
		return (0);
	n = (unsigned)snprintf(reply, sizeof(reply), "ok data=");
	for (unsigned i = 0; i < len; i++)
		n += (unsigned)snprintf(reply + n, sizeof(reply) - n, "%02x",
		    peer.pages[(size_t)page * PAGE + off + i]);
	return (0);
}

/* Argument 3 as bytes that fit after an offset; false after answering. */
static bool
bytes(const struct args *a, unsigned off, unsigned room, uint8_t *out,
    unsigned *len)
{
	const char *data;
	size_t n;

	if (a->n < 4) {
		answer("err EPROTO %s: data is missing", a->arg[0]);
		return (false);
	}
	data = a->arg[3];
	n = strlen(data);
	if (n % 2 != 0 || strspn(data, "0123456789abcdefABCDEF") != n) {
		answer("err EPROTO %s: data is not hexadecimal", a->arg[0]);
		return (false);
	}
	if (n / 2 > PAGE - off || n / 2 > room) {
		answer("err ERANGE %s: %zu bytes do not fit into the page "
		    "behind offset %u", a->arg[0], n / 2, off);
		return (false);
	}
	*len = (unsigned)(n / 2);
	for (size_t i = 0; i < n; i += 2)
		(void)sscanf(data + i, "%2hhx", &out[i / 2]);
	return (true);
}

static int
op_write(const struct args *a)
{
	static uint8_t buf[PAGE];
	unsigned page, off, len;

	if (!number(a, 1, "page", peer.npages, &page) ||
	    !number(a, 2, "offset", PAGE, &off) ||
	    !bytes(a, off, sizeof(buf), buf, &len))
		return (0);
	for (unsigned i = 0; i < len; i++)
		peer.pages[(size_t)page * PAGE + off + i] = buf[i];
	return (answer("ok"));
}

static int
op_clear(const struct args *a)
{

	(void)a;
	if (!runner_clear())
		return (answer("err EBUSY clear: a map of Dom0's grant stays"));
	for (unsigned i = 0; i < nentries(); i++) {
		if ((__atomic_load_n(&peer.entries[i].flags, __ATOMIC_ACQUIRE) &
		    (GTF_reading | GTF_writing)) != 0)
			return (answer("err EBUSY clear: entry %u is in use",
			    i));
	}
	memset(peer.entries, 0, (size_t)peer.nframes * PAGE);
	memset(peer.pages, 0, (size_t)peer.npages * PAGE);
	return (answer("ok"));
}

/* The helper domain maps a grant of Dom0. */
static int
op_map(const struct args *a)
{
	const char *what;
	unsigned ref, slot = 0;
	int status;

	if (!number(a, 1, "ref", UINT32_MAX, &ref))
		return (0);
	if (a->n > 2 && strcmp(a->arg[2], "ro") != 0)
		return (answer("err EPROTO map: %.40s", a->arg[2]));
	if (runner_map(peer.xch, peer.fmem, peer.domid, ref, a->n > 2, &slot,
	    &status, &what) != 0)
		return (failed(what));
	return (answer("ok status=%d slot=%u", status, slot));
}

static int
op_unmap(const struct args *a)
{
	const char *what;
	unsigned slot;
	int status;

	if (!number(a, 1, "slot", RUNNER_SLOTS, &slot))
		return (0);
	if (runner_unmap(slot, &status, &what) != 0)
		return (failed(what));
	return (answer("ok status=%d", status));
}

static int
op_look(const struct args *a)
{
	uint8_t buf[RUNNER_BYTES];
	const char *what;
	unsigned slot, off, len, n;

	if (!number(a, 1, "slot", RUNNER_SLOTS, &slot) ||
	    !number(a, 2, "offset", PAGE, &off) ||
	    !number(a, 3, "length", sizeof(buf) + 1, &len))
		return (0);
	if (len > PAGE - off)
		return (answer("err ERANGE look: beyond the page"));
	if (runner_read(slot, off, len, buf, &what) != 0)
		return (failed(what));
	n = (unsigned)snprintf(reply, sizeof(reply), "ok data=");
	for (unsigned i = 0; i < len; i++)
		n += (unsigned)snprintf(reply + n, sizeof(reply) - n, "%02x",
		    buf[i]);
	return (0);
}

static int
op_store(const struct args *a)
{
	uint8_t buf[RUNNER_BYTES];
	const char *what;
	unsigned slot, off, len;

	if (!number(a, 1, "slot", RUNNER_SLOTS, &slot) ||
	    !number(a, 2, "offset", PAGE, &off) ||
	    !bytes(a, off, sizeof(buf), buf, &len))
		return (0);
	if (runner_write(slot, off, len, buf, &what) != 0)
		return (failed(what));
	return (answer("ok"));
}

/* The helper domain's event channels with Dom0. */
static int
op_event_alloc(const struct args *a)
{
	int port;

	(void)a;
	port = xc_evtchn_alloc_unbound(peer.xch, peer.domid, 0);
	if (port < 0)
		return (failed("EVTCHNOP_alloc_unbound"));
	return (answer("ok port=%d", port));
}

static int
op_event_bind(const struct args *a)
{
	const char *what;
	unsigned remote;
	uint32_t port;

	if (!number(a, 1, "port", UINT32_MAX, &remote))
		return (0);
	if (runner_bind(peer.xch, peer.fmem, peer.domid, remote, &port, &what)
	    != 0)
		return (failed(what));
	return (answer("ok port=%u", port));
}

static int
op_event_send(const struct args *a)
{
	const char *what;
	unsigned port;

	if (!number(a, 1, "port", UINT32_MAX, &port))
		return (0);
	if (runner_send(peer.xch, peer.fmem, peer.domid, port, &what) != 0)
		return (failed(what));
	return (answer("ok"));
}

static int
op_answer(const struct args *a)
{
	const char *what;
	unsigned page, port;

	if (!number(a, 1, "page", peer.npages < 3 ? 0 : peer.npages - 2,
	    &page) ||
	    !number(a, 2, "port", UINT32_MAX, &port))
		return (0);
	if (runner_answer(peer.xch, peer.fmem, peer.domid, page, port, &what)
	    != 0)
		return (failed(what));
	return (answer("ok"));
}

static int
op_answered(const struct args *a)
{
	const char *what;

	(void)a;
	if (runner_answered(&what) != 0)
		return (failed(what));
	return (answer("ok"));
}

static int
op_destroy(const struct args *a)
{

	(void)a;
	domain_destroy();
	return (answer("ok"));
}

/*
 * Dom0's own event channels according to Xen: what /dev/xen/evtchn does not
 * tell, and ports that it does not know (row N3).
 */
static int
op_evtchn_status(const struct args *a)
{
	static const char *const names[] = {
		[EVTCHNSTAT_closed] = "closed",
		[EVTCHNSTAT_unbound] = "unbound",
		[EVTCHNSTAT_interdomain] = "interdomain",
		[EVTCHNSTAT_pirq] = "pirq",
		[EVTCHNSTAT_virq] = "virq",
		[EVTCHNSTAT_ipi] = "ipi",
	};
	xc_evtchn_status_t status = { .dom = DOMID_SELF };
	unsigned port;

	if (!number(a, 1, "port", UINT32_MAX, &port))
		return (0);
	status.port = port;
	if (xc_evtchn_status(peer.xch, &status) != 0)
		return (failed("EVTCHNOP_status"));
	if (status.status >= sizeof(names) / sizeof(names[0]))
		return (answer("ok status=%u", status.status));
	return (answer("ok status=%s", names[status.status]));
}

static int
op_evtchn_alloc(const struct args *a)
{
	unsigned remote;
	int port;

	if (!number(a, 1, "domain", 0x10000, &remote))
		return (0);
	port = xc_evtchn_alloc_unbound(peer.xch, DOMID_SELF, remote);
	if (port < 0)
		return (failed("EVTCHNOP_alloc_unbound"));
	return (answer("ok port=%d", port));
}

static int
op_evtchn_close(const struct args *a)
{
	struct evtchn_close *arg;
	xencall_handle *call;
	unsigned port;
	int rc;

	if (!number(a, 1, "port", UINT32_MAX, &port))
		return (0);
	call = xencall_open(NULL, 0);
	if (call == NULL)
		return (failed("xencall_open"));
	arg = xencall_alloc_buffer(call, sizeof(*arg));
	if (arg == NULL) {
		failed("xencall_alloc_buffer");
		xencall_close(call);
		return (0);
	}
	arg->port = port;
	rc = xencall2(call, __HYPERVISOR_event_channel_op, EVTCHNOP_close,
	    (uint64_t)(uintptr_t)arg);
	if (rc == 0)
		answer("ok");
	else
		failed("EVTCHNOP_close");
	xencall_free_buffer(call, arg);
	xencall_close(call);
	return (0);
}

static const struct {
	const char *name;
	int	(*fn)(const struct args *);
	bool	needs_domain;
} ops[] = {
	{ "new", op_new, false },
	{ "info", op_info, true },
	{ "grant", op_grant, true },
	{ "flags", op_flags, true },
	{ "entry", op_entry, true },
	{ "read", op_read, true },
	{ "write", op_write, true },
	{ "clear", op_clear, true },
	{ "destroy", op_destroy, true },
	{ "map", op_map, true },
	{ "unmap", op_unmap, true },
	{ "look", op_look, true },
	{ "store", op_store, true },
	{ "event_alloc", op_event_alloc, true },
	{ "event_bind", op_event_bind, true },
	{ "event_send", op_event_send, true },
	{ "answer", op_answer, true },
	{ "answered", op_answered, true },
	{ "evtchn_status", op_evtchn_status, false },
	{ "evtchn_alloc", op_evtchn_alloc, false },
	{ "evtchn_close", op_evtchn_close, false },
};

static void
request(char *line)
{
	struct args a = { 0 };
	char *save = NULL;

	for (char *word = strtok_r(line, " \t\r\n", &save); word != NULL;
	    word = strtok_r(NULL, " \t\r\n", &save)) {
		if (a.n == MAX_ARGS) {
			answer("err EPROTO too many words");
			return;
		}
		a.arg[a.n++] = word;
	}
	if (a.n == 0) {
		answer("err EPROTO empty request");
		return;
	}
	for (size_t i = 0; i < sizeof(ops) / sizeof(ops[0]); i++) {
		if (strcmp(ops[i].name, a.arg[0]) != 0)
			continue;
		if (ops[i].needs_domain && !peer.alive)
			answer("err ENOENT %s: there is no helper domain",
			    a.arg[0]);
		else
			ops[i].fn(&a);
		return;
	}
#ifdef __FreeBSD__
	if (system_request((int)a.n, a.arg, reply, sizeof(reply)))
		return;
#endif
	answer("err EPROTO no such request: %.40s", a.arg[0]);
}

int
main(void)
{
	static char line[LINE];

	peer.xch = xc_interface_open(NULL, NULL, 0);
	if (peer.xch == NULL) {
		perror("xengnt-peer: Xen (is xen-privcmd loaded?)");
		return (1);
	}
	peer.fmem = xenforeignmemory_open(NULL, 0);
	if (peer.fmem == NULL) {
		perror("xengnt-peer: xenforeignmemory_open");
		return (1);
	}
	setvbuf(stdout, NULL, _IOLBF, LINE);
	while (fgets(line, sizeof(line), stdin) != NULL) {
		request(line);
		puts(reply);
	}
	domain_destroy();
	xenforeignmemory_close(peer.fmem);
	xc_interface_close(peer.xch);
	return (0);
}
