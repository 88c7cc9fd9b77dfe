/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the harness needs from the machine it runs on, in plain C types: the
 * only interface between files that see FreeBSD's kernel headers (kpi/) and
 * those that see the C library (os/, xen/, preload.c).
 *
 * Memory calls go directly to the kernel, so that the preload library may
 * divert mmap(2) and related calls without calling itself.
 */
#ifndef _HOST_OS_H_
#define	_HOST_OS_H_

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct os_mutex {
	uint64_t space[6];
};
struct os_rwlock {
	uint64_t space[8];
};
struct os_cond {
	uint64_t space[7];
};

void	os_mutex_init(struct os_mutex *);
void	os_mutex_destroy(struct os_mutex *);
void	os_mutex_lock(struct os_mutex *);
void	os_mutex_unlock(struct os_mutex *);

void	os_rwlock_init(struct os_rwlock *);
void	os_rwlock_destroy(struct os_rwlock *);
void	os_rwlock_rdlock(struct os_rwlock *);
void	os_rwlock_wrlock(struct os_rwlock *);
void	os_rwlock_unlock(struct os_rwlock *);
/* In a forked child: the parent held it, and it is not used any more. */
void	os_rwlock_abandon(struct os_rwlock *);

void	os_cond_init(struct os_cond *);
void	os_cond_wait(struct os_cond *, struct os_mutex *);
/* deadline in ns of os_now(); false if it has passed. */
bool	os_cond_timedwait(struct os_cond *, struct os_mutex *,
	    uint64_t deadline);
void	os_cond_broadcast(struct os_cond *);

/* Sleeps while *word is value; words may be shared between processes. */
void	os_word_wait(uint32_t *word, uint32_t value, uint64_t timeout_ns);
void	os_word_wake(uint32_t *word);

uint64_t os_now(void);
void	os_yield(void);
void	os_nap(uint64_t ns);
void	os_sleep_forever(void) __attribute__((noreturn));
int	os_getpid(void);
/* Start time of a process in ticks, 0 when there is none: tells pids apart. */
uint64_t os_process_start(int pid);
const char *os_getenv(const char *name);

/* A thread with every signal blocked. */
typedef struct {
	uint64_t space;
} os_thread_t;
int	os_thread_start(os_thread_t *, void (*fn)(void *), void *arg);
void	os_thread_join(os_thread_t);

/* Moves a descriptor to a number that no program expects. */
int	os_move_fd_up(int fd);

/* The C library's allocator, zeroed; NULL when there is no memory. */
void	*os_alloc(size_t size);
void	os_free(void *);

/*
 * Copies between the harness and addresses that may be bad; false for those.
 * As with copyin(9) and copyout(9), a part may have been copied.
 */
bool	os_copyin(const void *uaddr, void *kaddr, size_t len);
bool	os_copyout(const void *kaddr, void *uaddr, size_t len);

#define	OS_PROT_READ	1
#define	OS_PROT_WRITE	2
#define	OS_PROT_EXEC	4

enum os_map_kind {
	OS_MAP_SHARED,		/* of the file */
	OS_MAP_PRIVATE,		/* of the file; stores do not reach it */
	OS_MAP_ANON,
};

/*
 * Maps at addr, over whatever is there; a negative fd only with OS_MAP_ANON.
 * All of these return 0 or an errno of the host.
 */
int	os_map(void *addr, size_t len, int prot, enum os_map_kind, int fd,
	    uint64_t offset);
/* Finds room near hint and reserves it without access. */
int	os_reserve(void *hint, size_t len, bool below_4g, void **addr);
/* Reserves exactly at addr if nothing is there. */
int	os_reserve_excl(void *addr, size_t len);
int	os_unmap(void *addr, size_t len);
int	os_protect(void *addr, size_t len, int prot);

/* Whether the page tables have the page. */
bool	os_page_touched(const void *addr);

/*
 * The lowest mapping of this process that ends above addr: false if there is
 * none.
 */
struct os_vma {
	uintptr_t	start;
	uintptr_t	end;
	int		prot;
};
bool	os_find_vma(uintptr_t addr, struct os_vma *);

void	os_message(const char *fmt, ...)
	    __attribute__((format(printf, 1, 2)));
void	os_vmessage(const char *prefix, const char *fmt, va_list);
void	os_abort(void) __attribute__((noreturn));
void	os_exit(int status) __attribute__((noreturn));

/* Linux's number of a FreeBSD errno, and the other way round. */
int	os_errno_to_linux(int freebsd_errno);
int	os_errno_to_freebsd(int host_errno);

#endif /* !_HOST_OS_H_ */
