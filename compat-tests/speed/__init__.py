# SPDX-License-Identifier: BSD-2-Clause
"""What grants cost on real systems: our driver, FreeBSD's own, Linux's, and Xen alone."""
