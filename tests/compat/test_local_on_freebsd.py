# SPDX-License-Identifier: BSD-2-Clause
"""./dev parity on a FreeBSD Dom0, as a user runs it: from a checkout, with the system's Python.

FREEBSD_DIST=DIR pytest tests/compat/test_local_on_freebsd.py

The release sets have no compiler, so the same cc commands run on this machine (--build).
XENGNT_LOCAL_CASES selects the cases.
"""

from __future__ import annotations

import compileall
import json
import os
import py_compile
import shlex
import subprocess
from collections import Counter
from pathlib import Path

import pytest
from clients import freebsd_programs
from clients.helper import Program
from clients.shell import FreeBSDDom0 as Shell
from testbed.freebsd_sets import FreeBSD, missing
from testbed.freebsd_vm import FreeBSDDom0
from testbed.image import File

from devtools import freebsd_python
from devtools.paths import ROOT, cache_dir
from tests import freebsd_suite
from tests.python.test_freebsd import BOOT_SECONDS, files

pytestmark = pytest.mark.dom0

TREE = "/usr/local/src/xengnt"
BUILD = "build/elsewhere"
CASES = os.environ.get("XENGNT_LOCAL_CASES", "copy.*,map.*,share.*,notify.*,python.*")


def checkout(scratch: Path) -> list[File]:
    """The tree as in git.  Compiled forms save an emulated processor minutes."""
    names = subprocess.check_output(
        ["git", "-C", ROOT, "ls-files", "-zco", "--exclude-standard"], text=True
    ).split("\0")
    for name in filter(None, names):
        if (ROOT / name).is_file():
            copy = scratch / name
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_bytes((ROOT / name).read_bytes())
    return _compiled(scratch, TREE)


def _compiled(tree: Path, place: str) -> list[File]:
    mode = py_compile.PycInvalidationMode.UNCHECKED_HASH
    compileall.compile_dir(tree, quiet=2, invalidation_mode=mode)
    return [
        File(path, f"{place}/{path.relative_to(tree)}", 0o555)
        for path in tree.rglob("*")
        if path.is_file()
    ]


def packages(scratch: Path) -> list[File]:
    """Python packages, without what is compiled for this machine."""
    for path in freebsd_suite.packages():
        subprocess.run(["cp", "-RL", path, scratch], check=True)
    for path in scratch.rglob("*.so"):
        path.unlink()
    return _compiled(scratch, freebsd_python.PACKAGES)


def test_as_a_user(tmp_path: Path) -> None:
    named = os.environ.get("FREEBSD_DIST")
    if not named:
        pytest.skip("FREEBSD_DIST names no directory with FreeBSD's release sets")
    if absent := missing(Path(named)):
        pytest.fail(f"{named} lacks {', '.join(absent)}")
    release = FreeBSD(Path(named), cache_dir())
    found = {file.dst: file for file in files(release)}
    for part in ("tree", "packages"):
        (tmp_path / part).mkdir()
    for file in (*checkout(tmp_path / "tree"), *packages(tmp_path / "packages")):
        found.setdefault(file.dst, file)
    for path in freebsd_suite.compiled(release.shared(), tmp_path / "build"):
        place = f"{TREE}/{BUILD}/compat-tests/agent/{path.name}"
        found[place] = File(path, place, 0o555)
    machine = FreeBSDDom0(
        "freebsd", release, tmp_path / "vm", cache_dir(), files=list(found.values()),
        environment={"xengnt.run": f"/bin/xengnt-relay 0x2f8 /bin/sh {freebsd_programs.SHELL}"},
    )  # fmt: skip
    with machine:
        shell = Shell(machine, print, BOOT_SECONDS)
        mark = machine.mark()
        command = ["parity", "--targets", "local", "--report", "/tmp/report", "--cases", CASES]
        program = Program(
            shell, "parity",
            f"env HOME=/tmp LC_ALL=C.UTF-8 {freebsd_python.PROGRAM} {TREE}/dev"
            f" {shlex.join(command)} --build {BUILD}",
        )  # fmt: skip
        status = program.status()
        lines = program.said()
        print("\n".join(lines))
        assert status == 0, lines
        report = json.loads(shell.must("cat /tmp/report/parity.json"))
        results = [case["results"]["local"]["status"] for case in report["cases"]]
        counts = Counter(results)
        print(counts, report["targets"]["local"])
        assert counts["pass"] > len(results) // 2
        assert set(counts) <= {"pass", "diff", "n/a"}
        assert machine.alarms_since(mark) == []
