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
op_open(struct agent *a, int argc, char **argv, struct reply *r)
{
	int fd, flag, flags, i;

	(void)a;
	flags = O_RDWR;
	for (i = 2; i < argc; i++) {
		if (strcmp(argv[i], "rdwr") == 0)
			flags = (flags & ~O_ACCMODE) | O_RDWR;
		else if (strcmp(argv[i], "rdonly") == 0)
			flags = (flags & ~O_ACCMODE) | O_RDONLY;
		else if (strcmp(argv[i], "wronly") == 0)
			flags = (flags & ~O_ACCMODE) | O_WRONLY;
		else if (strcmp(argv[i], "cloexec") == 0)
			flags |= O_CLOEXEC;
		else if (strcmp(argv[i], "nonblock") == 0)
			flags |= O_NONBLOCK;
		else if ((flag = os_open_flag(argv[i])) != 0)
			flags |= flag;
		else
			return (bad(r, "open flag: %.40s", argv[i]));
	}
	fd = open(device_of(argv[1]), flags);
	if (fd < 0)
		return (errno);
	put(r, " fd=%d", fd);
	return (0);
}

static int
op_close(struct agent *a, int argc, char **argv, struct reply *r)
{
	int fd, rc;

	(void)argc;
	if ((rc = get_fd(argv[1], &fd, r)) != 0)
		return (rc);
	if (fd == a->in || fd == a->out)
		return (bad(r, "descriptor %d is the agent's own", fd));
	return (close(fd) == 0 ? 0 : errno);
}

static int
op_dup(struct agent *a, int argc, char **argv, struct reply *r)
{
	int fd, new, rc;

	(void)a;
	(void)argc;
	if ((rc = get_fd(argv[1], &fd, r)) != 0)
		return (rc);
	new = dup(fd);
	if (new < 0)
		return (errno);
	put(r, " fd=%d", new);
	return (0);
}

/*
 * ioctl FD COMMAND ADDRESS [HEX [OUT]]: with HEX the bytes go to the address
 * first, with OUT that many come back with the answer.  Three requests in
 * one: under emulation a round trip costs more than the call.
 */
static int
op_ioctl(struct agent *a, int argc, char **argv, struct reply *r)
{
	unsigned long word;
	uint64_t arg, out;
	uint8_t *buf;
	size_t len;
	int fd, rc, ret;

	(void)a;
	if ((rc = get_fd(argv[1], &fd, r)) != 0)
		return (rc);
	if (ioctl_word(argv[2], &word) != 0)
		return (bad(r, "command: %.60s", argv[2]));
	if (parse_u64(argv[3], &arg) != 0)
		return (bad(r, "argument: %.40s", argv[3]));
	out = 0;
	if (argc > 5 && (parse_u64(argv[5], &out) != 0 || out > DATA_BYTES))
		return (bad(r, "length: %.40s", argv[5]));
	if (argc > 4) {
		buf = malloc(DATA_BYTES);
		if (buf == NULL)
			return (ENOMEM);
		if (unhex(argv[4], buf, DATA_BYTES, &len) != 0)
			rc = bad(r, "data is not hex or too long");
		else
			rc = mem_write((uintptr_t)arg, buf, len, r);
		free(buf);
		if (rc != 0)
			return (rc);
	}
	ret = os_ioctl(fd, word, (uintptr_t)arg);
	if (ret < 0)
		return (errno);
	put(r, " ret=%d", ret);
	return (out == 0 ? 0 : mem_read((uintptr_t)arg, out, r));
}

static int
op_ioctl32(struct agent *a, int argc, char **argv, struct reply *r)
{
	uint64_t word, arg;
	int fd, rc;

	(void)a;
	(void)argc;
	if ((rc = get_fd(argv[1], &fd, r)) != 0)
		return (rc);
	if (parse_u64(argv[2], &word) != 0 || word > UINT32_MAX)
		return (bad(r, "command: %.60s", argv[2]));
	if (parse_u64(argv[3], &arg) != 0 || arg > UINT32_MAX)
		return (bad(r, "argument: %.40s", argv[3]));
	return (os_ioctl32(fd, (uint32_t)word, (uint32_t)arg));
}

static int
op_read(struct agent *a, int argc, char **argv, struct reply *r)
{
	uint8_t *buf;
	uint64_t len;
	ssize_t n;
	int fd, rc;

	(void)a;
	(void)argc;
	if ((rc = get_fd(argv[1], &fd, r)) != 0)
		return (rc);
	if (parse_u64(argv[2], &len) != 0 || len > DATA_BYTES)
		return (bad(r, "length: %.40s", argv[2]));
	buf = malloc(DATA_BYTES);
	if (buf == NULL)
		return (ENOMEM);
	n = read(fd, buf, len);
	rc = n < 0 ? errno : 0;
	if (rc == 0) {
		put(r, " n=%zd", n);
		put_hex(r, "data", buf, (size_t)n);
	}
	free(buf);
	return (rc);
}

static int
op_write(struct agent *a, int argc, char **argv, struct reply *r)
{
	uint8_t *buf;
	size_t len;
	ssize_t n;
	int fd, rc;

	(void)a;
	(void)argc;
	if ((rc = get_fd(argv[1], &fd, r)) != 0)
		return (rc);
	buf = malloc(DATA_BYTES);
	if (buf == NULL)
		return (ENOMEM);
	if (unhex(argv[2], buf, DATA_BYTES, &len) != 0)
		rc = bad(r, "data is not hex or too long");
	else {
		n = write(fd, buf, len);
		rc = n < 0 ? errno : 0;
		if (rc == 0)
			put(r, " n=%zd", n);
	}
	free(buf);
	return (rc);
}

/*
 * readto and writefrom FD ADDRESS LENGTH: memory of the case's own choice as
 * the system call's buffer (row V11).
 */
static int
op_direct(struct agent *a, int argc, char **argv, struct reply *r)
{
	uint64_t addr, len;
	ssize_t n;
	int fd, rc;

	(void)a;
	(void)argc;
	if ((rc = get_fd(argv[1], &fd, r)) != 0)
		return (rc);
	if (parse_u64(argv[2], &addr) != 0)
		return (bad(r, "address: %.40s", argv[2]));
	if (parse_u64(argv[3], &len) != 0 || len > DATA_BYTES)
		return (bad(r, "length: %.40s", argv[3]));
	if (argv[0][0] == 'r')
		n = read(fd, (void *)(uintptr_t)addr, len);
	else
		n = write(fd, (void *)(uintptr_t)addr, len);
	if (n < 0)
		return (errno);
	put(r, " n=%zd", n);
	return (0);
}

static int
op_lseek(struct agent *a, int argc, char **argv, struct reply *r)
{
	off_t at;
	uint64_t off;
	int fd, rc, whence;

	(void)a;
	(void)argc;
	if ((rc = get_fd(argv[1], &fd, r)) != 0)
		return (rc);
	if (parse_u64(argv[2], &off) != 0)
		return (bad(r, "offset: %.40s", argv[2]));
	if (strcmp(argv[3], "set") == 0)
		whence = SEEK_SET;
	else if (strcmp(argv[3], "cur") == 0)
		whence = SEEK_CUR;
	else if (strcmp(argv[3], "end") == 0)
		whence = SEEK_END;
	else
		return (bad(r, "whence: %.40s", argv[3]));
	at = lseek(fd, (off_t)off, whence);
	if (at < 0)
		return (errno);
	put(r, " at=%lld", (long long)at);
	return (0);
}

static int
op_poll(struct agent *a, int argc, char **argv, struct reply *r)
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
	int rc, timeout;

	(void)a;
	timeout = 0;
	if ((rc = get_fd(argv[1], &p.fd, r)) != 0)
		return (rc);
	if (argc > 2 && (parse_int(argv[2], &timeout) != 0 || timeout < 0 ||
	    timeout > 60000))
		return (bad(r, "timeout: %.40s", argv[2]));
	p.events = POLLIN | POLLOUT | POLLRDNORM | POLLWRNORM;
	p.revents = 0;
	if (poll(&p, 1, timeout) < 0)
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
op_pipe(struct agent *a, int argc, char **argv, struct reply *r)
{
	int fd[2];

	(void)a;
	(void)argc;
	(void)argv;
	if (pipe(fd) != 0)
		return (errno);
	put(r, " in=%d out=%d", fd[0], fd[1]);
	return (0);
}

static int
op_socketpair(struct agent *a, int argc, char **argv, struct reply *r)
{
	int fd[2];

	(void)a;
	(void)argc;
	(void)argv;
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
op_stat(struct agent *a, int argc, char **argv, struct reply *r)
{
	struct stat st;

	(void)a;
	(void)argc;
	if (stat(device_of(argv[1]), &st) != 0)
		return (errno);
	put_stat(&st, r);
	return (0);
}

static int
op_fstat(struct agent *a, int argc, char **argv, struct reply *r)
{
	struct stat st;
	int fd, rc;

	(void)a;
	(void)argc;
	if ((rc = get_fd(argv[1], &fd, r)) != 0)
		return (rc);
	if (fstat(fd, &st) != 0)
		return (errno);
	put_stat(&st, r);
	return (0);
}

static int
op_readfile(struct agent *a, int argc, char **argv, struct reply *r)
{
	uint8_t *buf;
	ssize_t n;
	size_t len;
	int fd, rc;

	(void)a;
	(void)argc;
	fd = open(argv[1], O_RDONLY | O_CLOEXEC | O_NONBLOCK);
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
op_disk(struct agent *a, int argc, char **argv, struct reply *r)
{
	char path[64];
	int error;

	(void)a;
	(void)argc;
	(void)argv;
	error = os_disk(path, sizeof(path));
	if (error == 0)
		put(r, " path=%s", path);
	return (error);
}

/* From the file's beginning, and waits for it. */
static int
op_aio(struct agent *a, int argc, char **argv, struct reply *r)
{
	struct aiocb cb;
	const struct aiocb *list[1] = { &cb };
	uint64_t address, length;
	int error, fd, rc;

	(void)a;
	(void)argc;
	if ((rc = get_fd(argv[1], &fd, r)) != 0)
		return (rc);
	if (parse_u64(argv[3], &address) != 0 ||
	    parse_u64(argv[4], &length) != 0)
		return (bad(r, "address or length: %.40s", argv[3]));
	memset(&cb, 0, sizeof(cb));
	cb.aio_fildes = fd;
	cb.aio_buf = (void *)(uintptr_t)address;
	cb.aio_nbytes = length;
	if (strcmp(argv[2], "read") == 0)
		rc = aio_read(&cb);
	else if (strcmp(argv[2], "write") == 0)
		rc = aio_write(&cb);
	else
		return (bad(r, "read or write: %.40s", argv[2]));
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

/* The longest row of one byte in a file. */
static int
op_longest(struct agent *a, int argc, char **argv, struct reply *r)
{
	static uint8_t buf[65536];
	size_t longest, now;
	uint64_t byte;
	ssize_t i, n;
	int fd;

	(void)a;
	(void)argc;
	if (parse_u64(argv[2], &byte) != 0 || byte > 255)
		return (bad(r, "byte: %.40s", argv[2]));
	fd = open(argv[1], O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return (errno);
	longest = now = 0;
	while ((n = read(fd, buf, sizeof(buf))) > 0)
		for (i = 0; i < n; i++) {
			now = buf[i] == byte ? now + 1 : 0;
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
