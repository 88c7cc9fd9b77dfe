# SPDX-License-Identifier: BSD-2-Clause
"""xengnttab.h compiles alone, in strict C and in C++, and says what Xen's header says."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from devtools.environment import require_clang

ROOT = Path(__file__).resolve().parents[2]
INCLUDE = ROOT / "libxengnttab-freebsd" / "include"
XEN_HEADERS = Path(os.environ.get("XENGNT_XEN_HEADERS") or "/usr/include")
STRICT = ["-pedantic", "-Wall", "-Wextra", "-Werror"]
LANGUAGES = {
    "c90": ["-x", "c", "-std=c90", "-Wno-long-long"],
    "c99": ["-x", "c", "-std=c99"],
    "c17": ["-x", "c", "-std=c17"],
    "gnu17": ["-x", "c", "-std=gnu17"],
    "c++98": ["-x", "c++", "-std=c++98", "-Wno-long-long"],
    "c++17": ["-x", "c++", "-std=c++17"],
}


def compile_text(compiler: str, options: list[str], text: str) -> None:
    if shutil.which(compiler) is None:
        pytest.skip(f"{compiler} is not installed")
    # Xen's own headers are not checked: -isystem.
    command = [compiler, *options, f"-I{INCLUDE}", "-isystem", str(XEN_HEADERS)]
    done = subprocess.run(
        [*command, "-fsyntax-only", "-"], input=text, text=True, capture_output=True, check=False
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("compiler", ["gcc", "clang"])
def test_compiles_alone(compiler: str, language: str) -> None:
    if compiler == "clang":
        compiler = require_clang().tool("clang")
    compile_text(compiler, [*STRICT, *LANGUAGES[language]], "#include <xengnttab.h>\n")


def test_twice_is_once() -> None:
    text = "#include <xengnttab.h>\n#include <xengnttab.h>\n"
    compile_text("cc", [*STRICT, *LANGUAGES["c99"]], text)


def declarations(header: Path) -> set[str]:
    """Prototypes and typedefs of a header, without comments, layout and parameter names."""
    text = re.sub(r"/\*.*?\*/", " ", header.read_text(), flags=re.DOTALL)
    text = "\n".join(line for line in text.splitlines() if not line.startswith("#"))
    found = set()
    for statement in re.findall(r"(?:[\w*]+\s+)+\**\w+\([^)]*\);|typedef [^;{]*;", text):
        statement = re.sub(r"(\w)\s*(?=[,)])", r"\1", " ".join(statement.split()))
        found.add(re.sub(r"\s*\*\s*", " *", statement))
    return found


def test_same_declarations_as_xens() -> None:
    """Both headers are MIT/BSD interfaces to the same soname; a drift would break callers."""
    theirs = XEN_HEADERS / "xengnttab.h"
    if not theirs.exists():
        pytest.skip(f"{theirs} is missing (libxen-dev)")
    ours = declarations(INCLUDE / "xengnttab.h")
    assert len([line for line in ours if "(" in line]) == 20
    assert ours == declarations(theirs)


def test_layout_is_the_kernels() -> None:
    """Segments go to the kernel as they are."""
    text = """
    #include <stddef.h>
    #include <xengnttab.h>
    typedef struct xengnttab_grant_copy_segment seg;
    _Static_assert(sizeof(seg) == 24, "size");
    _Static_assert(offsetof(seg, source.virt) == 0, "source.virt");
    _Static_assert(offsetof(seg, source.foreign.ref) == 0, "source.ref");
    _Static_assert(offsetof(seg, source.foreign.offset) == 4, "source.offset");
    _Static_assert(offsetof(seg, source.foreign.domid) == 6, "source.domid");
    _Static_assert(offsetof(seg, dest) == 8, "dest");
    _Static_assert(offsetof(seg, len) == 16, "len");
    _Static_assert(offsetof(seg, flags) == 18, "flags");
    _Static_assert(offsetof(seg, status) == 20, "status");
    _Static_assert(GNTDEV_DMA_FLAG_WC == 1 && GNTDEV_DMA_FLAG_COHERENT == 2, "dma");
    """
    compile_text("cc", ["-x", "c", "-std=c17"], text)
