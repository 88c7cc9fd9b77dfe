# SPDX-License-Identifier: BSD-2-Clause
"""Debian's own libxenvchan on our library, on our driver in the harness.

Two processes with the preload library are two domains of one machine.  A few functions over a
directory replace xenstore (compat-tests/clients/src/xenstore.c).
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

SECONDS = 120
MIB = 1 << 20
GONE = 3  # the other end went away


class Machine:
    """Programs in two domains."""

    def __init__(self, build: Path, directory: Path) -> None:
        self.channel = build / "compat-tests/clients/src/xengnt-vchan"
        preload = (
            build / "tests/harness/libxengnt-harness.so",
            build / "compat-tests/clients/src/libxengnt-xenstore.so",
        )
        self.library = build / "libxengnttab-freebsd"
        for path in (self.channel, *preload):
            if not path.exists():
                pytest.skip(f"{path} is not built")
        self.environment = {
            **os.environ,
            "LD_PRELOAD": " ".join(map(str, preload)),
            "LD_LIBRARY_PATH": str(self.library),
            "XENGNT_HARNESS_MACHINE": str(directory / "machine"),
            "XENGNT_XENSTORE": str(directory),
            "XENGNT_VCHAN_LINGER": "1",
        }
        self.running: list[subprocess.Popen[str]] = []

    def start(self, domid: int, *args: str | int) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [str(self.channel), *map(str, args)],
            env={**self.environment, "XENGNT_HARNESS_DOMID": str(domid)},
            text=True,
            stdin=subprocess.PIPE,  # its end of file lets the program end
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        self.running.append(process)
        return process

    def pair(self, amount: int, ring: int) -> tuple[subprocess.Popen[str], subprocess.Popen[str]]:
        """A server in domain 1, a client in Dom0."""
        server = self.start(1, "server", 0, "data/channel", amount, ring)
        path = "/local/domain/1/data/channel"
        return server, self.start(0, "client", 1, path, amount)


@pytest.fixture
def machine(build: Path, tmp_path: Path) -> Iterator[Machine]:
    found = Machine(build, tmp_path)
    yield found
    for process in found.running:
        process.kill()
        process.communicate()


def result(process: subprocess.Popen[str]) -> tuple[int, dict[str, Any]]:
    out, _ = process.communicate(timeout=SECONDS)
    # The harness's complaints about leftovers of a domain come after it.
    last = (out.splitlines() or ["no output"])[-1]
    assert last.startswith("{"), out
    return process.returncode, json.loads(last)


# Small rings are in the control page, larger ones have their own pages.
@pytest.mark.parametrize(("amount", "ring"), [(MIB, 0), (64 * MIB, 65536), (8 * MIB, MIB)])
def test_both_ways(machine: Machine, amount: int, ring: int) -> None:
    server, client = machine.pair(amount, ring)
    status, one = result(client)
    assert status == 0
    status, other = result(server)
    assert status == 0
    assert one["sent"] == one["received"] == other["sent"] == other["received"] == amount
    assert one["sent_sum"] == other["received_sum"]
    assert other["sent_sum"] == one["received_sum"]
    assert one["sent_sum"] != other["sent_sum"]


def opened(process: subprocess.Popen[str]) -> None:
    assert process.stdout is not None
    for line in process.stdout:
        if line == "open\n":
            return
    pytest.fail("the channel does not open")


# An idle end sleeps until the event; a busy one checks the byte itself.
@pytest.mark.parametrize("amount", [0, 1 << 40], ids=["idle", "busy"])
@pytest.mark.parametrize("killed", ["server", "client"])
def test_the_other_end_notices_a_death(machine: Machine, killed: str, amount: int) -> None:
    ends = dict(zip(("server", "client"), machine.pair(amount, 65536), strict=True))
    opened(ends["client"])
    opened(ends["server"])
    time.sleep(0.2)  # in the middle of the transfer
    ends[killed].send_signal(signal.SIGTERM)
    # The event is sent before the dying end has unmapped; until then the other's pages are in use.
    ends[killed].communicate(timeout=SECONDS)
    other = ends["client" if killed == "server" else "server"]
    status, said = result(other)
    assert status == GONE
    assert said["whole"] is False


def test_our_library_is_the_one_that_is_used(machine: Machine) -> None:
    server, client = machine.pair(1 << 40, 65536)
    opened(client)
    for process in (server, client):
        maps = Path(f"/proc/{process.pid}/maps").read_text()
        loaded = {line.split(maxsplit=5)[5] for line in maps.splitlines() if "libxengnttab" in line}
        assert {Path(path).parent for path in loaded} == {machine.library.resolve()}
