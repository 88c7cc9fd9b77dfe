/* SPDX-License-Identifier: BSD-2-Clause */
/* mmap and related calls. */
#include "preload.h"

#include <errno.h>
#include <stdarg.h>
#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>

static int
mmap_flags(int flags, int *out)
{

	/* Linux wants exactly one; its Linuxulator does too (row K6). */
	switch (flags & (MAP_SHARED | MAP_PRIVATE)) {
	case MAP_SHARED:
		*out = HARNESS_MAP_SHARED;
		break;
	case MAP_PRIVATE:
		*out = HARNESS_MAP_PRIVATE;
		break;
	default:
		return (EINVAL);
	}
	*out |= HARNESS_MAP_NOSYNC;
	if ((flags & MAP_FIXED) != 0)
		*out |= HARNESS_MAP_FIXED;
	else if ((flags & MAP_32BIT) != 0)
		*out |= HARNESS_MAP_32BIT;
	return (0);
}

static void *
do_mmap(void *addr, size_t len, int prot, int flags, int fd, off64_t offset,
    void *(*next)(void *, size_t, int, int, int, off64_t))
{
	struct file *fp;
	void *p;
	int error, hflags, saved;

	fp = (flags & MAP_ANONYMOUS) != 0 ? NULL : table_get(fd);
	saved = errno;
	if (fp == NULL) {
		p = next(addr, len, prot, flags, fd, offset);
		if (p != MAP_FAILED && (flags & MAP_FIXED) != 0 &&
		    is_owner() && harness_owns(p, len)) {
			saved = errno;
			harness_mapped_over(p, len);
			errno = saved;
		}
		return (p);
	}
	error = mmap_flags(flags, &hflags);
	if (error == 0)
		error = harness_mmap(fp, addr, len, prot, hflags, offset, &p);
	harness_close(fp);
	return (result(error, saved) == 0 ? p : MAP_FAILED);
}

EXPORT void *
mmap(void *addr, size_t len, int prot, int flags, int fd, off_t offset)
{

	return (do_mmap(addr, len, prot, flags, fd, offset, NEXT(mmap)));
}

EXPORT void *
mmap64(void *addr, size_t len, int prot, int flags, int fd, off64_t offset)
{

	return (do_mmap(addr, len, prot, flags, fd, offset, NEXT(mmap64)));
}

static bool
ours(const void *addr, size_t len)
{

	if (!harness_owns(addr, len) || !is_owner())
		return (false);
	stop_if_exiting();
	return (is_running());
}

EXPORT int
munmap(void *addr, size_t len)
{
	int saved;

	saved = errno;
	if (!ours(addr, len))
		return (NEXT(munmap)(addr, len));
	return (result(harness_munmap(addr, len), saved));
}

EXPORT int
mprotect(void *addr, size_t len, int prot)
{
	int saved;

	saved = errno;
	if (!ours(addr, len))
		return (NEXT(mprotect)(addr, len, prot));
	return (result(harness_mprotect(addr, len, prot), saved));
}

EXPORT int
mlock(const void *addr, size_t len)
{

	if (ours(addr, len))
		harness_mlock(addr, len, true);
	return (NEXT(mlock)(addr, len));
}

EXPORT int
munlock(const void *addr, size_t len)
{

	if (ours(addr, len))
		harness_mlock(addr, len, false);
	return (NEXT(munlock)(addr, len));
}

#define	EVERYTHING	((size_t)1 << 47)

EXPORT int
mlockall(int flags)
{

	if (is_owner() && is_running()) {
		if ((flags & MCL_CURRENT) != 0)
			harness_mlock(NULL, EVERYTHING, true);
		harness_mlock_future((flags & MCL_FUTURE) != 0);
	}
	return (NEXT(mlockall)(flags));
}

EXPORT int
munlockall(void)
{

	if (is_owner() && is_running()) {
		harness_mlock(NULL, EVERYTHING, false);
		harness_mlock_future(false);
	}
	return (NEXT(munlockall)());
}

/* As the Linuxulator, which only shrinks (row K8). */
EXPORT void *
mremap(void *old, size_t old_len, size_t new_len, int flags, ...)
{
	va_list ap;
	void *new, *p;
	size_t page;
	int saved;

	va_start(ap, flags);
	new = va_arg(ap, void *);
	va_end(ap);
	saved = errno;
	if (!ours(old, old_len == 0 ? 1 : old_len)) {
		p = NEXT(mremap)(old, old_len, new_len, flags, new);
		if (p != MAP_FAILED && (flags & MREMAP_FIXED) != 0 &&
		    ours(p, new_len)) {
			harness_mapped_over(p, new_len);
			errno = saved;
		}
		return (p);
	}
	page = (size_t)sysconf(_SC_PAGESIZE);
	old_len = (old_len + page - 1) & ~(page - 1);
	new_len = (new_len + page - 1) & ~(page - 1);
	if ((flags & ~(MREMAP_MAYMOVE | MREMAP_FIXED)) != 0 ||
	    ((uintptr_t)old & (page - 1)) != 0 || new_len == 0) {
		errno = EINVAL;
		return (MAP_FAILED);
	}
	if (new_len > old_len) {
		errno = ENOMEM;
		return (MAP_FAILED);
	}
	if (new_len < old_len && result(harness_munmap((char *)old + new_len,
	    old_len - new_len), saved) != 0)
		return (MAP_FAILED);
	return (old);
}
