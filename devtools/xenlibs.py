# SPDX-License-Identifier: BSD-2-Clause
"""Xen's tool libraries for FreeBSD, built against our library, and checks of what ELF files need.

They are built from Debian's source package by Xen's own make files.  We pass a FreeBSD compiler,
the directories of FreeBSD's xen-tools package, and our libxengnttab in place of Xen's.
`devtools/xentools.py` builds the programs in the same tree.
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

from devtools import environment, freebsd_headers, sources, stamp
from devtools.console import DevError
from devtools.freebsd_versions import Release
from devtools.locks import locked
from devtools.paths import ROOT, cache_dir

SONAME = "libxengnttab.so.1"
# In build order.
XEN_LIBRARIES = (
    "toolcore", "toollog", "evtchn", "call", "foreignmemory", "devicemodel", "ctrl", "store",
    "vchan",
)  # fmt: skip
UNUSED = shutil.ignore_patterns("debian", "docs", "automation", "test")
HEADERS = (
    (ROOT / "libxengnttab-freebsd/include/xengnttab.h", "xengnttab.h"),
    # libxenvchan includes this path for the constants of notifications.
    (ROOT / "kernel/include/xen/gntalloc.h", "xen/sys/gntalloc.h"),
)

#: Number of trees that stay in the cache for each release.
_KEPT = 4
_PREFIX = "/usr/local"
#: The directories of FreeBSD's package xen-tools.
SETTINGS = {
    "prefix": _PREFIX,
    "bindir": f"{_PREFIX}/bin",
    "sbindir": f"{_PREFIX}/sbin",
    "libdir": f"{_PREFIX}/lib",
    "libexecdir": f"{_PREFIX}/libexec",
    "includedir": f"{_PREFIX}/include",
    "datarootdir": f"{_PREFIX}/share",
    "mandir": f"{_PREFIX}/share/man",
    "sysconfdir": f"{_PREFIX}/etc",
    "localstatedir": "/var",
    "SHAREDIR": f"{_PREFIX}/share",
    "LIBEXEC": f"{_PREFIX}/lib/xen",
    "LIBEXEC_BIN": f"{_PREFIX}/lib/xen/bin",
    "LIBEXEC_LIB": f"{_PREFIX}/lib/xen/lib",
    "LIBEXEC_INC": f"{_PREFIX}/lib/xen/include",
    "XENFIRMWAREDIR": f"{_PREFIX}/lib/xen/boot",
    "CONFIG_DIR": f"{_PREFIX}/etc",
    "XEN_CONFIG_DIR": f"{_PREFIX}/etc/xen",
    "XEN_SCRIPT_DIR": f"{_PREFIX}/etc/xen/scripts",
    "INITD_DIR": f"{_PREFIX}/etc/rc.d",
    "CONFIG_LEAF_DIR": "default",
    "XEN_RUN_DIR": "/var/run/xen",
    "XEN_RUN_STORED": "/var/run/xenstored",
    "XEN_LOG_DIR": "/var/log/xen",
    "XEN_LIB_DIR": "/var/lib/xen",
    "XEN_DUMP_DIR": "/var/lib/xen/dump",
    "XEN_PAGING_DIR": "/var/lib/xen/xenpaging",
    "XEN_LOCK_DIR": "/var/lib",
    "PYTHON": "python3",
    "PERL": "perl",
    "AWK": "awk",
    "IASL": "iasl",
    "FLEX": "flex",
    "BISON": "bison",
    "PTHREAD_CFLAGS": "-pthread",
    "PTHREAD_LDFLAGS": "-pthread",
    **dict.fromkeys(
        ("monitors", "ocamltools", "xsmpolicy", "ovmf", "rombios", "seabios", "ipxe", "libnl",
         "qemu_traditional", "qemu_xen", "golang", "systemd", "ninepfs", "pvshim"),
        "n",
    ),
}  # fmt: skip
QEMU = f"{SETTINGS['LIBEXEC_BIN']}/qemu-system-i386"
CONFIG_H = {
    **{name: f'"{SETTINGS[name]}"' for name in (
        "LIBEXEC_BIN", "XENFIRMWAREDIR", "XEN_CONFIG_DIR", "XEN_DUMP_DIR", "XEN_LIB_DIR",
        "XEN_LOCK_DIR", "XEN_LOG_DIR", "XEN_PAGING_DIR", "XEN_RUN_DIR", "XEN_SCRIPT_DIR",
    )},
    "QEMU_XEN_PATH": f'"{QEMU}"',
    "STUBDOM_QMP_PROXY_PATH": f'"{SETTINGS["LIBEXEC_BIN"]}/vchan-socket-proxy"',
    "INCLUDE_ENDIAN_H": "<sys/endian.h>",
    "HAVE_YAJL_YAJL_VERSION_H": "1",
    "HAVE_PIPE2": "1",
}  # fmt: skip


def compiler(release: Release) -> str:
    clang = environment.require_clang()
    # Xen's make files pass linker options to the compiler.  Configure scripts take a warning about
    # an unused option as the failure of whatever they test.
    return (
        f"{clang.tool('clang')} --target={release.triple}"
        f" --sysroot={freebsd_headers.sysroot_dir(release)}"
        f" --start-no-unused-arguments --ld-path={clang.tool('ld.lld')} --end-no-unused-arguments"
        f" -Wno-unused-command-line-argument -D__FreeBSD_version={release.version}"
    )


def xen_libraries(release: Release, ours: Path) -> list[Path]:
    """Xen's libraries for FreeBSD, linked with `ours`, from the cache if nothing changed."""
    source = sources.obtain("xen")
    made = [*(path for path, _ in HEADERS), Path(__file__)]
    face = str(sorted(exported(ours)))
    key = stamp.digest(compiler(release), face, *(path.read_bytes() for path in made))
    root = cache_dir() / "consumers"
    stem = f"{source.name}-freebsd{release.major}"
    # Other checkouts of this project keep their trees in the same cache.
    where = root / f"{stem}-{key[:12]}"
    with locked(root / f".{stem}.lock"):
        if not stamp.fresh(where / ".stamp", key):
            shutil.rmtree(where, ignore_errors=True)
            shutil.copytree(source, where, symlinks=True, ignore=UNUSED)
            _build_xen(where, release, ours)
            stamp.write(where / ".stamp", key)
        for old in sorted(root.glob(f"{stem}*/.stamp"), key=lambda p: p.stat().st_mtime)[:-_KEPT]:
            shutil.rmtree(old.parent, ignore_errors=True)
    return [_built(where, name) for name in XEN_LIBRARIES]


def _built(where: Path, name: str) -> Path:
    directory = where / "tools/libs" / name
    found = [p for p in directory.glob("libxen*.so.*") if not p.is_symlink()]
    if len(found) != 1:
        raise DevError(f"{directory}: {len(found)} libraries instead of one")
    return found[0]


def configure(where: Path) -> None:
    """Writes what Xen's configure script would write, with FreeBSD's directories (hier(7))."""
    for name in ("Tools", "Paths"):
        text = (where / f"config/{name}.mk.in").read_text()
        text = re.sub(r"@(\w+)@", lambda m: SETTINGS.get(m[1], ""), text)
        (where / f"config/{name}.mk").write_text(text)
    lines = [f"#define {name} {value}\n" for name, value in CONFIG_H.items()]
    (where / "tools/config.h").write_text("".join(lines))


def run_make(where: Path, release: Release, directory: str, *targets: str) -> None:
    """Runs one of Xen's make files with FreeBSD as the system."""
    clang = environment.require_clang()
    told = [
        "XEN_OS=FreeBSD", "XEN_TARGET_ARCH=x86_64", "XEN_COMPILE_ARCH=x86_64", "HOSTCC=gcc",
        "CONFIG_WERROR=n", f"CC={compiler(release)}", f"AR={clang.tool('llvm-ar')}",
        # Not this machine's /usr/local, which config/FreeBSD.mk would add.
        f"APPEND_INCLUDES={where}/root/include", f"APPEND_LIB={where}/root/lib",
    ]  # fmt: skip
    # Without the flags of an outer make.
    outer = {key: value for key, value in os.environ.items() if not key.startswith("MAKE")}
    done = subprocess.run(
        ["make", "-C", str(where / directory), f"-j{os.cpu_count() or 1}", *told, *targets],
        capture_output=True, text=True, env=outer, check=False,
    )  # fmt: skip
    if done.returncode != 0:
        (where / "failed.log").write_text(done.stdout + done.stderr)
        lines = [line for line in done.stderr.splitlines() if "rror" in line]
        raise DevError(
            f"Xen's {directory} for FreeBSD {release.major}: {(lines or ['?'])[0]}"
            f" (whole output: {where / 'failed.log'})"
        )


def _build_xen(where: Path, release: Release, ours: Path) -> None:
    configure(where)

    def make(directory: str, *targets: str) -> None:
        run_make(where, release, directory, *targets)

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
    """The name under which programs linked with this library look for it."""
    (name,) = _dynamic(path, "DT_SONAME", "soname")
    return name


def needed(path: Path) -> set[str]:
    """The libraries that the run-time linker has to find for this file."""
    return set(_dynamic(path, "DT_NEEDED", "needed"))


def imported(path: Path, soname: str = SONAME) -> set[tuple[str, str]]:
    """Symbols that an ELF file needs from a library, with their versions ("" for none)."""
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
                found.add((symbol.name, ""))  # linked with a library without versions
        return found


def exported(path: Path) -> set[tuple[str, str]]:
    """Symbols that an ELF library defines, with their versions."""
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
    """What the run-time linker would not find, one line each."""
    there = exported(ours)
    return [
        f"{path.name} wants {symbol}{'@' if version else ''}{version}"
        for path in consumers
        for symbol, version in sorted(imported(path))
        if (symbol, version) not in there
    ]
