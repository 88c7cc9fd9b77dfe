# SPDX-License-Identifier: BSD-2-Clause
"""Programs of others, built for FreeBSD against our library by their own build systems.

Xen's tool libraries come from Debian's source package.  Their make files do the work; told are a
compiler for FreeBSD, which system that is, and that libxengnttab is there already: ours.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path

from elftools.elf.dynamic import DynamicSection
from elftools.elf.elffile import ELFFile
from elftools.elf.gnuversions import GNUVerDefSection, GNUVerNeedSection, GNUVerSymSection
from elftools.elf.sections import SymbolTableSection

from devtools import environment, freebsd, sources, stamp
from devtools.console import DevError
from devtools.paths import ROOT, cache_dir

SONAME = "libxengnttab.so.1"
# In an order in which each finds those it needs.
XEN_LIBRARIES = (
    "toolcore", "toollog", "evtchn", "call", "foreignmemory", "devicemodel", "ctrl", "store",
    "vchan",
)  # fmt: skip
UNUSED = shutil.ignore_patterns("debian", "docs", "automation", "arch", "test")
HEADERS = (
    (ROOT / "libxengnttab-freebsd/include/xengnttab.h", "xengnttab.h"),
    # Where libxenvchan looks for the constants of notifications.
    (ROOT / "kernel/include/xen/gntalloc.h", "xen/sys/gntalloc.h"),
)


def compiler(release: freebsd.Release) -> str:
    clang = environment.require_clang()
    # Make files hand linker's options to the compiler, and configure scripts take a warning that
    # an option has no use here for a sign that something else does not work.
    return (
        f"{clang.tool('clang')} --target={release.triple}"
        f" --sysroot={freebsd.sysroot_dir(release.major)}"
        f" --start-no-unused-arguments --ld-path={clang.tool('ld.lld')} --end-no-unused-arguments"
        f" -Wno-unused-command-line-argument -D__FreeBSD_version={release.version}"
    )


def xen_libraries(release: freebsd.Release, ours: Path) -> list[Path]:
    """Xen's libraries as FreeBSD's, linked with `ours`; from the cache when nothing changed."""
    source = sources.obtain("xen")
    where = cache_dir() / "consumers" / f"{source.name}-freebsd{release.major}"
    made = [*(path for path, _ in HEADERS), Path(__file__)]
    face = str(sorted(exported(ours)))
    key = stamp.digest(compiler(release), face, *(path.read_bytes() for path in made))
    if not stamp.fresh(where / ".stamp", key):
        shutil.rmtree(where, ignore_errors=True)
        shutil.copytree(source, where, symlinks=True, ignore=UNUSED)
        _build_xen(where, release, ours)
        stamp.write(where / ".stamp", key)
    return [_built(where, name) for name in XEN_LIBRARIES]


def _built(where: Path, name: str) -> Path:
    directory = where / "tools/libs" / name
    found = [p for p in directory.glob("libxen*.so.*") if not p.is_symlink()]
    if len(found) != 1:
        raise DevError(f"{directory}: {len(found)} libraries instead of one")
    return found[0]


def _build_xen(where: Path, release: freebsd.Release, ours: Path) -> None:
    # What its configure script would have found out, as far as these libraries ask.
    known = {"prefix": "/usr/local", "PYTHON": "python3", "AWK": "awk"}
    for name in ("Tools", "Paths"):
        text = (where / f"config/{name}.mk.in").read_text()
        text = re.sub(r"@(\w+)@", lambda m: known.get(m[1], ""), text)
        (where / f"config/{name}.mk").write_text(text)
    (where / "tools/config.h").write_text("")
    clang = environment.require_clang()
    told = [
        "XEN_OS=FreeBSD", "XEN_TARGET_ARCH=x86_64", "XEN_COMPILE_ARCH=x86_64", "HOSTCC=gcc",
        "CONFIG_WERROR=n", "XEN_RUN_STORED=/var/run/xenstored", "XEN_LIB_STORED=/var/lib/xenstored",
        f"CC={compiler(release)}", f"AR={clang.tool('llvm-ar')}",
    ]  # fmt: skip

    def make(directory: str, *targets: str) -> None:
        # None of an outer make's flags.
        outer = {key: value for key, value in os.environ.items() if not key.startswith("MAKE")}
        done = subprocess.run(
            ["make", "-C", str(where / directory), f"-j{os.cpu_count() or 1}", *told, *targets],
            capture_output=True, text=True, env=outer, check=False,
        )  # fmt: skip
        if done.returncode != 0:
            lines = [line for line in done.stderr.splitlines() if "rror" in line]
            raise DevError(f"Xen's {directory} for FreeBSD {release.major}: {(lines or ['?'])[0]}")

    make("tools/include")
    for path, name in HEADERS:
        target = where / "tools/include" / name
        target.unlink(missing_ok=True)
        shutil.copyfile(path, target)
    place = where / "tools/libs/gnttab"
    shutil.copyfile(ours, place / "libxengnttab.so.1.2")
    for link in (SONAME, "libxengnttab.so"):
        (place / link).symlink_to("libxengnttab.so.1.2")
    for name in XEN_LIBRARIES:
        make(f"tools/libs/{name}", f"libxen{name}.so")


# What the linker would not notice: a symbol under another version


def _dynamic(path: Path, tag: str, attribute: str) -> list[str]:
    with path.open("rb") as stream:
        section = ELFFile(stream).get_section_by_name(".dynamic")
        assert isinstance(section, DynamicSection)
        return [str(getattr(entry, attribute)) for entry in section.iter_tags(tag)]


def soname(path: Path) -> str:
    """By which name whatever is linked with this library looks for it."""
    (name,) = _dynamic(path, "DT_SONAME", "soname")
    return name


def needed(path: Path) -> set[str]:
    """The libraries that the run-time linker has to find for it."""
    return set(_dynamic(path, "DT_NEEDED", "needed"))


def imported(path: Path, soname: str = SONAME) -> set[tuple[str, str]]:
    """Symbols, with their versions, that an ELF file wants of a library; "" for no version."""
    with path.open("rb") as stream:
        elf = ELFFile(stream)
        needs = elf.get_section_by_name(".gnu.version_r")
        symbols = elf.get_section_by_name(".dynsym")
        versions = elf.get_section_by_name(".gnu.version")
        if not isinstance(symbols, SymbolTableSection):
            return set()
        wanted: dict[int, str] = {}
        if isinstance(needs, GNUVerNeedSection):
            for need, nodes in needs.iter_versions():
                if need.name == soname:
                    wanted.update({node["vna_other"]: node.name for node in nodes})
        found = set()
        for number, symbol in enumerate(symbols.iter_symbols()):
            if symbol["st_shndx"] != "SHN_UNDEF" or not symbol.name:
                continue
            index: object = None
            if isinstance(versions, GNUVerSymSection):
                index = versions.get_symbol(number)["ndx"]
            if isinstance(index, int) and index in wanted:
                found.add((symbol.name, wanted[index]))
            elif re.match(r"xengn(ttab|tshr)_", symbol.name):
                found.add((symbol.name, ""))  # linked with a library that has no versions
        return found


def exported(path: Path) -> set[tuple[str, str]]:
    """Symbols, with their versions, that an ELF library defines."""
    with path.open("rb") as stream:
        elf = ELFFile(stream)
        symbols = elf.get_section_by_name(".dynsym")
        versions = elf.get_section_by_name(".gnu.version")
        nodes = elf.get_section_by_name(".gnu.version_d")
        assert isinstance(symbols, SymbolTableSection)
        names: dict[object, str] = {}
        if isinstance(nodes, GNUVerDefSection):
            names = {node["vd_ndx"]: next(names).name for node, names in nodes.iter_versions()}
        found = set()
        for number, symbol in enumerate(symbols.iter_symbols()):
            if symbol["st_shndx"] == "SHN_UNDEF" or symbol["st_info"]["type"] != "STT_FUNC":
                continue
            index: object = None
            if isinstance(versions, GNUVerSymSection):
                index = versions.get_symbol(number)["ndx"]
            found.add((symbol.name, names.get(index, "")))
        return found


def unresolved(consumers: Iterable[Path], ours: Path) -> list[str]:
    """What the run-time linker would stumble over, a line each."""
    there = exported(ours)
    return [
        f"{path.name} wants {symbol}{'@' if version else ''}{version}"
        for path in consumers
        for symbol, version in sorted(imported(path))
        if (symbol, version) not in there
    ]
