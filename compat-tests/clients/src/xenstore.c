/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A replacement for libxenstore where there is no xenstored, such as on the
 * harness.  It has the functions that libxenvchan calls.  A node is a file in
 * the directory $XENGNT_XENSTORE; relative paths are those of domain
 * $XENGNT_HARNESS_DOMID.  There are no watches, permissions or transactions: a
 * single writer and a reader that retries need none.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <xenstore.h>

#define	PUBLIC		__attribute__((visibility("default")))
#define	NODE_MAX	4096	/* XENSTORE_PAYLOAD_MAX */

struct xs_handle {
	char *dir;
	unsigned int domid;
};

/* The file of a node: its absolute path with "!" for each slash. */
static bool
file_of(const struct xs_handle *h, const char *path, char *file, size_t size)
{
	char *p;
	int n;

	if (path[0] == '/')
		n = snprintf(file, size, "%s/%s", h->dir, path);
	else
		n = snprintf(file, size, "%s//local/domain/%u/%s", h->dir,
		    h->domid, path);
	if (n < 0 || (size_t)n >= size) {
		errno = ENAMETOOLONG;
		return (false);
	}
	for (p = file + strlen(h->dir) + 1; *p != '\0'; p++)
		if (*p == '/')
			*p = '!';
	return (true);
}

PUBLIC struct xs_handle *
xs_open(unsigned long flags)
{
	struct xs_handle *h;
	const char *dir, *domid;

	(void)flags;
	dir = getenv("XENGNT_XENSTORE");
	domid = getenv("XENGNT_HARNESS_DOMID");
	if (dir == NULL) {
		errno = ENOENT;
		return (NULL);
	}
	h = calloc(1, sizeof(*h));
	if (h == NULL)
		return (NULL);
	h->dir = strdup(dir);
	if (h->dir == NULL) {
		free(h);
		return (NULL);
	}
	h->domid = domid != NULL ? (unsigned int)atoi(domid) : 0;
	return (h);
}

PUBLIC void
xs_close(struct xs_handle *h)
{
	if (h == NULL)
		return;
	free(h->dir);
	free(h);
}

PUBLIC void *
xs_read(struct xs_handle *h, xs_transaction_t t, const char *path,
    unsigned int *len)
{
	char file[NODE_MAX];
	char *data;
	ssize_t n;
	int fd;

	(void)t;
	/* The tool stack writes this node for every domain. */
	if (strcmp(path, "domid") == 0) {
		if (asprintf(&data, "%u", h->domid) < 0)
			return (NULL);
		if (len != NULL)
			*len = (unsigned int)strlen(data);
		return (data);
	}
	if (!file_of(h, path, file, sizeof(file)))
		return (NULL);
	fd = open(file, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return (NULL);
	data = malloc(NODE_MAX + 1);
	n = data != NULL ? read(fd, data, NODE_MAX) : -1;
	close(fd);
	if (n < 0) {
		free(data);
		return (NULL);
	}
	data[n] = '\0';
	if (len != NULL)
		*len = (unsigned int)n;
	return (data);
}

PUBLIC bool
xs_write(struct xs_handle *h, xs_transaction_t t, const char *path,
    const void *data, unsigned int len)
{
	char file[NODE_MAX], scratch[NODE_MAX + 8];
	bool ok;
	int fd;

	(void)t;
	if (!file_of(h, path, file, sizeof(file)))
		return (false);
	/* A reader must see a whole value or none. */
	snprintf(scratch, sizeof(scratch), "%s.new", file);
	fd = open(scratch, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd < 0)
		return (false);
	ok = write(fd, data, len) == (ssize_t)len;
	close(fd);
	return (ok && rename(scratch, file) == 0);
}

PUBLIC bool
xs_rm(struct xs_handle *h, xs_transaction_t t, const char *path)
{
	char file[NODE_MAX];

	(void)t;
	return (file_of(h, path, file, sizeof(file)) && unlink(file) == 0);
}

PUBLIC bool
xs_set_permissions(struct xs_handle *h, xs_transaction_t t, const char *path,
    struct xs_permissions *perms, unsigned int num_perms)
{
	(void)h;
	(void)t;
	(void)path;
	(void)perms;
	(void)num_perms;
	return (true);
}

PUBLIC xs_transaction_t
xs_transaction_start(struct xs_handle *h)
{
	(void)h;
	return (1);
}

PUBLIC bool
xs_transaction_end(struct xs_handle *h, xs_transaction_t t, bool abort)
{
	(void)h;
	(void)t;
	(void)abort;
	return (true);
}
