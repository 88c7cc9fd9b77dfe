# SPDX-License-Identifier: BSD-2-Clause
"""One boot: the guest with all its disks, the rounds, their cost in Dom0, and the profile."""

from __future__ import annotations

import re
import shlex
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from clients import disks as clients_disks
from clients import steps
from clients.guests import Run, create_guest
from clients.places import MEMORY
from clients.shell import Failed, Guest

from . import profile
from .machines import CPUTIME, KERNEL_COSTS, PROFILE, System, library
from .plan import (
    BLKBACK,
    FIELDS,
    IMAGES,
    KERNEL,
    MIB,
    OURS,
    THEIRS,
    Broken,
    Call,
    Cost,
    Disk,
    Figure,
    Group,
    Round,
    Work,
    due,
    figures,
    job_file,
    nodes,
)

#: So that libxl starts a QEMU when it creates the guest.
_FIRST = clients_disks.Disk("xvda", "raw", MEMORY, 16 * MIB)
_FIO = (
    "fio --eta=never --output-format=terse --terse-version=3 --output=/tmp/fio.out /tmp/fio.job"
    f" >/tmp/fio.log 2>&1 || tail -n 3 /tmp/fio.log; cut -d';' -f{FIELDS} /tmp/fio.out"
)
#: A cost is measured on this many times a round's bytes.
COST_AMOUNT = 4.0
COST_WORKS = ("seq64k", "seq1m", "rand16")
PROFILE_AMOUNT = 1.0
PROFILE_WORKS = ("rand1", "seq64k")
#: Seconds of a look at an idle Dom0.
_IDLE = 6


def fio(job: str) -> str:
    """The guest's command."""
    return f"printf %s {shlex.quote(job)} >/tmp/fio.job; {_FIO}"


@dataclass
class Session:
    """A booted Dom0 whose guest has the disks."""

    system: System
    run: Run
    groups: Sequence[Group]
    say: Callable[[str], None]
    qemus: dict[str, int]  # process by back end
    #: What xengnt-kernelcosts has timed before there was a guest, in ns.
    kernel: dict[str, float] = field(default_factory=dict)

    @property
    def guest(self) -> Guest:
        return self.run.running_guest()

    def disks(self, backend: str) -> list[Disk]:
        return [d for group in self.groups for d in group.disks if d.backend.name == backend]

    # ---- disks

    def _offer(self, disk: Disk) -> str:
        """Makes an image and offers it to the guest by writing what libxl would, without starting a
        program of 10 MB for each disk."""
        store = self.run.tool("xenstore")
        command, physical = "true", dict[str, str]()
        if disk.backend.kind != "qdisk":
            command, physical = self.system.physical(disk)
        made = nodes(self.guest.domid, disk, physical)
        last = f"{made.back}/state 1 {made.front}/state 1"
        if disk.backend.kind != "qdisk" and self.system.looks_once:
            made.values[f"{made.back}/state"] = "1"
            last = f"{made.front}/state 1"
        values = " ".join(f"{path} {shlex.quote(value)}" for path, value in made.values.items())
        return " && ".join([
            disk.make, command, f"{store} write {values}",
            f"{store} chmod -r {made.front} n{self.guest.domid} r0",
            f"{store} chmod -r {made.back} n0 r{self.guest.domid}",
            f"{store} write {last}",
        ])  # fmt: skip

    def _state(self, disk: Disk) -> str:
        back = nodes(self.guest.domid, disk, {}).back
        return f"{self.run.tool('xenstore')} read {back}/state 2>/dev/null"

    def attach(self, backend: str) -> None:
        """Attaches all disks of a back end.

        Two QEMUs serve one domain here, and either would take a new disk, so the other one is
        stopped until this one has it.
        """
        disks = self.disks(backend)
        if not disks:
            return
        self.say(f"{len(disks)} disks: {disks[0].backend.title}")
        others = [pid for name, pid in self.qemus.items() if name != backend]
        dom0 = self.run.dom0
        if disks[0].backend.kind != "qdisk":
            others = []
        for pid in others:
            dom0.must(f"kill -STOP {pid}")
        for disk in disks:
            dom0.must(self._offer(disk), f"offering {disk.vdev}")
        if others:
            for disk in disks:
                dom0.until(f"[ $({self._state(disk)}) -ge 2 ]", f"QEMU taking {disk.vdev}")
        for pid in others:
            dom0.must(f"kill -CONT {pid}")
        there = " && ".join(f"[ -b {disk.device} ]" for disk in disks)
        self.guest.must(
            f"i=0; until {there}; do i=$((i + 1)); [ $i -lt 1000 ] || break; sleep 0.2; done;"
            f" {there}"
        )

    def second(self) -> None:
        """Starts a second QEMU for the same guest, on the other library."""
        dom0, domid = self.run.dom0, self.guest.domid
        said = dom0.must(self.system.arguments(self.qemus[OURS]))
        machine = re.search(r"-machine (\S+)", said)
        if machine is None:
            raise Failed(f"QEMU's arguments name no machine: {said[:200]}")
        mark = f"{self.run.tool('xenstore')} {{}} /local/domain/0/device-model/{domid}/state"
        dom0.must(f"{mark.format('write')} waiting")
        dom0.must(self.system.second_qemu(domid, machine[1]) + " echo $! >/var/run/second.pid")
        pid = int(dom0.must("cat /var/run/second.pid"))
        try:
            dom0.until(f'[ "$({mark.format("read")})" = running ]', "the second QEMU starting")
        except Failed:
            said = dom0.run("tail -n 2 /var/log/xen/second.log")[1]
            raise Failed(f"the second QEMU: {said.strip()}") from None
        self.qemus[THEIRS] = pid

    def check(self) -> None:
        """Checks that each QEMU has its own library."""
        for name, pid in self.qemus.items():
            backend = next((d.backend for g in self.groups for d in g.disks
                            if d.backend.name == name), None)  # fmt: skip
            if backend is None:
                continue
            wanted = {library(self.system, backend)}
            if (found := self.run.dom0.loaded(pid)) != wanted:
                raise Failed(f"QEMU of {backend.title} has loaded {sorted(found)}")

    # ---- figures

    def round(self, number: int) -> Round:
        """Measures every group that is due, once."""
        units, found = list[int](), list[Figure]()
        for group in due(self.groups, number):
            said = self._window(f"unit; {fio(job_file(group, number))}; unit").answer.splitlines()
            taken = [int(line.split("=")[1]) for line in said if line.startswith("unit: ns=")]
            if len(taken) != 2:
                raise Broken(f"{len(taken)} units beside {group.name}")
            units += taken
            found += figures(group, said)
        return Round(number, statistics.median(units) / 1000, tuple(found))

    def _window(self, command: str, pid: int | None = None) -> Window:
        """Runs a command of the guest.  Meanwhile Dom0 does nothing but check now and then whether
        it has ended; a process may be traced."""
        dom0, guest = self.run.dom0, self.guest
        before = dom0.counters()
        number, text = guest.asked(command)
        look = f"{CPUTIME} {guest.terminal} {guest.log} '@ {number} end' {text}"
        if pid is not None:
            look = (
                f"{PROFILE} {pid} >/tmp/profile.out 2>&1 & p=$!; sleep 1; {look}; kill $p;"
                " wait $p; cat /tmp/profile.out"
            )
        said = dom0.must(look, "a look at Dom0")
        taken = re.search(r"^cputime: ns=(\d+) of=(\d+)", said, re.MULTILINE)
        if taken is None:
            raise Failed(f"no processor time in {said!r}")
        _, answer = guest.wait(number, command)
        counted = {n: v - before.get(n, 0) for n, v in dom0.counters().items()}
        return Window(int(taken[2]) / 1e9, int(taken[1]) / 1e9, said, answer, counted)

    def idle(self) -> float:
        """The share of a processor that Dom0 uses while it has nothing to do."""
        window = self._window(f"sleep {_IDLE}")
        return window.spent / window.seconds

    def cost(self, disk: Disk, work: Work, idle: float) -> Cost:
        """What a work costs in Dom0."""
        one = Group((disk,), (work,))
        window = self._window(asked(one, COST_AMOUNT))
        found = figures(one, window.answer.splitlines())
        copies, calls = (window.counted.get(n) for n in ("gntdev.copy_ops", "gntdev.copy_calls"))
        if copies is not None and (copies > 0) != (disk.backend.name == OURS):
            raise Broken(f"{disk.backend.title}: our driver counts {copies} grant copies")
        return Cost(
            disk.backend.name, disk.format, disk.mib, work.name, sum(f.amount for f in found),
            requests(window.answer), max(window.spent - idle * window.seconds, 0.0), copies, calls,
        )  # fmt: skip

    def profile(self, disk: Disk, work: Work) -> list[Call]:
        """Where the QEMU of a disk spends its time, for each request."""
        one = Group((disk,), (work,))
        window = self._window(asked(one, PROFILE_AMOUNT), self.qemus[disk.backend.name])
        figures(one, window.answer.splitlines())
        return profile.calls(window.said, requests(window.answer))


@dataclass(frozen=True)
class Window:
    """The time of one command of the guest's."""

    seconds: float
    spent: float  # seconds of Dom0's processor
    said: str
    answer: str  # of the guest
    counted: dict[str, int]  # by our driver


_REQUESTS = "echo requests: $(cat /sys/block/{}/stat)"


def asked(one: Group, amount: float) -> str:
    """The guest's command for one disk and work; it also counts its driver's requests."""
    look = _REQUESTS.format(one.disks[0].vdev)
    return f"{look}; {fio(job_file(one, 200, amount))}; {look}"


def requests(said: str) -> int:
    """Reads and writes of the guest's driver between two looks at the counters of the block device
    (Linux's Documentation/block/stat.rst)."""
    looks = [
        list(map(int, line.split()[1:]))
        for line in said.splitlines()
        if line.startswith("requests:")
    ]
    if len(looks) != 2 or (made := sum(looks[1][n] - looks[0][n] for n in (0, 4))) <= 0:
        raise Broken("the guest has not told its requests")
    return made


def kernel_costs(said: str) -> dict[str, float]:
    """Nanoseconds by name, from the lines of xengnt-kernelcosts."""
    found = {
        name: float(ns) for name, ns in re.findall(r"^kernel: (\w+) (\d+)$", said, re.MULTILINE)
    }
    if absent := [name for name in KERNEL if name not in found]:
        raise Broken(f"the kernel's costs lack {', '.join(absent)}")
    return found


def begin(system: System, groups: Sequence[Group], say: Callable[[str], None]) -> Session:
    """Starts the tool stack, the guest and all its disks in a booted machine."""
    run = system.run()
    dom0 = run.dom0
    dom0.must(f"mkdir -p {IMAGES}")
    steps.xenstored(run)
    steps.xenconsoled(run)
    # While there is no guest that would share the processor.
    say("what Dom0's kernel takes")
    kernel = kernel_costs(dom0.must(f"{KERNEL_COSTS} {IMAGES}/kernelcosts", "the kernel's costs"))
    run.disks = (_FIRST,)
    dom0.must(_FIRST.make, "the first disk")
    say("making the guest")
    guest = create_guest(run)
    pid = dom0.device_model(run.tool("qemu"), guest.domid)
    if pid is None:
        raise Failed("QEMU does not run")
    session = Session(system, run, groups, say, {OURS: pid}, kernel)
    session.attach(OURS)
    if session.disks(THEIRS):
        session.second()
        session.attach(THEIRS)
    session.attach(BLKBACK)
    session.check()
    return session
