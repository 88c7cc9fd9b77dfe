/* SPDX-License-Identifier: BSD-2-Clause */
/* Linux's part of os.h. */
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/reboot.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "event_helper.h"
#include "os.h"

/* Xen's name, which Linux's header uses without defining it. */
typedef uint16_t domid_t;
#include <xen/evtchn.h>

#ifndef MAP_FIXED_NOREPLACE
#define	MAP_FIXED_NOREPLACE	0x100000
#endif

const char *
os_self(const char *argv0)
{
	return (access("/proc/self/exe", X_OK) == 0 ? "/proc/self/exe" :
	    argv0);
}

/* One word from a small file, with blanks turned into underscores. */
static bool
slurp(const char *path, char *buf, size_t len)
{
	ssize_t n;
	size_t i;
	int fd;

	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return (false);
	n = read(fd, buf, len - 1);
	close(fd);
	if (n <= 0)
		return (false);
	buf[n] = '\0';
	buf[strcspn(buf, "\n")] = '\0';
	for (i = 0; buf[i] != '\0'; i++)
		if (buf[i] <= ' ' || buf[i] > '~')
			buf[i] = '_';
	return (buf[0] != '\0');
}

static void
fact(char *buf, size_t len, const char *key, const char *path)
{
	char word[128];
	size_t at;

	if (!slurp(path, word, sizeof(word)))
		return;
	at = strlen(buf);
	snprintf(buf + at, len - at, " %s=%s", key, word);
}

void
os_facts(char *buf, size_t len)
{
	char major[32], minor[32];
	size_t at;

	buf[0] = '\0';
	fact(buf, len, "hypervisor", "/sys/hypervisor/type");
	fact(buf, len, "guest", "/sys/hypervisor/guest_type");
	if (slurp("/sys/hypervisor/version/major", major, sizeof(major)) &&
	    slurp("/sys/hypervisor/version/minor", minor, sizeof(minor))) {
		at = strlen(buf);
		snprintf(buf + at, len - at, " xen=%s.%s", major, minor);
	}
	fact(buf, len, "gntdev_limit",
	    "/sys/module/xen_gntdev/parameters/limit");
	fact(buf, len, "gntalloc_limit",
	    "/sys/module/xen_gntalloc/parameters/limit");
}

int
os_mark(const char *text)
{
	char line[300];
	int fd, n, error;

	fd = open("/dev/kmsg", O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return (errno);
	/* Level 3 gets to the console of a kernel booted with "quiet". */
	n = snprintf(line, sizeof(line), "<3>xengnt-agent: %.240s\n", text);
	error = write(fd, line, (size_t)n) == n ? 0 : errno;
	close(fd);
	return (error);
}

static int log_fd = -1;

void
os_log_start(void)
{

	log_fd = open("/dev/kmsg", O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	if (log_fd >= 0)
		lseek(log_fd, 0, SEEK_END);
}

/* A record is "prefix,sequence,time,flags;text", then lines of key=value. */
bool
os_log_next(int *level, char *text, size_t len)
{
	char record[8192], *p;
	ssize_t n;
	size_t i;

	if (log_fd < 0)
		return (false);
	do
		n = read(log_fd, record, sizeof(record) - 1);
	while (n < 0 && (errno == EPIPE || errno == EINTR));
	if (n <= 0)
		return (false);
	record[n] = '\0';
	*level = (int)strtoul(record, NULL, 10) & 7;
	p = strchr(record, ';');
	p = p == NULL ? record : p + 1;
	p[strcspn(p, "\n")] = '\0';
	for (i = 0; p[i] != '\0' && i < len - 1; i++)
		text[i] = p[i] < ' ' || p[i] > '~' ? '?' : p[i];
	text[i] = '\0';
	return (true);
}

int
os_unload(const char *module)
{
	if (syscall(SYS_delete_module, module, O_NONBLOCK) == 0)
		return (0);
	return (errno == EWOULDBLOCK ? EBUSY : errno);
}

int
os_load(const char *path)
{
	int fd, error;

	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return (errno);
	error = syscall(SYS_finit_module, fd, "", 0) == 0 ? 0 : errno;
	close(fd);
	return (error);
}

int
os_poweroff(void)
{
	sync();
	return (reboot(RB_POWER_OFF) == 0 ? 0 : errno);
}

/*
 * Returns the value that the program of event_helper.h answers; -1 with ENOTTY
 * if there is none, or with the call's error.
 */
static int
ask_helper(int fd, uint32_t nr, const uint32_t *args)
{
	struct event_request request = { nr, { args[0], args[1] } };
	struct event_answer reply;
	union {
		struct cmsghdr	head;
		char		room[CMSG_SPACE(2 * sizeof(int))];
	} control;
	struct iovec iov = { &request, sizeof(request) };
	struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1,
	    .msg_control = &control, .msg_controllen = sizeof(control) };
	const char *helper;
	int ends[2], ret;

	errno = ENOTTY;
	helper = getenv(EVENT_HELPER);
	if (helper == NULL || socketpair(AF_UNIX, SOCK_DGRAM, 0, ends) != 0)
		return (-1);
	memset(&control, 0, sizeof(control));
	control.head.cmsg_level = SOL_SOCKET;
	control.head.cmsg_type = SCM_RIGHTS;
	control.head.cmsg_len = CMSG_LEN(2 * sizeof(int));
	memcpy(CMSG_DATA(&control.head),
	    (int [2]){ fd < 0 ? ends[1] : fd, ends[1] }, 2 * sizeof(int));
	ret = -1;
	if (sendmsg(atoi(helper), &m, 0) == (ssize_t)sizeof(request) &&
	    recv(ends[0], &reply, sizeof(reply), 0) ==
	    (ssize_t)sizeof(reply)) {
		errno = (int)reply.error;
		ret = reply.error != 0 ? -1 : (int)reply.value;
	}
	close(ends[0]);
	close(ends[1]);
	return (ret);
}

int
os_limit(const char *dev, bool set, unsigned value, unsigned *old)
{
	char path[128], text[32];
	int fd, n, error;

	snprintf(path, sizeof(path), "/sys/module/xen_%.32s/parameters/limit",
	    dev);
	if (!slurp(path, text, sizeof(text))) {
		n = ask_helper(-1, strcmp(dev, "gntdev") == 0 ?
		    HELPER_GNTDEV_LIMIT : HELPER_GNTALLOC_LIMIT,
		    (uint32_t [2]){ set, value });
		if (n < 0)
			return (errno == ENOTTY ? ENOENT : errno);
		*old = (unsigned)n;
		return (0);
	}
	if (sscanf(text, "%u", old) != 1)
		return (EIO);
	if (!set)
		return (0);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return (errno);
	n = snprintf(text, sizeof(text), "%u", value);
	error = write(fd, text, (size_t)n) == n ? 0 : errno;
	close(fd);
	return (error);
}

int
os_mremap(uintptr_t addr, size_t old, size_t len, bool maymove, bool fixed,
    uintptr_t to, uintptr_t *out)
{
	void *p;
	int flags;

	flags = (maymove || fixed ? MREMAP_MAYMOVE : 0) |
	    (fixed ? MREMAP_FIXED : 0);
	p = mremap((void *)addr, old, len, flags, (void *)to);
	if (p == MAP_FAILED)
		return (errno);
	*out = (uintptr_t)p;
	return (0);
}

int
os_open_flag(const char *name)
{
	if (strcmp(name, "direct") == 0)
		return (O_DIRECT);
	return (strcmp(name, "path") == 0 ? O_PATH : 0);
}

int
os_disk(char *path, size_t len)
{
	static const char ramdisk[] = "/dev/ram0";

	if (access(ramdisk, R_OK | W_OK) == 0)
		snprintf(path, len, "%s", ramdisk);
	else if (ask_helper(-1, HELPER_DISK, (uint32_t [2]){ 0 }) == 0)
		snprintf(path, len, FREEBSD_DISK);
	else
		return (errno == ENOTTY ? ENOENT : errno);
	return (0);
}

int
os_mmap_flag(const char *name)
{
	static const struct {
		const char	*name;
		int		 flag;
	} flags[] = {
		{ "populate", MAP_POPULATE },
		{ "locked", MAP_LOCKED },
		{ "noreserve", MAP_NORESERVE },
		{ "noreplace", MAP_FIXED_NOREPLACE },
	};
	size_t i;

	for (i = 0; i < sizeof(flags) / sizeof(flags[0]); i++)
		if (strcmp(flags[i].name, name) == 0)
			return (flags[i].flag);
	return (0);
}

int
os_madvise(const char *name)
{
	static const struct {
		const char	*name;
		int		 advice;
	} names[] = {
		{ "dontfork", MADV_DONTFORK },
		{ "normal", MADV_NORMAL },
		{ "random", MADV_RANDOM },
		{ "sequential", MADV_SEQUENTIAL },
		{ "willneed", MADV_WILLNEED },
		{ "free", MADV_FREE },
		{ "nocore", MADV_DONTDUMP },
		{ "core", MADV_DODUMP },
	};
	size_t i;

	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (strcmp(names[i].name, name) == 0)
			return (names[i].advice);
	return (-1);
}

int
os_inherit(uintptr_t addr, size_t len, const char *name)
{
	int advice;

	if (strcmp(name, "share") == 0)
		advice = MADV_DOFORK;
	else if (strcmp(name, "none") == 0)
		advice = MADV_DONTFORK;
	else if (strcmp(name, "zero") == 0)
		advice = MADV_WIPEONFORK;
	else
		return (ENOSYS);
	return (madvise((void *)addr, len, advice) == 0 ? 0 : errno);
}

int
os_debug(int pid, bool write, uintptr_t addr, void *buf, size_t len)
{
	uint8_t *bytes = buf;
	size_t at;
	long word;
	int error, status;

	if (len % sizeof(word) != 0)
		return (EINVAL);
	if (ptrace(PTRACE_ATTACH, pid, NULL, NULL) != 0)
		return (errno);
	error = waitpid(pid, &status, 0) == pid ? 0 : errno;
	for (at = 0; error == 0 && at < len; at += sizeof(word)) {
		if (write) {
			memcpy(&word, bytes + at, sizeof(word));
			if (ptrace(PTRACE_POKEDATA, pid, addr + at, word) != 0)
				error = errno;
			continue;
		}
		errno = 0;
		word = ptrace(PTRACE_PEEKDATA, pid, addr + at, NULL);
		error = errno;
		memcpy(bytes + at, &word, sizeof(word));
	}
	if (ptrace(PTRACE_DETACH, pid, NULL, NULL) != 0 && error == 0)
		error = errno;
	return (error);
}

void
os_reap_orphans(void)
{
	prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
}

/* The helper's answer in the form of ioctl(2)'s result. */
static int
evtchn_by_helper(int fd, unsigned long word, const void *arg)
{
	uint32_t args[2] = { 0 };

	errno = ENOTTY;
	if (_IOC_SIZE(word) > sizeof(args))
		return (-1);
	memcpy(args, arg, _IOC_SIZE(word));
	return (ask_helper(fd, _IOC_NR(word), args));
}

static int
evtchn(int fd, unsigned long word, void *arg)
{
	int ret;

	ret = ioctl(fd, word, arg);
	if (ret < 0 && errno == ENOTTY)
		ret = evtchn_by_helper(fd, word, arg);
	return (ret);
}

/* Linux returns a bound port as the result of ioctl(2). */
static int
evtchn_bind(int fd, unsigned long word, void *arg, uint32_t *port)
{
	int ret;

	ret = evtchn(fd, word, arg);
	if (ret < 0)
		return (errno);
	*port = (uint32_t)ret;
	return (0);
}

int
os_evtchn_unbound(int fd, uint32_t domid, uint32_t *port)
{
	struct ioctl_evtchn_bind_unbound_port bind;

	bind.remote_domain = domid;
	return (evtchn_bind(fd, IOCTL_EVTCHN_BIND_UNBOUND_PORT, &bind, port));
}

int
os_evtchn_interdomain(int fd, uint32_t domid, uint32_t remote, uint32_t *port)
{
	struct ioctl_evtchn_bind_interdomain bind;

	bind.remote_domain = domid;
	bind.remote_port = remote;
	return (evtchn_bind(fd, IOCTL_EVTCHN_BIND_INTERDOMAIN, &bind, port));
}

int
os_evtchn_virq(int fd, uint32_t virq, uint32_t *port)
{
	struct ioctl_evtchn_bind_virq bind;

	bind.virq = virq;
	return (evtchn_bind(fd, IOCTL_EVTCHN_BIND_VIRQ, &bind, port));
}

int
os_evtchn_unbind(int fd, uint32_t port)
{
	struct ioctl_evtchn_unbind unbind;

	unbind.port = port;
	return (evtchn(fd, IOCTL_EVTCHN_UNBIND, &unbind) < 0 ? errno : 0);
}

int
os_evtchn_notify(int fd, uint32_t port)
{
	struct ioctl_evtchn_notify notify;

	notify.port = port;
	return (evtchn(fd, IOCTL_EVTCHN_NOTIFY, &notify) < 0 ? errno : 0);
}

int
os_vmsplice(int fd, uintptr_t addr, size_t len, size_t *done)
{
	struct iovec iov;
	ssize_t n;

	iov.iov_base = (void *)addr;
	iov.iov_len = len;
	n = vmsplice(fd, &iov, 1, SPLICE_F_NONBLOCK);
	if (n < 0)
		return (errno);
	*done = (size_t)n;
	return (0);
}

int
os_ioctl(int fd, unsigned long word, uintptr_t arg)
{

	return (ioctl(fd, word, (void *)arg));
}

/*
 * int 0x80 enters the 32-bit system-call table even from a 64-bit process, so
 * row O5 needs no 32-bit program.  54 is ioctl's number in that table.
 */
int
os_ioctl32(int fd, uint32_t word, uint32_t arg)
{
#ifdef __x86_64__
	long ret;

	__asm__ volatile("int $0x80"
	    : "=a"(ret)
	    : "a"(54L), "b"((long)fd), "c"((unsigned long)word),
	    "d"((unsigned long)arg)
	    : "memory", "cc", "r8", "r9", "r10", "r11");
	return (ret < 0 ? (int)-ret : 0);
#else
	(void)fd;
	(void)word;
	(void)arg;
	return (ENOSYS);
#endif
}
