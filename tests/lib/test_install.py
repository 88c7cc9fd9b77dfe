# SPDX-License-Identifier: BSD-2-Clause
"""A program finds the installed library by pkg-config alone, as QEMU's build does."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = """
#include <stdio.h>
#include <xengnttab.h>
int main(void)
{
    /* without a device the library says so and passes errno on */
    xengnttab_handle *xgt = xengnttab_open(NULL, 0);
    printf("%s\\n", xgt == NULL ? "no device" : "open");
    return (xengnttab_close(xgt));
}
"""


def run(*command: str | Path, **environment: str) -> str:
    return subprocess.run(
        command,
        check=True,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
    ).stdout


@pytest.fixture(scope="module")
def root(build: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty root with the library installed into it."""
    root = tmp_path_factory.mktemp("root")
    meson = Path(sys.executable).parent / "meson"
    run(meson, "install", "-C", build, "--no-rebuild", "--destdir", root)
    return root


def test_compile_link_and_run_against_the_installed_copy(root: Path, tmp_path: Path) -> None:
    if shutil.which("pkg-config") is None:
        pytest.skip("pkg-config is not installed")
    (description,) = root.rglob("xengnttab.pc")
    here = {
        "PKG_CONFIG_PATH": str(description.parent),
        "PKG_CONFIG_SYSROOT_DIR": str(root),
    }
    flags = run("pkg-config", "--cflags", "--libs", "xengnttab", **here).split()
    assert f"-I{root}/usr/local/include" in flags
    source, program = tmp_path / "program.c", tmp_path / "program"
    source.write_text(PROGRAM)
    run("cc", "-Wall", "-Werror", "-o", program, source, *flags)
    (library,) = root.rglob("libxengnttab.so.1")
    loaded = run("ldd", program, LD_LIBRARY_PATH=str(library.parent))
    assert f"libxengnttab.so.1 => {library}" in loaded
    said = run(program, LD_LIBRARY_PATH=str(library.parent))
    assert said in ("no device\n", "open\n")


def test_every_function_has_a_manual_page(root: Path) -> None:
    (header,) = root.rglob("xengnttab.h")
    (library,) = root.rglob("libxengnttab.so.1.2")
    symbols = run("nm", "-D", "--defined-only", library)
    functions = {
        line.split()[-1].partition("@")[0] for line in symbols.splitlines() if " T " in line
    }
    assert len(functions) == 20
    for function in functions:
        assert function in header.read_text()
        (page,) = root.rglob(f"{function}.3")
        assert f".Nm {function}" in page.read_text()
    assert list(root.rglob("libxengnttab.7"))
