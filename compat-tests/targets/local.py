# SPDX-License-Identifier: BSD-2-Clause
"""``local``: this machine itself, FreeBSD or Linux, with its own driver and, as a Dom0, a helper
domain.

Nothing is booted and nothing is installed: the agent of the build directory is a child of this
process.  It needs the rights to open the devices (and /dev/xen/privcmd), usually root's.
"""

from __future__ import annotations

import os
import platform
import re
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import cast

import differences
from agent.client import LIBRARY_WORKER, ChildTransport, Errno, Worker
from testbed import image, vm
from testbed.freebsd_vm import ALARM as FREEBSD_ALARM

from .base import Setting, TargetMissing, probe_worker
from .dom0 import Dom0Target
from .freebsd_dom0 import SETUPS
from .linux_dom0 import ALARM as LINUX_ALARM
from .linux_dom0 import LACKS, PV_LACKS

DEV = Path("/dev/xen")
_LACKS_LINUX = {
    **LACKS,
    "unload": "this machine's own modules are left alone",
    "small_memory": "this machine's memory must not be used up",
}


class Here:
    """A running machine in place of one in QEMU: the agent is a child of this process."""

    facts: dict[str, str]

    def __init__(self, command: list[str]) -> None:
        self._command = command
        self.facts = {}

    def __enter__(self) -> Here:
        self.control = ChildTransport(self._command)
        return self

    def __exit__(self, *_: object) -> None:
        self.control.close()

    # The agent passes on the kernel's log; Xen's console cannot be read here.

    def mark(self) -> int:
        return 0

    def alarms_since(self, mark: int) -> list[str]:
        return []

    def console_since(self, mark: int) -> str:
        return ""


class RunningTarget(Dom0Target):
    """A machine that is already running and is not changed; subclasses know how to reach it."""

    gone = (EOFError, TimeoutError, BrokenPipeError)
    boot_seconds = 20.0

    def _settle(self, system: str) -> None:
        """Sets what is expected there, and what cannot be tested."""
        assert self._agent is not None
        if system == "FreeBSD":
            setup = SETUPS["freebsd"]
            self.differences = differences.of("freebsd").in_force
            self._lacks = dict(setup.lacks)
            self.module = setup.module
        else:
            pv = self.facts.get("guest") == "PV"
            self.differences = differences.of("linux-pv" if pv else "linux-pvh").in_force
            self._lacks = {**_LACKS_LINUX, **PV_LACKS} if pv else dict(_LACKS_LINUX)
            self.module = f"xen-gntdev of {self.facts.get('release', '?')}"
        probe_worker(self._agent, self._ask)

    def _ask(self, worker: Worker) -> None:
        try:
            worker.open("evtchn")
        except Errno as error:
            self._lacks["evtchn"] = f"no event channel device: {error.word}"


class LocalTarget(RunningTarget):
    name = "local"

    def __init__(self, setting: Setting, dev: Path = DEV) -> None:
        super().__init__(setting)
        self._dev = dev
        self._system = platform.system()
        self.title = f"this {self._system}"
        self.alarm: re.Pattern[str] = FREEBSD_ALARM if self._system == "FreeBSD" else LINUX_ALARM

    def _program(self, name: str) -> Path | None:
        return image.built(self.setting.build.resolve() / "compat-tests/agent", name)

    def _nodes(self) -> list[str]:
        """The agent's options for the places of the devices."""
        if not (self._dev / "gntalloc").exists():
            what = "kldload xengnt" if self._system == "FreeBSD" else "modprobe xen-gntalloc"
            raise TargetMissing(f"local: no {self._dev / 'gntalloc'} ({what}; is this Xen?)")
        for name in ("xengntdev", "gntdev"):
            node = self._dev / name
            if node.exists():
                if not os.access(node, os.R_OK | os.W_OK):
                    raise TargetMissing(f"local: {node} may not be opened; try as root")
                return ["--gntdev", str(node)] if name != "gntdev" else []
        raise TargetMissing(f"local: no {self._dev / 'gntdev'}")

    def _make(self) -> vm.Machine:
        agent = self._program("xengnt-agent")
        if agent is None:
            where = self.setting.build / "compat-tests/agent/xengnt-agent"
            raise TargetMissing(f"local: {where} is not built")
        command = [str(agent), *self._nodes()]
        peer = self._program("xengnt-peer")
        if peer is not None and (self._dev / "privcmd").exists():
            command += ["--peer", str(peer)]
        return cast(vm.Machine, Here(command))

    def start(self) -> None:
        self._boot()
        assert self._agent is not None
        self.facts = dict(self._agent.hello())
        library = self._program("xengnt-agent-lib")
        if library is not None:
            self.programs["library"] = (str(library),)
        if find_spec("xengnttab") is not None:
            self.programs["python"] = (sys.executable, str(LIBRARY_WORKER))
        self._settle(self._system)
