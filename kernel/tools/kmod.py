# SPDX-License-Identifier: BSD-2-Clause
"""Build a FreeBSD kernel module with clang and lld alone.

FreeBSD's own way is bsd.kmod.mk (see ../Makefile).  This one needs no FreeBSD
tools: it makes the few files that config(8) and the kernel's makefiles would
make, compiles every source, and links a relocatable module for amd64.
"""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import sys
from pathlib import Path

# Options of every kernel configuration that change layouts (sys/conf/DEFAULTS and GENERIC).
# INVARIANTS is not among them: a module without it loads into either kind of kernel.
OPT_GLOBAL = "".join(f"#define {name} 1\n" for name in ("SMP", "MAC", "VIMAGE"))

CFLAGS = """
-std=gnu17 -O2 -pipe -nostdinc -ffreestanding -fwrapv -fno-strict-aliasing -fno-common
-D_KERNEL -DKLD_MODULE -mcmodel=kernel -mno-red-zone -mno-mmx -mno-sse -mno-avx
-mno-aes -msoft-float -fno-asynchronous-unwind-tables -fno-omit-frame-pointer
-mno-omit-leaf-frame-pointer -fstack-protector -D__printf__=__freebsd_kprintf__
-Wall -Werror -Wno-pointer-sign -Wmissing-prototypes
""".split()


class BuildError(Exception):
    """A failed step; the text names it."""


def run(args: list[str], cwd: Path | None = None) -> None:
    done = subprocess.run(args, cwd=cwd, capture_output=True, text=True)
    if done.returncode != 0:
        raise BuildError(f"{' '.join(args[:1])}: {done.stderr.strip() or done.returncode}")


def find_sys(src: Path) -> Path:
    for sysdir in (src / "sys", src):
        if (sysdir / "kern" / "bus_if.m").is_file():
            return sysdir.resolve()
    raise BuildError(f"{src}: no FreeBSD kernel sources there (sys/kern/bus_if.m is missing)")


def arch_include(sysdir: Path, arch: str) -> Path:
    """amd64's headers; some trees keep the architectures below sys/arch."""
    for base in (sysdir, sysdir / "arch"):
        if (base / arch / "include").is_dir():
            return base / arch / "include"
    raise BuildError(f"{sysdir}: no {arch}/include")


def version(sysdir: Path) -> str:
    text = (sysdir / "sys" / "param.h").read_text()
    found = re.search(r"^#define\s+__FreeBSD_version\s+(\d+)", text, re.M)
    if found is None:
        raise BuildError(f"{sysdir}/sys/param.h: no __FreeBSD_version")
    number = int(found[1])
    return f"{number // 100000}.{number // 1000 % 100}"


def awk() -> str:
    # mawk hangs in some of FreeBSD's scripts.
    for name in ("nawk", "original-awk", "gawk", "awk"):
        path = shutil.which(name)
        if path is not None and Path(path).resolve().name != "mawk":
            return path
    raise BuildError("no awk but mawk: install original-awk")


def prepare(sysdir: Path, work: Path) -> None:
    """Make what the kernel's makefiles generate: links, opt_*.h, *_if.h."""
    work.mkdir(parents=True, exist_ok=True)
    for name, arch in (("machine", "amd64"), ("x86", "x86"), ("i386", "i386")):
        link = work / name
        link.unlink(missing_ok=True)
        link.symlink_to(arch_include(sysdir, arch))
        # Headers of such a tree say <arch/amd64/...>, wherever a release set has put the directory.
        link = work / "arch" / arch
        link.parent.mkdir(exist_ok=True)
        link.unlink(missing_ok=True)
        link.symlink_to(arch_include(sysdir, arch).parent)
    (work / "opt_global.h").write_text(OPT_GLOBAL)
    for interface in ("device", "bus"):
        run(
            [
                awk(),
                "-f",
                str(sysdir / "tools" / "makeobjops.awk"),
                str(sysdir / "kern" / f"{interface}_if.m"),
                "-h",
            ],
            cwd=work,
        )
    vnode = [str(sysdir / "tools" / "vnode_if.awk"), str(sysdir / "kern" / "vnode_if.src")]
    for part in ("-h", "-p", "-q"):
        run([awk(), "-f", *vnode, part], cwd=work)


def build(args: argparse.Namespace) -> None:
    sysdir = find_sys(args.src)
    prepare(sysdir, args.work)
    flags = [
        f"--target=x86_64-unknown-freebsd{version(sysdir)}",
        *CFLAGS,
        "-include",
        "opt_global.h",
        "-I",
        str(args.include),
        "-I.",
        f"-I{sysdir}",
        f"-I{sysdir}/contrib/ck/include",
    ]
    objects, depends = [], []
    for source in args.sources:
        stem = source.stem
        run(
            [
                args.clang,
                *flags,
                "-MD",
                "-MF",
                f"{stem}.d",
                "-c",
                str(source.resolve()),
                "-o",
                f"{stem}.o",
            ],
            cwd=args.work,
        )
        objects.append(f"{stem}.o")
        depends += (args.work / f"{stem}.d").read_text().replace("\\\n", " ").split()[1:]
    output = args.output.resolve()
    run(
        [
            args.lld,
            "-m",
            "elf_x86_64_fbsd",
            "-warn-common",
            "--build-id=sha1",
            "-T",
            str(sysdir / "conf" / "ldscript.kmod.amd64"),
            "-r",
            "-o",
            str(output),
            *objects,
        ],
        cwd=args.work,
    )
    if args.depfile is not None:
        deps = sorted({name for name in depends if name.startswith("/")})
        args.depfile.write_text(f"{args.output}: " + " \\\n ".join(deps) + "\n")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--src", type=Path, required=True, help="FreeBSD sources (/usr/src)")
    parser.add_argument("--clang", default="clang", help="compiler, 16 or newer")
    parser.add_argument("--lld", default="ld.lld", help="linker")
    parser.add_argument("--include", type=Path, required=True, help="directory of the ABI headers")
    parser.add_argument("--work", type=Path, required=True, help="directory for objects")
    parser.add_argument("--depfile", type=Path, help="write dependencies for make or ninja")
    parser.add_argument("--output", type=Path, required=True, help="the module")
    parser.add_argument("sources", type=Path, nargs="+")
    args = parser.parse_args()
    args.include = args.include.resolve()
    try:
        build(args)
    except (BuildError, OSError) as error:
        print(f"kmod: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
