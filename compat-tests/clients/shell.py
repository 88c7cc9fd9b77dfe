# SPDX-License-Identifier: BSD-2-Clause
"""A shell in Dom0 over the control channel, and one in the guest over its console.

`LinuxDom0` and `FreeBSDDom0` have the few commands that differ between the systems.
"""

from __future__ import annotations

import contextlib
import itertools
import re
import shlex
import textwrap
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator

from testbed import vm

from . import grants

DEBUG_KEY = "/bin/xengnt-debugkey"
LIBRARY = "libxengnttab.so"
# Seconds of the machine's own progress.
PATIENCE = 240.0
_POLL = 0.3
_POLL_MOST = 3.0
# Most checks in one wait.
_LOOKS = 1200
_numbers = itertools.count(1)


class Failed(Exception):
    """A client did not do what it should."""


class Dom0(ABC):
    """A shell in Dom0."""

    def __init__(
        self, machine: vm.Machine, progress: Callable[[str], None], boot: float = PATIENCE
    ) -> None:
        self.machine = machine
        self.progress = progress
        # Firmware prints on this line, too, before the shell does.
        while not machine.control.readline(boot).endswith("! ready"):
            pass

    @abstractmethod
    def loaded(self, pid: int) -> set[str]:
        """The files that a process has mapped and that are called libxengnttab.so."""

    @abstractmethod
    def digest(self, path: str) -> str:
        """SHA-256 of a file, in hexadecimal."""

    @abstractmethod
    def size(self, path: str) -> int:
        """Bytes of a file."""

    @abstractmethod
    def device_model(self, program: str, domid: int) -> int | None:
        """The process of QEMU, named by its path, that serves a domain."""

    @abstractmethod
    def gone(self, pid: int) -> str:
        """A shell condition: the process has ended, though its parent may not have noticed."""

    @abstractmethod
    def writing(self, path: str) -> str:
        """A shell command whose output changes while a file is written."""

    @abstractmethod
    def working(self, pid: int) -> str:
        """A shell command whose output changes while a process works."""

    @abstractmethod
    def counters(self) -> dict[str, int]:
        """Our driver's counters; empty where it is not loaded."""

    def run(self, command: str) -> tuple[int, str]:
        """Exit status and output of a command."""
        control = self.machine.control
        # The status on its own line, even if the output does not end with a newline.
        control.sendline(f'{{ {command}\n}} </dev/null; s=$?; echo; echo "! $s"')
        lines = []
        while not (line := control.readline(PATIENCE)).startswith("! "):
            lines.append(line)
        return int(line[2:]), "\n".join(lines).removesuffix("\n")

    def must(self, command: str, what: str | None = None) -> str:
        """The output of a command that must succeed."""
        status, out = self.run(command)
        if status != 0:
            last = (out.strip().splitlines() or ["no output"])[-1]
            raise Failed(f"{what or command.split()[0]}: status {status}: {last}")
        return out

    def until(self, condition: str, what: str, *, show: str | None = None) -> None:
        """Waits until a command succeeds; a change in the output of `show` means progress."""
        begin = self.machine.effective()
        last = ""
        pause = _POLL
        for _ in range(_LOOKS):
            if self.run(condition)[0] == 0:
                return
            # Checking costs the machine more than waiting.
            pause = min(pause * 1.5, _POLL_MOST)
            if show is not None:
                now = self.run(show)[1].strip()
                if now != last:
                    begin = self.machine.effective()
                    self.progress(f"{what}: {' '.join(now.split())}")
                last = now
            if self.machine.effective() - begin > PATIENCE:
                break
            time.sleep(pause)
        raise Failed(f"{what}: not within {PATIENCE:.0f} s without progress")

    def _grants(self) -> str:
        """Xen's answer to debug key g."""
        mark = self.machine.mark()
        self.must(f"{DEBUG_KEY} g", "debug key g")
        wait = self.machine.wait("answering debug key g", 60.0)
        while grants.END not in (text := self.machine.console_since(mark)):
            time.sleep(0.1)
            wait.check()
        return text

    def mapped(self) -> set[grants.Grant]:
        """All grants in use, as Xen says."""
        return grants.mapped(self._grants())

    def in_use(self, granter: int) -> dict[int, int]:
        """A domain's grants in use and the flags of their entries."""
        return grants.flags(self._grants(), granter)

    def settled(self, expected: Callable[[set[grants.Grant]], bool]) -> set[grants.Grant]:
        """The grants in use, once they are as expected or after a while: pages that I/O still uses
        are released a little later."""
        found = self.mapped()
        for _ in range(20):
            if expected(found):
                break
            time.sleep(_POLL)
            found = self.mapped()
        return found

    @contextlib.contextmanager
    def timed(self) -> Iterator[Callable[[], float]]:
        """Measures seconds on the outside; the clock of a machine under emulation agrees with
        it."""
        begin = time.monotonic()
        yield lambda: time.monotonic() - begin


class LinuxDom0(Dom0):
    """busybox and /proc."""

    def loaded(self, pid: int) -> set[str]:
        maps = self.must(f"cat /proc/{pid}/maps", f"process {pid}")
        return {line.split(maxsplit=5)[-1] for line in maps.splitlines() if LIBRARY in line}

    def digest(self, path: str) -> str:
        return self.must(f"sha256sum {path}").split()[0]

    def size(self, path: str) -> int:
        return int(self.must(f"stat -c %s {path}"))

    def device_model(self, program: str, domid: int) -> int | None:
        # grep's own arguments contain the name.
        for line in self.run(f"grep -l {program} /proc/[0-9]*/cmdline")[1].split():
            pid = int(line.split("/")[2])
            mine = f"tr '\\0' ' ' </proc/{pid}/cmdline | grep -q 'xen-domid {domid} '"
            if self.run(f"test $(readlink /proc/{pid}/exe) = {program} && {mine}")[0] == 0:
                return pid
        return None

    def gone(self, pid: int) -> str:
        # The relay becomes a daemon's parent and does not reap it, so it stays a zombie.
        return f"! grep -q '^State:.[^Z]' /proc/{pid}/status"

    def writing(self, path: str) -> str:
        return f"stat -c '%b %Y' {path}"

    def working(self, pid: int) -> str:
        return f"cut -d' ' -f14,15 </proc/{pid}/stat 2>/dev/null"

    def counters(self) -> dict[str, int]:
        return {}


class FreeBSDDom0(Dom0):
    """The base system's tools."""

    def loaded(self, pid: int) -> set[str]:
        shown = self.must(f"procstat -v {pid}", f"process {pid}")
        return {line.split()[-1] for line in shown.splitlines() if LIBRARY in line}

    def digest(self, path: str) -> str:
        return self.must(f"sha256 -q {path}").strip()

    def size(self, path: str) -> int:
        return int(self.must(f"stat -f %z {path}"))

    def device_model(self, program: str, domid: int) -> int | None:
        found = self.run(f"pgrep -f '{program} .*xen-domid {domid} '")[1].split()
        return int(found[0]) if found else None

    def gone(self, pid: int) -> str:
        return f"! ps -o state= -p {pid} | grep -q '^[^Z]'"

    def writing(self, path: str) -> str:
        return f"stat -f '%b %m' {path}"

    def working(self, pid: int) -> str:
        return f"ps -o time= -p {pid}"

    def counters(self) -> dict[str, int]:
        said = self.run("sysctl hw.xen.gntdev hw.xen.gntalloc 2>/dev/null")[1]
        return {
            name: int(value)
            for name, value in re.findall(r"^hw\.xen\.(\S+): (\d+)$", said, re.MULTILINE)
        }


class Guest:
    """A guest whose shell reads its console: what is written to the daemon's terminal reaches
    it."""

    def __init__(self, dom0: Dom0, name: str, domid: int, log: str, terminal: str) -> None:
        self.dom0 = dom0
        self.name = name
        self.domid = domid
        self.log = log
        self.terminal = terminal

    def run(self, command: str, *, show: str | None = None) -> tuple[int, str]:
        """Exit status and output of a command in the guest."""
        return self.wait(self.send(command), textwrap.shorten(command, 60), show=show)

    def until(self, condition: str, what: str, show: str | None = None) -> None:
        """Waits until a command in Dom0 succeeds, and keeps the guest awake meanwhile."""
        # An empty line now and then: under nested emulation a sleeping guest sees its input late,
        # also with Debian's library.
        self.dom0.until(f"{condition} || {{ echo >{self.terminal}; false; }}", f"guest: {what}",
                        show=show)  # fmt: skip

    def says(self, number: int, word: str) -> None:
        """Waits until a command that was sent prints a line that begins with a word."""
        self.until(f"sed -n '/^@ {number} begin/,$p' {self.log} | grep -q '^{word}'", word)

    def wait(self, number: int, what: str, *, show: str | None = None) -> tuple[int, str]:
        """Exit status and output of a command that was sent."""
        self.until(f"grep -q '^@ {number} end' {self.log}", what, show)
        text = self.dom0.must(f"sed -n '/^@ {number} begin/,/^@ {number} end/p' {self.log}")
        lines = text.replace("\r", "").splitlines()
        return int(lines[-1].split()[-1]), "\n".join(lines[1:-1])

    def send(self, command: str) -> int:
        """Sends a command; returns its number."""
        number, text = self.asked(command)
        self.dom0.must(f"echo {text} >{self.terminal}", "guest's terminal")
        return number

    def asked(self, command: str) -> tuple[int, str]:
        """A command's number, and the text for the guest's shell, quoted for Dom0's."""
        # A guest that is created again continues the same log.
        number = next(_numbers)
        text = f"echo '@ {number} begin'; {command}; s=$?; echo; echo \"@ {number} end $s\""
        return number, shlex.quote(text)

    def must(self, command: str, *, show: str | None = None) -> str:
        """The output of a command that must succeed in the guest."""
        status, out = self.run(command, show=show)
        if status != 0:
            last = (out.strip().splitlines() or ["no output"])[-1]
            raise Failed(f"guest: {command}: status {status}: {last}")
        return out
