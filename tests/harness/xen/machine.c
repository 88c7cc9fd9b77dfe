/* SPDX-License-Identifier: BSD-2-Clause */
/* Machines, domains and their guest-physical memory. */
#define	_GNU_SOURCE

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "../os/host_os.h"
#include "machine.h"

#define	MAGIC	UINT64_C(0x32454e4948434d58)	/* changes with the layout */

static uint64_t
frames_offset(void)
{

	return ((sizeof(struct shared) + XEN_MODEL_PAGE - 1) &
	    ~(uint64_t)(XEN_MODEL_PAGE - 1));
}

static uint64_t
machine_size(void)
{

	return (frames_offset() + (uint64_t)FRAMES * XEN_MODEL_PAGE);
}

void
machine_lock(struct xen_machine *m)
{
	int error;

	error = pthread_mutex_lock(&m->s->lock);
	if (error == EOWNERDEAD) {
		/*
		 * A domain died in a hypercall; continue as well as possible.
		 */
		pthread_mutex_consistent(&m->s->lock);
		error = 0;
	}
	if (error != 0) {
		os_message("machine lock: %s\n", strerror(error));
		os_abort();
	}
}

void
machine_unlock(struct xen_machine *m)
{

	pthread_mutex_unlock(&m->s->lock);
}

static void
shared_init(struct shared *s)
{
	pthread_mutexattr_t attr;

	pthread_mutexattr_init(&attr);
	pthread_mutexattr_setpshared(&attr, PTHREAD_PROCESS_SHARED);
	pthread_mutexattr_setrobust(&attr, PTHREAD_MUTEX_ROBUST);
	pthread_mutex_init(&s->lock, &attr);
	pthread_mutexattr_destroy(&attr);
	s->frames_free = NONE;
	s->size = machine_size();
	__atomic_store_n(&s->magic, MAGIC, __ATOMIC_RELEASE);
}

/* Tells programs apart that one process runs after another. */
static uint64_t
this_image(void)
{
	static uint64_t image;

	if (image == 0)
		image = os_now();
	return (image);
}

static bool
process_alive(const struct domain *d)
{

	if (d->pid == os_getpid() && d->image != this_image())
		return (false);
	return (os_process_start(d->pid) == d->start);
}

/* The file is locked: nobody can attach meanwhile. */
static bool
anyone_there(const struct shared *s)
{
	unsigned i;

	for (i = 0; i < DOMAINS; i++)
		if (s->domains[i].state != DOMAIN_FREE &&
		    process_alive(&s->domains[i]))
			return (true);
	return (false);
}

static int
machine_fd(const char *path)
{
	int fd;

	if (path == NULL)
		return ((int)syscall(SYS_memfd_create, "xen-machine",
		    MFD_CLOEXEC));
	fd = (int)syscall(SYS_openat, AT_FDCWD, path,
	    O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (fd >= 0 && flock(fd, LOCK_EX) != 0) {
		syscall(SYS_close, fd);
		return (-1);
	}
	return (fd);
}

int
xen_machine_open(const char *path, struct xen_machine **mp)
{
	struct xen_machine *m;
	struct shared *s;
	struct stat st;
	off_t size;
	int error;

	m = calloc(1, sizeof(*m));
	if (m == NULL)
		return (-X_ENOMEM);
	size = (off_t)machine_size();
	m->fd = machine_fd(path);
	if (m->fd < 0)
		goto fail;
	m->fd = os_move_fd_up(m->fd);
	/* memfd or regular file: both sparse. */
	if (fstat(m->fd, &st) != 0)
		goto fail_fd;
	if (st.st_size != 0 && st.st_size != size) {
		os_message("%s: not a machine of this version\n", path);
		errno = EINVAL;
		goto fail_fd;
	}
	if (st.st_size == 0 && ftruncate(m->fd, size) != 0)
		goto fail_fd;
	s = (struct shared *)syscall(SYS_mmap, NULL, size,
	    (long)(PROT_READ | PROT_WRITE),
	    (long)(MAP_SHARED | MAP_NORESERVE), (long)m->fd, 0L);
	if (s == MAP_FAILED)
		goto fail_fd;
	if (st.st_size != 0 && (s->magic != MAGIC || !anyone_there(s))) {
		if (s->magic != MAGIC && s->magic != 0) {
			os_message("%s: not a machine of this version\n",
			    path);
			os_unmap(s, size);
			errno = EINVAL;
			goto fail_fd;
		}
		/* All its domains are gone: reset it. */
		if (ftruncate(m->fd, 0) != 0 || ftruncate(m->fd, size) != 0) {
			os_unmap(s, size);
			goto fail_fd;
		}
	}
	if (s->magic != MAGIC)
		shared_init(s);
	m->s = s;
	m->frames_offset = frames_offset();
	m->frames = (char *)s + m->frames_offset;
	if (path != NULL)
		flock(m->fd, LOCK_UN);
	*mp = m;
	return (0);
fail_fd:
	error = errno;
	syscall(SYS_close, m->fd);
	errno = error;
fail:
	error = -errno;
	free(m);
	return (error);
}

void
xen_machine_close(struct xen_machine *m)
{

	os_unmap(m->s, machine_size());
	syscall(SYS_close, m->fd);
	free(m);
}

int
xen_machine_fd(struct xen_machine *m)
{

	return (m->fd);
}

uint64_t
xen_machine_frame_offset(struct xen_machine *m, uint32_t mfn)
{

	return (m->frames_offset + (uint64_t)mfn * XEN_MODEL_PAGE);
}

/* Frames. */

static uint32_t
frame_alloc(struct xen_machine *m, unsigned owner)
{
	struct frame *f;
	uint32_t mfn;

	mfn = m->s->frames_free;
	if (mfn != NONE)
		m->s->frames_free = m->s->frames[mfn].refs;
	else if (m->s->frames_hwm < FRAMES)
		mfn = m->s->frames_hwm++;
	else
		return (NONE);
	f = &m->s->frames[mfn];
	if (f->used)
		memset(frame_ptr(m, mfn), 0, XEN_MODEL_PAGE);
	f->used = 1;
	f->owned = 1;
	f->owner = (uint8_t)owner;
	f->refs = 0;
	return (mfn);
}

static void
frame_try_free(struct xen_machine *m, uint32_t mfn)
{
	struct frame *f;

	f = &m->s->frames[mfn];
	if (f->owned || f->refs != 0)
		return;
	f->refs = m->s->frames_free;
	m->s->frames_free = mfn;
}

void
frame_put(struct xen_machine *m, uint32_t mfn)
{

	m->s->frames[mfn].refs--;
	frame_try_free(m, mfn);
}

/* Domains. */

static void
domain_free(struct domain *d)
{
	char *rest;
	size_t size;

	/* Back to zeroes, giving the memory back where the file allows it. */
	memset(d, 0, offsetof(struct domain, active));
	rest = (char *)d + offsetof(struct domain, active);
	size = sizeof(*d) - offsetof(struct domain, active);
	if (madvise(rest, size, MADV_REMOVE) != 0)
		memset(rest, 0, size);
}

/* Ends one use of the domain's pages. */
void
domain_pin_gone(struct domain *d)
{

	d->counters.pins_live--;
	if (d->state == DOMAIN_DYING && d->counters.pins_live == 0)
		domain_free(d);
}

static void
domain_kill(struct xen_machine *m, struct domain *d)
{
	unsigned index;
	uint32_t mfn;

	index = (unsigned)(d - m->s->domains);
	domain_end_maps(m, d);
	domain_close_ports(m, d);
	d->state = DOMAIN_DYING;
	for (mfn = 0; mfn < m->s->frames_hwm; mfn++) {
		if (!m->s->frames[mfn].owned ||
		    m->s->frames[mfn].owner != index)
			continue;
		m->s->frames[mfn].owned = 0;
		frame_try_free(m, mfn);
	}
	if (d->counters.pins_live == 0)
		domain_free(d);
}

static unsigned
reap(struct xen_machine *m)
{
	struct domain *d;
	unsigned i, n;

	n = 0;
	for (i = 0; i < DOMAINS; i++) {
		d = &m->s->domains[i];
		if (d->state == DOMAIN_LIVE && !process_alive(d)) {
			domain_kill(m, d);
			n++;
		}
	}
	return (n);
}

unsigned
xen_machine_reap(struct xen_machine *m)
{
	unsigned n;

	machine_lock(m);
	n = reap(m);
	machine_unlock(m);
	return (n);
}

static struct domain *
domain_by_id(struct xen_machine *m, uint16_t domid)
{
	unsigned i;

	for (i = 0; i < DOMAINS; i++)
		if (m->s->domains[i].state != DOMAIN_FREE &&
		    m->s->domains[i].domid == domid)
			return (&m->s->domains[i]);
	return (NULL);
}

int
xen_domain_create(struct xen_machine *m, const struct xen_domain_config *c,
    struct xen_domain **domp)
{
	struct xen_domain *dom;
	struct domain *d;
	uint16_t domid;
	unsigned i;

	if (c->max_grant_frames > XEN_MODEL_GRANT_FRAMES ||
	    c->grant_frames > c->max_grant_frames ||
	    c->maptrack_frames > XEN_MODEL_MAPTRACK_FRAMES)
		return (-X_EINVAL);
	dom = calloc(1, sizeof(*dom));
	if (dom == NULL)
		return (-X_ENOMEM);
	machine_lock(m);
	domid = c->domid;
	if (domid == XEN_MODEL_ANY_DOMID)
		for (domid = 512; domain_by_id(m, domid) != NULL; domid++)
			;
	if (domain_by_id(m, domid) != NULL)
		reap(m);
	if (domain_by_id(m, domid) != NULL) {
		machine_unlock(m);
		free(dom);
		return (-X_EEXIST);
	}
	for (i = 0; i < DOMAINS; i++)
		if (m->s->domains[i].state == DOMAIN_FREE)
			break;
	if (i == DOMAINS) {
		machine_unlock(m);
		free(dom);
		return (-X_ENOSPC);
	}
	d = &m->s->domains[i];
	d->state = DOMAIN_LIVE;
	d->domid = domid;
	d->pid = os_getpid();
	d->start = os_process_start(d->pid);
	d->image = this_image();
	d->grant_frames = c->grant_frames;
	d->max_grant_frames = c->max_grant_frames;
	d->maptrack_limit = c->maptrack_frames * XEN_MODEL_MAPTRACK_PER_FRAME;
	d->maptrack_free = NONE;
	machine_unlock(m);
	dom->m = m;
	dom->d = d;
	dom->index = i;
	*domp = dom;
	return (0);
}

void
xen_domain_destroy(struct xen_domain *dom)
{

	machine_lock(dom->m);
	domain_kill(dom->m, dom->d);
	machine_unlock(dom->m);
	free(dom);
}

void
xen_domain_forget(struct xen_domain *dom)
{

	free(dom);
}

uint16_t
xen_domain_id(const struct xen_domain *dom)
{

	return (dom->d->domid);
}

void
xen_domain_counters(struct xen_domain *dom, struct xen_counters *c)
{

	machine_lock(dom->m);
	*c = dom->d->counters;
	machine_unlock(dom->m);
}

/* Guest-physical memory. */

int
xen_domain_populate(struct xen_domain *dom, uint64_t gfn)
{
	uint32_t mfn;
	int error;

	if (gfn >= XEN_MODEL_GFNS)
		return (-X_EINVAL);
	machine_lock(dom->m);
	error = 0;
	if (p2m_type(dom->d->p2m[gfn]) != XEN_P2M_NONE)
		error = -X_EBUSY;
	else if ((mfn = frame_alloc(dom->m, dom->index)) == NONE)
		error = -X_ENOMEM;
	else {
		dom->d->p2m[gfn] = p2m_make(XEN_P2M_RAM, mfn);
		dom->d->counters.ram_pages++;
	}
	machine_unlock(dom->m);
	return (error);
}

int
xen_domain_depopulate(struct xen_domain *dom, uint64_t gfn)
{
	uint32_t mfn;
	int error;

	if (gfn >= XEN_MODEL_GFNS)
		return (-X_EINVAL);
	machine_lock(dom->m);
	error = 0;
	if (p2m_type(dom->d->p2m[gfn]) != XEN_P2M_RAM)
		error = -X_ENOENT;
	else {
		mfn = p2m_mfn(dom->d->p2m[gfn]);
		dom->d->p2m[gfn] = 0;
		dom->d->counters.ram_pages--;
		dom->m->s->frames[mfn].owned = 0;
		frame_try_free(dom->m, mfn);
	}
	machine_unlock(dom->m);
	return (error);
}

static int
change_type(struct xen_domain *dom, uint64_t gfn, enum xen_p2m_type from,
    enum xen_p2m_type to, unsigned n)
{
	int error;

	if (gfn >= XEN_MODEL_GFNS)
		return (-X_EINVAL);
	machine_lock(dom->m);
	error = -X_EINVAL;
	if (p2m_type(dom->d->p2m[gfn]) == from) {
		dom->d->p2m[gfn] = p2m_make(to, p2m_mfn(dom->d->p2m[gfn]));
		dom->d->paged_left = n;
		error = 0;
	}
	machine_unlock(dom->m);
	return (error);
}

int
xen_domain_page_out(struct xen_domain *dom, uint64_t gfn, unsigned n)
{

	return (change_type(dom, gfn, XEN_P2M_RAM, XEN_P2M_PAGED, n));
}

int
xen_domain_make_foreign(struct xen_domain *dom, uint64_t gfn)
{

	return (change_type(dom, gfn, XEN_P2M_NONE, XEN_P2M_FOREIGN, 0));
}

enum xen_p2m_type
xen_domain_p2m(struct xen_domain *dom, uint64_t gfn, uint32_t *mfn)
{
	uint32_t entry;

	if (mfn != NULL)
		*mfn = NONE;
	if (gfn >= XEN_MODEL_GFNS)
		return (XEN_P2M_NONE);
	entry = __atomic_load_n(&dom->d->p2m[gfn], __ATOMIC_ACQUIRE);
	if (mfn != NULL)
		*mfn = p2m_mfn(entry);
	return (p2m_type(entry));
}

void *
xen_domain_page(struct xen_domain *dom, uint64_t gfn)
{
	uint32_t mfn;

	switch (xen_domain_p2m(dom, gfn, &mfn)) {
	case XEN_P2M_NONE:
	case XEN_P2M_FOREIGN:
		return (NULL);
	default:
		return (frame_ptr(dom->m, mfn));
	}
}

uint32_t
xen_domain_page_pins(struct xen_domain *dom, uint64_t gfn)
{
	uint32_t mfn, pins;

	pins = 0;
	machine_lock(dom->m);
	switch (xen_domain_p2m(dom, gfn, &mfn)) {
	case XEN_P2M_NONE:
	case XEN_P2M_FOREIGN:
		break;
	default:
		pins = dom->m->s->frames[mfn].refs;
		break;
	}
	machine_unlock(dom->m);
	return (pins);
}

/* Grant tables. */

uint32_t
xen_domain_grant_entries(struct xen_domain *dom)
{

	return (dom->d->grant_frames * ENTRIES_PER_FRAME);
}

int
xen_domain_grow_grants(struct xen_domain *dom)
{
	int error;

	machine_lock(dom->m);
	error = 0;
	if (dom->d->grant_frames >= dom->d->max_grant_frames)
		error = -X_ENOSPC;
	else
		dom->d->grant_frames++;
	machine_unlock(dom->m);
	return (error);
}

struct grant_entry_v1 *
xen_domain_grant_entry(struct xen_domain *dom, uint32_t ref)
{

	if (ref >= xen_domain_grant_entries(dom))
		return (NULL);
	return (&dom->d->table[ref]);
}
