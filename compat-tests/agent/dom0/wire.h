/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The control channel of a DomU: a page that it grants to Dom0, with a ring of
 * bytes each way.  There are no events, because they reach an idle guest late
 * under emulation.  FreeBSD grants the page by the base system's driver, so
 * that only cases use ours.
 */
#ifndef WIRE_H
#define	WIRE_H

#include <err.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <fcntl.h>

#define	WIRE_PAGE	4096u
#define	WIRE_BYTES	1024u	/* of a ring; a power of two */

struct wire_ring {
	uint32_t written;	/* bytes so far, by the sender */
	uint32_t read;		/* and by the receiver */
	uint8_t	 data[WIRE_BYTES];
};

struct wire {
	struct wire_ring to_domu;
	struct wire_ring to_dom0;
};

/* Sends as much as there is room for. */
static inline size_t
wire_send(struct wire_ring *ring, const unsigned char *buf, size_t size)
{
	uint32_t at, room;
	size_t n;

	at = ring->written;
	room = WIRE_BYTES - (at - __atomic_load_n(&ring->read,
	    __ATOMIC_ACQUIRE));
	for (n = 0; n < size && n < room; n++)
		ring->data[(at + n) % WIRE_BYTES] = buf[n];
	__atomic_store_n(&ring->written, at + (uint32_t)n, __ATOMIC_RELEASE);
	return (n);
}

static inline size_t
wire_receive(struct wire_ring *ring, unsigned char *buf, size_t size)
{
	uint32_t at, have;
	size_t n;

	at = ring->read;
	have = __atomic_load_n(&ring->written, __ATOMIC_ACQUIRE) - at;
	for (n = 0; n < size && n < have; n++)
		buf[n] = ring->data[(at + n) % WIRE_BYTES];
	if (n != 0)
		__atomic_store_n(&ring->read, at + (uint32_t)n,
		    __ATOMIC_RELEASE);
	return (n);
}

/* Grants a page of this domain to Dom0 and prints its reference. */
static inline struct wire *
wire_offer(void)
{
#ifdef __FreeBSD__
	struct {
		uint16_t domid, flags;
		uint32_t count;
		uint64_t index;
		uint32_t *ids;
	} arg = { .flags = 1, .count = 1 };
	uint32_t ref;
	void *page;
	int fd;

	arg.ids = &ref;
	fd = open("/dev/xen/gntdev", O_RDWR | O_CLOEXEC);
	if (fd < 0)
		err(1, "/dev/xen/gntdev");
	if (ioctl(fd, _IOC(IOC_INOUT, 'E', 1, sizeof(arg)), &arg) != 0)
		err(1, "granting a page to Dom0");
	page = mmap(NULL, WIRE_PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd,
	    (off_t)arg.index);
	if (page == MAP_FAILED)
		err(1, "mapping the page granted to Dom0");
	/* In one write: the kernel writes to the console, too. */
	fprintf(stderr, "\nxengnt-relay: wire ref=%u\n", ref);
	return (page);
#else
	errx(1, "no DomU of this kind has a wire");
#endif
}

#endif /* !WIRE_H */
