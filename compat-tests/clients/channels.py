# SPDX-License-Identifier: BSD-2-Clause
"""libxenvchan: between two processes of Dom0, and between Dom0 and the guest."""

from __future__ import annotations

import json

from .guests import Figures, Run, check_library, ensure_guest
from .kills import killed
from .places import CHANNEL
from .shell import Failed

MIB = 1 << 20
RING = 65536
# vchan-socket-proxy moves little at a time and waits for an event each time.
PROXY_AMOUNT = 8 * MIB
ENDLESS = 1 << 40


def last_json(text: str) -> dict[str, object]:
    """The object on the last line of a program's output."""
    for line in reversed(text.splitlines()):
        if line.startswith("{"):
            found = json.loads(line)
            assert isinstance(found, dict)
            return found
    last = (text.strip().splitlines() or ["no output"])[-1]
    raise Failed(f"channel: {last}")


def compare_ends(one: dict[str, object], other: dict[str, object], amount: int) -> Figures:
    """Checks that each end received what the other one sent."""
    for end in (one, other):
        if end["sent"] != amount or end["received"] != amount or not end["whole"]:
            raise Failed(f"{end['role']}: sent {end['sent']}, received {end['received']}")
    for a, b in ((one, other), (other, one)):
        if a["sent_sum"] != b["received_sum"]:
            raise Failed(f"checksum of what the {a['role']} sent differs at the {b['role']}")
    if one["sent_sum"] == other["sent_sum"]:
        raise Failed("both directions have the same checksum")
    seconds = max(float(str(one["seconds"])), float(str(other["seconds"])))
    figures: Figures = {"MiB each way": amount // MIB, "transfer s": seconds}
    figures["MB/s both ways"] = 2 * amount / 1e6 / max(seconds, 1e-3)
    return figures


def _background(run: Run, command: str, log: str) -> int:
    """Starts a program in Dom0 in the background; returns its process."""
    return int(run.dom0.must(f"{command} >{log} 2>&1 & echo $!"))


def _finished(run: Run, *pids: int) -> None:
    """Waits for programs in Dom0 to end."""
    run.dom0.until(
        " && ".join(f"! kill -0 {pid} 2>/dev/null" for pid in pids), "the channel",
        show=run.dom0.working(pids[-1]),
    )  # fmt: skip


def channel(run: Run) -> Figures:
    """Between two processes of Dom0."""
    dom0 = run.dom0
    server = _background(run, f"{CHANNEL} server 0 data/channel {run.amount} {RING}", "/tmp/server")
    client = _background(run, f"{CHANNEL} client 0 data/channel {run.amount}", "/tmp/client")
    _finished(run, server, client)
    ends = [last_json(dom0.must(f"cat /tmp/{end}")) for end in ("server", "client")]
    return compare_ends(ends[0], ends[1], run.amount)


def _to_guest(run: Run) -> tuple[dict[str, object], dict[str, object]]:
    """The server in the guest, the client in Dom0: Dom0 maps the guest's grants."""
    dom0, domain = run.dom0, ensure_guest(run)
    number = domain.send(f"{CHANNEL} server 0 data/channel {run.amount} {RING}")
    domain.says(number, "serving")
    path = f"/local/domain/{domain.domid}/data/channel"
    command = f"{CHANNEL} client {domain.domid} {path} {run.amount}"
    _finished(run, _background(run, command, "/tmp/client"))
    near = last_json(dom0.must("cat /tmp/client"))
    status, said = domain.wait(number, "channel's server")
    if status != 0:
        raise Failed(f"guest: channel's server: status {status}")
    return near, last_json(said)


def _from_guest(run: Run) -> tuple[dict[str, object], dict[str, object]]:
    """The server in Dom0, the client in the guest: the guest maps Dom0's grants."""
    dom0, domain = run.dom0, ensure_guest(run)
    path = "/local/domain/0/data/channel"
    command = f"{CHANNEL} server {domain.domid} {path} {run.amount} {RING}"
    server = _background(run, command, "/tmp/server")
    dom0.until(
        f"grep -q serving /tmp/server || ! kill -0 {server} 2>/dev/null", "channel's server in Dom0"
    )
    said = dom0.must("cat /tmp/server")
    if "serving" not in said:
        raise Failed(f"channel's server in Dom0 ended: {said.strip()[-200:]}")
    number = domain.send(f"{CHANNEL} client 0 {path} {run.amount}")
    status, said = domain.wait(number, "channel's client", show=dom0.working(server))
    if status != 0:
        raise Failed(f"guest: channel's client: status {status}: {said.strip()[-200:]}")
    _finished(run, server)
    return last_json(dom0.must("cat /tmp/server")), last_json(said)


def channel_guest(run: Run) -> Figures:
    """Between Dom0 and the guest, the server on either side."""
    client = compare_ends(*_to_guest(run), run.amount)
    server = compare_ends(*_from_guest(run), run.amount)
    return {
        "MiB each way": run.amount // MIB,
        "client s": client["transfer s"],
        "server s": server["transfer s"],
    }


def socket_proxy(run: Run) -> Figures:
    """Xen's own vchan-socket-proxy: a file each way, one after the other.  Both ends keep their
    input open until everything has arrived, because the program drops what it has not read when the
    other end closes."""
    dom0, amount = run.dom0, min(run.amount, PROXY_AMOUNT)
    proxy = run.tool("vchan-socket-proxy")
    dom0.must(
        "cat >/tmp/feed <<'END'\n#!/bin/sh\ncat $1\n"
        "until [ -e /tmp/fed ]; do sleep 0.2; done\nEND\nchmod +x /tmp/feed"
    )
    dom0.must(f"head -c {amount} /dev/urandom >/tmp/sent", "test data")
    took = 0.0
    for sender in ("server", "client"):
        dom0.must("rm -f /tmp/fed /tmp/got.*")
        with dom0.timed() as seconds:
            for mode in ("server", "client"):
                data = "/tmp/sent" if mode == sender else "/dev/null"
                dom0.must(
                    f"/tmp/feed {data} | {proxy} -m {mode} 0 data/proxy - "
                    f">/tmp/got.{mode} 2>/tmp/proxy.{mode} & true",
                    f"vchan-socket-proxy {mode}",
                )
            receiver = "client" if sender == "server" else "server"
            got = f"/tmp/got.{receiver}"
            dom0.until(
                f'[ "$(stat -c %s {got})" -ge {amount} ]',
                f"vchan-socket-proxy, {sender} to {receiver}",
                show=f"stat -c %s {got}",
            )
            took += seconds()
        sums = dom0.must(f"sha256sum </tmp/sent; sha256sum <{got}").split()
        if sums[0] != sums[2]:
            raise Failed(f"vchan-socket-proxy: checksum from {sender} to {receiver} differs")
        dom0.must("touch /tmp/fed")
        dom0.until("! grep -q proxy.-m /proc/[0-9]*/cmdline", "vchan-socket-proxy ending")
    dom0.must("rm -f /tmp/sent /tmp/got.* /tmp/fed")
    return {
        "MiB each way": amount // MIB,
        "transfer s": took,
        "MB/s": 2 * amount / 1e6 / max(took, 1e-3),
    }


def kill_channel(run: Run) -> Figures:
    """Kills a client, which maps, in the middle of a transfer; the server must notice."""
    dom0, domain = run.dom0, ensure_guest(run)
    base = {g.ref for g in run.foreign()}
    number = domain.send(f"{CHANNEL} server 0 data/killed {ENDLESS} {RING}")
    domain.says(number, "serving")
    path = f"/local/domain/{domain.domid}/data/killed"
    client = _background(run, f"{CHANNEL} client {domain.domid} {path} {ENDLESS}", "/tmp/client")
    dom0.until("grep -q open /tmp/client", "channel opening")
    check_library(run, "channel's client", client)
    extra = {g.ref for g in run.foreign()} - base
    # The control page, and 16 pages of either ring.
    if len(extra) != 1 + 2 * RING // 4096:
        raise Failed(f"the channel's client has {len(extra)} grants mapped")
    figures = killed(run, client, "channel's client", base)
    status, said = domain.wait(number, "channel's server noticing")
    if status != 3 or last_json(said)["whole"]:
        raise Failed(f"the server does not notice its client's end: status {status}")
    return figures


def kill_channel_server(run: Run) -> Figures:
    """A killed server's byte and event reach its client, and its pages come back."""
    dom0 = run.dom0
    server = _background(run, f"{CHANNEL} server 0 data/killed {ENDLESS} {RING}", "/tmp/server")
    client = _background(run, f"{CHANNEL} client 0 data/killed {ENDLESS}", "/tmp/client")
    dom0.until("grep -q open /tmp/client", "channel opening")
    check_library(run, "channel's server", server)
    check_library(run, "channel's client", client)
    mapped = [g for g in dom0.mapped() if g.granter == 0]
    if not mapped:
        raise Failed("the channel's client has no grant mapped")
    dom0.must(f"kill -9 {server}")
    dom0.until(f"! kill -0 {client}", "channel's client noticing")
    if last_json(dom0.must("cat /tmp/client"))["whole"]:
        raise Failed("the client does not notice its server's end")
    found = dom0.settled(lambda grants: all(g.granter != 0 for g in grants))
    left = [g for g in found if g.granter == 0]
    if left:
        raise Failed(f"grants of Dom0 are mapped: {left}")
    return {"mapped before": len(mapped), "mapped after": 0}
