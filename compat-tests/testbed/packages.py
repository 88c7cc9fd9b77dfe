# SPDX-License-Identifier: BSD-2-Clause
"""Finds, downloads and unpacks the Debian packages that the Dom0 virtual machines are made of.

Nothing is installed and no version is fixed: the names come from this machine's package index
(Debian 12: ``xen-hypervisor-4.17-amd64``, Debian 13: another one), so a mirror that drops
superseded versions does no harm.  Unpacked files are kept under ``CACHE/packages/NAME_VERSION/``;
after that no network is needed, and if the index is missing or its version cannot be downloaded,
the newest unpacked one is used.

``apt-cache``, ``apt-get download`` and ``dpkg-deb`` do the work and need no root. apt's own
``APT_CONFIG`` variable selects another index.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
import lzma
import os
import re
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from devtools.locks import locked

from .errors import TestbedError

Progress = Callable[[str], None]

#: Modules that the tests need, by Debian's file names.  They may also be built in.
MODULES = ("xen-evtchn", "xen-privcmd", "xenfs", "xen-gntdev", "xen-gntalloc")
#: A disk in memory; without it, cases of raw disks do not apply.
OPTIONAL = ("brd",)

_HYPERVISOR = re.compile(r"xen-hypervisor-(\d+(?:\.\d+)*)-amd64")
_KERNEL = re.compile(r"\b(linux-image-\d[^\s,|(]*-amd64)\b")
_MODULE_FILE = re.compile(r"(?:^|/)lib/modules/([^/]+)/(.+)$")


@dataclass(frozen=True)
class Package:
    """One package as the index offers it."""

    name: str
    version: str

    @property
    def slug(self) -> str:
        """Directory name in the cache."""
        return f"{self.name}_{self.version.replace(':', '%3a').replace('/', '_')}"


@dataclass(frozen=True)
class Selection:
    """The unpacked files a Dom0 boots from."""

    xen: Path  # ELF image, decompressed
    xen_version: str
    kernel: Path  # vmlinux ELF if it could be unwrapped, else the bzImage
    kernel_release: str
    kernel_version: str
    modules: tuple[Path, ...]  # decompressed .ko files in load order
    busybox: Path
    notes: tuple[str, ...] = ()


def _run(argv: list[str], cwd: Path | None = None) -> str:
    env = dict(os.environ, LC_ALL="C.UTF-8")
    try:
        done = subprocess.run(argv, cwd=cwd, env=env, text=True, capture_output=True, check=False)
    except FileNotFoundError:
        raise TestbedError(
            f"{argv[0]} not found: the testbed needs Debian's apt and dpkg"
        ) from None
    if done.returncode != 0:
        lines = [ln for ln in done.stderr.splitlines() if ln.strip()]
        errors = [ln for ln in lines if ln.startswith("E:")] or lines or ["no message"]
        raise TestbedError(f"{' '.join(argv)}: {errors[0]}")
    return done.stdout


def _candidate(name: str) -> dict[str, str]:
    """Fields of the version that apt would take; {} if the index does not have the name."""
    try:
        text = _run(["apt-cache", "show", "--no-all-versions", name])
    except TestbedError:
        return {}
    fields: dict[str, str] = {}
    for line in text.split("\n\n", 1)[0].splitlines():
        key, colon, value = line.partition(":")
        if colon and not line.startswith(" "):
            fields[key] = value.strip()
    # A package that is installed but offered nowhere has no Filename, and cannot be downloaded.
    return fields if "Filename" in fields else {}


def _version_key(text: str) -> tuple[int, ...]:
    return tuple(int(number) for number in re.findall(r"\d+", text))


def find_hypervisor() -> Package:
    """The newest hypervisor in the index."""
    names = _run(["apt-cache", "pkgnames", "xen-hypervisor-"]).split()
    found = [(m[1], name) for name in names if (m := _HYPERVISOR.fullmatch(name))]
    for _, name in sorted(found, key=lambda item: _version_key(item[0]), reverse=True):
        if fields := _candidate(name):
            return Package(name, fields["Version"])
    raise TestbedError(
        "package xen-hypervisor-*-amd64 is not in the package index: run apt-get update"
    )


def find_kernel() -> Package:
    """The kernel image that ``linux-image-amd64`` depends on."""
    meta = _candidate("linux-image-amd64")
    match = _KERNEL.search(meta.get("Depends", ""))
    if match is None:
        raise TestbedError(
            "package linux-image-amd64 is not in the package index: run apt-get update"
        )
    fields = _candidate(match[1])
    if not fields:
        raise TestbedError(f"package {match[1]} is not in the package index: run apt-get update")
    return Package(match[1], fields["Version"])


def find_busybox() -> Package:
    """Debian's statically linked busybox."""
    fields = _candidate("busybox-static")
    if not fields:
        raise TestbedError("package busybox-static is not in the package index: run apt-get update")
    return Package("busybox-static", fields["Version"])


_FINDERS: dict[str, Callable[[], Package]] = {
    "hypervisor": find_hypervisor,
    "kernel": find_kernel,
    "busybox": find_busybox,
}


# ---------------------------------------------------------------- unpacking


def _wanted_hypervisor(path: str) -> bool:
    return re.fullmatch(r"boot/xen-[^/]+-amd64(\.gz|\.efi)?", path) is not None


def _wanted_kernel(path: str) -> bool:
    if path.startswith("boot/vmlinuz-"):
        return True
    match = _MODULE_FILE.search(path)
    if match is None:
        return False
    inside = match[2]
    return inside in ("modules.builtin", "modules.order") or inside.startswith(
        ("kernel/drivers/xen/", *(f"kernel/drivers/block/{name}.ko" for name in OPTIONAL))
    )


def _wanted_busybox(path: str) -> bool:
    return path in ("bin/busybox", "usr/bin/busybox")


_WANTED: dict[str, Callable[[str], bool]] = {
    "hypervisor": _wanted_hypervisor,
    "kernel": _wanted_kernel,
    "busybox": _wanted_busybox,
}


# Names for directories that hold more of a package than in earlier versions.
_SUFFIXES = {"kernel": "+disk"}


def _unpack(deb: Path, into: Path, wanted: Callable[[str], bool]) -> None:
    """Extracts only the wanted regular files (a kernel package is 400 MB unpacked)."""
    with subprocess.Popen(
        ["dpkg-deb", "--fsys-tarfile", str(deb)], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as proc:
        assert proc.stdout is not None and proc.stderr is not None
        try:
            with tarfile.open(fileobj=proc.stdout, mode="r|") as archive:
                for member in archive:
                    name = os.path.normpath(member.name)
                    if not member.isreg() or name.startswith(("/", "..")) or not wanted(name):
                        continue
                    source = archive.extractfile(member)
                    assert source is not None
                    target = into / name
                    target.parent.mkdir(parents=True, exist_ok=True)
                    with target.open("wb") as out:
                        shutil.copyfileobj(source, out, 1 << 20)
                    target.chmod(0o644)
        except tarfile.TarError as exc:
            raise TestbedError(f"{deb.name}: damaged package: {exc}") from None
        proc.stdout.read()
        if proc.wait() != 0:
            message = proc.stderr.read().decode(errors="replace").strip().splitlines()
            raise TestbedError(f"{deb.name}: {message[0] if message else 'dpkg-deb failed'}")


def _fetch(
    package: Package,
    kind: str,
    root: Path,
    progress: Progress,
    wanted: Callable[[str], bool] | None = None,
) -> Path:
    """Directory with the unpacked package, which is downloaded first if necessary."""
    # The same package may be unpacked twice, for different files.
    suffix = _SUFFIXES.get(kind, "") if wanted is None else f"+{kind}"
    target = root / f"{package.slug}{suffix}"
    if (target / ".complete").exists():
        return target
    progress(f"downloading {package.name} {package.version}")
    root.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".get-", dir=root) as tmp:
        scratch = Path(tmp)
        # apt's sandbox user cannot write there; running as the calling user is what we want.
        argv = ["apt-get", "-q", "download", f"{package.name}={package.version}"]
        if os.geteuid() == 0:
            argv[1:1] = ["-o", "APT::Sandbox::User=root"]
        _run(argv, cwd=scratch)
        debs = list(scratch.glob("*.deb"))
        if len(debs) != 1:
            raise TestbedError(f"apt-get download {package.name} produced {len(debs)} files, not 1")
        progress(f"unpacking {package.name}")
        tree = scratch / "tree"
        tree.mkdir()
        _unpack(debs[0], tree, wanted or _WANTED[kind])
        (tree / ".package.json").write_text(
            json.dumps({"kind": kind, "name": package.name, "version": package.version})
        )
        (tree / ".complete").write_text("")
        shutil.rmtree(target, ignore_errors=True)
        tree.rename(target)
    return target


def _newest_unpacked(kind: str, root: Path) -> Path | None:
    """The most recently unpacked package of a kind: for a machine without an index."""
    best: tuple[float, Path] | None = None
    for note in root.glob("*/.package.json"):
        with contextlib.suppress(OSError, ValueError):
            if json.loads(note.read_text())["kind"] != kind:
                continue
            if not (note.parent / ".complete").exists():
                continue
            key = (note.stat().st_mtime, note.parent)
            best = key if best is None or key > best else best
    return best[1] if best else None


def _index_stamp() -> str:
    """Changes when the package index or the sources may have changed, because asking apt takes
    seconds."""
    parts = [os.environ.get("APT_CONFIG", "")]
    for place in (
        "/var/lib/apt/lists",
        "/var/lib/dpkg/status",
        "/etc/apt/sources.list",
        "/etc/apt/sources.list.d",
    ):
        with contextlib.suppress(OSError):
            parts.append(f"{place}:{os.stat(place).st_mtime_ns}")
    with contextlib.suppress(OSError):
        parts.append(
            str(
                sorted(
                    (e.name, e.stat().st_mtime_ns)
                    for e in os.scandir("/var/lib/apt/lists")
                    if e.is_file()
                )
            )
        )
    return "|".join(parts)


def _obtain(
    kind: str,
    root: Path,
    progress: Progress,
    find: Callable[[], Package] | None = None,
    wanted: Callable[[str], bool] | None = None,
) -> tuple[Path, list[str]]:
    """Unpacked directory of a package kind plus remarks for the report."""
    find = find or _FINDERS[kind]
    try:
        try:
            return _fetch(find(), kind, root, progress, wanted), []
        except TestbedError:
            if os.geteuid() != 0:
                raise
            # An old index names versions that the mirror has dropped, so refresh it once.
            progress("refreshing the package index")
            _run(["apt-get", "-q", "update"])
            return _fetch(find(), kind, root, progress, wanted), []
    except TestbedError as exc:
        fallback = _newest_unpacked(kind, root)
        if fallback is None:
            raise
        return fallback, [f"{kind}: using the cached {fallback.name} ({exc})"]


# ---------------------------------------------------------------- further packages


def find(name: str) -> Package:
    """A package by its name."""
    fields = _candidate(name)
    if not fields:
        raise TestbedError(f"package {name} is not in the package index: run apt-get update")
    return Package(name, fields["Version"])


def versions(names: Iterable[str]) -> dict[str, str]:
    """The versions that apt would take, in one question (each takes a second)."""
    with contextlib.suppress(TestbedError):
        text = _run(["apt-cache", "show", "--no-all-versions", *names])
        return {
            name[1]: version[1]
            for part in text.split("\n\n")
            if (name := re.search(r"^Package: (.*)$", part, re.MULTILINE))
            and (version := re.search(r"^Version: (.*)$", part, re.MULTILINE))
        }
    return {}


def dependencies(name: str) -> list[str]:
    """The packages that one needs, the first of alternatives; [] if the index is missing."""
    fields = _candidate(name)
    text = ", ".join(fields.get(field, "") for field in ("Pre-Depends", "Depends"))
    names = [re.match(r"\s*([a-z0-9][a-z0-9+.-]+)", part) for part in text.split(",")]
    return [match[1] for match in names if match]


def obtain(
    cache: Path,
    kind: str,
    name: str,
    wanted: Callable[[str], bool],
    progress: Progress | None = None,
) -> tuple[Path, list[str]]:
    """A package that no Dom0 boots from, for a program that a test wants to run there: its unpacked
    directory, and remarks for the report.  `kind` names what the wanted files are for."""
    root = cache / "packages"
    with locked(root / ".lock"):
        return _obtain(kind, root, progress or _quiet, lambda: find(name), wanted)


def index_stamp() -> str:
    """Changes when the package index may have changed."""
    return _index_stamp()


# ---------------------------------------------------------------- what is inside


def decompress(data: bytes, name: str) -> bytes:
    """Contents of a gzip, xz or zstd stream; the data itself if it is none of these."""
    if data[:2] == b"\x1f\x8b":
        import gzip

        return gzip.decompress(data)
    if data[:6] == b"\xfd7zXZ\0":
        return lzma.LZMADecompressor().decompress(data)
    if data[:4] == b"\x28\xb5\x2f\xfd":
        try:
            done = subprocess.run(["zstd", "-dcq"], input=data, capture_output=True, check=False)
        except FileNotFoundError:
            raise TestbedError(f"{name} is compressed with zstd: install package zstd") from None
        if not done.stdout:
            raise TestbedError(f"{name}: zstd: {done.stderr.decode(errors='replace').strip()}")
        return done.stdout
    return data


def unwrap_kernel(image: bytes) -> bytes | None:
    """The vmlinux ELF in a bzImage, or None if its payload cannot be read here.

    Xen would decompress the payload itself, but under emulation that takes seconds of every boot.
    """
    if image[0x202:0x206] != b"HdrS":
        return None
    sectors = image[0x1F1] or 4
    offset = int.from_bytes(image[0x248:0x24C], "little")
    length = int.from_bytes(image[0x24C:0x250], "little")
    start = (sectors + 1) * 512 + offset
    payload = image[start : start + length]
    try:
        plain = decompress(payload, "kernel")
    except (TestbedError, lzma.LZMAError, OSError, EOFError):
        return None
    return plain if plain[:4] == b"\x7fELF" else None


def _module_name(path: str) -> str:
    return re.sub(r"\.ko(\.\w+)?$", "", path.rsplit("/", 1)[-1]).replace("-", "_")


def _module_depends(data: bytes) -> list[str]:
    """Names from a module's own ``depends=`` (packages have no modules.dep; depmod makes it)."""
    match = re.search(rb"\0depends=([^\0]*)\0", data)
    return [name for name in match[1].decode().split(",") if name] if match else []


def load_order(
    tree: Path, out: Path, wanted: Sequence[str] = MODULES
) -> tuple[str, tuple[Path, ...]]:
    """Kernel release, and the needed modules decompressed into `out`, each after its
    dependencies."""
    roots = [p for p in (tree / "lib/modules", tree / "usr/lib/modules") if p.is_dir()]
    releases = [p for root in roots for p in sorted(root.iterdir())]
    if not releases:
        raise TestbedError(f"{tree.name}: no lib/modules in the kernel package")
    base = releases[-1]
    files = {_module_name(str(p)): p for p in base.rglob("*.ko*") if p.is_file()}
    builtin_list = base / "modules.builtin"
    builtin = (
        {_module_name(line) for line in builtin_list.read_text().split()}
        if builtin_list.exists()
        else set()
    )
    ordered: dict[str, Path] = {}

    def add(name: str, wanted_by: str) -> None:
        name = name.replace("-", "_")
        if name in ordered or name in builtin:
            return
        if name not in files:
            raise TestbedError(f"{tree.name}: no module {name} (needed by {wanted_by})")
        data = decompress(files[name].read_bytes(), files[name].name)
        for dependency in _module_depends(data):
            add(dependency, name)
        target = out / f"{name}.ko"
        target.write_bytes(data)
        ordered[name] = target

    for module in wanted:
        add(module, "the tests")
    for module in OPTIONAL:
        if module in files:
            add(module, "the tests")
    return base.name, tuple(ordered.values())


def _single(tree: Path, pattern: str, what: str) -> Path:
    found = sorted(tree.glob(pattern))
    if not found:
        raise TestbedError(f"{tree.name}: no {what} in the package ({pattern})")
    return found[-1]


def _derive(tree: Path, make: Callable[[Path], dict[str, object]]) -> dict[str, object]:
    """Runs `make` once for an unpacked package; its result and files stay with it."""
    target = tree / "derived"
    stamp = target / "facts.json"
    if stamp.exists():
        facts: dict[str, object] = json.loads(stamp.read_text())
        return facts
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir()
    facts = make(target)
    stamp.write_text(json.dumps(facts))
    return facts


def _derive_hypervisor(tree: Path, out: Path) -> dict[str, object]:
    try:
        packed = _single(tree, "boot/xen-*-amd64.gz", "hypervisor image")
    except TestbedError:
        packed = _single(tree, "boot/xen-*-amd64", "hypervisor image")
    image = decompress(packed.read_bytes(), packed.name)
    if image[:4] != b"\x7fELF":
        raise TestbedError(f"{packed.name}: not an ELF image")
    (out / "xen.elf").write_bytes(image)
    return {}


def _derive_kernel(tree: Path, progress: Progress, out: Path) -> dict[str, object]:
    packed = _single(tree, "boot/vmlinuz-*", "kernel image")
    progress("unwrapping the kernel")
    image = packed.read_bytes()
    plain = unwrap_kernel(image)
    (out / "kernel").write_bytes(plain if plain is not None else image)
    release, modules = load_order(tree, out)
    return {"release": release, "modules": [m.name for m in modules], "elf": plain is not None}


def _quiet(_: str) -> None:
    return None


@dataclass(frozen=True)
class Own:
    """A user's hypervisor and Linux kernel, instead of Debian's."""

    xen: Path | None = None
    # An image with all drivers built in, or a directory with boot/vmlinuz-* and lib/modules.
    kernel: Path | None = None


_own = Own()


def use(own: Own) -> None:
    """Makes select() return these from now on."""
    global _own
    for path, what in ((own.xen, "hypervisor"), (own.kernel, "Linux kernel")):
        if path is not None and not path.exists():
            raise TestbedError(f"no {what} at {path}")
    _own = own


def _place(cache: Path, data: bytes) -> Path:
    """A directory of the cache for what is made from a user's file."""
    where = cache / "own" / hashlib.sha256(data).hexdigest()[:16]
    where.mkdir(parents=True, exist_ok=True)
    return where


def _with_own(found: Selection, cache: Path, progress: Progress) -> Selection:
    if (xen := _own.xen) is not None:
        image = decompress(xen.read_bytes(), xen.name)
        if image[:4] != b"\x7fELF":
            raise TestbedError(f"{xen}: not an ELF image of Xen (xen.gz and xen-syms are)")
        path = _place(cache, image) / "xen.elf"
        if not path.exists():
            path.write_bytes(image)
        found = replace(found, xen=path, xen_version=f"own: {xen.name}")
    if (kernel := _own.kernel) is None:
        return found
    if kernel.is_dir():
        packed = _single(kernel, "boot/vmlinuz-*", "kernel image")
        where = _place(cache, packed.read_bytes())
        facts = _derive_kernel(kernel, progress, where)
        names = facts["modules"]
        assert isinstance(names, list)
        modules = tuple(where / str(name) for name in names)
        release = str(facts["release"])
    else:
        image = kernel.read_bytes()
        plain = unwrap_kernel(image) or image
        if plain[:4] != b"\x7fELF" and image[0x202:0x206] != b"HdrS":
            raise TestbedError(f"{kernel}: not a Linux kernel (vmlinux and bzImage are)")
        where = _place(cache, image)
        (where / "kernel").write_bytes(plain)
        modules, release = (), kernel.name
    return replace(
        found,
        kernel=where / "kernel",
        kernel_release=release,
        kernel_version=f"own: {kernel.name}",
        modules=modules,
    )


def select(cache: Path, progress: Progress | None = None) -> Selection:
    """Everything a Dom0 boots from; downloads what the cache lacks."""
    report = progress or _quiet
    root = cache / "packages"
    notes: list[str] = []
    trees: dict[str, Path] = {}
    with locked(root / ".lock"):
        # Another name, like those of the directories above.
        memo = root / "selection+disk.json"
        stamp = _index_stamp()
        with contextlib.suppress(OSError, ValueError, KeyError):
            known = json.loads(memo.read_text())
            if known["stamp"] == stamp:
                trees = {kind: root / slug for kind, slug in known["trees"].items()}
        if set(trees) != set(_FINDERS) or not all(
            (tree / ".complete").exists() for tree in trees.values()
        ):
            trees = {}
            for kind in _FINDERS:
                trees[kind], remarks = _obtain(kind, root, report)
                notes += remarks
            if not notes:
                # Asked again, because a download may have refreshed the index.
                memo.write_text(
                    json.dumps(
                        {"stamp": _index_stamp(), "trees": {k: t.name for k, t in trees.items()}}
                    )
                )
        _derive(trees["hypervisor"], functools.partial(_derive_hypervisor, trees["hypervisor"]))
        facts = _derive(trees["kernel"], functools.partial(_derive_kernel, trees["kernel"], report))
    versions = {
        kind: str(json.loads((tree / ".package.json").read_text())["version"])
        for kind, tree in trees.items()
    }
    derived = trees["kernel"] / "derived"
    modules = facts["modules"]
    assert isinstance(modules, list)
    found = Selection(
        xen=trees["hypervisor"] / "derived" / "xen.elf",
        xen_version=versions["hypervisor"],
        kernel=derived / "kernel",
        kernel_release=str(facts["release"]),
        kernel_version=versions["kernel"],
        modules=tuple(derived / str(name) for name in modules),
        busybox=_single(trees["busybox"], "**/bin/busybox", "busybox"),
        notes=tuple(notes),
    )
    return _with_own(found, cache, report)
