/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Included before every library source of a unit test: system calls go to a
 * model (fake_sys.c) that logs each call and fails on request.
 */
#ifndef FAKE_SYS_H
#define FAKE_SYS_H

#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/types.h>

#include <fcntl.h>
#include <unistd.h>

int fake_open(const char *path, int flags, ...);
int fake_close(int fd);
int fake_ioctl(int fd, unsigned long cmd, ...);
void *fake_mmap(void *addr, size_t len, int prot, int flags, int fd, off_t off);
int fake_munmap(void *addr, size_t len);
int fake_usleep(useconds_t us);

#ifndef FAKE_SYS_IMPLEMENTATION
#define open fake_open
#define close fake_close
#define ioctl fake_ioctl
#define mmap fake_mmap
#define munmap fake_munmap
#define usleep fake_usleep
#endif

#endif /* FAKE_SYS_H */
