# SPDX-License-Identifier: BSD-2-Clause
"""The FreeBSD targets: a release's own kernel as PVH Dom0 of a real Xen, in QEMU.

``freebsd``: our module, the native agent. ``freebsd-linux``: the Linux agent, the same file as on
the Linux targets, through xengnt_linux.  ``freebsd-base``: FreeBSD's own gntdev; the agent
translates our commands into its.  ``freebsd-alone``: like ``freebsd``, but the base driver is
disabled by its hint, so that our node has its name.  ``freebsd-words``: the base driver's commands
on that node.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

import cases
import differences
from agent.client import Errno, Worker
from cases import abi
from cases.framework import Case, Context, Status
from report.results import Cell
from testbed import packages, vm
from testbed.errors import TestbedError
from testbed.freebsd_sets import WHERE, FreeBSD, missing
from testbed.freebsd_vm import ALARM, LIBRARY, FreeBSDDom0, Target
from testbed.image import File

from . import library, python_worker
from .base import Setting, TargetMissing, excerpt, probe_worker
from .dom0 import Dom0Target

#: Where a Linux program under FreeBSD finds its files (compat.linux.emul_path).
_LINUX_ROOT = "/compat/linux"
_NO_32 = "a 64-bit process cannot make 32-bit system calls here"
_LACKS: dict[str, str] = {
    "ioctl32": _NO_32,
    "vmsplice": "FreeBSD has no vmsplice(2)",
    "hold": "FreeBSD has no vmsplice(2); a pipe takes whole pages only and returns them once",
    "proc_mem": "FreeBSD has no /proc/self/mem",
    "smaps": "FreeBSD has no /proc/PID/smaps",
    "small_memory": "Dom0's memory is not the limit here",
    "late_read_only": "tested on the other targets",
    "mremap_move": "the Linuxulator only shrinks a mapping (K8)",
}
_NATIVE = {
    "linux_words": "ioctl(2) refuses Linux's own words before any driver sees them (K1)",
    "mremap": "FreeBSD has no mremap(2) (K8)",
    "mremap_move": "FreeBSD has no mremap(2) (K8)",
    "map_populate": "MAP_POPULATE is Linux's",
    "map_locked": "MAP_LOCKED is Linux's",
    "map_noreserve": "MAP_NORESERVE is Linux's",
}
#: Later versions take placeholders from unpopulated memory: on this machine, inside the direct map.
_BEFORE_14 = {
    "inherit_copy": "FreeBSD 13's placeholders lie above the direct map, through which its kernel"
                    " copies the page, and panics (docs/security.md)",
}  # fmt: skip


@dataclass(frozen=True)
class _Setup:
    title: str
    module: str
    lacks: Mapping[str, str]


SETUPS: dict[Target, _Setup] = {
    "freebsd": _Setup(
        "FreeBSD PVH Dom0, our module", "xengnt.ko", {**_LACKS, **_NATIVE}
    ),
    "freebsd-linux": _Setup(
        "Linux agent on FreeBSD", "xengnt.ko, xengnt_linux.ko",
        {**_LACKS, "unload": "Linux's delete_module(2) is not emulated",
         "inherit_copy": "Linux has no minherit(2)",
         "aio": "aio_read(3) of Linux's C library is EINVAL by the Linuxulator",
         "noreplace": "the Linuxulator refuses MAP_FIXED_NOREPLACE"},
    ),
    "freebsd-alone": _Setup(
        "our module, base driver off by its hint", "xengnt.ko",
        {**_LACKS, **_NATIVE},
    ),
    "freebsd-words": _Setup(
        "our module, the base driver's commands", "xengnt.ko",
        {**_LACKS, **_NATIVE},
    ),
    "freebsd-base": _Setup(
        "FreeBSD's own gntdev", "gntdev of the kernel",
        {**_LACKS, **_NATIVE, "unload": "the base driver is part of the kernel",
         "own_grant": "it maps Dom0's own grants, and the page is lost (K17)"},
    ),
}  # fmt: skip


def release_sets(name: str, setting: Setting) -> Path:
    """The directory with FreeBSD's release sets, which a target needs."""
    where = setting.freebsd
    if where is None:
        raise TargetMissing(
            f"{name} needs FreeBSD's release sets: --freebsd DIR or FREEBSD_DIST names a "
            f"directory with base.txz, kernel.txz and src.txz; {WHERE} has them"
        )
    if absent := missing(where):
        raise TargetMissing(f"{name}: {where} lacks {', '.join(absent)}; {WHERE} has them")
    return where


class FreeBSDTarget(Dom0Target):
    name: Target
    alarm = ALARM
    boot_seconds = 240.0
    # These machines are large, so they run one after the other.
    _turn: ClassVar[threading.Lock] = threading.Lock()

    def __init__(self, name: Target, setting: Setting) -> None:
        self._sets = release_sets(name, setting)
        super().__init__(setting)
        self.name = name
        self._setup = SETUPS[name]
        self.title = self._setup.title
        self.differences = differences.of(name).in_force
        self.module = self._setup.module
        if name != "freebsd-linux":
            self.programs["library"] = (LIBRARY,)
        if name in ("freebsd", "freebsd-alone"):
            self.programs["python"] = python_worker.PROGRAM
        self._release: FreeBSD | None = None
        self._ours = False

    def start(self) -> None:
        self._turn.acquire()
        self._ours = True
        try:
            self._release = FreeBSD(self._sets, self.setting.cache, self.progress)
            self._lacks = dict(self._setup.lacks)
            if int(self._release.version.split(".")[0]) < 14:
                self._lacks |= _BEFORE_14
            self._boot()
        except TestbedError as error:
            raise TargetMissing(f"{self.name}: {error}") from error
        assert self._machine is not None and self._agent is not None
        self.facts = {**self._machine.facts, **self._agent.hello()}
        assert isinstance(self._machine, FreeBSDDom0)
        self.facts["modules"] = self._machine.ours
        if self.name == "freebsd-linux":
            # The same file as on the Linux targets.
            self.facts["agent_sha256"] = hashlib.sha256(self._agent_file.read_bytes()).hexdigest()
        if self.setting.cpus > 1:
            self._lacks["event_order"] = "each processor takes its own event channels' events"
        self._probe()

    def __exit__(self, *_: object) -> None:
        self.stop()
        self._give_way()

    def __enter__(self) -> FreeBSDTarget:
        try:
            super().__enter__()
        except BaseException:
            self._give_way()
            raise
        return self

    def _give_way(self) -> None:
        if self._ours:
            self._ours = False
            self._turn.release()

    def _make(self) -> vm.Machine:
        assert self._release is not None
        agent = self._agent_file
        if self.name == "freebsd-linux" and not agent.is_file():
            raise TargetMissing(f"{self.name}: {agent} is not built (./dev build)")
        return FreeBSDDom0(
            self.name,
            self._release,
            self.setting.work / self.name,
            self.setting.cache,
            self.progress,
            linux_agent=agent,
            files=self._worker_files(),
            cpus=self.setting.cpus,
            preload=self.setting.preload,
        )

    def _worker_files(self) -> list[File]:
        """What the workers need that call the library or the Python package."""
        assert self._release is not None
        if self.name == "freebsd-linux":
            files, self.programs = library.files(self.setting.build)
            # The start of the Python worker is a shell script.
            shell = packages.select(self.setting.cache, self.progress).busybox
            files.append(File(shell, "/bin/sh"))
            return [replace(file, dst=f"{_LINUX_ROOT}{file.dst}") for file in files]
        return python_worker.files(self._release) if "python" in self.programs else []

    @property
    def _agent_file(self) -> Path:
        """The Linux targets' agent."""
        return self.setting.build / "compat-tests/agent/xengnt-agent"

    def run(self, case: Case) -> Cell:
        cell = super().run(case)
        rows: tuple[str, ...] = ()
        if not cell.red:
            return cell
        known = differences.of(self.name)
        unmet = [check.what for check in cell.checks if not check.ok]
        if known.defects:
            crashed = cell.status is Status.CRASH
            rows = known.explained(case.id, cell.detail, bool(unmet), crashed)
        elif cell.status is Status.FAIL and not cell.detail:
            # Our driver may differ only in the named expectations.
            rows = known.expected(case.id, unmet)
        if not rows:
            return cell
        # An explained crash is still a crash.
        status = cell.status if cell.status is Status.CRASH else Status.DIFF
        log = cell.log if status is Status.CRASH else ""
        return replace(cell, status=status, ks=rows, log=log)

    def after(self, case: Case, context: Context, ended: str, said: Sequence[str]) -> str | None:
        wrong = super().after(case, context, ended, said)
        if case.id != "system.console" or self._machine is None:
            return wrong
        text = self._machine.console_since(0)
        # From our module's first message on, without those of the kernel's own start.
        begin = max(text.find("xengnt"), 0)
        lines = [line.strip() for line in text[begin:].splitlines() if ALARM.search(line)]
        allowed = [pattern for other in cases.load() for pattern in other.allow]
        bad = excerpt(lines, allowed)
        return "; ".join(filter(None, (wrong, *(f"console: {line}" for line in bad[:5])))) or None

    def _probe(self) -> None:
        """Finds out what this system cannot do."""
        assert self._agent is not None
        lacks = self._lacks

        def ask(worker: Worker) -> None:
            for device in ("gntdev", "gntalloc"):
                try:
                    worker.close(worker.open(device))
                except Errno as error:
                    raise TargetMissing(f"{self.name}: {device}: {error.word}") from error
            unsure: tuple[tuple[str, str, Callable[[], object]], ...] = (
                ("evtchn", "no event channel device", lambda: worker.open("evtchn")),
                ("limit", "no limit to be set", lambda: worker.limit("gntdev")),
                (
                    "own_copy",
                    "no grant copy, and a domain must not map what it granted itself",
                    lambda: worker.ioctl_bytes(
                        worker.open("gntdev"), abi.GRANT_COPY, abi.COPY.pack(0, 0)
                    ),
                ),
            )
            for capability, reason, call in unsure:
                try:
                    call()
                except Errno as error:
                    lacks[capability] = f"{reason}: {error.word}"

        probe_worker(self._agent, ask)
