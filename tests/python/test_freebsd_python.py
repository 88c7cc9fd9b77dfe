# SPDX-License-Identifier: BSD-2-Clause
"""The recipe for Python on FreeBSD: the libraries that it includes, and its errors."""

from __future__ import annotations

from pathlib import Path

import pytest

from devtools import freebsd_python, sources, stamp
from devtools.console import DevError
from devtools.freebsd_versions import NEWEST

RELEASE = NEWEST


def base(where: Path, names: dict[str, list[str]], monkeypatch: pytest.MonkeyPatch) -> Path:
    """A base system whose libraries need others, as given."""
    needs = {}
    for name, needed in names.items():
        path = where / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
        needs[path] = needed
    monkeypatch.setattr(freebsd_python, "_needed", lambda path: needs.get(path, []))
    return where


def test_libraries_of_libraries(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = base(
        tmp_path,
        {
            "bin/program": ["libm.so.5", "libxengnttab.so.1"],
            "lib/libm.so.5": ["libc.so.7"],
            "lib/libc.so.7": ["libsys.so.7"],
            "lib/libsys.so.7": [],
            "usr/lib/libother.so.1": [],
        },
        monkeypatch,
    )
    assert set(freebsd_python.runtime(root, [root / "bin/program"])) == {
        "/libexec/ld-elf.so.1", "/lib/libm.so.5", "/lib/libc.so.7", "/lib/libsys.so.7",
    }  # fmt: skip


def test_a_library_that_the_release_has_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = base(tmp_path, {"bin/program": ["libdl.so.1"]}, monkeypatch)
    with pytest.raises(DevError, match=r"has no libdl\.so\.1"):
        freebsd_python.runtime(root, [root / "bin/program"])


def test_needs_are_read_from_the_file(build: Path, tmp_path: Path) -> None:
    library = build / "libxengnttab-freebsd/libxengnttab.so.1.2"
    assert "libc.so.6" in freebsd_python._needed(library)
    script = tmp_path / "script"
    script.write_text("#!/bin/sh\n")
    assert freebsd_python._needed(script) == []


def test_a_configure_script_of_another_kind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Names of systems in it are replaced once; a script without them is refused."""
    source = tmp_path / "python3.99_1"
    source.mkdir()
    script = source / "configure"
    script.write_text("\n".join(before for before, _ in freebsd_python.CONFIGURE) + "\n")
    monkeypatch.setattr(sources, "obtain", lambda name: source)
    copy = freebsd_python._patched(tmp_path / "place", RELEASE)
    text = (copy / "configure").read_text()
    assert "ac_sys_system=FreeBSD" in text and f"ac_sys_release={RELEASE.major}.0" in text
    assert "VxWorks" not in text and "VxWorks" in script.read_text()
    (copy / "configure").write_text("kept")
    assert (freebsd_python._patched(tmp_path / "place", RELEASE) / "configure").read_text() == (
        "kept"
    )
    stamp.write(copy / ".patched", "another")
    script.write_text("nothing of this kind")
    with pytest.raises(DevError, match="configure has no"):
        freebsd_python._patched(tmp_path / "place", RELEASE)


def test_modules_are_compiled_for_an_image_without_times(tmp_path: Path) -> None:
    tree = tmp_path / "lib"
    (tree / "package").mkdir(parents=True)
    (tree / "package/module.py").write_text("x = 1\n")
    (tree / "test").mkdir()
    (tree / "test/module.py").write_text("x = 1\n")
    found = dict(freebsd_python._compiled(tree, "/there"))
    assert "/there/package/module.py" in found
    assert not any("/test/" in name for name in found)
    (compiled,) = [path for name, path in found.items() if name.endswith(".pyc")]
    # A form that is never compared with its source (PEP 552): bit 0 on, bit 1 off.
    assert compiled.read_bytes()[4:8] == b"\x01\0\0\0"
