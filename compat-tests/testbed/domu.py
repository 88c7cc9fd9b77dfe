# SPDX-License-Identifier: BSD-2-Clause
"""FreeBSD and Linux as PVH DomUs under a Linux Dom0, side by side in one machine.

::

    guests = [domu.FreeBSDGuest("freebsd", release, files, ("xengnt.ko",)),
              domu.LinuxGuest("linux", files)]
    with domu.Host(guests, build, workdir, cache, progress) as host:
        refs = host.grant(host.next_domid, 512)
        domain = host.start("freebsd", "/bin/bench 5", {"bench.first": str(refs[0])})
        for line in domain.lines(until=r"^done"):
            ...

What is in a guest's file system goes into Dom0's image before the machine starts; its command and
its environment are chosen at `start`.  A FreeBSD's environment is the kernel's (kenv), a Linux's
that of its command, which is a line for the shell.  A guest whose command ends powers off.
"""

from __future__ import annotations

import base64
import json
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from clients import programs as clients
from clients.shell import Dom0, Failed, LinuxDom0

from . import freebsd_boot, image, packages, vm
from .errors import TestbedError
from .freebsd_sets import FreeBSD
from .freebsd_vm import CPU, GUEST_ENVIRONMENT
from .image import File

_GRANT = "/bin/xengnt-grant"
DEBUG_KEY = "/bin/xengnt-debugkey"
_CONSOLES = "/var/log/xen/console"
_POLL = 0.3

#: MiB of Dom0, which has the guests' images in memory, and of a guest.
DOM0_MEMORY = 640
FREEBSD_MEMORY = 256
LINUX_MEMORY = 192

# See the clients' README: fewer polls of the control channel, late events.
_KERNEL_OPTIONS = "XENGNT_RELAY_LOOKS=64 xen.event_eoi_delay=0 xen.event_loop_timeout=250"

_LINUX_INIT = b"""#!/bin/busybox sh
# SPDX-License-Identifier: BSD-2-Clause
/bin/busybox mkdir -p /usr/bin /proc /sys /dev /tmp
/bin/busybox --install -s /usr/bin
export PATH=/bin:/sbin:/usr/bin HOME=/
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev
while read -r module options; do
	insmod /lib/xengnt/$module $options || echo "xengnt-init: cannot load $module"
done </lib/xengnt/modules
exec </dev/hvc0 >/dev/hvc0 2>&1
stty -echo -onlcr
echo "xengnt-init: up $(uname -r) $(cat /sys/hypervisor/guest_type)"
. /command
echo "xengnt-init: the program has ended, powering off"
poweroff -f
"""

# No PIT here either (README, trap 2).
_LINUX_OPTIONS = (
    "console=hvc0 quiet panic=-1 nowatchdog clearcpuid=4 lpj=1000000 pmtmr=0 clocksource=xen "
    "cryptomgr.notests i8042.nopnp i8042.noaux i8042.nokbd mitigations=off init_on_alloc=0 "
    "nokaslr audit=0 xen.event_eoi_delay=0 xen.event_loop_timeout=250 "
    "lsm=capability ipv6.disable=1 pci=off nohpet rodata=off rcupdate.rcu_cpu_stall_suppress=1"
)

#: KENV_MVALLEN: how much of a variable init can read.
_KENV_BYTES = 128


@dataclass(frozen=True)
class FreeBSDGuest:
    """A FreeBSD of some release: files, and our modules to load, in order."""

    name: str
    release: FreeBSD
    files: Sequence[File] = ()
    modules: Sequence[str] = ()
    memory: int = FREEBSD_MEMORY


@dataclass(frozen=True)
class LinuxGuest:
    """Dom0's Linux: files besides busybox and Xen's modules; options of these by name."""

    name: str
    files: Sequence[File] = ()
    memory: int = LINUX_MEMORY
    options: Mapping[str, str] = field(default_factory=dict)


Guest = FreeBSDGuest | LinuxGuest


class Domain:
    """A running guest and its console's output."""

    def __init__(self, host: Host, name: str, domid: int) -> None:
        self.host = host
        self.name = name
        self.domid = domid
        self._log = f"{_CONSOLES}/guest-{name}.log"
        self._text = b""
        self._line = 0

    def console(self) -> str:
        """All that the console has printed."""
        said = self.host.dom0.must(f"tail -c +{len(self._text) + 1} {self._log} | base64 -w 0")
        self._text += base64.b64decode(said)
        return self._text.decode(errors="replace").replace("\r", "")

    def alive(self) -> bool:
        """Whether Xen still has the domain."""
        return self.host.dom0.run(f"{self.host.xl} domid {self.name} >/dev/null 2>&1")[0] == 0

    def lines(self, until: str, timeout: float = 240.0, poll: float = _POLL) -> Iterator[str]:
        """New lines of the console up to and including one that matches.  Each check, every `poll`
        s, takes the processor from the guest."""
        pattern = re.compile(until)
        machine = self.host.machine
        begin = machine.effective()
        gone = False
        while True:
            lines = self.console().split("\n")[:-1]
            while self._line < len(lines):
                line = lines[self._line]
                self._line += 1
                begin = machine.effective()
                yield line
                if pattern.search(line):
                    return
            if gone:
                raise Failed(f"{self.name} is gone: {(lines or ['silent'])[-1]}")
            gone = not self.alive()
            if machine.effective() - begin > timeout:
                last = (lines or ["nothing"])[-1]
                raise Failed(f"{self.name}: {timeout:.0f} s without a line; the last: {last}")
            time.sleep(poll)

    def destroy(self) -> None:
        self.host.dom0.run(f"{self.host.xl} destroy {self.name} >/dev/null 2>&1")


class Host:
    """The machine: Dom0 with its shell, and the guests that can be started in it."""

    def __init__(
        self,
        guests: Sequence[Guest],
        build: Path,
        workdir: Path,
        cache: Path,
        progress: Callable[[str], None] | None = None,
        *,
        kind: vm.Kind = "pv",
        files: Sequence[File] = (),
        kernel_options: str = "",
    ) -> None:
        self._guests = {guest.name: guest for guest in guests}
        self._sizes: dict[str, int] = {}
        self._progress = progress or (lambda _: None)
        self._selection = packages.select(cache, self._progress)
        self._programs = clients.collect(cache, self._selection, self._progress)
        self.xl = self._programs.tool_place("xl")
        self.next_domid = 1
        places = build / "compat-tests"
        own = {
            image.RELAY: places / "agent/dom0/xengnt-relay",
            _GRANT: places / "agent/dom0/xengnt-grant",
            DEBUG_KEY: places / "clients/src/xengnt-debugkey",
        }
        for path in own.values():
            if not path.is_file():
                raise TestbedError(f"{path} is not built (./dev build)")
        mine = [File(path, place) for place, path in own.items()]
        self.machine = vm.LinuxDom0(
            kind,
            [*self._tools(), *mine, *self._images(), *files],
            workdir,
            cache,
            progress,
            kernel_options=f"{_KERNEL_OPTIONS} {kernel_options}".strip(),
            memory=DOM0_MEMORY,
            guests=sum(guest.memory + 32 for guest in guests),
            cpu=CPU,
        )
        self._dom0: Dom0 | None = None

    # ---- images

    def _tools(self) -> list[File]:
        """Debian's xl and daemons, with the libraries that they need."""
        found = self._programs
        names = ("xl", "xenstored", "xenconsoled", "xen-init-dom0")
        todo = [found.programs[name] for name in names]
        libraries: dict[str, Path] = {}
        while todo:
            for name in clients.read_elf(todo.pop()).needed:
                if name not in libraries:
                    libraries[name] = found.dom0_libraries[name]
                    todo.append(libraries[name])
        for name, path in found.dom0_libraries.items():
            if name.startswith(("ld-linux-", "libgcc_s")):
                libraries[name] = path
        return [
            *(File(found.programs[name], found.tool_place(name)) for name in names),
            *clients.library_files(libraries),
            File(image.busybox_shell(), image.AGENT),
            File(b"", "/etc/xen/xl.conf", 0o644),
        ]

    def _images(self) -> list[File]:
        files = [File(self._selection.kernel, "/guest/linux", 0o644)]
        kernels: dict[Path, str] = {}
        for guest in self._guests.values():
            if isinstance(guest, LinuxGuest):
                data = self._linux_image(guest)
            else:
                data = self._freebsd_image(guest)
                kernel = guest.release.kernel
                if kernel not in kernels:
                    kernels[kernel] = f"/guest/{guest.name}.kernel"
                    patched = freebsd_boot.trampolined(kernel.read_bytes())
                    files.append(File(patched, kernels[kernel], 0o644))
            self._sizes[guest.name] = len(data)
            files.append(File(data, f"/guest/{guest.name}.image", 0o644))
        self._kernels = kernels
        return files

    def _linux_image(self, guest: LinuxGuest) -> bytes:
        archive = image.Archive()
        for place in ("dev", "proc", "sys", "tmp", "usr/bin"):
            archive.directory(place)
        archive.character_device("dev/console", 5, 1, 0o600)
        archive.character_device("dev/null", 1, 3, 0o666)
        archive.file("init", _LINUX_INIT, 0o755)
        archive.file("bin/busybox", self._selection.busybox.read_bytes(), 0o755)
        archive.symlink("bin/sh", "busybox")
        names = []
        for module in self._selection.modules:
            names.append(f"{module.name} {guest.options.get(module.stem, '')}".strip())
            archive.file(f"lib/xengnt/{module.name}", module.read_bytes(), 0o644)
        archive.file("lib/xengnt/modules", "\n".join(names).encode() + b"\n", 0o644)
        for item in guest.files:
            archive.file(item.dst, item.contents(), item.mode)
        return archive.bytes()

    def _freebsd_image(self, guest: FreeBSDGuest) -> bytes:
        release = guest.release
        files = [File(release.programs().init, "/sbin/init"), *guest.files]
        files += [File(release.module(name), f"/boot/{name}", 0o444) for name in guest.modules]
        return freebsd_boot.iso_image(files)

    # ---- life

    def __enter__(self) -> Self:
        self.machine.__enter__()
        try:
            self._dom0 = LinuxDom0(self.machine, self._progress)
            self._daemons()
        except BaseException:
            self.machine.__exit__(None, None, None)
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.machine.__exit__(None, None, None)

    @property
    def dom0(self) -> Dom0:
        """A shell in Dom0."""
        if self._dom0 is None:
            raise TestbedError("the Dom0 is not started")
        return self._dom0

    def take_over(self, shell: Dom0) -> None:
        """Sets the shell when another program has taken the control channel and provides it."""
        self._dom0 = shell

    def _daemons(self) -> None:
        tool = self._programs.tool_place
        dom0 = self.dom0
        dom0.must(f"{tool('xenstored')} --pid-file=/run/xs.pid >/tmp/xenstored.log 2>&1")
        dom0.until("test -S /var/run/xenstored/socket", "xenstored's socket")
        dom0.must(f"{tool('xen-init-dom0')} >/tmp/init-dom0.log 2>&1", "xen-init-dom0")
        dom0.must(
            f"{tool('xenconsoled')} --pid-file=/run/xc.pid --log=all --log-dir={_CONSOLES} "
            ">/tmp/xenconsoled.log 2>&1"
        )
        dom0.must("echo 16384 >/sys/module/xen_gntalloc/parameters/limit", "gntalloc's limit")

    def grant(self, domid: int, count: int) -> list[int]:
        """Pages of Dom0 that gntalloc grants to a domain, which need not exist yet.

        They stay as long as the machine; the first word of page n is n.
        """
        return self.hold(f"{_GRANT} {domid} {count}", "granting pages")

    def hold(self, command: str, what: str) -> list[int]:
        """Starts a program that stays as long as the machine; the numbers that it prints, up to
        its line "end"."""
        log = f"/tmp/hold.{time.monotonic_ns()}"
        self.dom0.must(f"{command} >{log} 2>&1 &")
        self.dom0.until(f"! kill -0 $! || tail -n 1 {log} | grep -q '^end'", what)
        lines = self.dom0.must(f"cat {log}").split("\n")
        if lines[-1] != "end":
            raise Failed(f"{what}: {lines[-1]}")
        return [int(line) for line in lines[:-1]]

    def _put(self, path: str, data: bytes) -> None:
        text = base64.encodebytes(data.rstrip(b"\0")).decode()
        self.dom0.must(f"base64 -d >{path} <<'END'\n{text}END")
        self.dom0.must(f"truncate -s {len(data)} {path}")

    def start(
        self,
        name: str,
        command: str,
        environment: Mapping[str, str] | None = None,
        settings: Mapping[str, object] | None = None,
    ) -> Domain:
        """Creates a guest's domain, with more of xl.cfg's settings; it gets the number
        `next_domid`."""
        guest = self._guests[name]
        if isinstance(guest, LinuxGuest):
            script = "".join(f"export {k}='{v}'\n" for k, v in (environment or {}).items())
            extra = image.Archive()
            extra.file("command", f"{script}{command}\n".encode(), 0o644)
            head, order = extra.bytes(), "{0}.image {0}.head"
            kernel, options = "/guest/linux", _LINUX_OPTIONS
        else:
            modules = " ".join(f"/boot/{module}" for module in guest.modules)
            whole = {
                **GUEST_ENVIRONMENT,
                "xengnt.modules": modules,
                "xengnt.run": command,
                **(environment or {}),
            }
            if long := [k for k, v in whole.items() if len(v) >= _KENV_BYTES]:
                raise TestbedError(f"{long[0]} has more than {_KENV_BYTES} bytes")
            head = freebsd_boot.metadata_head(whole, self._sizes[name])
            order = "{0}.head {0}.image"
            kernel, options = self._kernels[guest.release.kernel], ""
        self._put(f"/guest/{name}.head", head)
        self.dom0.must(f"cd /guest && cat {order.format(name)} >{name}.ramdisk; cd /tmp")
        config = {
            "name": name,
            "type": "pvh",
            "memory": guest.memory,
            "vcpus": 1,
            "kernel": kernel,
            "ramdisk": f"/guest/{name}.ramdisk",
            "extra": options,
            "on_crash": "destroy",
            "on_reboot": "destroy",
            **(settings or {}),
        }
        text = "\n".join(f"{key}={json.dumps(value)}" for key, value in config.items())
        self.dom0.must(f"cat >/tmp/{name}.cfg <<'END'\n{text}\nEND")
        # Xen's console daemon would append to the log of an earlier guest of that name.
        self.dom0.must(f"rm -f {_CONSOLES}/guest-{name}.log")
        # Not to the control channel, which a daemon of xl's would keep open.
        status, _ = self.dom0.run(f"{self.xl} create /tmp/{name}.cfg >/tmp/{name}.create 2>&1")
        if status != 0:
            said = self.dom0.run(f"tail -n 5 /tmp/{name}.create")[1]
            raise Failed(f"xl create: status {status}: {said}")
        domid = int(self.dom0.must(f"{self.xl} domid {name}").split()[-1])
        self.next_domid = domid + 1
        return Domain(self, name, domid)
