# SPDX-License-Identifier: BSD-2-Clause
"""Event channels: libxenevtchn on the harness, each process a domain."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator

import pytest
import xengnttab._events
from xengnttab import DeviceMissingError, EventChannel
from xengnttab.cli import main

from tests.python.fake_library import FakeLibrary
from tests.python.machine import PATIENCE, Machine

WAITER = """
import sys
from xengnttab import EventChannel
with EventChannel(1) as channel:
    print(channel.port, flush=True)
    for line in sys.stdin:
        print(eval(line, {"c": channel}), flush=True)
"""


class Remote:
    """An event channel in another domain, which follows commands."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        assert process.stdout is not None
        self.port = int(process.stdout.readline())

    def ask(self, expression: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(expression + "\n")
        self.process.stdin.flush()

    def answer(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def __call__(self, expression: str) -> str:
        self.ask(expression)
        return self.answer()


@pytest.fixture
def remote(machine: Machine) -> Iterator[Remote]:
    yield Remote(machine.start(0, program=WAITER))


def peer(machine: Machine, port: int, program: str) -> str:
    """The output of a program in domain 1 that is bound to the channel."""
    program = f"""
from xengnttab import EventChannel
with EventChannel(0, {port}) as channel:
{program}
"""
    status, out, err = machine.run(1, program=program)
    assert (status, err) == (0, "")
    return out


def test_events_both_ways(machine: Machine, remote: Remote) -> None:
    assert remote("c.pending()") == "False"
    assert remote("c.wait(0)") == "False"
    assert remote("c.wait(0.05)") == "False"
    remote.ask("c.wait(60)")
    out = peer(machine, remote.port, """
    # Xen marks an event as pending in a channel to which another one is bound.
    print(channel.wait(60), channel.pending(), channel.port > 0, channel.domid)
    channel.notify()
    """)  # fmt: skip
    assert out == "True False True 0\n"
    assert remote.answer() == "True"
    assert remote("c.pending()") == "False"


def test_masked_until_unmasked(machine: Machine, remote: Remote) -> None:
    remote.ask("c.wait(60)")
    other = machine.start(1, program=f"""
import sys
from xengnttab import EventChannel
with EventChannel(0, {remote.port}) as channel:
    for line in sys.stdin:
        channel.notify()
        print("done", flush=True)
""")  # fmt: skip
    assert other.stdin is not None and other.stdout is not None

    def notify() -> None:
        other.stdin.write("\n")  # type: ignore[union-attr]
        other.stdin.flush()  # type: ignore[union-attr]
        assert other.stdout.readline() == "done\n"  # type: ignore[union-attr]

    notify()
    assert remote.answer() == "True"
    notify()
    assert remote("c.pending()") == "False"
    assert remote("c.unmask()") == "None"
    # The event is kept meanwhile.
    assert remote("c.wait(60)") == "True"
    notify()
    # A wait unmasks by itself.
    assert remote("c.wait(60)") == "True"


def test_closed_by_another_thread(machine: Machine) -> None:
    program = """
import threading
from xengnttab import EventChannel
channel = EventChannel(1)
def wait():
    try:
        channel.wait()
    except ValueError as error:
        print(error)
thread = threading.Thread(target=wait)
thread.start()
channel.close()
thread.join()
for use in (channel.notify, channel.pending, channel.unmask, channel.wait, channel.fileno):
    try:
        use()
    except ValueError as error:
        print(error)
print(channel)
"""
    status, out, err = machine.run(0, program=program)
    assert (status, err) == (0, "")
    assert out == "EventChannel is closed\n" * 6 + "<EventChannel: closed>\n"


def test_many_threads_wait_for_one_event(machine: Machine, remote: Remote) -> None:
    """One of them takes it, and none blocks in a read."""
    program = f"""
import sys, threading
from xengnttab import EventChannel
with EventChannel(0, {remote.port}) as channel:
    channel.wait(60)
    channel.unmask()
    taken, done = [], threading.Event()
    def wait():
        while not done.is_set():
            if channel.wait(0.05):
                taken.append(1)
    threads = [threading.Thread(target=wait) for _ in range(8)]
    for thread in threads:
        thread.start()
    print("waiting", flush=True)
    sys.stdin.readline()
    done.wait(0.2)
    done.set()
    for thread in threads:
        thread.join()
    print(len(taken) + channel.pending())
"""
    process = machine.start(1, program=program)
    assert process.stdout is not None
    assert process.stdout.readline() == "waiting\n"
    assert remote("c.notify()") == "None"
    out, err = process.communicate("\n", timeout=PATIENCE)
    assert (process.returncode, out, err) == (0, "1\n", "")


ASYNC = """
    import asyncio
    async def main():
        print(await channel.wait_async(60), await channel.wait_async(0.05))
        other = asyncio.create_task(asyncio.sleep(0.05, "went on"))
        print(await channel.wait_async(0), await other)
        loop = asyncio.get_running_loop()
        if {refuse}:
            def refused(*_):
                raise OSError(95, "as kqueue says")
            loop.add_reader = refused
        waiting = asyncio.create_task(channel.wait_async(60))
        await asyncio.sleep(0)
        print("waiting", flush=True)
        print(await waiting)
    asyncio.run(main())
"""


@pytest.mark.parametrize("refuse", [False, True])
def test_asyncio(machine: Machine, remote: Remote, refuse: bool) -> None:
    """Also in a loop that cannot watch the descriptor, such as FreeBSD's."""
    program = f"""
from xengnttab import EventChannel
with EventChannel(0, {remote.port}) as channel:
{ASYNC.format(refuse=refuse)}
"""
    process = machine.start(1, program=program)
    assert process.stdout is not None
    lines = [process.stdout.readline() for _ in range(3)]
    assert lines == ["True False\n", "False went on\n", "waiting\n"], process.communicate()
    assert remote("c.notify()") == "None"
    out, err = process.communicate(timeout=PATIENCE)
    assert (process.returncode, out, err) == (0, "True\n", "")


def test_errors(machine: Machine) -> None:
    program = """
from xengnttab import EventChannel, EventError, GrantError
try:
    EventChannel(0, 77)
except EventError as error:
    print(error, error.errno)
    assert isinstance(error, GrantError)
for domid, port, kind in ((0x7FF0, None, ValueError), (0, -1, ValueError), ("0", None, TypeError)):
    try:
        EventChannel(domid, port)
    except kind:
        print("refused")
"""
    status, out, err = machine.run(1, program=program)
    assert (status, err) == (0, "")
    assert out.startswith("cannot bind to event channel 77 of domain 0: No such process (ESRCH) 3")
    assert out.count("refused") == 3


def test_without_the_library(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(xengnttab._events, "SONAME", "libxenevtchn-is-not-here.so.1")
    xengnttab._events.library.cache_clear()
    with pytest.raises(DeviceMissingError, match=r"install libxenevtchn1 \(Debian\) or xen-tools"):
        EventChannel(0)


@pytest.mark.parametrize("arms", ["byte", "event", "both"])
@pytest.mark.parametrize("end", ["enter", "kill"])
def test_notify_by_command(machine: Machine, arms: str, end: str) -> None:
    """watch makes a channel, arm binds to it; the event comes when the mapping ends."""
    watcher = machine.start(0, "notify", "watch", "1", "--byte", "9", "--timeout", "100", "--json")
    assert watcher.stdout is not None
    said = json.loads(watcher.stdout.readline())
    assert said["port"] > 0
    options = ["--byte", "9"] if arms != "event" else []
    options += ["--remote-port", str(said["port"])] if arms != "byte" else []
    holder = machine.start(1, "notify", "arm", "0", str(said["ref"]), *options, "--json")
    assert holder.stdout is not None
    armed = json.loads(holder.stdout.readline())
    assert armed["byte"] == (None if arms == "event" else 9)
    assert (armed["port"] is None) == (arms == "byte")
    assert watcher.poll() is None
    if end == "enter":
        holder.communicate("\n", timeout=PATIENCE)
    else:
        # No SIGKILL: here the driver is in the process.
        holder.terminate()
    out, err = watcher.communicate(timeout=PATIENCE)
    assert (watcher.returncode, err) == (0, "")
    assert json.loads(out)["event"] == ("signalled" if arms == "event" else "cleared")


def test_arm_cannot_bind_without_the_library(
    fake: FakeLibrary, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["notify", "arm", "0", "8", "--remote-port", "3", "--hold", "0"]) == 3
    assert "libxenevtchn.so.1" in capsys.readouterr().err
    assert fake.memory == {} and "xengnttab_close" in fake.names()
    assert main(["notify", "arm", "0", "8", "--remote-port", "3", "--port", "4"]) == 2
