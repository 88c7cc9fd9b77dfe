# SPDX-License-Identifier: BSD-2-Clause
"""FreeBSD's headers and a sysroot for user programs, without a FreeBSD machine.

The ziglang wheels contain FreeBSD's installed headers and lists of the symbols of its base
libraries.  Everything needed is copied out of the unpacked wheel; the wheel itself is not kept.
For a version without a wheel the sysroot is the unpacked base.txz of its release sets.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from devtools import stamp
from devtools.console import Console, DevError
from devtools.freebsd_versions import RELEASES, Release
from devtools.paths import cache_dir, freebsd_build

# Increase this when the code below makes something else from the same wheel.
RECIPE = "2"

# Names that a program may link with, besides the lib*.so of each stub.
ALIASES = {"libpthread.so": "libthr.so"}

# clang's FreeBSD driver links these into every program.  zig puts crtbegin and crtend into crt1.o,
# and nothing here is C++ or needs compiler helpers.
EMPTY_OBJECTS = ("crtn.o", "crtbegin.o", "crtend.o", "crtendS.o")
EMPTY_ARCHIVES = ("libgcc.a", "libgcc_s.a", "libgcc_eh.a", "libcompiler_rt.a")
# Without these nothing links with the libraries of a base.txz.
OF_BASE = (
    "usr/include/osreldate.h", "lib/libc.so.7", "lib/libm.so.5", "lib/libthr.so.3",
    *(f"usr/lib/{name}" for name in ("crt1.o", "Scrt1.o", "crti.o", "crtn.o", "crtbegin.o",
      "crtbeginS.o", "crtend.o", "crtendS.o", "libc.so", "libm.so", "libthr.so", "libpthread.so",
      "librt.so", "libutil.so", "libgcc.a", "libgcc_s.so")),
)  # fmt: skip
# A shared object's own handle, which __cxa_atexit(3) needs; a PIE has one in Scrt1.o already.
DSO_HANDLE = """\
\t.section .data.rel,"aw",@progbits
\t.hidden __dso_handle
\t.weak __dso_handle
__dso_handle:
\t.quad __dso_handle
"""


def headers_dir(cache: Path | None = None) -> Path:
    return (cache or cache_dir()) / "freebsd-headers"


def sysroot_dir(release: Release) -> Path:
    return cache_dir() / "freebsd-sysroot" / (str(release.major) if release.wheel else release.name)


def take(release: Release, base: Path) -> None:
    """Makes the unpacked base.txz of a version without a wheel its sysroot.

    Build results are cached by the compiler's command line, so the path contains the version but
    nothing else about the set.
    """
    if absent := [name for name in OF_BASE if not (base / name).is_file()]:
        raise DevError(f"base.txz of FreeBSD {release.name} has no {', '.join(absent)}")
    root = sysroot_dir(release)
    root.parent.mkdir(parents=True, exist_ok=True)
    link = root.with_name(f".{root.name}.{os.getpid()}")
    link.unlink(missing_ok=True)
    link.symlink_to(base.resolve())
    link.replace(root)


def ensure(console: Console, clang: str, ar: str) -> None:
    """Makes headers and sysroots that are missing or come from another wheel or recipe."""
    todo = [r for r in RELEASES.values() if not stamp.fresh(_stamp(r), _key(r))]
    if not todo:
        return
    names = " and ".join(r.wheel for r in todo)
    console.say(f"  FreeBSD headers: downloading {names} (95 MB each) …")
    with ThreadPoolExecutor(len(todo)) as pool:
        for release in pool.map(lambda r: _make(r, clang, ar), todo):
            console.say(f"  FreeBSD {release.major}: headers and sysroot are ready")


def _stamp(release: Release) -> Path:
    return headers_dir() / f"{release.major}.stamp"


def _key(release: Release) -> str:
    return stamp.digest(RECIPE, release.wheel)


def _make(release: Release, clang: str, ar: str) -> Release:
    cache = cache_dir()
    cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache, prefix=".wheel-") as name:
        scratch = Path(name)
        wheel = _download(release, scratch)
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(scratch, [m for m in archive.namelist() if _wanted(m, release)])
        wheel.unlink()
        include = scratch / "ziglang/lib/libc/include"
        root = scratch / "sysroot"
        _make_sysroot(release, scratch, root, clang, ar)
        headers = scratch / "headers"
        headers.mkdir()
        for part in release.include:
            (include / part).rename(headers / part)
        _replace(headers, headers_dir() / str(release.major))
        _replace(root, sysroot_dir(release))
    stamp.write(_stamp(release), _key(release))
    return release


def _wanted(member: str, release: Release) -> bool:
    if member.startswith("ziglang/lib/libc/include/"):
        return member.split("/")[4] in release.include
    # zig needs its library to make the stubs, but not the C++ and sanitizer parts.
    return member.startswith("ziglang/") and not member.startswith(
        ("ziglang/lib/libcxx", "ziglang/lib/libtsan", "ziglang/lib/libunwind")
    )


def _download(release: Release, where: Path) -> Path:
    # --no-deps and --only-binary: download one file, run nothing.
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check",
           "--no-deps", "--only-binary", ":all:", "--dest", str(where), release.wheel]  # fmt: skip
    done = subprocess.run(pip, capture_output=True, text=True)
    wheels = list(where.glob("*.whl"))
    if done.returncode != 0 or not wheels:
        lines = [line for line in done.stderr.splitlines() if line.startswith("ERROR")]
        raise DevError(f"cannot download {release.wheel} with pip:"
                       f" {lines[-1] if lines else 'no wheel for this machine'}")  # fmt: skip
    return wheels[0]


def _make_sysroot(release: Release, scratch: Path, root: Path, clang: str, ar: str) -> None:
    include = root / "usr/include"
    for part in release.include:
        source = scratch / "ziglang/lib/libc/include" / part
        shutil.copytree(source, include, dirs_exist_ok=True, copy_function=_link)
    lib = root / "usr/lib"
    lib.mkdir(parents=True)
    made = _zig_objects(release, scratch)
    for path in made:
        if ".so." in path.name:
            shutil.copy(path, lib)
            (lib / (path.name.split(".so.")[0] + ".so")).symlink_to(path.name)
    for alias, target in ALIASES.items():
        (lib / alias).symlink_to(target)
    by_name = {path.name: path for path in made}
    # A note in crti.o marks every object as FreeBSD's; zig's crtbrand.o is just that note.
    for name, target in (("crt1.o", "crt1.o"), ("Scrt1.o", "Scrt1.o"), ("crtbrand.o", "crti.o")):
        if name not in by_name:
            raise DevError(f"{release.wheel} made no {name} for FreeBSD {release.major}")
        shutil.copy(by_name[name], lib / target)
    for name in EMPTY_OBJECTS:
        _assemble(clang, release, "", lib / name)
    for name in ("crtbeginS.o", "crtbeginT.o"):
        _assemble(clang, release, DSO_HANDLE, lib / name)
    for name in EMPTY_ARCHIVES:
        subprocess.run([ar, "rcs", str(lib / name)], check=True)


def _zig_objects(release: Release, scratch: Path) -> list[Path]:
    """Links an empty program, plain and PIE, and takes from zig's cache what zig made for it."""
    zig = scratch / "ziglang/zig"
    zig.chmod(0o755)
    (scratch / "empty.c").write_text("int main(void) { return 0; }\n")
    stores = scratch / "zig-cache"
    env = {
        **os.environ,
        "ZIG_GLOBAL_CACHE_DIR": str(stores),
        "ZIG_LOCAL_CACHE_DIR": str(stores / "local"),
    }
    for pie in ("-fno-PIE", "-fPIE"):
        command = [str(zig), "build-exe", "-target", f"x86_64-freebsd.{release.major}.0",
                   "-fno-compiler-rt", "-fno-ubsan-rt", pie, "-lc", "empty.c"]  # fmt: skip
        done = subprocess.run(command, cwd=scratch, env=env, capture_output=True, text=True)
        if done.returncode != 0:
            first = (done.stderr.strip().splitlines() or ["no message"])[0]
            raise DevError(f"{release.wheel} cannot link for FreeBSD {release.major}: {first}")
    return [p for p in stores.rglob("*") if p.is_file() and (".so." in p.name or p.suffix == ".o")]


def _assemble(clang: str, release: Release, text: str, target: Path) -> None:
    command = [clang, f"--target={release.triple}", "-c", "-x", "assembler", "-", "-o", str(target)]
    subprocess.run(command, input=text, text=True, check=True)


def _link(source: str, target: str) -> None:
    # The machine's own directory comes second and overrides the other.
    Path(target).unlink(missing_ok=True)
    os.link(source, target)


def _replace(new: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    if target.exists():
        shutil.rmtree(target)
    new.rename(target)


def cross_file(release: Release, tools: dict[str, str], lld: str, xen_headers: Path) -> Path:
    """Writes the meson cross file for user programs; an unchanged file is not touched."""
    root = sysroot_dir(release)
    path = freebsd_build(release.major).with_suffix(".ini")
    # Only this machine's Xen headers, in the place of FreeBSD's xen-tools package.
    local = path.with_suffix(".xen")
    local.mkdir(parents=True, exist_ok=True)
    for header in [xen_headers / "xen", *xen_headers.glob("xen*.h")]:
        (local / header.name).unlink(missing_ok=True)
        (local / header.name).symlink_to(header)
    common = (f"'--target={release.triple}', '--sysroot={root}', "
              f"'-D__FreeBSD_version={release.version}'")  # fmt: skip
    lines = ["[binaries]"]
    lines += [f"{name} = '{path}'" for name, path in sorted(tools.items())]
    # Never this machine's own libraries.
    lines += ["pkg-config = 'false'", "", "[built-in options]"]
    lines += [f"c_args = [{common}, '-isystem', '{local}']"]
    lines += [f"c_link_args = [{common}, '--ld-path={lld}']"]
    lines += ["", "[host_machine]", "system = 'freebsd'", "cpu_family = 'x86_64'",
              "cpu = 'x86_64'", "endian = 'little'", ""]  # fmt: skip
    text = "\n".join(lines)
    if not path.exists() or path.read_text() != text:
        path.write_text(text)
    return path
