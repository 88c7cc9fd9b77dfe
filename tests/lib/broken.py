# SPDX-License-Identifier: BSD-2-Clause
"""Our library for FreeBSD with other symbols or versions, which a check must notice."""

from __future__ import annotations

import subprocess
from pathlib import Path

from devtools import xenlibs
from devtools.freebsd_versions import Release
from devtools.paths import ROOT

MAP = (ROOT / "libxengnttab-freebsd/libxengnttab.map").read_text()


def without(symbol: str) -> str:
    """The version script with a symbol dropped."""
    assert f"{symbol};" in MAP
    return MAP.replace(f"{symbol};", "")


def moved(symbol: str, beside: str) -> str:
    """The version script with a symbol under the version of another one."""
    script = without(symbol)
    assert f"{beside};" in script
    return script.replace(f"{beside};", f"{beside}; {symbol};")


def relinked(release: Release, ours: Path, version_script: str, where: Path) -> Path:
    """Our library linked again from the same objects, with another version script."""
    script, library = where / "broken.map", where / "libxengnttab.so.1.2"
    script.write_text(version_script)
    command = [
        *xenlibs.compiler(release).split(),
        *("-shared", f"-Wl,-soname,{xenlibs.SONAME}", f"-Wl,--version-script={script}"),
        *("-o", str(library)),
        *("-Wl,--whole-archive", str(ours.parent / "libxengnttab.a"), "-Wl,--no-whole-archive"),
    ]
    subprocess.run(command, check=True)
    return library
