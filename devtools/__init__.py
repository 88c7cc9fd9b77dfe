# SPDX-License-Identifier: BSD-2-Clause
"""What ./dev is made of.  Nothing here needs more than Python's standard library to be imported."""
