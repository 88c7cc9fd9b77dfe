# SPDX-License-Identifier: BSD-2-Clause
"""The steps of a run, in their order: each uses what those before it have started."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field

from .grants import Grant
from .images import CHANNEL, DISK_IMAGE, INITRD, KERNEL, MIB, library_path
from .programs import LIBRARY, Programs
from .shell import Dom0, Failed, Guest

Figures = dict[str, float | int | str]

# GNTTAB_RESERVED_CONSOLE and _XENSTORE: pages that the tool stack granted for the guest.
REF_CONSOLE = 0
REF_XENSTORE = 1

GUEST = "client"
GUEST_MEMORY = 192
CONSOLES = "/var/log/xen/console"
DEVICE = "/dev/xvda"
RING = 65536

# Rows of the allocation boundary: page, sector, ring segment, several requests.
SIZES_SHORT = (0, 1, 511, 4095, 4096, 4097, 65536, 1048579)
SIZES_LONG = (*SIZES_SHORT, 8 * MIB + 1, 24 * MIB)

# vchan-socket-proxy moves little at a time, and waits for an event each.
PROXY_AMOUNT = 8 * MIB

# The guest has no PIT either (testbed/README.md, trap 2).  event_*: trap 3 of our README.md.
# The rest is time.
GUEST_OPTIONS = (
    "console=hvc0 quiet panic=-1 nowatchdog clearcpuid=4 lpj=1000000 pmtmr=0 "
    "cryptomgr.notests i8042.nopnp i8042.noaux i8042.nokbd mitigations=off init_on_alloc=0 "
    "nokaslr audit=0 xen.event_eoi_delay=0 xen.event_loop_timeout=250 "
    "lsm=capability ipv6.disable=1 pci=off nohpet rodata=off rcupdate.rcu_cpu_stall_suppress=1"
)


@dataclass
class Run:
    """What the steps share."""

    dom0: Dom0
    programs: Programs
    digest: str  # of our library
    amount: int  # bytes through a channel
    sizes: tuple[int, ...]  # of the files on the guest's disk
    thorough: bool  # not the short run
    guest: Guest | None = None
    pids: dict[str, int] = field(default_factory=dict)
    mark: int = 0

    def tool(self, name: str) -> str:
        return self.programs.tool_place(name)

    def running_guest(self) -> Guest:
        if self.guest is None:
            raise Failed("there is no guest")
        return self.guest

    def foreign(self) -> set[Grant]:
        """Grants of the guest that Dom0 has mapped."""
        domid = self.running_guest().domid
        return {g for g in self.dom0.mapped() if g.granter == domid and g.user == 0}


def check_library(run: Run, what: str, pid: int) -> None:
    """A process runs on our library and on no other of that name."""
    maps = run.dom0.must(f"cat /proc/{pid}/maps", f"{what} (process {pid})")
    paths = {line.split(maxsplit=5)[-1] for line in maps.splitlines() if LIBRARY[:-5] in line}
    if paths != {library_path()}:
        raise Failed(f"{what} has loaded {', '.join(sorted(paths)) or 'no libxengnttab'}")
    digest = run.dom0.must(f"sha256sum {library_path()}").split()[0]
    if digest != run.digest:
        raise Failed(f"{library_path()} is not the library that was built")


def _daemon(run: Run, name: str, options: str) -> Figures:
    dom0 = run.dom0
    with dom0.timed() as seconds:
        pidfile = f"/run/{name}.pid"
        dom0.must(f"{run.tool(name)} --pid-file={pidfile} {options} >/tmp/{name}.log 2>&1", name)
        dom0.until(f"kill -0 $(cat {pidfile})", f"{name} starting")
        pid = int(dom0.must(f"cat {pidfile}"))
        took = seconds()
    check_library(run, name, pid)
    run.pids[name] = pid
    return {"s": took}


def xenstored(run: Run) -> Figures:
    figures = _daemon(run, "xenstored", "")
    run.dom0.until("test -S /var/run/xenstored/socket", "xenstored's socket")
    run.dom0.must(f"{run.tool('xen-init-dom0')} >/tmp/init-dom0.log 2>&1", "xen-init-dom0")
    return figures


def xenconsoled(run: Run) -> Figures:
    run.dom0.must(f"mkdir -p {CONSOLES}")
    return _daemon(run, "xenconsoled", f"--log=all --log-dir={CONSOLES}")


def _config(lines: dict[str, object]) -> str:
    return "\n".join(f"{key}={json.dumps(value)}" for key, value in lines.items())


def guest(run: Run) -> Figures:
    """`xl create`, and the guest's shell answers over its console."""
    dom0 = run.dom0
    config = _config(
        {
            "name": GUEST,
            "type": "pvh",
            "memory": GUEST_MEMORY,
            "vcpus": 1,
            "kernel": KERNEL,
            "ramdisk": INITRD,
            "extra": GUEST_OPTIONS + " nohz=off" * run.thorough,
            "on_crash": "destroy",
            "disk": [f"format=qcow2,vdev=xvda,access=rw,backendtype=qdisk,target={DISK_IMAGE}"],
        }
    )
    dom0.must(f"cat >/tmp/guest.cfg <<'END'\n{config}\nEND")
    with dom0.timed() as seconds:
        # Not to the control channel: a daemon of xl's would keep it open.
        status, _ = dom0.run(f"{run.tool('xl')} create /tmp/guest.cfg >/tmp/create.log 2>&1")
        if status != 0:
            said = dom0.run("grep -i 'error\\|fail' /tmp/create.log; cat /var/log/xen/qemu*")[1]
            raise Failed(f"xl create: status {status}: {(said.splitlines() or [''])[0]}")
        created = seconds()
        log = f"{CONSOLES}/guest-{GUEST}.log"
        dom0.until(
            f"grep -q '^guest: up' {log}",
            "guest booting",
            show=f"grep -o '^\\[ *[0-9.]*\\]' {log} | tail -1",
        )
        booted = seconds()
    listed = dom0.must(f"{run.tool('xl')} domid {GUEST}")
    terminal = "/dev/pts/0"
    # The daemon keeps a terminal's output for who reads it; somebody does.
    dom0.must(f"cat {terminal} >/tmp/console.out 2>/dev/null & true")
    run.guest = Guest(dom0, int(listed.split()[-1]), log, terminal)
    said = run.guest.must("cat /sys/hypervisor/guest_type; wc -l </proc/modules")
    if not said.startswith("PVH"):
        raise Failed(f"the guest says it is {said.splitlines()[0]}")
    check_library(run, "QEMU", _qemu(run))
    mapped = {g.ref for g in run.foreign()}
    if not {REF_CONSOLE, REF_XENSTORE} <= mapped:
        raise Failed(f"Xen sees refs {sorted(mapped)} mapped, without console's or xenstore's")
    return {"create s": created, "boot s": booted, "grants mapped": len(mapped)}


# ---------------------------------------------------------------- libxenvchan


def last_json(text: str) -> dict[str, object]:
    """The object on the last line of a program's output."""
    for line in reversed(text.splitlines()):
        if line.startswith("{"):
            found = json.loads(line)
            assert isinstance(found, dict)
            return found
    last = (text.strip().splitlines() or ["no output"])[-1]
    raise Failed(f"channel: {last}")


def compare_ends(one: dict[str, object], other: dict[str, object], amount: int) -> Figures:
    """What one end sent is what the other received."""
    for end in (one, other):
        if end["sent"] != amount or end["received"] != amount or not end["whole"]:
            raise Failed(f"{end['role']}: sent {end['sent']}, received {end['received']}")
    for a, b in ((one, other), (other, one)):
        if a["sent_sum"] != b["received_sum"]:
            raise Failed(f"checksum of what the {a['role']} sent differs at the {b['role']}")
    if one["sent_sum"] == other["sent_sum"]:
        raise Failed("both directions have the same checksum")
    seconds = max(float(str(one["seconds"])), float(str(other["seconds"])))
    figures: Figures = {"MiB each way": amount // MIB, "transfer s": seconds}
    figures["MB/s both ways"] = 2 * amount / 1e6 / max(seconds, 1e-3)
    return figures


def _background(run: Run, command: str, log: str) -> int:
    """A program in Dom0 that goes on; its process."""
    return int(run.dom0.must(f"{command} >{log} 2>&1 & echo $!"))


def channel(run: Run) -> Figures:
    """Between two processes of Dom0."""
    dom0 = run.dom0
    server = _background(run, f"{CHANNEL} server 0 data/channel {run.amount} {RING}", "/tmp/server")
    client = _background(run, f"{CHANNEL} client 0 data/channel {run.amount}", "/tmp/client")
    dom0.until(
        f"! kill -0 {server} && ! kill -0 {client}",
        "channel between two processes",
        show=f"cut -d' ' -f14,15 </proc/{client}/stat 2>/dev/null",
    )
    ends = [last_json(dom0.must(f"cat /tmp/{end}")) for end in ("server", "client")]
    return compare_ends(ends[0], ends[1], run.amount)


def channel_guest(run: Run) -> Figures:
    """Between a server in the guest and a client in Dom0: grants of a foreign domain."""
    dom0, domain = run.dom0, run.running_guest()
    number = domain.send(f"{CHANNEL} server 0 data/channel {run.amount} {RING}")
    domain.says(number, "serving")
    path = f"/local/domain/{domain.domid}/data/channel"
    command = f"{CHANNEL} client {domain.domid} {path} {run.amount}"
    client = _background(run, command, "/tmp/client")
    dom0.until(
        f"! kill -0 {client}",
        "channel to the guest",
        show=f"cut -d' ' -f14,15 </proc/{client}/stat 2>/dev/null",
    )
    status, said = domain.wait(number, "channel's server")
    if status != 0:
        raise Failed(f"guest: channel's server: status {status}")
    return compare_ends(last_json(dom0.must("cat /tmp/client")), last_json(said), run.amount)


def socket_proxy(run: Run) -> Figures:
    """Xen's own vchan-socket-proxy, a file each way, one after the other.  Both ends keep their
    input open until all has come: the program drops what it has not read when the other closes."""
    dom0, amount = run.dom0, min(run.amount, PROXY_AMOUNT)
    proxy = run.tool("vchan-socket-proxy")
    dom0.must(
        "cat >/tmp/feed <<'END'\n#!/bin/sh\ncat $1\n"
        "until [ -e /tmp/fed ]; do sleep 0.2; done\nEND\nchmod +x /tmp/feed"
    )
    dom0.must(f"head -c {amount} /dev/urandom >/tmp/sent", "test data")
    took = 0.0
    for sender in ("server", "client"):
        dom0.must("rm -f /tmp/fed /tmp/got.*")
        with dom0.timed() as seconds:
            for mode in ("server", "client"):
                data = "/tmp/sent" if mode == sender else "/dev/null"
                dom0.must(
                    f"/tmp/feed {data} | {proxy} -m {mode} 0 data/proxy - "
                    f">/tmp/got.{mode} 2>/tmp/proxy.{mode} & true",
                    f"vchan-socket-proxy {mode}",
                )
            receiver = "client" if sender == "server" else "server"
            got = f"/tmp/got.{receiver}"
            dom0.until(
                f'[ "$(stat -c %s {got})" -ge {amount} ]',
                f"vchan-socket-proxy, {sender} to {receiver}",
                show=f"stat -c %s {got}",
            )
            took += seconds()
        sums = dom0.must(f"sha256sum </tmp/sent; sha256sum <{got}").split()
        if sums[0] != sums[2]:
            raise Failed(f"vchan-socket-proxy: checksum from {sender} to {receiver} differs")
        dom0.must("touch /tmp/fed")
        dom0.until("! grep -q proxy.-m /proc/[0-9]*/cmdline", "vchan-socket-proxy ending")
    dom0.must("rm -f /tmp/sent /tmp/got.* /tmp/fed")
    return {
        "MiB each way": amount // MIB,
        "transfer s": took,
        "MB/s": 2 * amount / 1e6 / max(took, 1e-3),
    }


# ---------------------------------------------------------------- QEMU's disk


def _qemu(run: Run) -> int:
    found = run.dom0.must(f"grep -l {run.programs.qemu_place()} /proc/[0-9]*/cmdline", "QEMU")
    # grep itself has the name among its arguments.
    for line in found.split():
        pid = int(line.split("/")[2])
        if run.dom0.run(f"test $(readlink /proc/{pid}/exe) = {run.programs.qemu_place()}")[0] == 0:
            return pid
    raise Failed("QEMU does not run")


def numbers(text: str, word: str) -> dict[str, float]:
    """NAME=NUMBER of the line that begins with a word."""
    line = next((ln for ln in text.splitlines() if ln.startswith(f"{word}: ")), "")
    found = {name: float(value) for name, value in re.findall(r"(\w+)=([\d.]+)", line)}
    if not found:
        raise Failed(f"guest: {(text.strip().splitlines() or ['no output'])[-1]}")
    return found


def disk(run: Run) -> Figures:
    """The guest makes a file system, fills it, reads it back, and has it checked."""
    domain = run.running_guest()
    sizes = " ".join(map(str, run.sizes))
    show = f"stat -c %s {DISK_IMAGE}"
    status, said = domain.run(f"disk {DEVICE} {sizes}", show=show)
    found = numbers(said, "disk")
    if status != 0 or found["fsck"] != 0 or found["files"] != len(run.sizes):
        raise Failed(f"guest: {said.strip().splitlines()[-1]}")
    used = int(run.dom0.must(f"stat -c %s {DISK_IMAGE}"))
    if used < sum(run.sizes):
        raise Failed(f"the qcow2 image has only {used} bytes")
    return {
        "files": len(run.sizes),
        "largest KiB": max(run.sizes) // 1024,
        "written s": found["written"] - found["begin"],
        "read s": found["read"] - found["written"],
        "fsck": int(found["fsck"]),
    }


def disk_speed(run: Run) -> Figures:
    """Raw reading and writing, past the guest's cache."""
    amount = 8
    said = run.running_guest().must(f"speed {DEVICE} {amount}", show=f"stat -c %s {DISK_IMAGE}")
    found = numbers(said, "speed")
    size = amount * MIB / 1e6
    return {
        "write MB/s": size / max(found["written"] - found["begin"], 0.01),
        "read MB/s": size / max(found["read"] - found["written"], 0.01),
    }


# ---------------------------------------------------------------- kill -9


def _killed(run: Run, pid: int, what: str, left: set[int]) -> Figures:
    """After the end of a process only the refs in `left` of the guest's may be mapped."""
    dom0 = run.dom0
    domid = run.running_guest().domid
    before = run.foreign()
    dom0.must(f"kill -9 {pid}", what)
    # A daemon's parent is the relay, which does not look after it: it stays as a zombie.
    dom0.until(f"! grep -q '^State:.[^Z]' /proc/{pid}/status", f"{what} ending")

    def gone(found: set[Grant]) -> bool:
        return {g.ref for g in found if g.granter == domid and g.user == 0} == left

    found = dom0.settled(gone)
    if not gone(found):
        refs = sorted(g.ref for g in found if g.granter == domid and g.user == 0)
        raise Failed(f"{what}: refs {refs} of the guest are mapped, not {sorted(left)}")
    own = [g for g in found if g.granter == 0]
    if own:
        raise Failed(f"{what}: grants of Dom0 are mapped: {own}")
    return {"mapped before": len(before), "mapped after": len(left)}


def kill_channel(run: Run) -> Figures:
    """In the middle of a transfer: first the client that maps, then a server that grants."""
    domain = run.running_guest()
    dom0 = run.dom0
    base = {g.ref for g in run.foreign()}
    number = domain.send(f"{CHANNEL} server 0 data/killed {1 << 40} {RING}")
    domain.says(number, "serving")
    path = f"/local/domain/{domain.domid}/data/killed"
    client = _background(run, f"{CHANNEL} client {domain.domid} {path} {1 << 40}", "/tmp/client")
    dom0.until("grep -q open /tmp/client", "channel opening")
    check_library(run, "channel's client", client)
    extra = {g.ref for g in run.foreign()} - base
    # The control page, and 16 pages of either ring.
    if len(extra) != 1 + 2 * RING // 4096:
        raise Failed(f"the channel's client has {len(extra)} grants mapped")
    figures = _killed(run, client, "channel's client", base)
    status, said = domain.wait(number, "channel's server noticing")
    if status != 3 or last_json(said)["whole"]:
        raise Failed(f"the server does not notice its client's end: status {status}")
    return figures


def kill_channel_server(run: Run) -> Figures:
    """A killed server's byte and event reach its client, and its pages come back."""
    dom0 = run.dom0
    server = _background(run, f"{CHANNEL} server 0 data/killed {1 << 40} {RING}", "/tmp/server")
    client = _background(run, f"{CHANNEL} client 0 data/killed {1 << 40}", "/tmp/client")
    dom0.until("grep -q open /tmp/client", "channel opening")
    check_library(run, "channel's server", server)
    check_library(run, "channel's client", client)
    mapped = [g for g in dom0.mapped() if g.granter == 0]
    if not mapped:
        raise Failed("the channel's client has no grant mapped")
    dom0.must(f"kill -9 {server}")
    dom0.until(f"! kill -0 {client}", "channel's client noticing")
    if last_json(dom0.must("cat /tmp/client"))["whole"]:
        raise Failed("the client does not notice its server's end")
    found = dom0.settled(lambda grants: all(g.granter != 0 for g in grants))
    left = [g for g in found if g.granter == 0]
    if left:
        raise Failed(f"grants of Dom0 are mapped: {left}")
    return {"mapped before": len(mapped), "mapped after": 0}


def kill_qemu(run: Run) -> Figures:
    """While the guest writes to its disk (in the short run it does not)."""
    domain = run.running_guest()
    pid = _qemu(run)
    if run.thorough:
        domain.must(
            f"(while :; do dd if=/dev/zero of={DEVICE} bs=1M count=4 conv=fsync; done) "
            ">/dev/null 2>&1 & sleep 1"
        )
    before = {g.ref for g in run.foreign()}
    if not before - {REF_CONSOLE, REF_XENSTORE}:
        raise Failed("QEMU has no ring mapped")
    figures = _killed(run, pid, "QEMU", {REF_CONSOLE, REF_XENSTORE})
    if run.thorough:
        domain.must("true")  # the others go on
    return figures


def _kill_daemon(run: Run, name: str, ref: int) -> Figures:
    before = {g.ref for g in run.foreign()}
    if ref not in before:
        raise Failed(f"ref {ref} is not mapped while {name} runs")
    return _killed(run, run.pids[name], name, before - {ref})


def kill_xenconsoled(run: Run) -> Figures:
    return _kill_daemon(run, "xenconsoled", REF_CONSOLE)


def kill_xenstored(run: Run) -> Figures:
    return _kill_daemon(run, "xenstored", REF_XENSTORE)


def no_alarms(run: Run) -> Figures:
    """Neither Xen nor Dom0's kernel has complained, in all that time."""
    alarms = run.dom0.machine.alarms_since(run.mark)
    if alarms:
        raise Failed(alarms[0])
    return {}


@dataclass(frozen=True)
class Step:
    """One row of the table."""

    name: str
    title: str
    run: Callable[[Run], Figures]
    pv_only: bool = False  # a PVH Dom0 must not map its own grants (REFERENCE 3.11)
    long_only: bool = False


STEPS = (
    Step("xenstored", "xenstored starts", xenstored),
    Step("xenconsoled", "xenconsoled starts", xenconsoled),
    Step("guest", "xl boots a PVH guest, its console goes both ways", guest),
    Step("vchan", "libxenvchan between two processes of Dom0", channel, pv_only=True),
    Step("vchan-guest", "libxenvchan between Dom0 and the guest", channel_guest, long_only=True),
    Step("vchan-proxy", "vchan-socket-proxy, each way", socket_proxy, pv_only=True, long_only=True),
    Step("qdisk", "QEMU serves a qcow2 disk: ext4, files, fsck", disk, long_only=True),
    Step("qdisk-speed", "the same disk, raw", disk_speed, long_only=True),
    Step("kill-vchan", "kill -9 of a channel's client", kill_channel, long_only=True),
    Step("kill-vchan-server", "kill -9 of a channel's server", kill_channel_server, pv_only=True),
    Step("kill-qemu", "kill -9 of QEMU, in the long run during output", kill_qemu),
    Step("kill-xenconsoled", "kill -9 of xenconsoled", kill_xenconsoled),
    Step("kill-xenstored", "kill -9 of xenstored", kill_xenstored),
    Step("log", "no complaint of Xen's or the kernel's", no_alarms),
)
