# SPDX-License-Identifier: BSD-2-Clause
"""Files in a Dom0's image with which a worker can become a program on the library or in Python."""

from __future__ import annotations

import sys
from importlib.util import find_spec
from pathlib import Path

from agent.client import LIBRARY_WORKER
from testbed import image

LIBRARY = "/bin/xengnt-agent-lib"
PYTHON = "/bin/xengnt-agent-python"
SCRIPT = "/lib/xengnt/library_worker.py"
# By itself the interpreter would use the paths of the virtual environment.
START = f'#!/bin/sh\nexport PYTHONHOME=/\nexec /bin/python3 {SCRIPT} "$@"\n'


def files(build: Path) -> tuple[list[image.File], dict[str, tuple[str, ...]]]:
    """Files for the image, and the programs that they provide."""
    found: list[image.File] = []
    programs: dict[str, tuple[str, ...]] = {}
    program = build / "compat-tests/agent/xengnt-agent-lib"
    if program.is_file():
        found += image.program_files(program, LIBRARY)
        programs["library"] = (LIBRARY,)
    if find_spec("xengnttab") is not None:
        known = {item.dst for item in found}
        # The package's own run path leads to this library.
        python = image.python_files(Path(sys.executable), ["xengnttab"])
        found += [item for item in python if item.dst not in known]
        found += [
            image.File(START.encode(), PYTHON),
            image.File(LIBRARY_WORKER.read_bytes(), SCRIPT, 0o644),
        ]
        programs["python"] = (PYTHON,)
    return found, programs
