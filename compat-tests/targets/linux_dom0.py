# SPDX-License-Identifier: BSD-2-Clause
"""``linux-pvh`` and ``linux-pv``: Debian's kernel as Dom0 of a real Xen, in QEMU."""

from __future__ import annotations

import re
from typing import Literal

import differences
from agent.client import Errno, Worker
from testbed import image, vm

from . import library
from .base import Setting, TargetMissing, probe_worker
from .dom0 import Dom0Target

# What the kernel logs if a case has damaged it.
ALARM = re.compile(
    r"WARNING: |BUG[: ]|Oops|Call Trace|general protection|unable to handle|refcount_t: |Bad page|"
    r"soft lockup|hung task|rcu: INFO|page allocation failure|vmalloc error|grant.*(leak|fail)"
)

#: What only FreeBSD has or does better.
LACKS = {
    "own_grant": "Linux lets Dom0 map its own grant, which loses the page behind it (K17)",
    "inherit_copy": "Linux has no minherit(2)",
    "killable_copy": "Linux finishes a grant copy even if the process is killed",
}

#: For a PV Dom0: what breaks its own driver, or does not apply to PV.
PV_LACKS = {
    "pin": "a PV Dom0 has no page behind a user's mapping that a pipe could hold",
    "discarded_stores": "on PV Xen refuses the page-table change: undefined",
    "mremap_move": "on PV Xen tracks the place of the page-table entry, so it breaks",
    "late_read_only": "a PV Dom0's own driver faults there and Linux panics",
}


class LinuxDom0Target(Dom0Target):
    alarm = ALARM

    def __init__(self, kind: Literal["pv", "pvh"], setting: Setting) -> None:
        super().__init__(setting)
        self.kind = kind
        self.name = f"linux-{kind}"
        self.title = f"Linux {kind.upper()} Dom0"
        self.differences = differences.of(self.name).in_force

    def _files(self) -> list[image.File]:
        where = self.setting.build / "compat-tests/agent"
        files = []
        for name, path in (
            (image.AGENT, "xengnt-agent"),
            (image.PEER, "xengnt-peer"),
            (image.RELAY, "xengnt-relay"),
        ):
            found = image.built(where, path)
            if found is None:
                raise TargetMissing(f"{self.name}: {where / path} is not built (./dev build)")
            files += [image.File(found, name), *image.program_files(found, name)[1:]]
        more, self.programs = library.files(self.setting.build)
        return files + more

    def start(self) -> None:
        self._boot()
        assert self._machine is not None and self._agent is not None
        self.facts = {**self._machine.facts, **self._agent.hello()}
        self.module = f"xen-gntdev of {self.facts.get('release', '?')}"
        self._probe()

    def _make(self) -> vm.Machine:
        work = self.setting.work / self.name
        return vm.LinuxDom0(self.kind, self._files(), work, self.setting.cache, self.progress)

    def _probe(self) -> None:
        """Finds out what this kernel cannot do."""
        assert self._agent is not None
        lacks = dict(LACKS)
        if self.kind == "pv":
            lacks.update(PV_LACKS)

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
