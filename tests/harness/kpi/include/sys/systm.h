/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef _SYS_SYSTM_H_
#define	_SYS_SYSTM_H_

#include <sys/param.h>
#include <sys/kassert.h>
#include <machine/atomic.h>
#include <machine/cpu.h>

struct proc;
struct thread;

int	printf(const char *, ...) __kpi_symbol(printf) __printflike(1, 2);
void	log(int, const char *, ...) __kpi_symbol(log) __printflike(2, 3);
int	snprintf(char *, size_t, const char *, ...) __printflike(3, 4);

void	*memset(void *, int, size_t);
void	*memcpy(void *, const void *, size_t);
void	*memmove(void *, const void *, size_t);
int	memcmp(const void *, const void *, size_t);
size_t	strlen(const char *);
int	strcmp(const char *, const char *);
int	strncmp(const char *, const char *, size_t);

int	copyin(const void *uaddr, void *kaddr, size_t len) __nodiscard;
int	copyout(const void *kaddr, void *uaddr, size_t len) __nodiscard;
int	suword16(volatile void *uaddr, int word) __nodiscard;

int	pause(const char *wmesg, int ticks);
int	pause_sbt(const char *wmesg, sbintime_t sbt, sbintime_t pr, int flags);

static __inline int
imin(int a, int b)
{

	return (a < b ? a : b);
}

static __inline u_int
min(u_int a, u_int b)
{

	return (a < b ? a : b);
}

static __inline u_int
max(u_int a, u_int b)
{

	return (a > b ? a : b);
}

#endif /* !_SYS_SYSTM_H_ */
