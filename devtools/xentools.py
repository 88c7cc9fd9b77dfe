# SPDX-License-Identifier: BSD-2-Clause
"""Xen's tool stack for FreeBSD: xenstored, xenconsoled, xen-init-dom0, xl, libxl, libxenguest.

Built from Debian's source package by Xen's own make files, in the tree of `xenlibs`, and linked
with our libxengnttab.  zlib and yajl become static libraries, so that the programs need only Xen's
libraries, ours and those of FreeBSD's base system.  Xen's own libxengnttab is built as well: a
FreeBSD without this project uses that.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from devtools import parts, sources, stamp, xenlibs
from devtools.console import Console
from devtools.freebsd_versions import Release
from devtools.locks import locked
from devtools.xenlibs import SETTINGS

#: In build order; `xenlibs` has built the others.
LIBRARIES = {"hypfs": "libxenhypfs", "guest": "libxenguest", "light": "libxenlight",
             "util": "libxlutil"}  # fmt: skip
#: Directory, make target, and the program's path in FreeBSD's package.
PROGRAMS = {
    "xenstored": ("tools/xenstore", "sbindir"),
    "xenstore": ("tools/xenstore", "bindir"),
    "xenconsoled": ("tools/console/daemon", "sbindir"),
    "xen-init-dom0": ("tools/helpers", "LIBEXEC_BIN"),
    "xl": ("tools/xl", "sbindir"),
}


@dataclass(frozen=True)
class Tools:
    """What was built; paths are those of FreeBSD's package xen-tools."""

    programs: dict[str, Path]  # by path in the package
    libraries: dict[str, Path]  # by the name that programs look for
    theirs: Path  # Xen's own libxengnttab.so.1
    version: str


def build(console: Console, release: Release, ours: Path) -> Tools:
    """Everything, from the cache if nothing changed."""
    found = {name: sources.obtain(name) for name in ("xen", "yajl")}
    # The same version of zlib as for QEMU.
    found["zlib"] = sources.obtain("zlib", newer=True)
    libraries = xenlibs.xen_libraries(release, ours)
    where = libraries[0].parents[3]
    with locked(where.parent / f".{where.name}.tools.lock"):
        return _build(console, release, where, found, libraries)


def _build(
    console: Console,
    release: Release,
    where: Path,
    found: Mapping[str, Path],
    libraries: list[Path],
) -> Tools:
    root = where / "root"
    key = stamp.digest(xenlibs.compiler(release), (where / ".stamp").read_text())
    for part in (
        parts.zlib(root, release, found["zlib"]),
        parts.yajl(root, release, found["yajl"]),
    ):
        key = part.key(key)
        parts.make(console, where, part, key)
    key = stamp.digest(key, Path(__file__).read_bytes())
    theirs = where / "theirs" / xenlibs.SONAME
    if not stamp.fresh(where / ".tools", key):
        begin = time.monotonic()
        for name in LIBRARIES:
            console.say(f"  Xen's lib{name} for FreeBSD {release.major} …")
            target = f"{LIBRARIES[name]}.so"
            xenlibs.run_make(where, release, f"tools/libs/{name}", target)
        for name, (directory, _) in PROGRAMS.items():
            console.say(f"  Xen's {name} for FreeBSD {release.major} …")
            xenlibs.run_make(where, release, directory, name)
        _build_theirs(where, release, theirs)
        stamp.write(where / ".tools", key)
        console.say(f"  Xen's tools for FreeBSD {release.major}: {time.monotonic() - begin:.0f} s")
    more = [_library(where, name) for name in LIBRARIES]
    return Tools(
        {f"{SETTINGS[place]}/{name}": where / directory / name
         for name, (directory, place) in PROGRAMS.items()},
        {xenlibs.soname(path): path for path in (*libraries, *more)},
        theirs,
        found["xen"].name.partition("_")[2],
    )  # fmt: skip


def _library(where: Path, name: str) -> Path:
    directory = where / "tools/libs" / name
    (path,) = (p for p in directory.glob(f"{LIBRARIES[name]}.so.*") if not p.is_symlink())
    return path


def _build_theirs(where: Path, release: Release, target: Path) -> None:
    """Builds Xen's own libxengnttab in a separate tree, because the shared tree has ours."""
    place = where / "tools/libs/gnttab"
    scratch = where / "tools/libs/.gnttab-ours"
    if scratch.exists():  # an interrupted build
        shutil.rmtree(place, ignore_errors=True)
        scratch.rename(place)
    place.rename(scratch)
    try:
        shutil.copytree(sources.obtain("xen") / "tools/libs/gnttab", place)
        xenlibs.run_make(where, release, "tools/libs/gnttab", "libxengnttab.so")
        target.parent.mkdir(parents=True, exist_ok=True)
        (built,) = (p for p in place.glob("libxengnttab.so.*.*") if not p.is_symlink())
        shutil.copyfile(built, target)
    finally:
        shutil.rmtree(place, ignore_errors=True)
        scratch.rename(place)
