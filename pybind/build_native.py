# SPDX-License-Identifier: BSD-2-Clause
"""Writes the C source of xengnttab._native: build_native.py PREPROCESSED OUTPUT; with OUTPUT alone,
the Python source of xengnttab._evtchn.

The declarations for cffi are those of xengnttab.h as the preprocessor leaves it (native.c), so
that none is copied by hand; the C compiler then checks them against the header.  libxenevtchn need
not be there to build or to use the package, so its few functions are declared here.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

from cffi import FFI

MARK = "BEGIN_XENGNTTAB_H"
SOURCE = """
#include <sys/mman.h>
#include <xengnttab.h>
#include "native.h"
"""
OWN = """
#define PROT_READ ...
#define PROT_WRITE ...
#define GNTCOPY_source_gref ...
#define GNTCOPY_dest_gref ...
struct xentoollog_logger *quiet_logger(void);
"""
# xenevtchn.h, version node VERS_1.0
EVENTS = """
void *xenevtchn_open(void *logger, unsigned int flags);
int xenevtchn_close(void *xce);
int xenevtchn_fd(void *xce);
int xenevtchn_notify(void *xce, uint32_t port);
int xenevtchn_bind_unbound_port(void *xce, uint32_t domid);
int xenevtchn_bind_interdomain(void *xce, uint32_t domid, uint32_t remote_port);
int xenevtchn_pending(void *xce);
int xenevtchn_unmask(void *xce, uint32_t port);
"""


def events(output: str) -> None:
    ffi = FFI()
    ffi.cdef(EVENTS)
    ffi.set_source("xengnttab._evtchn", None)
    ffi.emit_python_code(output)


def main() -> None:
    if len(sys.argv) == 2:
        events(sys.argv[1])
        return
    preprocessed, output = map(Path, sys.argv[1:])
    before, mark, header = preprocessed.read_text().partition(MARK)
    port = re.search(r"typedef \w+ evtchn_port_t;", before)
    if not mark or port is None:
        sys.exit(f"build_native.py: {preprocessed} is not native.c after the preprocessor")
    # Line markers, should the compiler have left them in.
    header = re.sub(r"^#.*$", "", header, flags=re.MULTILINE)
    ffi = FFI()
    ffi.cdef(port[0] + header + OWN)
    ffi.set_source("xengnttab._native", SOURCE)
    ffi.emit_c_code(str(output))


if __name__ == "__main__":
    main()
