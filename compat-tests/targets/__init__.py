# SPDX-License-Identifier: BSD-2-Clause
"""The targets: what each runs, what it needs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from .base import Setting, Target, TargetMissing

if TYPE_CHECKING:
    from testbed import freebsd_vm

__all__ = ["DEFAULT", "REMOTE", "TARGETS", "Entry", "Setting", "Target", "TargetMissing", "entry"]


@dataclass(frozen=True)
class Entry:
    """A target: its title, and how to make it."""

    title: str
    make: Callable[[Setting], Target]
    # Boots something, so it gets its own thread.
    slow: bool = True


def _linux(kind: Literal["pv", "pvh"]) -> Callable[[Setting], Target]:
    def make(setting: Setting) -> Target:
        from .linux_dom0 import LinuxDom0Target

        return LinuxDom0Target(kind, setting)

    return make


def _harness(setting: Setting) -> Target:
    from .harness import HarnessTarget

    return HarnessTarget(setting)


def _freebsd(name: freebsd_vm.Target) -> Callable[[Setting], Target]:
    def make(setting: Setting) -> Target:
        from .freebsd_dom0 import FreeBSDTarget

        return FreeBSDTarget(name, setting)

    return make


def _pair(name: str) -> Callable[[Setting], Target]:
    def make(setting: Setting) -> Target:
        from .pair import PairTarget

        return PairTarget(name, setting)

    return make


def _local(setting: Setting) -> Target:
    from .local import LocalTarget

    return LocalTarget(setting)


TARGETS: dict[str, Entry] = {
    "linux-pvh": Entry("Debian's kernel as PVH Dom0 on real Xen: the reference", _linux("pvh")),
    "linux-pv": Entry("Debian's kernel as PV Dom0 on real Xen", _linux("pv")),
    "harness": Entry("our driver's sources on the harness", _harness, slow=False),
    "freebsd": Entry("FreeBSD PVH Dom0 on real Xen, our module", _freebsd("freebsd")),
    "freebsd-linux": Entry(
        "the Linux agent on that Dom0, by the Linuxulator", _freebsd("freebsd-linux")
    ),
    "freebsd-base": Entry("FreeBSD's own gntdev on the same kernel", _freebsd("freebsd-base")),
    "freebsd-alone": Entry(
        "our module where the base driver is disabled", _freebsd("freebsd-alone")
    ),
    "freebsd-words": Entry("the base driver's commands on our node", _freebsd("freebsd-words")),
    "freebsd-domu": Entry(
        "FreeBSD PVH DomU, our module; the peer is its Linux Dom0's drivers", _pair("freebsd-domu")
    ),
    "linux-beside-freebsd": Entry(
        "that Linux Dom0; the peer is our module in its FreeBSD DomU", _pair("linux-beside-freebsd")
    ),
    "local": Entry("this machine itself: its own devices, nothing is booted", _local),
}

#: The name of any other machine, and what it means.
REMOTE = ("ssh:USER@HOST", "another machine: its own devices, over ssh, nothing is installed")


def entry(name: str) -> Entry:
    """The target of this name; KeyError if there is none, ValueError for a wrong host."""
    if not name.startswith("ssh:"):
        return TARGETS[name]

    from .remote import RemoteTarget, host_of

    return Entry(host_of(name), lambda setting: RemoteTarget(name, setting))


DEFAULT = ("linux-pvh", "linux-pv", "harness")
