# SPDX-License-Identifier: BSD-2-Clause
"""QEMU 10 for FreeBSD, linked with our library: every symbol and version that it and Xen's
libraries import is there, and a check that sees one missing does see it.

./dev test --step qemu builds it first; nothing here does.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from elftools.elf.elffile import ELFFile

from devtools import freebsd_headers, qemu, xenlibs
from devtools.console import DevError
from devtools.paths import freebsd_build
from tests.lib.broken import MAP, moved, relinked, without

RELEASE = qemu.RELEASE
BASE = freebsd_headers.sysroot_dir(RELEASE) / "usr/lib"
IMPORTS = {
    *((f"xengnttab_{name}", "VERS_1.0") for name in (
        "open", "close", "set_max_grants", "map_domain_grant_refs", "unmap")),
    ("xengnttab_grant_copy", "VERS_1.1"),
}  # fmt: skip


@pytest.fixture(scope="module")
def ours() -> Path:
    return freebsd_build(RELEASE.major) / "libxengnttab-freebsd/libxengnttab.so.1.2"


@pytest.fixture(scope="module")
def program(ours: Path) -> Path:
    try:
        return qemu.built(RELEASE, ours)
    except DevError as error:
        pytest.fail(str(error))


def test_it_is_qemu_10_for_freebsd(program: Path) -> None:
    assert re.search(rb"\b10\.\d+\.\d+\b", program.read_bytes())
    with program.open("rb") as stream:
        assert ELFFile(stream)["e_ident"]["EI_OSABI"] == "ELFOSABI_FREEBSD"


def test_it_needs_our_library_and_no_other_than_xens_and_freebsds(program: Path) -> None:
    wanted = xenlibs.needed(program)
    assert xenlibs.SONAME in wanted
    there = {path.name for where in (qemu.libraries(RELEASE), BASE) for path in where.iterdir()}
    assert wanted - there == set()


def test_it_finds_all_it_imports(program: Path, ours: Path) -> None:
    # Exactly: what it imports is the reason for this test.
    assert xenlibs.imported(program) == IMPORTS
    assert xenlibs.unresolved([program], ours) == []


def test_a_faithful_copy_is_let_through(program: Path, ours: Path, tmp_path: Path) -> None:
    """Else the next two would say nothing."""
    assert xenlibs.unresolved([program], relinked(RELEASE, ours, MAP, tmp_path)) == []


@pytest.mark.parametrize(("symbol", "version"), sorted(IMPORTS))
def test_a_dropped_symbol_is_seen(
    program: Path, ours: Path, tmp_path: Path, symbol: str, version: str
) -> None:
    copy = relinked(RELEASE, ours, without(symbol), tmp_path)
    missing = xenlibs.unresolved([program], copy)
    assert missing == [f"{qemu.PROGRAM} wants {symbol}@{version}"]


@pytest.mark.parametrize(("symbol", "version"), sorted(IMPORTS))
def test_a_symbol_of_another_version_is_seen(
    program: Path, ours: Path, tmp_path: Path, symbol: str, version: str
) -> None:
    """The linker does not mind, nor does a look at the names."""
    beside = "xengnttab_fd" if version == "VERS_1.1" else "xengnttab_grant_copy"
    copy = relinked(RELEASE, ours, moved(symbol, beside), tmp_path)
    assert {name for name, _ in xenlibs.exported(copy)} == {
        name for name, _ in xenlibs.exported(ours)
    }
    missing = xenlibs.unresolved([program], copy)
    assert missing == [f"{qemu.PROGRAM} wants {symbol}@{version}"]
