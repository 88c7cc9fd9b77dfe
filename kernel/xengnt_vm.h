/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 The xengnt authors */
/* The kernel's pages, in the order that their headers want; included first. */
#ifndef _XENGNT_VM_H_
#define	_XENGNT_VM_H_

#include <sys/param.h>

#include <vm/vm.h>
#include <vm/pmap.h>
#include <vm/vm_page.h>

#endif /* !_XENGNT_VM_H_ */
