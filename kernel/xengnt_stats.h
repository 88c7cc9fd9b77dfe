/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 The xengnt authors */
/* Counters and probes: gntdev(4), SYSCTL VARIABLES and DTRACE PROBES. */
#ifndef _XENGNT_STATS_H_
#define	_XENGNT_STATS_H_

#include <sys/types.h>
#include <sys/counter.h>
#include <sys/sdt.h>

SDT_PROVIDER_DECLARE(xengnt);

/* gntdev: index, pages; result of mmap. */
SDT_PROBE_DECLARE(xengnt, gntdev, map, done);
SDT_PROBE_DECLARE(xengnt, gntdev, unmap, done);
SDT_PROBE_DECLARE(xengnt, gntdev, mmap, done);
SDT_PROBE_DECLARE(xengnt, gntdev, release, done);
SDT_PROBE_DECLARE(xengnt, gntdev, release, defer);
SDT_PROBE_DECLARE(xengnt, gntdev, copy, done);
/* gntalloc: domid, reference. */
SDT_PROBE_DECLARE(xengnt, gntalloc, alloc, done);
SDT_PROBE_DECLARE(xengnt, gntalloc, free, done);
SDT_PROBE_DECLARE(xengnt, gntalloc, free, defer);
/* Both. */
SDT_PROBE_DECLARE(xengnt, , notify, send);
SDT_PROBE_DECLARE(xengnt, , slot, leak);

/* Current numbers; 0 again when everything is closed. */
extern counter_u64_t xengnt_maps;
extern counter_u64_t xengnt_grants;
/* Since the module was loaded. */
extern counter_u64_t xengnt_copy_ops;
extern counter_u64_t xengnt_copy_calls;
extern counter_u64_t xengnt_copy_bytes;
extern counter_u64_t xengnt_retries;
extern counter_u64_t xengnt_events;
extern counter_u64_t xengnt_events_lost;

#endif /* !_XENGNT_STATS_H_ */
