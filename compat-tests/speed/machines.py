# SPDX-License-Identifier: BSD-2-Clause
"""The machines that are measured, each from power-on to its last figure."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from options import Places
from testbed import domu, image, vm
from testbed.errors import TestbedError
from testbed.freebsd_sets import FreeBSD
from testbed.freebsd_vm import FreeBSDDom0
from testbed.image import File

from .figures import LANES, PARTS, Broken, Run, joined, parse

ROOT = Path(__file__).resolve().parents[2]
SOURCE = Path(__file__).with_name("grants.c")
PROGRAM = "/bin/xengnt-speed"
GRANTS = 512
SECONDS = 240.0  # without a line
END = r"^speed (end|failed)|powering off|^panic"
#: Boots of each guest, spread over the whole time.
PASSES = 3
#: Weight in Xen's scheduler; a guest has 256.
DOM0_WEIGHT = 16
LOOK = 4.0
#: How guests read the time-stamp counter.  QEMU's is not invariant, so Xen emulates it unless told
#: not to.  That costs 40 µs for each look, which thread switches and ticks pay, too; real machines
#: need not.
TSC = {"domu": {}, "domu-tsc": {"tsc_mode": "native"}}
#: Makes Dom0 poll the control channel less while a guest is measured.
QUIET = "XENGNT_RELAY_REST_MS=100"
_POLL = 0.5


@dataclass(frozen=True)
class Setting(Places):
    """What every machine gets."""

    rounds: int
    live: int
    only: Sequence[str] = PARTS

    @property
    def options(self) -> str:
        # A number, because FreeBSD's kernel environment limits the whole command to 128 bytes.
        mask = sum(1 << PARTS.index(part) for part in self.only)
        return f"--rounds {self.rounds} --live {self.live} --parts {mask:#x}"

    def narrowed(self, *parts: str) -> Setting:
        """The same with only these parts, as far as they were requested."""
        return replace(self, only=[part for part in self.only if part in parts])


def freebsd_program(release: FreeBSD) -> File:
    """The benchmark program for a release."""
    return File(release.program("xengnt-speed", [SOURCE]), PROGRAM)


def linux_program(build: Path) -> File:
    path = build / "compat-tests/speed/xengnt-speed"
    if not path.is_file():
        raise TestbedError(f"{path} is not built (./dev build)")
    return File(path, PROGRAM)


def _new_lines(machine: vm.Machine) -> Iterator[str]:
    """The console's lines until the program has ended."""
    wait = machine.wait("measuring", SECONDS)
    read = 0
    while True:
        lines = machine.console_since(0).split("\n")[:-1]
        for line in lines[read:]:
            yield line
            if line.startswith(("speed end", "speed failed")):
                return
        read = len(lines)
        wait.check()
        time.sleep(_POLL)


def _heard(lines: Iterator[str], setting: Setting, name: str) -> Run:
    """Reads a run's output, and reports what is being measured."""
    told = ""
    kept = []
    for line in lines:
        kept.append(line)
        words = line.split()
        if words[1:2] == ["faults"]:
            continue
        if words[:1] == ["speed"] and len(words) > 5 and (now := f"{words[1]} {words[3]}") != told:
            told = now
            setting.say(f"{name}: {now}")
    try:
        return parse(kept)
    except Broken as error:
        raise TestbedError(f"{name}: {error}") from error


def freebsd_dom0(setting: Setting, release: FreeBSD, cpus: int) -> dict[str, Run]:
    """FreeBSD as PVH Dom0, our driver and its own in turn; a helper domain grants."""
    name = "freebsd-dom0" + "-smp" * (cpus > 1)
    if not setting.only:
        return {}
    machine = FreeBSDDom0(
        "freebsd", release, setting.work / name, setting.cache, setting.say,
        environment={"xengnt.run": f"{PROGRAM} --peer {image.PEER} {setting.options} base ours"},
        files=[freebsd_program(release)], cpus=cpus,
    )  # fmt: skip
    with machine:
        run = _heard(_new_lines(machine), setting, name)
        run.facts |= machine.facts
    return {name: run}


def two_processors(setting: Setting, release: FreeBSD) -> dict[str, Run]:
    """The parts that need two processors.  Each page that Xen unmaps interrupts the other one,
    which takes long."""
    return freebsd_dom0(setting.narrowed(*LANES), release, 2)


def one_processor(setting: Setting, release: FreeBSD) -> dict[str, Run]:
    return freebsd_dom0(setting.narrowed(*(p for p in PARTS if p not in LANES)), release, 1)


def linux_dom0(setting: Setting) -> dict[str, Run]:
    """Linux as PVH Dom0, for orientation: the firmware and the machine differ."""
    peer = setting.build / "compat-tests/agent/peer/xengnt-peer"
    # In place of the relay: nothing else may run there.
    start = f"#!/bin/sh\nexec {PROGRAM} --peer {image.PEER} {setting.options} linux\n"
    files = [
        linux_program(setting.build),
        File(peer, image.PEER),
        *image.program_files(peer, image.PEER)[1:],
        File(start.encode(), image.RELAY),
        File(b"", image.AGENT),
    ]
    work = setting.work / "linux-dom0"
    with vm.LinuxDom0("pvh", files, work, setting.cache, setting.say) as machine:
        run = _heard(_new_lines(machine), setting, "linux-dom0")
        run.facts |= machine.facts
    return {"linux-dom0": run}


def _granted(host: domu.Host, domid: int, setting: Setting) -> str:
    """Grants pages of Dom0 to a domain and starts what answers it; the domain's options."""
    refs = host.grant(domid, GRANTS)
    if refs[-1] - refs[0] != GRANTS - 1:
        raise TestbedError("the granted references are not consecutive")
    options = f"--refs 0 {refs[0]}"
    if "answers" in setting.only:
        ref, port = host.hold(f"{PROGRAM} --answer {domid}", "answering")
        options += f" --questions {ref} {port}"
    return options


def domus(setting: Setting, release: FreeBSD, kind: str) -> dict[str, Run]:
    """FreeBSD and Linux as PVH DomUs, in turn under one Linux Dom0, which grants and answers."""
    guests: list[domu.Guest] = [
        domu.FreeBSDGuest("freebsd", release, [freebsd_program(release)], ("xengnt.ko",)),
        # Linux does not let a domain's own programs make hypercalls, but Xen's share must be
        # measured.
        domu.LinuxGuest(
            "linux", [linux_program(setting.build)], options={"xen_privcmd": "unrestricted=1"}
        ),
    ]
    passes: dict[str, list[Run]] = {"freebsd": [], "linux": []}
    # A machine's speed drifts within minutes, so the guests take turns, in passes of a boot each.
    short = replace(setting, rounds=-(-setting.rounds // PASSES))
    work = setting.work / kind
    with domu.Host(
        guests, setting.build, work, setting.cache, setting.say,
        files=[linux_program(setting.build)], kernel_options=QUIET,
    ) as host:  # fmt: skip
        granted = {n: _granted(host, n, short) for n in range(host.next_domid, 2 * PASSES + 1)}
        for number in range(PASSES):
            for name, drivers in (("freebsd", "base ours"), ("linux", "linux")):
                command = f"{PROGRAM} {granted[host.next_domid]} {short.options} {drivers}"
                domain = host.start(name, command, settings=TSC[kind])
                # Dom0 has nothing to do meanwhile, and must not take much.
                host.dom0.must(f"{host.xl} sched-credit2 -d 0 -w {DOM0_WEIGHT}")
                lines = domain.lines(END, SECONDS, LOOK)
                run = _heard(lines, short, f"{name}-{kind}, pass {number + 1} of {PASSES}")
                host.dom0.must(f"{host.xl} sched-credit2 -d 0 -w 256")
                run.facts |= host.machine.facts
                if name == "freebsd":
                    run.facts["kernel_build"] = f"FreeBSD {release.version}"
                passes[name].append(run)
                domain.destroy()
    return {f"{name}-{kind}": joined(runs) for name, runs in passes.items()}


MACHINES: dict[str, Callable[[Setting, FreeBSD], dict[str, Run]]] = {
    "dom0": one_processor,
    "dom0-smp": two_processors,
    "linux-pvh": lambda setting, _: linux_dom0(setting),
    **{kind: partial(domus, kind=kind) for kind in TSC},
}
