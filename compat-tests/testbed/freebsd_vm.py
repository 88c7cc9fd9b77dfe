# SPDX-License-Identifier: BSD-2-Clause
"""FreeBSD as PVH Dom0 of a real Xen in QEMU, from nothing but its release sets.

::

    with freebsd_vm.FreeBSDDom0("freebsd", release, workdir, cache, progress) as machine:
        line = machine.control.readline(240.0)   # "! ready"

The targets: ``freebsd`` (our module beside the base driver, our node is xengntdev),
``freebsd-alone`` (the base driver disabled by its hint: our node is gntdev), ``freebsd-linux`` (the
Linux agent, with the modules it needs; base driver disabled, since that agent knows Linux's names
only), ``freebsd-base`` (no module of ours), ``freebsd-words`` (as ``freebsd-alone``, but the agent
uses the base driver's commands).
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from . import freebsd_boot, packages, vm
from .errors import TestbedError
from .freebsd_sets import FreeBSD
from .image import File

Target = Literal["freebsd", "freebsd-alone", "freebsd-linux", "freebsd-base", "freebsd-words"]

FATAL = re.compile(
    r"""^panic:
      | Fatal\ (double\ fault|trap\ \d+)
      | KDB:\ enter:
      | ^\s*db>
      | \(XEN\).*Panic\ on\ CPU
      | \(XEN\).*Xen\ BUG\ at
      | \(XEN\).*FATAL\ (TRAP|PAGE\ FAULT)
      | \(XEN\).*Domain\ 0\ .*crashed
      | \(XEN\).*Hardware\ Dom0\ (crashed|halted|shutdown|rebooted)
      | xengnt-init:.*powering\ off
    """,
    re.VERBOSE | re.MULTILINE,
)

ALARM = re.compile(
    FATAL.pattern
    + r"""
      | lock\ order\ reversal
      | (acquiring|exclusive|shared)\ .*(locked|lock).*\ @\ .*xengnt
      | with\ the\ following\ .*locks\ held
      | (sleeping|Sleeping)\ (thread|on)\ .*(lock|held)
      | Memory\ modified\ after\ free
      | \bleaked\b | \bleak:
      | UMA\ keg.*not\ empty
      | xengnt.*(leak|cannot|fail)
      | device_attach:\ xengnt
      | \(XEN\).*(domain_crash\ called|crashed\ by\ domain|Domain\ \d+\ \(vcpu\#\d+\)\ crashed)
      | \(XEN\).*(Assertion\ .*failed|Xen\ (BUG|WARN)\ at)
      | \(XEN\).*grant_table\.c:\d+.*(?:Bad|bug|leak|inconsistent)
    """,
    re.VERBOSE | re.MULTILINE,
)

# Of a kernel with DDB, and of one without, which leaves out the function that trapped.
_FRAME = re.compile(
    r"^(?:(\w+)\(.*\) at \S+\+0x[0-9a-f]+/frame|#\d+ 0x[0-9a-f]+ at (\w+)\+0x)", re.MULTILINE
)
# Functions that print the trace, not those that led to it.
_TRACING = ("db_trace_self_wrapper", "kdb_backtrace", "vpanic", "panic", "db_trace_self")


def backtrace(text: str) -> list[str]:
    """The functions of a panic's stack, innermost first, without those that print it."""
    begin = re.search(r"^panic:", text, re.MULTILINE)
    frames = _FRAME.findall(text[begin.start() :] if begin else text)
    return [name for pair in frames if (name := "".join(pair)) not in _TRACING]


# x86-64-v2 without XSAVE: QEMU's XRSTOR faults when such a Dom0 switches between two users of it.
# invtsc, if QEMU has it: without it Xen emulates the TSC (docs/upstream/qemu.md).
CPU = (
    "qemu64,+svm,+npt,+ssse3,+sse4.1,+sse4.2,+popcnt,+cx16,+lahf-lm,+rdrand,+fsgsbase,+smep,+invtsc"
)

_COMMAND = (
    "qemu-system-x86_64 -nodefaults -no-user-config -accel tcg,thread=multi -machine q35 "
    # OVMF's memory for S3 would overlap the kernel.
    f"-global ICH9-LPC.disable_s3=1 -cpu {CPU} "
    "-display none -vga none -parallel none -no-reboot"
).split()

_XEN = (
    "console=com1 com1=115200,8n1 dom0=pvh dom0-iommu=none vga=no noreboot "
    "loglvl=warning guest_loglvl=error bootscrub=0 spec-ctrl=no watchdog=0 "
    "gnttab_max_frames=64 gnttab_max_maptrack_frames=1024"
)

#: MiB of Dom0, and of the rest for Xen, its firmware and a helper domain.
DOM0_MEMORY = 640
_BESIDE = 896

_OVMF = (
    ("/usr/share/OVMF/OVMF_CODE_4M.fd", "/usr/share/OVMF/OVMF_VARS_4M.fd"),
    ("/usr/share/OVMF/OVMF_CODE.fd", "/usr/share/OVMF/OVMF_VARS.fd"),
)

_ENVIRONMENT = {
    "vfs.root.mountfrom": "cd9660:/dev/md0",
    "init_path": "/sbin/init",
    # Xen keeps the PM timer from Dom0, and DELAY() has no other clock here.
    "debug.acpi.disabled": "timer",
    "kern.hz": "100",
    # Xen's console, which the kernel treats as a serial one.
    "console": "comconsole",
    "boot_serial": "YES",
    # Probing devices that are absent or unneeded takes time.
    **{
        f"hint.{name}.0.disabled": "1"
        for name in ("ahci", "ppc", "psm", "atkbdc", "fdc", "vga", "sc", "vt")
    },
    # Nobody reads device events here; a thousand of them, of 1 KB each, would look like a leak.
    "hw.bus.devctl_queue": "0",
    # A panic must print its backtrace and end the machine.
    "debug.debugger_on_panic": "0",
    "debug.trace_on_panic": "1",
    "kern.panic_reboot_wait_time": "0",
}

#: The environment of a FreeBSD DomU.
GUEST_ENVIRONMENT = {
    key: value
    for key, value in _ENVIRONMENT.items()
    if key not in ("debug.acpi.disabled", "console", "boot_serial", "hw.bus.devctl_queue")
}

_RELAY, _AGENT, _PEER = "/bin/xengnt-relay", "/bin/xengnt-agent", "/bin/xengnt-peer"
# The agent on the library, for Worker.exec().
LIBRARY = "/bin/xengnt-agent-lib"
#: The second serial port; FreeBSD's own driver does not touch it while nobody opens it.
_PORT = "0x2f8"


@dataclass(frozen=True)
class _Plan:
    modules: tuple[str, ...]
    arguments: str
    environment: Mapping[str, str]


_DISABLED = {"hint.gntdev.0.disabled": "1"}
_PLANS: dict[Target, _Plan] = {
    "freebsd": _Plan(("xengnt.ko",), "--gntdev /dev/xen/xengntdev", {}),
    "freebsd-alone": _Plan(("xengnt.ko",), "", _DISABLED),
    "freebsd-linux": _Plan(
        ("xengnt.ko", "xengnt_linux.ko"), "", {**_DISABLED, "xengnt.events": "helper"}
    ),
    "freebsd-words": _Plan(
        ("xengnt.ko",), "--gntalloc /dev/xen/gntdev", {**_DISABLED, "xengnt.words": "base"}
    ),
    "freebsd-base": _Plan((), "--gntalloc /dev/xen/gntdev", {"xengnt.words": "base"}),
}


class FreeBSDDom0(vm.Machine):
    """A booted machine; see the module's docstring."""

    fatal = FATAL
    alarm = ALARM
    settle = 12

    def __init__(
        self,
        target: Target,
        release: FreeBSD,
        workdir: Path,
        cache: Path,
        progress: vm.Progress | None = None,
        *,
        linux_agent: Path | None = None,
        environment: Mapping[str, str] | None = None,
        files: Sequence[File] = (),
        memory: int = DOM0_MEMORY,
        guests: int = 0,
        cpus: int = 1,
        xen_options: str = "",
        preload: bool = False,
    ) -> None:
        """`memory` is Dom0's MiB and `guests` what other domains need; `cpus` are the machine's and
        Dom0's processors; with `preload` the driver is loaded when the kernel starts, as by
        xengnt_load="YES"."""
        super().__init__(target, workdir, progress)
        self._memory = memory
        self._beside = _BESIDE + guests
        self._cpus = cpus
        self._preloaded = (
            ("xengnt.ko",) if preload and "xengnt.ko" in _PLANS[target].modules else ()
        )
        self._xen_options = xen_options
        self._target: Target = target
        self._release = release
        self._cache = cache
        self._linux_agent = linux_agent
        self._environment = dict(environment or {})
        self._more = list(files)

    @property
    def ours(self) -> str:
        """Our modules in load order, under the names in the system under test."""
        return " ".join(f"/boot/{name}" for name in _PLANS[self._target].modules)

    def _files(self) -> tuple[list[File], list[str]]:
        """Files of the root, and the modules to load, in order."""
        plan = _PLANS[self._target]
        programs = self._release.programs()
        files = [
            File(programs.init, "/sbin/init"),
            File(programs.relay, _RELAY),
            File(programs.peer, _PEER),
            File(programs.library, LIBRARY),
            *self._more,
        ]
        names = []
        agent = programs.agent
        if self._target == "freebsd-linux":
            if self._linux_agent is None:
                raise TestbedError("the Linux agent is not named")
            agent = self._linux_agent
            modules = self._release.linux_modules()
            if not any(path.name == "linux64.ko" for path in modules):
                raise TestbedError(f"{self._release.sets / 'kernel.txz'} has no linux64.ko")
            for path in modules:
                files.append(File(path, f"/boot/{path.name}", 0o444))
                names.append(f"/boot/{path.name}")
        files.append(File(agent, _AGENT))
        for name in plan.modules:
            files.append(File(self._release.module(name), f"/boot/{name}", 0o444))
            # Modules that need others come later; ours needs none.
            if name not in self._preloaded:
                names.append(f"/boot/{name}")
        return files, names

    def prepare(self) -> Callable[[int], list[str]]:
        selection = packages.select(self._cache, self._progress)
        xen = next(iter(sorted(selection.xen.parents[1].glob("boot/xen-*-amd64.efi"))), None)
        if xen is None:
            raise TestbedError(f"no xen-*-amd64.efi in the package {selection.xen.parents[1].name}")
        firmware = next(
            ((Path(c), Path(v)) for c, v in _OVMF if Path(c).is_file() and Path(v).is_file()), None
        )
        if firmware is None:
            raise TestbedError(f"no {_OVMF[0][0]}: install ovmf")
        files, modules = self._files()
        plan = _PLANS[self._target]
        run = f"{_RELAY} {_PORT} {_AGENT} --poweroff --peer {_PEER} {plan.arguments}".strip()
        environment = {
            **_ENVIRONMENT,
            **plan.environment,
            "xengnt.modules": " ".join(modules),
            "xengnt.run": run,
            **self._environment,
        }
        module = freebsd_boot.metadata(
            environment,
            freebsd_boot.iso_image(files),
            [
                freebsd_boot.preloaded(f"/boot/{name}", self._release.module(name).read_bytes())
                for name in self._preloaded
            ],
        )
        kernel = freebsd_boot.trampolined(self._release.kernel.read_bytes())
        memory = (
            f"dom0_mem={self._memory}M,max:{self._memory}M dom0_max_vcpus={self._cpus}"
            f" {self._xen_options}"
        ).strip()
        disk, variables = self._workdir / "disk.img", self._workdir / "variables.fd"
        freebsd_boot.efi_image(disk, xen, f"{_XEN} {memory}", kernel, module)
        shutil.copyfile(firmware[1], variables)
        self._known = {
            "dom0": "pvh",
            "xen_package": selection.xen_version,
            "kernel": self._release.version,
            "cpus": str(self._cpus),
        }
        return lambda channel: self.command(firmware[0], variables, disk, channel)

    def _last_words(self) -> str:
        reason = super()._last_words()
        frames = backtrace(self.console_since(0))
        return f"{reason} in {' < '.join(frames[:8])}" if frames else reason

    def command(self, code: Path, variables: Path, disk: Path, channel: int) -> list[str]:
        """QEMU's command line."""
        return [
            *_COMMAND,
            "-smp", str(self._cpus),
            *self.common(self._memory + self._beside, channel),
            "-drive", f"if=pflash,format=raw,readonly=on,file={vm.quoted(code)}",
            "-drive", f"if=pflash,format=raw,file={vm.quoted(variables)}",
            "-drive", f"format=raw,file={vm.quoted(disk)},if=none,id=disk",
            "-device", "ide-hd,drive=disk,bus=ide.0",
        ]  # fmt: skip
