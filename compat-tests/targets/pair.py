# SPDX-License-Identifier: BSD-2-Clause
"""FreeBSD as PVH DomU under a Linux Dom0, each the helper domain of the other.

``freebsd-domu``: our driver is under test; it maps what Linux's gntalloc has granted, and Linux's
gntdev maps what it grants.  ``linux-beside-freebsd``: the roles are swapped, with Linux's drivers
under test and ours as the peer.
"""

from __future__ import annotations

import contextlib
import re
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Protocol, cast

import differences
from agent.client import Agent, Errno, Worker
from cases.framework import Case, Context
from clients.shell import Failed, LinuxDom0
from testbed import domu, vm
from testbed.errors import TestbedError
from testbed.freebsd_sets import FreeBSD
from testbed.freebsd_vm import ALARM, LIBRARY
from testbed.image import File

from .base import Setting, Target, TargetDied, TargetMissing, excerpt, probe_worker
from .dom0 import CALL_SECONDS, SETTLE_TRIES
from .driver_peer import DriverPeer, PairedAgent
from .freebsd_dom0 import SETUPS, release_sets
from .linux_dom0 import ALARM as LINUX_ALARM
from .linux_dom0 import LACKS, PV_LACKS

_AGENT, _RELAY, _MUX = "/bin/xengnt-agent", "/bin/xengnt-relay", "/bin/xengnt-mux"
_DOM0_AGENT = "/bin/xengnt-agent-dom0"
_GUEST = "freebsd"
_BOOT_SECONDS = 240.0
_WIRE = re.compile(r"wire ref=(\d+)")

_LACKS_BOTH = {
    "evtchn_status": "the peer cannot ask Xen about another domain's ports",
    "own_grant": "needs a grant entry of its own, which cannot be made here",
    "small_memory": "this domain's memory is not the limit here",
    "virq": "the domain does not own such an interrupt",
}


class _Machine(Protocol):
    def sendline(self, line: str) -> None: ...

    def readline(self, timeout_effective: float) -> str: ...


class Line:
    """The control channel, shared by several listeners with a letter each (agent/dom0/mux.c)."""

    def __init__(self, control: _Machine) -> None:
        self._control = control
        self._lines: dict[str, deque[str]] = {letter: deque() for letter in "shg"}

    def sendline(self, letter: str, line: str) -> None:
        # A shell command may have several lines.
        for part in line.split("\n"):
            self._control.sendline(letter + part)

    def readline(self, letter: str, timeout: float) -> str:
        mine = self._lines[letter]
        while not mine:
            line = self._control.readline(timeout)
            if line[:1] in self._lines:
                self._lines[line[0]].append(line[1:])
            elif line:
                raise Failed(f"the line in Dom0 says: {line}")
        return mine.popleft()


class End:
    """One listener's end: a transport for the agent's client."""

    def __init__(self, line: Line, letter: str) -> None:
        self._line = line
        self._letter = letter

    def sendline(self, line: str) -> None:
        self._line.sendline(self._letter, line)

    def readline(self, timeout: float) -> str:
        return self._line.readline(self._letter, timeout)


class _Shelled:
    """The machine with the interface that a shell in Dom0 needs, by its letter."""

    def __init__(self, machine: vm.Machine, control: End) -> None:
        self.control = control
        self.effective = machine.effective
        self.mark = machine.mark
        self.console_since = machine.console_since
        self.wait = machine.wait


class PairTarget(Target):
    """Either side of the pair as the one under test."""

    gone = (vm.Hung, vm.Died, Failed)
    beside = True

    def __init__(self, name: str, setting: Setting) -> None:
        self._sets = release_sets(name, setting)
        super().__init__(setting)
        self.name = name
        self._freebsd = name == "freebsd-domu"
        self._host: domu.Host | None = None
        self._domain: domu.Domain | None = None
        self._agent: PairedAgent | None = None
        if self._freebsd:
            setup = SETUPS["freebsd"]
            self.title = "FreeBSD PVH DomU, peer: Linux's drivers"
            self.differences = differences.of("freebsd").in_force
            self.module = setup.module
            self.programs["library"] = (LIBRARY,)
            self._lacks = {**setup.lacks, **_LACKS_BOTH}
        else:
            self.title = "Linux PV Dom0, peer: our drivers in a FreeBSD DomU"
            self.differences = differences.of("linux-pv").in_force
            self._lacks = {**LACKS, **PV_LACKS, **_LACKS_BOTH}

    # ---- life

    def start(self) -> None:
        try:
            agent = self._boot()
        except (TestbedError, Failed) as error:
            raise TargetMissing(f"{self.name}: {error}") from error
        self.facts.update(agent.hello())
        self._probe()

    def _boot(self) -> Agent:
        setting = self.setting
        release = FreeBSD(self._sets, setting.cache, self.progress)
        programs = release.programs()
        built = setting.build / "compat-tests/agent"
        own = {_DOM0_AGENT: built / "xengnt-agent", _MUX: built / "dom0/xengnt-mux"}
        for path in own.values():
            if not path.is_file():
                raise TargetMissing(f"{self.name}: {path} is not built (./dev build)")
        files = [
            File(programs.relay, _RELAY),
            File(programs.agent, _AGENT),
            File(programs.library, LIBRARY),
        ]
        guest = domu.FreeBSDGuest(_GUEST, release, files, ("xengnt.ko",))
        self._host = host = domu.Host(
            [guest],
            setting.build,
            setting.work / self.name,
            setting.cache,
            self.progress,
            files=[File(path, place) for place, path in own.items()],
        )
        host.__enter__()
        self.facts = dict(host.machine.facts)
        command = f"{_RELAY} wire {_AGENT} --gntdev /dev/xen/xengntdev"
        self.progress("booting the guest")
        domain = self._domain = host.start(_GUEST, command)
        last = ""
        for last in domain.lines(_WIRE.pattern, _BOOT_SECONDS):
            if "xengnt" in last:
                self.progress(f"guest: {last}")
        found = _WIRE.search(last)
        assert found is not None
        host.machine.control.sendline(
            f"exec {_MUX} {domain.domid} {found[1]} {_DOM0_AGENT} 2>/dev/console"
        )
        while (said := host.machine.control.readline(CALL_SECONDS)) != "! mux":
            self.progress(said)
        self.progress("the line is shared")
        line = Line(host.machine.control)
        shell = End(line, "s")
        shell.sendline("echo '! ready'")
        host.take_over(LinuxDom0(cast(vm.LinuxDom0, _Shelled(host.machine, shell)), self.progress))
        letters, domids = ("gh", (domain.domid, 0)) if self._freebsd else ("hg", (0, domain.domid))
        subject, peer = (
            PairedAgent(End(line, letters[0]), timeout=CALL_SECONDS),
            Agent(End(line, letters[1]), timeout=CALL_SECONDS),
        )
        for agent in (subject, peer):
            agent.wait_ready(_BOOT_SECONDS)
            self.progress(f"an agent is there: {agent.hello().get('os')}")
        self.facts["domid"] = str(domids[0])
        other = DriverPeer(peer, domids[1], domids[0], self._looks(domids[1]))
        subject.other, subject.beside = other, lambda: other.worker
        self._agent = subject
        return subject

    def _looks(self, granter: int) -> Callable[[], dict[int, int]]:
        def look() -> dict[int, int]:
            assert self._host is not None
            return self._host.dom0.in_use(granter)

        return look

    def _probe(self) -> None:
        assert self._agent is not None

        def ask(worker: Worker) -> None:
            for device in ("gntdev", "gntalloc", "evtchn"):
                try:
                    worker.close(worker.open(device))
                except Errno as error:
                    raise TargetMissing(f"{self.name}: {device}: {error.word}") from error

        probe_worker(self._agent, ask)

    def stop(self) -> None:
        self._keep_console()
        host, self._host, self._agent, self._domain = self._host, None, None, None
        self.peer = None
        if host is not None:
            host.__exit__(None, None, None)

    def _keep_console(self) -> str:
        """Stores the guest's console beside Dom0's."""
        if self._domain is None:
            return ""
        text = "the guest's console could not be read"
        with contextlib.suppress(Failed, TestbedError, ValueError):
            text = self._domain.console()
        (self.setting.work / self.name / "guest.log").write_text(text)
        for line in text.splitlines():
            if ALARM.search(line):
                self.progress(f"guest: {line}")
        return text

    def agent(self) -> Agent:
        return self._boot() if self._agent is None else self._agent

    def recover(self) -> None:
        self.progress("starting a fresh machine")
        self.stop()
        try:
            self._boot()
        except (*self.gone, TestbedError) as error:
            raise TargetDied(f"{self.name} does not come up again: {error}") from error

    # ---- around a case

    def after(self, case: Case, context: Context, ended: str, said: Sequence[str]) -> str | None:
        wrong = []
        if ended != "exit 0":
            wrong.append(f"the worker ended with {ended}")
        assert self._agent is not None
        if context.used_peer is not None:
            wrong += self._clear()
            self.peer = None if wrong else context.used_peer.facts
        pattern = ALARM if self._freebsd else LINUX_ALARM
        alarms = excerpt([line for line in said if pattern.search(line)], case.allow)
        return "; ".join(wrong + [f"log: {line}" for line in alarms]) or None

    def _clear(self) -> list[str]:
        assert self._agent is not None
        for _ in range(SETTLE_TRIES):
            try:
                self._agent.peer("clear")
                return []
            except Errno as error:
                if error.word != "EBUSY":
                    return [f"peer: {error}"]
            time.sleep(0.1)
        self._agent.other.stop()
        return ["a grant is still mapped after the worker's end"]

    def log(self) -> str:
        if self._host is None:
            return ""
        return self._keep_console()[-4000:] + self._host.machine.console_since(0)[-2000:]
