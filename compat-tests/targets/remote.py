# SPDX-License-Identifier: BSD-2-Clause
"""``ssh:USER@HOST``: another machine with such devices, over ssh.

The agent is copied there (Linux on x86_64) or compiled there by one cc line (FreeBSD, or any system
that has an ``agent/os_SYSTEM.c``), started over the connection, and removed at the end.  Nothing is
installed or loaded.  On a Dom0 the helper domain's program is copied, too.
"""

from __future__ import annotations

import io
import os
import re
import shlex
import subprocess
import tarfile
from collections.abc import Sequence
from pathlib import Path
from typing import cast

from agent.client import Errno, Worker
from agent.recipe import AGENT, ROOT, SOURCES
from testbed import image, vm
from testbed.freebsd_vm import ALARM as FREEBSD_ALARM

from .base import Setting, TargetMissing, probe_worker
from .linux_dom0 import ALARM as LINUX_ALARM
from .local import Here, RunningTarget

PREFIX = "ssh:"
# ssh must not ask for anything.
OPTIONS = ("-o", "BatchMode=yes", "-o", "ConnectTimeout=20")
SECONDS = 120.0
_HOST = re.compile(r"([A-Za-z0-9._-]+@)?[A-Za-z0-9][A-Za-z0-9._:%-]*")


def host_of(name: str) -> str:
    """USER@HOST or HOST from a target's name; ValueError for what ssh could take for an option."""
    host = name.removeprefix(PREFIX)
    if not _HOST.fullmatch(host):
        raise ValueError(f"{name}: not {PREFIX}USER@HOST or {PREFIX}HOST")
    return host


def cc_line(system: str, where: str = ".") -> str:
    """The command that compiles a stand-alone agent from the files of bundle()."""
    sources = " ".join((*SOURCES, f"os_{system.lower()}.c"))
    return f"cd {where} && cc -D_GNU_SOURCE -Iinclude -pthread -o xengnt-agent {sources}"


def bundle(system: str) -> list[tuple[Path, str]]:
    """What cc_line() needs, with the names there."""
    own = f"os_{system.lower()}.c"
    if not (AGENT / own).is_file():
        raise TargetMissing(f"no agent for {system}: compat-tests/agent/{own} is missing (os.h)")
    headers = [path.name for path in sorted(AGENT.glob("*.h"))]
    files = [(AGENT / name, name) for name in (*SOURCES, own, *headers)]
    for header in sorted((ROOT / "kernel/include/xen").glob("*.h")):
        files.append((header, f"include/xen/{header.name}"))
    return files


def _tar(files: Sequence[tuple[Path, str]]) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for path, name in files:
            member = tarfile.TarInfo(name)
            data = path.read_bytes()
            member.size, member.mode = len(data), 0o700
            archive.addfile(member, io.BytesIO(data))
    return out.getvalue()


class RemoteTarget(RunningTarget):
    def __init__(self, name: str, setting: Setting) -> None:
        super().__init__(setting)
        self.name = name
        self._host = host_of(name)
        self.title = f"{self._host} by ssh"
        # "ssh -F FILE" for your own configuration.
        self._ssh = [*shlex.split(os.environ.get("XENGNT_SSH") or "ssh"), *OPTIONS]
        self._where = ""
        self._command = ""

    def _remote(self, command: str, data: bytes = b"", what: str = "") -> str:
        """Runs a shell command there; returns its output."""
        argv = [*self._ssh, "--", self._host, command]
        try:
            done = subprocess.run(
                argv, input=data, capture_output=True, timeout=SECONDS, check=False
            )
        except FileNotFoundError:
            raise TargetMissing(f"{self.name}: {self._ssh[0]} is not installed") from None
        except subprocess.TimeoutExpired:
            raise TargetMissing(f"{self.name}: no answer within {SECONDS:.0f} s") from None
        if done.returncode != 0:
            said = done.stderr.decode("utf-8", "replace").strip().splitlines()
            last = said[-1] if said else f"status {done.returncode}"
            raise TargetMissing(f"{self.name}: {what or command}: {last}")
        return done.stdout.decode("utf-8", "replace").strip()

    def _program(self, name: str) -> Path | None:
        return image.built(self.setting.build.resolve() / "compat-tests/agent", name)

    def start(self) -> None:
        system, machine = self._remote("uname -sm", what="connection").split()[:2]
        self.alarm = FREEBSD_ALARM if system == "FreeBSD" else LINUX_ALARM
        self.progress(f"{system} {machine}")
        self._where = self._remote("mktemp -d /tmp/xengnt.XXXXXX")
        agent = self._program("xengnt-agent")
        if (system, machine) == ("Linux", "x86_64"):
            if agent is None:
                raise TargetMissing(f"{self.name}: the agent is not built (./dev build)")
            self._copy([(agent, "xengnt-agent")])
        else:
            self.progress("compiling the agent")
            self._copy(bundle(system))
            self._remote(cc_line(system, self._where), what="cc")
        self._command = " ".join(["exec", f"{self._where}/xengnt-agent", *self._words(system)])
        self._boot()
        assert self._agent is not None
        self.facts = dict(self._agent.hello())
        probe_worker(self._agent, self._look)
        if self._lacks:
            raise TargetMissing(f"{self.name}: {next(iter(self._lacks.values()))}")
        self._settle(system)

    def _copy(self, files: Sequence[tuple[Path, str]]) -> None:
        self._remote(f"tar -xf - -C {self._where}", _tar(files), "copying the agent")

    def _words(self, system: str) -> list[str]:
        """Options of the agent: our node if it has its own name, the helper domain."""
        there = self._remote("ls /dev/xen 2>/dev/null || :").split()
        words = ["--gntdev", "/dev/xen/xengntdev"] if "xengntdev" in there else []
        peer = self._program("xengnt-peer")
        if system == "Linux" and peer is not None and "privcmd" in there:
            self._copy([(peer, "xengnt-peer")])
            words += ["--peer", f"{self._where}/xengnt-peer"]
        return words

    def _look(self, worker: Worker) -> None:
        for device in ("gntdev", "gntalloc"):
            try:
                worker.close(worker.open(device))
            except Errno as error:
                self._lacks[device] = f"{device} cannot be opened there: {error.word}"

    def _make(self) -> vm.Machine:
        argv = [*self._ssh, "--", self._host, self._command]
        return cast(vm.Machine, Here(argv))

    def stop(self) -> None:
        super().stop()
        where, self._where = self._where, ""
        if where:
            self._remote(f"rm -rf {where}")
