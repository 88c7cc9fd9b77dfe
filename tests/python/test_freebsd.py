# SPDX-License-Identifier: BSD-2-Clause
"""CPython and the package on a real FreeBSD: a Dom0 on Xen in QEMU, from FreeBSD's release sets.

FREEBSD_DIST=DIR pytest tests/python/test_freebsd.py

Both with the base system's driver beside ours and with it disabled.  The first run builds CPython
for FreeBSD (two minutes), later ones take it from the cache.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import targets.python_worker
from clients import freebsd_programs
from clients.helper import PEER, Program
from clients.shell import FreeBSDDom0 as Shell
from testbed.freebsd_sets import FreeBSD, missing
from testbed.freebsd_vm import FreeBSDDom0, Target
from testbed.image import File

from devtools import freebsd_python
from devtools.paths import ROOT, cache_dir
from tests.python import freebsd_checks
from tests.python.test_packaging import examples

pytestmark = pytest.mark.dom0

BOOT_SECONDS = 240.0
SHARE = "/usr/local/share/xengnttab"
CHECKS = f"{SHARE}/freebsd_checks.py"


def files(release: FreeBSD) -> list[File]:
    """Python, the package and its users, as files of the image."""
    found = {file.dst: file for file in freebsd_programs.Programs(release, cache_dir()).shared()}
    for file in targets.python_worker.files(release):
        found.setdefault(file.dst, file)
    more = {CHECKS: Path(freebsd_checks.__file__).read_bytes()}
    for number, text in enumerate(examples()):
        more[f"{SHARE}/readme/{number}.py"] = text.encode()
    for path in (ROOT / "pybind/examples").glob("*.py"):
        more[f"{SHARE}/examples/{path.name}"] = path.read_bytes()
    return [*found.values(), *(File(data, place, 0o444) for place, data in more.items())]


@pytest.fixture(scope="module", params=["freebsd", "freebsd-alone"])
def shell(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Shell]:
    named = os.environ.get("FREEBSD_DIST")
    if not named:
        pytest.skip("FREEBSD_DIST names no directory with FreeBSD's release sets")
    if shutil.which("qemu-system-x86_64") is None:
        pytest.skip("qemu-system-x86_64 is not installed")
    sets = Path(named)
    if absent := missing(sets):
        pytest.fail(f"{sets} lacks {', '.join(absent)}")
    release = FreeBSD(sets, cache_dir())
    target: Target = request.param
    machine = FreeBSDDom0(
        target, release, tmp_path_factory.mktemp(target), cache_dir(), files=files(release),
        environment={"xengnt.run": f"/bin/xengnt-relay 0x2f8 /bin/sh {freebsd_programs.SHELL}"},
    )  # fmt: skip
    with machine:
        yield Shell(machine, print, BOOT_SECONDS)


@pytest.mark.parametrize("name", [check.__name__ for check in freebsd_checks.CHECKS])
def test_on_freebsd(shell: Shell, name: str) -> None:
    mark = shell.machine.mark()
    command = f"{freebsd_python.PROGRAM} {CHECKS} {PEER} {name}"
    program = Program(shell, name, f"env LC_ALL=C.UTF-8 {command}")
    status = program.status()
    lines = program.said()
    assert status == 0, lines
    assert f"ok {name}" in lines, "\n".join(lines)
    assert shell.machine.alarms_since(mark) == []
