/* SPDX-License-Identifier: BSD-2-Clause */
/* Shared by the shim's files; the driver never sees it. */
#ifndef _KPI_H_
#define	_KPI_H_

#include <sys/param.h>
#include <sys/systm.h>
#include <sys/conf.h>
#include <sys/lock.h>
#include <sys/proc.h>

#include <vm/vm.h>
#include <vm/vm_page.h>
#include <vm/vm_object.h>
#include <vm/vm_map.h>
#include <vm/vm_pager.h>

#include "harness.h"
#include "os/host_os.h"
#include "xen/model.h"

/* Guest-physical layout of our domain, in pages. */
#define	KPI_RAM_FIRST		0x100u
#define	KPI_RAM_END		0x20000u
#define	KPI_XENMEM_FIRST	0x100000u
#define	KPI_XENMEM_END		XEN_MODEL_GFNS

extern struct xen_machine *kpi_machine;
extern struct xen_domain *kpi_domain;
/* A forked child is dropping what it inherited: the machine is not ours. */
extern bool kpi_inherited;

extern struct vmspace kpi_vmspace;

/* kern.c */
void	kpi_message(const char *fmt, ...) __printflike(1, 2);
u_int	kpi_leaked_allocs(u_int *lines);
void	kpi_malloc_counts(u_long *allocs, u_long *bytes, u_long *requests);
extern volatile u_int kpi_counters_live;
extern volatile u_int kpi_pauses;
extern volatile u_long kpi_paused_ms;
int	kpi_sysctl(const char *name, const u_int *newval, u_int *oldval);
int	kpi_sysctl64(const char *name, uint64_t *value);

/* lock.c: panic if the calling thread holds what it must not. */
void	kpi_no_sleep(const char *what);
void	kpi_no_locks(const char *what);
void	kpi_no_map_lock(const char *what);
u_int	kpi_locks_live(void);
void	kpi_locks_report(void);
uint64_t kpi_lock_count(const char *name);

/* taskqueue.c */
u_int	kpi_tasks_run(void);
void	kpi_tasks_stop(void);
void	kpi_tasks_fork_child(void);

/* fail.c */
u_int	kpi_faults_made(void);
void	kpi_spare(bool on);

/* eventhandler.c */
u_int	kpi_eventhandlers_live(void);
void	kpi_process_exit(struct proc *);

/* evtchn_dev.c */
void	kpi_evtchn_load(void);
void	kpi_evtchn_unload(void);
bool	kpi_evtchn_busy(void);
void	kpi_evtchn_scan(void);
void	kpi_evtchn_fork_child(void);

/* page.c */
vm_page_t kpi_hold_page(vm_offset_t va, vm_prot_t);
u_int	kpi_pages_live(void);
u_int	kpi_fakes_live(void);
void	kpi_page_range_init(vm_page_t pages, vm_paddr_t start, u_int n);

/* object.c */
u_int	kpi_objects_live(void);
/* The page at pidx, resident or from the pager; NULL if there is none. */
/* The map is changed while a fault is in the pager. */
extern bool kpi_map_changes;
vm_page_t kpi_object_page(vm_object_t, vm_pindex_t, bool shadowed);

/* map.c */
void	kpi_map_init(void);
u_int	kpi_entries_live(void);
int	kpi_map_insert(vm_object_t, vm_ooffset_t, vm_offset_t *addr,
	    vm_size_t, vm_prot_t prot, vm_prot_t maxprot, int flags);
/* What happens to the host's mappings behind the entries of a range. */
enum kpi_unmap {
	KPI_UNMAP_RANGE,	/* go, with everything else in the range */
	KPI_UNMAP_OURS,		/* go */
	KPI_UNMAP_NOTHING,	/* stay, or are somebody else's already */
};
void	kpi_map_remove(vm_offset_t start, vm_offset_t end, enum kpi_unmap);
/* A fault, on an object that is shadowed or not. */
int	kpi_map_fault(vm_offset_t, bool shadowed);
extern bool kpi_map_lazy;
/* mlock(2) and munlock(2); mlockall(MCL_FUTURE). */
void	kpi_map_wire(vm_offset_t, vm_offset_t, bool wire);
extern bool kpi_map_wire_future;
int	kpi_map_protect(vm_offset_t start, vm_offset_t end, vm_prot_t);
bool	kpi_map_overlaps(vm_offset_t start, vm_offset_t end);
/* Nothing is mapped at the page's guest-physical address any more. */
void	kpi_map_page_gone(vm_page_t);

/* bus.c */
int	kpi_modules_load(void);
int	kpi_modules_unload(void);
int	kpi_modules_suspend(void);

/* xen.c */
u_int	kpi_resources_live(void);
u_int	kpi_resources_made(void);
u_int	kpi_grants_live(void);
u_int	kpi_grants_busy(void);
vm_page_t kpi_xenmem_page(vm_paddr_t);
int	kpi_xen_init(void);
void	kpi_xen_fini(void);
int	kpi_frame_protection(enum xen_p2m_type, vm_prot_t,
	    enum os_map_kind *);

/* devfs.c */
void	kpi_devfs_init(void);
u_int	kpi_files_live(void);
void	kpi_files_close_all(void);
u_int	kpi_nodes_live(void);

/* harness.c */
void	kpi_enter(void);
/* Waits until nobody who was inside the driver still is. */
void	kpi_barrier(void);
void	kpi_leave(const char *what);

#endif /* !_KPI_H_ */
