# SPDX-License-Identifier: BSD-2-Clause
"""Xen's own libraries, built for FreeBSD by Xen's make files, run on ours: every symbol and version
that they import is there, and a check that sees one missing does see it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from devtools import xenlibs
from devtools.console import DevError
from devtools.freebsd_versions import RELEASES, Release
from devtools.paths import freebsd_build
from tests.lib.broken import MAP, moved, relinked, without


@pytest.fixture(scope="module", params=sorted(RELEASES))
def release(request: pytest.FixtureRequest) -> Release:
    return RELEASES[request.param]


@pytest.fixture(scope="module")
def ours(release: Release) -> Path:
    return freebsd_build(release.major) / "libxengnttab-freebsd/libxengnttab.so.1.2"


@pytest.fixture(scope="module")
def xen(release: Release, ours: Path) -> list[Path]:
    try:
        return xenlibs.xen_libraries(release, ours)
    except DevError as error:
        pytest.fail(str(error))


def test_xens_libraries_find_all_they_import(xen: list[Path], ours: Path) -> None:
    assert len(xen) == len(xenlibs.XEN_LIBRARIES) == 9
    users = {path.name.partition(".")[0]: xenlibs.imported(path) for path in xen}
    wanted = {name for name, symbols in users.items() if symbols}
    # What they import is the reason for this test: it must not become nothing.
    assert wanted >= {"libxenctrl", "libxenvchan"}
    assert ("xengnttab_map_grant_ref_notify", "VERS_1.0") in users["libxenvchan"]
    assert ("xengntshr_share_page_notify", "VERS_1.0") in users["libxenvchan"]
    assert xenlibs.unresolved(xen, ours) == []


def test_a_faithful_copy_is_let_through(
    xen: list[Path], release: Release, ours: Path, tmp_path: Path
) -> None:
    """Else the next two would say nothing."""
    copy = relinked(release, ours, MAP, tmp_path)
    assert xenlibs.exported(copy) == xenlibs.exported(ours)
    assert xenlibs.unresolved(xen, copy) == []


def test_a_dropped_symbol_is_seen(
    xen: list[Path], release: Release, ours: Path, tmp_path: Path
) -> None:
    copy = relinked(release, ours, without("xengnttab_unmap"), tmp_path)
    missing = xenlibs.unresolved(xen, copy)
    assert any("libxenvchan" in line and "xengnttab_unmap@VERS_1.0" in line for line in missing)
    assert all("xengnttab_unmap@" in line for line in missing)


def test_a_symbol_of_another_version_is_seen(
    xen: list[Path], release: Release, ours: Path, tmp_path: Path
) -> None:
    """The linker does not mind, nor does a look at the names."""
    copy = relinked(release, ours, moved("xengnttab_open", "xengnttab_grant_copy"), tmp_path)
    assert {name for name, _ in xenlibs.exported(copy)} == {
        name for name, _ in xenlibs.exported(ours)
    }
    missing = xenlibs.unresolved(xen, copy)
    assert missing
    assert all(re.search(r"xengnttab_open@VERS_1\.0$", line) for line in missing)
