# SPDX-License-Identifier: BSD-2-Clause
"""Linux as Dom0 of a real Xen in QEMU, without hardware support and without root.

::

    from testbed import image, vm

    files = [image.File(build / "xengnt-relay", image.RELAY),
             image.File(build / "xengnt-agent", image.AGENT),
             image.File(build / "xengnt-peer", image.PEER)]
    with vm.LinuxDom0("pvh", files, workdir, cache, progress) as machine:
        machine.control.sendline("1 hello")
        line = machine.control.readline(60.0)

``LinuxDom0(kind, files, workdir, cache, progress)``
    kind is "pv" or "pvh"; files as in `testbed.image`; logs go to workdir, packages and images
    to cache; memory= is Dom0's MiB, guests= what domains beside it need, cpu= a model of QEMU's.
    Entering starts the machine and returns at once: the first line on the control channel is the
    agent's ``! ready``.
``.control.sendline(str)``, ``.control.readline(timeout_effective) -> str``
    raise `Hung` or `Died` with the reason found in the console.
``.mark() -> int``, ``.console_since(mark) -> str``, ``.alarms_since(mark) -> list[str]``
    the log of Xen and of Dom0's kernel, and its suspicious lines.
``.facts``
    what is known about the machine: xen, kernel, guest_type, ...

Timeouts are "effective" seconds: time in which QEMU could have run.  What its threads spend
waiting for a processor does not count, nor what a virtual machine's host steals, and every sign
of progress starts the count anew.  So a busy machine makes a run slow, never red.
"""

from __future__ import annotations

import contextlib
import functools
import os
import re
import select
import shlex
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Literal, Self

from . import image, packages, xenelf
from .errors import TestbedError
from .nudge import Nudge, wakes

Kind = Literal["pv", "pvh"]
Progress = Callable[[str], None]


class Died(TestbedError):
    """The machine is gone: QEMU ended, or Xen or the kernel gave up."""


class Hung(TestbedError):
    """The machine runs but has shown no progress for too long."""


# ---------------------------------------------------------------- what the log says

#: After one of these the machine cannot continue.
FATAL = re.compile(
    r"""Kernel\ panic\ -\ not\ syncing
      | \(XEN\).*Panic\ on\ CPU
      | \(XEN\).*Xen\ BUG\ at
      | \(XEN\).*FATAL\ (TRAP|PAGE\ FAULT)
      | \(XEN\).*Domain\ 0\ .*crashed
      | \(XEN\).*Hardware\ Dom0\ (crashed|halted|shutdown|rebooted)
      | xengnt-init:.*powering\ off
    """,
    re.VERBOSE,
)

#: Lines that make a case suspicious.
ALARM = re.compile(
    FATAL.pattern
    + r"""
      | \bOops\b
      | \bBUG:                       # BUG: Bad page map, BUG: unable to handle, ...
      | kernel\ BUG\ at
      | (?<!\(XEN\)\ )\bWARNING:      # Xen's own remark: PVH is experimental
      | general\ protection\ fault
      | double\ fault
      | divide\ error:
      | unable\ to\ handle
      | Bad\ page\ (map|state|cache)
      | possible\ (circular|recursive)\ locking
      | inconsistent\ lock\ state
      | sleeping\ function\ called\ from\ invalid
      | scheduling\ while\ atomic
      | refcount_t:
      | list_(add|del)\ corruption
      | (?<!_)Out\ of\ memory:
      | \(XEN\).*(domain_crash\ called|crashed\ by\ domain|Domain\ \d+\ \(vcpu\#\d+\)\ crashed)
      | \(XEN\).*(Assertion\ .*failed|Xen\ (BUG|WARN)\ at)
      | \(XEN\).*grant_table\.c:\d+.*(?:Bad|bug|leak|inconsistent)
    """,
    re.VERBOSE,
)

_FACT = re.compile(r"xengnt-init: fact (\w+)=(.*?)\r?$", re.MULTILINE)


def _alarms(text: str, alarm: re.Pattern[str]) -> list[str]:
    return [line.strip() for line in text.splitlines() if alarm.search(line)]


# ---------------------------------------------------------------- time that counts


class _Clock:
    """Effective time of a process: wall time in which it could have run."""

    def __init__(self, pid: int) -> None:
        self._tasks = Path(f"/proc/{pid}/task")
        self._cpus = os.cpu_count() or 1
        self._hertz = os.sysconf("SC_CLK_TCK")
        self._delays: dict[str, int] = {}
        self._stolen = self._steal()
        self._wall = time.monotonic()
        self._elapsed = 0.0

    def _steal(self) -> float:
        with contextlib.suppress(OSError, IndexError, ValueError):
            fields = Path("/proc/stat").read_text().split("\n", 1)[0].split()
            return int(fields[8]) / self._hertz / self._cpus
        return 0.0

    def _delay(self) -> float:
        """Seconds since the last call that the most delayed thread waited for a processor."""
        worst = 0
        with contextlib.suppress(OSError):
            for task in os.listdir(self._tasks):
                with contextlib.suppress(OSError, IndexError, ValueError):
                    waited = int((self._tasks / task / "schedstat").read_text().split()[1])
                    worst = max(worst, waited - self._delays.get(task, waited))
                    self._delays[task] = waited
        return worst / 1e9

    def read(self) -> float:
        """Effective seconds so far; must be called at least every few seconds."""
        wall = time.monotonic()
        stolen = self._steal()
        passed = wall - self._wall - self._delay() - (stolen - self._stolen)
        self._wall = wall
        self._stolen = stolen
        self._elapsed += max(passed, 0.0)
        return self._elapsed


# ---------------------------------------------------------------- QEMU

_BASE_COMMAND = (
    "qemu-system-x86_64 -nodefaults -no-user-config -accel tcg,thread=multi -machine pc "
    # rdrand: without a time-stamp counter flag Linux would seed from a missing PIT.
    "-cpu qemu64,+svm,+npt,+rdrand,+invtsc -smp 1 -display none -vga none -no-reboot"
).split()

#: MiB of Dom0, and of the rest for Xen and a helper domain.
DOM0_MEMORY = 288
_BESIDE = 224

# no-real-mode: Xen then uses the memory map that xenelf has corrected, not the BIOS's.
_XEN = (
    "console=com1 com1=115200,8n1 no-real-mode dom0_max_vcpus=1 "
    "loglvl=warning guest_loglvl=error bootscrub=0 spec-ctrl=no xpti=no watchdog=0 "
    "gnttab_max_frames=64 gnttab_max_maptrack_frames=1024"
)
_XEN_KIND = {"pv": "", "pvh": " dom0=pvh dom0-iommu=none"}

# oops=panic: a kernel with an oops is replaced, not used further.  Nothing here changes how grants
# behave; the rest saves time (README.md says how much each).
_LINUX = (
    "console=hvc0 quiet panic=-1 oops=panic nowatchdog "
    "rcupdate.rcu_cpu_stall_suppress=1 clocksource=xen mitigations=off init_on_alloc=0 "
    "nokaslr audit=0 lsm=capability ipv6.disable=1 pci=off nohpet pmtmr=0 "
    "i8042.nopnp i8042.noaux i8042.nokbd rodata=off"
)
# A PVH Dom0 has no PIT to calibrate the time-stamp counter with and would try for seconds.
_LINUX_KIND = {"pv": "", "pvh": " clearcpuid=4 lpj=1000000"}

#: A wait ends after this many times its own timeout without progress, even if the machine keeps
#: printing.
_CEILING = 20.0
_TICK = 0.25


@functools.cache
def emulator(program: str | None) -> str:
    """The version of a QEMU, such as "10.0.13", or "" if the program does not print it."""
    with contextlib.suppress(OSError):
        command = [program or "qemu-system-x86_64", "--version"]
        said = subprocess.run(command, capture_output=True, text=True, check=False).stdout
        if found := re.search(r"version (\d+(?:\.\d+)+)", said):
            return found[1]
    return ""


def remark(version: str) -> str:
    """A remark for the message about a machine that died before its agent answered."""
    if tuple(int(part) for part in version.split(".") if part) < (10, 0):
        return ""
    return (
        f" (QEMU {version}: 10.0 and 11.1 are known not to boot PVH and HVM domains, "
        "docs/upstream/qemu.md; 7.2 does)"
    )


def quoted(path: Path | str) -> str:
    """A value in QEMU's comma-separated options."""
    return str(path).replace(",", ",,")


class Control:
    """Text lines to and from the agent over the second serial port."""

    def __init__(self, machine: Machine, channel: socket.socket) -> None:
        self._machine = machine
        self._channel = channel
        self._buffer = bytearray()
        channel.setblocking(False)

    def sendline(self, line: str) -> None:
        """Sends one line; waits while the machine does not take it."""
        data = memoryview(line.encode() + b"\n")
        wait = self._machine.wait("taking a request", 60.0)
        while data:
            try:
                data = data[self._channel.send(data) :]
                wait.progress()
            except BlockingIOError:
                select.select([], [self._channel], [], _TICK)
                wait.check()
            except OSError:
                self._machine.lost()

    def readline(self, timeout_effective: float) -> str:
        """The next line without its line end."""
        wait = self._machine.wait("answering", timeout_effective)
        while (end := self._buffer.find(b"\n")) < 0:
            readable, _, _ = select.select([self._channel], [], [], _TICK)
            if not readable:
                wait.check()
                continue
            try:
                data = self._channel.recv(65536)
            except BlockingIOError:
                continue
            except OSError:
                data = b""
            if not data:
                self._machine.lost()
            self._buffer += data
            self._machine.answered = True
            wait.progress()
        line = self._buffer[:end].decode(errors="replace")
        del self._buffer[: end + 1]
        return line.rstrip("\r")


class Wait:
    """One wait for the machine: ends with `Hung` after too long without progress."""

    def __init__(self, machine: Machine, what: str, timeout: float) -> None:
        self._machine = machine
        self._what = what
        self._timeout = timeout
        self._begin = self._last = machine.effective()
        self._size = machine.mark()

    def progress(self) -> None:
        """Something happened: restart the time limit."""
        self._last = self._machine.effective()

    def check(self) -> None:
        """Raises if there is no point in waiting any longer."""
        self._machine.check()
        now = self._machine.effective()
        size = self._machine.mark()
        if size != self._size:
            self._size = size
            self._last = now
        if now - self._last > self._timeout or now - self._begin > self._timeout * _CEILING:
            raise Hung(
                f"{self._machine.name}: no progress for {now - self._last:.0f} s while waiting "
                f"for it {self._what}{self._machine.hint()}"
            )


class Machine:
    """A machine in QEMU: its life, its log, its control channel.  `prepare` provides the rest."""

    #: Lines after which the machine cannot continue, and lines that make a case suspicious.
    fatal = FATAL
    alarm = ALARM
    #: Checks of a dying machine's log without news that mean that it has printed everything.
    settle = 1

    def __init__(self, name: str, workdir: Path, progress: Progress | None) -> None:
        self.name = name
        self.console_log = workdir / "console.log"
        self._console_input = workdir / "console.in"
        self.qemu_log = workdir / "qemu.log"
        self._workdir = workdir
        self._progress: Progress = progress or (lambda _: None)
        self._qemu: subprocess.Popen[bytes] | None = None
        self._guard: subprocess.Popen[bytes] | None = None
        self._clock: _Clock | None = None
        self._channel: socket.socket | None = None
        self._nudge: Nudge | None = None
        self._control: Control | None = None
        self._known: dict[str, str] = {}
        self._emulator = emulator(shutil.which("qemu-system-x86_64"))
        #: Whether anything has come over the control channel.
        self.answered = False
        self._watched = 0
        self._reason: str | None = None

    # ---- life

    def prepare(self) -> Callable[[int], list[str]]:
        """Makes what is to be booted; returns QEMU's command line for a control channel's
        descriptor."""
        raise NotImplementedError

    def __enter__(self) -> Self:
        self._workdir.mkdir(parents=True, exist_ok=True)
        command = self.prepare()
        for log in (self.console_log, self.qemu_log):
            if log.exists():  # keep the log of a machine that died for one generation
                log.replace(log.with_suffix(".log.1"))
        self._make_console()
        self._progress(f"booting {self.name}")
        try:
            self._launch(command)
        except BaseException:
            self._kill()
            raise
        return self

    def _make_console(self) -> None:
        """Creates the files for QEMU's chardev "pipe"; QEMU writes the log directly to its file."""
        self.console_log.touch()
        output = self._workdir / "console.out"
        for path in (self._console_input, output):
            path.unlink(missing_ok=True)
        output.symlink_to(self.console_log.name)
        os.mkfifo(self._console_input)

    def _launch(self, command: Callable[[int], list[str]]) -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        self._channel = ours
        with theirs, self.qemu_log.open("wb") as errors:
            argv = command(theirs.fileno())
            errors.write((shlex.join(argv) + "\n").encode())
            errors.flush()
            try:
                # Its own session: Ctrl-C goes only to us, and we end it.
                self._qemu = subprocess.Popen(
                    argv,
                    stdin=subprocess.DEVNULL,
                    stdout=errors,
                    stderr=errors,
                    pass_fds=[theirs.fileno()],
                    start_new_session=True,
                )
            except FileNotFoundError:
                raise TestbedError(f"{argv[0]} not found: install qemu-system-x86") from None
        # If we are killed, the guard sees the end of its input and kills QEMU.
        self._guard = subprocess.Popen(
            ["/bin/sh", "-c", 'read -r _; kill -KILL "$1"', "sh", str(self._qemu.pid)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        self._nudge = Nudge(self._console_input, partial(wakes, self._qemu.pid))
        self._clock = _Clock(self._qemu.pid)
        self._control = Control(self, ours)

    def __exit__(self, *_: object) -> None:
        self._kill()

    def _kill(self) -> None:
        # The guard ends first: once QEMU is reaped, its number may be another process's.
        guard, self._guard = self._guard, None
        if guard is not None:
            guard.kill()
            guard.wait()
            if guard.stdin is not None:
                with contextlib.suppress(OSError):
                    guard.stdin.close()
        if self._qemu is not None and self._qemu.poll() is None:
            self._qemu.kill()
            self._qemu.wait()
        channel, self._channel = self._channel, None
        if channel is not None:
            channel.close()
        nudge, self._nudge = self._nudge, None
        if nudge is not None:
            nudge.close()

    def common(self, memory: int, channel: int) -> list[str]:
        """The options of every machine: memory, name, console, control channel."""
        return [
            "-m", f"{memory}M",
            "-name", self.name,
            "-chardev", f"pipe,id=console,path={quoted(self._workdir / 'console')}",
            "-serial", "chardev:console",
            "-chardev", f"socket,id=control,fd={channel}",
            "-serial", "chardev:control",
        ]  # fmt: skip

    # ---- control channel

    @property
    def control(self) -> Control:
        """The line to the agent."""
        if self._control is None:
            raise TestbedError(f"{self.name} is not started")
        return self._control

    def wait(self, what: str, timeout: float) -> Wait:
        """A wait of `timeout` effective seconds without progress."""
        return Wait(self, what, timeout)

    def effective(self) -> float:
        """Effective seconds since the start."""
        return self._clock.read() if self._clock is not None else 0.0

    # ---- the log

    def _text(self, begin: int) -> str:
        try:
            with self.console_log.open("rb") as log:
                log.seek(begin)
                return log.read().decode(errors="replace")
        except FileNotFoundError:
            return ""

    def mark(self) -> int:
        """The current length of the console's log."""
        try:
            return self.console_log.stat().st_size
        except FileNotFoundError:
            return 0

    def console_since(self, mark: int) -> str:
        """What Xen and Dom0's kernel have printed since a mark."""
        return self._text(mark)

    def alarms_since(self, mark: int) -> list[str]:
        """The suspicious lines in that."""
        return _alarms(self._text(mark), self.alarm)

    @property
    def facts(self) -> dict[str, str]:
        """What is known about the machine so far."""
        if "end" not in self._known:
            found = dict(_FACT.findall(self._text(0)))
            self._known.update({key: value.strip() for key, value in found.items()})
        self._known["emulator"] = self._emulator
        if self._nudge is not None:
            self._known["nudges"] = str(self._nudge.count)
        return {key: value for key, value in self._known.items() if key != "end"}

    def hint(self) -> str:
        """The last lines of the log, for a message."""
        lines = [line.strip() for line in self._text(0)[-2000:].splitlines() if line.strip()]
        return f" (log {self.console_log} ends: {lines[-1][:160]})" if lines else ""

    # ---- death

    def check(self) -> None:
        """Raises `Died` if the machine is gone or about to go."""
        if self._reason is not None:
            raise Died(self._reason)
        if self._qemu is None:
            raise TestbedError(f"{self.name} is not started")
        size = self.mark()
        if size > self._watched:
            text = self._text(max(self._watched - 200, 0))  # a line may come in two pieces
            if self.fatal.search(text):
                self._bury(self._last_words())
            self._watched = size
        if self._qemu.poll() is not None:
            self._bury(self._last_words())

    def lost(self) -> None:
        """The control channel has ended: finds out why, and raises."""
        assert self._qemu is not None
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._qemu.wait(10)
        self.check()
        self._bury("QEMU closed the control channel")

    def _last_words(self) -> str:
        """Collects the rest of a panic's output and picks the line that matters."""
        assert self._qemu is not None
        size, silent = -1, 0
        for _ in range(80):  # until nothing more comes; the text is short and already on its way
            silent = silent + 1 if size == self.mark() else 0
            if self._qemu.poll() is not None or silent >= self.settle:
                break
            size = self.mark()
            time.sleep(_TICK)
        text = self._text(0)
        fatal = self.fatal.search(text)
        if fatal:
            # The line before a panic says more than the panic.
            begin = max(text.rfind("\n", 0, fatal.start()) + 1, 0)
            before = _alarms(text[max(begin - 6000, 0) : begin], self.alarm)[:1]
            return "; ".join([*before, *_alarms(text[begin:], self.alarm)[:1]])
        code = self._qemu.poll()
        if code is None:
            return "stopped"
        last = (self.qemu_log.read_text(errors="replace").splitlines() or [""])[-1]
        if code < 0:
            return f"QEMU was ended by {signal.Signals(-code).name}"
        if code != 0:
            return f"QEMU failed: {last}"
        return (
            "the machine switched itself off"
            if "powering off" in text
            else ("the machine reset or switched itself off" + self.hint())
        )

    def _bury(self, reason: str) -> None:
        self._reason = f"{self.name}: {reason}"
        if not self.answered:
            self._reason += remark(self._emulator)
        raise Died(self._reason)

    @property
    def pid(self) -> int | None:
        """QEMU's process while it runs."""
        return self._qemu.pid if self._qemu is not None and self._qemu.poll() is None else None

    @property
    def channel(self) -> socket.socket:
        """The raw control channel, for an interactive session."""
        if self._channel is None:
            raise TestbedError(f"{self.name} is not started")
        return self._channel


class LinuxDom0(Machine):
    """A booted machine; see the module's docstring."""

    def __init__(
        self,
        kind: Kind,
        files: Sequence[image.File],
        workdir: Path,
        cache: Path,
        progress: Progress | None = None,
        *,
        kernel_options: str = "",
        xen_options: str = "",
        memory: int = DOM0_MEMORY,
        guests: int = 0,
        cpu: str | None = None,
    ) -> None:
        if kind not in _XEN_KIND:
            raise TestbedError(f"no such kind of Dom0: {kind} (pv or pvh)")
        super().__init__(f"linux-{kind}", workdir, progress)
        self.kind = kind
        self._files = list(files)
        self._cache = cache
        self._kernel_options = kernel_options
        self._xen_options = f"dom0_mem={memory}M,max:{memory}M {xen_options}".strip()
        self._memory = memory + _BESIDE + guests
        self._cpu = ["-cpu", cpu] if cpu else []

    def prepare(self) -> Callable[[int], list[str]]:
        selection = packages.select(self._cache, self._progress)
        for note in selection.notes:
            self._progress(note)
        initramfs = image.build(self._cache, selection, self._files)
        xen = xenelf.prepared(selection.xen)
        self._known = {
            "dom0": self.kind,
            "xen_package": selection.xen_version,
            "kernel_package": selection.kernel_version,
            "kernel": selection.kernel_release,
        }
        return lambda channel: self.command(xen, selection.kernel, initramfs, channel)

    def command(self, xen: Path, kernel: Path, initramfs: Path, channel: int) -> list[str]:
        """QEMU's command line."""
        options = f"{_LINUX}{_LINUX_KIND[self.kind]} {self._kernel_options}".strip()
        # The list of multiboot modules is comma-separated, and file names end at a blank.
        for path in (kernel, initramfs):
            if " " in str(path):
                raise TestbedError(f"the cache directory must not have blanks in its name: {path}")
        return [
            *_BASE_COMMAND,
            *self._cpu,  # the last one counts
            *self.common(self._memory, channel),
            "-kernel", str(xen),
            "-append", f"{_XEN}{_XEN_KIND[self.kind]} {self._xen_options}",
            "-initrd", f"{quoted(kernel)} {quoted(options)},{quoted(initramfs)}",
        ]  # fmt: skip
