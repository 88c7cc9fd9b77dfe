# SPDX-License-Identifier: BSD-2-Clause
"""Build the initramfs of a Linux Dom0: busybox, the Xen modules, an init script and extra files.

Public names::

    File(src, dst, mode=0o755)       one regular file: src is a Path or the bytes themselves
    program_files(path, dst=None)    a program with its shared libraries (ldd); dst /bin/NAME
    python_files(venv_python, [..])  an interpreter, the part of the standard library that is used,
                                     the named packages and what they import
    build(cache, selection, files)   path of the image; the same contents give the same file

The archive is written here (cpio "newc", uncompressed: the emulated machine would spend longer on
unpacking than QEMU on loading it), device nodes included, so that no root is needed.
"""

from __future__ import annotations

import hashlib
import importlib.resources
import os
import re
import subprocess
import tempfile
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from .errors import TestbedError
from .packages import Selection

AGENT = "/bin/xengnt-agent"
PEER = "/bin/xengnt-peer"
RELAY = "/bin/xengnt-relay"

_LIBDIR = "/lib/x86_64-linux-gnu"
_KEEP_IMAGES = 6

# Applets that the init script, or somebody at the debugging shell, calls by name.
_APPLETS = (
    "sh ash cat dmesg echo env grep head hexdump insmod kill ls lsmod mkdir mount poweroff ps rm "
    "setsid sleep stty tail timeout umount uname vi"
).split()


@dataclass(frozen=True)
class File:
    """A regular file of the image."""

    src: Path | bytes
    dst: str
    mode: int = 0o755

    def contents(self) -> bytes:
        """The bytes that go into the image."""
        if isinstance(self.src, bytes):
            return self.src
        try:
            return self.src.read_bytes()
        except OSError as exc:
            raise TestbedError(f"cannot add {self.src} to the image: {exc.strerror}") from None


def built(where: Path, name: str) -> Path | None:
    """A program from the agent's build directory: the agent itself, Dom0's others, or the peer."""
    return next((p for part in ("", "dom0", "peer") if (p := where / part / name).is_file()), None)


# ---------------------------------------------------------------- cpio


class Archive:
    """Writer for the "newc" format that the kernel unpacks."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._known: set[str] = set()
        self._inode = 1

    def _entry(
        self, name: str, mode: int, data: bytes = b"", rdev: tuple[int, int] = (0, 0)
    ) -> None:
        path = name.encode()
        fields = (
            self._inode, mode, 0, 0, 1, 0, len(data), 0, 0, rdev[0], rdev[1], len(path) + 1, 0,
        )  # fmt: skip
        self._inode += 1
        head = b"070701" + b"".join(b"%08X" % field for field in fields) + path + b"\0"
        self._parts += [head, b"\0" * (-len(head) % 4), data, b"\0" * (-len(data) % 4)]
        self._known.add(name)

    def directory(self, path: str) -> None:
        """Add a directory and its parents unless present."""
        name = ""
        for part in path.strip("/").split("/"):
            name = f"{name}/{part}" if name else part
            if name and name not in self._known:
                self._entry(name, 0o040755)

    def _place(self, path: str) -> str:
        name = os.path.normpath(path).strip("/")
        if name in self._known:
            raise TestbedError(f"two files are named /{name} in the image")
        if "/" in name:
            self.directory(name.rsplit("/", 1)[0])
        return name

    def file(self, path: str, data: bytes, mode: int) -> None:
        """Add a regular file."""
        self._entry(self._place(path), 0o100000 | mode, data)

    def symlink(self, path: str, target: str) -> None:
        """Add a symbolic link."""
        self._entry(self._place(path), 0o120777, target.encode())

    def character_device(self, path: str, major: int, minor: int, mode: int) -> None:
        """Add a character device node."""
        self._entry(self._place(path), 0o020000 | mode, rdev=(major, minor))

    def bytes(self) -> bytes:
        """The finished archive."""
        self._entry("TRAILER!!!", 0)
        return b"".join(self._parts)


# ---------------------------------------------------------------- programs and libraries


def shared_libraries(path: Path) -> dict[str, Path]:
    """Paths of an ELF file's shared libraries on this machine, by the name they are loaded by; the
    dynamic loader has its absolute path as its name.  {} for a static program."""
    env = dict(os.environ, LC_ALL="C")
    env.pop("LD_PRELOAD", None)
    done = subprocess.run(["ldd", str(path)], env=env, text=True, capture_output=True, check=False)
    if done.returncode != 0:
        text = done.stdout + done.stderr
        if "not a dynamic executable" in text or "statically linked" in text:
            return {}
        raise TestbedError(
            f"ldd {path}: {text.strip().splitlines()[0] if text.strip() else 'failed'}"
        )
    found: dict[str, Path] = {}
    for line in done.stdout.splitlines():
        line = line.strip()
        if match := re.match(r"(\S+) => (\S+)", line):
            if match[2] == "not":
                raise TestbedError(f"{path.name} needs {match[1]}, which is not on this machine")
            name = match[1]
            found[name if name.startswith("/") else os.path.basename(name)] = Path(match[2])
        elif match := re.match(r"(/\S+) \(0x", line):
            found[match[1]] = Path(match[1])
    return found


def _library_files(paths: Iterable[Path]) -> list[File]:
    libraries: dict[str, Path] = {}
    for path in paths:
        libraries.update(shared_libraries(path))
    if libraries:
        # Loaded by name when a thread is cancelled, so ldd does not show it.
        for place in ("/lib", "/usr/lib"):
            gcc = Path(place, "x86_64-linux-gnu/libgcc_s.so.1")
            if gcc.exists():
                libraries.setdefault(gcc.name, gcc)
    return [
        File(where.resolve(), name if name.startswith("/") else f"{_LIBDIR}/{name}")
        for name, where in sorted(libraries.items())
    ]


def program_files(path: Path, dst: str | None = None) -> list[File]:
    """A program with the shared libraries and the loader that it needs."""
    if not path.is_file():
        raise TestbedError(f"program {path} does not exist")
    return [File(path.resolve(), dst or f"/bin/{path.name}"), *_library_files([path])]


def python_files(venv_python: Path, packages: Sequence[str]) -> list[File]:
    """An interpreter as /bin/python3, with the named packages and everything they import.

    `venv_python` collects and compiles the files itself (only it knows its search path and bytecode
    format): sourceless .pyc files, since compiling under emulation would be slow.
    """
    script = importlib.resources.files(__package__).joinpath("collect_python.py").read_text()
    with tempfile.TemporaryDirectory(prefix="xengnt-python-") as tmp:
        done = subprocess.run(
            [str(venv_python), "-c", script, tmp, *packages],
            text=True,
            capture_output=True,
            check=False,
        )
        if done.returncode != 0:
            last = (done.stderr.strip().splitlines() or ["failed"])[-1]
            raise TestbedError(f"{venv_python}: cannot collect {', '.join(packages)}: {last}")
        interpreter, version = done.stdout.split("\n")[:2]
        root = Path(tmp)
        files = [File(Path(interpreter), "/bin/python3")]
        home = f"/lib/python{version}"
        extensions = [Path(interpreter)]
        for path in sorted(root.rglob("*")):
            if path.is_file():
                dst = f"{home}/{path.relative_to(root)}"
                files.append(File(path.read_bytes(), dst, 0o644))
                if path.suffix == ".so":
                    # A copy has lost its $ORIGIN: use the original's.
                    origin = path.with_suffix(".so.origin")
                    extensions.append(Path(origin.read_text()) if origin.exists() else path)
        files = [f for f in files if not f.dst.endswith(".so.origin")]
        return files + _library_files(extensions)


# ---------------------------------------------------------------- the image

_INIT = r"""#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
export PATH=/bin:/sbin:/usr/bin:/usr/sbin HOME=/ TERM=dumb
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev 2>/dev/null
mkdir -p /dev/pts /dev/shm /tmp /run
mount -t devpts devpts /dev/pts 2>/dev/null
mount -t tmpfs tmpfs /dev/shm
say() { echo "xengnt-init: $*" >/dev/console; }
fact() { [ -n "$2" ] && say "fact $1=$2"; }
off() { say "$*, powering off"; sleep 1; poweroff -f; }

for module in $(cat /lib/xengnt/modules); do
	insmod "/lib/xengnt/$module" || say "cannot load $module"
done
[ -d /proc/xen ] && mount -t xenfs xenfs /proc/xen 2>/dev/null
for node in gntdev gntalloc evtchn privcmd; do
	[ -c "/dev/xen/$node" ] || say "no /dev/xen/$node"
done

fact kernel "$(uname -r)"
fact kernel_build "$(uname -v)"
v=/sys/hypervisor/version
fact xen "$(cat $v/major 2>/dev/null).$(cat $v/minor 2>/dev/null)$(cat $v/extra 2>/dev/null)"
fact guest_type "$(cat /sys/hypervisor/guest_type 2>/dev/null)"
fact seconds_to_init "$(cut -d' ' -f1 /proc/uptime)"
fact end 1

# A busy host may stop us for minutes, which is not the fault of a task here.
echo 0 >/proc/sys/kernel/hung_task_timeout_secs
# Boot was quiet; from here on every kernel message belongs to a case.
dmesg -n 8
run() {
	# The second serial port is driven by the relay (see there for why).
	exec xengnt-relay 0x2f8 "$@" </dev/null >/dev/console 2>&1
}
[ -x /bin/xengnt-relay ] || off "no /bin/xengnt-relay in the image"
if grep -q xengnt.shell /proc/cmdline; then
	run /bin/sh -c 'exec 2>&1; echo "! ready"; exec sh -i'
elif grep -q xengnt.echo /proc/cmdline; then
	run /bin/sh -c 'echo "! ready"; exec cat'
fi
[ -x /bin/xengnt-agent ] || off "no /bin/xengnt-agent in the image"
run /bin/xengnt-agent --poweroff --peer /bin/xengnt-peer
"""


def busybox_shell(*directories: str) -> bytes:
    """The program on the control channel of a Dom0 with Xen's tools; busybox has the small ones."""
    return f"""#!/bin/sh
exec 2>&1
/bin/busybox mkdir -p /usr/bin
/bin/busybox --install -s /usr/bin
export PATH=$PATH:/usr/bin
mkdir -p /var/run/xen /var/run/xenstored /var/lib/xenstored /var/lib/xen /var/log/xen/console \
	/var/lock /etc/xen {" ".join(directories)}
cd /tmp
echo '! ready'
exec /bin/sh
""".encode()


def build(cache: Path, selection: Selection, files: Sequence[File]) -> Path:
    """The initramfs with `files` in it, from the cache if nothing changed."""
    archive = Archive()
    for place in ("dev", "proc", "sys", "tmp", "run", "etc", "root", "bin", "sbin", "lib/xengnt"):
        archive.directory(place)
    archive.character_device("dev/console", 5, 1, 0o600)
    archive.character_device("dev/null", 1, 3, 0o666)
    archive.file("init", _INIT.encode(), 0o755)
    archive.file("bin/busybox", selection.busybox.read_bytes(), 0o755)
    for applet in _APPLETS:
        archive.symlink(f"bin/{applet}", "busybox")
    for applet in ("cut", "mktemp", "cp", "chmod", "wc", "od", "true", "false", "test", "["):
        archive.symlink(f"bin/{applet}", "busybox")
    archive.file("etc/passwd", b"root:x:0:0:root:/root:/bin/sh\n", 0o644)
    archive.file("etc/group", b"root:x:0:\n", 0o644)
    names = []
    for module in selection.modules:
        names.append(module.name)
        archive.file(f"lib/xengnt/{module.name}", module.read_bytes(), 0o644)
    archive.file("lib/xengnt/modules", ("\n".join(names) + "\n").encode(), 0o644)
    seen: dict[str, bytes] = {}
    for item in files:
        data = item.contents()
        name = os.path.normpath(item.dst)
        if name in seen:  # two programs share a library
            if seen[name] != data:
                raise TestbedError(f"two different files are named {name} in the image")
            continue
        seen[name] = data
        archive.file(name, data, item.mode)
    data = archive.bytes()

    root = cache / "images"
    root.mkdir(parents=True, exist_ok=True)
    target = root / f"{hashlib.sha256(data).hexdigest()[:24]}.cpio"
    if target.exists():
        os.utime(target)
        return target
    handle, scratch = tempfile.mkstemp(prefix=".image-", dir=root)
    with os.fdopen(handle, "wb") as out:
        out.write(data)
    os.replace(scratch, target)
    _prune(root)
    return target


def _prune(root: Path) -> None:
    """Agents change often during development: keep only the newest images."""
    images = sorted(root.glob("*.cpio"), key=lambda p: p.stat().st_mtime, reverse=True)
    for image in images[_KEEP_IMAGES:]:
        if time.time() - image.stat().st_mtime > 3600:  # nobody is about to boot it
            image.unlink(missing_ok=True)
