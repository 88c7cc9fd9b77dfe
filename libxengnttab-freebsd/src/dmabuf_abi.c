/* SPDX-License-Identifier: BSD-2-Clause */
/* DMA buffers: passed to the kernel, which has them or answers ENOTTY. */
#include <sys/ioctl.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "dmabuf_abi.h"
#include "private.h"

/* A driver that does not know these commands could take them for others. */
static int
dmabuf_ioctl(xengnttab_handle *xgt, unsigned long word, void *arg)
{
	if (!xgt->abi->dmabuf) {
		errno = ENOTTY;
		return (-1);
	}
	return (ioctl(xgt->fd, word, arg));
}

/* A request whose fixed part has the first of count references, or NULL. */
static void *
alloc_request(size_t fixed, uint32_t count)
{
	if (count == 0) {
		errno = EINVAL;
		return (NULL);
	}
	return (calloc(1, fixed + ((size_t)count - 1) * sizeof(uint32_t)));
}

int
osdep_dmabuf_exp_from_refs(xengnttab_handle *xgt, uint32_t domid,
    uint32_t flags, uint32_t count, const uint32_t *refs, uint32_t *fd)
{
	struct ioctl_gntdev_dmabuf_exp_from_refs *arg;
	int error, rc;

	arg = alloc_request(sizeof(*arg), count);
	if (arg == NULL)
		return (-1);
	arg->flags = flags;
	arg->count = count;
	arg->domid = domid;
	memcpy(arg->refs, refs, count * sizeof(*refs));
	rc = dmabuf_ioctl(xgt, IOCTL_GNTDEV_DMABUF_EXP_FROM_REFS, arg);
	if (rc == 0)
		*fd = arg->fd;
	else
		log_errno(xgt, "cannot make a DMA buffer of %u grants", count);
	error = errno;
	free(arg);
	errno = error;
	return (rc);
}

int
osdep_dmabuf_exp_wait_released(xengnttab_handle *xgt, uint32_t fd,
    uint32_t wait_to_ms)
{
	struct ioctl_gntdev_dmabuf_exp_wait_released arg = {
		.fd = fd,
		.wait_to_ms = wait_to_ms,
	};

	if (dmabuf_ioctl(xgt, IOCTL_GNTDEV_DMABUF_EXP_WAIT_RELEASED, &arg) == 0)
		return (0);
	/* The kernel no longer knows the buffer: it was released. */
	if (errno == ENOENT) {
		errno = 0;
		return (0);
	}
	log_errno(xgt, "cannot wait for the release of DMA buffer %u", fd);
	return (-1);
}

int
osdep_dmabuf_imp_to_refs(xengnttab_handle *xgt, uint32_t domid, uint32_t fd,
    uint32_t count, uint32_t *refs)
{
	struct ioctl_gntdev_dmabuf_imp_to_refs *arg;
	int error, rc;

	arg = alloc_request(sizeof(*arg), count);
	if (arg == NULL)
		return (-1);
	arg->fd = fd;
	arg->count = count;
	arg->domid = domid;
	rc = dmabuf_ioctl(xgt, IOCTL_GNTDEV_DMABUF_IMP_TO_REFS, arg);
	if (rc == 0)
		memcpy(refs, arg->refs, count * sizeof(*refs));
	else
		log_errno(xgt, "cannot grant the %u pages of a DMA buffer",
		    count);
	error = errno;
	free(arg);
	errno = error;
	return (rc);
}

int
osdep_dmabuf_imp_release(xengnttab_handle *xgt, uint32_t fd)
{
	struct ioctl_gntdev_dmabuf_imp_release arg = { .fd = fd };

	if (dmabuf_ioctl(xgt, IOCTL_GNTDEV_DMABUF_IMP_RELEASE, &arg) == 0)
		return (0);
	log_errno(xgt, "cannot release DMA buffer %u", fd);
	return (-1);
}
