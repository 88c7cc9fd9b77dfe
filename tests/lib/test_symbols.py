# SPDX-License-Identifier: BSD-2-Clause
"""The shared library's face to the linker is Xen's.

A linker does not notice a symbol under a wrong version node; programs built for Xen's library
then fail to start.  --library names the libraries to look at, the cross-built ones too.
"""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

from elftools.elf.dynamic import DynamicSection
from elftools.elf.elffile import ELFFile
from elftools.elf.gnuversions import GNUVerDefSection, GNUVerSymSection
from elftools.elf.sections import SymbolTableSection

ROOT = Path(__file__).resolve().parents[2]
PART = "libxengnttab-freebsd"

EXPECTED = {
    "VERS_1.0": {
        "xengnttab_open",
        "xengnttab_close",
        "xengnttab_set_max_grants",
        "xengnttab_map_domain_grant_refs",
        "xengnttab_map_grant_ref",
        "xengnttab_map_grant_ref_notify",
        "xengnttab_map_grant_refs",
        "xengnttab_unmap",
        "xengntshr_open",
        "xengntshr_close",
        "xengntshr_share_page_notify",
        "xengntshr_share_pages",
        "xengntshr_unshare",
    },
    "VERS_1.1": {"xengnttab_grant_copy"},
    "VERS_1.2": {
        "xengnttab_fd",
        "xengntshr_fd",
        "xengnttab_dmabuf_exp_from_refs",
        "xengnttab_dmabuf_exp_wait_released",
        "xengnttab_dmabuf_imp_to_refs",
        "xengnttab_dmabuf_imp_release",
    },
}
PARENTS = {"VERS_1.0": [], "VERS_1.1": ["VERS_1.0"], "VERS_1.2": ["VERS_1.1"]}


def exported(path: Path) -> dict[str, set[str]]:
    """Defined dynamic symbols by version node; those of no default version under "hidden"."""
    found: dict[str, set[str]] = {}
    with path.open("rb") as file:
        elf = ELFFile(file)
        symbols = elf.get_section_by_name(".dynsym")
        versions = elf.get_section_by_name(".gnu.version")
        nodes = elf.get_section_by_name(".gnu.version_d")
        assert isinstance(symbols, SymbolTableSection)
        assert isinstance(versions, GNUVerSymSection)
        assert isinstance(nodes, GNUVerDefSection)
        names = {node["vd_ndx"]: next(aux).name for node, aux in nodes.iter_versions()}
        for number, symbol in enumerate(symbols.iter_symbols()):
            if symbol["st_shndx"] == "SHN_UNDEF" or symbol["st_info"]["type"] == "STT_OBJECT":
                continue
            index = versions.get_symbol(number)["ndx"]
            node = names.get(index, "hidden" if isinstance(index, int) else str(index))
            found.setdefault(node, set()).add(symbol.name)
    return found


def texts(dynamic: DynamicSection, what: str) -> list[str]:
    """Tags that hold a string: pyelftools gives it in an attribute of the tag's name."""
    return [getattr(tag, what) for tag in dynamic.iter_tags(f"DT_{what.upper()}")]


def test_every_symbol_is_under_xens_node(library: Path) -> None:
    assert exported(library) == EXPECTED


def test_nodes_inherit_as_xens(library: Path) -> None:
    """GNU ld records which node a node grew from; lld leaves it out, and no loader looks."""
    with library.open("rb") as file:
        nodes = ELFFile(file).get_section_by_name(".gnu.version_d")
        assert isinstance(nodes, GNUVerDefSection)
        chains = [[aux.name for aux in auxiliaries] for _, auxiliaries in nodes.iter_versions()]
    base, *rest = chains
    assert base == ["libxengnttab.so.1"]
    found = {name: parents for name, *parents in rest}
    assert found in (PARENTS, {name: [] for name in PARENTS})


def test_soname_and_links(library: Path) -> None:
    with library.open("rb") as file:
        dynamic = ELFFile(file).get_section_by_name(".dynamic")
        assert isinstance(dynamic, DynamicSection)
        sonames = texts(dynamic, "soname")
        paths = [*dynamic.iter_tags("DT_RPATH"), *dynamic.iter_tags("DT_RUNPATH")]
    assert sonames == ["libxengnttab.so.1"]
    assert paths == []
    for link in ("libxengnttab.so.1", "libxengnttab.so"):
        assert (library.parent / link).resolve() == library.resolve()


def test_needs_nothing_but_libc_and_xens_tools(library: Path) -> None:
    with library.open("rb") as file:
        dynamic = ELFFile(file).get_section_by_name(".dynamic")
        assert isinstance(dynamic, DynamicSection)
        needed = texts(dynamic, "needed")
    others = {name for name in needed if not re.match(r"lib(c|asan|ubsan)\.so\.", name)}
    assert others in (set(), {"libxentoollog.so.1", "libxentoolcore.so.1"})


def test_the_map_file_says_the_same() -> None:
    text = (ROOT / PART / "libxengnttab.map").read_text()
    nodes = re.findall(r"(VERS_[0-9.]+) \{(.*?)\}", text, re.DOTALL)
    assert {node: set(re.findall(r"(\w+);", body)) for node, body in nodes} == EXPECTED


def test_static_library_has_all_functions(library: Path) -> None:
    archive = library.parent / "libxengnttab.a"
    listing = subprocess.run(
        ["nm", "--defined-only", "--extern-only", str(archive)],
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    public = {line.split()[-1] for line in listing.splitlines() if " T xengn" in line}
    assert public == set().union(*EXPECTED.values())


def test_pkg_config_fields(library: Path) -> None:
    """Consumers find the library by these (QEMU looks for the name)."""
    fields = dict(
        re.findall(
            r"^([A-Z][\w.]*): *(.*)$",
            (library.parents[1] / "meson-private" / "xengnttab.pc").read_text(),
            re.MULTILINE,
        )
    )
    requires = fields.pop("Requires.private", "")
    assert [name for name in re.split(r"[, ]+", requires) if name] in (
        [],
        ["xentoollog", "xentoolcore"],
    )
    assert fields == {
        "Name": "Xengnttab",
        "Description": "The Xengnttab library for Xen hypervisor",
        "Version": "1.2",
        "Libs": "-L${libdir} -lxengnttab",
        "Cflags": "-I${includedir}",
    }
