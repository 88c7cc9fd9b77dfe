/* SPDX-License-Identifier: BSD-2-Clause */
/* Parses requests, builds replies, sends and receives messages. */
#include <sys/socket.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent.h"

int
parse_u64(const char *s, uint64_t *out)
{
	unsigned long long v;
	char *end;
	int base;

	/* strtoull() would accept blanks, signs and octal. */
	base = s[0] == '0' && (s[1] == 'x' || s[1] == 'X') ? 16 : 10;
	if (base == 16)
		s += 2;
	if (strspn(s, base == 16 ? "0123456789abcdefABCDEF" : "0123456789") !=
	    strlen(s) || *s == '\0')
		return (-1);
	errno = 0;
	v = strtoull(s, &end, base);
	if (errno != 0 || *end != '\0')
		return (-1);
	*out = v;
	return (0);
}

int
parse_int(const char *s, int *out)
{
	uint64_t v;
	bool minus;

	minus = *s == '-';
	if (parse_u64(s + minus, &v) != 0 || v > 0x7fffffff)
		return (-1);
	*out = minus ? -(int)v : (int)v;
	return (0);
}

static int
nibble(char c)
{
	if (c >= '0' && c <= '9')
		return (c - '0');
	if (c >= 'a' && c <= 'f')
		return (c - 'a' + 10);
	if (c >= 'A' && c <= 'F')
		return (c - 'A' + 10);
	return (-1);
}

/* Parses bytes written as hex; 0 or R_PROTO. */
int
unhex(const char *s, uint8_t *buf, size_t room, size_t *len, struct reply *r)
{
	size_t n;
	int hi, lo;

	for (n = 0; *s != '\0'; s += 2, n++) {
		hi = nibble(s[0]);
		lo = hi < 0 ? -1 : nibble(s[1]);
		if (lo < 0 || n >= room)
			return (bad(r, "data is not hex or too long"));
		buf[n] = (uint8_t)(hi << 4 | lo);
	}
	*len = n;
	return (0);
}

void
put(struct reply *r, const char *fmt, ...)
{
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(r->buf + r->len, LINE_BYTES - r->len, fmt, ap);
	va_end(ap);
	if (n < 0)
		return;
	r->len += (size_t)n;
	if (r->len >= LINE_BYTES)
		r->len = LINE_BYTES - 1;
}

void
put_hex(struct reply *r, const char *key, const uint8_t *data, size_t len)
{
	static const char digits[] = "0123456789abcdef";
	size_t i;

	put(r, " %s=", key);
	for (i = 0; i < len && r->len + 2 < LINE_BYTES; i++) {
		r->buf[r->len++] = digits[data[i] >> 4];
		r->buf[r->len++] = digits[data[i] & 15];
	}
	r->buf[r->len] = '\0';
}

int
bad(struct reply *r, const char *fmt, ...)
{
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(r->buf, LINE_BYTES, fmt, ap);
	va_end(ap);
	r->len = n < 0 ? 0 : (size_t)n < LINE_BYTES ? (size_t)n :
	    LINE_BYTES - 1;
	return (R_PROTO);
}

/* What the words of a usage line mean, and the largest value. */
static const struct {
	const char	*word;
	uint64_t	 most;
} numbers[] = {
	{ "ADDRESS", UINT64_MAX }, { "LENGTH", UINT64_MAX },
	{ "OFFSET", UINT64_MAX }, { "COUNT", UINT64_MAX },
	{ "OLD", UINT64_MAX }, { "NEW", UINT64_MAX }, { "TO", UINT64_MAX },
	{ "DESTINATION", UINT64_MAX }, { "STATUS", UINT64_MAX },
	{ "FIRST", UINT64_MAX }, { "STEP", UINT64_MAX },
	{ "DOMID", UINT32_MAX }, { "REF", UINT32_MAX },
	{ "PORT", UINT32_MAX }, { "VIRQ", UINT32_MAX },
	{ "VALUE", UINT32_MAX }, { "0xWORD", UINT32_MAX },
	{ "WRITABLE", 1 }, { "BYTE", 255 }, { "CODE", 255 },
	{ "MILLISECONDS", 60000 }, { "OUT", DATA_BYTES },
};

/*
 * Reads the numbers and the descriptor of a request, according to its usage
 * line: "FD ADDRESS [LENGTH]".  The operation reads other words itself.
 */
int
get_words(struct call *c, const char *usage, struct reply *r)
{
	size_t k, len;
	int i;

	for (i = 1; i < c->argc; i++) {
		usage += strspn(usage, " [");
		len = strcspn(usage, " ]");
		if (len == 2 && strncmp(usage, "FD", 2) == 0 &&
		    parse_int(c->argv[i], &c->fd) != 0)
			return (bad(r, "descriptor: %.40s", c->argv[i]));
		for (k = 0; k < sizeof(numbers) / sizeof(numbers[0]); k++)
			if (strlen(numbers[k].word) == len &&
			    strncmp(usage, numbers[k].word, len) == 0 &&
			    (parse_u64(c->argv[i], &c->n[i]) != 0 ||
			    c->n[i] > numbers[k].most))
				return (bad(r, "%s: %.40s", numbers[k].word,
				    c->argv[i]));
		usage += len + strspn(usage + len, "]");
	}
	return (0);
}

int
get_u64s(char **argv, int n, uint64_t *out, struct reply *r)
{
	int i;

	for (i = 0; i < n; i++)
		if (parse_u64(argv[i], &out[i]) != 0)
			return (bad(r, "number: %.40s", argv[i]));
	return (0);
}

/* Sends one reply; rc is what the operation returned. */
void
answer(int fd, const char *seq, int rc, const struct reply *r)
{
	char name[16], *line;
	size_t room;
	int n;

	if (rc == R_NONE)
		return;
	room = LINE_BYTES + 128;
	line = malloc(room);
	if (line == NULL)
		abort();
	if (rc == 0)
		n = snprintf(line, room, "%s ok%s", seq, r->buf);
	else if (rc == R_FAULT)
		n = snprintf(line, room, "%s fault %s", seq,
		    signal_name(r->fault, name));
	else if (rc == R_PROTO)
		n = snprintf(line, room, "%s err EPROTO %s", seq, r->buf);
	else
		n = snprintf(line, room, "%s err %s%s", seq,
		    errno_name(rc, name), r->buf);
	if (n > LINE_BYTES - 1)
		n = LINE_BYTES - 1;
	send_line(fd, line, (size_t)n, -1);
	free(line);
}

/* Room for a control message that passes one descriptor. */
union one_fd {
	struct cmsghdr	hdr;
	char		space[CMSG_SPACE(sizeof(int))];
};

static void
of_bytes(struct msghdr *m, struct iovec *iov, void *buf, size_t len)
{

	iov->iov_base = buf;
	iov->iov_len = len;
	memset(m, 0, sizeof(*m));
	m->msg_iov = iov;
	m->msg_iovlen = 1;
}

/* Sends one message, with a descriptor unless pass is -1.  0 or errno. */
int
send_line(int fd, const char *line, size_t len, int pass)
{
	union one_fd control;
	struct cmsghdr *c;
	struct msghdr m;
	struct iovec iov;

	of_bytes(&m, &iov, (void *)(uintptr_t)line, len);
	if (pass >= 0) {
		memset(&control, 0, sizeof(control));
		m.msg_control = control.space;
		m.msg_controllen = sizeof(control.space);
		c = CMSG_FIRSTHDR(&m);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(c), &pass, sizeof(int));
	}
	/* FreeBSD joins messages without an end mark. */
	while (sendmsg(fd, &m, MSG_NOSIGNAL | MSG_EOR) < 0)
		if (errno != EINTR)
			return (errno);
	return (0);
}

/*
 * Receives one message of at most room - 1 bytes, and terminates it.  0 is end
 * of file, -1 an error.  *passed becomes the descriptor that came with it, or
 * -1.
 */
ssize_t
recv_line(int fd, char *buf, size_t room, int *passed)
{
	union one_fd control;
	struct cmsghdr *c;
	struct msghdr m;
	struct iovec iov;
	ssize_t n;

	of_bytes(&m, &iov, buf, room - 1);
	if (passed != NULL) {
		*passed = -1;
		m.msg_control = control.space;
		m.msg_controllen = sizeof(control.space);
	}
	do
		n = recvmsg(fd, &m, 0);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return (-1);
	buf[n] = '\0';
	if (passed != NULL)
		for (c = CMSG_FIRSTHDR(&m); c != NULL; c = CMSG_NXTHDR(&m, c))
			if (c->cmsg_level == SOL_SOCKET &&
			    c->cmsg_type == SCM_RIGHTS)
				memcpy(passed, CMSG_DATA(c), sizeof(int));
	return (n);
}

int
seqpair(int sv[2])
{
	int i, size;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sv) != 0)
		return (errno);
	/*
	 * A whole line must fit into one message; FreeBSD's default is 8 KiB.
	 */
	size = 4 * LINE_BYTES;
	for (i = 0; i < 2; i++) {
		setsockopt(sv[i], SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
		setsockopt(sv[i], SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
	}
	return (0);
}

/* Splits at blanks in place; -1 if there are more than max words. */
int
split(char *s, char **argv, int max)
{
	int n;

	for (n = 0;; n++) {
		while (*s == ' ')
			s++;
		if (*s == '\0')
			return (n);
		if (n == max)
			return (-1);
		argv[n] = s;
		while (*s != ' ' && *s != '\0')
			s++;
		if (*s == ' ')
			*s++ = '\0';
	}
}

/* Only printable ASCII: anything else is line noise. */
bool
clean_line(const char *s, size_t len)
{
	size_t i;

	for (i = 0; i < len; i++)
		if (s[i] < ' ' || s[i] > '~')
			return (false);
	return (true);
}
