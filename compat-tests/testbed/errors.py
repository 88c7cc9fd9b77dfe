# SPDX-License-Identifier: BSD-2-Clause
"""The exceptions of the testbed: every message is one line that names what is wrong."""

from __future__ import annotations


class TestbedError(Exception):
    """Something that the testbed needs is missing or failed (not the subject of a test)."""

    __test__ = False  # pytest: this is no test class
