# SPDX-License-Identifier: BSD-2-Clause
"""Targets ssh:HOST, through a real sshd on this machine; the harness is the remote driver."""

from __future__ import annotations

import getpass
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import parity
import pytest
from agent.recipe import AGENT
from targets import Setting, TargetMissing, entry
from targets.remote import RemoteTarget, bundle, cc_line, host_of

SECONDS = 60.0


def _tool(name: str) -> str:
    path = shutil.which(name, path="/usr/sbin:/usr/bin:/sbin:/bin")
    if path is None:
        pytest.fail(f"no {name}: apt-get install openssh-server openssh-client")
    return path


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _key(path: Path) -> Path:
    command = [_tool("ssh-keygen"), "-q", "-t", "ed25519", "-N", "", "-f", str(path)]
    subprocess.run(command, check=True)
    return path


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("ssh")


@pytest.fixture(scope="module")
def sshd(build: Path, place: Path) -> Iterator[str]:
    """A server whose commands have the harness's devices; yields the ssh command that reaches
    it."""
    preload = build / "tests/harness/libxengnt-harness.so"
    if not preload.exists():
        pytest.skip("the harness is not part of this build")
    host, user, port = _key(place / "host"), _key(place / "user"), _free_port()
    keys = place / "authorized"
    keys.write_text((place / "user.pub").read_text())
    Path("/run/sshd").mkdir(exist_ok=True)
    (place / "sshd_config").write_text(
        f"Port {port}\nListenAddress 127.0.0.1\nHostKey {host}\nPidFile none\n"
        f"AuthorizedKeysFile {keys}\nStrictModes no\nUsePAM no\nPermitRootLogin yes\n"
        f"PasswordAuthentication no\nSetEnv LD_PRELOAD={preload.resolve()}\n"
    )
    (place / "ssh_config").write_text(
        f"Host there\n  HostName 127.0.0.1\n  Port {port}\n  User {getpass.getuser()}\n"
        f"  IdentityFile {user}\n  IdentitiesOnly yes\n  StrictHostKeyChecking no\n"
        f"  UserKnownHostsFile {place / 'known'}\n  LogLevel ERROR\n"
    )
    with (place / "sshd.log").open("w") as log:
        command = [_tool("sshd"), "-D", "-e", "-f", str(place / "sshd_config")]
        server = subprocess.Popen(command, stderr=log)
        try:
            until = time.monotonic() + SECONDS
            while True:
                with socket.socket() as probe:
                    if probe.connect_ex(("127.0.0.1", port)) == 0:
                        break
                assert server.poll() is None, (place / "sshd.log").read_text()
                assert time.monotonic() < until, "sshd does not listen"
                time.sleep(0.05)
            yield f"{_tool('ssh')} -F {place / 'ssh_config'}"
        finally:
            server.terminate()
            server.wait()


@pytest.fixture
def setting(build: Path, tmp_path: Path) -> Setting:
    """A build whose agent can be preloaded."""
    where = tmp_path / "build/compat-tests/agent"
    where.mkdir(parents=True)
    agent = (build / "compat-tests/agent/xengnt-agent-dyn").resolve()
    (where / "xengnt-agent").symlink_to(agent)
    return Setting(tmp_path / "build", tmp_path, tmp_path)


def _left() -> set[str]:
    return {path.name for path in Path("/tmp").glob("xengnt.*")}


def test_cases_run_there(
    sshd: str, setting: Setting, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XENGNT_SSH", sshd)
    before = _left()
    report = tmp_path / "report"
    named = "map.count-zero,index.packed,alloc.many,alloc.read-only-refuses-write"
    words = ["--targets", "ssh:there", "--cases", named, "--build", str(setting.build)]
    assert parity.main([*words, "--report", str(report)]) == 0
    text = (report / "parity.tap").read_text()
    for case in named.split(","):
        assert f" - ssh:there {case}\n" in text
    assert _left() == before, "the directory there is left behind"


def test_a_wrong_answer_there_is_red(
    sshd: str, setting: Setting, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """K3 is a difference of FreeBSD; a Linux must not show it, but the harness does."""
    monkeypatch.setenv("XENGNT_SSH", sshd)
    report = tmp_path / "report"
    words = ["--targets", "ssh:there", "--cases", "mmap.offset-unaligned"]
    assert parity.main([*words, "--build", str(setting.build), "--report", str(report)]) == 1
    assert "observed ok, expected EINVAL" in (report / "parity.tap").read_text()


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("ssh:nobody@there", "connection: .*[Pp]ermission denied"),
        ("ssh:nowhere.invalid", "connection: "),
    ],
)
def test_an_unreachable_host_is_told(
    sshd: str, setting: Setting, monkeypatch: pytest.MonkeyPatch, name: str, told: str
) -> None:
    monkeypatch.setenv("XENGNT_SSH", sshd)
    with pytest.raises(TargetMissing, match=f"{name}: {told}"):
        RemoteTarget(name, setting).__enter__()


def test_a_machine_without_devices_is_told(
    sshd: str, setting: Setting, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The static agent cannot be preloaded, so it finds this machine's devices: none."""
    monkeypatch.setenv("XENGNT_SSH", sshd)
    agent = setting.build / "compat-tests/agent/xengnt-agent"
    static = agent.resolve().with_name("xengnt-agent")
    if not static.exists() or Path("/dev/xen/gntdev").exists():
        pytest.skip("no static agent in this build, or real devices here")
    agent.unlink()
    agent.symlink_to(static)
    before = _left()
    with pytest.raises(TargetMissing, match="gntdev cannot be opened there: ENO"):
        RemoteTarget("ssh:there", setting).__enter__()
    assert _left() == before


def test_no_ssh_is_told(setting: Setting, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XENGNT_SSH", "/nonexistent/ssh")
    with pytest.raises(TargetMissing, match="/nonexistent/ssh is not installed"):
        RemoteTarget("ssh:there", setting).__enter__()


def test_host_names() -> None:
    assert host_of("ssh:root@dom0.example.org") == "root@dom0.example.org"
    assert host_of("ssh:fe80::1%em0") == "fe80::1%em0"
    assert entry("ssh:a@b").title == "a@b"
    for wrong in ("ssh:", "ssh:-oProxyCommand=x", "ssh:a b", "ssh:a@-b", "ssh:$(x)"):
        with pytest.raises(ValueError, match="USER@HOST"):
            host_of(wrong)


def test_one_cc_line_makes_an_agent(tmp_path: Path) -> None:
    """As on a system without a binary."""
    for path, name in bundle("Linux"):
        target = tmp_path / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, target)
    subprocess.run(cc_line("Linux", str(tmp_path)), shell=True, check=True)
    done = subprocess.run(
        [tmp_path / "xengnt-agent"], input="1 hello\n", capture_output=True, text=True, check=True
    )
    assert "! ready" in done.stdout and "1 ok" in done.stdout
    # meson builds the same files that are sent.
    built = set((AGENT / "meson.build").read_text().split("agent_src = files(")[1].split(")")[0]
                .replace("'", "").replace(",", " ").split())  # fmt: skip
    assert {name for _, name in bundle("Linux")} >= built
    with pytest.raises(TargetMissing, match=r"os_plan9\.c is missing"):
        bundle("Plan9")
