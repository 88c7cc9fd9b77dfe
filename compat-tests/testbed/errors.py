# SPDX-License-Identifier: BSD-2-Clause
"""The one exception family of the testbed: every message is one line naming what is wrong."""

from __future__ import annotations


class TestbedError(Exception):
    """Something the testbed needs is missing or failed (the rig broke, not the subject)."""

    __test__ = False  # pytest: this is no test class
