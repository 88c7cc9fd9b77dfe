# SPDX-License-Identifier: BSD-2-Clause
"""./dev parity on FreeBSD itself: compiles the agent with the system's cc and runs target `local`.

No other command of ./dev works there.  Nothing is installed but Python packages in build/venv, if
the system's Python lacks them.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from devtools.console import DevError
from devtools.paths import NATIVE, ROOT, VENV

sys.path.insert(0, str(ROOT / "compat-tests"))

from agent import recipe

# What the parity suite imports, by module; the only compiled one is jinja2's markupsafe.
PACKAGES = {
    "rich": "rich>=13.9",
    "jinja2": "jinja2>=3.1",
    "junitparser": "junitparser>=3.2",
    "markdown_it": "markdown-it-py>=3.0",
    "elftools": "pyelftools>=0.29",
}
# Where the package xen-tools puts Xen's public headers.
XEN_HEADERS = Path("/usr/local/include")


def _call(argv: Sequence[str | Path], shown: str) -> None:
    print(f"  {shown}", flush=True)
    if subprocess.call([str(word) for word in argv], cwd=ROOT) != 0:
        raise DevError(f"{shown} failed: {' '.join(map(str, argv))}")


def check() -> None:
    """Raises an error that names everything missing for compiling the programs."""
    absent = []
    if shutil.which("cc") is None:
        absent.append("cc (of the base system, or of a package such as llvm)")
    if not (XEN_HEADERS / "xenctrl.h").is_file():
        absent.append(f"{XEN_HEADERS}/xenctrl.h (pkg install xen-tools)")
    if absent:
        raise DevError(f"missing here: {', '.join(absent)}; or --build DIR with the programs")


def compilations(build: Path, headers: Path) -> list[list[str | Path]]:
    """Commands that compile the programs, each to its place in a build directory."""
    return [
        ["cc", *arguments, "-isystem", headers, "-o", build / "compat-tests/agent" / name]
        for name, arguments in recipe.freebsd_programs().items()
    ]


def python() -> Path:
    """The system's Python if it has the packages, else that of build/venv."""
    own = all(importlib.util.find_spec(module) for module in PACKAGES)
    return Path(sys.executable) if own else VENV / "bin/python3"


def run(command: str, arguments: Sequence[str]) -> int:
    """Runs the only command that works there."""
    if command != "parity":
        raise DevError(
            f"on FreeBSD ./dev runs parity only, not {command}; see docs/freebsd-host.md"
        )
    interpreter = python()
    if not interpreter.exists():
        _call([sys.executable, "-m", "venv", VENV], "Python environment")
        _call([interpreter, "-m", "pip", "install", "--quiet", *PACKAGES.values()], "packages")
    chosen = list(arguments)
    named = {word.partition("=")[0] for word in arguments}
    if not named & {"--build", "--help", "-h", "--list", "--rows"}:
        check()
        (NATIVE / "compat-tests/agent").mkdir(parents=True, exist_ok=True)
        for argv in compilations(NATIVE, XEN_HEADERS):
            _call(argv, f"cc {Path(argv[-1]).name}")
        chosen += ["--build", str(NATIVE)]
    if "--targets" not in named:
        chosen += ["--targets", "local"]
    sys.stdout.flush()
    suite = ROOT / "compat-tests/parity.py"
    return subprocess.call([interpreter, suite, *chosen], cwd=ROOT, env=dict(os.environ))
