# SPDX-License-Identifier: BSD-2-Clause
"""What all targets share, and how a case is run on them."""

from __future__ import annotations

import re
import struct
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from agent.client import Agent, AgentError, Errno, Outcome, Worker, WorkerDied
from cases.framework import (
    Broken,
    Case,
    Check,
    Context,
    NotApplicable,
    PeerFacts,
    Skip,
    Status,
    Stop,
)
from report.results import Cell, judge

# Ways to the devices other than system calls.
WAYS = {"library": "the C library", "python": "the Python package"}


class TargetMissing(Exception):
    """The target cannot run here; the message says what is missing."""


class TargetDied(Exception):
    """The system under test crashed and does not come up again."""


@dataclass(frozen=True)
class Setting:
    """Where a run finds and puts its files."""

    build: Path
    cache: Path
    work: Path
    freebsd: Path | None = None
    cpus: int = 2
    preload: bool = False
    progress: Callable[[str, str], None] = field(default=lambda target, text: None)


class Target(ABC):
    """A system that cases run on, as a context manager: entering starts it, leaving stops it."""

    name: str
    title: str
    # Rows of docs/differences.md in force.
    differences: frozenset[str] = frozenset()
    module: str = ""
    # Whether the peer is a complete system.
    beside = False
    # Errors of the target's own transport.
    gone: tuple[type[Exception], ...] = (EOFError, TimeoutError, BrokenPipeError)

    def __init__(self, setting: Setting) -> None:
        self.setting = setting
        self.facts: dict[str, str] = {}
        self._lacks: dict[str, str] = {}
        # What a worker can become by exec, by the capability it provides.
        self.programs: dict[str, tuple[str, ...]] = {}
        # The helper domain, while it is known to be there and clean.
        self.peer: PeerFacts | None = None

    def reason_against(self, capability: str) -> str | None:
        if capability == "beside" and not self.beside:
            return "the peer is an empty domain without drivers"
        if capability in WAYS and capability not in self.programs:
            return self._lacks.get(capability, f"nothing to call {WAYS[capability]} with here")
        return self._lacks.get(capability)

    def progress(self, text: str) -> None:
        self.setting.progress(self.name, text)

    @abstractmethod
    def start(self) -> None:
        """Starts the system and probes it."""

    @abstractmethod
    def stop(self) -> None: ...

    @abstractmethod
    def agent(self) -> Agent:
        """An agent between two cases."""

    def before(self, case: Case) -> None:  # noqa: B027 - most targets have nothing to do
        """Called before a case begins."""

    def after(self, case: Case, context: Context, ended: str, said: Sequence[str]) -> str | None:
        """Called when the worker has ended; returns what is wrong with the system, if anything.

        ``said`` is what the kernel logged during the case.
        """
        return None

    def recover(self) -> None:  # noqa: B027 - nothing to do where each case starts afresh
        """After a crash: makes the target usable again."""

    def log(self) -> str:
        """What the system has printed since the case began."""
        return ""

    def __enter__(self) -> Target:
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    # Running a case

    def run(self, case: Case) -> Cell:
        begun = time.monotonic()
        reasons = [r for need in case.needs if (r := self.reason_against(need)) is not None]
        if reasons:
            return Cell(Status.NA, detail=reasons[0])
        try:
            cell = self._run(case)
        except self.gone as error:
            detail = str(error) or type(error).__name__
            log = f"{detail}\n\n{self.log()}"
            cell = Cell(Status.CRASH, detail=detail.splitlines()[0], log=log)
            self.recover()
        return Cell(
            cell.status,
            cell.checks,
            cell.ks,
            cell.detail,
            round(time.monotonic() - begun, 3),
            cell.log,
        )

    def _run(self, case: Case) -> Cell:
        try:
            agent = self.agent()
            agent.transcript.clear()
            self.before(case)
            worker = agent.begin(case.id)
        except (AgentError, Errno) as error:
            return Cell(Status.ERROR, detail=f"cannot begin: {error}")
        context = Context(worker, self, known_peer=self.peer)
        status, detail = self._perform(case, context)
        died = agent.ended
        try:
            if died is None:
                context.restore()
            ended = agent.finish() if status is not Status.ERROR else agent.abort()
            said = list(agent.kernel_log)
            if context.limits:
                # The worker died before it could restore them.
                with agent.case("restore") as context.worker:
                    context.restore()
            wrong = self.after(case, context, ended, said)
        except (AgentError, Outcome, WorkerDied) as error:
            return self._cell(Status.ERROR, context, f"cannot end the case: {error}", agent)
        if died is not None:
            return self._cell(self.death(died), context, detail or f"worker: {died}", agent)
        if wrong is not None and status not in (Status.ERROR, Status.CRASH):
            status, detail = Status.FAIL, "; ".join(filter(None, (detail, wrong)))
        return self._cell(status, context, detail, agent)

    def death(self, ended: str) -> Status:
        """The meaning of a worker's death."""
        return Status.FAIL

    def _cell(self, status: Status, context: Context, detail: str, agent: Agent) -> Cell:
        checks = tuple(context.checks)
        ks: tuple[str, ...] = ()
        if status is Status.PASS:
            status, ks = judge(checks)
        log = ""
        if status.red:
            system = self.log()
            spoken = "\n".join(agent.transcript[-200:])
            log = f"--- system ---\n{system}\n--- agent ---\n{spoken}\n" if system else spoken
        return Cell(status, checks, ks, detail, log=log)

    def _perform(self, case: Case, context: Context) -> tuple[Status, str]:
        """Runs the function of a case: ``pass`` if it reached its end, whatever it found."""
        try:
            case.run(context)
        except Stop:
            return Status.PASS, ""
        except NotApplicable as reason:
            return Status.NA, str(reason)
        except Skip as reason:
            return Status.SKIP, str(reason)
        except (Broken, AgentError) as error:
            return Status.ERROR, str(error)
        except (struct.error, ValueError, IndexError) as error:
            # The case did not expect an answer like this; the others continue.
            return Status.ERROR, f"the case: {error!r}"
        except WorkerDied as error:
            return Status.FAIL, str(error)
        except Outcome as outcome:
            # A step that the case takes for granted did not work, so the subject is wrong.
            context.checks.append(Check(outcome.request, outcome.word, "ok"))
            return Status.PASS, ""
        return Status.PASS, ""


def probe_worker(agent: Agent, probe: Callable[[Worker], None]) -> None:
    """Runs a probe in its own worker; if that dies, the probe has found something, too."""
    worker = agent.begin("probe")
    try:
        probe(worker)
    except WorkerDied:
        pass
    finally:
        agent.finish()


def excerpt(lines: Sequence[str], patterns: Sequence[re.Pattern[str]]) -> list[str]:
    """Alarm lines that match no pattern of the case."""
    return [line for line in lines if not any(pattern.search(line) for pattern in patterns)]
