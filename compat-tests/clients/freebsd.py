# SPDX-License-Identifier: BSD-2-Clause
"""The clients on a FreeBSD Dom0 (./dev parity --clients --freebsd DIR).

Shared objects and programs as a FreeBSD user would have them, loaded by the release's own run-time
linker: Xen's tool stack and QEMU, built from Debian's source packages, and one file of ours,
libxengnttab.so.1.  Each target is a boot: our module beside the base driver, our module alone,
no module of ours and Xen's own library.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from testbed import packages
from testbed.freebsd_sets import FreeBSD
from testbed.freebsd_vm import FreeBSDDom0, Target

from . import disks, freebsd_programs, images
from .guests import GUEST_MEMORY, OTHER_MEMORY, Run
from .places import MEMORY, UFS
from .shell import FreeBSDDom0 as Shell

BOOT_SECONDS = 240.0
DOM0_MEMORY = 1664
TARGETS: dict[Target, str] = {
    "freebsd": "our module beside the base driver",
    "freebsd-alone": "our module, the base driver disabled by its hint",
    "freebsd-base": "without our module: the base driver and Xen's own library",
}
# Fewer polls of the control channel: the guests need the processor (README.md, trap 2).
_RUN = "/usr/bin/env XENGNT_RELAY_LOOKS=64 /bin/xengnt-relay 0x2f8 /bin/sh"


class Machine:
    """A FreeBSD Dom0, ready for the steps."""

    def __init__(
        self,
        target: Target,
        sets: Path,
        cache: Path,
        work: Path,
        say: Callable[[str], None],
        own: images.Ours,
        *,
        library: Path | None = None,
        cpus: int = 1,
    ) -> None:
        self.target: Target = target
        self._base = target == "freebsd-base"
        self._say = say
        selection = packages.select(cache, say)
        release = FreeBSD(sets, cache, say)
        self._programs = freebsd_programs.Programs(release, cache, library)
        self.packages = self._programs.versions()
        self.digest = self._programs.library_digest(self._base)
        self.machine = FreeBSDDom0(
            target, release, work / f"clients-{target}", cache, say,
            files=self._programs.files(self._base, selection, own),
            environment={"xengnt.run": f"{_RUN} {freebsd_programs.SHELL}"},
            memory=DOM0_MEMORY, guests=GUEST_MEMORY + OTHER_MEMORY, cpus=cpus,
        )  # fmt: skip

    def run(self, *, amount: int, thorough: bool) -> Run:
        """The state that the steps share, once the shell answers."""
        shell = Shell(self.machine, self._say, BOOT_SECONDS)
        libraries = freebsd_programs.LIBRARIES
        return Run(
            self.target,
            shell,
            self._programs.places(),
            f"{libraries}/libxengnttab.so.1",
            self.digest,
            freebsd_programs.APART if self._base else libraries,
            amount,
            thorough,
            disks.MAIN[:1],
            device_model=freebsd_programs.DEVICE_MODEL,
            served=[disks.SERVED] if thorough else [],
            freebsd_disks=disks.FREEBSD,
            places={UFS: "UFS", MEMORY: "tmpfs"},
            mark=self.machine.mark(),
        )
