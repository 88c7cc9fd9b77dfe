# SPDX-License-Identifier: BSD-2-Clause
"""The command xengnttab on the fake library: arguments, output, exit status, waiting."""

from __future__ import annotations

import errno
import io
import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from xengnttab import PAGE_SIZE, __version__
from xengnttab.cli import main
from xengnttab.hexdump import hexdump, text

from tests.python.fake_library import FakeLibrary

VERSION = Path(__file__).resolve().parents[2] / "VERSION"


def run(*arguments: str) -> int:
    return main([*arguments, "--hold", "0"])


def test_share_prints_the_references(fake: FakeLibrary, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("share", "3", "--pages", "2") == 0
    assert capsys.readouterr().out == (
        "shared 2 pages with domain 3 read-only, grant references 100 101\n"
    )
    assert ("xengntshr_share_pages", 3, 2, 0) in fake.log
    assert fake.names()[-2:] == ["xengntshr_unshare", "xengntshr_close"]


def test_share_as_json(fake: FakeLibrary, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("share", "0x3", "--writable", "--json", "--write", "hi", "--text") == 0
    first, second = map(json.loads, capsys.readouterr().out.splitlines())
    assert first == {
        "type": "status",
        "command": "share",
        "domid": 3,
        "pages": 1,
        "writable": True,
        "refs": [100],
    }
    assert second == {"type": "content", "text": "hi"}
    assert ("xengntshr_share_pages", 3, 1, 1) in fake.log


def test_map_shows_the_pages(fake: FakeLibrary, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("map", "1", "8", "9", "--read") == 0
    said = capsys.readouterr()
    assert said.err == "mapped 2 pages of domain 1 read-only\n"
    assert said.out.splitlines() == [
        "00000000  " + "00 " * 8 + " " + "00 " * 8 + " |" + "." * 16 + "|",
        "*",
        "00002000",
    ]
    assert ("xengnttab_map_grant_refs", [1, 1], [8, 9], fake.PROT_READ) in fake.log


def test_map_with_something_to_write_maps_for_writing(
    fake: FakeLibrary, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("map", "1", "8", "--write", "grüße", "--text", "--json") == 0
    first, second = map(json.loads, capsys.readouterr().out.splitlines())
    assert first == {
        "type": "status", "command": "map", "domid": 1, "refs": [8], "writable": True,
    }  # fmt: skip
    assert second == {"type": "content", "text": "grüße"}
    assert run("map", "1", "8", "--writable", "--read", "--json") == 0
    assert json.loads(capsys.readouterr().out.splitlines()[1])["data"] == "00" * PAGE_SIZE
    both = fake.PROT_READ | fake.PROT_WRITE
    assert fake.log.count(("xengnttab_map_grant_refs", [1], [8], both)) == 2


def test_content_of_a_file_or_of_standard_input(
    fake: FakeLibrary,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    file = tmp_path / "content"
    file.write_bytes(b"x" * PAGE_SIZE)
    assert run("share", "0", "--file", str(file), "--text") == 0
    assert capsys.readouterr().out.splitlines()[1] == "x" * PAGE_SIZE
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"from afar")))
    assert run("share", "0", "--file", "-", "--text") == 0
    assert capsys.readouterr().out.splitlines()[1] == "from afar"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["share", "0", "--write", "x" * 4097],
            "the content does not fit: there is room for 4096",
        ),
        (["share", "0", "--file", "/nonexistent"], "cannot read /nonexistent: No such"),
    ],
)
def test_useless_content_is_wrong_usage(
    fake: FakeLibrary,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    message: str,
) -> None:
    assert run(*arguments) == 2
    captured = capsys.readouterr()
    assert captured.err.startswith(f"xengnttab: {message}")
    assert captured.err.count("\n") == 1
    assert fake.log == []


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["share"],
        ["share", "65536"],
        ["share", "0", "--pages", "0"],
        ["share", "0", "--write", "a", "--file", "b"],
        ["map", "1"],
        ["map", "1", "ref"],
        ["map", "1", "-8"],
        ["map", "1", "8", "--read", "--text"],
        ["map", "1", "8", "--hold", "-1"],
        ["map", "1", "8", "--hold", "nan"],
    ],
)
def test_wrong_usage(
    fake: FakeLibrary, capsys: pytest.CaptureFixture[str], arguments: list[str]
) -> None:
    assert main(arguments) == 2
    said = capsys.readouterr()
    assert said.out == "" and said.err
    assert fake.log == []


@pytest.mark.parametrize(
    ("function", "number", "status", "words"),
    [
        ("xengntshr_open", errno.ENOENT, 3, "driver is not loaded"),
        ("xengntshr_open", errno.EACCES, 3, "EACCES"),
        ("xengntshr_share_pages", errno.ENOSPC, 1, "ENOSPC"),
        ("xengntshr_unshare", errno.EINVAL, 1, "EINVAL"),
    ],
)
def test_failures_end_in_one_line_and_a_status(
    fake: FakeLibrary,
    capsys: pytest.CaptureFixture[str],
    function: str,
    number: int,
    status: int,
    words: str,
) -> None:
    fake.failures[function] = number
    assert run("share", "3") == status
    error = capsys.readouterr().err
    assert error.startswith("xengnttab: cannot ") and words in error
    assert error.count("\n") == 1


def held(fake: FakeLibrary, arguments: list[str], end: Any) -> int:
    """Runs main and, once the pages exist, ends the wait in some way."""
    early: list[str] = []

    def wait_and_end() -> None:
        while fake.names()[-1:] not in (["xengntshr_share_pages"], ["xengnttab_map_grant_refs"]):
            time.sleep(0.01)
        time.sleep(0.1)
        early.extend(name for name in fake.names() if name.endswith(("unshare", "unmap")))
        end()

    thread = threading.Thread(target=wait_and_end)
    thread.start()
    status = main(arguments)
    thread.join()
    assert not early, "released too early"
    return status


@pytest.fixture
def stdin_pipe(monkeypatch: pytest.MonkeyPatch) -> Any:
    reader, writer = os.pipe()
    with os.fdopen(reader) as stdin, os.fdopen(writer, "w") as pipe:
        monkeypatch.setattr(sys, "stdin", stdin)
        yield pipe


@pytest.mark.parametrize("how", ["enter", "end of input", "SIGINT", "SIGTERM"])
def test_holds_until_told(fake: FakeLibrary, stdin_pipe: Any, how: str) -> None:
    def end() -> None:
        if how == "enter":
            stdin_pipe.write("\n")
            stdin_pipe.flush()
        elif how == "end of input":
            stdin_pipe.close()
        else:
            os.kill(os.getpid(), signal.Signals[how])

    # In a background job SIGINT is ignored, and the command leaves it so.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        assert held(fake, ["share", "3"], end) == 0
        assert fake.names()[-2:] == ["xengntshr_unshare", "xengntshr_close"]
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    finally:
        signal.signal(signal.SIGINT, before)


def test_holds_for_a_time(fake: FakeLibrary, stdin_pipe: Any) -> None:
    began = time.monotonic()
    assert main(["map", "1", "8", "--hold", "0.3"]) == 0
    assert time.monotonic() - began >= 0.3


def test_module_and_command_are_the_same() -> None:
    for command in (
        [sys.executable, "-m", "xengnttab"],
        [str(Path(sys.executable).parent / "xengnttab")],
    ):
        done = subprocess.run([*command, "--version"], capture_output=True, text=True, check=True)
        assert done.stdout == f"xengnttab {VERSION.read_text().strip()}\n"


def test_version_is_the_projects() -> None:
    assert __version__ == VERSION.read_text().strip()


def test_hexdump() -> None:
    data = b"A~\x7f\x1f" + bytes(12) + bytes(48) + b"end"
    assert list(hexdump(data)) == [
        "00000000  41 7e 7f 1f 00 00 00 00  00 00 00 00 00 00 00 00  |A~..............|",
        "00000010  00 00 00 00 00 00 00 00  00 00 00 00 00 00 00 00  |................|",
        "*",
        "00000040  65 6e 64                                          |end|",
        "00000043",
    ]
    assert list(hexdump(b"")) == ["00000000"]


def test_text_ends_at_a_zero_byte_and_hides_nothing() -> None:
    assert text(b"abc\0def") == "abc"
    assert text(b"caf\xe9") == "caf\\xe9"
