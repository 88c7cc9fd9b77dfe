# SPDX-License-Identifier: BSD-2-Clause
"""The cross-built library is FreeBSD's: branded so, and bound to FreeBSD's symbol versions."""

from __future__ import annotations

from pathlib import Path

import pytest
from elftools.elf.elffile import ELFFile
from elftools.elf.gnuversions import GNUVerNeedSection
from elftools.elf.sections import NoteSection

from devtools.freebsd_versions import RELEASES, Release
from devtools.paths import freebsd_build


@pytest.fixture(params=sorted(RELEASES))
def release(request: pytest.FixtureRequest) -> Release:
    return RELEASES[request.param]


@pytest.fixture
def cross_built(release: Release) -> Path:
    return freebsd_build(release.major) / "libxengnttab-freebsd/libxengnttab.so.1.2"


def test_brand(release: Release, cross_built: Path) -> None:
    with cross_built.open("rb") as stream:
        elf = ELFFile(stream)
        assert elf["e_ident"]["EI_OSABI"] == "ELFOSABI_FREEBSD"
        assert elf["e_machine"] == "EM_X86_64"
        tags = [
            int.from_bytes(bytes(note["n_descdata"]), "little")
            for section in elf.iter_sections()
            if isinstance(section, NoteSection)
            for note in section.iter_notes()
            if note["n_name"] == "FreeBSD" and note["n_type"] in (1, "NT_GNU_ABI_TAG")
        ]
    assert [tag // 100000 for tag in tags] == [release.major]


def test_needs_freebsds_libc(cross_built: Path) -> None:
    with cross_built.open("rb") as stream:
        versions = ELFFile(stream).get_section_by_name(".gnu.version_r")
        assert isinstance(versions, GNUVerNeedSection)
        needed = {
            need.name: [aux.name for aux in auxes] for need, auxes in versions.iter_versions()
        }
    # Since 15 the system calls come from libsys, which libc.so.7 brings along.
    assert "libc.so.7" in needed
    assert set(needed) <= {"libc.so.7", "libsys.so.7"}
    assert all(name.startswith("FBSD_1.") for names in needed.values() for name in names)
