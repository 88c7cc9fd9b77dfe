# SPDX-License-Identifier: BSD-2-Clause
"""The package on a FreeBSD Dom0, a helper domain at the other end: freebsd_checks.py PEER [NAME...]

Run there by test_freebsd.py, with nothing but Python's standard library and the package.  PEER is
the program that makes a helper domain and sets its pages and grants.  Each check prints "ok NAME",
or its traceback and "failed NAME".
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Callable
from pathlib import Path

from xengnttab import (
    PAGE_SIZE,
    CopyStatus,
    EventChannel,
    GrantShare,
    GrantTable,
    MapError,
    Place,
    Segment,
)

PAGES, FIRST, READ_ONLY = 8, 16, 24
# Xen's flags of a grant entry.
PERMIT, READING, WRITING = 1, 8, 16
# For an emulated machine, where an interpreter takes seconds to start.
PATIENCE = 120


class Peer:
    """The helper domain."""

    def __init__(self, program: str) -> None:
        self.process = subprocess.Popen(
            [program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.domid = int(self("new pages=8")["domid"], 0)
        self.refs = [FIRST + number for number in range(PAGES)]

    def __call__(self, request: str) -> dict[str, str]:
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.write(request + "\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline().strip()
        assert answer.startswith("ok"), f"{request}: {answer}"
        return dict(word.split("=", 1) for word in answer.split()[1:])

    def reset(self) -> None:
        """Page n begins with 32 letters, "a" in the first; all are granted, the first twice."""
        self("clear")
        for number, ref in enumerate(self.refs):
            self(f"write {number} 0 {(bytes([ord('a') + number]) * 32).hex()}")
            self(f"grant {ref} {number} {PERMIT}")
        self(f"grant {READ_ONLY} 0 {PERMIT | 4}")

    def read(self, page: int, offset: int, length: int) -> bytes:
        return bytes.fromhex(self(f"read {page} {offset} {length}")["data"])

    def write(self, page: int, data: bytes) -> None:
        self(f"write {page} 0 {data.hex()}")

    def flags(self, ref: int) -> int:
        return int(self(f"entry {ref}")["flags"], 0)

    def idle(self) -> None:
        """Unmapping may end a moment after the call."""
        until(lambda: not any(self.flags(ref) & (READING | WRITING) for ref in self.refs))


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, "it never came true"
        time.sleep(0.05)


def command(*arguments: str, **options: object) -> subprocess.Popen[str]:
    pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    return subprocess.Popen(  # type: ignore[call-overload,no-any-return]
        [sys.executable, "-m", "xengnttab", *arguments], **{"text": True, **pipes, **options}
    )


def ended(process: subprocess.Popen[str], given: str | None = None) -> tuple[int, str, str]:
    out, err = process.communicate(given, timeout=PATIENCE)
    return process.returncode, out, err


# The package ------------------------------------------------------------------------


def maps(peer: Peer) -> None:
    with GrantTable() as table:
        with table.map(peer.domid, peer.refs[::-1], writable=True) as mapping:
            assert [mapping.read(2, n * PAGE_SIZE) for n in range(PAGES)] == [
                bytes([ord("a") + n]) * 2 for n in reversed(range(PAGES))
            ]
            with mapping.view() as view:
                view[5 * PAGE_SIZE + 100] = 77
            assert peer.read(2, 100, 1) == b"M"
            assert peer.flags(peer.refs[0]) & WRITING
        peer.idle()
        with table.map(peer.domid, READ_ONLY) as mapping:
            assert mapping.readonly and mapping.read(3) == b"aaa"
        for refs in ([READ_ONLY], [0xFFFFF]):
            try:
                table.map(peer.domid, refs, writable=True)
            except MapError as error:
                assert error.name == "EINVAL"
            else:
                raise AssertionError("mapped what is not granted")


def copies(peer: Peer) -> None:
    with GrantTable() as table:
        assert table.can_copy
        assert table.read(peer.domid, peer.refs[1], 4, 30) == b"bb\0\0"
        table.write(peer.domid, peer.refs[1], b"copied", 4090)
        assert peer.read(1, 4090, 6) == b"copied"
        buffer = bytearray(8)
        statuses = table.copy([
            Segment(Place(peer.domid, READ_ONLY), buffer),
            Segment(b"x", Place(peer.domid, READ_ONLY)),
            Segment(Place(peer.domid, 0xFFFFF), bytearray(1)),
        ])  # fmt: skip
        assert statuses[0] is CopyStatus.OKAY and buffer == b"a" * 8
        assert statuses[1] and statuses[2]


def shares(peer: Peer) -> None:
    with GrantShare() as share, share.share(peer.domid, 2, writable=True) as pages:
        pages.write(b"from Dom0", PAGE_SIZE)
        slot = peer(f"map {pages.refs[1]}")["slot"]
        assert bytes.fromhex(peer(f"look {slot} 0 9")["data"]) == b"from Dom0"
        peer(f"store {slot} 0 {b'to'.hex()}")
        assert pages.read(4, PAGE_SIZE) == b"to" + b"om"
        peer(f"unmap {slot}")


def notifies(peer: Peer) -> None:
    """The byte, then the event, both when a mapping is closed and when its process is killed."""
    with EventChannel(0) as near, EventChannel(0, near.port) as far:
        far.wait(1)  # bound to another, one is pending
        with GrantTable() as table:
            mapping = table.map(
                peer.domid, peer.refs[3], writable=True, notify_byte=9, notify_port=near.port
            )
            assert peer.read(3, 9, 1) == b"d"
            assert not far.wait(0.2)
            mapping.close()
            assert far.wait(PATIENCE)
            assert peer.read(3, 8, 3) == b"d\0d"
        program = (
            "import sys, time; from xengnttab import GrantTable; "
            f"m = GrantTable().map({peer.domid}, {peer.refs[4]}, writable=True, notify_byte=3); "
            "print('mapped', flush=True); time.sleep(1000)"
        )
        holder = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE)
        assert holder.stdout is not None and holder.stdout.readline() == b"mapped\n"
        assert peer.read(4, 3, 1) == b"e"
        holder.kill()
        holder.wait()
        until(lambda: peer.read(4, 3, 1) == b"\0")


def events(peer: Peer) -> None:
    with EventChannel(0) as near, EventChannel(0, near.port) as far:
        assert far.wait(PATIENCE) and not far.pending()
        for _ in range(50):
            near.notify()
            assert far.wait(PATIENCE)
            far.notify()
            assert near.wait(PATIENCE)
        assert not near.wait(0.1)


def events_in_asyncio(peer: Peer) -> None:
    """In the default loop, whose kqueue does not know the device."""

    async def play() -> str:
        with EventChannel(0) as near, EventChannel(0, near.port) as far:
            assert await far.wait_async(PATIENCE)
            assert not await near.wait_async(0.1)
            waiting = asyncio.create_task(near.wait_async(PATIENCE))
            await asyncio.sleep(0.1)
            far.notify()
            assert await waiting
            return type(asyncio.get_running_loop()._selector).__name__  # type: ignore[attr-defined]

    print(f"the loop's selector is {asyncio.run(play())}")


def threads_and_close(peer: Peer) -> None:
    def loop(table: GrantTable) -> None:
        with contextlib.suppress(ValueError):
            while True:
                table.map(peer.domid, peer.refs[:3]).close()

    for _ in range(10):
        table = GrantTable()
        threads = [threading.Thread(target=loop, args=(table,)) for _ in range(2)]
        for thread in threads:
            thread.start()
        time.sleep(0.02)
        table.close()
        for thread in threads:
            thread.join(PATIENCE)
            assert not thread.is_alive()
    peer.idle()


def fork(peer: Peer) -> None:
    with GrantTable() as table, table.map(peer.domid, peer.refs[0]) as mapping:
        child = os.fork()
        if child == 0:
            status = 1
            with contextlib.suppress(BaseException):
                try:
                    mapping.close()
                except RuntimeError:
                    table.close()
                    with GrantTable() as own, own.map(peer.domid, peer.refs[1]) as page:
                        status = 0 if page.read(1) == b"b" else 2
            os._exit(status)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert mapping.read(1) == b"a"
    with GrantShare() as share:
        assert not os.get_inheritable(share.fileno())


# The command --------------------------------------------------------------------------


def command_map_and_copy(peer: Peer) -> None:
    domid, ref = str(peer.domid), str(peer.refs[0])
    assert ended(command("map", domid, ref, "--text", "--hold", "0")) == (
        0, "a" * 32 + "\n", f"mapped 1 page of domain {domid} read-only\n",
    )  # fmt: skip
    assert ended(command("copy", domid, ref, "--write", "by copy"))[0] == 0
    assert peer.read(0, 0, 8) == b"by copya"
    status, out, _ = ended(command("copy", domid, ref, "--length", "7", "--raw"))
    assert (status, out) == (0, "by copy")
    assert ended(command("map", domid, "999999", "--hold", "0"))[0] == 1


def command_share(peer: Peer) -> None:
    sharer = command("share", str(peer.domid), "--writable", "--write", "hello", "--text")
    assert sharer.stdout is not None
    ref = sharer.stdout.readline().split()[-1]
    slot = peer(f"map {ref}")["slot"]
    assert bytes.fromhex(peer(f"look {slot} 0 5")["data"]) == b"hello"
    peer(f"store {slot} 0 {b'J'.hex()}")
    peer(f"unmap {slot}")
    assert ended(sharer, "\n") == (0, "Jello\n", "")


def command_notify(peer: Peer) -> None:
    arm = command("notify", "arm", str(peer.domid), str(peer.refs[5]), "--byte", "7", "--json")
    assert arm.stdout is not None
    assert json.loads(arm.stdout.readline())["byte"] == 7
    assert peer.read(5, 7, 1) == b"\1"
    assert ended(arm, "\n")[0] == 0
    assert peer.read(5, 7, 1) == b"\0"
    watch = command("notify", "watch", str(peer.domid), "--byte", "7", "--json")
    assert watch.stdout is not None
    said = json.loads(watch.stdout.readline())
    assert said["port"] > 0
    slot = peer(f"map {said['ref']}")["slot"]
    peer(f"store {slot} 7 00")
    status, out, _ = ended(watch)
    assert (status, json.loads(out)["event"]) == (0, "cleared")
    peer(f"unmap {slot}")


def command_system(peer: Peer) -> None:
    status, out, err = ended(command("probe", "--json"))
    assert (status, err) == (0, ""), (out, err)
    answers = json.loads(out)["answers"]
    for name in ("map grants", "share pages", "grant copy", "event channels"):
        assert answers[name]["works"], answers
    status, out, err = ended(command("stat", "--json"))
    assert (status, err) == (0, "")
    values = json.loads(out)["values"]
    assert values["hw.xen.gntdev.limit"] > 0 and values["hw.xen.gntalloc.limit"] > 0
    refs = [str(ref) for ref in peer.refs]
    status, out, err = ended(command("bench", "--seconds", "0.1", "--json", str(peer.domid), *refs))
    assert (status, err) == (0, "")
    names = {figure["name"] for figure in json.loads(out)["figures"]}
    assert names >= {"share, unshare", "map, unmap", "copy"}


def command_input_at_its_end(peer: Peer) -> None:
    """kqueue(2) never reports a regular file at its end."""
    with tempfile.TemporaryFile() as empty, tempfile.TemporaryFile() as line:
        line.write(b"a line\n")
        line.seek(0)
        reader, writer = os.pipe()
        os.close(writer)
        ours, theirs = socket.socketpair()
        ours.close()
        for source in (empty, line, subprocess.DEVNULL, reader, theirs):
            status, out, _ = ended(command("share", str(peer.domid), stdin=source))
            assert status == 0 and "grant references" in out
        os.close(reader)
        theirs.close()
    status, out, _ = ended(
        command("share", str(peer.domid), stdin=None, preexec_fn=lambda: os.close(0))
    )
    assert status == 0 and "grant references" in out


def command_signals(peer: Peer) -> None:
    holder = command("share", str(peer.domid), "--hold", "forever", stdin=subprocess.DEVNULL)
    assert holder.stdout is not None
    assert "grant references" in holder.stdout.readline()
    time.sleep(1)
    assert holder.poll() is None
    holder.send_signal(signal.SIGTERM)
    assert ended(holder)[0] == 0


def command_output(peer: Peer) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    assert ended(command("probe", stdout=writer)) == (4, None, "")  # type: ignore[comparison-overlap]
    os.close(writer)
    status, _, err = ended(command("--help", preexec_fn=lambda: os.close(1), stdout=None))
    assert status == 4 and "cannot write to standard output" in err


# The text of README.md and the programs of examples/ ----------------------------------------


def readme(peer: Peer) -> None:
    """Runs the two examples for Dom0, with the helper domain as domain 1."""
    peer.write(0, b"hello")
    for path in sorted(Path("/usr/local/share/xengnttab/readme").glob("*.py")):
        program = path.read_text().replace("domid=1", f"domid={peer.domid}")
        program = program.replace("refs=[8]", f"refs=[{peer.refs[0]}]")
        program = program.replace("ref=8", f"ref={peer.refs[0]}")
        if "GrantShare" in program:
            program = program.replace("domid=0", f"domid={peer.domid}")
        said = subprocess.run(
            [sys.executable, "-c", program], input="\n", capture_output=True, text=True,
            check=True, timeout=PATIENCE,
        )  # fmt: skip
        assert said.stderr == ""
        assert said.stdout.strip().isdigit() or said.stdout == "b'hello'\n", said


def examples(peer: Peer) -> None:
    where = "/usr/local/share/xengnttab/examples"
    domid = str(peer.domid)
    subprocess.run(
        [sys.executable, f"{where}/copy_page.py", domid, "/tmp/page", str(peer.refs[2])],
        check=True, timeout=PATIENCE,
    )  # fmt: skip
    assert Path("/tmp/page").read_bytes() == b"c" * 32 + bytes(PAGE_SIZE - 32)
    said = subprocess.run(
        [sys.executable, f"{where}/share_page.py", "read", domid, str(peer.refs[2])],
        check=True, timeout=PATIENCE, capture_output=True, text=True,
    )  # fmt: skip
    assert said.stdout == "c" * 32 + "\n"


def example_ring(peer: Peer) -> None:
    """Both ends of ring.py in turn; the helper domain is the other end and sends the events."""
    script = "/usr/local/share/xengnttab/examples/ring.py"
    size, header = 2048, 8
    content = bytes(range(1, 256)) * 20
    receiver = subprocess.Popen(
        [sys.executable, script, "receive", str(peer.domid)], stdout=subprocess.PIPE
    )
    assert receiver.stdout is not None
    ref, port = receiver.stdout.readline().split()
    slot = peer(f"map {int(ref)}")["slot"]
    near = peer(f"event_bind {int(port)}")["port"]

    def counter(offset: int) -> int:
        return int.from_bytes(bytes.fromhex(peer(f"look {slot} {offset} 4")["data"]), "little")

    data, produced = content + b"\0", 0
    while produced < len(data):
        room = size - (produced - counter(4))
        at = produced % size
        part = data[produced : produced + min(room, size - at, 1000)]
        if part:
            peer(f"store {slot} {header + at} {part.hex()}")
            produced += len(part)
            peer(f"store {slot} 0 {produced.to_bytes(4, 'little').hex()}")
            peer(f"event_send {near}")
    out, _ = receiver.communicate(timeout=PATIENCE)
    assert receiver.returncode == 0 and out == content
    peer(f"unmap {slot}")

    far = peer("event_alloc")["port"]
    peer.write(0, bytes(header))
    sender = subprocess.Popen(
        [sys.executable, script, "send", str(peer.domid), str(peer.refs[0]), far],
        stdin=subprocess.PIPE,
    )
    assert sender.stdin is not None
    sender.stdin.write(content)
    sender.stdin.close()

    def available() -> int:
        return int.from_bytes(peer.read(0, 0, 4), "little")

    taken = bytearray()
    while not taken.endswith(b"\0"):
        end = available()
        time.sleep(0.05 * (end == len(taken)))
        while len(taken) < end:
            at = len(taken) % size
            taken += peer.read(0, header + at, min(end - len(taken), size - at))
        peer(f"write 0 4 {len(taken).to_bytes(4, 'little').hex()}")
        peer(f"event_send {far}")
    assert taken == content + b"\0"
    assert sender.wait(PATIENCE) == 0


CHECKS = (
    maps, copies, shares, notifies, events, events_in_asyncio, threads_and_close, fork,
    command_map_and_copy, command_share, command_notify, command_system,
    command_input_at_its_end, command_signals, command_output, readme, examples,
    example_ring,
)  # fmt: skip


def main() -> None:
    program, *names = sys.argv[1:]
    peer = Peer(program)
    print(f"Python {sys.version.split()[0]} on {sys.platform}, domain {peer.domid}", flush=True)
    for check in CHECKS:
        if names and check.__name__ not in names:
            continue
        try:
            peer.reset()
            check(peer)
            peer.idle()
            print(f"ok {check.__name__}", flush=True)
        except Exception:
            print(traceback.format_exc(), flush=True)
            print(f"failed {check.__name__}", flush=True)
    peer("destroy")


if __name__ == "__main__":
    main()
