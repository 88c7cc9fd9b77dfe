# SPDX-License-Identifier: BSD-2-Clause
"""The commands probe and stat: what this system has, and how much of it is in use."""

from __future__ import annotations

import argparse
import errno
import shutil
import subprocess
import sys
from pathlib import Path

from xengnttab import _calls
from xengnttab._terminal import report, table
from xengnttab.errors import DeviceError
from xengnttab.share import GrantShare
from xengnttab.table import GrantTable

NODES = ("/dev/xen/gntdev", "/dev/xen/xengntdev", "/dev/xen/gntalloc")
SYSCTLS = ("hw.xen.gntdev", "hw.xen.gntalloc")
LINUX_PARAMETERS = ("xen_gntdev/parameters/limit", "xen_gntalloc/parameters/limit")
SYS_MODULE = Path("/sys/module")


def opens(device: type[GrantTable] | type[GrantShare]) -> str:
    """`yes`, or why not, by the errno's name."""
    try:
        with device():
            return "yes"
    except DeviceError as error:
        return f"no ({error.name})"


def probe() -> dict[str, str]:
    """What works here, found out by trying."""
    found = {node: "yes" if Path(node).exists() else "no" for node in NODES}
    found["map grants"] = opens(GrantTable)
    found["share pages"] = opens(GrantShare)
    if found["map grants"] == "yes":
        with GrantTable() as grants:
            found["grant copy"] = "yes" if grants.can_copy else "no"
            number = _calls.dmabuf_errno(grants._live())
            # A buffer that does not exist: whoever looks for it knows what buffers are.
            absent = errno.errorcode.get(number, str(number))
            found["DMA buffers"] = "yes" if number == errno.ENOENT else f"no ({absent})"
    return found


def run_probe(args: argparse.Namespace) -> int:
    found = probe()
    usable = found["map grants"] == found["share pages"] == "yes"
    human = table(("what", "here"), found.items())
    report(args, human, command="probe", usable=usable, found=found)
    return 0 if usable else 3


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
        raise DeviceError(errno.ENOENT, "read the drivers' numbers", _calls.module("gntdev"))
    report(args, table(("what", "value"), found.items()), command="stat", values=found)
    return 0
