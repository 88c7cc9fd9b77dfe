/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The agent: a thin layer between text lines and system calls.
 *
 * The supervisor (supervisor.c) owns the byte stream and starts a worker
 * process for each case; the worker (worker.c) performs the operations of
 * ops_*.c.  Between the two, and between a worker and its threads and children,
 * every line is one SOCK_SEQPACKET message, so several of them can answer on
 * one socket without a lock.
 */
#ifndef AGENT_H
#define	AGENT_H

#include <sys/types.h>
#include <setjmp.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define	AGENT_PROTO	1
#define	LINE_BYTES	65536	/* longest line, newline included */
#define	DATA_BYTES	30000	/* most bytes one line carries as hex */
#define	MAX_ARGS	16
#define	MAX_SUBS	64

/*
 * The worker's end of its socket has a high number: at exit Linux closes
 * descriptors in ascending order, so this one goes last, and its end of file
 * means that all other files are released.
 */
#define	WORKER_FD	900

/* Results of an operation besides 0 and errno values. */
enum {
	R_PROTO = -1,		/* malformed request, text in reply */
	R_FAULT = -2,		/* SIGSEGV or SIGBUS, number in reply->fault */
	R_NONE = -3,		/* answered already, or no answer is due */
};

struct reply {
	char	*buf;		/* LINE_BYTES of room */
	size_t	 len;
	int	 fault;
};

struct sub;

/*
 * One line of control: of the worker's main thread, of a thread or of a child.
 */
struct agent {
	int		 in;	/* requests */
	int		 out;	/* replies, shared by all of one worker */
	bool		 thread;
	bool		 done;
	int		 passed; /* descriptor that came with a request or -1 */
	const char	*seq;	/* of the current request */
	struct sub	*subs;
	int		 nextsub;
	const char	*self;	/* os_self() */
	uint8_t		*scratch; /* LINE_BYTES for arguments, page-aligned */
};

/*
 * A request being performed: its words, and the values of those that the
 * operation's usage line calls descriptors or numbers.
 */
struct call {
	struct agent	*a;
	int		 argc;
	char		**argv;
	int		 fd;		/* of FD */
	uint64_t	 n[MAX_ARGS];	/* of argv[] with the same index */
};

typedef int op_fn(struct call *, struct reply *);

struct op {
	const char	*name;
	int		 min, max;	/* arguments after the name */
	op_fn		*fn;
	const char	*usage;
};

extern const struct op ops_event[], ops_file[], ops_mem[], ops_proc[];
extern const struct op ops_lib[];	/* of xengnt-agent-lib only */

/* proto.c */
int	parse_u64(const char *, uint64_t *);
int	parse_int(const char *, int *);
int	unhex(const char *, uint8_t *, size_t, size_t *, struct reply *);
void	put(struct reply *, const char *, ...)
	    __attribute__((format(printf, 2, 3)));
void	put_hex(struct reply *, const char *, const uint8_t *, size_t);
int	bad(struct reply *, const char *, ...)
	    __attribute__((format(printf, 2, 3)));
int	get_u64s(char **, int, uint64_t *, struct reply *);
int	get_words(struct call *, const char *, struct reply *);
void	answer(int, const char *, int, const struct reply *);
int	send_line(int, const char *, size_t, int);
ssize_t	recv_line(int, char *, size_t, int *);
int	seqpair(int [2]);
int	split(char *, char **, int);
bool	clean_line(const char *, size_t);

/* names.c */
const char *errno_name(int, char [16]);
const char *signal_name(int, char [16]);
int	signal_number(const char *);
int	ioctl_word(const char *, unsigned long *);
void	device_path(const char *, const char *);
const char *device_of(const char *);

/* guard.c */
extern _Thread_local sigjmp_buf guard_jmp;
extern _Thread_local volatile sig_atomic_t guard_on;
void	guard_init(void);
/*
 * 0 on the first return; the signal's number if the statement after it touched
 * memory that is not there.  Call guard_off() afterwards.
 */
#define	guard()		(guard_on = 1, sigsetjmp(guard_jmp, 1))
#define	guard_off()	((void)(guard_on = 0))

/* The n-th number as an address. */
static inline void *
at(const struct call *c, int i)
{

	return ((void *)(uintptr_t)c->n[i]);
}

/* ops_mem.c */
int	mem_read(uintptr_t, size_t, struct reply *);
int	mem_write(uintptr_t, const char *, struct reply *);

/* worker.c */
int	worker_main(int, const char *, const char *);
void	agent_loop(struct agent *);

/* ops_proc.c */
void	subs_forget(struct agent *);
void	subs_end(struct agent *);
int	sub_forward(struct agent *, const char *, char *, struct reply *);

/* supervisor.c */
struct options {
	const char	*serial;
	const char	*peer;
	const char	*self;
	bool		 poweroff;
	int		 argc;
	char		**argv;
};
int	supervise(const struct options *);

/*
 * Defined by the harness's preload library, elsewhere NULL; hosted() tells
 * which.
 */
extern int xengnt_harness_peer(const char *, char *, size_t)
    __attribute__((weak));
extern int xengnt_harness_sysctl(const char *, const unsigned *, unsigned *)
    __attribute__((weak));
extern int xengnt_harness_unload(void) __attribute__((weak));
bool	hosted(void);

#endif /* !AGENT_H */
