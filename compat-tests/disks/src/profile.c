/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * xengnt-profile PID: traces a process by ktrace(2) until SIGTERM, and prints
 * where it spent its time.
 *
 * There is a line for each kind of system call: its number, for ioctl(2) the
 * command, the number of calls, nanoseconds in them.  "user" is the time of the
 * process's threads between two calls.  The clock's own cost, which is large
 * under Xen, has its own line and is not subtracted.
 */
#include <sys/param.h>
#include <sys/ktrace.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/uio.h>

#include <err.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define	THREADS	64
#define	KINDS	128
#define	LOOKS	1000

struct thread {
	long	tid;
	int64_t	last;		/* of its last record */
	int	kind;		/* of its current call, or -1 */
};
struct kind {
	int	code;
	unsigned long command;
	long	count;
	int64_t	ns;
};

static const char trace[] = "/tmp/profile.ktrace";
static struct thread threads[THREADS];
static struct kind kinds[KINDS];
static int nthreads, nkinds;
static struct kind user;

static int64_t
ns(const struct timespec *t)
{

	return (t->tv_sec * INT64_C(1000000000) + t->tv_nsec);
}

static struct thread *
thread_of(long tid)
{

	for (int i = 0; i < nthreads; i++)
		if (threads[i].tid == tid)
			return (&threads[i]);
	if (nthreads == THREADS)
		errx(1, "more than %d threads", THREADS);
	threads[nthreads] = (struct thread){ .tid = tid, .kind = -1 };
	return (&threads[nthreads++]);
}

static int
kind_of(int code, unsigned long command)
{

	for (int i = 0; i < nkinds; i++)
		if (kinds[i].code == code && kinds[i].command == command)
			return (i);
	if (nkinds == KINDS)
		errx(1, "more than %d kinds of calls", KINDS);
	kinds[nkinds] = (struct kind){ .code = code, .command = command };
	return (nkinds++);
}

static void
account(const struct ktr_header *h, const void *body)
{
	const struct ktr_syscall *call = body;
	struct thread *t = thread_of(h->ktr_tid);
	int64_t now = ns(&h->ktr_time);

	if ((h->ktr_type & ~KTR_TYPE) == KTR_SYSCALL) {
		if (t->last != 0) {
			user.count++;
			user.ns += now - t->last;
		}
		t->kind = kind_of(call->ktr_code, call->ktr_code == SYS_ioctl &&
		    call->ktr_narg > 1 ? (uint32_t)call->ktr_args[1] : 0);
	} else {
		if (t->kind >= 0 && t->last != 0) {
			kinds[t->kind].count++;
			kinds[t->kind].ns += now - t->last;
		}
		t->kind = -1;
	}
	t->last = now;
}

static void
read_trace(void)
{
	struct ktr_header h;
	static char body[1 << 16];
	FILE *f;

	f = fopen(trace, "r");
	if (f == NULL)
		err(1, "%s", trace);
	while (fread(&h, sizeof(h), 1, f) == 1) {
		if (h.ktr_len < 0 || (size_t)h.ktr_len > sizeof(body))
			errx(1, "%s: a record of %d bytes", trace, h.ktr_len);
		if (fread(body, 1, h.ktr_len, f) != (size_t)h.ktr_len)
			errx(1, "%s ends early", trace);
		if ((h.ktr_type & KTR_DROP) != 0)
			errx(1, "%s: records were dropped", trace);
		if ((h.ktr_type & ~KTR_TYPE) == KTR_SYSCALL ||
		    (h.ktr_type & ~KTR_TYPE) == KTR_SYSRET)
			account(&h, body);
	}
	fclose(f);
}

static int64_t
clock_cost(void)
{
	struct timespec a, b;

	clock_gettime(CLOCK_REALTIME, &a);
	for (int i = 0; i < LOOKS; i++)
		clock_gettime(CLOCK_REALTIME, &b);
	return ((ns(&b) - ns(&a)) / LOOKS);
}

int
main(int argc, char **argv)
{
	int points = KTRFAC_SYSCALL | KTRFAC_SYSRET;
	int fd, pid, taken;
	sigset_t end;

	if (argc != 2 || (pid = atoi(argv[1])) <= 0) {
		fprintf(stderr, "usage: xengnt-profile PID\n");
		return (2);
	}
	sigemptyset(&end);
	sigaddset(&end, SIGTERM);
	if (sigprocmask(SIG_BLOCK, &end, NULL) != 0)
		err(1, "sigprocmask");
	fd = open(trace, O_CREAT | O_TRUNC | O_WRONLY, 0600);
	if (fd < 0)
		err(1, "%s", trace);
	close(fd);
	if (ktrace(trace, KTROP_SET, points, pid) != 0)
		err(1, "ktrace");
	sigwait(&end, &taken);
	if (ktrace(trace, KTROP_CLEARFILE, points, pid) != 0)
		err(1, "ktrace");
	read_trace();
	printf("profile: clock 0 1 %jd\n", (intmax_t)clock_cost());
	printf("profile: user 0 %ld %jd\n", user.count, (intmax_t)user.ns);
	for (int i = 0; i < nkinds; i++)
		printf("profile: %d 0x%lx %ld %jd\n", kinds[i].code,
		    kinds[i].command, kinds[i].count, (intmax_t)kinds[i].ns);
	unlink(trace);
	return (0);
}
