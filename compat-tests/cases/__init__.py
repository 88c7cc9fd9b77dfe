# SPDX-License-Identifier: BSD-2-Clause
"""The cases of the parity suite, one module a subject."""

from __future__ import annotations

from .framework import Case, registered


def load() -> list[Case]:
    """All cases, in the order of the sections."""
    from . import (  # noqa: F401
        s21_files,
        s22_map,
        s23_mmap,
        s24_unmap,
        s25_offset,
        s26_notify,
        s27_grant_copy,
        s28_other,
        s29_mm,
        s29_pinned,
        s29_vm,
        s29_wired,
        s43_library,
        s210_alloc,
        s211_dealloc,
        s212_notify,
        s213_gntalloc_mmap,
        s214_peer_maps,
        s217_exit,
        s600_events,
        s601_advisories,
        s701_beside,
        s900_system,
    )

    return registered()
