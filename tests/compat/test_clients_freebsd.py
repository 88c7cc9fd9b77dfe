# SPDX-License-Identifier: BSD-2-Clause
"""The parts of the runs on a FreeBSD Dom0 that need no machine."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any, ClassVar

import pytest
from clients import freebsd_programs, helper, run
from clients.guests import Run
from clients.shell import Failed, FreeBSDDom0

NEAR = (
    '{"role": "client", "whole": true, "sent": 64, "received": 64, "sent_sum": "aa",'
    ' "received_sum": "bb", "seconds": 0.5, "overslept": 2}'
)
FAR = (
    '{"role": "server", "whole": true, "sent": 64, "received": 64, "sent_sum": "bb",'
    ' "received_sum": "aa", "events": 3, "reminders": 0}'
)


class Program:
    """A fake program in Dom0: its output and how it ends."""

    script: ClassVar[dict[str, tuple[list[str], int]]] = {}
    commands: ClassVar[list[str]] = []

    def __init__(self, _: Any, name: str, command: str) -> None:
        self.pid = 4711
        self._said, self._status = self.script[name]
        self.commands.append(command)

    def said(self) -> list[str]:
        return self._said

    def line(self, start: str) -> str:
        for line in self._said:
            if line.startswith(start):
                return line
        raise Failed(f"status {self._status}: {self._said}")

    def status(self) -> int:
        return self._status


class Dom0:
    def __init__(self) -> None:
        self.commands: list[str] = []

    def must(self, command: str, what: str | None = None) -> str:
        self.commands.append(command)
        return ""


@pytest.fixture
def it(monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.setattr(helper, "Program", Program)
    Program.script = {
        "helper": (["domid 7", "flowing", FAR], 0), "vchan": (["open", NEAR], 0),
    }  # fmt: skip
    Program.commands = []
    dom0: Any = Dom0()
    return Run("freebsd", dom0, {}, "", "", "/ours", 64, True, ())


def test_a_transfer_with_equal_sums(it: Run) -> None:
    figures = helper.transfer(it, "client")
    assert (figures["events"], figures["reminders"], figures["overslept"]) == (3, 0, 2)
    end, near = Program.commands
    # The helper domain is the other end; the library's end is given its number.
    assert end.split()[1] == "server" and " client 7 " in near
    assert f"LD_LIBRARY_PATH={helper.STORE_LIBRARY}:/ours " in near


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('"received_sum": "aa"', '"received_sum": "ab"', "checksums differ"),
        ('"sent_sum": "bb"', '"sent_sum": "ab"', "checksums differ"),
        ('"whole": true', '"whole": false', "not all arrived"),
    ],
)
def test_what_did_not_arrive_is_seen(it: Run, old: str, new: str, message: str) -> None:
    Program.script["helper"] = (["domid 7", FAR.replace(old, new)], 0)
    with pytest.raises(Failed, match=message):
        helper.transfer(it, "client")


def test_too_few_bytes_are_seen(it: Run) -> None:
    Program.script["vchan"] = (["open", NEAR.replace('"sent": 64', '"sent": 56')], 0)
    with pytest.raises(Failed, match="56 and 64 bytes"):
        helper.transfer(it, "client")


def test_a_program_that_cannot_start_is_not_waited_for(it: Run) -> None:
    Program.script["vchan"] = (["ld-elf.so.1: not found"], 1)
    with pytest.raises(Failed, match="status 1"):
        helper.transfer(it, "client")


def test_a_killed_end(it: Run) -> None:
    gone = FAR.replace('"whole": true', '"whole": false')
    Program.script = {"helper": (["domid 7", "flowing", gone], 0), "vchan": (["open"], 137)}
    helper.kill(it, "client")
    dom0: Any = it.dom0
    assert dom0.commands == ["kill -9 4711"]
    # The other end saw all of it arrive and was not notified of a death.
    Program.script["helper"] = (["domid 7", "flowing", FAR], 0)
    with pytest.raises(Failed):
        helper.kill(it, "client")


def test_counters_are_read_from_sysctl() -> None:
    said = "hw.xen.gntdev.copy_bytes: 4096\nhw.xen.gntdev.slots.free: 512\nhw.xen.gntalloc.pages: 0"

    class Shell(FreeBSDDom0):
        def __init__(self) -> None:
            pass

        def run(self, command: str) -> tuple[int, str]:
            return 0, said

    assert Shell().counters() == {
        "gntdev.copy_bytes": 4096, "gntdev.slots.free": 512, "gntalloc.pages": 0,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("given", "left"),
    [
        (["-a", "-vnc", "none", "b c"], ["-a", "b c"]),
        (["-vnc", "none"], []),
        (["-name", "", "-nographic"], ["-name", "", "-nographic"]),
    ],
)
def test_qemu_is_started_without_vnc(tmp_path: Path, given: list[str], left: list[str]) -> None:
    source = Path(freebsd_programs.__file__).parent / "qemu-without-vnc.sh"
    wrapper = tmp_path / source.name
    wrapper.write_bytes(source.read_bytes())
    program = tmp_path / "qemu-system-i386"
    program.write_text('#!/bin/sh\nfor a; do printf "%s\\0" "$a"; done\n')
    program.chmod(0o755)
    done = subprocess.run(["sh", wrapper, *given], capture_output=True, text=True, check=True)
    assert done.stdout.split("\0")[:-1] == left


def test_what_can_be_named(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        run.main(["--freebsd", "/nowhere", "--targets", "sideways"])
    assert "no target 'sideways'" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        run.main(["--targets", "linux-pvh,freebsd"])
    assert "freebsd needs FreeBSD's release sets" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        run.main(["--freebsd", "/nowhere", "--steps", "nonsense"])
    assert "no step 'nonsense'" in capsys.readouterr().err
    assert run.main(["--freebsd", "/nowhere", "--list"]) == 0
    assert "qdisk-media" in capsys.readouterr().out


def test_the_missing_sets_are_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    where = ["--report", str(tmp_path / "report"), "--cache", str(tmp_path / "cache")]
    assert run.main(["--freebsd", str(tmp_path), "--targets", "freebsd-base", *where]) == 1
    assert "lacks base.txz, kernel.txz, src.txz" in capsys.readouterr().err
