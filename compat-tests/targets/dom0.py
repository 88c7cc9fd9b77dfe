# SPDX-License-Identifier: BSD-2-Clause
"""What Dom0s in QEMU share: boot, helper domain, log, a fresh machine after a crash."""

from __future__ import annotations

import re
import time
from abc import abstractmethod
from collections.abc import Sequence

from agent.client import Agent, Errno
from cases.framework import Case, Context
from testbed import vm

from .base import Setting, Target, TargetDied, excerpt

# Seconds of the emulated machine's own progress, not of the wall clock.
CALL_SECONDS = 60.0
# A grant whose page is in use by I/O ends a few milliseconds later (row Z4).
SETTLE_TRIES = 10


class _Control:
    """The machine's second serial port as the client's transport."""

    def __init__(self, machine: vm.Machine) -> None:
        self._control = machine.control

    def sendline(self, line: str) -> None:
        self._control.sendline(line)

    def readline(self, timeout: float) -> str:
        return str(self._control.readline(timeout))


class Dom0Target(Target):
    gone: tuple[type[Exception], ...] = (vm.Hung, vm.Died)
    boot_seconds = 120.0
    # What the kernel logs if a case has damaged it.
    alarm: re.Pattern[str]

    def __init__(self, setting: Setting) -> None:
        super().__init__(setting)
        self._machine: vm.Machine | None = None
        self._agent: Agent | None = None
        self._mark = 0

    @abstractmethod
    def _make(self) -> vm.Machine:
        """Makes a machine without starting it."""

    def _boot(self) -> None:
        machine = self._make()
        self._machine = machine
        machine.__enter__()
        self._agent = Agent(_Control(machine), timeout=CALL_SECONDS)
        self._agent.wait_ready(self.boot_seconds)
        self._mark = machine.mark()

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
        alarms = [line for line in said if self.alarm.search(line)]
        # Xen's own lines are not delayed; Dom0's kernel log has been read already.
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
