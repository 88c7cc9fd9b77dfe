# SPDX-License-Identifier: BSD-2-Clause
"""Debian packages: what is needed, for what, and how to see that it is there.

A need is met if the file or program exists, wherever it came from; the package is only one way to
get it.  So nothing depends on a Debian version, and a machine without apt works if it has the
tools.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from devtools.console import Console, DevError

CLANG_OLDEST = 16  # FreeBSD 14's own; older ones lack flags of its kernel build
CLANG_DEFAULT = 19  # in Debian 12 and 13
APT_LISTS = Path("/var/lib/apt/lists")


def program(*names: str) -> Callable[[], bool]:
    return lambda: all(shutil.which(name) for name in names)


def file(*patterns: str) -> Callable[[], bool]:
    """Each pattern (below /, at most one star per path component) matches a file."""
    return lambda: all(next(Path("/").glob(p.lstrip("/")), None) for p in patterns)


def venv_module() -> bool:
    try:
        import ensurepip  # noqa: F401  (Debian packs it apart from venv)
        import venv  # noqa: F401
    except ImportError:
        return False
    return True


@dataclass(frozen=True)
class Need:
    package: str
    reason: str
    present: Callable[[], bool]
    # If false, only the tests that use it fail without it.
    required: bool = True


@dataclass(frozen=True)
class Clang:
    """An LLVM whose parts have the same version; suffix is "-19", for example, or empty."""

    major: int
    suffix: str

    def tool(self, name: str) -> str:
        path = shutil.which(name + self.suffix)
        if path is None:
            raise DevError(f"{name}{self.suffix} is missing though clang{self.suffix} is there")
        return path


def find_clang() -> Clang | None:
    """The newest complete clang and lld on PATH."""
    found = []
    for directory in os.environ.get("PATH", os.defpath).split(os.pathsep):
        try:
            names = os.listdir(directory or ".")
        except OSError:
            continue  # PATH may name a directory that does not exist or is not readable
        for name in names:
            if match := re.fullmatch(r"clang-(\d+)", name):
                found.append(Clang(int(match[1]), f"-{match[1]}"))
    if plain := shutil.which("clang"):
        said = subprocess.run([plain, "--version"], capture_output=True, text=True).stdout
        if match := re.search(r"clang version (\d+)", said):
            found.append(Clang(int(match[1]), ""))
    usable = [c for c in found if c.major >= CLANG_OLDEST and _complete(c)]
    return max(usable, key=lambda c: c.major, default=None)


def _complete(clang: Clang) -> bool:
    return program(*(n + clang.suffix for n in ("clang", "ld.lld", "llvm-ar", "llvm-objcopy")))()


def has_fuzzer(clang: Clang) -> bool:
    """Whether libFuzzer, a separate package in Debian, is there."""
    said = subprocess.run(
        [clang.tool("clang"), "-print-resource-dir"], capture_output=True, text=True
    )
    where = Path(said.stdout.strip() or "/nowhere")
    return any(where.glob("**/libclang_rt.fuzzer*.a"))


def clang_packages() -> list[str]:
    """Packages to install if there is no usable clang: the newest clang that apt offers, and its
    lld."""
    offered: set[str] = set()
    if shutil.which("apt-cache"):
        said = subprocess.run(
            ["apt-cache", "--names-only", "search", r"^(clang|lld|llvm)-[0-9]+$"],
            capture_output=True, text=True,
        )  # fmt: skip
        offered = {line.split(" ")[0] for line in said.stdout.splitlines()}
    majors = [
        int(name.removeprefix("clang-"))
        for name in offered
        if name.startswith("clang-") and {f"lld-{name[6:]}", f"llvm-{name[6:]}"} <= offered
    ]
    major = max((m for m in majors if m >= CLANG_OLDEST), default=CLANG_DEFAULT)
    return [f"clang-{major}", f"lld-{major}", f"llvm-{major}", f"libclang-rt-{major}-dev"]


def missing_clang() -> list[str]:
    """Packages that make the newest clang complete."""
    clang = find_clang()
    if clang is None:
        return clang_packages()
    return [] if has_fuzzer(clang) else [f"libclang-rt-{clang.major}-dev"]


@cache
def _gcc_library(name: str) -> bool:
    said = subprocess.run(["gcc", f"-print-file-name={name}"], capture_output=True, text=True)
    return "/" in said.stdout


NEEDS = (
    Need("python3-venv", "the Python environment in build/venv", venv_module),
    Need("gcc", "native builds, AddressSanitizer and UBSan", program("gcc", "ar")),
    Need("g++", "public headers must compile as C++", program("g++")),
    Need("libc6-dev", "C library headers and libc.a for the static agent",
         file("/usr/include/stdio.h", "/usr/lib/*/libc.a")),
    Need("python3-dev", "headers for the cffi extension module", lambda: _python_headers()),
    Need("libxen-dev", "Xen's public headers; libxenctrl for the helper domain",
         file("/usr/include/xen/grant_table.h", "/usr/include/xenctrl.h")),
    Need("libcmocka-dev", "C unit tests", file("/usr/include/cmocka.h")),
    Need("pkgconf", "finding libraries", lambda: program("pkg-config")() or program("pkgconf")()),
    Need("make", "Xen's libraries and QEMU for FreeBSD", program("make")),
    Need("dpkg-dev", "unpacking Debian's source packages", program("dpkg-source")),
    Need("abigail-tools", "comparing the library's ABI with Xen's", program("abidiff")),
    Need("mandoc", "checking the manual pages", program("mandoc")),
    Need("qemu-system-x86", "the virtual machines", program("qemu-system-x86_64")),
    Need("busybox-static", "user space of the Linux Dom0", program("busybox")),
    Need("cpio", "the Dom0's initramfs", program("cpio")),
    Need("kmod", "module dependencies in the initramfs", lambda: bool(_sbin("depmod"))),
    Need("chromium", "the report's page in a browser", program("chromium"), required=False),
    Need("chromium-driver", "the same", program("chromedriver"), required=False),
    Need("xz-utils", "unpacking Debian packages", program("xz")),
)  # fmt: skip

#: For --freebsd: a FreeBSD Dom0, its modules and its programs.
FREEBSD_NEEDS = (
    Need("ovmf", "firmware that starts Xen for a FreeBSD Dom0",
         lambda: any(file(f"/usr/share/OVMF/OVMF_CODE{size}.fd")() for size in ("_4M", ""))),
    Need("xorriso", "root file systems of FreeBSD machines", program("xorriso")),
    Need("mtools", "the boot disk of a FreeBSD Dom0", program("mformat", "mmd", "mcopy")),
    Need("original-awk", "FreeBSD's kernel scripts, which mawk does not end", lambda: _awk()),
)  # fmt: skip
#: For --clients --freebsd: Xen's tool stack and QEMU, built for FreeBSD.
CLIENTS_NEEDS = (
    Need("acpica-tools", "ACPI tables of libxl", program("iasl")),
    Need("cmake", "yajl, which libxl needs", program("cmake")),
    Need("perl", "Xen's make files", program("perl")),
    Need("flex", "Xen's make files", program("flex")),
    Need("bison", "Xen's make files", program("bison")),
)
#: For bench --disks: QEMU for the Linux Dom0.
DISKS_NEEDS = (
    Need("libglib2.0-dev", "QEMU for the Linux Dom0 of the disk benchmark",
         file("/usr/include/glib-2.0/glib.h")),
)  # fmt: skip


def _awk() -> bool:
    """An awk other than mawk."""
    found = (shutil.which(name) for name in ("nawk", "original-awk", "gawk", "awk"))
    return any(path is not None and Path(path).resolve().name != "mawk" for path in found)


def _python_headers() -> bool:
    import sysconfig

    return Path(sysconfig.get_path("include"), "Python.h").exists()


def _sbin(name: str) -> str | None:
    return shutil.which(name, path=os.environ.get("PATH", os.defpath) + ":/usr/sbin:/sbin")


def missing(needs: Iterable[Need]) -> list[str]:
    return [need.package for need in needs if not need.present()]


def install_line(packages: Iterable[str]) -> str:
    return "apt-get install --no-install-recommends " + " ".join(packages)


def ensure(console: Console, needs: Iterable[Need], *, clang: bool = True) -> None:
    """As root, installs what is missing; otherwise ends with one line that says what to install."""
    wanted = missing(needs)
    if not wanted and not (clang and missing_clang()):
        if os.geteuid() == 0 and shutil.which("apt-get") and not _lists():
            # The test bed downloads Xen and a kernel by apt.
            console.run("apt-get update", ["apt-get", "-q", "update"])
        return
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        names = missing(need for need in needs if need.required)
        names += missing_clang() if clang else []
        if not names:
            return
        why = "not root" if os.geteuid() != 0 else "no apt-get here"
        raise DevError(f"missing packages ({why}); install them with: {install_line(names)}")
    quiet = {"DEBIAN_FRONTEND": "noninteractive"}
    # A fresh machine has no package lists or old ones; either means "not found" later.
    console.run("apt-get update", ["apt-get", "-q", "update"], env=quiet)
    names = wanted + (missing_clang() if clang else [])
    status, log = console.run(
        f"installing {len(names)} packages",
        ["apt-get", "-q", "-y", "install", "--no-install-recommends", *names],
        env=quiet,
    )
    left = missing(need for need in needs if need.required)
    if clang:
        left += missing_clang()
    if left:
        if status != 0:
            console.show_tail(log)
        raise DevError(f"missing packages that apt could not install: {install_line(left)}")


def _lists() -> bool:
    return next(APT_LISTS.glob("*_Packages*"), None) is not None


def main() -> None:
    """Prints the table of needs and whether they are met."""
    for need in (*NEEDS, *FREEBSD_NEEDS, *CLIENTS_NEEDS, *DISKS_NEEDS):
        print(f"{need.package:<18} {'yes' if need.present() else 'MISSING':<8} {need.reason}")
    complete = "MISSING" if missing_clang() else "yes"
    print(f"{'clang, lld, llvm':<18} {complete:<8} FreeBSD objects, fuzzers")


if __name__ == "__main__":
    main()
