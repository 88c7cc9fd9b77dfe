# SPDX-License-Identifier: BSD-2-Clause
"""Xen grant tables: share pages of memory with other domains, map the pages they share."""

from xengnttab._pages import PAGE_SIZE
from xengnttab.errors import (
    DeviceError,
    DeviceMissingError,
    DevicePermissionError,
    GrantError,
    MapError,
    ShareError,
    UnmapError,
)
from xengnttab.share import GrantShare, SharedPages
from xengnttab.table import Grant, GrantTable, Mapping

__version__ = "0.1.0"

__all__ = [
    "PAGE_SIZE",
    "DeviceError",
    "DeviceMissingError",
    "DevicePermissionError",
    "Grant",
    "GrantError",
    "GrantShare",
    "GrantTable",
    "MapError",
    "Mapping",
    "ShareError",
    "SharedPages",
    "UnmapError",
]
