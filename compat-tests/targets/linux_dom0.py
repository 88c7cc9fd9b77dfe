# SPDX-License-Identifier: BSD-2-Clause
"""``linux-pvh`` and ``linux-pv``: Debian's kernel as Dom0 of a real Xen, in QEMU."""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from typing import Literal

from agent.client import Agent, Errno, Worker
from cases.framework import Case, Context
from testbed import image, vm

from .base import Setting, Target, TargetDied, TargetMissing, excerpt, probe_worker

# Seconds of the emulated machine's own progress, not of the wall clock.
CALL_SECONDS = 60.0
BOOT_SECONDS = 120.0
# A grant whose page is in use by I/O goes a few milliseconds later (row Z4).
SETTLE_TRIES = 10
# What the kernel says when a case has hurt it (habit H10).
ALARM = re.compile(
    r"WARNING: |BUG[: ]|Oops|Call Trace|general protection|unable to handle|refcount_t: |Bad page|"
    r"soft lockup|hung task|rcu: INFO|page allocation failure|vmalloc error|grant.*(leak|fail)"
)


class _Control:
    """The machine's second serial port as the client's transport."""

    def __init__(self, machine: vm.LinuxDom0) -> None:
        self._control = machine.control

    def sendline(self, line: str) -> None:
        self._control.sendline(line)

    def readline(self, timeout: float) -> str:
        return str(self._control.readline(timeout))


class LinuxDom0Target(Target):
    gone = (vm.Hung, vm.Died)

    def __init__(self, kind: Literal["pv", "pvh"], setting: Setting) -> None:
        super().__init__(setting)
        self.kind = kind
        self.name = f"linux-{kind}"
        self.title = f"Linux {kind.upper()} Dom0"
        self.differences = frozenset({"K7"}) if kind == "pv" else frozenset()
        self._machine: vm.LinuxDom0 | None = None
        self._agent: Agent | None = None
        self._mark = 0

    def _files(self) -> list[image.File]:
        where = self.setting.build / "compat-tests/agent"
        files = []
        for name, path in (
            (image.AGENT, "xengnt-agent"),
            (image.PEER, "xengnt-peer"),
            (image.RELAY, "xengnt-relay"),
        ):
            found = next((p for p in (where / path, where / "peer" / path) if p.is_file()), None)
            if found is None:
                raise TargetMissing(f"{self.name}: {where / path} is not built (./dev build)")
            files += [image.File(found, name), *image.program_files(found, name)[1:]]
        return files

    def start(self) -> None:
        self._boot()
        assert self._machine is not None and self._agent is not None
        self.facts = {**self._machine.facts, **self._agent.hello()}
        self.module = f"xen-gntdev of {self.facts.get('release', '?')}"
        self._probe()

    def _boot(self) -> None:
        work = self.setting.work / self.name
        work.mkdir(parents=True, exist_ok=True)
        machine = vm.LinuxDom0(self.kind, self._files(), work, self.setting.cache, self.progress)
        self._machine = machine
        machine.__enter__()
        self._agent = Agent(_Control(machine), timeout=CALL_SECONDS)
        self._agent.wait_ready(BOOT_SECONDS)
        self._mark = machine.mark()

    def _probe(self) -> None:
        """What this kernel can show (habit H9)."""
        assert self._agent is not None
        lacks: dict[str, str] = {}
        if self.kind == "pv":
            lacks["pin"] = "a PV Dom0 has no page behind a user's mapping that a pipe could hold"
            lacks["late_read_only"] = "a PV Dom0's own driver faults there and takes Linux along"

        def ask(worker: Worker) -> None:
            modules = worker.readfile("/proc/modules")
            if "xen_gntdev " not in modules or "xen_gntalloc " not in modules:
                lacks["unload"] = "gntdev or gntalloc is built into this kernel"
            memory = next(
                int(line.split()[1])
                for line in worker.readfile("/proc/meminfo").splitlines()
                if line.startswith("MemTotal:")
            )
            self.facts["memory_mb"] = str(memory // 1024)
            if memory > 1_300_000:
                lacks["small_memory"] = "Dom0 has more than 1.3 GB of memory"
            try:
                worker.open("evtchn")
            except Errno as error:
                lacks["evtchn"] = f"no event channel device: {error.word}"
            try:
                worker.readfile("/proc/self/smaps")
            except Errno:
                lacks["smaps"] = "this kernel has no /proc/PID/smaps"

        def gate(worker: Worker) -> None:
            # A kernel without the 32-bit gate kills the caller.
            lacks["ioctl32"] = "this kernel has no 32-bit system calls"
            try:
                worker.call("ioctl32 899 0x184700 0")
            except Errno as error:
                if error.word == "EBADF":
                    del lacks["ioctl32"]

        probe_worker(self._agent, ask)
        probe_worker(self._agent, gate)
        guest = self.facts.get("guest", "")
        if guest != self.kind.upper():
            raise TargetMissing(f"{self.name}: the kernel says it is {guest or 'no guest of Xen'}")
        self._lacks = lacks

    def stop(self) -> None:
        machine, self._machine, self._agent = self._machine, None, None
        self.peer = None
        if machine is not None:
            machine.__exit__(None, None, None)

    def agent(self) -> Agent:
        if self._agent is None:
            self._boot()
        assert self._agent is not None
        return self._agent

    def before(self, case: Case) -> None:
        assert self._machine is not None
        self._mark = self._machine.mark()

    def after(self, case: Case, context: Context, ended: str, said: Sequence[str]) -> str | None:
        wrong = []
        if ended != "exit 0":
            wrong.append(f"the worker ended with {ended}")
        if context.used_peer is not None:
            wrong += self._clear_peer()
            self.peer = None if wrong or context.used_peer.destroyed else context.used_peer.facts
        alarms = [line for line in said if ALARM.search(line)]
        # Xen's own lines do not lag; Dom0's kernel has been heard already.
        assert self._machine is not None
        alarms += [line for line in self._machine.alarms_since(self._mark) if "(XEN)" in line]
        wrong += [f"log: {line}" for line in excerpt(alarms, case.allow)]
        return "; ".join(wrong) or None

    def _clear_peer(self) -> list[str]:
        """The helper domain must have all its grants back once the worker is gone."""
        agent = self.agent()
        for _ in range(SETTLE_TRIES):
            try:
                agent.peer("clear")
                return []
            except Errno as error:
                if error.word == "ENOENT":  # the case destroyed it
                    return []
                if error.word != "EBUSY":
                    return [f"helper domain: {error} {error.detail}"]
            time.sleep(0.1)
        agent.peer("destroy")
        return ["a grant is still mapped after the worker's end"]

    def recover(self) -> None:
        self.progress("starting a fresh machine")
        self.stop()
        try:
            self._boot()
        except self.gone as error:
            raise TargetDied(f"{self.name} does not come up again: {error}") from error

    def log(self) -> str:
        return "" if self._machine is None else self._machine.console_since(self._mark)
