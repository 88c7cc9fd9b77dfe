/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The few functions of Xen's libraries that peer.c calls, on FreeBSD's
 * /dev/xen/privcmd, so that the helper domain needs none of Xen's packages on
 * FreeBSD.
 */
#include <sys/types.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <xencall.h>
#include <xenctrl.h>
#include <xenforeignmemory.h>

#define	PAGE		4096u
#define	BUFFER_PAGES	4u	/* the largest argument: a list of frames */

/* The base system installs no header for these. */
struct privcmd_call {
	unsigned long	op;
	unsigned long	arg[5];
	long		ret;
};

struct privcmd_map {
	int		num;
	domid_t		dom;
	unsigned long	addr;
	const xen_pfn_t	*frames;
	int		*errors;
};

#define	PRIVCMD_CALL	_IOWR('E', 0, struct privcmd_call)
#define	PRIVCMD_MAP	_IOWR('E', 1, struct privcmd_map)

struct xc_interface_core {
	int	 fd;
	uint8_t	*buffer;
};

struct xencall_handle {
	xc_interface	*xch;
};

struct xenforeignmemory_handle {
	int	fd;
};

static xc_interface shared = { .fd = -1 };
static struct xencall_handle shared_call = { &shared };
static struct xenforeignmemory_handle shared_memory = { -1 };

/*
 * Xen reads and writes arguments at their address, so they must not be paged
 * out.
 */
static void *
wired(size_t pages)
{
	void *p;

	p = mmap(NULL, pages * PAGE, PROT_READ | PROT_WRITE,
	    MAP_PRIVATE | MAP_ANON, -1, 0);
	if (p == MAP_FAILED)
		return (NULL);
	if (mlock(p, pages * PAGE) != 0) {
		munmap(p, pages * PAGE);
		return (NULL);
	}
	memset(p, 0, pages * PAGE);
	return (p);
}

static long
hypercall(xc_interface *xch, unsigned long op, unsigned long a,
    unsigned long b)
{
	struct privcmd_call call = { .op = op, .arg = { a, b } };

	if (ioctl(xch->fd, PRIVCMD_CALL, &call) != 0)
		return (-1);
	return (call.ret);
}

/* Copies an argument to wired memory, and back. */
static long
with_argument(xc_interface *xch, unsigned long op, long cmd, void *arg,
    size_t len)
{
	unsigned long at;
	long ret;

	at = (unsigned long)(uintptr_t)xch->buffer;
	memcpy(xch->buffer, arg, len);
	ret = cmd < 0 ? hypercall(xch, op, at, 0) :
	    hypercall(xch, op, (unsigned long)cmd, at);
	memcpy(arg, xch->buffer, len);
	return (ret);
}

static long
domctl(xc_interface *xch, struct xen_domctl *op)
{

	op->interface_version = XEN_DOMCTL_INTERFACE_VERSION;
	return (with_argument(xch, __HYPERVISOR_domctl, -1, op, sizeof(*op)));
}

xc_interface *
xc_interface_open(xentoollog_logger *logger, xentoollog_logger *dombuild,
    unsigned flags)
{
	(void)logger;
	(void)dombuild;
	(void)flags;
	if (shared.fd == -1) {
		shared.fd = open("/dev/xen/privcmd", O_RDWR | O_CLOEXEC);
		if (shared.fd == -1)
			return (NULL);
		shared.buffer = wired(BUFFER_PAGES);
		if (shared.buffer == NULL) {
			close(shared.fd);
			shared.fd = -1;
			return (NULL);
		}
	}
	return (&shared);
}

/* One handle for the life of the program. */
int
xc_interface_close(xc_interface *xch)
{
	(void)xch;
	return (0);
}

int
xc_domain_create(xc_interface *xch, uint32_t *domid,
    struct xen_domctl_createdomain *config)
{
	struct xen_domctl op = { .cmd = XEN_DOMCTL_createdomain };

	op.domain = (domid_t)*domid;
	op.u.createdomain = *config;
	if (domctl(xch, &op) < 0)
		return (-1);
	*domid = op.domain;
	*config = op.u.createdomain;
	return (0);
}

int
xc_domain_destroy(xc_interface *xch, uint32_t domid)
{
	struct xen_domctl op = { .cmd = XEN_DOMCTL_destroydomain };

	op.domain = (domid_t)domid;
	while (domctl(xch, &op) < 0) {
		/* Xen does long work in parts; ERESTART gets no further. */
		if (errno != EAGAIN)
			return (-1);
		op.cmd = XEN_DOMCTL_destroydomain;
		op.domain = (domid_t)domid;
	}
	return (0);
}

static int
simple_domctl(xc_interface *xch, uint32_t domid, uint32_t cmd,
    struct xen_domctl op)
{

	op.cmd = cmd;
	op.domain = (domid_t)domid;
	return (domctl(xch, &op) < 0 ? -1 : 0);
}

int
xc_domain_setmaxmem(xc_interface *xch, uint32_t domid, uint64_t kib)
{
	struct xen_domctl op = { .u.max_mem.max_memkb = kib };

	return (simple_domctl(xch, domid, XEN_DOMCTL_max_mem, op));
}

int
xc_domain_pause(xc_interface *xch, uint32_t domid)
{

	return (simple_domctl(xch, domid, XEN_DOMCTL_pausedomain,
	    (struct xen_domctl){ 0 }));
}

int
xc_domain_unpause(xc_interface *xch, uint32_t domid)
{

	return (simple_domctl(xch, domid, XEN_DOMCTL_unpausedomain,
	    (struct xen_domctl){ 0 }));
}

int
xc_domain_max_vcpus(xc_interface *xch, uint32_t domid, unsigned max)
{
	struct xen_domctl op = { .u.max_vcpus.max = max };

	return (simple_domctl(xch, domid, XEN_DOMCTL_max_vcpus, op));
}

/* Without a buffer, returns the size that it would need. */
int
xc_domain_hvm_getcontext(xc_interface *xch, uint32_t domid, uint8_t *buf,
    uint32_t size)
{
	struct xen_domctl op = { .cmd = XEN_DOMCTL_gethvmcontext };

	op.domain = (domid_t)domid;
	if (buf != NULL) {
		op.u.hvmcontext.size = (BUFFER_PAGES - 1) * PAGE;
		set_xen_guest_handle_raw(op.u.hvmcontext.buffer,
		    xch->buffer + PAGE);
	}
	if (domctl(xch, &op) < 0)
		return (-1);
	if (buf != NULL) {
		if (op.u.hvmcontext.size > size) {
			errno = E2BIG;
			return (-1);
		}
		memcpy(buf, xch->buffer + PAGE, op.u.hvmcontext.size);
	}
	return ((int)op.u.hvmcontext.size);
}

int
xc_domain_hvm_setcontext(xc_interface *xch, uint32_t domid, uint8_t *buf,
    uint32_t size)
{
	struct xen_domctl op = { .cmd = XEN_DOMCTL_sethvmcontext };

	if (size > (BUFFER_PAGES - 1) * PAGE) {
		errno = E2BIG;
		return (-1);
	}
	memcpy(xch->buffer + PAGE, buf, size);
	op.domain = (domid_t)domid;
	op.u.hvmcontext.size = size;
	set_xen_guest_handle_raw(op.u.hvmcontext.buffer, xch->buffer + PAGE);
	return (domctl(xch, &op) < 0 ? -1 : 0);
}

int
xc_domain_populate_physmap_exact(xc_interface *xch, uint32_t domid,
    unsigned long count, unsigned order, unsigned flags, xen_pfn_t *frames)
{
	struct xen_memory_reservation op = {
		.nr_extents = count,
		.extent_order = order,
		.mem_flags = flags,
		.domid = (domid_t)domid,
	};
	xen_pfn_t *list;
	long done;

	if (count > (BUFFER_PAGES - 1) * PAGE / sizeof(*list)) {
		errno = E2BIG;
		return (-1);
	}
	list = (xen_pfn_t *)(void *)(xch->buffer + PAGE);
	memcpy(list, frames, count * sizeof(*list));
	/* xenctrl.h's macro is for its own buffers. */
	set_xen_guest_handle_raw(op.extent_start, list);
	done = with_argument(xch, __HYPERVISOR_memory_op,
	    XENMEM_populate_physmap, &op, sizeof(op));
	if (done >= 0 && (unsigned long)done != count) {
		errno = ENOMEM;
		return (-1);
	}
	return (done < 0 ? -1 : 0);
}

int
xc_domain_add_to_physmap(xc_interface *xch, uint32_t domid, unsigned space,
    unsigned long idx, xen_pfn_t gpfn)
{
	struct xen_add_to_physmap op = {
		.domid = (domid_t)domid,
		.space = space,
		.idx = idx,
		.gpfn = gpfn,
	};

	return (with_argument(xch, __HYPERVISOR_memory_op,
	    XENMEM_add_to_physmap, &op, sizeof(op)) < 0 ? -1 : 0);
}

int
xc_evtchn_status(xc_interface *xch, xc_evtchn_status_t *status)
{

	return (with_argument(xch, __HYPERVISOR_event_channel_op,
	    EVTCHNOP_status, status, sizeof(*status)) < 0 ? -1 : 0);
}

xc_evtchn_port_or_error_t
xc_evtchn_alloc_unbound(xc_interface *xch, uint32_t dom, uint32_t remote)
{
	struct evtchn_alloc_unbound op = {
		.dom = (domid_t)dom,
		.remote_dom = (domid_t)remote,
	};

	if (with_argument(xch, __HYPERVISOR_event_channel_op,
	    EVTCHNOP_alloc_unbound, &op, sizeof(op)) < 0)
		return (-1);
	return ((int)op.port);
}

xencall_handle *
xencall_open(xentoollog_logger *logger, unsigned flags)
{

	return (xc_interface_open(logger, NULL, flags) == NULL ? NULL :
	    &shared_call);
}

int
xencall_close(xencall_handle *call)
{
	(void)call;
	return (0);
}

void *
xencall_alloc_buffer(xencall_handle *call, size_t size)
{
	(void)call;
	return (wired((size + PAGE - 1) / PAGE));
}

void
xencall_free_buffer(xencall_handle *call, void *p)
{
	(void)call;
	/* The caller never asks for more than a page. */
	if (p != NULL)
		munmap(p, PAGE);
}

int
xencall2(xencall_handle *call, unsigned op, uint64_t a, uint64_t b)
{

	return ((int)hypercall(call->xch, op, a, b));
}

xenforeignmemory_handle *
xenforeignmemory_open(xentoollog_logger *logger, unsigned flags)
{
	(void)logger;
	(void)flags;
	if (shared_memory.fd == -1)
		shared_memory.fd = open("/dev/xen/privcmd",
		    O_RDWR | O_CLOEXEC);
	return (shared_memory.fd == -1 ? NULL : &shared_memory);
}

int
xenforeignmemory_close(xenforeignmemory_handle *memory)
{
	(void)memory;
	return (0);
}

void *
xenforeignmemory_map(xenforeignmemory_handle *memory, uint32_t dom, int prot,
    size_t pages, const xen_pfn_t *frames, int *errors)
{
	struct privcmd_map map = {
		.num = (int)pages,
		.dom = (domid_t)dom,
		.frames = frames,
		.errors = errors,
	};
	void *p;
	int error;

	p = mmap(NULL, pages * PAGE, prot, MAP_SHARED, memory->fd, 0);
	if (p == MAP_FAILED)
		return (NULL);
	map.addr = (unsigned long)(uintptr_t)p;
	if (ioctl(memory->fd, PRIVCMD_MAP, &map) != 0) {
		error = errno;
		munmap(p, pages * PAGE);
		errno = error;
		return (NULL);
	}
	/* Positive here, negative in Xen's library. */
	for (size_t i = 0; i < pages; i++)
		errors[i] = errors[i] > 0 ? -errors[i] : errors[i];
	return (p);
}

int
xenforeignmemory_unmap(xenforeignmemory_handle *memory, void *p, size_t pages)
{
	(void)memory;
	return (munmap(p, pages * PAGE));
}
