# SPDX-License-Identifier: BSD-2-Clause
"""The parts of the runs on a FreeBSD Dom0 that need no machine."""

from __future__ import annotations

import signal
from collections import deque
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from clients import freebsd, freebsd_vchan, run
from clients.freebsd_session import Session
from clients.results import Report, table
from clients.shell import Failed


class _Script:
    """A control channel that answers with given lines."""

    def __init__(self, *lines: str) -> None:
        self.lines = deque(lines)
        self.sent: list[str] = []

    def sendline(self, line: str) -> None:
        self.sent.append(line)

    def readline(self, _: float) -> str:
        return self.lines.popleft()


def _session(*lines: str) -> tuple[Session, _Script]:
    script = _Script(*lines)
    machine: Any = SimpleNamespace(control=script)
    return Session(machine, lambda _: None), script


NEAR = (
    'vchan {"role": "client", "whole": true, "sent": 64, "received": 64, "sent_sum": "aa",'
    ' "received_sum": "bb", "seconds": 0.5, "overslept": 2}'
)
FAR = (
    'end {"role": "server", "whole": true, "sent": 64, "received": 64, "sent_sum": "bb",'
    ' "received_sum": "aa", "events": 3, "reminders": 0}'
)
BEGIN = ("end domid 7", "vchan open")
END = ("vchan! exit 0", "end! exit 0")


def test_a_transfer_with_equal_sums() -> None:
    session, script = _session(*BEGIN, NEAR, FAR, *END)
    figures = freebsd_vchan.transfer(session, "client", 64)
    assert figures["to helper"] == "aa" and figures["reminders"] == 0
    assert figures["overslept"] == 2
    start = [line.split() for line in script.sent if line.startswith("start")]
    # The helper domain is the other end; the library's end is told its number.
    assert start[0][3] == "server" and start[1][3:5] == ["client", "7"]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"received_sum": "aa"', '"received_sum": "ab"'),
        ('"sent_sum": "bb"', '"sent_sum": "ab"'),
        ('"whole": true', '"whole": false'),
    ],
)
def test_what_did_not_arrive_is_seen(old: str, new: str) -> None:
    session, _ = _session(*BEGIN, NEAR, FAR.replace(old, new), *END)
    with pytest.raises(Failed):
        freebsd_vchan.transfer(session, "client", 64)


def test_too_few_bytes_are_seen() -> None:
    session, _ = _session(*BEGIN, NEAR.replace('"sent": 64', '"sent": 56'), FAR, *END)
    with pytest.raises(Failed, match="56 and 64 bytes"):
        freebsd_vchan.transfer(session, "client", 64)


def test_a_program_that_cannot_start_is_not_waited_for() -> None:
    session, _ = _session("end domid 7", "vchan ld-elf.so.1: not found", "vchan! exit 1")
    with pytest.raises(Failed, match="exit 1; ld-elf"):
        freebsd_vchan.transfer(session, "client", 64)


def test_a_killed_end() -> None:
    gone = FAR.replace('"whole": true', '"whole": false')
    session, script = _session(*BEGIN, "end flowing", "vchan! signal 9", gone, "end! exit 0")
    freebsd_vchan.kill(session, "client")
    assert f"signal vchan {signal.SIGKILL:d}" in script.sent
    # The other end saw all of it arrive, or went on for ever: not what was asked.
    session, _ = _session(*BEGIN, "end flowing", "vchan! signal 9", FAR, "end! exit 0")
    with pytest.raises(Failed):
        freebsd_vchan.kill(session, "client")


def test_what_can_be_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert [step.name for step in freebsd.choose(["library"])] == ["library", "log"]
    with pytest.raises(SystemExit):
        run.main(["--freebsd", "/nowhere", "--modes", "sideways"])
    with pytest.raises(SystemExit):
        run.main(["--freebsd", "/nowhere", "--steps", "qdisk"])
    assert "no step 'qdisk' on FreeBSD" in capsys.readouterr().err
    assert run.main(["--freebsd", "/nowhere", "--list"]) == 0
    assert "vchan-server" in capsys.readouterr().out


def test_the_missing_sets_are_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    where = ["--report", str(tmp_path / "report"), "--cache", str(tmp_path / "cache")]
    assert run.main(["--freebsd", str(tmp_path), "--modes", "base", *where]) == 1
    assert "lacks base.txz, kernel.txz, src.txz" in capsys.readouterr().err


def test_a_report_is_called_after_its_mode() -> None:
    assert "on freebsd-base" in table(Report("freebsd-base", {}, {}, "0"))
    assert "on linux-pv" in table(Report("pv", {}, {}, "0"))
