/* SPDX-License-Identifier: BSD-2-Clause */
/* Operations on descriptors. */
#include <sys/socket.h>
#include <sys/stat.h>
#include <aio.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent.h"
#include "os.h"

static int
op_open(struct call *c, struct reply *r)
{
	int fd, flag, flags, i;

	flags = O_RDWR;
	for (i = 2; i < c->argc; i++) {
		if (strcmp(c->argv[i], "rdwr") == 0)
			flags = (flags & ~O_ACCMODE) | O_RDWR;
		else if (strcmp(c->argv[i], "rdonly") == 0)
			flags = (flags & ~O_ACCMODE) | O_RDONLY;
		else if (strcmp(c->argv[i], "wronly") == 0)
			flags = (flags & ~O_ACCMODE) | O_WRONLY;
		else if (strcmp(c->argv[i], "cloexec") == 0)
			flags |= O_CLOEXEC;
		else if (strcmp(c->argv[i], "nonblock") == 0)
			flags |= O_NONBLOCK;
		else if ((flag = os_open_flag(c->argv[i])) != 0)
			flags |= flag;
		else
			return (bad(r, "open flag: %.40s", c->argv[i]));
	}
	fd = open(device_of(c->argv[1]), flags);
	if (fd < 0)
		return (errno);
	put(r, " fd=%d", fd);
	return (0);
}

static int
op_close(struct call *c, struct reply *r)
{

	if (c->fd == c->a->in || c->fd == c->a->out)
		return (bad(r, "descriptor %d is the agent's own", c->fd));
	return (close(c->fd) == 0 ? 0 : errno);
}

static int
op_dup(struct call *c, struct reply *r)
{
	int new;

	new = dup(c->fd);
	if (new < 0)
		return (errno);
	put(r, " fd=%d", new);
	return (0);
}

/*
 * ioctl FD COMMAND ADDRESS [HEX [OUT]]: with HEX these bytes first go to the
 * address, with OUT that many come back in the reply.  Three requests in one:
 * under emulation a round trip costs more than the call.
 */
static int
op_ioctl(struct call *c, struct reply *r)
{
	unsigned long word;
	int rc, ret;

	if (ioctl_word(c->argv[2], &word) != 0)
		return (bad(r, "command: %.60s", c->argv[2]));
	if (c->argc > 4) {
		rc = mem_write(c->n[3], c->argv[4], r);
		if (rc != 0)
			return (rc);
	}
	ret = os_ioctl(c->fd, word, c->n[3]);
	if (ret < 0)
		return (errno);
	put(r, " ret=%d", ret);
	return (c->n[5] == 0 ? 0 : mem_read(c->n[3], c->n[5], r));
}

static int
op_ioctl32(struct call *c, struct reply *r)
{

	if (c->n[3] > UINT32_MAX)
		return (bad(r, "ADDRESS: %.40s", c->argv[3]));
	return (os_ioctl32(c->fd, (uint32_t)c->n[2],
	    (uint32_t)c->n[3]));
}

static int
op_read(struct call *c, struct reply *r)
{
	uint8_t *buf;
	ssize_t n;
	int rc;

	if (c->n[2] > DATA_BYTES)
		return (bad(r, "LENGTH: %.40s", c->argv[2]));
	buf = malloc(DATA_BYTES);
	if (buf == NULL)
		return (ENOMEM);
	n = read(c->fd, buf, c->n[2]);
	rc = n < 0 ? errno : 0;
	if (rc == 0) {
		put(r, " n=%zd", n);
		put_hex(r, "data", buf, (size_t)n);
	}
	free(buf);
	return (rc);
}

static int
op_write(struct call *c, struct reply *r)
{
	uint8_t *buf;
	size_t len;
	ssize_t n;
	int rc;

	buf = malloc(DATA_BYTES);
	if (buf == NULL)
		return (ENOMEM);
	rc = unhex(c->argv[2], buf, DATA_BYTES, &len, r);
	if (rc == 0) {
		n = write(c->fd, buf, len);
		rc = n < 0 ? errno : 0;
		if (rc == 0)
			put(r, " n=%zd", n);
	}
	free(buf);
	return (rc);
}

/*
 * readto and writefrom FD ADDRESS LENGTH: the case chooses the memory that is
 * the system call's buffer (row V11).
 */
static int
op_direct(struct call *c, struct reply *r)
{
	ssize_t n;

	if (c->n[3] > DATA_BYTES)
		return (bad(r, "LENGTH: %.40s", c->argv[3]));
	if (c->argv[0][0] == 'r')
		n = read(c->fd, at(c, 2), c->n[3]);
	else
		n = write(c->fd, at(c, 2), c->n[3]);
	if (n < 0)
		return (errno);
	put(r, " n=%zd", n);
	return (0);
}

static int
op_lseek(struct call *c, struct reply *r)
{
	off_t where;
	int whence;

	if (strcmp(c->argv[3], "set") == 0)
		whence = SEEK_SET;
	else if (strcmp(c->argv[3], "cur") == 0)
		whence = SEEK_CUR;
	else if (strcmp(c->argv[3], "end") == 0)
		whence = SEEK_END;
	else
		return (bad(r, "whence: %.40s", c->argv[3]));
	where = lseek(c->fd, (off_t)c->n[2], whence);
	if (where < 0)
		return (errno);
	put(r, " at=%lld", (long long)where);
	return (0);
}

static int
op_poll(struct call *c, struct reply *r)
{
	static const struct {
		short		 bit;
		const char	*name;
	} bits[] = {
		{ POLLIN, "in" }, { POLLOUT, "out" }, { POLLRDNORM, "rdnorm" },
		{ POLLWRNORM, "wrnorm" }, { POLLERR, "err" },
		{ POLLHUP, "hup" }, { POLLNVAL, "nval" },
	};
	struct pollfd p;
	const char *sep;
	size_t i;

	p.fd = c->fd;
	p.events = POLLIN | POLLOUT | POLLRDNORM | POLLWRNORM;
	p.revents = 0;
	if (poll(&p, 1, (int)c->n[2]) < 0)
		return (errno);
	put(r, " events=");
	sep = "";
	for (i = 0; i < sizeof(bits) / sizeof(bits[0]); i++)
		if ((p.revents & bits[i].bit) != 0) {
			put(r, "%s%s", sep, bits[i].name);
			sep = "+";
		}
	if (*sep == '\0')
		put(r, "none");
	return (0);
}

static int
op_pipe(struct call *c, struct reply *r)
{
	int fd[2];

	(void)c;
	if (pipe(fd) != 0)
		return (errno);
	put(r, " in=%d out=%d", fd[0], fd[1]);
	return (0);
}

static int
op_socketpair(struct call *c, struct reply *r)
{
	int fd[2];

	(void)c;
	if (socketpair(AF_UNIX, SOCK_STREAM, 0, fd) != 0)
		return (errno);
	put(r, " in=%d out=%d", fd[0], fd[1]);
	return (0);
}

static void
put_stat(const struct stat *st, struct reply *r)
{
	put(r, " type=%s mode=0%o uid=%u gid=%u size=%lld",
	    S_ISCHR(st->st_mode) ? "chr" : S_ISREG(st->st_mode) ? "reg" :
	    S_ISDIR(st->st_mode) ? "dir" : S_ISSOCK(st->st_mode) ? "sock" :
	    "other", (unsigned)(st->st_mode & 07777), (unsigned)st->st_uid,
	    (unsigned)st->st_gid, (long long)st->st_size);
}

static int
op_stat(struct call *c, struct reply *r)
{
	struct stat st;

	if (stat(device_of(c->argv[1]), &st) != 0)
		return (errno);
	put_stat(&st, r);
	return (0);
}

static int
op_fstat(struct call *c, struct reply *r)
{
	struct stat st;

	if (fstat(c->fd, &st) != 0)
		return (errno);
	put_stat(&st, r);
	return (0);
}

static int
op_readfile(struct call *c, struct reply *r)
{
	uint8_t *buf;
	ssize_t n;
	size_t len;
	int fd, rc;

	fd = open(c->argv[1], O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0)
		return (errno);
	buf = malloc(DATA_BYTES);
	if (buf == NULL) {
		close(fd);
		return (ENOMEM);
	}
	rc = 0;
	for (len = 0; len < DATA_BYTES; len += (size_t)n) {
		n = read(fd, buf + len, DATA_BYTES - len);
		if (n < 0)
			rc = errno;
		if (n <= 0)
			break;
	}
	if (rc == 0)
		put_hex(r, "data", buf, len);
	free(buf);
	close(fd);
	return (rc);
}

static int
op_disk(struct call *c, struct reply *r)
{
	char path[64];
	int error;

	(void)c;
	error = os_disk(path, sizeof(path));
	if (error == 0)
		put(r, " path=%s", path);
	return (error);
}

/* At the file's beginning; waits for the end. */
static int
op_aio(struct call *c, struct reply *r)
{
	struct aiocb cb;
	const struct aiocb *list[1] = { &cb };
	int error, rc;

	memset(&cb, 0, sizeof(cb));
	cb.aio_fildes = c->fd;
	cb.aio_buf = at(c, 3);
	cb.aio_nbytes = c->n[4];
	if (strcmp(c->argv[2], "read") == 0)
		rc = aio_read(&cb);
	else if (strcmp(c->argv[2], "write") == 0)
		rc = aio_write(&cb);
	else
		return (bad(r, "read or write: %.40s", c->argv[2]));
	if (rc != 0)
		return (errno);
	while ((error = aio_error(&cb)) == EINPROGRESS)
		(void)aio_suspend(list, 1, NULL);
	if (error != 0) {
		(void)aio_return(&cb);
		return (error);
	}
	put(r, " n=%zd", (ssize_t)aio_return(&cb));
	return (0);
}

/* The longest run of one byte in a file. */
static int
op_longest(struct call *c, struct reply *r)
{
	static uint8_t buf[65536];
	size_t longest, now;
	ssize_t i, n;
	int fd;

	fd = open(c->argv[1], O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return (errno);
	longest = now = 0;
	while ((n = read(fd, buf, sizeof(buf))) > 0)
		for (i = 0; i < n; i++) {
			now = buf[i] == c->n[2] ? now + 1 : 0;
			if (now > longest)
				longest = now;
		}
	close(fd);
	put(r, " n=%zu", longest);
	return (n < 0 ? errno : 0);
}

const struct op ops_file[] = {
	{ "open", 1, 6, op_open,
	    "DEVICE|PATH [rdwr|rdonly|wronly|cloexec|...]" },
	{ "close", 1, 1, op_close, "FD" },
	{ "dup", 1, 1, op_dup, "FD" },
	{ "ioctl", 3, 5, op_ioctl, "FD COMMAND ADDRESS [HEX [OUT]]" },
	{ "ioctl32", 3, 3, op_ioctl32, "FD 0xWORD ADDRESS" },
	{ "read", 2, 2, op_read, "FD LENGTH" },
	{ "write", 2, 2, op_write, "FD HEX" },
	{ "readto", 3, 3, op_direct, "FD ADDRESS LENGTH" },
	{ "writefrom", 3, 3, op_direct, "FD ADDRESS LENGTH" },
	{ "lseek", 3, 3, op_lseek, "FD OFFSET set|cur|end" },
	{ "poll", 1, 2, op_poll, "FD [MILLISECONDS]" },
	{ "pipe", 0, 0, op_pipe, "" },
	{ "socketpair", 0, 0, op_socketpair, "" },
	{ "stat", 1, 1, op_stat, "DEVICE|PATH" },
	{ "fstat", 1, 1, op_fstat, "FD" },
	{ "disk", 0, 0, op_disk, "" },
	{ "aio", 4, 4, op_aio, "FD read|write ADDRESS LENGTH" },
	{ "longest", 2, 2, op_longest, "PATH BYTE" },
	{ "readfile", 1, 1, op_readfile, "PATH" },
	{ NULL, 0, 0, NULL, NULL },
};
