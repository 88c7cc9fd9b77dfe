# SPDX-License-Identifier: BSD-2-Clause
"""fio from Debian's source package, as one static program for the Linux guest.

Debian's binary needs thirty libraries for storage systems that the guest does not use.
"""

from __future__ import annotations

from pathlib import Path

from devtools import parts, sources, stamp
from devtools.console import Console
from devtools.paths import cache_dir

_OFF = (
    "numa", "rdma", "rados", "rbd", "http", "gfapi", "libzbc", "xnvme", "tcmalloc", "libnfs",
    "dfs", "pmem",
)  # fmt: skip


def build(console: Console) -> Path:
    """The program, from the cache if nothing changed."""
    source = sources.obtain("fio")
    where = cache_dir() / "consumers/linux"
    part = parts.Part(
        "fio",
        [str(source / "configure"), "--build-static", "--disable-native",
         *(f"--disable-{name}" for name in _OFF)],
        ["make", "-j2", "fio"],
        "fio/fio",
        "Linux",
    )  # fmt: skip
    parts.make(console, where, part, part.key(stamp.digest(source.name)))
    return where / part.made
