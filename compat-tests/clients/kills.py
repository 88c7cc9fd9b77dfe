# SPDX-License-Identifier: BSD-2-Clause
"""kill -9 in the middle of work: nothing may stay mapped that should not."""

from __future__ import annotations

from .grants import Grant
from .guests import (
    REF_CONSOLE,
    REF_XENSTORE,
    Figures,
    Run,
    destroy_guest,
    ensure_guest,
)
from .shell import Failed


def killed(run: Run, pid: int, what: str, left: set[int]) -> Figures:
    """After the end of a process only the guest's refs in `left` may be mapped."""
    dom0 = run.dom0
    domid = run.running_guest().domid
    before = run.foreign()
    dom0.must(f"kill -9 {pid}", what)
    dom0.until(dom0.gone(pid), f"{what} ending")

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


def idle(run: Run) -> Figures:
    """Waits until our driver counts nothing mapped, granted or deferred."""
    live = ("gntdev.maps", "gntdev.grants", "gntdev.deferred", "gntalloc.pages")
    found: dict[str, int] = {}
    for _ in range(20):
        found = {name: n for name, n in run.dom0.counters().items() if name in live and n != 0}
        if not found:
            return {}
        run.dom0.run("sleep 1")
    raise Failed(f"the driver counts {found} when all is closed")


def _write_for_ever(run: Run) -> None:
    device = run.disks[0].device
    ensure_guest(run).must(
        f"(while :; do dd if=/dev/urandom of={device} bs=256k count=16 conv=fsync; done)"
        " >/dev/null 2>&1 & sleep 2"
    )


def kill_guest(run: Run) -> Figures:
    """`xl destroy` while the guest writes to its disk."""
    _write_for_ever(run)
    before = len(run.foreign())
    guest = run.running_guest()
    pid = run.dom0.device_model(run.tool("qemu"), guest.domid)
    destroy_guest(run, guest)
    if pid is not None:
        run.dom0.until(run.dom0.gone(pid), "QEMU ending")
    idle(run)
    return {"mapped before": before, "mapped after": 0}


def kill_qemu(run: Run) -> Figures:
    """Kills QEMU while the guest writes to its disk (in the short run it does not write)."""
    guest = ensure_guest(run)
    pid = run.dom0.device_model(run.tool("qemu"), guest.domid)
    if pid is None:
        raise Failed("QEMU does not run")
    if run.thorough:
        _write_for_ever(run)
    if not {g.ref for g in run.foreign()} - {REF_CONSOLE, REF_XENSTORE}:
        raise Failed("QEMU has no ring mapped")
    figures = killed(run, pid, "QEMU", {REF_CONSOLE, REF_XENSTORE})
    if run.thorough:
        guest.must("true")  # the others still work
    return figures


def _kill_daemon(run: Run, name: str, ref: int) -> Figures:
    before = {g.ref for g in run.foreign()}
    if ref not in before:
        raise Failed(f"ref {ref} is not mapped while {name} runs")
    return killed(run, run.pids[name], name, before - {ref})


def kill_xenconsoled(run: Run) -> Figures:
    return _kill_daemon(run, "xenconsoled", REF_CONSOLE)


def kill_xenstored(run: Run) -> Figures:
    return _kill_daemon(run, "xenstored", REF_XENSTORE)
