# SPDX-License-Identifier: BSD-2-Clause
"""The recipe for QEMU: when a part is built again, and the files that it writes itself."""

from __future__ import annotations

import os
import shutil
import subprocess
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from devtools import debian, parts, qemu, sources
from devtools.console import Console, DevError


class Maker(Console):
    """Runs nothing; what it is told to make appears or does not."""

    def __init__(self, part: parts.Part, where: Path) -> None:
        super().__init__()
        self.ran: list[str] = []
        self.part, self.where = part, where
        self.makes: bool | None = True  # None: ends well without having made it
        self.pause: Callable[[str], None] = lambda what: None

    def say(self, text: str) -> None:
        pass

    def run(self, what: str, argv: Sequence[str | Path], **kwargs: Any) -> tuple[int, Path]:
        assert kwargs["cwd"] == self.where / self.part.name
        words = [str(word) for word in argv if not str(word).startswith("--unset=")]
        assert words.pop(0) == "env" and "--unset=CFLAGS" in argv
        self.ran.append(words[0])
        self.pause(what)
        making = words == self.part.make
        if making and self.makes:
            (self.where / self.part.made).write_text("")
        return int(making and self.makes is False), Path(os.devnull)


@pytest.fixture
def part() -> parts.Part:
    return parts.Part("zlib", ["configure", "--static"], ["make"], "zlib/libz.a")


@pytest.fixture
def maker(part: parts.Part, tmp_path: Path) -> Maker:
    return Maker(part, tmp_path)


def make(maker: Maker, key: str) -> list[str]:
    maker.ran.clear()
    parts.make(maker, maker.where, maker.part, key)
    return maker.ran


def test_nothing_changed_runs_nothing(maker: Maker) -> None:
    assert make(maker, "a") == ["configure", "make"]
    assert make(maker, "a") == []


def test_two_checkouts_make_a_part_one_after_the_other(maker: Maker) -> None:
    """They share the directory, so parallel builds would remove each other's files."""
    other = Maker(maker.part, maker.where)
    began, goes_on = threading.Event(), threading.Event()

    def pause(_: str) -> None:
        began.set()
        goes_on.wait()

    maker.pause = pause
    first = threading.Thread(target=make, args=(maker, "a"))
    first.start()
    began.wait()
    second = threading.Thread(target=make, args=(other, "a"))
    second.start()
    second.join(0.2)  # a build that did not wait would be through by now
    assert other.ran == []
    goes_on.set()
    first.join()
    second.join()
    assert maker.ran == ["configure", "make"]
    assert other.ran == []


def test_a_change_begins_with_an_empty_directory(maker: Maker) -> None:
    make(maker, "a")
    stale = maker.where / "zlib/stale.o"
    stale.write_text("")
    assert make(maker, "b") == ["configure", "make"]
    assert not stale.exists()


def test_an_interrupted_build_goes_on(maker: Maker) -> None:
    maker.makes = False
    with pytest.raises(DevError, match="build zlib for FreeBSD"):
        make(maker, "a")
    maker.makes = True
    assert make(maker, "a") == ["make"]


def test_a_lost_product_is_made_again(maker: Maker) -> None:
    make(maker, "a")
    (maker.where / "zlib/libz.a").unlink()
    assert make(maker, "a") == ["make"]


def test_a_part_without_its_product_is_an_error(maker: Maker) -> None:
    maker.part = parts.Part("zlib", ["configure"], ["make"], "zlib/libz.a")
    maker.makes = None
    with pytest.raises(DevError, match=r"zlib for FreeBSD was built without zlib/libz\.a"):
        make(maker, "a")


def test_a_key_covers_the_commands_and_what_came_before(part: parts.Part) -> None:
    keys = {
        part.key("a"),
        part.key("b"),
        parts.Part(part.name, [*part.configure, "-x"], part.make).key("a"),
        parts.Part(part.name, part.configure, [*part.make, "-x"]).key("a"),
    }
    assert len(keys) == 4
    assert part.key("a") == part.key("a")


def test_what_is_not_built_says_how_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And downloads nothing."""
    monkeypatch.setenv("XENGNT_CACHE", str(tmp_path))
    monkeypatch.setattr(sources, "obtain", lambda *_, **__: pytest.fail("asked for sources"))
    with pytest.raises(DevError, match=r"\./dev test --step qemu$"):
        qemu.built(qemu.RELEASE, tmp_path / "libxengnttab.so.1.2")


def test_missing_compiler_runtime_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clang = tmp_path / "clang-19"
    clang.write_text("#!/bin/sh\necho /nowhere/libclang_rt.builtins.a\n")
    clang.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(DevError, match=r"/nowhere/.* is missing: install libclang-rt-19-dev"):
        parts.builtins(debian.Clang(19, "-19"))


def test_messages_stay_as_they_are(tmp_path: Path) -> None:
    """Compiled with every warning, as glib may be, and run: all functions, both plural forms."""
    compiler = shutil.which("cc")
    assert compiler is not None
    (tmp_path / "libintl.h").write_text(qemu.gettext_header())
    (tmp_path / "main.c").write_text("""\
#include <stdio.h>
#include "libintl.h"
int main(void) {
    textdomain("d"); bindtextdomain("d", "/"); bind_textdomain_codeset("d", "UTF-8");
    printf("%s %s %s %s %s %s %s", gettext("a"), dgettext("d", "b"), dcgettext("d", "c", 0),
        ngettext("one", "many", 1), ngettext("one", "many", 0),
        dngettext("d", "one", "many", 1), dngettext("d", "one", "many", 2));
    return 0;
}
""")
    options = ["-std=c99", "-Wall", "-Wextra", "-Werror", "-o", str(tmp_path / "main")]
    subprocess.run([compiler, *options, str(tmp_path / "main.c")], check=True)
    said = subprocess.run([tmp_path / "main"], capture_output=True, text=True, check=True).stdout
    assert said == "a b c one many one many"


def test_pkg_config_reads_what_is_written(tmp_path: Path) -> None:
    text = qemu.pc_file("xencontrol", "4.17.0", "-I/x/include", "-L/x/lib -lxenctrl")
    (tmp_path / "xencontrol.pc").write_text(text)
    tool = shutil.which("pkg-config")
    assert tool is not None
    environment = {**os.environ, "PKG_CONFIG_LIBDIR": str(tmp_path)}

    def said(*questions: str) -> list[str]:
        asked = [tool, *questions, "xencontrol"]
        answer = subprocess.run(asked, capture_output=True, text=True, check=True, env=environment)
        return answer.stdout.split()

    assert said("--modversion") == ["4.17.0"]
    assert said("--cflags", "--libs") == ["-I/x/include", "-L/x/lib", "-lxenctrl"]
