# SPDX-License-Identifier: BSD-2-Clause
"""What a FreeBSD user needs besides this tree to run ./dev parity, made on this machine."""

from __future__ import annotations

import importlib.metadata
import re
import subprocess
from collections.abc import Iterable, Iterator
from pathlib import Path

from devtools import freebsd_host, xenlibs
from devtools.environment import XEN_HEADERS
from devtools.freebsd_versions import Release


def packages() -> Iterator[Path]:
    """The files and directories in site-packages that the suite imports, and their dependencies."""
    todo = [_name(requirement) for requirement in freebsd_host.PACKAGES.values()]
    done = set()
    while todo:
        name = todo.pop()
        if name in done:
            continue
        done.add(name)
        found = importlib.metadata.distribution(name)
        todo += [_name(each) for each in found.requires or () if ";" not in each]
        for top in {file.parts[0] for file in found.files or ()} - {"..", "__pycache__"}:
            yield Path(str(found.locate_file(top)))


def _name(requirement: str) -> str:
    return re.split(r"[^\w.-]", requirement, maxsplit=1)[0]


def compiled(release: Release, build: Path) -> list[Path]:
    """The programs in a build directory, by the same commands; cc is this machine's compiler for
    FreeBSD."""
    headers = build / "include"
    headers.mkdir(parents=True)
    for path in XEN_HEADERS.glob("xen*"):
        (headers / path.name).symlink_to(path)
    (build / "compat-tests/agent").mkdir(parents=True)
    cross = [*xenlibs.compiler(release).split(), "-Wall", "-Wextra", "-Werror"]
    return [_compiled(cross, argv) for argv in freebsd_host.compilations(build, headers)]


def _compiled(cross: list[str], argv: Iterable[str | Path]) -> Path:
    cc, *arguments = map(str, argv)
    assert cc == "cc"
    subprocess.run([*cross, *arguments], check=True)
    return Path(arguments[-1])
