# SPDX-License-Identifier: BSD-2-Clause
"""Standard input, output and error of the command: closed, full, without a reader, in ASCII."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import pytest
from xengnttab._wait import Ended, hold

from tests.python.machine import PATIENCE, Machine, let_go

NO_OUTPUT = 4
COMMANDS = {
    "share": ["share", "1", "--hold", "0"],
    "share as JSON": ["share", "1", "--hold", "0", "--json"],
    "share and show": ["share", "1", "--hold", "0", "--raw"],
    "copy": ["copy", "0", "REF"],
    "copy as text": ["copy", "0", "REF", "--text"],
    "copy as bytes": ["copy", "0", "REF", "--raw"],
    "map and show": ["map", "0", "REF", "--read", "--hold", "0"],
    "map as JSON": ["map", "0", "REF", "--read", "--json", "--hold", "0"],
    "arm": ["notify", "arm", "0", "REF", "--byte", "1", "--hold", "0"],
    "watch": ["notify", "watch", "1", "--timeout", "0"],
    "probe": ["probe"],
    "probe as JSON": ["probe", "--json"],
    "bench": ["bench", "--seconds", "0"],
    "help": ["--help"],
    "help of a command": ["notify", "arm", "--help"],
    "version": ["--version"],
    "completion": ["completion", "bash"],
}


@contextmanager
def sink(kind: str) -> Iterator[dict[str, Any]]:
    """Options of Popen for an output that cannot be written."""
    if kind == "no reader":
        reader, writer = os.pipe()
        os.close(reader)
        with os.fdopen(writer, "w") as stdout:
            yield {"stdout": stdout}
    elif kind == "full":
        with open("/dev/full", "w") as stdout:
            yield {"stdout": stdout}
    else:
        yield {"preexec_fn": lambda: os.close(1)}


@pytest.fixture(scope="module")
def page(build: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Machine, str]]:
    """A machine where domain 0 shares a page."""
    preload = build / "tests/harness/libxengnt-harness.so"
    if not preload.exists():
        pytest.skip(f"{preload} is not built")
    machine = Machine(preload, tmp_path_factory.mktemp("streams") / "machine")
    _, (ref,) = machine.share(0, "1", "--writable", "--write", "some text")
    yield machine, ref
    machine.stop()


@pytest.mark.parametrize("kind", ["no reader", "full", "closed"])
@pytest.mark.parametrize("name", COMMANDS)
def test_output_that_cannot_be_written(page: tuple[Machine, str], name: str, kind: str) -> None:
    machine, ref = page
    arguments = [word.replace("REF", ref) for word in COMMANDS[name]]
    with sink(kind) as options:
        status, _, err = machine.run(1, *arguments, **options)
    lines = [
        line for line in err.splitlines() if not line.startswith(("copied", "mapped", "share"))
    ]
    assert status == NO_OUTPUT, err
    if kind == "no reader":
        assert lines == []
    else:
        reason = "No space left on device" if kind == "full" else "Bad file descriptor"
        (line,) = lines
        assert "cannot write to standard output" in line and reason in line


@pytest.mark.parametrize("kind", ["full", "closed"])
@pytest.mark.parametrize("arguments", [["copy", "0", "999999"], ["copy"], ["map", "x", "--json"]])
def test_errors_never_go_to_standard_output(
    page: tuple[Machine, str], arguments: list[str], kind: str
) -> None:
    machine, _ = page
    options: dict[str, Any] = {"preexec_fn": lambda: os.close(2)}
    with open("/dev/full", "w") as full:
        if kind == "full":
            options = {"stderr": full}
        status, out, _ = machine.run(1, *arguments, **options)
    assert (status, out) == (1 if arguments == ["copy", "0", "999999"] else 2, "")


def test_no_device_gets_the_number_of_a_closed_stream(page: tuple[Machine, str]) -> None:
    """Otherwise messages would be written into the grant device."""
    program = """
import os, sys
for number in (0, 1, 2):
    os.close(number)
from xengnttab import cli
import xengnttab._calls as calls
whole = calls.open_share
def look():
    handle = whole()
    open(sys.argv[1], "w").write(str(calls.share_fd(handle)))
    return handle
from xengnttab import GrantShare
GrantShare.calls.open = staticmethod(look)
cli.main(["share", "1", "--hold", "0"])
"""
    machine, _ = page
    where = machine.memory.parent / "number"
    machine.run(1, str(where), program=program)
    assert int(where.read_text()) > 2


def test_errors_as_json(page: tuple[Machine, str]) -> None:
    machine, _ = page
    for arguments, status, name in (
        (["map", "0", "999999", "--json"], 1, "EINVAL"),
        (["map", "0", "--json"], 2, None),
        (["copy", "0", "8", "--json", "--file", "/nonexistent"], 2, None),
        (["map", "0", "8", "--json", "--raw"], 2, None),
    ):
        code, out, err = machine.run(1, *arguments)
        said = json.loads(err)
        assert (code, out, err.count("\n")) == (status, "", 1)
        assert (said["type"], said["status"], said["errno"]) == ("error", status, name)
        assert said["error"]


def test_content_from_a_closed_input(page: tuple[Machine, str]) -> None:
    machine, _ = page
    status, out, err = machine.run(
        1, "share", "1", "--file", "-", "--hold", "0", preexec_fn=lambda: os.close(0)
    )
    assert (status, out) == (2, "")
    assert err == "xengnttab: cannot read standard input: it is closed\n"


@pytest.mark.parametrize("file", ["/", "/dev/zero", "/nonexistent"])
def test_content_that_cannot_be_had(page: tuple[Machine, str], file: str) -> None:
    """Including an endless file."""
    machine, _ = page
    status, out, err = machine.run(1, "share", "1", "--file", file, "--hold", "0")
    assert (status, out, err.count("\n")) == (2, "", 1)


# What ends a wait -------------------------------------------------------------


@contextmanager
def stdin(kind: str, where: Path) -> Iterator[IO[bytes] | int]:
    file = where / "input"
    file.write_bytes(b"a line\n" if kind.endswith("line") else b"")
    if kind.startswith("file"):
        with file.open("rb") as found:
            yield found
    elif kind == "null":
        yield subprocess.DEVNULL
    elif kind.startswith("pipe"):
        reader, writer = os.pipe()
        os.write(writer, file.read_bytes())
        os.close(writer)
        with os.fdopen(reader) as pipe:
            yield pipe.fileno()
    else:
        ours, theirs = socket.socketpair()
        with ours, theirs:
            ours.sendall(file.read_bytes())
            ours.shutdown(socket.SHUT_WR)
            yield theirs.fileno()


INPUTS = ["file", "file with line", "null", "pipe", "pipe with line", "socket", "socket with line"]


@pytest.mark.parametrize("kind", [*INPUTS, "closed"])
@pytest.mark.parametrize("command", ["share", "map", "arm"])
def test_an_input_at_its_end_lets_go(
    page: tuple[Machine, str], tmp_path: Path, kind: str, command: str
) -> None:
    """It also says so, for a service that wanted to wait: --hold forever does."""
    machine, ref = page
    arguments = {
        "share": ["share", "1"],
        "map": ["map", "0", ref],
        "arm": ["notify", "arm", "0", ref],
    }[command]
    if kind == "closed":
        status, out, err = machine.run(1, *arguments, preexec_fn=lambda: os.close(0))
    else:
        with stdin(kind, tmp_path) as source:
            process = machine.start(1, *arguments, stdin=source)
            out, err = process.communicate(timeout=PATIENCE)
            status = process.returncode
    assert status == 0 and out
    if kind.endswith("line"):
        assert err == ""
    else:
        assert "standard input is closed or at its end" in err and "--hold forever" in err


def test_hold_forever_does_not_look_at_the_input(page: tuple[Machine, str]) -> None:
    machine, _ = page
    process, (ref,) = machine.share(2, "1", "--hold", "forever", "--write", "still there")
    assert process.stdin is not None
    process.stdin.write("\n")
    process.stdin.close()
    process.stdin = None
    status, out, _ = machine.run(1, "map", "2", ref, "--text", "--hold", "0")
    assert (status, out) == (0, "still there\n")
    assert process.poll() is None
    process.terminate()
    _, err = process.communicate(timeout=PATIENCE)
    assert (process.returncode, err) == (0, "")


def test_one_line_is_read_and_no_more(page: tuple[Machine, str]) -> None:
    """What follows belongs to the next reader; an incomplete line ends nothing."""
    machine, _ = page
    reader, writer = os.pipe()
    process = machine.start(2, "share", "1", "--json", stdin=reader)
    assert process.stdout is not None
    (ref,) = json.loads(process.stdout.readline())["refs"]
    os.write(writer, b"part of a ")
    status, _, _ = machine.run(1, "map", "2", str(ref), "--hold", "0")
    assert status == 0 and process.poll() is None
    os.write(writer, b"line\nthe next\n")
    process.communicate(timeout=PATIENCE)
    assert process.returncode == 0
    os.close(writer)
    with os.fdopen(reader) as rest:
        assert rest.read() == "the next\n"


def test_waiting_asks_neither_epoll_nor_kqueue() -> None:
    """kqueue(2) never reports a regular file at its end, epoll(7) refuses regular files."""
    program = """
import os, select, socket
for name in ("epoll", "kqueue"):
    if hasattr(select, name):
        setattr(select, name, None)
from xengnttab._wait import Ended, hold
ours, theirs = socket.socketpair()
assert hold(None, ours, os.open(os.devnull, os.O_RDONLY)) is Ended.AT_ONCE
"""
    subprocess.run([sys.executable, "-c", program], check=True, timeout=PATIENCE)


def test_a_pipe_is_no_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """For a pipe, FreeBSD's tcgetpgrp(3) returns 0 instead of failing."""
    monkeypatch.setattr(os, "tcgetpgrp", lambda descriptor: 0)
    reader, writer = os.pipe()
    ours, theirs = socket.socketpair()
    with ours, theirs:
        os.write(writer, b"\n")
        assert hold(None, ours, reader) is Ended.LINE
        os.close(writer)
        assert hold(None, ours, reader) is Ended.AT_ONCE
        theirs.close()
    os.close(reader)


@pytest.mark.parametrize("ignored", ["SIGINT", "SIGHUP"])
def test_an_ignored_signal_stays_ignored(page: tuple[Machine, str], ignored: str) -> None:
    """As nohup does, and a shell without job control for a background job."""
    import signal

    machine, _ = page
    number = signal.Signals[ignored]
    process = machine.start(
        2, "share", "1", "--json", preexec_fn=lambda: signal.signal(number, signal.SIG_IGN)
    )
    assert process.stdout is not None
    (ref,) = json.loads(process.stdout.readline())["refs"]
    process.send_signal(number)
    status, _, _ = machine.run(1, "map", "2", str(ref), "--hold", "0")
    assert status == 0 and process.poll() is None
    let_go(process)


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_signals_end_it_in_good_order(page: tuple[Machine, str], name: str) -> None:
    import signal

    machine, _ = page
    number = signal.Signals[name]
    process = machine.start(
        2, "share", "1", "--hold", "forever", "--write", "bye", "--text", "--json",
        preexec_fn=lambda: signal.signal(number, signal.SIG_DFL),
    )  # fmt: skip
    assert process.stdout is not None and process.stdout.readline()
    process.send_signal(number)
    out, err = process.communicate(timeout=PATIENCE)
    assert (process.returncode, err) == (0, "")
    assert json.loads(out)["text"] == "bye"


# Bytes and characters ------------------------------------------------------------


def test_arguments_are_bytes(page: tuple[Machine, str]) -> None:
    machine, _ = page
    sharer, (ref,) = machine.share(2, "1", "--write", b"caf\xe9 gr\xc3\xbcn")
    for env in ({}, {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}):
        status, out, err = machine.run(1, "copy", "2", ref, "--length", "10", "--json", env=env)
        assert (status, err) == (0, "")
        assert bytes.fromhex(json.loads(out.splitlines()[1])["data"]) == b"caf\xe9 gr\xc3\xbcn"
    let_go(sharer)


def test_a_name_that_is_no_text(page: tuple[Machine, str], tmp_path: Path) -> None:
    machine, _ = page
    name = os.fsencode(tmp_path) + b"/caf\xe9"
    status, out, err = machine.run(1, "share", "1", "--hold", "0", "--file", name)
    assert (status, out) == (2, "") and "caf\\udce9: No such file" in err
    Path(os.fsdecode(name)).write_bytes(b"content")
    status, out, _ = machine.run(1, "share", "1", "--hold", "0", "--file", name, "--raw")
    assert (status, out[:7]) == (0, "content")


@pytest.mark.parametrize("env", [
    {"PYTHONIOENCODING": "ascii"},
    {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
])  # fmt: skip
def test_what_ascii_cannot_show_is_escaped(page: tuple[Machine, str], env: dict[str, str]) -> None:
    machine, _ = page
    sharer, (ref,) = machine.share(2, "1", "--write", "grün ☃ \U0001f600")
    status, out, err = machine.run(1, "copy", "2", ref, "--text", env=env)
    assert (status, out) == (0, "gr\\xfcn \\u2603 \\U0001f600\n")
    status, out, err = machine.run(1, "bench", "--seconds", "0", env=env)
    assert (status, err) == (0, "") and out.startswith("call ")
    status, out, err = machine.run(1, "map", "2", "☃", env=env)
    assert (status, out) == (2, "") and "must be a number" in err
    let_go(sharer)


def test_bytes_as_they_are(page: tuple[Machine, str], tmp_path: Path) -> None:
    """With --raw, -o FILE and -o -, from copy, map and share; nothing else is written to them."""
    machine, _ = page
    data = bytes(range(256)) * 16
    (tmp_path / "in").write_bytes(data)
    sharer, (ref,) = machine.share(2, "1", "--file", str(tmp_path / "in"))
    for command in (["copy", "2", ref], ["map", "2", ref, "--hold", "0"]):
        for option in (["--raw"], ["-o", "-"]):
            status, shown, said = machine.run_bytes(1, *command, *option)
            assert (status, shown) == (0, data)
            assert said.count(b"\n") == 1
        status, text, err = machine.run(1, *command, "-o", str(tmp_path / "out"))
        assert (status, err) == (0, "") and text.startswith(command[0][:3])
        assert (tmp_path / "out").read_bytes() == data
    let_go(sharer)
    status, text, err = machine.run(
        1, "share", "2", "--hold", "0", "--file", str(tmp_path / "in"), "-o", str(tmp_path / "out2")
    )
    assert (status, err) == (0, "") and "grant references" in text
    assert (tmp_path / "out2").read_bytes() == data


def test_an_output_file_that_cannot_be_written(page: tuple[Machine, str]) -> None:
    machine, ref = page
    status, out, err = machine.run(1, "copy", "0", ref, "-o", "/nonexistent/file")
    assert (status, out) == (2, "") and "cannot write /nonexistent/file: No such file" in err
    status, out, err = machine.run(1, "copy", "0", ref, "-o", "/dev/full")
    assert (status, "cannot write to /dev/full: No space left" in err) == (NO_OUTPUT, True)
