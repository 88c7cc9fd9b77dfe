# SPDX-License-Identifier: BSD-2-Clause
"""libxenvchan between a FreeBSD Dom0 and a helper domain (src/end_dom0.c, end_guest.c)."""

from __future__ import annotations

import itertools
import json
import signal
from typing import Any

from . import freebsd_programs
from .freebsd_session import Session
from .shell import Failed

SECONDS = 300.0
STORE = "/tmp"
RING = 65536
# Bytes that are not through when the end is killed.
ENDLESS = 1 << 30
_number = itertools.count()


def _last(session: Session, name: str) -> dict[str, Any]:
    """The JSON that a program ends with."""
    lines = session.finish(name, SECONDS)
    for line in reversed(lines):
        if line.startswith("{"):
            answer: dict[str, Any] = json.loads(line)
            return answer
    raise Failed(f"{name}: {session.ended[name]}; " + "; ".join(lines[-3:]))


def _running(session: Session) -> None:
    """Dom0's end is there; one that could not start would be waited for in vain."""
    if session.wait_line("vchan", "open", SECONDS) is None:
        raise Failed("vchan: " + "; ".join([session.ended["vchan"], *session.said["vchan"]]))


def _start(session: Session, role: str, amount: int) -> None:
    """`role` is Dom0's, which is the library's; the helper domain has the other one."""
    other = "server" if role == "client" else "client"
    path = f"/xengnt/{next(_number)}"
    session.environment("XENGNT_XENSTORE", STORE)
    session.start(
        "end", freebsd_programs.END, other, freebsd_programs.END_CODE, STORE, path, str(amount)
    )
    line = session.wait_line("end", "domid ", SECONDS)
    if line is None:
        raise Failed("the helper domain: " + "; ".join(session.said["end"]))
    domid = line.split()[1]
    session.start("vchan", freebsd_programs.VCHAN, role, domid, path, str(amount), str(RING))


def transfer(session: Session, role: str, amount: int) -> dict[str, float | int | str]:
    """Both directions at once; each end has made and checked every word."""
    _start(session, role, amount)
    _running(session)
    near, far = _last(session, "vchan"), _last(session, "end")
    if session.ended["vchan"] != "exit 0" or session.ended["end"] != "exit 0":
        raise Failed(f"vchan: {session.ended['vchan']}, helper domain: {session.ended['end']}")
    if not (near["whole"] and far["whole"]):
        raise Failed(f"not all arrived: {near}, {far}")
    if near["sent"] != amount or near["received"] != amount:
        raise Failed(f"{near['sent']} and {near['received']} bytes instead of {amount}")
    if near["sent_sum"] != far["received_sum"] or near["received_sum"] != far["sent_sum"]:
        raise Failed(f"checksums differ: {near}, {far}")
    return {
        "MiB each way": amount / 2**20,
        "seconds": float(near["seconds"]),
        "to helper": near["sent_sum"],
        "from helper": near["received_sum"],
        "events": far["events"],
        "reminders": far["reminders"],
        "overslept": near["overslept"],
    }


def kill(session: Session, role: str) -> dict[str, float | int | str]:
    """Ends Dom0's end outright: its driver must tell the helper domain."""
    _start(session, role, ENDLESS)
    _running(session)
    if session.wait_line("end", "flowing", SECONDS) is None:
        raise Failed("the helper domain: " + "; ".join(session.said["end"]))
    session.signal("vchan", signal.SIGKILL)
    session.finish("vchan", SECONDS)
    far = _last(session, "end")
    if session.ended["vchan"] != "signal 9" or session.ended["end"] != "exit 0" or far["whole"]:
        raise Failed(f"vchan: {session.ended['vchan']}, {far}")
    return {"MiB before": (far["sent"] + far["received"]) / 2**20}
