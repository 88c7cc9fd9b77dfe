/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The helper domain's own instructions.
 *
 * It starts in protected mode without paging, so that an address is a
 * guest-physical one.  It reads its next task from a page that it shares with
 * us, and is paused while it has none, so that it takes no time from Dom0.
 */
#include <cpuid.h>
#include <errno.h>
#include <stddef.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include <xenctrl.h>
#include <xen/grant_table.h>
#include <xen/hvm/save.h>

#include "runner.h"

#define	PAGE		4096u
#define	CODE_GFN	0x10000u	/* far above the pages it grants */
#define	TASK_GFN	0x10001u
#define	SLOT_GFN	0x10010u	/* where it maps what others grant */

enum { DO_COPY, DO_HYPERCALL, DO_ANSWER };

/* The shared page.  The code, too, knows the offsets of the first members. */
struct task {
	uint32_t	wanted;		/* number of the task to do */
	uint32_t	done;		/* number of the last one done */
	uint32_t	what;
	uint32_t	arg[3];
	uint32_t	result;
	uint32_t	call;		/* number of the hypercall */
	union {
		struct gnttab_map_grant_ref map;
		struct gnttab_unmap_grant_ref unmap;
		struct evtchn_bind_interdomain bind;
		struct evtchn_send send;
	} op;
	uint8_t		room[PAGE / 4];
	uint8_t		data[RUNNER_BYTES];
};
_Static_assert(offsetof(struct task, arg) == 12, "the code knows this");
_Static_assert(offsetof(struct task, result) == 24, "the code knows this");
_Static_assert(offsetof(struct task, call) == 28, "the code knows this");
_Static_assert(sizeof(struct task) <= PAGE, "a page");

/* The hypercall instruction depends on the processor: patched in. */
extern const uint8_t runner_code[], runner_hypercall[], runner_end[];
__asm__(
    ".pushsection .rodata\n"
    ".globl runner_code, runner_hypercall, runner_end\n"
    ".code32\n"
    "runner_code:\n"
    "	movl	$0x10001000, %ebp\n"	/* TASK_GFN */
    "1:	movl	0(%ebp), %eax\n"
    "	cmpl	4(%ebp), %eax\n"
    "	jne	2f\n"
    "	pause\n"
    "	jmp	1b\n"
    "2:	leal	1024(%ebp), %esp\n"	/* in room */
    "	movl	8(%ebp), %eax\n"
    "	cmpl	$1, %eax\n"
    "	je	3f\n"
    "	ja	5f\n"
    "	movl	12(%ebp), %esi\n"	/* from */
    "	movl	16(%ebp), %edi\n"	/* to */
    "	movl	20(%ebp), %ecx\n"	/* bytes */
    "	cld\n"
    "	rep movsb\n"
    "	jmp	4f\n"
    "3:	movl	28(%ebp), %eax\n"
    "	movl	12(%ebp), %ebx\n"
    "	movl	16(%ebp), %ecx\n"
    "	movl	20(%ebp), %edx\n"
    "	call	runner_hypercall\n"
    "	movl	%eax, 24(%ebp)\n"
    "4:	movl	0(%ebp), %eax\n"
    "	movl	%eax, 4(%ebp)\n"
    "	jmp	1b\n"
    /* Answers: a page of counters, one to read from, one to write to. */
    "5:	movl	12(%ebp), %edx\n"
    "6:	cmpl	$0, 12(%edx)\n"	/* stop */
    "	jne	4b\n"
    "	movl	0(%edx), %eax\n"	/* asked */
    "	cmpl	4(%edx), %eax\n"	/* answered */
    "	jne	7f\n"
    "	pushl	%edx\n"
    "	movl	$29, %eax\n"		/* sched_op, yield */
    "	xorl	%ebx, %ebx\n"
    "	xorl	%ecx, %ecx\n"
    "	call	runner_hypercall\n"
    "	popl	%edx\n"
    "	jmp	6b\n"
    "7:	leal	4096(%edx), %esi\n"
    "	leal	8192(%edx), %edi\n"
    "	movl	8(%edx), %ecx\n"	/* bytes */
    "	cld\n"
    "	rep movsb\n"
    "	movl	%eax, 4(%edx)\n"
    "	pushl	%edx\n"
    "	movl	$32, %eax\n"		/* event_channel_op, send */
    "	movl	$4, %ebx\n"
    "	movl	16(%ebp), %ecx\n"
    "	call	runner_hypercall\n"
    "	popl	%edx\n"
    "	jmp	6b\n"
    "runner_hypercall:\n"
    "	vmmcall\n"
    "	ret\n"
    "runner_end:\n"
    ".code64\n"
    ".popsection\n");

static struct {
	xc_interface	*xch;
	xenforeignmemory_handle *fmem;
	uint32_t	domid;
	struct task	*task;	/* NULL: does not run */
	struct {
		bool		used;
		uint32_t	handle;
	} slot[RUNNER_SLOTS];
} runner;

/* Guest-physical addresses. */
#define	TASK_ADDR(member) \
	(TASK_GFN * PAGE + (uint32_t)offsetof(struct task, member))
#define	SLOT_ADDR(slot)	((SLOT_GFN + (slot)) * PAGE)

static void *
map_gfn(xen_pfn_t gfn)
{
	void *p;
	int error;

	error = 0;
	p = xenforeignmemory_map(runner.fmem, runner.domid,
	    PROT_READ | PROT_WRITE, 1, &gfn, &error);
	if (p != NULL && error != 0) {
		xenforeignmemory_unmap(runner.fmem, p, 1);
		errno = -error;
		return (NULL);
	}
	return (p);
}

static int
load_code(void)
{
	static const uint8_t vmcall[] = { 0x0f, 0x01, 0xc1 };
	unsigned eax, ebx, ecx, edx;
	uint8_t *code;

	code = map_gfn(CODE_GFN);
	if (code == NULL)
		return (-1);
	memcpy(code, runner_code, (size_t)(runner_end - runner_code));
	if (__get_cpuid(0, &eax, &ebx, &ecx, &edx) != 0 &&
	    ecx == signature_INTEL_ecx)
		memcpy(code + (runner_hypercall - runner_code), vmcall,
		    sizeof(vmcall));
	xenforeignmemory_unmap(runner.fmem, code, 1);
	return (0);
}

int
runner_registers(xc_interface *xch, uint32_t domid, uint32_t ip)
{
	struct {
		struct hvm_save_descriptor header_d;
		HVM_SAVE_TYPE(HEADER) header;
		struct hvm_save_descriptor cpu_d;
		HVM_SAVE_TYPE(CPU) cpu;
		struct hvm_save_descriptor end_d;
		HVM_SAVE_TYPE(END) end;
	} __attribute__((packed)) regs;
	uint8_t now[16384];
	int n;

	n = xc_domain_hvm_getcontext(xch, domid, NULL, 0);
	if (n < 0 || (size_t)n > sizeof(now))
		return (errno = n < 0 ? errno : E2BIG, -1);
	n = xc_domain_hvm_getcontext(xch, domid, now,
	    sizeof(now));
	if (n < 0)
		return (-1);
	memset(&regs, 0, sizeof(regs));
	/* Keep Xen's own header. */
	memcpy(&regs, now, sizeof(regs.header_d) + sizeof(regs.header));
	regs.cpu_d.typecode = HVM_SAVE_CODE(CPU);
	regs.cpu_d.length = HVM_SAVE_LENGTH(CPU);
	regs.cpu.cs_arbytes = 0xc9b;
	regs.cpu.ds_arbytes = regs.cpu.es_arbytes = regs.cpu.ss_arbytes =
	    0xc93;
	regs.cpu.cs_limit = regs.cpu
				.ds_limit = regs.cpu
						.es_limit = regs.cpu
								.ss_limit = ~0u;
	regs.cpu.tr_arbytes = 0x8b;
	regs.cpu.tr_limit = 0x67;
	regs.cpu.cr0 = 0x11;		/* PE, ET */
	regs.cpu.rflags = 2;
	regs.cpu.dr6 = 0xffff0ff0u;
	regs.cpu.dr7 = 0x400;
	regs.cpu.rip = ip;
	regs.end_d.typecode = HVM_SAVE_CODE(END);
	regs.end_d.length = HVM_SAVE_LENGTH(END);
	return (xc_domain_hvm_setcontext(xch, domid,
	    (uint8_t *)&regs, sizeof(regs)));
}

static int
start(const char **what)
{
	xen_pfn_t gfns[] = { CODE_GFN, TASK_GFN };

	*what = "xc_domain_max_vcpus";
	if (xc_domain_max_vcpus(runner.xch, runner.domid, 1) != 0)
		return (-1);
	*what = "xc_domain_populate_physmap_exact";
	if (xc_domain_populate_physmap_exact(runner.xch, runner.domid, 2, 0, 0,
	    gfns) != 0)
		return (-1);
	*what = "mapping the code";
	if (load_code() != 0)
		return (-1);
	*what = "xc_domain_hvm_setcontext";
	if (runner_registers(runner.xch, runner.domid, CODE_GFN * PAGE) != 0)
		return (-1);
	*what = "mapping the task";
	runner.task = map_gfn(TASK_GFN);
	if (runner.task == NULL)
		return (-1);
	memset(runner.task, 0, PAGE);
	return (0);
}

/* The domain runs from here on, until finish(). */
static int
begin(uint32_t todo, uint32_t a, uint32_t b, uint32_t c, const char **what)
{
	struct task *t;

	t = runner.task;
	t->what = todo;
	t->arg[0] = a;
	t->arg[1] = b;
	t->arg[2] = c;
	__atomic_store_n(&t->wanted, t->done + 1, __ATOMIC_RELEASE);
	*what = "xc_domain_unpause";
	return (xc_domain_unpause(runner.xch, runner.domid));
}

static int
finish(const char **what)
{
	static const struct timespec moment = { 0, 100 * 1000 };
	struct task *t;
	unsigned tries;

	t = runner.task;
	/* Sleeping lets the domain run. */
	for (tries = 0; tries < 50000; tries++) {
		if (__atomic_load_n(&t->done, __ATOMIC_ACQUIRE) == t->wanted)
			break;
		nanosleep(&moment, NULL);
	}
	*what = "xc_domain_pause";
	if (xc_domain_pause(runner.xch, runner.domid) != 0)
		return (-1);
	*what = "the helper domain did not do it";
	if (t->done != t->wanted)
		return (errno = ETIMEDOUT, -1);
	return (0);
}

static int
perform(uint32_t todo, uint32_t a, uint32_t b, uint32_t c, const char **what)
{

	if (begin(todo, a, b, c, what) != 0)
		return (-1);
	return (finish(what));
}

/* A hypercall by the domain, with a command and a member of op. */
static int
call(uint32_t number, uint32_t command, uint32_t address, uint32_t more,
    const char **what)
{

	runner.task->call = number;
	if (perform(DO_HYPERCALL, command, address, more, what) != 0)
		return (-1);
	*what = number == __HYPERVISOR_grant_table_op ? "grant_table_op" :
							"event_channel_op";
	if (runner.task->result != 0)
		return (errno = (int)-runner.task->result, -1);
	return (0);
}

static int
running(xc_interface *xch, xenforeignmemory_handle *fmem, uint32_t domid,
    const char **what)
{

	runner.xch = xch;
	runner.fmem = fmem;
	runner.domid = domid;
	return (runner.task == NULL ? start(what) : 0);
}

int
runner_map(xc_interface *xch, xenforeignmemory_handle *fmem, uint32_t domid,
    uint32_t ref, bool readonly, unsigned *slot, int *status, const char **what)
{
	struct gnttab_map_grant_ref op;
	unsigned i;

	if (running(xch, fmem, domid, what) != 0)
		return (-1);
	for (i = 0; i < RUNNER_SLOTS && runner.slot[i].used; i++)
		;
	*what = "all slots are in use";
	if (i == RUNNER_SLOTS)
		return (errno = ENOSPC, -1);
	memset(&op, 0, sizeof(op));
	op.host_addr = SLOT_ADDR(i);
	op.flags = GNTMAP_host_map | (readonly ? GNTMAP_readonly : 0);
	op.ref = ref;
	memcpy(&runner.task->op.map, &op, sizeof(op));
	if (call(__HYPERVISOR_grant_table_op, GNTTABOP_map_grant_ref,
	    TASK_ADDR(op), 1, what) != 0)
		return (-1);
	*slot = i;
	*status = runner.task->op.map.status;
	if (*status == GNTST_okay) {
		runner.slot[i].used = true;
		runner.slot[i].handle = runner.task->op.map.handle;
	}
	return (0);
}

int
runner_unmap(unsigned slot, int *status, const char **what)
{
	struct gnttab_unmap_grant_ref op;

	*what = "no such slot";
	if (slot >= RUNNER_SLOTS || !runner.slot[slot].used)
		return (errno = ENOENT, -1);
	memset(&op, 0, sizeof(op));
	op.host_addr = SLOT_ADDR(slot);
	op.handle = runner.slot[slot].handle;
	memcpy(&runner.task->op.unmap, &op, sizeof(op));
	if (call(__HYPERVISOR_grant_table_op, GNTTABOP_unmap_grant_ref,
	    TASK_ADDR(op), 1, what) != 0)
		return (-1);
	*status = runner.task->op.unmap.status;
	if (*status == GNTST_okay)
		runner.slot[slot].used = false;
	return (0);
}

int
runner_read(unsigned slot, unsigned off, unsigned len, uint8_t *buf,
    const char **what)
{

	*what = "no such slot";
	if (slot >= RUNNER_SLOTS || !runner.slot[slot].used)
		return (errno = ENOENT, -1);
	if (perform(DO_COPY, SLOT_ADDR(slot) + off, TASK_ADDR(data), len, what)
	    != 0)
		return (-1);
	memcpy(buf, runner.task->data, len);
	return (0);
}

int
runner_write(unsigned slot, unsigned off, unsigned len, const uint8_t *buf,
    const char **what)
{

	*what = "no such slot";
	if (slot >= RUNNER_SLOTS || !runner.slot[slot].used)
		return (errno = ENOENT, -1);
	memcpy(runner.task->data, buf, len);
	return (perform(DO_COPY, TASK_ADDR(data), SLOT_ADDR(slot) + off, len,
	    what));
}

int
runner_bind(xc_interface *xch, xenforeignmemory_handle *fmem, uint32_t domid,
    uint32_t remote, uint32_t *port, const char **what)
{

	if (running(xch, fmem, domid, what) != 0)
		return (-1);
	runner.task->op.bind = (struct evtchn_bind_interdomain){
		.remote_port = remote,
	};
	if (call(__HYPERVISOR_event_channel_op, EVTCHNOP_bind_interdomain,
	    TASK_ADDR(op), 0, what) != 0)
		return (-1);
	*port = runner.task->op.bind.local_port;
	return (0);
}

int
runner_send(xc_interface *xch, xenforeignmemory_handle *fmem, uint32_t domid,
    uint32_t port, const char **what)
{

	if (running(xch, fmem, domid, what) != 0)
		return (-1);
	runner.task->op.send = (struct evtchn_send){ .port = port };
	return (call(__HYPERVISOR_event_channel_op, EVTCHNOP_send,
	    TASK_ADDR(op), 0, what));
}

int
runner_answer(xc_interface *xch, xenforeignmemory_handle *fmem, uint32_t domid,
    uint32_t page, uint32_t port, const char **what)
{

	if (running(xch, fmem, domid, what) != 0)
		return (-1);
	runner.task->op.send = (struct evtchn_send){ .port = port };
	return (begin(DO_ANSWER, page * PAGE, TASK_ADDR(op), 0, what));
}

int
runner_answered(const char **what)
{

	*what = "nothing is being answered";
	if (runner.task == NULL || runner.task->what != DO_ANSWER)
		return (errno = ENOENT, -1);
	return (finish(what));
}

bool
runner_clear(void)
{
	const char *what;
	unsigned i;
	int status;

	for (i = 0; i < RUNNER_SLOTS; i++)
		if (runner.slot[i].used && (runner_unmap(i, &status, &what) !=
		    0 || runner.slot[i].used))
			return (false);
	return (true);
}

void
runner_forget(void)
{

	if (runner.task != NULL)
		xenforeignmemory_unmap(runner.fmem, runner.task, 1);
	memset(&runner, 0, sizeof(runner));
}
