# SPDX-License-Identifier: BSD-2-Clause
"""The fuzz targets of tests/fuzz: builds them with clang and libFuzzer, runs them in parallel and
watches them."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from devtools import environment, freebsd_headers
from devtools.console import Console, DevError, shown
from devtools.paths import FUZZ, LOGS, RESULTS, ROOT

TARGETS = ("ioctl", "copy")
CORPUS = ROOT / "tests/fuzz/corpus"
# Inputs found by runs that add coverage; later runs start with them.
FOUND = FUZZ / "found"
MAX_LEN = 1024
PROGRESS = 10.0
# Limits: the slowest input on a busy machine, and how much longer than asked a run may take.
INPUT_SECONDS = 120
PATIENCE = 300.0

# Arithmetic on callers' pointers may wrap, as in the kernel (-fwrapv).
C_ARGS = "-fsanitize=fuzzer-no-link -fno-sanitize=pointer-overflow"
OPTIONS = {
    # The harness never frees its machine.
    "ASAN_OPTIONS": "detect_leaks=0:handle_abort=1",
    "UBSAN_OPTIONS": "halt_on_error=1:print_stacktrace=1",
}


def program(target: str) -> Path:
    return FUZZ / "tests/fuzz" / f"fuzz_{target}"


def build(console: Console) -> None:
    clang = environment.require_clang()
    with environment.exclusive(console):
        environment.configure(
            console,
            FUZZ,
            [
                f"-Dfreebsd_headers={freebsd_headers.headers_dir()}",
                "-Dfuzz=true",
                "-Db_sanitize=address,undefined",
                "-Db_lundef=false",
                f"-Dc_args={C_ARGS}",
            ],
            env={"CC": clang.tool("clang")},
        )
    targets = [str(program(t).relative_to(FUZZ)) for t in TARGETS]
    console.check(
        "build fuzz",
        [environment.tool("ninja"), "-C", FUZZ, *targets],
        env=environment.environment(),
    )


def last_counts(log: str) -> Mapping[str, int]:
    """The last numbers that libFuzzer printed: executions, coverage, corpus."""
    counts = {}
    lines = re.findall(r"^#(\d+)\t.*?cov: (\d+) .*?corp: (\d+)", log, re.MULTILINE)
    if lines:
        counts = dict(zip(("execs", "cov", "corpus"), map(int, lines[-1]), strict=True))
    if done := re.search(r"^stat::number_of_executed_units:\s*(\d+)", log, re.MULTILINE):
        counts["execs"] = int(done[1])
    return counts


@dataclass
class Run:
    """One run of a fuzzer."""

    target: str
    what: str
    argv: Sequence[str]
    log: Path
    crashes: Path
    limit: float
    process: subprocess.Popen[bytes] = field(init=False)
    output: IO[bytes] = field(init=False)
    started: float = field(init=False)
    status: int | None = None
    took: float = 0.0

    def seconds(self) -> float:
        return self.took if self.status is not None else time.monotonic() - self.started

    def start(self) -> None:
        self.log.parent.mkdir(parents=True, exist_ok=True)
        self.output = self.log.open("wb")
        self.started = time.monotonic()
        self.process = subprocess.Popen(
            self.argv,
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=self.output,
            stderr=subprocess.STDOUT,
            env={**os.environ, **OPTIONS},
        )

    def ended(self) -> bool:
        if self.status is None:
            self.status = self.process.poll()
            if self.status is None and time.monotonic() - self.started > self.limit:
                self.stop()
            if self.status is not None:
                self.took = time.monotonic() - self.started
                self.output.close()
        return self.status is not None

    def stop(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.status = self.process.wait()
        self.output.close()

    def tail(self) -> str:
        """The end of the log, which may be long."""
        with self.log.open("rb") as log:
            log.seek(max(0, self.log.stat().st_size - 20000))
            return log.read().decode(errors="replace")

    def progress(self) -> str:
        c = last_counts(self.tail())
        if not c:
            return f"{self.target}: starting"
        return f"{self.target}: {c['execs']} inputs, {c.get('cov', 0)} edges"

    def report(self) -> list[str]:
        """What broke, and how to reproduce it."""
        text = self.tail()
        wrong = re.compile(r"not so:|panic:|domain crash:|leak:|runtime error:|ERROR:|SUMMARY:")
        lines = [line[:160] for line in text.splitlines() if wrong.search(line)][-8:]
        found = sorted(self.crashes.glob(f"{self.target}-*"), key=lambda p: p.stat().st_mtime)
        said = [f"fuzz_{self.target} ended with status {self.status}; log: {shown(self.log)}"]
        said += [f"    {line}" for line in lines]
        if found:
            command = [shown(program(self.target)), shown(found[-1])]
            options = " ".join(f"{k}={v}" for k, v in OPTIONS.items())
            said.append(f"    again: XENGNT_FUZZ_VERBOSE=1 {options} {shlex.join(command)}")
        return said


def _run(target: str, what: str, extra: Sequence[str | Path], limit: float) -> Run:
    crashes = RESULTS / "crashes"
    crashes.mkdir(parents=True, exist_ok=True)
    argv = [
        str(program(target)),
        f"-artifact_prefix={crashes}/{target}-",
        f"-max_len={MAX_LEN}",
        f"-timeout={INPUT_SECONDS}",
        f"-report_slow_units={INPUT_SECONDS}",
        "-rss_limit_mb=3072",
        "-print_final_stats=1",
        *map(str, extra),
    ]
    return Run(target, what, argv, LOGS / f"fuzz-{target}-{what}.log", crashes, limit)


def corpus(target: str) -> Path:
    """The committed inputs in the form libFuzzer wants: a directory with a file for each."""
    listed = CORPUS / f"{target}.txt"
    if not listed.is_file():
        raise DevError(f"no corpus for {target!r} in {shown(CORPUS)}")
    directory = FUZZ / "corpus" / target
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True)
    for line in listed.read_text().splitlines():
        if not line.startswith("#"):
            name, content = line.split()
            (directory / name).write_bytes(bytes.fromhex(content))
    return directory


def replay(target: str) -> Run:
    """Runs each committed input once."""
    return _run(target, "replay", ["-runs=0", corpus(target)], PATIENCE)


def search(target: str, seconds: int, seed: int | None = None) -> Run:
    found = FOUND / target
    found.mkdir(parents=True, exist_ok=True)
    extra: list[str | Path] = [f"-max_total_time={seconds}", found, corpus(target)]
    if seed is not None:
        extra.insert(0, f"-seed={seed}")
    return _run(target, "search", extra, seconds + PATIENCE)


def run_all(console: Console, runs: Sequence[Run], jobs: int) -> None:
    """Runs at most `jobs` at once; prints a line about each every ten seconds."""
    waiting, active = list(runs), list[Run]()
    told = time.monotonic()
    try:
        while waiting or active:
            while waiting and len(active) < jobs:
                run = waiting.pop(0)
                run.start()
                active.append(run)
            time.sleep(0.2)
            for run in [r for r in active if r.ended()]:
                active.remove(run)
                console.say(f"  {run.what} {run.progress()}, {run.seconds():.0f} s")
            if active and time.monotonic() - told >= PROGRESS:
                told = time.monotonic()
                for run in active:
                    console.say(f"    … {run.seconds():.0f} s  {run.progress()}")
    finally:
        for run in active:
            run.stop()


def fuzz(console: Console, targets: Sequence[str], seconds: int, jobs: int) -> list[Run]:
    """Runs the corpus, then searches on each target that passed.  Returns all runs, failed or
    not."""
    if unknown := [t for t in targets if t not in TARGETS]:
        raise DevError(f"no fuzz target {unknown[0]!r}; there are {', '.join(TARGETS)}")
    build(console)
    replays = [replay(target) for target in targets]
    run_all(console, replays, jobs)
    searches = [search(r.target, seconds) for r in replays if r.status == 0 and seconds > 0]
    run_all(console, searches, jobs)
    return [*replays, *searches]


def main(console: Console, targets: Sequence[str], seconds: int, jobs: int) -> int:
    runs = fuzz(console, targets or TARGETS, seconds, jobs)
    bad = [run for run in runs if run.status != 0]
    for run in bad:
        print("\n".join(run.report()))
    print(f"\n{'target':<10}{'inputs':>12}{'edges':>8}{'corpus':>8}{'seconds':>9}  result")
    for run in runs:
        if run.what == "replay":
            continue
        c = last_counts(run.tail())
        result = "clean" if run.status == 0 else "FAILED"
        print(f"{run.target:<10}{c.get('execs', 0):>12}{c.get('cov', 0):>8}"
              f"{c.get('corpus', 0):>8}{run.took:>9.0f}  {result}")  # fmt: skip
    return 1 if bad else 0
