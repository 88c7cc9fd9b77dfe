# SPDX-License-Identifier: BSD-2-Clause
"""Against the library that Debian ships: nothing of its ABI is removed or changed (abidiff).

Debian's library comes without types, so symbols and versions are compared with the library itself,
types with one made of its header alone.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from testbed import packages
from testbed.errors import TestbedError

from devtools.paths import ROOT, cache_dir
from devtools.xenlibs import exported, imported, unresolved

OURS = ROOT / "libxengnttab-freebsd/include"
XEN_HEADERS = Path(os.environ.get("XENGNT_XEN_HEADERS") or "/usr/include")
NAME = "libxengnttab.so.1"
# abidiff(1): bits of its exit status
ERROR = 0b0011
# Of the released library.  RELEASING.md tells how to make it anew.
BASELINE = ROOT / "tests/lib/libxengnttab-1.2.abi"


def shared_object(path: str) -> bool:
    return ".so." in path


@pytest.fixture(scope="module")
def shipped() -> Path:
    try:
        # The same kind as the test bed's, so that it is downloaded once.
        tree, _ = packages.obtain(cache_dir(), "libraries", "libxengnttab1", shared_object)
    except TestbedError as error:
        pytest.skip(f"no libxengnttab1 of Debian: {error}")
    (library,) = (p for p in tree.rglob(f"{NAME}.*") if not p.is_symlink())
    return library


def abidiff(*arguments: str | Path) -> tuple[int, str]:
    tool = shutil.which("abidiff")
    if tool is None:
        pytest.skip("abidiff is not installed (abigail-tools)")
    done = subprocess.run([tool, *arguments], capture_output=True, text=True, check=False)
    assert not done.returncode & ERROR, done.stderr
    print(done.stdout)
    return done.returncode, done.stdout


def test_symbols_and_versions(shipped: Path, library: Path) -> None:
    assert exported(shipped) - exported(library) == set(), "removed"
    assert exported(library) - exported(shipped) == set(), "added without a version of their own"
    assert abidiff(shipped, library) == (0, "")


def offered(name: str) -> bool:
    try:
        packages.find(name)
    except TestbedError:
        return False
    return True


def unpacked(package: str) -> Path:
    """A package's programs and libraries; apt, which takes seconds, is asked once."""
    kind = "importing"
    if there := sorted(cache_dir().glob(f"packages/{package}*+{kind}/.complete")):
        return there[-1].parent
    try:
        # Some carry Xen's version in their name.
        release = re.search(r"-(\d[\d.]*)-", packages.find_hypervisor().name)
        ends = ("", release[1], f"-{release[1]}") if release else ("",)
        name = next((name for end in ends if offered(name := f"{package}{end}")), package)
        tree, _ = packages.obtain(cache_dir(), kind, name, program)
    except TestbedError as error:
        pytest.skip(f"no {package} of Debian: {error}")
    return tree


def program(path: str) -> bool:
    return "/share/" not in path and bool(re.search(r"(^|/)s?bin/|lib(exec)?/", path))


@pytest.mark.parametrize(
    ("package", "user", "symbol"),
    [
        ("libxenmisc", "libxenctrl", ("xengnttab_map_grant_refs", "VERS_1.0")),
        ("libxenmisc", "libxenvchan", ("xengntshr_share_page_notify", "VERS_1.0")),
        ("xen-utils", "xenconsoled", ("xengnttab_map_grant_ref", "VERS_1.0")),
        ("qemu-system-xen", "xen-qemu-system-i386", ("xengnttab_grant_copy", "VERS_1.1")),
    ],
)
def test_what_debians_programs_import_is_there(
    library: Path, package: str, user: str, symbol: tuple[str, str]
) -> None:
    """Linked with Debian's library, these start with ours."""
    tree = unpacked(package)
    files = [path for path in tree.rglob(f"{user}*") if path.is_file() and not path.is_symlink()]
    users = [path for path in files if NAME.encode() in path.read_bytes()]
    wanted = {item for path in users for item in imported(path)}
    assert symbol in wanted
    assert unresolved(users, library) == []


def of_header(header: Path, library: Path, where: Path) -> Path:
    """A library with the types of a header and the symbols of a library, and no code."""
    text = re.sub(r"/\*.*?\*/", " ", header.read_text(), flags=re.DOTALL)
    text = "\n".join(line for line in text.splitlines() if not line.startswith("#"))
    prototypes = re.findall(r"(?:[\w*]+\s+)+\**(xengn\w+)\s*(\([^)]*\));", text)
    whole = re.findall(r"((?:[\w*]+\s+)+\**xengn\w+\s*\([^)]*\));", text)
    assert {name for name, _ in prototypes} == {name for name, _ in exported(library)}
    source = where / "reference.c"
    bodies = "".join(f"{prototype} {{ __builtin_trap(); }}\n" for prototype in whole)
    source.write_text(f'#include "{header}"\n{bodies}')
    script = where / "reference.map"
    nodes: dict[str, list[str]] = {}
    for name, version in exported(library):
        nodes.setdefault(version, []).append(name)
    script.write_text(
        "".join(f"{node} {{ {'; '.join(names)}; }};\n" for node, names in sorted(nodes.items()))
    )
    target = where / NAME
    command = [
        *("cc", "-g", "-shared", "-fPIC", "-isystem", str(XEN_HEADERS), "-o", str(target)),
        *(str(source), f"-Wl,-soname,{NAME}", f"-Wl,--version-script={script}"),
    ]
    subprocess.run(command, check=True)
    return target


def compare_types(reference: Path, library: Path) -> tuple[int, str]:
    # What no header shows is nobody's business: the members of a handle.
    return abidiff("--headers-dir2", OURS, "--drop-private-types", reference, library)


def test_types(shipped: Path, library: Path, tmp_path: Path) -> None:
    theirs = XEN_HEADERS / "xengnttab.h"
    if not theirs.exists():
        pytest.skip(f"{theirs} is missing (libxen-dev)")
    reference = of_header(theirs, shipped, tmp_path)
    status, report = compare_types(reference, library)
    assert status == 0, report
    # Filtered out: the handle, whose members only ours has to show.
    assert re.findall(r"(\d+) (?:Removed|Changed|Added)", report) in ([], ["0"] * 6), report


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("uint16_t len;", "uint32_t len;"),
        ("uint32_t domid, int count,", "uint16_t domid, int count,"),
        ("int xengnttab_close", "void xengnttab_close"),
    ],
    ids=["member", "parameter", "result"],
)
def test_a_changed_type_is_seen(
    shipped: Path, library: Path, tmp_path: Path, right: str, wrong: str
) -> None:
    """Else the test above would say nothing."""
    text = (OURS / "xengnttab.h").read_text()
    assert right in text
    header = tmp_path / "xengnttab.h"
    header.write_text(text.replace(right, wrong))
    status, report = compare_types(of_header(header, shipped, tmp_path), library)
    assert status != 0 and report


def test_the_abi_is_that_of_the_release(library: Path) -> None:
    status, report = compare_types(BASELINE, library)
    assert status == 0, report


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        (r".*elf-symbol name='xengnttab_fd'.*\n", ""),
        (r"(var-decl name='len' type-id=)'[^']*'", r"\1'type-id-23'"),
        (r"'[^']*'( name='count')", r"'type-id-4'\1"),
    ],
    ids=["added", "member", "parameter"],
)
def test_a_change_since_the_release_is_seen(
    library: Path, tmp_path: Path, right: str, wrong: str
) -> None:
    text, count = re.subn(right, wrong, BASELINE.read_text())
    assert count
    other = tmp_path / "other.abi"
    other.write_text(text)
    status, report = compare_types(other, library)
    assert status != 0 and report
