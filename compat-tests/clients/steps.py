# SPDX-License-Identifier: BSD-2-Clause
"""The steps of a run, in order: each uses what the earlier ones have started.

The same list runs on every system; a step that does not apply somewhere says why.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from . import channels, disks, helper
from .guests import (
    CONSOLES,
    REF_CONSOLE,
    REF_XENSTORE,
    Figures,
    Run,
    check_library,
    create_freebsd_guest,
    create_guest,
)
from .kills import idle, kill_guest, kill_qemu, kill_xenconsoled, kill_xenstored
from .shell import Failed


def _daemon(run: Run, name: str, options: str) -> Figures:
    dom0 = run.dom0
    with dom0.timed() as seconds:
        pidfile = f"/var/run/{name}.pid"
        log = f"/tmp/{name}.log"
        dom0.must(
            f"{run.tool(name)} --pid-file={pidfile} {options} >{log} 2>&1"
            f" || {{ status=$?; tail -n 2 {log}; (exit $status); }}",
            name,
        )
        dom0.until(f"kill -0 $(cat {pidfile})", f"{name} starting")
        pid = int(dom0.must(f"cat {pidfile}"))
        took = seconds()
    check_library(run, name, pid)
    run.pids[name] = pid
    return {"s": took}


def xenstored(run: Run) -> Figures:
    """It serves its socket, and Dom0's kernel passes requests to it."""
    dom0 = run.dom0
    figures = _daemon(run, "xenstored", "")
    dom0.until("test -S /var/run/xenstored/socket", "xenstored's socket")
    dom0.must(f"{run.tool('xen-init-dom0')} >/tmp/init-dom0.log 2>&1", "xen-init-dom0")
    read = f"{run.tool('xenstore')} read /local/domain/0/name"
    by_socket = dom0.must(read, "xenstore read").strip()
    if run.freebsd:
        node = "/dev/xen/xenstore"
        dom0.until(f"test -c {node}", f"the kernel's {node}")
    else:
        node = "/dev/xen/xenbus"
    by_kernel = dom0.must(f"XENSTORED_PATH={node} {read}", f"xenstore read by {node}").strip()
    if not by_socket or by_kernel != by_socket:
        raise Failed(f"xenstored says {by_socket!r}, by the kernel {by_kernel!r}")
    return figures


def xenconsoled(run: Run) -> Figures:
    run.dom0.must(f"mkdir -p {CONSOLES}")
    return _daemon(run, "xenconsoled", f"--log=all --log-dir={CONSOLES}")


def guest(run: Run) -> Figures:
    """`xl create`, and the guest's shell answers over its console."""
    for disk in (*run.disks, *run.served):
        run.dom0.must(disk.make, f"making {disk.path}")
    with run.dom0.timed() as seconds:
        domain = create_guest(run)
        took = seconds()
    said = domain.must("cat /sys/hypervisor/guest_type; wc -l </proc/modules")
    if not said.startswith("PVH"):
        raise Failed(f"the guest says it is {said.splitlines()[0]}")
    pid = run.dom0.device_model(run.tool("qemu"), domain.domid)
    if pid is None:
        raise Failed("QEMU does not run")
    check_library(run, "QEMU", pid)
    mapped = {g.ref for g in run.foreign()}
    if not {REF_CONSOLE, REF_XENSTORE} <= mapped:
        raise Failed(f"Xen sees refs {sorted(mapped)} mapped, without console's or xenstore's")
    return {"boot s": took, "disks": len(run.disks) + len(run.served), "grants mapped": len(mapped)}


def guest_freebsd(run: Run) -> Figures:
    """The same with a FreeBSD guest."""
    for disk in run.freebsd_disks:
        run.dom0.must(f"mkdir -p {disk.place} && {disk.make}", f"making {disk.path}")
    with run.dom0.timed() as seconds:
        domain = create_freebsd_guest(run)
        took = seconds()
    said = domain.must("uname -s; echo $((6 * 7))").split()
    if said != ["FreeBSD", "42"]:
        raise Failed(f"the guest says {' '.join(said)}")
    mapped = {g.ref for g in run.foreign(domain)}
    if not {REF_CONSOLE, REF_XENSTORE} <= mapped:
        raise Failed(f"Xen sees refs {sorted(mapped)} mapped, without console's or xenstore's")
    return {"boot s": took, "grants mapped": len(mapped)}


def no_alarms(run: Run) -> Figures:
    """Neither Xen nor Dom0's kernel has logged a complaint."""
    alarms = run.dom0.machine.alarms_since(run.mark)
    if alarms:
        raise Failed(alarms[0])
    return {}


def unload(run: Run) -> Figures:
    """Our module unloads when nobody uses it, and its nodes go, too."""
    dom0 = run.dom0
    # After the steps that kill, nothing runs any more; if steps were chosen, something may.
    guests = filter(None, (run.guest, run.other))
    models = (dom0.device_model(run.tool("qemu"), guest.domid) for guest in guests)
    for pid in (*run.pids.values(), *filter(None, models)):
        dom0.run(f"kill -9 {pid} 2>/dev/null")
    idle(run)
    dom0.must("kldunload xengnt", "kldunload")
    if dom0.run("kldstat -q -n xengnt")[0] == 0:
        raise Failed("the module is loaded after kldunload")
    return {}


@dataclass(frozen=True)
class Step:
    """One row of the table."""

    name: str
    title: str
    run: Callable[[Run], Figures]
    long_only: bool = False
    #: Why it does not apply to a target, or None.
    without: Callable[[Run], str | None] = lambda run: None


def _pvh(run: Run) -> str | None:
    # Xen would take the page away from Dom0 (docs/linux-observed.md).
    return None if run.pv else "a PVH Dom0 must not map its own grants"


def _no_freebsd_guest(run: Run) -> str | None:
    return None if run.freebsd_disks else "needs FreeBSD's release sets"


def _linux(run: Run) -> str | None:
    return None if run.freebsd else "needs FreeBSD's driver as the subject"


def _sturdy(run: Run) -> str | None:
    if run.target == "freebsd-base":
        return "the base driver panics"
    # docs/linux-observed.md
    return "Linux's gntdev on PV panics" if run.pv else None


def _no_module(run: Run) -> str | None:
    return None if run.freebsd and run.target != "freebsd-base" else "our module is not loaded"


STEPS = (
    Step("library", "each function of libxengnttab, two helper domains as peers",
         helper.library, True, _linux),
    Step("vchan-client", "libxenvchan's client, the server in a helper domain",
         lambda run: helper.transfer(run, "client"), True, _linux),
    Step("vchan-server", "libxenvchan's server, the client in a helper domain",
         lambda run: helper.transfer(run, "server"), True, _linux),
    Step("kill-vchan-client", "kill -9 of the client in a transfer: the server is notified",
         lambda run: helper.kill(run, "client"), True, _linux),
    Step("kill-vchan-helper", "kill -9 of the server in a transfer: the client is notified",
         lambda run: helper.kill(run, "server"), True, _linux),
    Step("stress", "processes that use both devices at random and are killed",
         helper.stress, True, _sturdy),
    Step("xenstored", "xenstored starts; Dom0's kernel talks to it", xenstored),
    Step("xenconsoled", "xenconsoled starts", xenconsoled),
    Step("guest", "xl boots a PVH Linux guest, its console goes both ways", guest),
    Step("vchan", "libxenvchan between two processes of Dom0", channels.channel, without=_pvh),
    Step("vchan-guest", "libxenvchan between Dom0 and the guest, server on either side",
         channels.channel_guest, True),
    Step("vchan-proxy", "vchan-socket-proxy, each way", channels.socket_proxy, True, _pvh),
    Step("qdisk", "raw and qcow2 disks by QEMU: ext4, files, fsck", disks.qdisk, True),
    Step("qdisk-media", "media of 16 MiB to 16 GiB: random writes verified, files, fsck",
         disks.qdisk_media, True),
    Step("qdisk-many", "four disks at once; attach and detach; read-only; odd size",
         disks.qdisk_many, True),
    Step("qdisk-speed", "one disk, raw", disks.disk_speed, True),
    Step("qdisk-restart", "the guest reboots, is destroyed while it writes, is created again",
         disks.qdisk_restart, True),
    Step("guest-freebsd", "xl boots a PVH FreeBSD guest, its console goes both ways",
         guest_freebsd, True, _no_freebsd_guest),
    Step("qdisk-freebsd", "raw and qcow2 disks by QEMU: UFS, files, fsck",
         disks.qdisk_freebsd, True, _no_freebsd_guest),
    Step("kill-vchan", "kill -9 of a channel's client", channels.kill_channel, True),
    Step("kill-vchan-server", "kill -9 of a channel's server", channels.kill_channel_server,
         without=_pvh),
    Step("kill-guest", "xl destroy of a guest that writes", kill_guest, True),
    Step("kill-qemu", "kill -9 of QEMU, in the long run during output", kill_qemu),
    Step("kill-xenconsoled", "kill -9 of xenconsoled", kill_xenconsoled),
    Step("kill-xenstored", "kill -9 of xenstored", kill_xenstored),
    Step("unload", "the driver counts nothing, its module goes", unload, True, _no_module),
    Step("log", "no complaint from Xen or the kernel", no_alarms),
)  # fmt: skip
#: Whatever else runs needs these;
FIRST = ("xenstored", "xenconsoled", "guest")
#: but these have helper domains as their peers.
ALONE = frozenset(
    {
        "library",
        "vchan-client",
        "vchan-server",
        "kill-vchan-client",
        "kill-vchan-helper",
        "stress",
        "unload",
        "log",
    }
)
