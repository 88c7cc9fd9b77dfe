/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What build_native.py reads, after the preprocessor.  The headers before the
 * mark leave nothing behind it but xengnttab.h's own text.
 */
#include <stdint.h>
#include <xen/grant_table.h>
#include <xen/event_channel.h>
BEGIN_XENGNTTAB_H
#include <xengnttab.h>
