# SPDX-License-Identifier: BSD-2-Clause
"""CPython for FreeBSD, with cffi and package xengnttab, as files for an image.

libffi, zlib, liblzma and CPython are Debian's source packages, built by their own configure scripts
with a compiler for FreeBSD.  cffi comes from its source distribution, in the version of this
environment.  CPython has the environment's minor version, because the environment's Python builds
it.  A part is built again when its sources or tools change.
"""

from __future__ import annotations

import compileall
import importlib.metadata
import py_compile
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Iterable, Iterator
from pathlib import Path

from elftools.elf.dynamic import DynamicSection
from elftools.elf.elffile import ELFFile

from devtools import environment, parts, sources, stamp, xenlibs
from devtools.console import Console, DevError
from devtools.freebsd_versions import Release
from devtools.parts import Part, make
from devtools.paths import ROOT, cache_dir, freebsd_build

PREFIX = "/usr/local"
MINOR = f"3.{sys.version_info.minor}"
PROGRAM = f"{PREFIX}/bin/python{MINOR}"
LIBRARY = f"{PREFIX}/lib/python{MINOR}"
# Where Debian's Python looks for packages that are not its own.
PACKAGES = f"{PREFIX}/lib/python3/dist-packages"
# Parts of the standard library that package xengnttab does not need.
UNUSED = {
    "ensurepip", "idlelib", "lib2to3", "pydoc_data", "test", "tests", "tkinter",
    "turtledemo", "distutils",
}  # fmt: skip
# CPython can be cross-built for few systems.  FreeBSD takes the place of one of them.
CONFIGURE = (
    ("*-*-vxworks*)", "*-*-freebsd*)"),
    ("ac_sys_system=VxWorks", "ac_sys_system=FreeBSD"),
    ("\tac_sys_release=\n", "\tac_sys_release={major}.0\n"),
)
WHERE = ("lib", "usr/lib")


def build(console: Console, release: Release) -> dict[str, Path]:
    """Files for an image by their paths there, from the cache if nothing changed."""
    place = cache_dir() / "consumers" / f"python{MINOR}-freebsd{release.major}"
    console.say(f"  CPython {MINOR} for FreeBSD {release.major} …")
    for part, key in _chain(place, release):
        make(console, place, part, key)
    found = dict(_standard_library(place))
    found[PROGRAM] = place / "python/python"
    for module in (place / "python/build").glob(f"lib.*-{MINOR}/*.so"):
        found[f"{LIBRARY}/lib-dynload/{module.name}"] = module
    found |= _package(place, release)
    return found


def _chain(place: Path, release: Release) -> Iterator[tuple[Part, str]]:
    root = place / "root"
    clang = environment.require_clang()
    compiler = xenlibs.compiler(release)
    told = [
        "env", f"CC={compiler}", f"AR={clang.tool('llvm-ar')}",
        f"RANLIB={clang.tool('llvm-ranlib')}", f"READELF={clang.tool('llvm-readelf')}",
    ]  # fmt: skip
    where = [f"--host={release.triple}", "--build=x86_64-pc-linux-gnu"]
    ffi, python = sources.obtain("libffi"), _patched(place, release)
    zlib, xz = sources.obtain("zlib"), sources.obtain("xz-utils")
    builder = Path(sys.executable).resolve()  # the same for all environments made from it
    chain = (
        Part(
            "libffi",
            [*told, "CFLAGS=-O2", str(ffi / "configure"), *where, "--disable-shared", "--with-pic",
             "--disable-docs", "--disable-multi-os-directory", f"--prefix={root}"],
            ["make", "-j2", "install"],
            "root/lib/libffi.a",
        ),
        # A real FreeBSD has it in the base system; the suite's packages import the modules.
        parts.zlib(root, release, zlib),
        Part(
            "xz",
            [*told, "CFLAGS=-O2", str(xz / "configure"), *where, "--disable-shared", "--with-pic",
             "--disable-doc", "--disable-nls", "--disable-threads", f"--prefix={root}",
             *(f"--disable-{part}" for part in ("xz", "xzdec", "lzmadec", "lzmainfo", "scripts"))],
            ["make", "-j2", "install"],
            "root/lib/liblzma.a",
        ),
        Part(
            "python",
            [*told, "CFLAGS=-O2", f"CPPFLAGS=-I{root}/include", f"LDFLAGS=-L{root}/lib",
             # Answers that only a running system could give.
             "ac_cv_file__dev_ptmx=no", "ac_cv_file__dev_ptc=no", "ac_cv_buggy_getaddrinfo=no",
             # libc has dlopen(3).
             "ac_cv_lib_dl_dlopen=no",
             str(python / "configure"), *where, f"--with-build-python={builder}",
             f"--prefix={PREFIX}", "--disable-ipv6", "--without-ensurepip",
             "--disable-test-modules", "--without-readline", "--with-system-ffi",
             "--with-pkg-config=no"],
            ["make", "-j2", "python", "sharedmods"],
            "python/python",
        ),
    )  # fmt: skip
    found = (ffi, zlib, xz, python)
    key = stamp.digest(compiler, *(source.name for source in found), str(CONFIGURE))
    for part in chain:
        key = part.key(key)
        yield part, key


def _patched(place: Path, release: Release) -> Path:
    """A copy of CPython's source whose configure script accepts FreeBSD."""
    source = sources.obtain(f"python{MINOR}")
    copy = place / f"source-{source.name}"
    key = stamp.digest(source.name, str(CONFIGURE))
    if not stamp.fresh(copy / ".patched", key):
        shutil.rmtree(copy, ignore_errors=True)
        shutil.copytree(source, copy, symlinks=True)
        script = copy / "configure"
        text = script.read_text()
        for before, after in CONFIGURE:
            if before not in text:
                raise DevError(f"{source.name}: configure has no {before!r}")
            text = text.replace(before, after.format(major=release.major))
        script.write_text(text)
        stamp.write(copy / ".patched", key)
    return copy


def _compiled(tree: Path, place: str) -> Iterator[tuple[str, Path]]:
    """The modules below a directory and their compiled forms.  Those are built so that Python does
    not compare times, which an image does not keep: compiling takes an emulated processor
    seconds."""
    mode = py_compile.PycInvalidationMode.UNCHECKED_HASH
    compileall.compile_dir(tree, quiet=2, force=True, invalidation_mode=mode)
    for path in tree.rglob("*.py*"):
        inside = path.relative_to(tree)
        if UNUSED.isdisjoint(inside.parts) and path.suffix in (".py", ".pyc"):
            yield f"{place}/{inside}", path


def _standard_library(place: Path) -> Iterator[tuple[str, Path]]:
    (source,) = place.glob("source-*/Lib")
    tree = place / "lib"
    key = stamp.digest(source.parent.name, sys.version, str(sorted(UNUSED)))
    if not stamp.fresh(tree / ".copied", key):
        shutil.rmtree(tree, ignore_errors=True)
        shutil.copytree(source, tree, ignore=shutil.ignore_patterns("__pycache__", *UNUSED))
        for path in (place / "python/build").glob(f"lib.*-{MINOR}/_sysconfigdata*.py"):
            shutil.copyfile(path, tree / path.name)
        stamp.write(tree / ".copied", key)
    yield from _compiled(tree, LIBRARY)


def _package(place: Path, release: Release) -> dict[str, Path]:
    """cffi's run-time part and package xengnttab."""
    scratch = place / "package"
    scratch.mkdir(exist_ok=True)
    (python,) = place.glob("source-*")
    build = freebsd_build(release.major)
    compiler = xenlibs.compiler(release).split()
    headers = [
        "-I", str(ROOT / "libxengnttab-freebsd/include"), "-I", str(ROOT / "kernel/include"),
        "-I", str(build / "xen-public"),
    ]  # fmt: skip
    common = [
        *compiler, "-O2", "-fPIC", "-shared", "-Wno-everything",
        "-I", str(place / "python"), "-I", str(python / "Include"),
    ]  # fmt: skip
    recipe = ROOT / "pybind/build_native.py"
    preprocessed, native = scratch / "native.i", scratch / "_native.c"
    source = ROOT / "pybind/native.c"
    _run([*compiler, *headers, "-E", "-P", str(source), "-o", str(preprocessed)])
    _run([sys.executable, str(recipe), str(preprocessed), str(native)])
    _run([sys.executable, str(recipe), str(scratch / "_evtchn.py")])
    # There is no ldconfig(8), so the run path says where Xen's libraries and ours are.
    rpath = f"-Wl,-rpath,{PREFIX}/lib"
    made = {
        "_cffi_backend.so": [
            "-DFFI_BUILDING=1", "-DHAVE_SYNC_SYNCHRONIZE", "-I", str(place / "root/include"),
            str(_cffi(scratch) / "src/c/_cffi_backend.c"),
            "-L", str(place / "root/lib"), "-lffi", "-lthr", rpath,
        ],
        "_native.abi3.so": [
            *headers, "-I", str(ROOT / "pybind"), str(native),
            "-L", str(build / "libxengnttab-freebsd"), "-lxengnttab", rpath,
        ],
        "_area.abi3.so": [
            "-DPy_LIMITED_API=0x030b0000", str(ROOT / "pybind/src/xengnttab/_area.c"),
        ],
    }  # fmt: skip
    found = {}
    for name, arguments in made.items():
        _run([*common, *arguments, "-o", str(scratch / name)])
        where = PACKAGES if name.startswith("_cffi") else f"{PACKAGES}/xengnttab"
        found[f"{where}/{name}"] = scratch / name
    tree = scratch / "xengnttab"
    shutil.rmtree(tree, ignore_errors=True)
    tree.mkdir()
    for path in (ROOT / "pybind/src/xengnttab").glob("*.py"):
        shutil.copyfile(path, tree / path.name)
    shutil.copyfile(scratch / "_evtchn.py", tree / "_evtchn.py")
    # As meson makes it from the same template.
    template = ROOT / "pybind/src/xengnttab/_version.py.in"
    version = (ROOT / "pybind/VERSION").read_text().strip()
    (tree / "_version.py").write_text(template.read_text().replace("@VERSION@", version))
    return found | dict(_compiled(tree, f"{PACKAGES}/xengnttab"))


def _cffi(scratch: Path) -> Path:
    """The source distribution of the cffi in this environment."""
    version = importlib.metadata.version("cffi")
    tree = scratch / f"cffi-{version}"
    if not (tree / "setup.py").exists():
        _run([
            sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check",
            "--no-deps", "--no-binary", "cffi", "--dest", str(scratch), f"cffi=={version}",
        ])  # fmt: skip
        with tarfile.open(scratch / f"cffi-{version}.tar.gz") as archive:
            archive.extractall(scratch, filter="data")
    return tree


def runtime(base: Path, files: Iterable[Path]) -> dict[str, Path]:
    """Libraries of a release's base system that the files need, and the run-time linker."""
    found = {"/libexec/ld-elf.so.1": base / "libexec/ld-elf.so.1"}
    todo = [name for path in files for name in _needed(path)]
    while todo:
        name = todo.pop()
        if name.startswith("libxen"):
            continue  # Xen's and ours are provided elsewhere
        places = [f"{where}/{name}" for where in WHERE if (base / where / name).is_file()]
        if not places:
            raise DevError(f"{base} has no {name}")
        if f"/{places[0]}" not in found:
            found[f"/{places[0]}"] = base / places[0]
            todo += _needed(base / places[0])
    return found


def _needed(path: Path) -> list[str]:
    with path.open("rb") as stream:
        if stream.read(4) != b"\x7fELF":
            return []
        section = ELFFile(stream).get_section_by_name(".dynamic")
        if not isinstance(section, DynamicSection):
            return []
        tags = section.iter_tags("DT_NEEDED")
        return [str(tag.needed) for tag in tags]  # type: ignore[attr-defined]


def _run(argv: list[str]) -> None:
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        lines = [line for line in (done.stderr + done.stdout).splitlines() if "rror" in line]
        raise DevError(f"{Path(argv[0]).name}: {(lines or ['failed'])[0]}")
