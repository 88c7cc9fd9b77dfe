# SPDX-License-Identifier: BSD-2-Clause
"""The command on a terminal: it escapes what another domain wrote; its behaviour as a job."""

from __future__ import annotations

import os
import pty
import select
import shlex
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from xengnttab._terminal import escaped
from xengnttab.cli import main

from tests.python.fake_library import FakeLibrary
from tests.python.machine import PATIENCE, Machine, let_go

# A window title, a colour, DEL, C1's CSI, right-to-left text, a bell, a return.
EVIL = (
    "\x1b]0;owned\x07\x1b[31mred\x7f \x9b31m \u202egnp.exe \u2066x\u2069 \r hidden\b \U000e0041 end"
)
SHOWN = (
    "\\x1b]0;owned\\x07\\x1b[31mred\\x7f \\x9b31m \\u202egnp.exe \\u2066x\\u2069 \\r hidden\\x08"
    " \\U000e0041 end"
)


class Terminal:
    """A program on its own terminal."""

    def __init__(self, command: list[str], env: dict[str, str]) -> None:
        self.seen = ""
        self.child, self.end = pty.fork()
        if self.child == 0:
            os.environ.update(env)
            os.execvp(command[0], command)

    def until(self, text: str | Callable[[str], bool]) -> str:
        """Everything shown so far, once it contains the text."""
        arrived = text if callable(text) else lambda seen: text in seen
        deadline = time.monotonic() + PATIENCE
        while not arrived(self.seen):
            if not select.select([self.end], [], [], deadline - time.monotonic())[0]:
                pytest.fail(f"{text!r} never came, but {self.seen!r}")
            try:
                part = os.read(self.end, 4096)
            except OSError:
                part = b""
            if part == b"":
                pytest.fail(f"{text!r} never came, but {self.seen!r} and the end")
            self.seen += part.decode("utf-8", "backslashreplace")
        return self.seen

    def rest(self) -> str:
        while True:
            try:
                part = os.read(self.end, 4096)
            except OSError:
                return self.seen
            if part == b"":
                return self.seen
            self.seen += part.decode("utf-8", "backslashreplace")

    def type(self, text: str) -> None:
        os.write(self.end, text.encode())

    def close(self) -> None:
        os.close(self.end)
        with suppress(ProcessLookupError):
            os.kill(self.child, 9)
        os.waitpid(self.child, 0)


def on_terminal(machine: Machine, domid: int, *arguments: str) -> str:
    """What a command shows on a terminal."""
    command = [sys.executable, "-m", "xengnttab", *arguments]
    terminal = Terminal(command, {**machine.env(domid), "LC_ALL": "C.UTF-8"})
    try:
        return terminal.rest()
    finally:
        terminal.close()


@pytest.fixture
def evil(machine: Machine, tmp_path: Path) -> Iterator[str]:
    """The reference of a page with such a text."""
    (tmp_path / "evil").write_text(EVIL, newline="")
    sharer, (ref,) = machine.share(0, "1", "--file", str(tmp_path / "evil"))
    yield ref
    let_go(sharer)


@pytest.mark.parametrize("command", ["map", "copy"])
def test_a_peers_text_does_not_command_the_terminal(
    machine: Machine, evil: str, command: str
) -> None:
    hold = ["--hold", "0"] if command == "map" else []
    shown = on_terminal(machine, 1, command, "0", evil, "--text", *hold)
    assert SHOWN in shown
    assert not set(EVIL) & set(shown) - set(SHOWN) - {"\r"}
    for way in (["--read"], ["--json"], ["--json", "--text"]):
        shown = on_terminal(machine, 1, command, "0", evil, *way, *hold)
        assert escaped(shown.replace("\r\n", "\n")) == shown.replace("\r\n", "\n")
    # The bytes themselves are printed on request.
    assert "\x1b]0;owned\x07" in on_terminal(machine, 1, command, "0", evil, "--raw", *hold)
    # A pipe gets them unchanged.
    status, out, _ = machine.run_bytes(1, command, "0", evil, "--text", *hold)
    assert (status, out) == (0, EVIL.encode() + b"\n")


def test_what_the_peer_left_in_a_shared_page(machine: Machine, tmp_path: Path) -> None:
    (tmp_path / "evil").write_text(EVIL, newline="")
    arguments = ["share", "1", "--file", str(tmp_path / "evil"), "--text", "--hold", "0"]
    shown = on_terminal(machine, 0, *arguments)
    assert SHOWN in shown and "\x1b" not in shown


@pytest.mark.parametrize(
    "arguments",
    [
        ["share", "1", "--file", "/\x1b[31m"],
        ["share", "\x1b[31m"],
        ["map", "0", "\x1b]0;owned\x07"],
        ["copy", "0", "8", "-o", "/\x1b[31m/x"],
        ["\x1b[31m"],
        ["share", "1", "--\x1b[31m"],
        ["share", "1", "--hold", "\x1b[31m"],
        ["completion", "\x1b[31m"],
        ["map", "0", "\x1b[31m", "--json"],
    ],
)
def test_arguments_in_messages(
    fake: FakeLibrary, capsys: pytest.CaptureFixture[str], arguments: list[str]
) -> None:
    """A reference list may come from another domain, a name from an archive."""
    assert main(arguments) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert "x1b" in said.err and escaped(said.err) == said.err


def test_escaping() -> None:
    assert escaped(EVIL) == SHOWN
    assert escaped("grün\tand\nlines ☃ 漢字 \U0001f600") == "grün\tand\nlines ☃ 漢字 \U0001f600"
    controls = "".join(chr(n) for n in (*range(32), *range(127, 160)) if chr(n) not in "\t\n")
    assert not set(escaped(controls)) & set(controls)
    for (
        char
    ) in "\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u2028\ufeff":
        assert escaped(char) == f"\\u{ord(char):04x}"
    assert escaped("\udce9") == "\\udce9"


# Jobs ------------------------------------------------------------------------------


class Shell(Terminal):
    """An interactive shell, and the command in it."""

    def __init__(self, machine: Machine) -> None:
        bash = shutil.which("bash")
        if bash is None:
            pytest.skip("bash is not installed")
        env = {"PS1": "ready> ", "HISTFILE": "/dev/null", "TERM": "dumb"}
        super().__init__([bash, "--norc", "--noprofile", "-i"], env)
        words = [f"{key}={value}" for key, value in machine.env(0).items()]
        self.command = shlex.join(["env", *words, sys.executable, "-m", "xengnttab"])
        self.type(f"x() {{ {self.command} \"$@\"; }}; stty -echo; PS1=; echo be'gun'\n")
        self.until("begun")
        self.seen = ""


@pytest.fixture
def shell(machine: Machine) -> Iterator[Shell]:
    shell = Shell(machine)
    yield shell
    shell.close()


def test_enter_is_read_and_used_up(shell: Shell) -> None:
    shell.type("x share 1\n")
    shell.until("Press Enter to release them.")
    shell.type("echo ty''ped\n")
    shell.type("echo ne''xt $?\n")
    seen = shell.until("next")
    assert "typed" not in seen and "next 0" in shell.until("next 0")


def test_a_background_job_goes_on(shell: Shell) -> None:
    """Input for the shell is not the command's, until it is in the foreground again."""
    shell.type("set -o monitor; x share 1 &\n")
    seen = shell.until("grant references")
    shell.type("echo one''line; echo two''lines\n")
    shell.until("twolines")
    shell.type("sleep 1; jobs -r; echo lis''ted\n")
    seen = shell.until("listed")
    assert "Running" in seen and "Stopped" not in seen and "Press Enter" not in seen
    shell.type("fg >/dev/null; echo en''ded $?\n")
    # A job is not notified when it gets to the foreground; it checks a few times a second.
    time.sleep(1)
    shell.type("\n")
    shell.until("ended 0")


def test_end_of_file_on_a_terminal(shell: Shell) -> None:
    shell.type("x share 1; echo en''ded $?\n")
    shell.until("Press Enter to release them.")
    shell.type("\x04")
    shell.until("ended 0")


def test_a_stopped_job_goes_on(shell: Shell) -> None:
    shell.type("set -o monitor; x share 1\n")
    shell.until("Press Enter to release them.")
    shell.type("\x1a")
    shell.until("Stopped")
    shell.type("bg; sleep 1; jobs -r; echo lis''ted\n")
    assert "Running" in shell.until("listed")
    shell.type("kill %1; wait %1; echo en''ded $?\n")
    shell.until("ended 0")


def test_a_terminal_that_is_gone(machine: Machine) -> None:
    """The command ends, by SIGHUP or by the end of its input."""
    command = [sys.executable, "-m", "xengnttab", "share", "1"]
    terminal = Terminal(command, machine.env(0))
    terminal.until("Press Enter")
    os.close(terminal.end)
    deadline = time.monotonic() + PATIENCE
    while os.waitpid(terminal.child, os.WNOHANG) == (0, 0):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_terminal_of_another_session(machine: Machine) -> None:
    """A terminal that does not control our jobs, as in a container, is read."""
    ours, theirs = pty.openpty()
    process = machine.start(0, "share", "1", stdin=theirs, start_new_session=True)
    assert process.stderr is not None
    assert process.stderr.readline() == "Press Enter to release them.\n"
    os.write(ours, b"\n")
    process.communicate(timeout=PATIENCE)
    assert process.returncode == 0
    os.close(ours)
    os.close(theirs)
