# SPDX-License-Identifier: BSD-2-Clause
"""The two Dom0s: how they are booted, and how their back ends get a disk."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from clients import freebsd_programs, images, programs, qcow2, shell
from clients.guests import GUEST_MEMORY, Run
from clients.places import MEMORY
from options import Places
from testbed import image, packages, vm
from testbed.freebsd_sets import FreeBSD
from testbed.freebsd_vm import FreeBSDDom0
from testbed.image import File

from devtools import qemu, xenlibs
from devtools.console import Console

from .plan import IMAGES, MEDIA, MIB, THEIRS, Backend, Disk

_SRC = Path(__file__).resolve().parent
BOOT_SECONDS = 240.0
DOM0_MEMORY = 1280
CPUTIME = freebsd_programs.CPUTIME
PROFILE = freebsd_programs.PROFILE
KERNEL_COSTS = freebsd_programs.KERNEL_COSTS
#: The guest never sleeps, and Xen runs whomever an event wakes at once: events for a sleeping guest
#: come late under emulation, and work is to be measured, not waiting.
GUEST_OPTIONS = "idle=poll"
XEN_OPTIONS = "sched_ratelimit_us=0"
#: Pauses of the control channel's program, which is not to be measured.
RELAY = "XENGNT_RELAY_LOOKS=8 XENGNT_RELAY_REST_MS=50"
#: The guest reads the time-stamp counter itself.
GUEST_SETTINGS = {"tsc_mode": "native"}


@dataclass(frozen=True)
class Setting(Places):
    """What both machines get."""

    sets: Path | None = None  # FreeBSD's


def guest_files(build: Path) -> list[File]:
    """The guest's files in addition to those of the clients' guest."""
    return [File(build / "compat-tests/disks/src/xengnt-unit", "/bin/unit")]


def _empty_images() -> list[File]:
    return [File(qcow2.empty(mib * MIB), f"/guest/{mib}.qcow2", 0o644) for mib in MEDIA]


class System(ABC):
    """A Dom0, before and after it is booted."""

    name: str
    machine: vm.Machine
    #: The directory of the other library.
    theirs: str
    qemu: str
    #: FreeBSD's kernel ignores a back end that it has once seen without a state
    #: (xenbusb_add_device()); Linux's gives up one whose front end has none (frontend_changed()).
    looks_once = False

    @abstractmethod
    def run(self) -> Run:
        """The state that the clients' steps need, once the shell answers."""

    @abstractmethod
    def facts(self) -> dict[str, str]:
        """Versions of third-party parts."""

    @abstractmethod
    def physical(self, disk: Disk) -> tuple[str, dict[str, str]]:
        """A command that prepares an image for the kernel's back end, and what a hot-plug script
        would write to xenstore for it."""

    @abstractmethod
    def arguments(self, pid: int) -> str:
        """A command that shows a process's arguments."""

    def second_qemu(self, domid: int, machine: str) -> str:
        """A command that starts another QEMU for a domain, on the other library."""
        options = (
            f"-xen-domid {domid} -no-shutdown -nodefaults -no-user-config -name second"
            f" -display none -monitor none -machine {machine} -m {GUEST_MEMORY}"
        )
        return (
            f"LD_LIBRARY_PATH={self.theirs} {self.qemu} {options}"
            " </dev/null >/var/log/xen/second.log 2>&1 &"
        )


class FreeBSDSystem(System):
    """Our module beside the base driver, both libraries, the kernel's blkback."""

    name = "freebsd"
    looks_once = True
    theirs = freebsd_programs.THEIRS
    qemu = xenlibs.QEMU

    def __init__(self, setting: Setting) -> None:
        assert setting.sets is not None
        self._say = setting.say
        selection = packages.select(setting.cache, setting.say)
        release = FreeBSD(setting.sets, setting.cache, setting.say)
        self._programs = freebsd_programs.Programs(release, setting.cache)
        own = images.ours(setting.build)
        files = self._programs.bench_files(selection, own, guest_files(setting.build))
        start = f"/usr/bin/env {RELAY} /bin/xengnt-relay 0x2f8 /bin/sh"
        self.machine = FreeBSDDom0(
            "freebsd", release, setting.work / "disks-freebsd", setting.cache, setting.say,
            files=[*files, *_empty_images()],
            environment={"xengnt.run": f"{start} {freebsd_programs.SHELL}"},
            memory=DOM0_MEMORY, guests=GUEST_MEMORY, xen_options=XEN_OPTIONS,
        )  # fmt: skip

    def run(self) -> Run:
        dom0 = shell.FreeBSDDom0(self.machine, self._say, BOOT_SECONDS)
        libraries = freebsd_programs.LIBRARIES
        return Run(
            "freebsd", dom0, self._programs.places(), f"{libraries}/{xenlibs.SONAME}",
            self._programs.library_digest(False), libraries, 0, False, (),
            device_model=freebsd_programs.DEVICE_MODEL, places={MEMORY: "tmpfs"},
            options=GUEST_OPTIONS, settings=GUEST_SETTINGS, mark=self.machine.mark(),
        )  # fmt: skip

    def facts(self) -> dict[str, str]:
        return self._programs.versions()

    def arguments(self, pid: int) -> str:
        return f"ps -ww -o args= -p {pid}"

    def physical(self, disk: Disk) -> tuple[str, dict[str, str]]:
        # This blkback serves files as well as devices.
        return "true", {"physical-device-path": disk.path}


_MODULES = ("loop", "xen-blkback")
_START = f"""mkdir -p {IMAGES} && mount -t tmpfs tmpfs {IMAGES} &&
(for module in $(cat /lib/bench/modules); do insmod /lib/bench/$module || exit 1; done)"""


class LinuxSystem(System):
    """The same QEMU, Debian's tool stack, blkback on loop devices."""

    name = "linux"
    theirs = "/lib/theirs"
    qemu = "/usr/libexec/xengnt/qemu-system-i386"

    def __init__(self, setting: Setting) -> None:
        self._say = setting.say
        selection = packages.select(setting.cache, setting.say)
        self._found = programs.collect(setting.cache, selection, setting.say)
        self._own = images.ours(setting.build)
        fio = freebsd_programs.fio_program(setting.cache)
        files = images.dom0_files(
            selection, self._found, self._own, fio, guest_files(setting.build)
        )
        files += self._more(qemu.build_linux(Console()))
        files += self._modules(selection, setting)
        ours = setting.build / "compat-tests/disks/src"
        files.append(File(ours / "xengnt-cputime", CPUTIME))
        files.append(File(ours / "xengnt-kernelcosts", KERNEL_COSTS))
        self._loops: list[str] = []
        self.machine = vm.LinuxDom0(
            "pvh", [*files, *_empty_images()], setting.work / "disks-linux", setting.cache,
            setting.say, memory=DOM0_MEMORY, guests=GUEST_MEMORY, xen_options=XEN_OPTIONS,
            kernel_options=f"{RELAY} xen.event_eoi_delay=0"
            " xen.event_loop_timeout=250",
        )  # fmt: skip

    def _more(self, program: Path) -> Iterable[File]:
        """QEMU, its wrapper and the other library."""
        theirs = self._found.dom0_libraries[programs.LIBRARY]
        scripts = Path(programs.__file__).parent
        yield File(program, self.qemu)
        yield File(scripts / "qemu-without-vnc.sh", f"{self.qemu.rsplit('/', 1)[0]}/without-vnc")
        yield File(theirs, f"{self.theirs}/{programs.LIBRARY}", 0o644)
        there = {*self._found.dom0_libraries, programs.LIBRARY}
        for file in image.program_files(program, self.qemu)[1:]:
            if file.dst.rsplit("/", 1)[1] not in there:
                yield file

    def _modules(self, selection: packages.Selection, setting: Setting) -> list[File]:
        # Dom0's own modules are loaded already.
        own = {path.name for path in selection.modules}
        found = programs.kernel_modules(selection, setting.cache, setting.say, _MODULES)
        order = [path for path in found if path.name not in own]
        names = "".join(f"{path.name}\n" for path in order)
        return [
            *(File(path, f"/lib/bench/{path.name}", 0o644) for path in order),
            File(names.encode(), "/lib/bench/modules", 0o644),
        ]

    def run(self) -> Run:
        dom0 = shell.LinuxDom0(self.machine, self._say)
        dom0.must(_START, "the images' place and modules")
        library = images.library_path()
        tools = {name: self._found.tool_place(name) for name in self._found.programs}
        return Run(
            "linux-pvh", dom0, {**tools, "qemu": self.qemu}, library, self._own.digest(),
            str(Path(library).parent), 0, False, (),
            device_model=f"{self.qemu.rsplit('/', 1)[0]}/without-vnc",
            places={MEMORY: "memory"}, options=GUEST_OPTIONS, settings=GUEST_SETTINGS,
            mark=self.machine.mark(),
        )  # fmt: skip

    def facts(self) -> dict[str, str]:
        return {"xen": self._found.packages.get(f"xen-utils-{self._found.release}", ""),
                "qemu": qemu.version()}  # fmt: skip

    def arguments(self, pid: int) -> str:
        return f"tr '\\0' ' ' </proc/{pid}/cmdline"

    def physical(self, disk: Disk) -> tuple[str, dict[str, str]]:
        if disk.vdev not in self._loops:
            self._loops.append(disk.vdev)
        number = self._loops.index(disk.vdev)
        return f"losetup /dev/loop{number} {disk.path}", {"physical-device": f"7:{number:x}"}


def system(name: str, setting: Setting) -> System:
    return FreeBSDSystem(setting) if name == "freebsd" else LinuxSystem(setting)


def library(of: System, backend: Backend) -> str:
    """The file that the QEMU of a back end must have loaded."""
    ours = freebsd_programs.LIBRARIES if of.name == "freebsd" else programs.LIBDIR
    return f"{of.theirs if backend.name == THEIRS else ours}/{xenlibs.SONAME}"
