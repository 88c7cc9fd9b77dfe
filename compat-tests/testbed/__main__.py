# SPDX-License-Identifier: BSD-2-Clause
"""Boots a Dom0 for interactive use: ``./dev boot [--freebsd DIR] --shell``, or ``python3 -m testbed
boot``."""

from __future__ import annotations

import argparse
import os
import select
import sys
import tempfile
import time
from pathlib import Path
from typing import get_args

sys.path.insert(1, str(Path(__file__).resolve().parents[2]))

from devtools.paths import NATIVE, cache_dir

from . import freebsd_vm, image, vm
from .errors import TestbedError
from .freebsd_sets import BASE_PROGRAMS, FreeBSD

FREEBSD = get_args(freebsd_vm.Target)
_BUILD = NATIVE / "compat-tests/agent"
_SHELL = "/bin/testbed-shell"
# FreeBSD's root is read-only.  There is no terminal, but a prompt.
_SHELL_TEXT = b"""#!/bin/sh
exec 2>&1
export PATH=/bin:/sbin:/usr/bin:/usr/sbin PS1='freebsd# '
mount -t tmpfs tmpfs /tmp && cd /tmp
echo '! ready'
exec /bin/sh -i
"""


def _say(text: str) -> None:
    print(f"testbed: {text}", file=sys.stderr, flush=True)


def _programs(build: Path) -> list[image.File]:
    files = []
    for dst, name in (
        (image.RELAY, "xengnt-relay"), (image.AGENT, "xengnt-agent"), (image.PEER, "xengnt-peer")
    ):  # fmt: skip
        found = image.built(build, name)
        if found is not None:
            files += image.program_files(found, dst)
        elif dst == image.RELAY:
            raise TestbedError(f"{build / 'dom0' / name} is not built (or name it by --build)")
    return files


def _extra(text: str) -> list[image.File]:
    path, _, dst = text.partition(":")
    return image.program_files(Path(path), dst or None)


def _talk(machine: vm.Machine) -> None:
    """Connects standard input and output to the control channel until either ends."""
    machine.channel.setblocking(True)
    inputs = [machine.channel, sys.stdin]
    while True:
        readable, _, _ = select.select(inputs, [], [], 1.0)
        machine.check()
        if machine.channel in readable:
            data = machine.channel.recv(65536)
            if not data:
                machine.lost()
            os.write(1, data)
        if sys.stdin in readable:
            data = os.read(0, 4096)
            if not data:
                return
            machine.channel.sendall(data)


def _linux(args: argparse.Namespace, workdir: Path) -> vm.Machine:
    files = _programs(args.build)
    for text in args.add:
        files += [f for f in _extra(text) if f not in files]
    options = " ".join((["xengnt.shell"] if args.shell else []) + args.linux)
    return vm.LinuxDom0(
        "pv" if args.target == "linux-pv" else "pvh", files, workdir, cache_dir(), _say,
        kernel_options=options, xen_options=" ".join(args.xen),
    )  # fmt: skip


def _freebsd(args: argparse.Namespace, workdir: Path) -> vm.Machine:
    release = FreeBSD(args.freebsd, cache_dir(), _say)
    files: list[image.File] = []
    environment = dict(text.partition("=")[::2] for text in args.env)
    if args.shell:
        files = [*release.base_files(BASE_PROGRAMS), image.File(_SHELL_TEXT, _SHELL)]
        environment["xengnt.run"] = f"{image.RELAY} 0x2f8 /bin/sh {_SHELL}"
    return freebsd_vm.FreeBSDDom0(
        args.target, release, workdir, cache_dir(), _say,
        linux_agent=image.built(args.build, "xengnt-agent"), files=files, environment=environment,
    )  # fmt: skip


def _boot(args: argparse.Namespace) -> None:
    with tempfile.TemporaryDirectory(prefix="xengnt-boot-") as scratch:
        workdir = args.workdir or Path(scratch)
        begin = time.monotonic()
        with (_freebsd if args.target in FREEBSD else _linux)(args, workdir) as machine:
            try:
                while machine.control.readline(args.timeout) != "! ready":
                    pass
                effective = machine.effective()
                _say(f"ready after {time.monotonic() - begin:.1f} s ({effective:.1f} s effective)")
                for key, value in machine.facts.items():
                    _say(f"  {key} {value}")
                if not args.once:
                    _talk(machine)
            except (vm.Died, vm.Hung):
                sys.stderr.write(machine.console_since(0)[-3000:])
                raise
            finally:
                if args.log:
                    sys.stderr.write(machine.console_since(0))


def main() -> int:
    parser = argparse.ArgumentParser(prog="./dev")
    commands = parser.add_subparsers(dest="command", required=True)
    boot = commands.add_parser(
        "boot",
        description="Boots a Dom0 in QEMU.  Standard input and output are then the agent's, or"
        " with --shell a shell's, until the end of the input.",
    )
    boot.add_argument("--target", choices=("linux-pvh", "linux-pv", *FREEBSD),
                      help="default: linux-pvh, or freebsd with --freebsd")  # fmt: skip
    boot.add_argument("--freebsd", type=Path, metavar="DIR",
                      help="FreeBSD's release sets, for the FreeBSD targets")  # fmt: skip
    boot.add_argument("--shell", action="store_true", help="a shell instead of the agent")
    boot.add_argument("--once", action="store_true", help="end when it is ready")
    boot.add_argument("--log", action="store_true", help="print the console's log at the end")
    boot.add_argument(
        "--build",
        type=Path,
        default=_BUILD,
        help="directory with the built agent (default: %(default)s)",
    )
    boot.add_argument(
        "--workdir",
        type=Path,
        help="directory for console.log and qemu.log (default: a temporary one)",
    )
    boot.add_argument("--add", action="append", default=[], metavar="PROGRAM[:PLACE]",
                      help="add a program with its libraries (Linux only)")  # fmt: skip
    boot.add_argument("--linux", action="append", default=[], metavar="OPTION",
                      help="add to Linux's command line")  # fmt: skip
    boot.add_argument("--env", action="append", default=[], metavar="NAME=VALUE",
                      help="set in FreeBSD's kernel environment, as in loader.conf")  # fmt: skip
    boot.add_argument("--xen", action="append", default=[], metavar="OPTION",
                      help="add to Xen's command line (Linux only)")  # fmt: skip
    boot.add_argument(
        "--timeout",
        type=float,
        default=300.0,
        metavar="SECONDS",
        help="give up when nothing has happened for this long (default: %(default)s)",
    )
    args = parser.parse_args()
    args.target = args.target or ("freebsd" if args.freebsd else "linux-pvh")
    if args.target in FREEBSD and args.freebsd is None:
        boot.error(f"{args.target} needs FreeBSD's release sets: --freebsd DIR")
    try:
        _boot(args)
    except TestbedError as exc:
        _say(str(exc))
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
