# SPDX-License-Identifier: BSD-2-Clause
"""Programs on a FreeBSD under test, by way of src/session.c."""

from __future__ import annotations

from collections.abc import Callable

from testbed import vm


class Session:
    """Starts programs there and collects what they print, each under a name of its own."""

    def __init__(self, machine: vm.Machine, say: Callable[[str], None]) -> None:
        self.machine = machine
        self.said: dict[str, list[str]] = {}
        self.ended: dict[str, str] = {}
        self._say = say

    def wait_ready(self, seconds: float) -> None:
        """OVMF prints on this line, too, before the session does."""
        while not self.machine.control.readline(seconds).endswith("session: ready"):
            pass

    def environment(self, name: str, value: str) -> None:
        self.machine.control.sendline(f"env {name}={value}")

    def start(self, name: str, *argv: str) -> None:
        self.said[name] = []
        self.ended.pop(name, None)
        self.machine.control.sendline(" ".join(("start", name, *argv)))

    def signal(self, name: str, number: int) -> None:
        self.machine.control.sendline(f"signal {name} {number}")

    def _hear(self, seconds: float) -> None:
        line = self.machine.control.readline(seconds)
        name, _, text = line.partition(" ")
        if name.endswith("!") and name[:-1] in self.said:
            self.ended[name[:-1]] = text
        elif name in self.said:
            self.said[name].append(text)
            self._say(f"  {name}: {text}")
        else:
            self._say(f"  {line}")

    def wait_line(self, name: str, start: str, seconds: float) -> str | None:
        """The first line of a program that begins so; None when it ends without one."""
        while True:
            for line in self.said[name]:
                if line.startswith(start):
                    return line
            if name in self.ended:
                return None
            self._hear(seconds)

    def finish(self, name: str, seconds: float) -> list[str]:
        """All that a program has printed, once it has ended."""
        while name not in self.ended:
            self._hear(seconds)
        return self.said[name]
