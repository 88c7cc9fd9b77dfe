/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 The xengnt authors */

#include <sys/param.h>
#include <sys/systm.h>
#include <sys/kernel.h>

#include "xengnt.h"
#include "xengnt_stats.h"

COUNTER_U64_DEFINE_EARLY(xengnt_maps);
SYSCTL_COUNTER_U64(_hw_xen_gntdev, OID_AUTO, maps, CTLFLAG_RD, &xengnt_maps,
    "Mappings that exist");
COUNTER_U64_DEFINE_EARLY(xengnt_grants);
SYSCTL_COUNTER_U64(_hw_xen_gntdev, OID_AUTO, grants, CTLFLAG_RD,
    &xengnt_grants, "Mapped grants");
COUNTER_U64_DEFINE_EARLY(xengnt_copy_ops);
SYSCTL_COUNTER_U64(_hw_xen_gntdev, OID_AUTO, copy_ops, CTLFLAG_RD,
    &xengnt_copy_ops, "Grant copy operations issued");
COUNTER_U64_DEFINE_EARLY(xengnt_copy_calls);
SYSCTL_COUNTER_U64(_hw_xen_gntdev, OID_AUTO, copy_calls, CTLFLAG_RD,
    &xengnt_copy_calls, "Grant copy hypercalls");
COUNTER_U64_DEFINE_EARLY(xengnt_copy_bytes);
SYSCTL_COUNTER_U64(_hw_xen_gntdev, OID_AUTO, copy_bytes, CTLFLAG_RD,
    &xengnt_copy_bytes, "Bytes copied by grant copy");
COUNTER_U64_DEFINE_EARLY(xengnt_retries);
SYSCTL_COUNTER_U64(_hw_xen_gntdev, OID_AUTO, retries, CTLFLAG_RD,
    &xengnt_retries, "Operations repeated because a page was paged out");
COUNTER_U64_DEFINE_EARLY(xengnt_events);
SYSCTL_COUNTER_U64(_hw_xen_gntdev, OID_AUTO, events, CTLFLAG_RD,
    &xengnt_events, "Unmap notifications sent by both devices");
COUNTER_U64_DEFINE_EARLY(xengnt_events_lost);
SYSCTL_COUNTER_U64(_hw_xen_gntdev, OID_AUTO, events_lost, CTLFLAG_RD,
    &xengnt_events_lost,
    "Unmap notifications whose event channel was gone");

SDT_PROVIDER_DEFINE(xengnt);

SDT_PROBE_DEFINE2(xengnt, gntdev, map, done,
    "uint64_t", "uint32_t");		/* index, pages */
SDT_PROBE_DEFINE2(xengnt, gntdev, unmap, done,
    "uint64_t", "uint32_t");		/* index, pages */
SDT_PROBE_DEFINE4(xengnt, gntdev, mmap, done,
    "uint64_t", "uint32_t", "bool", "int"); /* …, read-only, errno */
SDT_PROBE_DEFINE2(xengnt, gntdev, release, done,
    "uint64_t", "uint32_t");		/* index, pages */
SDT_PROBE_DEFINE2(xengnt, gntdev, release, defer,
    "uint64_t", "uint32_t");		/* index, pages */
SDT_PROBE_DEFINE2(xengnt, gntdev, copy, done,
    "uint32_t", "int");			/* segments, errno */
SDT_PROBE_DEFINE2(xengnt, gntalloc, alloc, done,
    "uint16_t", "uint32_t");		/* domid, reference */
SDT_PROBE_DEFINE1(xengnt, gntalloc, free, done,
    "uint32_t");			/* reference */
SDT_PROBE_DEFINE2(xengnt, gntalloc, free, defer,
    "uint32_t", "uint32_t");		/* reference, tries */
SDT_PROBE_DEFINE2(xengnt, , notify, send,
    "uint32_t", "bool");		/* port, whether it was sent */
SDT_PROBE_DEFINE1(xengnt, , slot, leak,
    "uint64_t");			/* guest-physical address */
