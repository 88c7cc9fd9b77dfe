/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Death tests: the expected abort happens in a child.  Include after
 * <cmocka.h>.
 */
#ifndef _DEATH_H_
#define	_DEATH_H_

#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

/* fn(arg) must print message and abort. */
static inline void
assert_dies(void (*fn)(void *), void *arg, const char *message)
{
	char out[4096];
	size_t have;
	ssize_t n;
	pid_t pid;
	int fds[2], status;

	assert_int_equal(pipe(fds), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		struct rlimit none = { 0, 0 };

		setrlimit(RLIMIT_CORE, &none);
		signal(SIGABRT, SIG_DFL);
		dup2(fds[1], STDERR_FILENO);
		close(fds[0]);
		close(fds[1]);
		fn(arg);
		_exit(0);
	}
	close(fds[1]);
	have = 0;
	while (have < sizeof(out) - 1 && (n = read(fds[0], out + have,
	    sizeof(out) - 1 - have)) > 0)
		have += (size_t)n;
	out[have] = '\0';
	close(fds[0]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	if (strstr(out, message) == NULL)
		fail_msg("expected \"%s\", got \"%s\"", message, out);
	if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGABRT)
		fail_msg("expected SIGABRT, got status %#x: %s", status, out);
}

#endif /* !_DEATH_H_ */
