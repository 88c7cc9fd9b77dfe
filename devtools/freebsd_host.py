# SPDX-License-Identifier: BSD-2-Clause
"""./dev parity on FreeBSD itself: builds agent and library with the system's tools, runs `local`.

Nothing else of ./dev runs there, and nothing is installed but Python packages in build/venv.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from devtools.console import DevError
from devtools.paths import NATIVE, ROOT, VENV

# What the parity suite imports; no compiled package among them but jinja2's markupsafe.
PACKAGES = ("rich>=13.9", "jinja2>=3.1", "junitparser>=3.2", "markdown-it-py>=3.0")
# Where the package xen-tools puts Xen's public headers.
XEN_HEADERS = Path("/usr/local/include")
TOOLS = {"meson": "meson", "ninja": "ninja", "cc": "the base system"}


def _call(argv: Sequence[str | Path]) -> None:
    print("  " + " ".join(map(str, argv)), flush=True)
    if subprocess.call([str(word) for word in argv], cwd=ROOT) != 0:
        raise DevError(f"{Path(argv[0]).name} failed")


def check() -> None:
    """One line that names all that is missing."""
    absent = [package for tool, package in TOOLS.items() if shutil.which(tool) is None]
    if not (XEN_HEADERS / "xen/grant_table.h").is_file():
        absent.append("xen-tools")
    if absent:
        raise DevError(f"missing here: pkg install {' '.join(absent)}")


def commands(python: Path, arguments: Sequence[str]) -> list[list[str | Path]]:
    """What is run, in order; set-up steps only where their result is not there."""
    done: list[list[str | Path]] = []
    if not python.exists():
        done.append([sys.executable, "-m", "venv", VENV])
        done.append([python, "-m", "pip", "install", "--quiet", *PACKAGES])
    if not (NATIVE / "build.ninja").exists():
        done.append(["meson", "setup", NATIVE, ROOT, f"-Dxen_headers={XEN_HEADERS}"])
    done.append(["ninja", "-C", NATIVE])
    chosen = [] if "--targets" in " ".join(arguments) else ["--targets", "local"]
    suite = ROOT / "compat-tests/parity.py"
    done.append([python, suite, "--build", NATIVE, *chosen, *arguments])
    return done


def run(command: str, arguments: Sequence[str]) -> int:
    """The only command that makes sense there."""
    if command != "parity":
        raise DevError(
            f"on FreeBSD ./dev runs parity only, not {command}; see docs/freebsd-host.md"
        )
    check()
    *before, last = commands(VENV / "bin/python3", arguments)
    for argv in before:
        _call(argv)
    sys.stdout.flush()
    return subprocess.call([str(word) for word in last], cwd=ROOT, env=dict(os.environ))
