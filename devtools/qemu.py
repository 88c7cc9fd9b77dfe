# SPDX-License-Identifier: BSD-2-Clause
"""QEMU for FreeBSD, built from Debian's source packages on our library and on Xen's, and the same
version for Linux, so that the two can be compared.

The packages' own configure scripts run with a compiler for FreeBSD.  zlib, pcre2 and glib become
static libraries, so that the program needs only Xen's libraries, ours and those of FreeBSD's base
system.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Mapping
from pathlib import Path

from devtools import environment, parts, sources, stamp, xenlibs
from devtools.console import Console, DevError
from devtools.freebsd_versions import NEWEST, Release
from devtools.paths import cache_dir

RELEASE = NEWEST
PROGRAM = "qemu-system-i386"
# All from Debian's current release, the oldest with QEMU 10.
PACKAGES = ("zlib", "pcre2", "glib2.0", "qemu")
# The names by which QEMU asks pkg-config for Xen's libraries.
XEN_MODULES = {
    "xencontrol": "ctrl", "xenstore": "store", "xenforeignmemory": "foreignmemory",
    "xenevtchn": "evtchn", "xendevicemodel": "devicemodel", "xentoolcore": "toolcore",
    "xengnttab": "gnttab",
}  # fmt: skip
# glib needs gettext, which FreeBSD's libc lacks.  Without translations these functions return their
# argument.
PLURAL = "const char *id, const char *ids, unsigned long n"
GETTEXT = {
    "gettext": ("const char *id", "id"),
    "dgettext": ("const char *d, const char *id", "id"),
    "dcgettext": ("const char *d, const char *id, int c", "id"),
    "ngettext": (PLURAL, "n == 1 ? id : ids"),
    "dngettext": (f"const char *d, {PLURAL}", "n == 1 ? id : ids"),
    "textdomain": ("const char *d", "d"),
    "bindtextdomain": ("const char *d, const char *dir", "dir"),
    "bind_textdomain_codeset": ("const char *d, const char *set", "set"),
}
OPTIONS = (
    "--target-list=i386-softmmu", "--without-default-features", "--enable-xen", "--disable-tcg",
    # Debian's source contains no firmware.
    "--disable-install-blobs", "--disable-download", "--disable-werror",
)  # fmt: skip
GLIB_OFF = (
    "selinux", "libmount", "man-pages", "dtrace", "systemtap", "sysprof", "nls", "libelf",
    "introspection",
)  # fmt: skip
GLIB_TARGETS = ("glib/libglib-2.0.a", "gmodule/libgmodule-2.0.a")


def place(release: Release) -> Path:
    return cache_dir() / "consumers" / f"qemu-freebsd{release.major}"


def build(console: Console, release: Release, ours: Path) -> Path:
    """The program, linked with `ours`, from the cache if nothing changed."""
    console.say("  sources of QEMU and of what it needs …")
    found = {name: sources.obtain(name, newer=True) for name in PACKAGES}
    console.say("  Xen's libraries …")
    xen = xenlibs.xen_libraries(release, ours)
    where = place(release)
    _furnish(where / "root", release, ours, xen)
    for part, key in _chain(release, ours, xen, found):
        parts.make(console, where, part, key)
    return where / "qemu" / PROGRAM


def build_linux(console: Console) -> Path:
    """The same source for this machine, with its own glib and Xen's libraries."""
    console.say("  source of QEMU …")
    source = sources.obtain("qemu", newer=True)
    where = cache_dir() / "consumers/linux"
    part = parts.Part(
        "qemu",
        [str(source / "configure"), *OPTIONS],
        ["ninja", PROGRAM],
        f"qemu/{PROGRAM}",
        "Linux",
    )
    parts.make(console, where, part, part.key(stamp.digest(source.name)))
    return where / part.made


def built(release: Release, ours: Path) -> Path:
    """The same, but fails instead of building: for tests, which must not take 15 minutes."""
    where = place(release)
    problem = f"QEMU for FreeBSD {release.major} is not built: run ./dev test --step qemu"
    if not (where / "qemu" / PROGRAM).exists():
        raise DevError(problem)
    found = {name: sources.obtain(name, newer=True) for name in PACKAGES}
    xen = xenlibs.xen_libraries(release, ours)
    part, key = _chain(release, ours, xen, found)[-1]
    if not stamp.fresh(where / part.name / ".made", key):
        raise DevError(problem)
    return where / "qemu" / PROGRAM


def version() -> str:
    """The version of the source package."""
    return sources.obtain("qemu", newer=True).name.partition("_")[2].replace("%", ":")


def libraries(release: Release) -> Path:
    """The directory with Xen's libraries and ours for linking the program."""
    return place(release) / "root/lib"


def _chain(
    release: Release, ours: Path, xen: list[Path], found: Mapping[str, Path]
) -> list[tuple[parts.Part, str]]:
    """The parts in build order; each key covers the parts before."""
    linked: list[str | bytes] = [
        *(f"{path.name} {sorted(xenlibs.exported(path))}" for path in xen),
        str(sorted(xenlibs.exported(ours))),
        *(path.read_bytes() for path, _ in xenlibs.HEADERS),
    ]
    key = stamp.digest(xenlibs.compiler(release), gettext_header())
    keyed = []
    for part in chain(place(release), release, found):
        key = part.key(stamp.digest(key, *linked) if part.name == "qemu" else key)
        keyed.append((part, key))
    return keyed


def chain(where: Path, release: Release, found: Mapping[str, Path]) -> list[parts.Part]:
    root = where / "root"
    clang = environment.require_clang()
    target = f"CC={xenlibs.compiler(release)}"
    tools = [f"AR={clang.tool('llvm-ar')}", f"RANLIB={clang.tool('llvm-ranlib')}"]
    asked = [f"PKG_CONFIG_LIBDIR={where}/glib/meson-uninstalled:{root}/lib/pkgconfig"]
    # The files for users of glib's build directory do not name gmodule's.
    gmodule = [f"-I{path}/gmodule" for path in (found["glib2.0"], where / "glib")]
    options = [
        "-Ddefault_library=static", "-Dbuildtype=release", "-Dtests=false", "-Dxattr=false",
        *(f"-D{name}=disabled" for name in GLIB_OFF),
    ]  # fmt: skip
    return [
        parts.zlib(root, release, found["zlib"]),
        parts.Part(
            "pcre2",
            ["env", target, *tools, str(found["pcre2"] / "configure"), f"--host={release.triple}",
             "--build=x86_64-pc-linux-gnu", "--disable-shared", "--with-pic", f"--prefix={root}"],
            ["make", *(f"install-{kind}" for kind in ("libLTLIBRARIES", "includeHEADERS",
                                                     "nodist_includeHEADERS", "pkgconfigDATA"))],
            "root/lib/libpcre2-8.a",
        ),
        parts.Part(
            "glib",
            ["env", *asked, "meson", "setup", f"--cross-file={root}/freebsd.ini",
             "--wrap-mode=nodownload", *options, ".", str(found["glib2.0"])],
            ["ninja", *GLIB_TARGETS],
            f"glib/{GLIB_TARGETS[-1]}",
        ),
        parts.Part(
            "qemu",
            ["env", *asked, *tools, f"OBJCOPY={clang.tool('llvm-objcopy')}",
             str(found["qemu"] / "configure"), "--cross-prefix=", "--cc=" + target[3:],
             "--host-cc=gcc", f"--extra-ldflags=-L{root}/lib {parts.builtins(clang)}",
             f"--extra-cflags={' '.join(gmodule)}",
             *OPTIONS],
            ["ninja", PROGRAM],
            f"qemu/{PROGRAM}",
        ),
    ]  # fmt: skip


# What no package's build makes


def _furnish(root: Path, release: Release, ours: Path, xen: list[Path]) -> None:
    """Installs libraries and headers of Xen and ours, and files that say where they are."""
    described = root / "lib/pkgconfig"
    described.mkdir(parents=True, exist_ok=True)
    (root / "include").mkdir(exist_ok=True)
    files = dict(zip(xenlibs.XEN_LIBRARIES, xen, strict=True))
    for path in (*xen, ours):
        _install(path, root / "lib")
    version = files["ctrl"].name.partition(".so.")[2]
    # Copied, so that a change of Xen's build directory does not rebuild QEMU.
    include = root / "xen"
    shutil.copytree(files["ctrl"].parents[2] / "include", include, dirs_exist_ok=True)
    for module, name in XEN_MODULES.items():
        text = pc_file(module, version, f"-I{include}", f"-L{root}/lib -lxen{name}")
        (described / f"{module}.pc").write_text(text)
    # Only a part of glib that is not built uses libffi.
    (described / "libffi.pc").write_text(pc_file("libffi", "3.4", "", ""))
    # QEMU looks for the library of older FreeBSD; since 15 the functions are in libc.
    (root / "lib/libinotify.a").write_text("!<arch>\n")
    (root / "include/libintl.h").write_text(gettext_header())
    (root / "freebsd.ini").write_text(cross_file(root, release))


def _install(library: Path, where: Path) -> None:
    """Installs a library under its file name, with links for the linker and the run-time linker."""
    stem = library.name.partition(".so.")[0]
    shutil.copyfile(library, where / library.name)
    for link in {f"{stem}.so", xenlibs.soname(library)} - {library.name}:
        (where / link).unlink(missing_ok=True)
        (where / link).symlink_to(library.name)


def pc_file(name: str, version: str, cflags: str, libs: str) -> str:
    return (
        f"Name: {name}\nDescription: {name}\nVersion: {version}\nCflags: {cflags}\nLibs: {libs}\n"
    )


def gettext_header() -> str:
    lines = ["#pragma once"]
    for name, (parameters, result) in GETTEXT.items():
        unused = "".join(f"(void){word}; " for word in re.findall(r"(\w+)(?:,|$)", parameters))
        lines.append(
            f"static inline char *{name}({parameters}) {{ {unused}return (char *)({result}); }}"
        )
    return "\n".join(lines) + "\n"


def cross_file(root: Path, release: Release) -> str:
    clang = environment.require_clang()
    compiler = xenlibs.compiler(release).split()
    return "\n".join([
        "[binaries]", f"c = {compiler}", f"ar = '{clang.tool('llvm-ar')}'",
        "pkg-config = 'pkg-config'",
        "[built-in options]", f"c_args = ['-I{root}/include']", f"c_link_args = ['-L{root}/lib']",
        "[host_machine]", "system = 'freebsd'", "cpu_family = 'x86_64'", "cpu = 'x86_64'",
        "endian = 'little'", "",
    ])  # fmt: skip
