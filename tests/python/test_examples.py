# SPDX-License-Identifier: BSD-2-Clause
"""The programs of pybind/examples, each run as its first lines say."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from xengnttab import PAGE_SIZE

from devtools.paths import ROOT
from tests.python.machine import PATIENCE, Machine, let_go

EXAMPLES = ROOT / "pybind/examples"


def start(machine: Machine, domid: int, name: str, *arguments: str, **options: Any) -> Any:
    pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    process = subprocess.Popen(
        [sys.executable, "-W", "error", EXAMPLES / name, *arguments],
        env={**os.environ, **machine.env(domid)},
        **{**pipes, **options},
    )
    machine.running.append(process)
    return process


def end(process: Any, given: bytes = b"") -> bytes:
    out, err = process.communicate(given, timeout=PATIENCE)
    assert (process.returncode, err) == (0, b"")
    return bytes(out)


def test_each_has_a_test() -> None:
    names = {path.name for path in EXAMPLES.glob("*.py")}
    text = Path(__file__).read_text()
    assert names and all(f'"{name}"' in text for name in names)
    listed = (EXAMPLES / "README.md").read_text()
    assert all(name in listed for name in names)


def test_share_page(machine: Machine) -> None:
    sharer = start(machine, 1, "share_page.py", "share", "0", "good morning")
    ref = sharer.stdout.readline().decode().strip()
    assert end(start(machine, 0, "share_page.py", "read", "1", ref)) == b"good morning\n"
    assert end(sharer, b"\n") == b""


def test_copy_page(machine: Machine, tmp_path: Path) -> None:
    content = os.urandom(2 * PAGE_SIZE)
    (tmp_path / "in").write_bytes(content)
    sharer, refs = machine.share(1, "0", "--pages", "2", "--file", str(tmp_path / "in"))
    copier = start(
        machine, 0, "copy_page.py", "1", str(tmp_path / "out"), refs[1], "999999", refs[0]
    )
    out, err = copier.communicate(timeout=PATIENCE)
    assert (copier.returncode, out, err) == (0, b"", b"grant 999999: bad gntref\n")
    copied = (tmp_path / "out").read_bytes()
    assert copied == content[PAGE_SIZE:] + bytes(PAGE_SIZE) + content[:PAGE_SIZE]
    let_go(sharer)


def test_numpy_mapping(machine: Machine, tmp_path: Path) -> None:
    numpy = pytest.importorskip("numpy")
    numbers = numpy.arange(PAGE_SIZE // 4, dtype="<u4")
    (tmp_path / "in").write_bytes(numbers.tobytes())
    sharer, (ref,) = machine.share(
        1, "0", "--writable", "--file", str(tmp_path / "in"), "-o", str(tmp_path / "out")
    )
    doubled = end(start(machine, 0, "numpy_mapping.py", "1", ref))
    assert doubled == f"{2 * int(numbers.sum())}\n".encode()
    let_go(sharer)
    assert (tmp_path / "out").read_bytes() == (numbers * 2).tobytes()


def test_ring(machine: Machine) -> None:
    """Many times the size of the ring, so that both sides wait."""
    content = os.urandom(20000).replace(b"\0", b"x")
    receiver = start(machine, 0, "ring.py", "receive", "1")
    ref, port = receiver.stdout.readline().decode().split()
    sender = start(machine, 1, "ring.py", "send", "0", ref, port)
    sender.stdin.write(content)
    sender.stdin.close()
    sender.stdin = None
    assert end(receiver) == content
    assert end(sender) == b""


def test_ring_of_a_hostile_domain(machine: Machine) -> None:
    """Impossible counters end it with an error."""
    receiver = start(machine, 0, "ring.py", "receive", "1")
    ref, port = receiver.stdout.readline().decode().split()
    program = f"""
from xengnttab import EventChannel, GrantTable
with GrantTable() as table, EventChannel(0, {port}) as channel:
    with table.map(0, {ref}, writable=True) as page:
        page.write(b"\\xff\\xff\\xff\\x7f")
        channel.notify()
"""
    assert machine.run(1, program=program) == (0, "", "")
    _, err = receiver.communicate(timeout=PATIENCE)
    assert receiver.returncode == 1 and b"the other domain broke the ring" in err
