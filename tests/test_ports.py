# SPDX-License-Identifier: BSD-2-Clause
"""The skeletons of ports: bmake evaluates them; they are complete and match what the builds
install."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from devtools import environment
from devtools.paths import ROOT

PORTS = ROOT / "ports"
STAND_INS = ROOT / "tests/ports"
NAMES = ("xengnt-kmod", "libxengnttab", "py-xengnttab")
VERSION = (ROOT / "VERSION").read_text().strip()
SOURCE = f"/wrkdirs/xengnt-{VERSION}"
# The order that portlint wants: these blocks, before USES.
ORDER = (
    *("PORTNAME", "DISTVERSION", "CATEGORIES", "MASTER_SITES", "PKGNAMEPREFIX", "PKGNAMESUFFIX"),
    *("DISTNAME", "MAINTAINER", "COMMENT", "WWW", "LICENSE", "LICENSE_FILE", "ONLY_FOR_ARCHS"),
    *("ONLY_FOR_ARCHS_REASON", "BUILD_DEPENDS", "LIB_DEPENDS", "RUN_DEPENDS", "USES"),
)
REQUIRED = set(ORDER) - {
    *("PKGNAMEPREFIX", "PKGNAMESUFFIX", "DISTNAME", "BUILD_DEPENDS", "LIB_DEPENDS", "RUN_DEPENDS"),
}


def bmake(where: Path, *arguments: str) -> str:
    tool = shutil.which("bmake")
    if tool is None:
        pytest.fail("no bmake: apt-get install bmake")
    command = [tool, "-C", str(where), "-m", str(STAND_INS), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def value(where: Path, name: str) -> list[str]:
    return bmake(where, "-V", f"${{{name}}}").split()


@pytest.mark.parametrize("name", NAMES)
def test_complete(name: str) -> None:
    port = PORTS / name
    assert value(port, "DISTVERSION") == [VERSION]
    assert value(port, "LICENSE_FILE")[0].endswith("/LICENSE")
    (package,) = value(port, "PKGNAME")
    assert re.fullmatch(r"(py311-)?[a-z]+(-kmod)?-\d+\.\d+\.\d+", package)
    comment = " ".join(value(port, "COMMENT"))
    assert 10 < len(comment) <= 70 and comment[-1] != "." and comment[0].isupper()
    for dependency in (*value(port, "BUILD_DEPENDS"), *value(port, "RUN_DEPENDS")):
        assert re.fullmatch(r"[^:]+:[a-z]+/[a-z-]+(@py311)?", dependency), dependency


@pytest.mark.parametrize("name", NAMES)
def test_laid_out_as_portlint_wants(name: str) -> None:
    port = PORTS / name
    text = (port / "Makefile").read_text()
    variables = re.findall(r"^([A-Z_]+)\+?=\t", text, re.M)
    named = [variable for variable in variables if variable in ORDER]
    assert named == sorted(named, key=ORDER.index)
    assert set(named) >= REQUIRED
    assert not re.search(r"[ \t]$|^ ", text, re.M)
    assert text.endswith("\n.include <bsd.port.mk>\n")
    description = (port / "pkg-descr").read_text().splitlines()
    assert len(description) >= 3 and all(len(line) <= 80 for line in description)
    for message in port.rglob("pkg-message*"):
        ucl = message.read_text()
        assert re.fullmatch(r"\[\n\{ type: install\n  message: <<EOM\n.+\nEOM\n\}\n\]\n", ucl, re.S)


def test_the_module_installs_what_is_packed() -> None:
    kernel = ROOT / "kernel"
    modules = [value(kernel, "KMOD"), value(kernel / "linux", "KMOD")]
    pages = value(kernel, "MAN")
    wanted = {f"/boot/modules/{name}.ko" for (name,) in modules}
    wanted |= {f"share/man/man4/{page}.gz" for page in pages}
    assert pages and set(value(PORTS / "xengnt-kmod", "PLIST_FILES")) == wanted
    (mandir,) = (v for v in value(PORTS / "xengnt-kmod", "MAKE_ARGS") if v.startswith("MANDIR="))
    assert [f"MANDIR={v}" for v in value(kernel, "MANDIR")] == [mandir]


def test_both_modules_are_built_and_installed() -> None:
    port = PORTS / "xengnt-kmod"
    assert value(port, "BUILD_WRKSRC") == [f"{SOURCE}/kernel"]
    for target in ("build", "install"):
        said = bmake(port, "-n", f"post-{target}")
        wanted = "all" if target == "build" else "install"
        assert f"cd {SOURCE}/kernel/linux" in said and said.rstrip().endswith(wanted)
    said = bmake(port, "-n", "post-install-EXAMPLES-on")
    assert "/kernel/examples/devfs.rules /stage/usr/local/share/examples/xengnt" in said
    assert (ROOT / "kernel/examples/devfs.rules").is_file()


def test_the_library_installs_what_is_packed(build: Path) -> None:
    command = [str(environment.tool("meson")), "introspect", "--installed", str(build)]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    options = dict(
        argument.removeprefix("-D").split("=")
        for argument in value(PORTS / "libxengnttab", "MESON_ARGS")
    )
    wanted = set()
    for path in json.loads(said).values():
        name = path.removeprefix("/usr/local/")
        name = re.sub(r"^lib(/[a-z0-9_]+-linux-gnu)?/", f"{options['libdir']}/", name)
        name = re.sub(r"^include/", f"{options['includedir']}/", name)
        wanted.add(f"{name}.gz" if "/man/" in name else name)
    packed = (PORTS / "libxengnttab/pkg-plist").read_text().split()
    assert packed == sorted(packed)
    assert set(packed) == wanted


def test_the_package_is_built_on_that_library() -> None:
    port = PORTS / "py-xengnttab"
    assert value(port, "WRKSRC") == [f"{SOURCE}/pybind"]
    packed = (PORTS / "libxengnttab/pkg-plist").read_text().split()
    (directory,) = (v.partition("=")[2] for v in value(port, "MAKE_ENV"))
    assert f"{directory.removeprefix('/usr/local/')}/xengnttab.pc" in packed
    library = value(port, "RUN_DEPENDS")[0].partition(":")[0]
    assert library.removeprefix("/usr/local/") in packed
