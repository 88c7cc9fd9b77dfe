# SPDX-License-Identifier: BSD-2-Clause
"""The commands copy, notify, probe, stat, bench and completion on the fake library."""

from __future__ import annotations

import errno
import json
import re
import shlex
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from xengnttab import PAGE_SIZE, _completion, _system, cli
from xengnttab._arguments import NO_DEVICE, USAGE
from xengnttab._terminal import table
from xengnttab.cli import main

from tests.python.fake_library import FakeLibrary

Output = pytest.CaptureFixture[str]


def objects(output: Output) -> list[dict[str, Any]]:
    return [json.loads(line) for line in output.readouterr().out.splitlines()]


def test_copy_from_pages(fake: FakeLibrary, capsys: Output) -> None:
    assert main(["copy", "1", "8", "9", "--offset", "4000", "--length", "200"]) == 0
    said = capsys.readouterr()
    assert said.err == "copied 200 bytes from 2 of 2 pages of domain 1\n"
    out = said.out.splitlines()
    assert out[0].startswith("00000000  67 67 67") and out[-1] == "000000c8"
    assert [entry[1:] for entry in fake.log if entry[0] == "segment"] == [
        ((1, 8, 4000), bytes(96), 96),
        ((1, 9, 0), bytes(104), 104),
    ]


def test_copy_to_pages_as_json(fake: FakeLibrary, capsys: Output, tmp_path: Path) -> None:
    file = tmp_path / "content"
    file.write_bytes(b"x" * (PAGE_SIZE + 1))
    assert main(["copy", "1", "8", "9", "10", "--file", str(file), "--json"]) == 0
    assert objects(capsys) == [
        {
            "type": "status", "command": "copy", "domid": 1, "refs": [8, 9], "direction": "to",
            "bytes": PAGE_SIZE + 1, "statuses": ["OKAY", "OKAY"],
        }
    ]  # fmt: skip


def test_refused_copy_is_a_table_and_status_1(fake: FakeLibrary, capsys: Output) -> None:
    fake.statuses = {9: -1}
    assert main(["copy", "1", "8", "9", "--text"]) == 1
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.splitlines() == [
        "copied 4096 bytes from 1 of 2 pages of domain 1",
        "reference  bytes  status",
        "        8   4096  okay (0)",
        "        9   4096  general error (-1)",
    ]
    assert main(["copy", "1", "8", "9", "--json"]) == 1
    (found,) = objects(capsys)
    assert (found["bytes"], found["statuses"]) == (4096, ["OKAY", "GENERAL_ERROR"])


def test_arm_says_what_it_will_do(fake: FakeLibrary, capsys: Output) -> None:
    assert main(["notify", "arm", "1", "8", "--byte", "3", "--port", "6", "--hold", "0"]) == 0
    assert capsys.readouterr().out == (
        "holding grant 8 of domain 1: byte 3 is cleared and event channel 6 is signalled"
        " when the mapping ends\n"
    )
    assert ("xengnttab_map_grant_ref_notify", 1, 8, 3, 3, 6) in fake.log
    assert main(["notify", "arm", "1", "8", "--port", "6", "--hold", "0", "--json"]) == 0
    (said,) = objects(capsys)
    assert said == {
        "type": "status", "command": "notify", "role": "arm", "domid": 1, "ref": 8, "byte": None,
        "port": 6,
    }  # fmt: skip
    # As watch does by default.
    assert main(["notify", "arm", "1", "8", "--hold", "0"]) == 0
    assert "byte 0 is cleared" in capsys.readouterr().out
    assert fake.log[-3] == ("xengnttab_map_grant_ref_notify", 1, 8, 3, 0, 0xFFFFFFFF)


def test_watch_sees_the_byte(fake: FakeLibrary, capsys: Output) -> None:
    def clear() -> None:
        while not fake.memory:
            time.sleep(0.01)
        (memory,) = fake.memory.values()
        while memory[5] != 1:
            time.sleep(0.01)
        memory[5] = 0

    thread = threading.Thread(target=clear)
    thread.start()
    assert main(["notify", "watch", "2", "--byte", "5", "--json"]) == 0
    thread.join()
    first, second = objects(capsys)
    assert first == {
        "type": "status", "command": "notify", "role": "watch", "domid": 2, "ref": 100, "byte": 5,
        "port": None,
    }  # fmt: skip
    assert second["event"] == "cleared"
    arguments = ["notify", "watch", "2", "--timeout", "0.02"]
    assert main(arguments) == 1
    assert capsys.readouterr().out.splitlines()[1] == "still held"


def test_probe(fake: FakeLibrary, capsys: Output, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_system, "NODES", ("/nonexistent",))
    fake.failures = {"xengnttab_dmabuf_imp_release": errno.ENOTTY}
    assert main(["probe"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "what            here",
        "/nonexistent    no",
        "map grants      yes",
        "share pages     yes",
        "event channels  no (ENOENT)",
        "grant copy      yes",
        "DMA buffers     no (ENOTTY)",
    ]
    fake.failures = {"xengntshr_open": errno.ENOENT, "xengnttab_grant_copy": errno.ENOTTY}
    fake.failures["xengnttab_dmabuf_imp_release"] = errno.ENOENT
    assert main(["probe", "--json"]) == NO_DEVICE
    (said,) = objects(capsys)
    assert said["usable"] is False
    assert said["found"]["share pages"] == "no (ENOENT)"
    assert (said["found"]["grant copy"], said["found"]["DMA buffers"]) == ("no", "yes")
    assert said["answers"]["share pages"] == {"works": False, "errno": "ENOENT"}
    assert said["answers"]["grant copy"] == {"works": False, "errno": None}
    assert said["answers"]["map grants"] == {"works": True, "errno": None}


def test_stat_of_linux(
    fake: FakeLibrary, capsys: Output, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(_system, "SYS_MODULE", tmp_path)
    monkeypatch.setattr("sys.platform", "linux")
    assert main(["stat"]) == 1
    assert "the drivers are there, but publish none" in capsys.readouterr().err
    fake.failures = {"xengnttab_open": errno.ENOENT, "xengntshr_open": errno.ENOENT}
    assert main(["stat"]) == NO_DEVICE
    assert "modprobe xen-gntdev" in capsys.readouterr().err
    limit = tmp_path / "xen_gntalloc/parameters/limit"
    limit.parent.mkdir(parents=True)
    limit.write_text("1024\n")
    assert main(["stat", "--json"]) == 0
    assert objects(capsys) == [
        {"type": "status", "command": "stat", "values": {"xen_gntalloc.limit": 1024}}
    ]


def test_stat_of_freebsd(
    fake: FakeLibrary, capsys: Output, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    tool = tmp_path / "sysctl"
    tool.write_text('#!/bin/sh\necho "$1.limit: 7"\necho "$1.text: words"\necho "$1.pages: 0"\n')
    tool.chmod(0o755)
    monkeypatch.setattr("sys.platform", "freebsd15")
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    assert main(["stat"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "what                   value",
        "hw.xen.gntdev.limit        7",
        "hw.xen.gntdev.pages        0",
        "hw.xen.gntalloc.limit      7",
        "hw.xen.gntalloc.pages      0",
    ]


def test_bench(fake: FakeLibrary, capsys: Output) -> None:
    assert main(["bench", "--seconds", "0", "1", "8", "9", "10", "--json"]) == 0
    (said,) = objects(capsys)
    measured = [(figure["name"], figure["pages"]) for figure in said["figures"]]
    assert ("share, unshare", 16) in measured
    assert [pages for name, pages in measured if name == "map, unmap"] == [1, 2, 3]
    assert measured[-2:] == [("map, read, unmap", 1), ("copy", 1)]
    assert all(figure["p99"] >= figure["median"] >= 0 for figure in said["figures"])
    assert fake.memory == {}
    assert main(["bench", "--seconds", "0"]) == 0
    text = capsys.readouterr().out
    assert text.startswith("call ") and "map" not in text
    assert main(["bench", "1"]) == USAGE


def test_tables_align() -> None:
    text = table(("a", "number"), [("word", 5), ("longer word", 12.345), ("", None)])
    assert text.splitlines() == [
        "a            number",
        "word              5",
        "longer word    12.3",
        "                  -",
    ]


def completed(shell: str, *words: str) -> set[str]:
    """What the shell offers for the last word."""
    program = shutil.which(shell)
    if program is None:
        pytest.skip(f"{shell} is not installed")
    script = _completion.script(cli.parser(), shell)
    if shell == "fish":
        script += f"complete -C '{' '.join(('xengnttab', *words))}'\n"
    else:
        *_, function = re.findall(r"^complete .*-F (\S+) xengnttab$", script, re.MULTILINE)
        line = " ".join(shlex.quote(word) for word in ("xengnttab", *words))
        script += f"""
COMP_WORDS=({line}); COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1))
{function}
printf '%s\\n' "${{COMPREPLY[@]}}"
"""
    done = subprocess.run([program, "-c", script], capture_output=True, text=True, check=True)
    assert done.stderr == ""
    # fish adds a tab and a description.
    return {line.partition("\t")[0] for line in done.stdout.splitlines() if line}


@pytest.mark.parametrize("shell", ["bash", "fish"])
def test_completion_knows_the_parser(shell: str) -> None:
    names = {"share", "map", "copy", "notify", "stat", "probe", "bench", "completion"}
    assert completed(shell, "") >= names
    assert completed(shell, "sh") == {"share"}
    assert completed(shell, "notify", "a") == {"arm"}
    assert completed(shell, "notify", "arm", "--remo") == {"--remote-port"}
    assert completed(shell, "share", "--wr") == {"--writable", "--write"}
    assert completed(shell, "completion", "z") == {"zsh"}


def test_completion_for_zsh(capsys: Output) -> None:
    assert main(["completion", "zsh"]) == 0
    script = capsys.readouterr().out
    assert script.startswith("#compdef xengnttab") and "--remote-port" in script
    zsh = shutil.which("zsh")
    if zsh is not None:
        # The script is valid, and makes its function complete the command.
        test = 'compinit=0; compdef() { echo "$@"; }; eval "$(cat)"'
        done = subprocess.run(
            [zsh, "-fc", test], input=script, capture_output=True, text=True, check=True
        )
        assert (done.stdout, done.stderr) == ("_shtab_xengnttab -N xengnttab\n", "")


def test_completion_without_shtab(capsys: Output, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "shtab", None)
    assert main(["completion", "bash"]) == USAGE
    said = capsys.readouterr()
    assert said.out == "" and "pip install 'xengnttab[completion]'" in said.err


def test_manual_has_every_command_and_option() -> None:
    page = (Path(__file__).parents[2] / "pybind/man/xengnttab.1").read_text()
    page = page.replace("\\-", "-")
    for path, parser in _completion.parsers(cli.parser()):
        for command in path.split():
            assert f".Cm {command}" in page, command
        words = [word for action in parser._actions for word in action.option_strings]
        for word in words:
            if word.startswith("--"):
                assert f"Fl {word[1:]}" in page or word == "--help", f"{path} {word}"
