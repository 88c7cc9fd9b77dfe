# SPDX-License-Identifier: BSD-2-Clause
"""What the steps share, and the guests: created, rebooted and destroyed by xl."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from .grants import Grant
from .places import FREEBSD_KERNEL, FREEBSD_RAMDISK, INITRD, KERNEL
from .shell import Dom0, Failed, Guest

if TYPE_CHECKING:
    from .disks import Disk

Figures = dict[str, float | int | str]

# GNTTAB_RESERVED_CONSOLE and _XENSTORE: pages that the tool stack granted for the guest.
REF_CONSOLE = 0
REF_XENSTORE = 1

GUEST = "client"
OTHER = "beastie"
GUEST_MEMORY = 192
OTHER_MEMORY = 256
#: libxl's message if QEMU has not answered within its ten seconds, which can be too short under
#: emulation on a busy machine.
_TOO_SLOW = "Post DM startup configs failed, rc=-9"
_TRIES = 3
CONSOLES = "/var/log/xen/console"

# The guest has no PIT either (testbed/README.md, trap 2).  event_*: trap 3 of our README.md.  The
# rest saves time.
GUEST_OPTIONS = (
    "console=hvc0 quiet panic=-1 nowatchdog clearcpuid=4 lpj=1000000 pmtmr=0 "
    "cryptomgr.notests i8042.nopnp i8042.noaux i8042.nokbd mitigations=off init_on_alloc=0 "
    "nokaslr audit=0 xen.event_eoi_delay=0 xen.event_loop_timeout=250 "
    "lsm=capability ipv6.disable=1 pci=off nohpet rodata=off rcupdate.rcu_cpu_stall_suppress=1"
)


@dataclass
class Run:
    """What the steps share."""

    target: str  # linux-pv, linux-pvh, freebsd, freebsd-alone, freebsd-base
    dom0: Dom0
    tools: Mapping[str, str]  # where each program is
    library: str  # the only libxengnttab that the tool stack may load, and
    digest: str  # its SHA-256
    ours: str  # the directory of our library, another one on freebsd-base
    amount: int  # bytes through a channel
    thorough: bool  # not the short run
    disks: Sequence[Disk]  # of the Linux guest
    device_model: str = ""  # a wrapper for QEMU, where it needs one
    served: Sequence[Disk] = ()  # more of the Linux guest's, by QEMU's own command line
    freebsd_disks: Sequence[Disk] = ()  # of the FreeBSD guest; none: there is no such guest
    places: Mapping[str, str] = field(default_factory=dict)  # what a directory of images is
    options: str = ""  # more of the Linux guest's kernel
    settings: Mapping[str, object] = field(default_factory=dict)  # more of its configuration
    guest: Guest | None = None
    other: Guest | None = None  # the FreeBSD guest
    pids: dict[str, int] = field(default_factory=dict)
    mark: int = 0
    seconds: int = 600  # of the step stress
    seed: int | None = None

    @property
    def freebsd(self) -> bool:
        return self.target.startswith("freebsd")

    @property
    def pv(self) -> bool:
        return self.target == "linux-pv"

    def tool(self, name: str) -> str:
        return self.tools[name]

    def place(self, directory: str) -> str:
        return self.places.get(directory, directory)

    def foreign(self, guest: Guest | None = None) -> set[Grant]:
        """Grants of a guest that Dom0 has mapped."""
        guest = guest or self.running_guest()
        return {g for g in self.dom0.mapped() if g.granter == guest.domid and g.user == 0}

    def running_guest(self) -> Guest:
        if self.guest is None:
            raise Failed("there is no guest")
        return self.guest


def numbers(text: str, word: str) -> dict[str, float]:
    """The NAME=NUMBER pairs of the line that begins with a word."""
    line = next((ln for ln in text.splitlines() if ln.startswith(f"{word}: ")), "")
    found = {name: float(value) for name, value in re.findall(r"(\w+)=([\d.]+)", line)}
    if not found:
        raise Failed(f"guest: {(text.strip().splitlines() or ['no output'])[-1]}")
    return found


def check_library(run: Run, what: str, pid: int) -> None:
    """Checks that a process has loaded the libxengnttab under test and no other file of that
    name."""
    paths = run.dom0.loaded(pid)
    if paths != {run.library}:
        raise Failed(f"{what} has loaded {', '.join(sorted(paths)) or 'no libxengnttab'}")
    if run.dom0.digest(run.library) != run.digest:
        raise Failed(f"{run.library} is not the library that was built")


def _config(lines: Mapping[str, object]) -> str:
    return "\n".join(f"{key}={json.dumps(value)}" for key, value in lines.items())


def _log(name: str) -> str:
    return f"{CONSOLES}/guest-{name}.log"


def _await_boot(run: Run, name: str, before: int, or_else: str = "false") -> None:
    """Waits until the guest's shell has come up more than `before` times, or a shell condition in
    Dom0 holds."""
    log = _log(name)
    run.dom0.until(
        f"[ $(grep -c '^guest: up' {log}) -gt {before} ] || {or_else}",
        f"{name} booting",
        show=f"wc -c <{log}",
    )


def _booted(run: Run, name: str, before: int) -> Guest:
    """The guest, once its shell answers."""
    dom0, log = run.dom0, _log(name)
    _await_boot(run, name, before)
    domid = int(dom0.must(f"{run.tool('xl')} domid {name}").split()[-1])
    terminal = dom0.must(
        f"{run.tool('xenstore')} read /local/domain/{domid}/console/tty", "the console's terminal"
    ).strip()
    # The daemon keeps a terminal's output until somebody reads it.
    dom0.must(f"cat {terminal} >/tmp/console.{domid} 2>/dev/null & true")
    return Guest(dom0, name, domid, log, terminal)


def _boots(run: Run, name: str) -> int:
    return int(run.dom0.run(f"grep -c '^guest: up' {_log(name)} 2>/dev/null")[1].strip() or 0)


def _create(run: Run, name: str, settings: Mapping[str, object], disks: Sequence[Disk]) -> Guest:
    dom0 = run.dom0
    config: dict[str, object] = {
        "name": name,
        "type": "pvh",
        "vcpus": 1,
        "on_crash": "destroy",
        "disk": [disk.line for disk in disks],
        **settings,
    }
    if run.device_model:
        config["device_model_override"] = run.device_model
    dom0.must(f"cat >/tmp/{name}.cfg <<'END'\n{_config(config)}\nEND")
    before = _boots(run, name)
    _xl_create(run, name)
    return _booted(run, name, before)


def _xl_create(run: Run, name: str) -> None:
    dom0 = run.dom0
    for _ in range(_TRIES):
        # Not to the control channel, which a daemon of xl's would keep open.
        status, _ = dom0.run(f"{run.tool('xl')} create /tmp/{name}.cfg >/tmp/{name}.create 2>&1")
        if status == 0:
            break
        said = dom0.run(f"tail -n 30 /var/log/xen/qemu* /tmp/{name}.create")[1]
        if _TOO_SLOW not in said:
            break
        dom0.progress("xl gave up on QEMU after its ten seconds; trying again")
    if status != 0:
        for line in said.splitlines():
            dom0.progress(f"  {line}")
        errors = [line for line in said.splitlines() if "rror" in line or "ail" in line]
        raise Failed(f"xl create: status {status}: {'; '.join(errors[:2])}")


def create_guest(run: Run) -> Guest:
    """Creates the Linux guest, with its disks as they are."""
    settings = {
        "memory": GUEST_MEMORY,
        "kernel": KERNEL,
        "ramdisk": INITRD,
        "extra": " ".join(filter(None, (GUEST_OPTIONS, "nohz=off" * run.thorough, run.options))),
        "device_model_args": [word for disk in run.served for word in disk.arguments],
        **run.settings,
    }
    run.guest = _create(run, GUEST, settings, run.disks)
    return run.guest


def create_freebsd_guest(run: Run) -> Guest:
    """Creates the FreeBSD guest; its environment is in the ramdisk."""
    settings = {"memory": OTHER_MEMORY, "kernel": FREEBSD_KERNEL, "ramdisk": FREEBSD_RAMDISK}
    run.other = _create(run, OTHER, settings, run.freebsd_disks)
    return run.other


def ensure_guest(run: Run) -> Guest:
    return run.guest or create_guest(run)


def reboot_guest(run: Run) -> Guest:
    """The guest reboots itself; xl's daemon creates it again, with another number.

    The daemon does not retry if QEMU is too slow; then the guest is created as a user would create
    it.
    """
    old = run.running_guest()
    before = _boots(run, old.name)
    gave_up = f"grep -q '{_TOO_SLOW}' /var/log/xen/xl-{old.name}.log"
    old.send("sync; reboot -f")
    old.until(
        f'[ "$({run.tool("xl")} domid {old.name} 2>/dev/null)" != {old.domid} ]', "going down"
    )
    _await_boot(run, old.name, before, gave_up)
    if run.dom0.run(gave_up)[0] == 0:
        run.dom0.progress("xl's daemon gave up on QEMU after its ten seconds; xl create")
        _xl_create(run, old.name)
    run.guest = _booted(run, old.name, before)
    if run.guest.domid == old.domid:
        raise Failed("the guest has the same number after its reboot")
    return run.guest


def drop_guest(run: Run) -> None:
    """After a failed step: its command may still occupy the guest's shell, so the next step needs a
    new guest."""
    guest = run.guest
    if guest is not None:
        run.guest = None
        run.dom0.run(f"{run.tool('xl')} destroy {guest.name} >/tmp/destroy.log 2>&1")


def destroy_guest(run: Run, guest: Guest) -> None:
    """`xl destroy`; afterwards Dom0 must have nothing of the guest mapped."""
    dom0 = run.dom0
    dom0.must(f"{run.tool('xl')} destroy {guest.name} >/tmp/destroy.log 2>&1", "xl destroy")
    if guest is run.guest:
        run.guest = None

    def free(found: set[Grant]) -> bool:
        return all(g.granter != guest.domid for g in found)

    found = dom0.settled(free)
    if not free(found):
        left = sorted(g.ref for g in found if g.granter == guest.domid)
        raise Failed(f"refs {left} of the destroyed guest are mapped")
