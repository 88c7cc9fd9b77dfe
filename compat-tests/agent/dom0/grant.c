/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * xengnt-grant DOMID COUNT: grants COUNT pages of a Linux domain to another
 * domain, one after the other, by Linux's own gntalloc, prints the references
 * and holds the pages until it is killed.  The first word of page n is n.
 */
#include <sys/ioctl.h>
#include <sys/mman.h>

#include <err.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <xen/gntalloc.h>

#define	PAGE	4096u

int
main(int argc, char **argv)
{
	struct ioctl_gntalloc_alloc_gref arg;
	unsigned long count, domid, i;
	uint32_t *page;
	int fd;

	if (argc != 3)
		errx(2, "usage: xengnt-grant DOMID COUNT");
	domid = strtoul(argv[1], NULL, 0);
	count = strtoul(argv[2], NULL, 0);
	fd = open("/dev/xen/gntalloc", O_RDWR | O_CLOEXEC);
	if (fd < 0)
		err(1, "/dev/xen/gntalloc");
	for (i = 0; i < count; i++) {
		arg = (struct ioctl_gntalloc_alloc_gref){
			.domid = (uint16_t)domid,
			.flags = GNTALLOC_FLAG_WRITABLE,
			.count = 1,
		};
		if (ioctl(fd, IOCTL_GNTALLOC_ALLOC_GREF, &arg) != 0)
			err(1, "page %lu", i);
		page = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd,
		    (off_t)arg.index);
		if (page == MAP_FAILED)
			err(1, "mmap of page %lu", i);
		page[0] = (uint32_t)i;
		printf("%u\n", arg.gref_ids[0]);
	}
	printf("end\n");
	fflush(stdout);
	for (;;)
		pause();
}
