# SPDX-License-Identifier: BSD-2-Clause
"""Progress on the terminal and logs in files: every long command runs through Console.run."""

from __future__ import annotations

import os
import queue
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from devtools.paths import LOGS, ROOT

HEARTBEAT = 10.0  # seconds of silence after which plain output says that a command still runs
STEADY = 60.0  # the same for a command that prints all the time
TAIL = 30  # lines of the log shown when a command fails


class DevError(Exception):
    """Ends ./dev with a one-line message."""


def shown(path: Path) -> str:
    """A path as one would type it in the tree's root."""
    return str(path.relative_to(ROOT)) if path.is_relative_to(ROOT) else str(path)


class Console:
    """One line for each step; on a terminal, with rich, also a spinner and the command's last
    line."""

    def __init__(self) -> None:
        self._rich: Any = None
        if sys.stderr.isatty():
            try:
                from rich.console import Console as RichConsole
            except ImportError:
                return  # rich is not installed yet: plain lines
            self._rich = RichConsole(stderr=True, highlight=False)

    def say(self, text: str) -> None:
        if self._rich is not None:
            self._rich.print(text, markup=False)
        else:
            print(text, file=sys.stderr, flush=True)

    def run(
        self,
        what: str,
        argv: Sequence[str | Path],
        *,
        cwd: Path = ROOT,
        env: Mapping[str, str] | None = None,
    ) -> tuple[int, Path]:
        """Runs argv with its output in a log file; returns its exit status and the file's path."""
        LOGS.mkdir(parents=True, exist_ok=True)
        log = LOGS / (re.sub(r"[^a-z0-9]+", "-", what.lower()).strip("-") + ".log")
        command = [str(arg) for arg in argv]
        full_env = {**os.environ, **(env or {})}
        start = time.monotonic()
        with log.open("wb") as out:
            try:
                process = subprocess.Popen(
                    command, cwd=cwd, env=full_env, stdin=subprocess.DEVNULL,
                    stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                )  # fmt: skip
            except OSError as error:
                raise DevError(f"{what}: cannot run {command[0]}: {error.strerror}") from error
            with process:
                assert process.stdout is not None
                lines: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
                reader = threading.Thread(
                    target=_pump, args=(process.stdout, out.write, lines), daemon=True
                )
                reader.start()
                try:
                    self._follow(what, lines, start)
                except KeyboardInterrupt:
                    process.terminate()
                    raise
                reader.join()
        return process.returncode, log

    def check(self, what: str, argv: Sequence[str | Path], **kwargs: Any) -> Path:
        """Like run(), but shows the end of the log and ends ./dev if the command fails."""
        status, log = self.run(what, argv, **kwargs)
        if status != 0:
            self.show_tail(log)
            raise DevError(f"{what}: {Path(str(argv[0])).name} ended with status {status};"
                           f" whole output in {shown(log)}")  # fmt: skip
        return log

    def show_tail(self, log: Path) -> None:
        for line in log.read_text(errors="replace").splitlines()[-TAIL:]:
            self.say(f"    {line}")

    def _follow(self, what: str, lines: queue.SimpleQueue[bytes | None], start: float) -> None:
        if self._rich is None:
            self.say(f"  {what} …")
            last, said = b"", start
            while True:
                try:
                    line = lines.get(timeout=HEARTBEAT)
                    if line is None:
                        return
                    last = line
                    if time.monotonic() - said < STEADY:
                        continue
                except queue.Empty:
                    pass
                said = time.monotonic()
                self.say(f"    … {said - start:.0f} s  {_short(last)}")
        else:
            with self._rich.status(what) as status:
                while (line := lines.get()) is not None:
                    seconds = time.monotonic() - start
                    status.update(f"{what}  {seconds:.0f} s  [dim]{_short(line, escape=True)}")
            self.say(f"  {what}  {time.monotonic() - start:.0f} s")


def _pump(
    source: Any, write: Callable[[bytes], object], lines: queue.SimpleQueue[bytes | None]
) -> None:
    for line in source:
        write(line)
        lines.put(line)
    lines.put(None)


def _short(line: bytes, *, escape: bool = False) -> str:
    text = line.decode(errors="replace").strip()[:70]
    return text.replace("[", "\\[") if escape else text
