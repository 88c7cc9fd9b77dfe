# SPDX-License-Identifier: BSD-2-Clause
"""Builds a Debian source package for FreeBSD, once, in its own directory.

A part is built again when its sources or tools change; an interrupted build continues.
"""

from __future__ import annotations

import shutil
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from devtools import debian, environment, stamp, xenlibs
from devtools.console import Console, DevError
from devtools.freebsd_versions import Release
from devtools.locks import locked

# What the user may have set for programs of this machine.
_FOREIGN = (
    "CC", "CFLAGS", "CPPFLAGS", "LDFLAGS", "LIBS", "MAKEFLAGS", "MAKELEVEL", "PKG_CONFIG",
    "PKG_CONFIG_PATH", "PYTHON",
)  # fmt: skip


@dataclass(frozen=True)
class Part:
    """A package and the commands that build it in a directory of its own."""

    name: str
    configure: list[str]
    make: list[str]
    made: str = ""  # file that the next part needs, below the directory of all parts
    system: str = "FreeBSD"

    def key(self, before: str) -> str:
        return stamp.digest(before, *self.configure, *self.make)


def make(console: Console, where: Path, part: Part, key: str) -> None:
    """Runs the commands that have not been run yet, and prints how long they took."""
    # Two checkouts share the cache, and so the directory of a build.
    with locked(where / f".{part.name}.lock"):
        _make(console, where, part, key)


def _make(console: Console, where: Path, part: Part, key: str) -> None:
    directory = where / part.name
    told = {"cwd": directory, "env": environment.environment()}
    clean = ["env", *(f"--unset={name}" for name in _FOREIGN)]
    configured, made = directory / ".configured", directory / ".made"
    if stamp.fresh(made, key) and (where / part.made).exists():
        return
    begin = time.monotonic()
    if not stamp.fresh(configured, key):
        shutil.rmtree(directory, ignore_errors=True)
        directory.mkdir(parents=True)
        console.check(f"configure {part.name} for {part.system}", [*clean, *part.configure], **told)
        stamp.write(configured, key)
    console.check(f"build {part.name} for {part.system}", [*clean, *part.make], **told)
    if not (where / part.made).exists():
        raise DevError(f"{part.name} for {part.system} was built without {part.made}")
    stamp.write(made, key)
    console.say(f"  {part.name} for {part.system}: {time.monotonic() - begin:.0f} s")


def zlib(root: Path, release: Release, source: Path) -> Part:
    """zlib as a static library below `root`."""
    clang = environment.require_clang()
    return Part(
        "zlib",
        ["env", f"CC={xenlibs.compiler(release)}", f"AR={clang.tool('llvm-ar')}",
         f"RANLIB={clang.tool('llvm-ranlib')}", "CFLAGS=-O2 -fPIC", f"CHOST={release.triple}",
         str(source / "configure"), "--static", f"--prefix={root}"],
        ["make", "libz.a", "install"],
        f"{root.name}/lib/libz.a",
    )  # fmt: skip


def yajl(root: Path, release: Release, source: Path) -> Part:
    """yajl, which libxl needs, as a static library below `root`; its own cmake files build it."""
    clang = environment.require_clang()
    compiler, *flags = xenlibs.compiler(release).split()
    return Part(
        "yajl",
        ["cmake", "-DCMAKE_SYSTEM_NAME=FreeBSD", f"-DCMAKE_C_COMPILER={compiler}",
         f"-DCMAKE_C_FLAGS={' '.join(flags)} -O2 -fPIC", f"-DCMAKE_AR={clang.tool('llvm-ar')}",
         f"-DCMAKE_RANLIB={clang.tool('llvm-ranlib')}", "-DCMAKE_POLICY_VERSION_MINIMUM=3.5",
         "-DCMAKE_TRY_COMPILE_TARGET_TYPE=STATIC_LIBRARY", str(source)],
        ["sh", "-ec",
         'make yajl_s; mkdir -p "$1/include" "$1/lib"; cp -R yajl-*/include/yajl "$1/include/";'
         ' cp yajl-*/lib/libyajl_s.a "$1/lib/libyajl.a"', "sh", str(root)],
        f"{root.name}/lib/libyajl.a",
    )  # fmt: skip


def builtins(clang: debian.Clang) -> Path:
    """The compiler's functions for 128-bit numbers, which need no operating system."""
    told = [clang.tool("clang"), "--rtlib=compiler-rt", "-print-libgcc-file-name"]
    said = subprocess.run(told, capture_output=True, text=True, check=False).stdout.strip()
    if not Path(said).is_file():
        raise DevError(f"{said or 'compiler-rt'} is missing: install libclang-rt-{clang.major}-dev")
    return Path(said)
