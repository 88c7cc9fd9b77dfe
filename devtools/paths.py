# SPDX-License-Identifier: BSD-2-Clause
"""Paths: the tree, the build directories under build/ and the cache."""

from __future__ import annotations

import os
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BUILD = ROOT / "build"
VENV = BUILD / "venv"
LOGS = BUILD / "logs"
NATIVE = BUILD / "native"
ASAN = BUILD / "asan"
FUZZ = BUILD / "fuzz"
COVERAGE = BUILD / "coverage"
TSAN = BUILD / "tsan"
RESULTS = BUILD / "test"


def cache_dir() -> Path:
    """The directory for what is expensive to build or download and does not depend on this tree."""
    if own := os.environ.get("XENGNT_CACHE"):
        return Path(own)
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "xengnt"


def freebsd_build(release: int) -> Path:
    return BUILD / f"freebsd-{release}"
