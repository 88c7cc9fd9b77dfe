/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Process 1 of a FreeBSD under test: prints facts, loads what the kernel
 * environment names, and runs a program on the second serial port.
 *
 *	xengnt.modules	files for kldload(2), in order
 *	xengnt.run	arguments of xengnt-relay, or nothing for the agent
 *	xengnt.words	XENGNT_WORDS of the agent
 *	xengnt.events	set: the agent is Linux's, and has the event helper
 *
 * The image contains no shell and nothing dynamically linked.
 */
#include <sys/param.h>
#include <sys/linker.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/sysctl.h>
#include <sys/uio.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <errno.h>
#include <fcntl.h>
#include <kenv.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "events.h"

#define	MAX_ARGS	16

static void
fact(const char *key, const char *value)
{

	if (value[0] != '\0')
		printf("xengnt-init: fact %s=%s\n", key, value);
}

static void
node(const char *name)
{

	if (access(name, R_OK | W_OK) != 0)
		printf("xengnt-init: no %s\n", name);
}

static void __attribute__((noreturn))
off(const char *why)
{

	printf("xengnt-init: %s, powering off\n", why);
	sleep(1);
	reboot(RB_POWEROFF);
	for (;;)
		pause();
}

static void
load_all(void)
{
	char list[KENV_MVALLEN + 1], *name, *rest;

	if (kenv(KENV_GET, "xengnt.modules", list, sizeof(list)) < 0)
		return;
	rest = list;
	while ((name = strsep(&rest, " ")) != NULL) {
		/* Already loaded as a dependency of another. */
		if (*name != '\0' && kldload(name) < 0 && errno != EEXIST)
			printf("xengnt-init: cannot load %s: %s\n", name,
			    strerror(errno));
	}
}

/* The root is read-only. */
static void
mount_tmp(void)
{
	struct iovec iov[4];
	char *words[4] = { strdup("fstype"), strdup("tmpfs"),
	    strdup("fspath"), strdup("/tmp") };
	int i;

	for (i = 0; i < 4; i++) {
		iov[i].iov_base = words[i];
		iov[i].iov_len = strlen(words[i]) + 1;
	}
	if (nmount(iov, 4, 0) != 0)
		printf("xengnt-init: /tmp: %s\n", strerror(errno));
}

int
main(void)
{
	char text[KENV_MVALLEN + 1], *argv[MAX_ARGS + 1], *rest;
	struct utsname u;
	size_t len;
	pid_t pid;
	int argc, fd, status;

	setsid();
	fd = open("/dev/console", O_RDWR);
	if (fd >= 0) {
		dup2(fd, 0);
		dup2(fd, 1);
		dup2(fd, 2);
	}
	setvbuf(stdout, NULL, _IOLBF, 0);
	mount_tmp();
	load_all();
	node("/dev/xen/gntdev");
	node("/dev/xen/privcmd");
	uname(&u);
	fact("kernel", u.release);
	u.version[strcspn(u.version, "\n")] = '\0';
	fact("kernel_build", u.version);
	len = sizeof(text) - 1;
	memset(text, 0, sizeof(text));
	if (sysctlbyname("kern.vm_guest", text, &len, NULL, 0) == 0)
		fact("guest_type", text);
	fact("end", "1");

	if (kenv(KENV_GET, "xengnt.words", text, sizeof(text)) >= 0)
		setenv("XENGNT_WORDS", text, 1);
	if (kenv(KENV_GET, "xengnt.events", text, sizeof(text)) >= 0 &&
	    events_start() != 0)
		off("no event helper");
	if (kenv(KENV_GET, "xengnt.run", text, sizeof(text)) < 0)
		off("no xengnt.run in the environment");
	rest = text;
	argc = 0;
	while (argc < MAX_ARGS && (argv[argc] = strsep(&rest, " ")) != NULL)
		argc += argv[argc][0] != '\0';
	argv[argc] = NULL;
	pid = fork();
	if (pid == 0) {
		execv(argv[0], argv);
		printf("xengnt-init: %s: %s\n", argv[0], strerror(errno));
		_exit(127);
	}
	/* Orphans end here, too. */
	for (;;)
		if (wait(&status) == pid)
			off("the program has ended");
}
