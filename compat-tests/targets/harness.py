# SPDX-License-Identifier: BSD-2-Clause
"""``harness``: the driver's own sources behind /dev/xen of a Linux process, a new one for each
case."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Sequence
from importlib.util import find_spec
from typing import IO

import differences
from agent.client import LIBRARY_WORKER, Agent, ChildTransport
from cases.framework import Case, Context, Status
from report.results import Cell

from .base import Setting, Target, TargetMissing, excerpt

# Where FreeBSD's generic layers, which the harness imitates, or the driver differ by design.
ONE_PROCESS = "the harness is one process: it cannot model sharing with a child"
LACKS = {
    "fork": ONE_PROCESS,
    "core": "the harness maps ordinary memory, which a core has",
    "exec": "the harness lives in the address space that exec replaces",
    "smaps": "the harness maps its own memory, without the flags of a real mapping",
    "ioctl32": "the preload library sees no 32-bit system call",
    "mremap_move": "the harness, as the Linuxulator, only shrinks a mapping (K8)",
    "refused_mmap": "the harness refuses no mmap of its own",
    "node": "the harness has no device file",
    "o_path": "the preload library cannot open O_PATH descriptors",
    "small_memory": "the harness uses this machine's memory",
}
ENDING_SECONDS = 20.0
CALL_SECONDS = 120.0


class HarnessTarget(Target):
    name = "harness"
    title = "driver on the harness"
    differences = differences.of("harness").in_force

    def __init__(self, setting: Setting) -> None:
        super().__init__(setting)
        self._lacks = dict(LACKS)
        self.program = setting.build.resolve() / "compat-tests/agent/xengnt-agent-dyn"
        library = self.program.with_name("xengnt-agent-lib")
        if library.is_file():
            self.programs["library"] = (str(library),)
        if find_spec("xengnttab") is not None:
            self.programs["python"] = (sys.executable, str(LIBRARY_WORKER))
        self.library = setting.build.resolve() / "tests/harness/libxengnt-harness.so"
        self._pipes: ChildTransport | None = None
        self._stderr: IO[bytes] | None = None
        self._agent: Agent | None = None

    def start(self) -> None:
        for path, part in ((self.program, "agent"), (self.library, "harness")):
            if not path.is_file():
                raise TargetMissing(f"harness: the {part} is not built: {path} (./dev build)")
        self.facts = self._spawn().hello()
        if self.facts.get("harness") != "1":
            raise TargetMissing(f"harness: {self.library} does not provide the harness's hooks")
        self.facts["guest"] = "harness"
        self.module = f"xengnt ({self.library.name})"
        self._end()

    def _spawn(self) -> Agent:
        self._end()
        env = {k: v for k, v in os.environ.items() if not k.startswith("XENGNT_HARNESS_")}
        env["LD_PRELOAD"] = str(self.library)
        # Lives as long as its process; closed in _end().
        self._stderr = tempfile.TemporaryFile()  # noqa: SIM115
        self._pipes = ChildTransport([str(self.program)], env, self._stderr)
        agent = self._agent = Agent(self._pipes, timeout=CALL_SECONDS)
        agent.wait_ready(ENDING_SECONDS)
        return agent

    def _end(self) -> None:
        pipes, self._pipes = self._pipes, None
        if pipes is not None:
            pipes.close()
        if self._stderr is not None:
            self._stderr.close()
            self._stderr = None

    def stop(self) -> None:
        self._end()

    def agent(self) -> Agent:
        return self._spawn() if self._pipes is None or self._agent is None else self._agent

    def log(self) -> str:
        if self._stderr is None:
            return ""
        self._stderr.seek(0)
        return self._stderr.read().decode("utf-8", "replace")[-8000:].strip()

    def recover(self) -> None:
        self._end()

    def death(self, ended: str) -> Status:
        # The driver runs in the worker, so its panic ends the worker.
        return Status.CRASH

    def after(self, case: Case, context: Context, ended: str, said: Sequence[str]) -> str | None:
        # This machine's kernel log is unrelated: the driver prints to stderr.
        log = self.log()
        if ended != "exit 0":
            last = log.splitlines()[-1] if log else "no message"
            return f"the worker ended with {ended}: {last}"
        if "leak:" in log:
            return next(line for line in log.splitlines() if "leak:" in line)
        # Errors caused by a user must not be logged.
        spoken = [line for line in log.splitlines() if "xengnt-harness: kernel: " in line]
        return next(iter(excerpt(spoken, case.allow)), None)

    def run(self, case: Case) -> Cell:
        cell = super().run(case)
        if cell.status is not Status.NA:
            self._end()
        return cell
