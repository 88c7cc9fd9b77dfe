/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Runs programs by request where there is no shell: a FreeBSD of nothing but
 * what is under test.  A line in, lines out:
 *
 *	env NAME=VALUE		for all that start later
 *	start ID PROGRAM ARG...	"ID text" for what it prints, "ID! exit N" or
 *				"ID! signal N" at its end
 *	signal ID NUMBER
 *
 * Beforehand it mounts memory on /tmp, for the root cannot be written.
 */
#include <sys/param.h>
#include <sys/mount.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define	MAX_CHILDREN	4
#define	MAX_ARGS	64
#define	LINE		4096

static struct child {
	char	id[16];
	pid_t	pid;		/* 0: free */
	int	fd;
	size_t	have;
	char	line[LINE];
} children[MAX_CHILDREN];

static int
mount_tmpfs(const char *where)
{
	struct iovec iov[] = {
		{ (void *)(uintptr_t)"fstype", sizeof("fstype") },
		{ (void *)(uintptr_t)"tmpfs", sizeof("tmpfs") },
		{ (void *)(uintptr_t)"fspath", sizeof("fspath") },
		{ (void *)(uintptr_t)where, strlen(where) + 1 },
	};

	return (nmount(iov, nitems(iov), 0));
}

static struct child *
find(const char *id)
{

	for (int i = 0; i < MAX_CHILDREN; i++)
		if (children[i].pid != 0 && strcmp(children[i].id, id) == 0)
			return (&children[i]);
	return (NULL);
}

static void
start(const char *id, char **argv)
{
	struct child *c;
	int null, pipes[2];

	for (c = children; c < children + MAX_CHILDREN; c++)
		if (c->pid == 0)
			break;
	if (c == children + MAX_CHILDREN || pipe2(pipes, O_CLOEXEC) != 0) {
		printf("%s! error %s\n", id, strerror(errno));
		return;
	}
	strlcpy(c->id, id, sizeof(c->id));
	c->fd = pipes[0];
	c->have = 0;
	c->pid = fork();
	if (c->pid == 0) {
		null = open("/dev/null", O_RDONLY);
		dup2(null, 0);
		dup2(pipes[1], 1);
		dup2(pipes[1], 2);
		execv(argv[0], argv);
		dprintf(2, "%s: %s\n", argv[0], strerror(errno));
		_exit(127);
	}
	close(pipes[1]);
}

static void
request(char *line)
{
	char *argv[MAX_ARGS + 1], *rest;
	struct child *c;
	int argc;

	argc = 0;
	rest = line;
	while (argc < MAX_ARGS && (argv[argc] = strsep(&rest, " \r\n")) != NULL)
		argc += argv[argc][0] != '\0';
	argv[argc] = NULL;
	if (argc == 2 && strcmp(argv[0], "env") == 0) {
		putenv(strdup(argv[1]));
	} else if (argc > 2 && strcmp(argv[0], "start") == 0) {
		start(argv[1], argv + 2);
	} else if (argc == 3 && strcmp(argv[0], "signal") == 0) {
		c = find(argv[1]);
		if (c != NULL)
			kill(c->pid, atoi(argv[2]));
	} else if (argc != 0) {
		printf("session: what is %s?\n", argv[0]);
	}
}

static void
print_lines(struct child *c, bool end)
{
	char *at, *newline;

	c->line[c->have] = '\0';
	for (at = c->line; (newline = strchr(at, '\n')) != NULL;
	    at = newline + 1) {
		*newline = '\0';
		printf("%s %s\n", c->id, at);
	}
	c->have -= (size_t)(at - c->line);
	memmove(c->line, at, c->have + 1);
	if (c->have != 0 && (end || c->have == LINE - 1)) {
		printf("%s %s\n", c->id, c->line);
		c->have = 0;
	}
}

static void
hear(struct child *c)
{
	ssize_t n;
	int status;

	n = read(c->fd, c->line + c->have, LINE - 1 - c->have);
	if (n > 0) {
		c->have += (size_t)n;
		print_lines(c, false);
		return;
	}
	print_lines(c, true);
	close(c->fd);
	waitpid(c->pid, &status, 0);
	if (WIFSIGNALED(status))
		printf("%s! signal %d\n", c->id, WTERMSIG(status));
	else
		printf("%s! exit %d\n", c->id, WEXITSTATUS(status));
	c->pid = 0;
}

int
main(void)
{
	struct pollfd fds[MAX_CHILDREN + 1];
	struct child *who[MAX_CHILDREN + 1];
	char line[LINE];
	nfds_t n;

	setvbuf(stdout, NULL, _IOLBF, 0);
	setvbuf(stdin, NULL, _IONBF, 0);
	if (mount_tmpfs("/tmp") != 0)
		printf("session: tmpfs: %s\n", strerror(errno));
	printf("session: ready\n");
	for (;;) {
		fds[0] = (struct pollfd){ .fd = 0, .events = POLLIN };
		n = 1;
		for (int i = 0; i < MAX_CHILDREN; i++) {
			if (children[i].pid == 0)
				continue;
			who[n] = &children[i];
			fds[n++] = (struct pollfd){ .fd = children[i].fd,
			    .events = POLLIN };
		}
		if (poll(fds, n, -1) < 0)
			continue;
		for (nfds_t i = 1; i < n; i++)
			if (fds[i].revents != 0)
				hear(who[i]);
		if (fds[0].revents != 0) {
			if (fgets(line, sizeof(line), stdin) == NULL)
				return (0);
			request(line);
		}
	}
}
