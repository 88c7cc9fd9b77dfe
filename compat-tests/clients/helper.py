# SPDX-License-Identifier: BSD-2-Clause
"""The library and libxenvchan on a FreeBSD Dom0 without xenstored, with helper domains as peers.

src/gnttab.c calls each function of the library; src/end_dom0.c and end_guest.c are the two ends of
a channel, and src/xenstore.c replaces libxenstore.
"""

from __future__ import annotations

import itertools
import random
import re
import signal

from .channels import last_json
from .guests import Figures, Run
from .kills import idle
from .shell import Dom0, Failed

PEER = "/bin/xengnt-peer"
GNTTAB = "/bin/xengnt-gnttab"
VCHAN = "/bin/xengnt-vchan"
END = "/bin/xengnt-end"
END_CODE = "/bin/xengnt-end.code"
#: Our replacement for libxenstore.
STORE_LIBRARY = "/usr/local/xengnt/store"
STORE = "/tmp"
RING = 65536
# More bytes than are through when the end is killed.
ENDLESS = 1 << 30

#: Nodes, as devfs names them, that the library must choose for its two kinds of handle.
NODES = {
    "freebsd": ("xen/xengntdev", "xen/gntalloc"),
    "freebsd-alone": ("xen/gntdev", "xen/gntalloc"),
    "freebsd-base": ("xen/gntdev", "xen/gntdev", "base"),
}
LINUX_NODES = ("xen/gntdev", "xen/gntalloc")
_number = itertools.count()
STRESS = "/bin/xengnt-stress"


class Program:
    """A program in the background: its output and its status are in files."""

    def __init__(self, dom0: Dom0, name: str, command: str) -> None:
        self._dom0 = dom0
        self._name = name
        self._file = f"/tmp/{name}.{next(_number)}"
        # The program's own number, so that a signal does not go to a shell.
        self.pid = int(dom0.must(
            f"{{ {command} & echo $! >{self._file}.pid; wait $!; echo $? >{self._file}.status; }}"
            f" >{self._file} 2>&1 & until [ -s {self._file}.pid ]; do sleep 0.1; done;"
            f" cat {self._file}.pid"
        ))  # fmt: skip

    def said(self) -> list[str]:
        return self._dom0.must(f"cat {self._file}").splitlines()

    def line(self, start: str) -> str:
        """The first line with this start; a program that ends without one has failed."""
        self._dom0.until(
            f"grep -q '^{start}' {self._file} || test -e {self._file}.status",
            f"{self._name}: {start}", show=f"wc -l <{self._file}",
        )  # fmt: skip
        for line in self.said():
            if line.startswith(start):
                return line
        raise Failed(f"{self._name}: status {self.status()}: {'; '.join(self.said()[-3:])}")

    def status(self) -> int:
        """Its exit status once it has ended; 128 and a signal's number after a signal."""
        self._dom0.until(
            f"test -s {self._file}.status", f"{self._name} ending", show=f"wc -l <{self._file}"
        )
        return int(self._dom0.must(f"cat {self._file}.status"))


def library(run: Run) -> Figures:
    """The program prints a line for each part; failed checks come before the part's name."""
    command = f"LD_LIBRARY_PATH={run.ours} {GNTTAB} {PEER} {' '.join(NODES[run.target])}"
    program = Program(run.dom0, "library", command)
    status = program.status()
    lines = program.said()
    failed = [line for line in lines if not line.startswith(("ok ", "gnttab: ", "gntshr: "))]
    passed = sum(line.startswith("ok ") for line in lines)
    if status != 0 or not passed:
        raise Failed(f"status {status}: {'; '.join(failed)}")
    return {"parts": passed}


def _start(run: Run, role: str, amount: int) -> tuple[Program, Program]:
    """`role` is the end in Dom0, which uses the library; the helper domain has the other role."""
    other = "server" if role == "client" else "client"
    path = f"/xengnt/{next(_number)}"
    end = Program(run.dom0, "helper", f"{END} {other} {END_CODE} {STORE} {path} {amount}")
    domid = end.line("domid ").split()[1]
    near = Program(
        run.dom0, "vchan",
        f"env XENGNT_XENSTORE={STORE} LD_LIBRARY_PATH={STORE_LIBRARY}:{run.ours}"
        f" {VCHAN} {role} {domid} {path} {amount} {RING}",
    )  # fmt: skip
    near.line("open")
    return near, end


def transfer(run: Run, role: str) -> Figures:
    """Both directions at once; each end generates and checks every word."""
    amount = run.amount
    vchan, end = _start(run, role, amount)
    statuses = vchan.status(), end.status()
    near, far = (last_json("\n".join(program.said())) for program in (vchan, end))
    if statuses != (0, 0):
        raise Failed(f"vchan: status {statuses[0]}, helper domain: status {statuses[1]}")
    if not (near["whole"] and far["whole"]):
        raise Failed(f"not all arrived: {near}, {far}")
    if near["sent"] != amount or near["received"] != amount:
        raise Failed(f"{near['sent']} and {near['received']} bytes instead of {amount}")
    if near["sent_sum"] != far["received_sum"] or near["received_sum"] != far["sent_sum"]:
        raise Failed(f"checksums differ: {near}, {far}")
    return {
        "MiB each way": amount >> 20,
        "s": float(str(near["seconds"])),
        "events": int(str(far["events"])),
        "reminders": int(str(far["reminders"])),
        "overslept": int(str(near["overslept"])),
    }


def kill(run: Run, role: str) -> Figures:
    """Kills Dom0's end; its driver must notify the helper domain."""
    vchan, end = _start(run, role, ENDLESS)
    end.line("flowing")
    run.dom0.must(f"kill -{signal.SIGKILL:d} {vchan.pid}")
    status = vchan.status()
    other = end.status()
    far = last_json("\n".join(end.said()))
    if status != 128 + signal.SIGKILL or other != 0 or far["whole"]:
        raise Failed(f"vchan: status {status}, helper domain: status {other}, {far}")
    return {"MiB before": (int(str(far["sent"])) + int(str(far["received"]))) / 2**20}


def stress(run: Run) -> Figures:
    """Processes that use both devices at random and are killed; afterwards nothing may be left."""
    dom0 = run.dom0
    nodes = " ".join(f"/dev/{name}" for name in NODES.get(run.target, LINUX_NODES)[:2])
    seed = run.seed if run.seed is not None else random.getrandbits(32)
    dom0.progress(f"stress: {run.seconds} s, --seed {seed}")
    program = Program(dom0, "stress", f"{STRESS} {PEER} {nodes} {run.seconds} {seed}")
    status = program.status()
    last = (program.said() or ["no output"])[-1]
    if status != 0 or not last.startswith("done "):
        raise Failed(f"status {status}, --seed {seed}: {last}")
    idle(run)
    done = {key: int(value) for key, value in re.findall(r"(\w+)=(\d+)", last)}
    if idlers := [name for name, count in done.items() if count == 0]:
        raise Failed(f"--seed {seed}: nothing was done of {', '.join(idlers)}")
    return {"length s": run.seconds, "seed": seed, **done}
