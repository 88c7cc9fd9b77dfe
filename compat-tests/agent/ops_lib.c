/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Operations through libxengnttab.so.1, for the agent that is linked with it.
 * library_worker.py has the same ones through the Python package.
 */
#include <sys/mman.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <xengnttab.h>

#include "agent.h"

#define	MAX_HANDLES	8
#define	MAX_SEGMENTS	12
#define	NONE		UINT32_MAX

/* From libxentoolcore, if the library came with it. */
extern int xentoolcore_restrict_all(domid_t) __attribute__((weak));

static struct handle {
	xengnttab_handle	*table;
	xengntshr_handle	*share;
} handles[MAX_HANDLES];

static struct handle *
handle_of(const struct call *c, struct reply *r)
{
	uint64_t n;

	if (parse_u64(c->argv[1], &n) != 0 || n >= MAX_HANDLES ||
	    (handles[n].table == NULL && handles[n].share == NULL)) {
		(void)bad(r, "no handle %.20s", c->argv[1]);
		return (NULL);
	}
	return (&handles[n]);
}

static int
prot_of(const char *text)
{
	return ((strchr(text, 'r') != NULL ? PROT_READ : 0) |
	    (strchr(text, 'w') != NULL ? PROT_WRITE : 0));
}

/* The errno that the library left; 0 after a failure would be a lie. */
static int
failed(void)
{
	return (errno != 0 ? errno : EPROTO);
}

static int
address(const void *area, struct reply *r)
{
	if (area == NULL)
		return (failed());
	put(r, " addr=0x%llx", (unsigned long long)(uintptr_t)area);
	return (0);
}

static int
op_open(struct call *c, struct reply *r)
{
	struct handle *h;
	int fd, i;

	for (i = 0; i < MAX_HANDLES; i++)
		if (handles[i].table == NULL && handles[i].share == NULL)
			break;
	if (i == MAX_HANDLES)
		return (bad(r, "too many handles"));
	h = &handles[i];
	errno = 0;
	if (strcmp(c->argv[1], "gntshr") == 0)
		h->share = xengntshr_open(NULL, 0);
	else
		h->table = xengnttab_open(NULL, 0);
	if (h->table == NULL && h->share == NULL)
		return (failed());
	fd = h->share != NULL ? xengntshr_fd(h->share) : xengnttab_fd(h->table);
	put(r, " h=%d fd=%d", i, fd);
	return (0);
}

static int
op_close(struct call *c, struct reply *r)
{
	struct handle *h;
	int rc;

	if ((h = handle_of(c, r)) == NULL)
		return (R_PROTO);
	errno = 0;
	rc = h->share != NULL ? xengntshr_close(h->share) :
				xengnttab_close(h->table);
	memset(h, 0, sizeof(*h));
	return (rc == 0 ? 0 : failed());
}

/* lib_map H PROT DOMID REF ...: by the function for this number of grants. */
static int
op_map(struct call *c, struct reply *r)
{
	uint32_t domids[MAX_ARGS], refs[MAX_ARGS];
	uint64_t value[MAX_ARGS];
	struct handle *h;
	bool several;
	int count, i, prot, rc;

	if ((h = handle_of(c, r)) == NULL)
		return (R_PROTO);
	prot = prot_of(c->argv[2]);
	several = strcmp(c->argv[0], "lib_map_several") == 0;
	count = several ? (c->argc - 3) / 2 : c->argc - 4;
	if ((rc = get_u64s(c->argv + 3, c->argc - 3, value, r)) != 0)
		return (rc);
	for (i = 0; i < count; i++) {
		domids[i] = (uint32_t)value[several ? 2 * i : 0];
		refs[i] = (uint32_t)value[several ? 2 * i + 1 : i + 1];
	}
	errno = 0;
	if (several)
		return (address(xengnttab_map_grant_refs(h->table,
		    (uint32_t)count, domids, refs, prot), r));
	if (count == 1)
		return (address(xengnttab_map_grant_ref(h->table, domids[0],
		    refs[0], prot), r));
	return (address(xengnttab_map_domain_grant_refs(h->table,
	    (uint32_t)count, (uint32_t)value[0], refs, prot), r));
}

static uint32_t
or_none(const char *text)
{
	uint64_t value;

	return (parse_u64(text, &value) == 0 ? (uint32_t)value : NONE);
}

/* lib_map_notify H PROT DOMID REF BYTE|- PORT|- */
static int
op_map_notify(struct call *c, struct reply *r)
{
	struct handle *h;

	if ((h = handle_of(c, r)) == NULL)
		return (R_PROTO);
	errno = 0;
	return (address(xengnttab_map_grant_ref_notify(h->table,
	    (uint32_t)c->n[3], (uint32_t)c->n[4], prot_of(c->argv[2]),
	    or_none(c->argv[5]), or_none(c->argv[6])), r));
}

/* lib_unmap H ADDR COUNT; lib_unshare likewise */
static int
op_unmap(struct call *c, struct reply *r)
{
	struct handle *h;
	int rc;

	if ((h = handle_of(c, r)) == NULL)
		return (R_PROTO);
	errno = 0;
	rc = h->share != NULL ?
	    xengntshr_unshare(h->share, at(c, 2), (uint32_t)c->n[3]) :
	    xengnttab_unmap(h->table, at(c, 2), (uint32_t)c->n[3]);
	return (rc == 0 ? 0 : failed());
}

/* lib_share H DOMID COUNT WRITABLE [BYTE|- PORT|-] */
static int
op_share(struct call *c, struct reply *r)
{
	uint32_t refs[MAX_ARGS * 4] = { 0 };
	struct handle *h;
	int i, rc;

	if ((h = handle_of(c, r)) == NULL)
		return (R_PROTO);
	errno = 0;
	if (c->argc > 5)
		rc = address(xengntshr_share_page_notify(h->share,
		    (uint32_t)c->n[2], refs, (int)c->n[4], or_none(c->argv[5]),
		    c->argc > 6 ? or_none(c->argv[6]) : NONE), r);
	else if (c->n[3] <= sizeof(refs) / sizeof(refs[0]) ||
	    c->n[3] > 100000)
		/* The largest count fails before the references are written. */
		rc = address(xengntshr_share_pages(h->share, (uint32_t)c->n[2],
		    (int)c->n[3], refs, (int)c->n[4]), r);
	else
		return (bad(r, "too many pages for one reply"));
	if (rc != 0)
		return (rc);
	put(r, " refs=");
	for (i = 0; i < (int)c->n[3]; i++)
		put(r, "%s%u", i > 0 ? "," : "", refs[i]);
	return (0);
}

/* DOMID:REF:OFFSET, or an address */
static bool
place_of(const char *text, union xengnttab_copy_ptr *ptr, struct reply *r,
    int *rc)
{
	unsigned domid, offset, ref;
	uint64_t addr;

	*rc = 0;
	if (sscanf(text, "%u:%u:%u", &domid, &ref, &offset) == 3) {
		ptr->foreign.domid = (uint16_t)domid;
		ptr->foreign.ref = ref;
		ptr->foreign.offset = (uint16_t)offset;
		return (true);
	}
	if (parse_u64(text, &addr) != 0)
		*rc = bad(r, "no place: %.40s", text);
	ptr->virt = (void *)(uintptr_t)addr;
	return (false);
}

/* lib_copy H [SOURCE DEST LENGTH] ... */
static int
op_copy(struct call *c, struct reply *r)
{
	xengnttab_grant_copy_segment_t segs[MAX_SEGMENTS];
	struct handle *h;
	uint64_t len;
	int count, i, rc;

	if ((h = handle_of(c, r)) == NULL)
		return (R_PROTO);
	count = (c->argc - 2) / 3;
	memset(segs, 0, sizeof(segs));
	for (i = 0; i < count; i++) {
		c->argv += i == 0 ? 2 : 3;
		if (place_of(c->argv[0], &segs[i].source, r, &rc))
			segs[i].flags |= GNTCOPY_source_gref;
		if (rc == 0 && place_of(c->argv[1], &segs[i].dest, r, &rc))
			segs[i].flags |= GNTCOPY_dest_gref;
		if (rc == 0)
			rc = get_u64s(c->argv + 2, 1, &len, r);
		if (rc != 0)
			return (rc);
		segs[i].len = (uint16_t)len;
	}
	errno = 0;
	if (xengnttab_grant_copy(h->table, (uint32_t)count, segs) != 0)
		return (failed());
	put(r, " status=");
	for (i = 0; i < count; i++)
		put(r, "%s%d", i > 0 ? "," : "", segs[i].status);
	return (0);
}

static int
op_max(struct call *c, struct reply *r)
{
	struct handle *h;

	if ((h = handle_of(c, r)) == NULL)
		return (R_PROTO);
	errno = 0;
	return (xengnttab_set_max_grants(h->table, or_none(c->argv[2])) == 0 ?
		0 :
		failed());
}

/* lib_dmabuf H COUNT: exporting none is an error of the library itself. */
static int
op_dmabuf(struct call *c, struct reply *r)
{
	uint32_t fd, ref = 0;
	struct handle *h;

	if ((h = handle_of(c, r)) == NULL)
		return (R_PROTO);
	errno = 0;
	return (xengnttab_dmabuf_imp_to_refs(h->table, 0, NONE,
	    or_none(c->argv[2]), &ref) == 0 &&
		xengnttab_dmabuf_exp_from_refs(h->table, 0, 0,
		    or_none(c->argv[2]), &ref, &fd) == 0 ? 0 : failed());
}

static int
op_restrict(struct call *c, struct reply *r)
{
	(void)c;
	(void)r;
	if (xentoolcore_restrict_all == NULL)
		return (ENOSYS);
	errno = 0;
	return (xentoolcore_restrict_all(1) == 0 ? 0 : failed());
}

/* lib_buffer LENGTH: zeroed memory, not granted */
static int
op_buffer(struct call *c, struct reply *r)
{
	return (address(calloc(1, c->n[1] & 0xffff), r));
}

static int
op_read(struct call *c, struct reply *r)
{

	if (c->n[2] > 4096)
		return (bad(r, "too long"));
	return (mem_read(c->n[1], c->n[2], r));
}

static int
op_write(struct call *c, struct reply *r)
{

	return (mem_write(c->n[1], c->argv[2], r));
}

const struct op ops_lib[] = {
	{ "lib_open", 1, 1, op_open, "gnttab|gntshr" },
	{ "lib_close", 1, 1, op_close, "H" },
	{ "lib_map", 3, MAX_ARGS - 2, op_map, "H PROT DOMID REF ..." },
	{ "lib_map_several", 2, MAX_ARGS - 2, op_map,
	    "H PROT DOMID REF DOMID REF ..." },
	{ "lib_map_notify", 6, 6, op_map_notify,
	    "H PROT DOMID REF BYTE|- PORT|-" },
	{ "lib_unmap", 3, 3, op_unmap, "H ADDRESS COUNT" },
	{ "lib_share", 4, 6, op_share,
	    "H DOMID COUNT WRITABLE [BYTE|- [PORT|-]]" },
	{ "lib_unshare", 3, 3, op_unmap, "H ADDRESS COUNT" },
	{ "lib_copy", 1, MAX_ARGS - 2, op_copy, "H [SOURCE DEST LENGTH] ..." },
	{ "lib_max", 2, 2, op_max, "H COUNT|-" },
	{ "lib_dmabuf", 2, 2, op_dmabuf, "H COUNT|-" },
	{ "lib_restrict", 0, 0, op_restrict, "" },
	{ "lib_buffer", 1, 1, op_buffer, "LENGTH" },
	{ "lib_read", 2, 2, op_read, "ADDRESS LENGTH" },
	{ "lib_write", 2, 2, op_write, "ADDRESS HEX" },
	{ NULL, 0, 0, NULL, NULL },
};
