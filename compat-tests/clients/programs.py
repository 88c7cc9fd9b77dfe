# SPDX-License-Identifier: BSD-2-Clause
"""Third-party programs that run on our library, and the libraries that they need.

They come from Debian's packages, like Xen and the kernel.  A library is looked for in the packages
that the program's own package depends on, as far as needed.  Only the C library and the compiler's
libraries are this machine's: our library was linked with them.
"""

from __future__ import annotations

import contextlib
import json
import re
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from elftools.common.exceptions import ELFError
from elftools.elf.dynamic import DynamicSection
from elftools.elf.elffile import ELFFile
from testbed import packages
from testbed.errors import TestbedError
from testbed.image import File

Progress = Callable[[str], None]

LIBRARY = "libxengnttab.so.1"
VCHAN = "libxenvchan.so.{}"
LIBDIR = "/lib/x86_64-linux-gnu"

# This machine's: the loader with its libraries, and the compiler's.
_OWN = re.compile(r"(ld-linux-.*|lib(c|m|dl|rt|pthread|resolv|util|gcc_s|stdc\+\+))\.so\.\d+")
_OWN_PACKAGES = re.compile(r"libc6|libgcc-s1|libstdc\+\+6")
_OWN_PLACES = ("/lib/x86_64-linux-gnu", "/usr/lib/x86_64-linux-gnu", "/lib64")
_SHARED = re.compile(r"(?:^|/)lib/x86_64-linux-gnu/[^/]+\.so(\.[^/]*)?$")


@dataclass(frozen=True)
class Elf:
    """Contents of the dynamic section."""

    soname: str | None
    needed: tuple[str, ...]


def read_elf(path: Path) -> Elf:
    """The dynamic section of a program or library; empty if there is none."""
    soname, needed = None, []
    with path.open("rb") as file:
        try:
            dynamic = ELFFile(file).get_section_by_name(".dynamic")
        except ELFError as error:
            raise TestbedError(f"{path}: {error}") from None
        for tag in dynamic.iter_tags() if isinstance(dynamic, DynamicSection) else ():
            # elftools gives such a tag an attribute of that name.
            if tag.entry.d_tag == "DT_NEEDED":
                needed.append(str(vars(tag)["needed"]))
            elif tag.entry.d_tag == "DT_SONAME":
                soname = str(vars(tag)["soname"])
    return Elf(soname, tuple(needed))


def _wanted_library(path: str) -> bool:
    return _SHARED.search(path) is not None


def _own(name: str) -> Path:
    for place in _OWN_PLACES:
        path = Path(place, name)
        if path.exists():
            return path.resolve()
    raise TestbedError(f"{name} is not on this machine")


@dataclass
class Store:
    """Unpacked packages and the libraries in them."""

    cache: Path
    progress: Progress
    notes: list[str] = field(default_factory=list)
    _libraries: dict[str, Path] = field(default_factory=dict)  # by the name they are loaded by
    _owner: dict[Path, str] = field(default_factory=dict)  # package of a library
    _opened: set[str] = field(default_factory=set)

    def tree(self, kind: str, name: str, wanted: Callable[[str], bool]) -> Path:
        """A package's unpacked directory."""
        where, notes = packages.obtain(self.cache, kind, name, wanted, self.progress)
        self.notes += notes
        return where

    def _open(self, name: str) -> None:
        """Registers the libraries of a package."""
        if name in self._opened:
            return
        self._opened.add(name)
        for path in sorted(self.tree("libraries", name, _wanted_library).rglob("*.so*")):
            with contextlib.suppress(TestbedError):  # a linker script
                if soname := read_elf(path).soname:
                    self._libraries.setdefault(soname, path)
                    self._owner.setdefault(path, name)

    def _library(self, soname: str, package: str) -> Path:
        """A library that something in a package needs."""
        if soname in self._libraries:
            return self._libraries[soname]
        stem = re.split(r"[.-]?so[.\d]*$|\.so", soname)[0].lower().replace("_", "-")
        near = [
            name
            for name in packages.dependencies(package)
            if "lib" in name and not _OWN_PACKAGES.fullmatch(name)
        ]
        # The likely ones first: each package that is opened costs a download.
        for name in sorted(near, key=lambda n: not n.startswith(stem.rstrip("0123456789.-"))):
            self._open(name)
            if soname in self._libraries:
                return self._libraries[soname]
        raise TestbedError(f"no package that {package} depends on has {soname}")

    def closure(self, roots: Iterable[tuple[Path, str]]) -> dict[str, Path]:
        """All libraries that programs (each with its package) need."""
        found: dict[str, Path] = {}
        todo = [(path, package, name) for path, package in roots for name in read_elf(path).needed]
        while todo:
            _, package, name = todo.pop()
            if name in found:
                continue
            if _OWN.fullmatch(name):
                found[name] = _own(name)
                continue
            found[name] = self._library(name, package)
            owner = self._owner.get(found[name], package)
            todo += [(found[name], owner, needed) for needed in read_elf(found[name]).needed]
        return found


def library_files(libraries: Mapping[str, Path]) -> list[File]:
    """Libraries as files of an image."""
    files = []
    for name, path in sorted(libraries.items()):
        place = "/lib64" if name.startswith("ld-linux-") else LIBDIR
        files.append(File(path, f"{place}/{name}"))
    return files


# ---------------------------------------------------------------- what is used


TOOLS = ("xl", "xenstored", "xenconsoled", "xen-init-dom0", "vchan-socket-proxy")
#: The guest's, and their directories there.
GUEST_TOOLS = {"mke2fs": "sbin", "e2fsck": "sbin", "fallocate": "bin"}
QEMU = "xen-qemu-system-i386"

# What the guest's kernel needs for its disk and for its half of a channel.
GUEST_MODULES = (
    "xen-blkfront", "crc32c_generic", "ext4", "xen-evtchn", "xen-gntalloc", "xen-gntdev",
)  # fmt: skip
# Built in or absent in other kernels.
_OPTIONAL = frozenset({"crc32c_generic"})
_GUEST_KERNEL = re.compile(
    r"(?:^|/)lib/modules/[^/]+/(modules\.(builtin|order)|kernel/"
    r"(drivers/(xen|block)|fs|lib|crypto|arch/x86/crypto)/.*)$"
)


@dataclass(frozen=True)
class Programs:
    """Everything from third parties."""

    release: str  # of Xen's tools
    programs: dict[str, Path]
    packages: dict[str, str]  # with their versions
    keymaps: tuple[Path, ...]  # QEMU exits without one
    dom0_libraries: dict[str, Path]
    guest_libraries: dict[str, Path]
    guest_modules: tuple[Path, ...]

    def qemu_place(self) -> str:
        """Where libxl looks for QEMU."""
        return f"/usr/libexec/{QEMU}"

    def tool_place(self, name: str) -> str:
        """Where Debian has a Xen tool."""
        if name == "xenstore":
            return "/usr/bin/xenstore"
        return f"/usr/lib/xen-{self.release}/bin/{name}"


def _xen_release(cache: Path, selection: packages.Selection) -> str:
    """The release (4.17) of the hypervisor, which its tools' package has in its name."""
    for note in (cache / "packages").glob("*/.package.json"):
        facts = json.loads(note.read_text())
        same = note.parent / "derived/xen.elf" == selection.xen
        if same and (match := re.search(r"-(\d+(?:\.\d+)+)-", facts["name"])):
            return match[1]
    raise TestbedError("the hypervisor's package does not tell its release")


def _kernel_tree(selection: packages.Selection, store: Store) -> Path:
    note = selection.kernel.parents[1] / ".package.json"
    name = str(json.loads(note.read_text())["name"])
    return store.tree("guest", name, lambda path: bool(_GUEST_KERNEL.search(path)))


def kernel_modules(
    selection: packages.Selection, cache: Path, progress: Progress, names: Sequence[str]
) -> tuple[Path, ...]:
    """Modules of the Dom0's kernel and those that they need, in load order."""
    tree = _kernel_tree(selection, Store(cache, progress))
    out = tree / "more"
    out.mkdir(exist_ok=True)
    return packages.load_order(tree, out, names)[1]


def _guest_modules(selection: packages.Selection, store: Store) -> tuple[Path, ...]:
    tree = _kernel_tree(selection, store)
    out = tree / "ordered"
    out.mkdir(exist_ok=True)
    names = [re.sub(r"\.ko(\.\w+)?$", "", p.name) for p in tree.rglob("*.ko*")]
    wanted = [name for name in GUEST_MODULES if name not in _OPTIONAL or name in names]
    return packages.load_order(tree, out, wanted)[1]


def _matching(place: re.Pattern[str]) -> Callable[[str], bool]:
    return lambda path: place.fullmatch(path) is not None


def _collect(cache: Path, selection: packages.Selection, store: Store) -> Programs:
    release = _xen_release(cache, selection)
    programs: dict[str, Path] = {}
    dom0: list[tuple[Path, str]] = []
    guest: list[tuple[Path, str]] = []
    for into, prefix, names, package in (
        (dom0, f"usr/lib/xen-{release}/bin", TOOLS, f"xen-utils-{release}"),
        (dom0, "usr/libexec", (QEMU,), "qemu-system-xen"),
        (dom0, "(usr/)?s?bin", ("xenstore",), "xenstore-utils"),
        (guest, "(usr/)?sbin", ("mke2fs", "e2fsck"), "e2fsprogs"),
        (guest, "(usr/)?bin", ("fallocate",), "util-linux"),
    ):
        place = re.compile(rf"{prefix}/({'|'.join(map(re.escape, names))})")
        tree = store.tree("clients", package, _matching(place))
        for name in names:
            found = next(iter(sorted(tree.rglob(name))), None)
            if found is None:
                raise TestbedError(f"{tree.name} has no {name}")
            programs[name] = found
            into.append((found, package))
    dom0_libraries = store.closure(dom0)
    # The guest has one end of a channel, too.
    guest.append((dom0_libraries[VCHAN.format(release)], f"libxenmisc{release}"))
    guest_libraries = store.closure(guest)
    guest_libraries[VCHAN.format(release)] = dom0_libraries[VCHAN.format(release)]
    modules = _guest_modules(selection, store)
    keymaps = re.compile(r"usr/share/qemu/keymaps/(common|modifiers|en-us)")
    data = store.tree("clients", "qemu-system-data", _matching(keymaps))
    versions = {}
    maps = tuple(sorted(data.glob("usr/share/qemu/keymaps/*")))
    for path in {*programs.values(), *maps, *dom0_libraries.values(), *guest_libraries.values()}:
        for parent in path.parents:
            if (note := parent / ".package.json").exists():
                facts = json.loads(note.read_text())
                versions[facts["name"]] = facts["version"]
    return Programs(
        release,
        programs,
        dict(sorted(versions.items())),
        maps,
        dom0_libraries,
        guest_libraries,
        modules,
    )


_SCHEMA = 4


def _remember(memo: Path, key: Sequence[object], found: Programs) -> None:
    text = json.dumps(
        {
            "key": key,
            "release": found.release,
            "programs": {name: str(path) for name, path in found.programs.items()},
            "packages": found.packages,
            "keymaps": [str(path) for path in found.keymaps],
            "dom0": {name: str(path) for name, path in found.dom0_libraries.items()},
            "guest": {name: str(path) for name, path in found.guest_libraries.items()},
            "modules": [str(path) for path in found.guest_modules],
        },
        indent=1,
    )
    with tempfile.NamedTemporaryFile("w", dir=memo.parent, delete=False) as scratch:
        scratch.write(text)
    Path(scratch.name).replace(memo)


def _recall(memo: Path, key: Sequence[object]) -> Programs | None:
    """What was found last time, if it is still valid."""
    try:
        known = json.loads(memo.read_text())
        kept = Programs(
            known["release"],
            {name: Path(path) for name, path in known["programs"].items()},
            known["packages"],
            tuple(Path(path) for path in known["keymaps"]),
            {name: Path(path) for name, path in known["dom0"].items()},
            {name: Path(path) for name, path in known["guest"].items()},
            tuple(Path(path) for path in known["modules"]),
        )
        before = known["key"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    files = [*kept.programs.values(), *kept.keymaps, *kept.dom0_libraries.values()]
    files += [*kept.guest_libraries.values(), *kept.guest_modules]
    if before[2:] != key[2:] or before[0] != key[0] or not all(path.exists() for path in files):
        return None
    if before[1] != key[1]:  # the index or the list of installed packages has changed
        if packages.versions(kept.packages) != kept.packages:
            return None
        _remember(memo, key, kept)
    return kept


def collect(cache: Path, selection: packages.Selection, progress: Progress) -> Programs:
    """Everything from third parties; downloads what the cache lacks.  Asking apt about fifty
    packages takes a minute, so the answer is kept as long as the versions stay the same."""
    memo = cache / "packages/clients.json"
    key = [_SCHEMA, packages.index_stamp(), str(selection.xen), str(selection.kernel)]
    if (kept := _recall(memo, key)) is not None:
        return kept
    progress("looking for the clients' packages")
    store = Store(cache, progress)
    found = _collect(cache, selection, store)
    for note in store.notes:
        progress(note)
    if not store.notes:
        key[1] = packages.index_stamp()  # a download may have refreshed the index
        _remember(memo, key, found)
    return found
