# SPDX-License-Identifier: BSD-2-Clause
"""Compiling one driver file into a FreeBSD object, with nothing of FreeBSD but its headers."""

from __future__ import annotations

import importlib.util
import subprocess
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

from devtools import environment, freebsd_headers
from devtools.freebsd_versions import Release
from devtools.paths import ROOT

KERNEL = ROOT / "kernel"
# What configurations of FreeBSD's kernel change in a module's source.
VARIANTS = {"release": [], "debug": ["-DINVARIANTS", "-DINVARIANT_SUPPORT", "-DWITNESS"]}


def _kmod() -> ModuleType:
    """The module build's own flags, so that both builds check the same."""
    spec = importlib.util.spec_from_file_location("kmod", KERNEL / "tools/kmod.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@dataclass(frozen=True)
class Compiler:
    release: Release
    clang: str
    work: Path

    def command(self, source: Path, output: Path, variant: str = "release") -> list[str]:
        kmod = _kmod()
        options = self.work / "opt_global.h"
        options.write_text(kmod.OPT_GLOBAL)
        public = self.work / "xen-public"
        public.mkdir(exist_ok=True)
        if not (public / "xen").exists():
            # Only Xen's headers, never this system's other ones.
            (public / "xen").symlink_to(environment.XEN_HEADERS / "xen")
        headers = freebsd_headers.headers_dir() / str(self.release.major)
        return [
            self.clang, f"--target={self.release.triple}", *kmod.CFLAGS, *VARIANTS[variant],
            f"-D__FreeBSD_version={self.release.version}",
            "-D__XEN_INTERFACE_VERSION__=0x00040d00",
            "-include", str(options), f"-I{KERNEL / 'include'}", f"-I{KERNEL}",
            f"-I{ROOT / 'tests/typecheck/include'}", f"-I{ROOT / 'tests/harness/kpi/xen'}",
            "-isystem", str(headers / "x86_64-freebsd-none"),
            "-isystem", str(headers / "generic-freebsd"),
            "-idirafter", str(public), "-c", str(source), "-o", str(output),
        ]  # fmt: skip

    def compile(
        self, source: Path, output: Path, variant: str = "release"
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.command(source, output, variant), capture_output=True, text=True, check=False
        )


def driver_sources() -> list[Path]:
    return sorted(KERNEL.glob("*.c"))
