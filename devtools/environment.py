# SPDX-License-Identifier: BSD-2-Clause
"""Set-up: packages, the virtual environment, FreeBSD's headers, the meson build directories.

Each step leaves a stamp, so a second run only reads the stamps.
"""

from __future__ import annotations

import fcntl
import os
import platform
import shutil
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from devtools import debian, freebsd_headers, stamp
from devtools.console import Console, DevError
from devtools.freebsd_versions import RELEASES, Release
from devtools.paths import ASAN, BUILD, NATIVE, ROOT, TSAN, VENV, freebsd_build

XEN_HEADERS = Path("/usr/include")
REQUIREMENTS = ROOT / "requirements.txt"
# In a build directory.
LIBRARY = "libxengnttab-freebsd/libxengnttab.so.1.2"


def in_venv() -> bool:
    return Path(sys.prefix) == VENV


def tool(name: str) -> Path:
    return VENV / "bin" / name


@contextmanager
def exclusive(console: Console) -> Iterator[None]:
    """Makes a second ./dev wait until the first has set up."""
    BUILD.mkdir(exist_ok=True)
    with (BUILD / ".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            console.say("  waiting for another ./dev to finish its set-up …")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def check_machine() -> None:
    if platform.system() != "Linux" or platform.machine() != "x86_64":
        raise DevError(f"needs Linux on x86_64, this is {platform.system()} {platform.machine()}"
                       " (on FreeBSD build by hand: see README.md)")  # fmt: skip


def ensure_venv(console: Console) -> None:
    """Installs packages and makes build/venv, then runs ./dev again in it; returns only there."""
    if not in_venv():
        # All that is missing at once, so that a user who is not root gets the whole list.
        debian.ensure(console, debian.NEEDS)
    requirements = REQUIREMENTS.read_bytes()
    key = stamp.digest(str(VENV), requirements)
    mark = VENV / ".stamp"
    if not stamp.fresh(mark, key):
        with exclusive(console):
            if not stamp.fresh(mark, key):
                _make_venv(console)
                stamp.write(mark, key)
    if not in_venv():
        python = str(tool("python3"))
        sys.stdout.flush()
        try:
            os.execv(python, [python, str(ROOT / "dev"), *sys.argv[1:]])
        except OSError as error:
            raise DevError(f"cannot run {python}: {error.strerror}") from error


def _make_venv(console: Console) -> None:
    if not in_venv():
        if VENV.exists():
            shutil.rmtree(VENV)
        console.check("Python environment", [sys.executable, "-m", "venv", VENV])
    console.check(
        "Python packages",
        [tool("python3"), "-m", "pip", "install", "--disable-pip-version-check",
         "--progress-bar", "off", "-r", REQUIREMENTS],
    )  # fmt: skip


def set_up(console: Console, *, cross: bool) -> None:
    """Sets up everything a build needs; cross: FreeBSD's compiler, too."""
    with exclusive(console):
        clang = require_clang()
        freebsd_headers.ensure(console, clang.tool("clang"), clang.tool("llvm-ar"))
        headers = f"-Dfreebsd_headers={freebsd_headers.headers_dir()}"
        configure(console, NATIVE, [headers, "-Dwerror=true"])
        if cross:
            configure(console, ASAN, [headers, "-Dwerror=true", "-Db_sanitize=address,undefined",
                                      "-Db_lundef=false"])  # fmt: skip
            configure(console, TSAN, [headers, "-Dwerror=true", "-Db_sanitize=thread",
                                      "-Db_lundef=false"])  # fmt: skip
            for release in RELEASES.values():
                _cross(console, clang, release)


def _cross(console: Console, clang: debian.Clang, release: Release) -> None:
    tools = {name: clang.tool(f"llvm-{name}") for name in ("ar", "strip", "objcopy")}
    tools["c"] = clang.tool("clang")
    path = freebsd_headers.cross_file(release, tools, clang.tool("ld.lld"), XEN_HEADERS)
    configure(console, freebsd_build(release.major), ["--cross-file", path, "-Dwerror=true"])


def require_clang() -> debian.Clang:
    clang = debian.find_clang()
    if clang is None:
        names = debian.install_line(debian.clang_packages())
        raise DevError(f"no clang of version {debian.CLANG_OLDEST} or newer: {names}")
    return clang


def cross_library(console: Console, release: Release) -> Path:
    """Builds the library for a FreeBSD release, after its set-up if necessary."""
    set_up(console, cross=True)
    if not release.wheel:
        with exclusive(console):
            _cross(console, require_clang(), release)
    compile_(console, freebsd_build(release.major))
    return freebsd_build(release.major) / LIBRARY


def environment() -> Mapping[str, str]:
    """An environ with the virtual environment's programs first in PATH."""
    return {"PATH": f"{VENV / 'bin'}{os.pathsep}{os.environ.get('PATH', os.defpath)}"}


def configure(
    console: Console, where: Path, options: list[str | Path], env: Mapping[str, str] | None = None
) -> None:
    """meson setup; afterwards ninja itself notices changed meson.build files."""
    cross = b"".join(o.read_bytes() for o in options if isinstance(o, Path))
    extra = env or {}
    key = stamp.digest(str(where), *map(str, options), cross, *map(str, extra.items()))
    mark = where / ".stamp"
    if stamp.fresh(mark, key) and (where / "build.ninja").exists():
        return
    wipe = ["--wipe"] if (where / "meson-private").exists() else []
    if where.exists() and not wipe:
        shutil.rmtree(where)
    console.check(
        f"configure {where.name}", [tool("meson"), "setup", *wipe, *options, where, ROOT],
        env={**environment(), **extra},
    )  # fmt: skip
    stamp.write(mark, key)


def compile_(console: Console, where: Path) -> Path:
    return console.check(f"build {where.name}", [tool("ninja"), "-C", where], env=environment())


def install_package(console: Console) -> None:
    """Installs the Python package, built against the library in build/native (by its run path)."""
    sources = [ROOT / "pybind", ROOT / "kernel/include", ROOT / "libxengnttab-freebsd/include"]
    files = sorted(p for s in sources for p in s.rglob("*") if p.is_file() and p.suffix != ".pyc")
    key = stamp.digest(*(part for p in files for part in (str(p), p.read_bytes())))
    mark = VENV / ".package"
    if stamp.fresh(mark, key):
        return
    console.check(
        "Python package xengnttab",
        [tool("python3"), "-m", "pip", "install", "--disable-pip-version-check", "--no-deps",
         "--no-build-isolation", "--force-reinstall", ROOT / "pybind"],
        env={**environment(), "PKG_CONFIG_PATH": str(NATIVE / "meson-uninstalled")},
    )  # fmt: skip
    stamp.write(mark, key)
