# SPDX-License-Identifier: BSD-2-Clause
"""CPython and the package xengnttab as files of a FreeBSD Dom0's image."""

from __future__ import annotations

import sys
from pathlib import Path

from agent.client import LIBRARY_WORKER
from testbed.errors import TestbedError
from testbed.freebsd_sets import FreeBSD
from testbed.image import File

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from devtools import environment, freebsd_python, xenlibs
from devtools.console import Console, DevError

SCRIPT = "/usr/local/lib/xengnt/library_worker.py"
#: For Worker.exec(): the package's worker.
PROGRAM = (freebsd_python.PROGRAM, SCRIPT)


def files(release: FreeBSD) -> list[File]:
    """The interpreter, its library, cffi's run-time part, the package, and the library below it."""
    made = release.shared()
    console = Console()
    try:
        ours = environment.cross_library(console, made)
        python = freebsd_python.build(console, made)
        found = freebsd_python.runtime(release.base, python.values()) | python
    except DevError as error:
        raise TestbedError(str(error)) from error
    found[f"{freebsd_python.PREFIX}/lib/{xenlibs.SONAME}"] = ours
    return [
        *(File(path, place, 0o555) for place, path in found.items()),
        File(LIBRARY_WORKER.read_bytes(), SCRIPT, 0o444),
    ]
