/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The other end of a libxenvchan, in a domain without a kernel: 32-bit code
 * without paging, so that an address is a guest-physical one.  It uses
 * xen/io/libxenvchan.h, with the data of vchan.c, in both directions at once.
 *
 * It never sleeps, it yields.  An event that the other end asked for is sent
 * once.  If nothing moves for long, the event is sent again, since it may come
 * late under emulation; these reminders are counted.
 */
/* Otherwise hypercalls would have the numbers of Xen 3.0. */
#define	__XEN_INTERFACE_VERSION__ 0x00040d00

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <xen/xen.h>
#include <xen/event_channel.h>
#include <xen/grant_table.h>
#include <xen/io/libxenvchan.h>
#include <xen/sched.h>

#include "end.h"
#include "words.h"

#define	YIELDS		20000u		/* without progress, then a reminder */
#define	MAX_RING_PAGES	64u
#define	BATCH		2048u		/* words until the other is notified */
#define	WORD		8u

struct ring {
	volatile struct ring_shared *shr;
	volatile uint8_t *data;
	uint32_t	size;
};

struct stream {
	uint64_t	state, sum;
	uint32_t	done;
};

static struct end_task *const task =
    (struct end_task *)(END_TASK_GFN * END_PAGE);
static volatile struct vchan_interface *page;
static struct ring in, out;
static struct stream sent, received;
static uint32_t port, nhandles;
static uint32_t handles[2 * MAX_RING_PAGES + 1];

void	run(void);

/* The first bytes: set up a stack, then call C. */
__asm__(
    ".section .text.first, \"ax\"\n"
    ".globl first\n"
    "first:	movl	$0x10008000, %esp\n"	/* end of END_CODE_PAGES */
    "	cld\n"
    "	call	run\n"
    "1:	hlt\n"
    "	jmp	1b\n"
    ".text\n");

static int32_t
hypercall(uint32_t number, uint32_t a, const void *b, uint32_t c)
{
	int32_t ret;

	if (task->intel)
		__asm__ volatile("vmcall" : "=a"(ret), "+b"(a), "+c"(b),
		    "+d"(c) : "0"(number) : "memory");
	else
		__asm__ volatile("vmmcall" : "=a"(ret), "+b"(a), "+c"(b),
		    "+d"(c) : "0"(number) : "memory");
	return (ret);
}

static void __attribute__((noreturn))
stop(uint32_t state)
{

	__atomic_store_n(&task->state, state, __ATOMIC_RELEASE);
	for (;;)
		hypercall(__HYPERVISOR_sched_op, SCHEDOP_block, NULL, 0);
}

static void __attribute__((noreturn))
fail(uint32_t line, int32_t error)
{

	task->line = line;
	task->error = error;
	stop(END_FAILED);
}

static void
yield(void)
{

	hypercall(__HYPERVISOR_sched_op, SCHEDOP_yield, NULL, 0);
}

static void
ring_bell(void)
{
	struct evtchn_send op = { .port = port };
	int32_t error;

	error = hypercall(__HYPERVISOR_event_channel_op, EVTCHNOP_send, &op,
	    0);
	/* The port's other end may be closed, which is not a failure here. */
	if (error != 0 && error != -22)
		fail(__LINE__, error);
}

/* ---- the two beginnings -------------------------------------------------- */

static volatile uint8_t *
map(uint32_t ref, uint32_t gfn)
{
	struct gnttab_map_grant_ref op = {
		.host_addr = (uint64_t)gfn * END_PAGE,
		.flags = GNTMAP_host_map,
		.ref = ref,
	};
	int32_t error;

	error = hypercall(__HYPERVISOR_grant_table_op,
	    GNTTABOP_map_grant_ref, &op, 1);
	if (error != 0 || op.status != GNTST_okay)
		fail(__LINE__, error != 0 ? error : op.status);
	handles[nhandles++] = op.handle;
	return ((volatile uint8_t *)(gfn * END_PAGE));
}

static void
unmap_all(void)
{

	for (uint32_t i = 0; i < nhandles; i++) {
		struct gnttab_unmap_grant_ref op = {
			.host_addr = (uint64_t)(END_MAP_GFN + i) * END_PAGE,
			.handle = handles[i],
		};
		int32_t error;

		error = hypercall(__HYPERVISOR_grant_table_op,
		    GNTTABOP_unmap_grant_ref, &op, 1);
		if (error != 0 || op.status != GNTST_okay)
			fail(__LINE__, error != 0 ? error : op.status);
	}
}

static void
use(struct ring *r, volatile struct ring_shared *shr, uint32_t order,
    volatile uint8_t *data)
{

	r->shr = shr;
	r->size = 1u << order;
	r->data = data;
}

static void
serve(void)
{
	uint32_t pages;

	pages = (1u << task->order) / END_PAGE;
	page = (volatile struct vchan_interface *)0;
	__asm__("" : "+r"(page));	/* address 0 is memory here */
	page->left_order = page->right_order = (uint16_t)task->order;
	page->cli_live = 2;
	page->srv_live = 1;
	page->cli_notify = VCHAN_NOTIFY_WRITE;
	for (uint32_t i = 0; i < 2 * pages; i++)
		page->grants[i] = END_FIRST_REF + 1 + i;
	use(&in, &page->left, task->order, (volatile uint8_t *)END_PAGE);
	use(&out, &page->right, task->order,
	    (volatile uint8_t *)(END_PAGE * (1 + pages)));
	port = task->port;
	__atomic_store_n(&task->state, END_OPEN, __ATOMIC_RELEASE);
	while (page->cli_live == 2)
		yield();
}

static void
connect(void)
{
	struct evtchn_bind_interdomain op = {
		.remote_dom = 0,
		.remote_port = task->remote_port,
	};
	volatile uint8_t *at, *left, *right;
	uint32_t lpages, rpages;
	int32_t error;

	error = hypercall(__HYPERVISOR_event_channel_op,
	    EVTCHNOP_bind_interdomain, &op, 0);
	if (error != 0)
		fail(__LINE__, error);
	port = op.local_port;
	page = (volatile struct vchan_interface *)map(task->ref, END_MAP_GFN);
	lpages = (1u << page->left_order) / END_PAGE;
	rpages = (1u << page->right_order) / END_PAGE;
	if (page->left_order < 12 || page->right_order < 12 ||
	    lpages > MAX_RING_PAGES || rpages > MAX_RING_PAGES)
		fail(__LINE__, page->left_order);
	left = right = NULL;
	for (uint32_t i = 0; i < lpages + rpages; i++) {
		at = map(page->grants[i], END_MAP_GFN + 1 + i);
		if (i == 0)
			left = at;
		if (i == lpages)
			right = at;
	}
	use(&out, &page->left, page->left_order, left);
	use(&in, &page->right, page->right_order, right);
	page->cli_live = 1;
	page->srv_notify = VCHAN_NOTIFY_WRITE;
	__atomic_store_n(&task->state, END_OPEN, __ATOMIC_RELEASE);
	ring_bell();
}

static bool
other_lives(void)
{

	return ((task->server ? page->cli_live : page->srv_live) != 0);
}

/* ---- both directions ------------------------------------------------------ */

/* Sends the event that the other end has asked for, if any. */
static void
notify(uint8_t bit)
{
	volatile uint8_t *wanted;

	__sync_synchronize();
	wanted = task->server ? &page->srv_notify : &page->cli_notify;
	if ((__sync_fetch_and_and(wanted, (uint8_t)~bit) & bit) != 0) {
		task->events++;
		ring_bell();
	}
}

static bool
push(void)
{
	uint32_t at, left, n, room;
	uint64_t word;

	left = task->total - sent.done;
	room = out.size - (out.shr->prod - out.shr->cons);
	if (room > out.size)
		fail(__LINE__, (int32_t)room);
	n = (room < left ? room : left) / WORD;
	if (n > BATCH)
		n = BATCH;
	if (n == 0)
		return (false);
	at = out.shr->prod;
	for (uint32_t i = 0; i < n; i++, at += WORD) {
		word = next_word(&sent.state);
		add_word(&sent.sum, word);
		*(volatile uint64_t *)(out.data + (at & (out.size - 1))) =
		    word;
	}
	sent.done += n * WORD;
	__sync_synchronize();
	out.shr->prod = at;
	notify(VCHAN_NOTIFY_WRITE);
	return (true);
}

static bool
pull(void)
{
	uint32_t at, n, ready;
	uint64_t word;

	ready = in.shr->prod - in.shr->cons;
	if (ready > in.size)
		fail(__LINE__, (int32_t)ready);
	n = ready / WORD;
	if (n > BATCH)
		n = BATCH;
	if (n == 0)
		return (false);
	at = in.shr->cons;
	for (uint32_t i = 0; i < n; i++, at += WORD) {
		word = *(volatile uint64_t *)(in.data + (at & (in.size - 1)));
		if (word != next_word(&received.state))
			fail(__LINE__, (int32_t)(received.done + i * WORD));
		add_word(&received.sum, word);
	}
	received.done += n * WORD;
	__sync_synchronize();
	in.shr->cons = at;
	notify(VCHAN_NOTIFY_READ);
	return (true);
}

static void
tell(void)
{

	task->sent = sent.done;
	task->received = received.done;
	task->sent_sum = sent.sum;
	task->received_sum = received.sum;
}

static bool
transfer(void)
{
	uint32_t idle;
	bool moved;

	for (idle = 0; sent.done < task->total ||
	    received.done < task->total;) {
		moved = push();
		if (pull())
			moved = true;
		if (moved) {
			idle = 0;
			tell();
			continue;
		}
		if (!other_lives())
			return (false);
		yield();
		if (++idle % YIELDS == 0) {
			task->reminders++;
			ring_bell();
		}
	}
	return (true);
}

void
run(void)
{
	uint32_t idle;
	bool whole;

	sent.state = task->server ? 0x9e3779b97f4a7c15 : 0xc2b2ae3d27d4eb4f;
	received.state = task->server ? 0xc2b2ae3d27d4eb4f :
	    0x9e3779b97f4a7c15;
	if (task->server)
		serve();
	else
		connect();
	whole = transfer();
	tell();
	__atomic_store_n(&task->state, whole ? END_MOVED : END_GONE,
	    __ATOMIC_RELEASE);
	/* Dom0's driver clears the byte as its notification. */
	for (idle = 0; other_lives();) {
		yield();
		if (++idle % YIELDS == 0)
			ring_bell();
	}
	if (!task->server) {
		page->cli_live = 0;
		ring_bell();
		unmap_all();
	}
	stop(whole ? END_CLOSED : END_GONE);
}
