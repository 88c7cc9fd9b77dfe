# SPDX-License-Identifier: BSD-2-Clause
"""The commands probe and stat: what this system has, and how much of it is in use."""

from __future__ import annotations

import argparse
import errno
import shutil
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NamedTuple

from xengnttab import _calls
from xengnttab._arguments import NO_DEVICE, OK
from xengnttab._device import Device
from xengnttab._terminal import report, table
from xengnttab.errors import DeviceError, GrantError
from xengnttab.event import EventChannel
from xengnttab.share import GrantShare
from xengnttab.table import GrantTable

NODES = ("/dev/xen/gntdev", "/dev/xen/xengntdev", "/dev/xen/gntalloc")
SYSCTLS = ("hw.xen.gntdev", "hw.xen.gntalloc")
LINUX_PARAMETERS = ("xen_gntdev/parameters/limit", "xen_gntalloc/parameters/limit")
SYS_MODULE = Path("/sys/module")


class Answer(NamedTuple):
    """Whether something works here; if not, the name of the errno, if there was one."""

    works: bool
    errno: str | None = None

    def __str__(self) -> str:
        if self.works:
            return "yes"
        return "no" if self.errno is None else f"no ({self.errno})"


def opens(device: Callable[[], Device]) -> Answer:
    try:
        with device():
            return Answer(True)
    except GrantError as error:
        return Answer(False, error.name)


def probe() -> dict[str, Answer]:
    """What works here, found by trying."""
    found = {node: Answer(Path(node).exists()) for node in NODES}
    found["map grants"] = opens(GrantTable)
    found["share pages"] = opens(GrantShare)
    # With domain 0: every domain may make a channel for it.
    found["event channels"] = opens(partial(EventChannel, 0))
    if found["map grants"].works:
        with GrantTable() as grants:
            found["grant copy"] = Answer(grants.can_copy)
            with grants._held() as handle:
                number = _calls.dmabuf_errno(handle)
            # A buffer that does not exist: a kernel that looks for it supports buffers.
            known = number == errno.ENOENT
            absent = None if known else errno.errorcode.get(number, str(number))
            found["DMA buffers"] = Answer(known, absent)
    return found


def run_probe(args: argparse.Namespace) -> int:
    found = probe()
    usable = found["map grants"].works and found["share pages"].works
    words = {name: str(answer) for name, answer in found.items()}
    human = table(("what", "here"), words.items())
    answers = {name: answer._asdict() for name, answer in found.items()}
    report(args, human, command="probe", usable=usable, found=words, answers=answers)
    return OK if usable else NO_DEVICE


def statistics() -> dict[str, int]:
    """Limits and counters of the drivers, by the names their system gives them."""
    found: dict[str, int] = {}
    if sys.platform.startswith("freebsd") and (tool := shutil.which("sysctl")):
        for name in SYSCTLS:
            done = subprocess.run([tool, name], capture_output=True, text=True, check=False)
            for line in done.stdout.splitlines():
                key, _, value = line.partition(": ")
                if value.lstrip("-").isdigit():
                    found[key] = int(value)
        return found
    for parameter in LINUX_PARAMETERS:
        try:
            found[parameter.replace("/parameters/", ".")] = int(
                (SYS_MODULE / parameter).read_text()
            )
        except (OSError, ValueError):
            continue
    return found


def run_stat(args: argparse.Namespace) -> int:
    found = statistics()
    if not found:
        action = "read the drivers' numbers"
        if opens(GrantTable).works or opens(GrantShare).works:
            raise GrantError(errno.ENOENT, action, "the drivers are there, but publish none")
        raise DeviceError(errno.ENOENT, action, _calls.module("gntdev"))
    report(args, table(("what", "value"), found.items()), command="stat", values=found)
    return OK
