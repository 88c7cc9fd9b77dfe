# SPDX-License-Identifier: BSD-2-Clause
"""The implementation of ./dev.  Importing it needs only Python's standard library."""
