/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the agent needs from one operating system only.  Each system has a file
 * that implements it (os_linux.c); the rest is POSIX plus MAP_ANON.
 */
#ifndef AGENT_OS_H
#define	AGENT_OS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Path by which the agent can execute itself again. */
const char *os_self(const char *argv0);

/* Adds " k=v" facts (guest=, xen=, ...) to buf, always terminated. */
void os_facts(char *buf, size_t len);

/* Writes one line to the kernel's log.  0 or an errno value. */
int os_mark(const char *text);

/*
 * Reads the kernel's log: from now on, and then each message's level (syslog's
 * numbers) and text, printable and terminated.  False means no more.
 */
void os_log_start(void);
bool os_log_next(int *level, char *text, size_t len);

/* 0 or an errno value; a module in use is EBUSY on every system. */
int os_unload(const char *module);
int os_load(const char *path);
int os_poweroff(void);

/* Reads the page limit of a grant device, and with set writes it. */
int os_limit(const char *dev, bool set, unsigned value, unsigned *old);

/* mremap(2) if it exists, else ENOSYS.  to is used with move. */
int os_mremap(uintptr_t addr, size_t old, size_t len, bool maymove,
    bool fixed, uintptr_t to, uintptr_t *out);

/* Flags that only this system has, by name; 0 for an unknown name. */
int os_open_flag(const char *name);
int os_mmap_flag(const char *name);
int os_madvise(const char *name);

/*
 * Sets what a child will have of a range: "share", "copy", "none" or "zero". 0
 * or an errno value; ENOSYS if this system cannot do it.
 */
int os_inherit(uintptr_t addr, size_t len, const char *name);

/*
 * ioctl(2), or the equivalent for a grant device's command if the driver under
 * test has other commands.
 */
int os_ioctl(int fd, unsigned long word, uintptr_t arg);

/*
 * An ioctl(2) through the 32-bit system-call gate: 0 or errno; ENOSYS if there
 * is none.
 */
int os_ioctl32(int fd, uint32_t word, uint32_t arg);

/*
 * The commands of /dev/xen/evtchn: 0 or an errno value.  A bound port goes
 * to *port.
 */
int os_evtchn_unbound(int fd, uint32_t domid, uint32_t *port);
int os_evtchn_interdomain(int fd, uint32_t domid, uint32_t remote,
    uint32_t *port);
int os_evtchn_virq(int fd, uint32_t virq, uint32_t *port);
int os_evtchn_unbind(int fd, uint32_t port);
int os_evtchn_notify(int fd, uint32_t port);

/* vmsplice(2), which holds the pages until the pipe is read, or ENOSYS. */
int os_vmsplice(int fd, uintptr_t addr, size_t len, size_t *done);

/* The path of a disk for free use, made if necessary. */
int os_disk(char *path, size_t len);

/*
 * A debugger's read or write of a child's memory: attaches, copies the bytes,
 * detaches.  0 or an errno value.
 */
int os_debug(int pid, bool write, uintptr_t addr, void *buf, size_t len);

/* Makes forked children and orphans die with the worker (best effort). */
void os_reap_orphans(void);

#endif /* !AGENT_OS_H */
