/* SPDX-License-Identifier: BSD-2-Clause */
#define FAKE_SYS_IMPLEMENTATION
#include "fake_sys.h"

#include <errno.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "dmabuf_abi.h"
#include "fake.h"
#include "private.h"

#include <xen/gntalloc.h>
#include <xen/gntdev_base.h>

unsigned char fake_area[8192];

static struct {
	char log[2048];
	char old[2048];
	struct {
		const char *name;
		int error;
		int times;
	} failures[4];
	uint64_t offset;
	uint32_t count;
	uint32_t base_refs;
	int messages;
	int message_errno;
	int sleeps;
} fake;

int
fake_reset(void **state)
{
	(void)state;
	memset(&fake, 0, sizeof(fake));
	return (0);
}

void
fake_fail(const char *name, int error, int times)
{
	for (size_t i = 0; i < 4; i++) {
		if (fake.failures[i].name == NULL) {
			fake.failures[i].name = name;
			fake.failures[i].error = error;
			fake.failures[i].times = times;
			return;
		}
	}
	fail_msg("too many failures scripted");
}

void
fake_offset(uint64_t offset, uint32_t count)
{
	fake.offset = offset;
	fake.count = count;
}

const char *
fake_log(void)
{
	memcpy(fake.old, fake.log, sizeof(fake.old));
	fake.log[0] = '\0';
	return (fake.old);
}

int
fake_messages(void)
{
	return (fake.messages);
}

int
fake_sleeps(void)
{
	return (fake.sleeps);
}

int
fake_message_errno(void)
{
	return (fake.message_errno);
}

static void __attribute__((format(printf, 1, 2)))
note(const char *fmt, ...)
{
	size_t used = strlen(fake.log);
	va_list ap;

	/* What does not fit is left out: no expected text is that long. */
	if (used + 1 >= sizeof(fake.log))
		return;
	if (used > 0)
		fake.log[used++] = ' ';
	va_start(ap, fmt);
	vsnprintf(fake.log + used, sizeof(fake.log) - used, fmt, ap);
	va_end(ap);
}

/* True, with errno set, if the script makes this call fail. */
static bool
fails(const char *name)
{
	for (size_t i = 0; i < 4; i++) {
		if (fake.failures[i].name != NULL &&
		    fake.failures[i].times > 0 &&
		    strcmp(fake.failures[i].name, name) == 0) {
			fake.failures[i].times--;
			errno = fake.failures[i].error;
			return (true);
		}
	}
	errno = ERRNO_TRASH;
	return (false);
}

static const char *
place(const void *addr)
{
	if (addr == FAKE_AREA)
		return ("area");
	if (addr == fake_area + 4096)
		return ("area+1");
	return (addr == NULL ? "null" : "elsewhere");
}

int
fake_open(const char *path, int flags, ...)
{
	note("open(%s%s%s)", path, (flags & O_ACCMODE) == O_RDWR ? ",rdwr" : "",
	    (flags & O_CLOEXEC) != 0 ? ",cloexec" : "");
	return (fails(path) ? -1 : FAKE_FD);
}

int
fake_close(int fd)
{
	note("close(%d)", fd);
	return (fails("close") ? -1 : 0);
}

int
fake_usleep(useconds_t us)
{
	fake.sleeps++;
	note("usleep(%u)", (unsigned)us);
	return (0);
}

void *
fake_mmap(void *addr, size_t len, int prot, int flags, int fd, off_t off)
{
	if (fd == -1) {
		assert_null(addr);
		assert_int_equal(flags, MAP_PRIVATE | MAP_ANON);
		if (prot != PROT_NONE) {
			note("probe(%zu)", len);
			return (fails("probe") ? MAP_FAILED : FAKE_AREA);
		}
		note("reserve(%zu)", len);
		return (fails("reserve") ? MAP_FAILED : FAKE_AREA);
	}
	assert_int_equal(fd, FAKE_FD);
	/* An address is one of the reserved pages, and only then fixed. */
#ifdef MAP_NOCORE
	flags &= ~MAP_NOCORE;
#endif
	assert_int_equal(flags & ~MAP_FIXED, MAP_SHARED);
	assert_int_equal((flags & MAP_FIXED) != 0, addr != NULL);
	note("mmap(%zu,%s%s,%s,0x%llx)", len,
	    (prot & PROT_READ) != 0 ? "r" : "",
	    (prot & PROT_WRITE) != 0 ? "w" : "",
	    addr == NULL ? "shared" : place(addr), (unsigned long long)off);
	if (len == 0) {
		errno = EINVAL;
		return (MAP_FAILED);
	}
	if (fails("mmap"))
		return (MAP_FAILED);
	return (addr != NULL ? addr : FAKE_AREA);
}

int
fake_munmap(void *addr, size_t len)
{
	note("munmap(%s,%zu)", place(addr), len);
	return (fails("munmap") ? -1 : 0);
}

static int
map_grant_ref(struct ioctl_gntdev_map_grant_ref *arg)
{
	char text[256] = "";
	size_t used = 0;

	for (uint32_t i = 0; i < arg->count; i++)
		used += (size_t)snprintf(text + used, sizeof(text) - used,
		    ",%u:%u", arg->refs[i].domid, arg->refs[i].ref);
	note("MAP(%u%s)", arg->count, text);
	if (arg->count == 0) {
		errno = EINVAL;
		return (-1);
	}
	if (fails("MAP"))
		return (-1);
	arg->index = FAKE_INDEX;
	return (0);
}

static int
alloc_gref(struct ioctl_gntalloc_alloc_gref *arg)
{
	note("ALLOC(%u,%u,%u)", arg->domid, arg->flags, arg->count);
	if (fails("ALLOC"))
		return (-1);
	arg->index = FAKE_INDEX;
	for (uint32_t i = 0; i < arg->count; i++)
		arg->gref_ids[i] = 100 + i;
	return (0);
}

static int
base_map_grant_ref(struct base_map_grant_ref *arg)
{
	char text[256] = "";
	size_t used = 0;

	for (uint32_t i = 0; i < arg->count; i++)
		used += (size_t)snprintf(text + used, sizeof(text) - used,
		    ",%u:%u", arg->refs[i].domid, arg->refs[i].ref);
	note("E.MAP(%u%s)", arg->count, text);
	if (fails("E.MAP"))
		return (-1);
	arg->index = FAKE_INDEX;
	return (0);
}

static int
base_alloc_gref(struct base_alloc_gref *arg)
{
	note("E.ALLOC(%u,%u,%u)", arg->domid, arg->flags, arg->count);
	if (fails("E.ALLOC"))
		return (-1);
	arg->index = FAKE_INDEX;
	for (uint32_t i = 0; i < arg->count; i++)
		arg->gref_ids[i] = 300 + fake.base_refs++;
	return (0);
}

int
fake_ioctl(int fd, unsigned long cmd, ...)
{
	union {
		void *raw;
		struct ioctl_gntdev_map_grant_ref *map;
		struct ioctl_gntdev_unmap_grant_ref *unmap;
		struct ioctl_gntdev_get_offset_for_vaddr *where;
		struct ioctl_gntdev_set_max_grants *max;
		struct ioctl_gntdev_unmap_notify *notify;
		struct ioctl_gntdev_grant_copy *copy;
		struct ioctl_gntalloc_alloc_gref *alloc;
		struct ioctl_gntalloc_dealloc_gref *dealloc;
		struct ioctl_gntdev_dmabuf_exp_from_refs *exp;
		struct ioctl_gntdev_dmabuf_exp_wait_released *wait;
		struct ioctl_gntdev_dmabuf_imp_to_refs *imp;
		struct ioctl_gntdev_dmabuf_imp_release *release;
		struct base_map_grant_ref *base_map;
		struct ioctl_gntdev_unmap_grant_ref *base_unmap;
		struct ioctl_gntdev_get_offset_for_vaddr *base_where;
		struct ioctl_gntdev_unmap_notify *base_notify;
		struct base_alloc_gref *base_alloc;
		struct ioctl_gntalloc_dealloc_gref *base_dealloc;
	} arg;
	va_list ap;

	assert_int_equal(fd, FAKE_FD);
	va_start(ap, cmd);
	arg.raw = va_arg(ap, void *);
	va_end(ap);

	/* UNMAP_NOTIFY is the same command for both devices. */
	switch (cmd) {
	case IOCTL_GNTDEV_MAP_GRANT_REF:
		return (map_grant_ref(arg.map));
	case IOCTL_GNTDEV_UNMAP_GRANT_REF:
		note("UNMAP(0x%llx,%u)", (unsigned long long)arg.unmap->index,
		    arg.unmap->count);
		return (fails("UNMAP") ? -1 : 0);
	case IOCTL_GNTDEV_GET_OFFSET_FOR_VADDR:
		note("OFFSET(%s)",
		    place((const void *)(uintptr_t)arg.where->vaddr));
		if (fails("OFFSET"))
			return (-1);
		arg.where->offset = fake.offset;
		arg.where->count = fake.count;
		return (0);
	case IOCTL_GNTDEV_SET_MAX_GRANTS:
		note("MAX(%u)", arg.max->count);
		return (fails("MAX") ? -1 : 0);
	case IOCTL_GNTDEV_SET_UNMAP_NOTIFY:
		note("NOTIFY(0x%llx,%u,%u)",
		    (unsigned long long)arg.notify->index, arg.notify->action,
		    arg.notify->event_channel_port);
		return (fails("NOTIFY") ? -1 : 0);
	case IOCTL_GNTDEV_GRANT_COPY:
		note("COPY(%u,%s)", arg.copy->count, place(arg.copy->segments));
		return (fails("COPY") ? -1 : 0);
	case IOCTL_GNTALLOC_ALLOC_GREF:
		return (alloc_gref(arg.alloc));
	case IOCTL_GNTALLOC_DEALLOC_GREF:
		note("DEALLOC(0x%llx,%u)",
		    (unsigned long long)arg.dealloc->index, arg.dealloc->count);
		return (fails("DEALLOC") ? -1 : 0);
	case IOCTL_GNTDEV_DMABUF_EXP_FROM_REFS:
		note("EXP(%u,%u,%u,%u)", arg.exp->flags, arg.exp->domid,
		    arg.exp->count, arg.exp->refs[arg.exp->count - 1]);
		if (fails("EXP"))
			return (-1);
		arg.exp->fd = 7;
		return (0);
	case IOCTL_GNTDEV_DMABUF_EXP_WAIT_RELEASED:
		note("WAIT(%u,%u)", arg.wait->fd, arg.wait->wait_to_ms);
		return (fails("WAIT") ? -1 : 0);
	case IOCTL_GNTDEV_DMABUF_IMP_TO_REFS:
		note("IMP(%u,%u,%u)", arg.imp->fd, arg.imp->domid,
		    arg.imp->count);
		if (fails("IMP"))
			return (-1);
		for (uint32_t i = 0; i < arg.imp->count; i++)
			arg.imp->refs[i] = 200 + i;
		return (0);
	case IOCTL_GNTDEV_DMABUF_IMP_RELEASE:
		note("RELEASE(%u)", arg.release->fd);
		return (fails("RELEASE") ? -1 : 0);
	case BASE_MAP_GRANT_REF:
		return (base_map_grant_ref(arg.base_map));
	case BASE_UNMAP_GRANT_REF:
		note("E.UNMAP(0x%llx,%u)",
		    (unsigned long long)arg.base_unmap->index,
		    arg.base_unmap->count);
		return (fails("E.UNMAP") ? -1 : 0);
	case BASE_GET_OFFSET_FOR_VADDR:
		note("E.OFFSET(%s)",
		    place((const void *)(uintptr_t)arg.base_where->vaddr));
		if (fails("E.OFFSET"))
			return (-1);
		arg.base_where->offset = fake.offset;
		arg.base_where->count = fake.count;
		return (0);
	case BASE_SET_UNMAP_NOTIFY:
		note("E.NOTIFY(0x%llx,%u,%u)",
		    (unsigned long long)arg.base_notify->index,
		    arg.base_notify->action,
		    arg.base_notify->event_channel_port);
		return (fails("E.NOTIFY") ? -1 : 0);
	case BASE_ALLOC_GREF:
		return (base_alloc_gref(arg.base_alloc));
	case BASE_DEALLOC_GREF:
		note("E.DEALLOC(0x%llx,%u)",
		    (unsigned long long)arg.base_dealloc->index,
		    arg.base_dealloc->count);
		return (fails("E.DEALLOC") ? -1 : 0);
	}
	fail_msg("unknown command 0x%lx", cmd);
	return (-1);
}

/* Replaces tools_*.c. */

int
tools_log_open(struct xengntdev_handle *h)
{
	assert_null(h->logger);
	note("log");
	return (fails("log") ? -1 : 0);
}

void
tools_log_close(struct xengntdev_handle *h)
{
	(void)h;
	note("unlog");
	errno = ERRNO_TRASH;
}

void
tools_register(struct xengntdev_handle *h)
{
	h->registered = true;
	note("register");
	errno = ERRNO_TRASH;
}

void
tools_deregister(struct xengntdev_handle *h)
{
	if (h->registered)
		note("deregister");
	errno = ERRNO_TRASH;
}

void
log_errno(struct xengntdev_handle *h, const char *fmt, ...)
{
	(void)h;
	(void)fmt;
	fake.messages++;
	fake.message_errno = errno;
}
