/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Linux's DMA buffer commands.  Not in the ABI header, as no driver of this
 * project has them: it answers ENOTTY like a Linux built without
 * CONFIG_XEN_GNTDEV_DMABUF.
 */
#ifndef DMABUF_ABI_H
#define DMABUF_ABI_H

#include <xen/gntdev.h>

struct ioctl_gntdev_dmabuf_exp_from_refs {
	uint32_t flags;
	uint32_t count;
	uint32_t fd;
	uint32_t domid;
	uint32_t refs[1];
};
#define IOCTL_GNTDEV_DMABUF_EXP_FROM_REFS \
	XENGNT_IOC(9, struct ioctl_gntdev_dmabuf_exp_from_refs)

struct ioctl_gntdev_dmabuf_exp_wait_released {
	uint32_t fd;
	uint32_t wait_to_ms;
};
#define IOCTL_GNTDEV_DMABUF_EXP_WAIT_RELEASED \
	XENGNT_IOC(10, struct ioctl_gntdev_dmabuf_exp_wait_released)

struct ioctl_gntdev_dmabuf_imp_to_refs {
	uint32_t fd;
	uint32_t count;
	uint32_t domid;
	uint32_t reserved;
	uint32_t refs[1];
};
#define IOCTL_GNTDEV_DMABUF_IMP_TO_REFS \
	XENGNT_IOC(11, struct ioctl_gntdev_dmabuf_imp_to_refs)

struct ioctl_gntdev_dmabuf_imp_release {
	uint32_t fd;
	uint32_t reserved;
};
#define IOCTL_GNTDEV_DMABUF_IMP_RELEASE \
	XENGNT_IOC(12, struct ioctl_gntdev_dmabuf_imp_release)

#endif /* DMABUF_ABI_H */
