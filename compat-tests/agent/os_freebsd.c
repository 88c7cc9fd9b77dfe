/* SPDX-License-Identifier: BSD-2-Clause */
/* FreeBSD's part of os.h. */
#include <sys/param.h>
#include <sys/ioctl.h>
#include <sys/linker.h>
#include <sys/mman.h>
#include <sys/procctl.h>
#include <sys/ptrace.h>
#include <sys/reboot.h>
#include <sys/sysctl.h>
#include <sys/wait.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <xen/gntalloc.h>
#include <xen/gntdev.h>
#include <xen/gntdev_base.h>

#include "agent.h"
#include "native_freebsd.h"
#include "os.h"

/* Commands of /dev/xen/evtchn; the base system installs no header for them. */
#define	EVTCHN_VIRQ		_IOWR('E', 4, uint32_t [2])
#define	EVTCHN_INTERDOMAIN	_IOWR('E', 5, uint32_t [3])
#define	EVTCHN_UNBOUND		_IOWR('E', 6, uint32_t [2])
#define	EVTCHN_UNBIND		_IOW('E', 7, uint32_t)
#define	EVTCHN_NOTIFY		_IOW('E', 8, uint32_t)

const char *
os_self(const char *argv0)
{
	static char path[MAXPATHLEN];
	int mib[] = { CTL_KERN, KERN_PROC, KERN_PROC_PATHNAME, -1 };
	size_t len;

	len = sizeof(path);
	return (sysctl(mib, 4, path, &len, NULL, 0) == 0 ? path : argv0);
}

static void
fact(char *buf, size_t len, const char *key, const char *name)
{
	unsigned value;
	size_t at, size;

	size = sizeof(value);
	if (sysctlbyname(name, &value, &size, NULL, 0) != 0)
		return;
	at = strlen(buf);
	snprintf(buf + at, len - at, " %s=%u", key, value);
}

void
os_facts(char *buf, size_t len)
{
	char guest[32];
	size_t size;

	buf[0] = '\0';
	size = sizeof(guest);
	if (sysctlbyname("kern.vm_guest", guest, &size, NULL, 0) == 0)
		snprintf(buf, len, " hypervisor=%.31s", guest);
	fact(buf, len, "osreldate", "kern.osreldate");
	fact(buf, len, "gntdev_limit", "hw.xen.gntdev.limit");
	fact(buf, len, "gntalloc_limit", "hw.xen.gntalloc.limit");
}

/* What is written to the console also goes to the kernel's message buffer. */
int
os_mark(const char *text)
{
	char line[300];
	int fd, n, error;

	fd = open("/dev/console", O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return (errno);
	n = snprintf(line, sizeof(line), "xengnt-agent: %.240s\n", text);
	error = write(fd, line, (size_t)n) == n ? 0 : errno;
	close(fd);
	return (error);
}

static int log_fd = -1;
static char log_text[8192];
static size_t log_len;

void
os_log_start(void)
{

	log_fd = open("/dev/klog", O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	/* Messages from before belong to no case. */
	if (log_fd >= 0)
		while (read(log_fd, log_text, sizeof(log_text)) > 0)
			;
}

/* log(9) puts "<level>" first; printf(9), also in a panic, puts nothing. */
bool
os_log_next(int *level, char *text, size_t len)
{
	char *end, *line;
	size_t i, size;
	ssize_t n;

	if (log_fd < 0)
		return (false);
	if (memchr(log_text, '\n', log_len) == NULL &&
	    log_len < sizeof(log_text)) {
		n = read(log_fd, log_text + log_len,
		    sizeof(log_text) - log_len);
		if (n > 0)
			log_len += (size_t)n;
	}
	end = memchr(log_text, '\n', log_len);
	if (end == NULL && log_len < sizeof(log_text))
		return (false);
	size = end == NULL ? log_len : (size_t)(end - log_text);
	line = log_text;
	*level = 4;
	if (size > 2 && line[0] == '<' &&
	    (line[2] == '>' || (size > 3 && line[3] == '>'))) {
		*level = atoi(line + 1) & 7;
		line = memchr(line, '>', size);
		line++;
	}
	for (i = 0; line < log_text + size && i < len - 1; i++, line++)
		text[i] = *line < ' ' || *line > '~' ? '?' : *line;
	text[i] = '\0';
	size += end != NULL;
	log_len -= size;
	memmove(log_text, log_text + size, log_len);
	return (true);
}

/* Linux has a module for each device; here one serves both. */
int
os_unload(const char *module)
{
	int id;

	id = kldfind(strncmp(module, "xen_gnt", 7) == 0 ? "xengnt.ko" :
	    module);
	if (id < 0)
		return (errno);
	return (kldunload(id) == 0 ? 0 : errno);
}

int
os_load(const char *path)
{

	return (kldload(path) >= 0 ? 0 : errno);
}

int
os_poweroff(void)
{

	return (reboot(RB_POWEROFF) == 0 ? 0 : errno);
}

int
os_limit(const char *dev, bool set, unsigned value, unsigned *old)
{

	return (freebsd_limit(dev, set, value, old));
}

int
os_mremap(uintptr_t addr, size_t old, size_t len, bool maymove, bool fixed,
    uintptr_t to, uintptr_t *out)
{
	(void)addr;
	(void)old;
	(void)len;
	(void)maymove;
	(void)fixed;
	(void)to;
	(void)out;
	return (ENOSYS);
}

int
os_open_flag(const char *name)
{
#ifdef O_PATH
	if (strcmp(name, "path") == 0)
		return (O_PATH);
#endif
	return (strcmp(name, "direct") == 0 ? O_DIRECT : 0);
}

int
os_disk(char *path, size_t len)
{
	int error;

	error = freebsd_disk();
	snprintf(path, len, FREEBSD_DISK);
	return (error);
}

int
os_mmap_flag(const char *name)
{
	if (strcmp(name, "noreplace") == 0)
		return (MAP_FIXED | MAP_EXCL);
	return (0);
}

struct name {
	const char	*name;
	int		 value;
};

static int
value_of(const struct name *names, size_t n, const char *name)
{
	size_t i;

	for (i = 0; i < n; i++)
		if (strcmp(names[i].name, name) == 0)
			return (names[i].value);
	return (-1);
}

int
os_madvise(const char *name)
{
	static const struct name names[] = {
		{ "normal", MADV_NORMAL },
		{ "random", MADV_RANDOM },
		{ "sequential", MADV_SEQUENTIAL },
		{ "willneed", MADV_WILLNEED },
		{ "free", MADV_FREE },
		{ "nosync", MADV_NOSYNC },
		{ "autosync", MADV_AUTOSYNC },
		{ "nocore", MADV_NOCORE },
		{ "core", MADV_CORE },
	};

	return (value_of(names, nitems(names), name));
}

int
os_inherit(uintptr_t addr, size_t len, const char *name)
{
	static const struct name names[] = {
		{ "share", INHERIT_SHARE },
		{ "copy", INHERIT_COPY },
		{ "none", INHERIT_NONE },
		{ "zero", INHERIT_ZERO },
	};
	int how;

	how = value_of(names, nitems(names), name);
	if (how < 0)
		return (ENOSYS);
	return (minherit((void *)addr, len, how) == 0 ? 0 : errno);
}

int
os_debug(int pid, bool write, uintptr_t addr, void *buf, size_t len)
{
	struct ptrace_io_desc io;
	int error, status;

	if (ptrace(PT_ATTACH, pid, NULL, 0) != 0)
		return (errno);
	error = 0;
	if (waitpid(pid, &status, 0) != pid)
		error = errno;
	io.piod_op = write ? PIOD_WRITE_D : PIOD_READ_D;
	io.piod_offs = (void *)addr;
	io.piod_addr = buf;
	io.piod_len = len;
	if (error == 0 && ptrace(PT_IO, pid, (caddr_t)&io, 0) != 0)
		error = errno;
	if (error == 0 && io.piod_len != len)
		error = EIO;
	if (ptrace(PT_DETACH, pid, (caddr_t)1, 0) != 0 && error == 0)
		error = errno;
	return (error);
}

void
os_reap_orphans(void)
{

	procctl(P_PID, 0, PROC_REAP_ACQUIRE, NULL);
}

static int
evtchn(int fd, unsigned long word, uint32_t *arg, int at, uint32_t *port)
{

	if (ioctl(fd, word, arg) != 0)
		return (errno);
	*port = arg[at];
	return (0);
}

int
os_evtchn_unbound(int fd, uint32_t domid, uint32_t *port)
{
	uint32_t arg[2] = { domid, 0 };

	return (evtchn(fd, EVTCHN_UNBOUND, arg, 1, port));
}

int
os_evtchn_interdomain(int fd, uint32_t domid, uint32_t remote, uint32_t *port)
{
	uint32_t arg[3] = { domid, remote, 0 };

	return (evtchn(fd, EVTCHN_INTERDOMAIN, arg, 2, port));
}

int
os_evtchn_virq(int fd, uint32_t virq, uint32_t *port)
{
	uint32_t arg[2] = { virq, 0 };

	return (evtchn(fd, EVTCHN_VIRQ, arg, 1, port));
}

int
os_evtchn_unbind(int fd, uint32_t port)
{

	return (ioctl(fd, EVTCHN_UNBIND, &port) == 0 ? 0 : errno);
}

int
os_evtchn_notify(int fd, uint32_t port)
{

	return (ioctl(fd, EVTCHN_NOTIFY, &port) == 0 ? 0 : errno);
}

int
os_vmsplice(int fd, uintptr_t addr, size_t len, size_t *done)
{
	(void)fd;
	(void)addr;
	(void)len;
	(void)done;
	return (ENOSYS);
}

/*
 * The copies of a struct that Linux's drivers make, with the same EFAULT. Not
 * inline: see ops_mem.c.
 */
static __noinline bool
copy(void *to, const void *from, size_t len)
{

	if (guard() != 0)
		return (false);
	memcpy(to, from, len);
	guard_off();
	return (true);
}

static int
fault(void)
{

	errno = EFAULT;
	return (-1);
}

/*
 * Issues Linux's struct at arg as a command of FreeBSD's own driver, as a
 * program ported by hand would.
 */
static int
base_ioctl(int fd, unsigned long word, uintptr_t arg)
{
	union {
		struct ioctl_gntdev_map_grant_ref	map;
		struct ioctl_gntalloc_alloc_gref	alloc;
	} g;
	void *p;

	p = (void *)arg;
	switch (word) {
	case IOCTL_GNTDEV_MAP_GRANT_REF: {
		struct base_map_grant_ref e = { 0 };

		/* Only the index is written back: the array may be const. */
		if (!copy(&g.map, p, offsetof(
		    struct ioctl_gntdev_map_grant_ref, refs)))
			return (fault());
		e.count = g.map.count;
		e.pad = g.map.pad;
		e.refs = ((struct ioctl_gntdev_map_grant_ref *)p)->refs;
		if (ioctl(fd, BASE_MAP_GRANT_REF, &e) != 0)
			return (-1);
		return (copy(&((struct ioctl_gntdev_map_grant_ref *)p)->index,
		    &e.index, sizeof(e.index)) ? 0 : fault());
	}
	case IOCTL_GNTDEV_UNMAP_GRANT_REF:
		return (ioctl(fd, BASE_UNMAP_GRANT_REF, p));
	case IOCTL_GNTDEV_GET_OFFSET_FOR_VADDR:
		return (ioctl(fd, BASE_GET_OFFSET_FOR_VADDR, p));
	case IOCTL_GNTDEV_SET_UNMAP_NOTIFY:
		return (ioctl(fd, BASE_SET_UNMAP_NOTIFY, p));
	case IOCTL_GNTALLOC_ALLOC_GREF: {
		struct base_alloc_gref e = { 0 };

		if (!copy(&g.alloc, p, offsetof(
		    struct ioctl_gntalloc_alloc_gref, gref_ids)))
			return (fault());
		e.domid = g.alloc.domid;
		e.flags = g.alloc.flags;
		e.count = g.alloc.count;
		e.gref_ids = ((struct ioctl_gntalloc_alloc_gref *)p)->gref_ids;
		if (ioctl(fd, BASE_ALLOC_GREF, &e) != 0)
			return (-1);
		return (copy(&((struct ioctl_gntalloc_alloc_gref *)p)->index,
		    &e.index, sizeof(e.index)) ? 0 : fault());
	}
	case IOCTL_GNTALLOC_DEALLOC_GREF:
		return (ioctl(fd, BASE_DEALLOC_GREF, p));
	default:
		/* Linux's other commands have no equivalent there. */
		return (ioctl(fd, word, p));
	}
}

/* XENGNT_WORDS=base: the driver under test is FreeBSD's own. */
int
os_ioctl(int fd, unsigned long word, uintptr_t arg)
{
	const char *words;

	words = getenv("XENGNT_WORDS");
	if (words != NULL && strcmp(words, "base") == 0)
		return (base_ioctl(fd, word, arg));
	return (ioctl(fd, word, (void *)arg));
}

int
os_ioctl32(int fd, uint32_t word, uint32_t arg)
{
	(void)fd;
	(void)word;
	(void)arg;
	return (ENOSYS);
}
