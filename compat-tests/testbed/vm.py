# SPDX-License-Identifier: BSD-2-Clause
"""A real Xen with a Linux Dom0, PV or PVH, in QEMU without hardware support.

Public names::

    LinuxDom0(kind, files, workdir, cache, progress)   context manager; boots in __enter__
        .control   sendline(str), readline(timeout_effective) -> str: the agent's channel
        .facts     what the machine said of itself while booting
        .mark(), .console_since(mark), .alarms_since(mark)   the log of Xen and Dom0
    Hung, Died     raised by readline; the text ends with the console's last lines

The first serial port is Xen's and Dom0's console and goes to a file; the second one is the
control channel, a socket here.

Waits follow the machine's progress and not the wall clock: a deadline counts the time in which
QEMU's threads ran or slept, without the time they waited for a processor of this host, and any
output starts it anew.  A busy host makes a run slow, never red.
"""

from __future__ import annotations

import contextlib
import os
import re
import select
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Literal

from . import image, packages
from .errors import TestbedError

_MEMORY = 512
_QEMU = "qemu-system-x86_64"
_LOOK_SECONDS = 0.2
_SHOWN_LINES = 12
# A line of the console that means the case has hurt the system (habit H10).
_ALARM = re.compile(
    r"Kernel panic|Oops|BUG:|general protection|Call Trace|WARNING: CPU|unable to handle|"
    r"refcount_t:|Bad page|soft lockup|hung task|rcu: INFO|"
    r"\(XEN\).*(Panic on CPU|Assertion|Xen BUG|FATAL|domain_crash|crashed|WARN)",
)
_DEAD = re.compile(r"Kernel panic|Panic on CPU|Reboot disabled|\(XEN\) Hardware Dom0 (crashed|halted|shutdown)")
_FACT = re.compile(r"^xengnt-init: fact (\w+)=(.*)$")
_BOOT_NOISE = re.compile(r"PVH is an experimental mode")


class Gone(TestbedError):
    """The machine is of no use any more."""


class Hung(Gone):
    """No answer and no sign of life for longer than allowed."""


class Died(Gone):
    """QEMU, Xen or Dom0's kernel has ended."""


class _Clock:
    """Seconds in which the emulated machine could have made progress."""

    def __init__(self, pid: int) -> None:
        self._tasks = Path(f"/proc/{pid}/task")
        self.restart()

    def _waited(self) -> float:
        """The longest time that a thread has waited for a processor."""
        longest = 0
        with contextlib.suppress(OSError):
            for task in self._tasks.iterdir():
                with contextlib.suppress(OSError, ValueError, IndexError):
                    longest = max(longest, int((task / "schedstat").read_text().split()[1]))
        return longest / 1e9

    def restart(self) -> None:
        self._start = time.monotonic()
        self._base = self._waited()

    def elapsed(self) -> float:
        return time.monotonic() - self._start - max(0.0, self._waited() - self._base)


class _Control:
    """Lines to and from the second serial port."""

    def __init__(self, machine: LinuxDom0, sock: socket.socket) -> None:
        self._machine = machine
        self._socket = sock
        self._buffer = b""

    def sendline(self, line: str) -> None:
        try:
            self._socket.sendall(line.encode() + b"\n")
        except OSError as exc:
            raise Died(self._machine.obituary(f"the control channel broke: {exc.strerror}")) from None

    def readline(self, timeout_effective: float) -> str:
        """The next line without its end."""
        clock = self._machine.clock
        clock.restart()
        log = self._machine.mark()
        while b"\n" not in self._buffer:
            ready, _, _ = select.select([self._socket], [], [], _LOOK_SECONDS)
            if ready:
                data = b""
                with contextlib.suppress(OSError):
                    data = self._socket.recv(65536)
                if not data:
                    raise Died(self._machine.obituary("the emulated machine has ended"))
                self._buffer += data
                clock.restart()
                continue
            self._machine.check()
            if self._machine.mark() != log:
                log = self._machine.mark()
                clock.restart()
            if clock.elapsed() > timeout_effective:
                raise Hung(
                    self._machine.obituary(f"no answer for {timeout_effective:.0f} s of its own time")
                )
        line, _, self._buffer = self._buffer.partition(b"\n")
        return line.rstrip(b"\r").decode(errors="replace")

    def close(self) -> None:
        self._socket.close()


class LinuxDom0:
    """Debian's hypervisor and kernel; see the module's text."""

    control: _Control
    clock: _Clock

    def __init__(
        self,
        kind: Literal["pv", "pvh"],
        files: Sequence[image.File],
        workdir: Path,
        cache: Path,
        progress: Callable[[str], None] | None = None,
        boot_seconds: float = 120.0,
    ) -> None:
        self.kind = kind
        self.facts: dict[str, str] = {}
        self._files = files
        self._work = workdir
        self._cache = cache
        self._progress = progress or (lambda _: None)
        self._boot_seconds = boot_seconds
        self._qemu: subprocess.Popen[bytes] | None = None
        self._console = workdir / "console.log"

    def _arguments(self, selection: packages.Selection, initrd: Path) -> list[str]:
        xen = (
            f"console=com1 com1=115200,8n1 dom0_mem={_MEMORY}M,max:{_MEMORY}M loglvl=warning "
            "guest_loglvl=error bootscrub=0 noreboot gnttab_max_maptrack_frames=1024"
        )
        machine = ["-machine", "q35"]
        if self.kind == "pvh":
            xen += " dom0=pvh"
            machine = ["-machine", "q35,kernel-irqchip=off", "-device", "intel-iommu"]
        kernel = f"{selection.kernel} console=hvc0 quiet panic=-1 oops=panic"
        return [
            _QEMU, "-accel", "tcg", *machine, "-cpu", "qemu64,+svm,+npt,+rdrand",
            "-m", str(2 * _MEMORY + 256), "-smp", "1", "-nodefaults", "-no-user-config", "-display",
            "none", "-vga", "none", "-no-reboot", "-serial", f"file:{self._console}",
            "-serial", f"unix:{self._work / 'control'},server=on,wait=off",
            "-kernel", str(selection.xen), "-append", xen,
            "-initrd", f"{kernel},{initrd}".replace(",,", ","),
        ]  # fmt: skip

    def __enter__(self) -> LinuxDom0:
        selection = packages.select(self._cache, self._progress)
        initrd = image.build(self._cache, selection, self._files)
        self._work.mkdir(parents=True, exist_ok=True)
        for name in ("console.log", "control"):
            (self._work / name).unlink(missing_ok=True)
        self._progress("booting")
        log = (self._work / "qemu.log").open("wb")
        try:
            self._qemu = subprocess.Popen(
                self._arguments(selection, initrd),
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip
        except FileNotFoundError:
            raise TestbedError(f"{_QEMU} is missing: install qemu-system-x86") from None
        finally:
            log.close()
        try:
            self.clock = _Clock(self._qemu.pid)
            self.control = _Control(self, self._connect())
            self._wait_boot()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if hasattr(self, "control"):
            self.control.close()
        if self._qemu is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._qemu.pid, signal.SIGKILL)
            self._qemu.wait()

    def _connect(self) -> socket.socket:
        sock = socket.socket(socket.AF_UNIX)
        while True:
            try:
                sock.connect(str(self._work / "control"))
                return sock
            except OSError:
                self.check()
                if self.clock.elapsed() > 30:
                    raise Hung(self.obituary("QEMU does not open the control channel")) from None
                time.sleep(0.05)

    def _wait_boot(self) -> None:
        """Until init has said all it knows, on the console."""
        size = 0
        while "end" not in self.facts:
            self.check()
            if self.mark() != size:
                size = self.mark()
                self.clock.restart()
                for line in self.console_since(0).splitlines():
                    found = _FACT.match(line)
                    if found:
                        self.facts[found[1]] = found[2].strip()
            if self.clock.elapsed() > self._boot_seconds:
                raise Hung(self.obituary("Dom0 does not come up"))
            time.sleep(0.1)
        del self.facts["end"]

    def check(self) -> None:
        """Raises Died if the machine is no more."""
        assert self._qemu is not None
        if self._qemu.poll() is not None:
            said = (self._work / "qemu.log").read_text(errors="replace").strip()
            raise Died(self.obituary(f"QEMU has ended with {self._qemu.returncode} {said}".strip()))
        if _DEAD.search(self.console_since(0)):
            raise Died(self.obituary("Dom0 has crashed"))

    def obituary(self, reason: str) -> str:
        lines = self.console_since(0).splitlines()[-_SHOWN_LINES:]
        return "\n".join([f"linux-{self.kind}: {reason}; the console's last lines:", *lines])

    def mark(self) -> int:
        try:
            return self._console.stat().st_size
        except OSError:
            return 0

    def console_since(self, mark: int) -> str:
        try:
            with self._console.open("rb") as log:
                log.seek(mark)
                return log.read().replace(b"\r", b"").decode(errors="replace")
        except OSError:
            return ""

    def alarms_since(self, mark: int) -> list[str]:
        return [
            line
            for line in self.console_since(mark).splitlines()
            if _ALARM.search(line) and not _BOOT_NOISE.search(line)
        ]
