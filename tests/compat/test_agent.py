# SPDX-License-Identifier: BSD-2-Clause
"""The agent on plain Linux: its operations without any grant device, and its answers to malformed
requests."""

from __future__ import annotations

import os
import random
import re
import socket
import struct
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from agent.client import PAGE, Agent, AgentError, Errno, Fault, PipeTransport, Worker, WorkerDied

PROGRAMS = ("xengnt-agent", "xengnt-agent-dyn")


class Process:
    """An agent of this machine."""

    def __init__(self, program: Path, *args: str, helper: int | None = None) -> None:
        self.popen = subprocess.Popen(
            [program, *args],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, **({} if helper is None else {"XENGNT_EVENT_HELPER": str(helper)})},
            pass_fds=() if helper is None else (helper,),
        )
        assert self.popen.stdin is not None and self.popen.stdout is not None
        pipes = PipeTransport(self.popen.stdout.fileno(), self.popen.stdin.fileno())
        self.transport = pipes
        self.agent = Agent(pipes, timeout=60)
        self.agent.wait_ready()

    def close(self) -> int:
        assert self.popen.stdin is not None and self.popen.stdout is not None
        self.popen.stdin.close()
        status = self.popen.wait(60)
        self.popen.stdout.close()
        return status


@pytest.fixture(params=PROGRAMS)
def process(request: pytest.FixtureRequest, build: Path) -> Iterator[Process]:
    program = build / "compat-tests/agent" / request.param
    if not program.exists():
        pytest.skip(f"{request.param} is not part of this build")
    process = Process(program)
    yield process
    process.close()


@pytest.fixture
def agent(process: Process) -> Agent:
    return process.agent


@pytest.fixture
def worker(agent: Agent) -> Iterator[Worker]:
    with agent.case("unit") as worker:
        yield worker


def test_hello_names_the_system(agent: Agent) -> None:
    facts = agent.hello()
    assert facts["proto"] == "1"
    assert facts["os"] == "Linux"
    assert facts["harness"] == "0"


def test_memory_goes_in_and_out(worker: Worker) -> None:
    address = worker.alloc(2 * PAGE)
    data = bytes(range(256)) * 20
    worker.poke(address + 3, data)
    assert worker.peek(address + 3, len(data)) == data
    assert worker.peek(address, 3) == bytes(3)


def test_check_finds_the_one_other_byte(worker: Worker) -> None:
    address = worker.alloc(PAGE)
    worker.fill(address, PAGE, 0x5A)
    assert worker.check(address, PAGE, 0x5A)
    worker.poke(address + PAGE - 1, b"\0")
    assert not worker.check(address, PAGE, 0x5A)
    assert worker.check(address, PAGE - 1, 0x5A)


def test_references_are_laid_out_as_the_abi_says(worker: Worker) -> None:
    address = worker.alloc(PAGE)
    worker.refs(address, 3, 7, 100, 5)
    words = [worker.u32(address + 4 * n) for n in range(7)]
    assert words == [7, 100, 7, 105, 7, 110, 0]


@pytest.mark.parametrize(
    ("prot", "store", "load"),
    [("rw", "ok", "ok"), ("r", "SIGSEGV", "ok"), ("none",) + ("SIGSEGV",) * 2],
)
def test_faults_are_answers(worker: Worker, prot: str, store: str, load: str) -> None:
    address = worker.alloc(PAGE, prot)

    def word(call: object, *args: object) -> str:
        try:
            call(*args)  # type: ignore[operator]
        except Fault as fault:
            return fault.word
        return "ok"

    assert word(worker.poke, address, b"x") == store
    assert word(worker.peek, address, 1) == load
    assert word(worker.fill, address, 1, 0) == store
    assert word(worker.check, address, 1, 0) == load


def test_errors_come_by_name(worker: Worker) -> None:
    with pytest.raises(Errno) as caught:
        worker.open("/nonexistent")
    assert caught.value.word == "ENOENT"
    assert caught.value.errno == 2
    with pytest.raises(Errno, match="EBADF"):
        worker.close(899)
    with pytest.raises(Errno, match="EINVAL"):
        worker.munmap(1)
    fd = worker.open("/dev/null")
    with pytest.raises(Errno, match="ENOTTY"):
        worker.ioctl(fd, "IOCTL_GNTDEV_MAP_GRANT_REF", worker.alloc())


def test_the_agent_keeps_its_own_socket(worker: Worker) -> None:
    with pytest.raises(AgentError, match="own"):
        worker.close(900)
    assert worker.alloc()


def test_duplicates_and_poll(worker: Worker) -> None:
    fd = worker.dup(worker.open("/dev/null"))
    assert worker.poll(fd) >= {"in", "out"}
    assert worker.fstat(fd).type == "chr"
    assert worker.write(fd, b"gone") == 4
    assert worker.read(fd, 10) == b""


def test_children_have_their_own_memory(worker: Worker) -> None:
    private, shared = worker.alloc(), worker.alloc(PAGE, "rw", "shared")
    child = worker.fork()
    child.poke(private, b"child")
    child.poke(shared, b"child")
    assert worker.peek(private, 5) == bytes(5)
    assert worker.peek(shared, 5) == b"child"
    grandchild = child.fork()
    assert grandchild.peek(private, 5) == b"child"
    child.kill(grandchild, "SIGTERM")
    assert child.wait(grandchild) == "SIGTERM"
    child.exit(7)
    assert worker.wait(child) == "exit 7"


def test_threads_share_memory(worker: Worker) -> None:
    address = worker.alloc()
    thread = worker.thread()
    thread.poke(address, b"thread")
    assert worker.peek(address, 6) == b"thread"
    with pytest.raises(Fault):
        thread.peek(8, 1)
    thread.exit()
    assert worker.wait(thread) == "exit 0"


def test_a_blocked_child_does_not_block_the_worker(worker: Worker) -> None:
    child = worker.fork()
    pending = child.submit("sleep 60000")
    assert worker.alloc()
    worker.kill(child)
    assert worker.wait(child) == "SIGKILL"
    assert pending.seq


def test_descriptors_travel(worker: Worker, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("through the socket")
    child = worker.fork()
    fd = worker.open(str(file), "rdonly")
    received = worker.send_fd(child, fd)
    worker.close(fd)
    assert child.read(received, 100) == b"through the socket"


def test_events_are_read_and_written_back(worker: Worker, tmp_path: Path) -> None:
    """A FIFO stands for the event channel device: what is written to it can be read again."""
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    fd = worker.open(str(fifo))
    assert worker.events(fd) == []
    worker.write(fd, struct.pack("<3I", 7, 4294967295, 7))
    assert worker.events(fd) == [7, 4294967295, 7]
    assert worker.events(fd) == [7, 4294967295, 7]
    worker.read(fd, 100)
    begun = time.monotonic()
    assert worker.events(fd, 80) == []
    assert time.monotonic() - begun >= 0.08
    pending = worker.submit(f"events {fd} 60000")
    os.write(os.open(fifo, os.O_WRONLY | os.O_NONBLOCK), struct.pack("<I", 5))
    assert pending.result(60).text("ports") == "5"
    assert worker.events(worker.open("/dev/null")) == []
    with pytest.raises(Errno, match="EBADF"):
        worker.events(899)


def test_event_channel_commands_reach_the_descriptor(worker: Worker) -> None:
    fd = worker.open("/dev/null")
    for call in (
        lambda: worker.bind_unbound(fd, 0),
        lambda: worker.bind_interdomain(fd, 0, 1),
        lambda: worker.bind_virq(fd, 3),
        lambda: worker.unbind(fd, 1),
        lambda: worker.notify(fd, 1),
    ):
        with pytest.raises(Errno, match="ENOTTY"):
            call()


def test_memory_is_the_buffer_of_a_call(worker: Worker) -> None:
    address = worker.alloc()
    out, into = worker.pipe()
    worker.poke(address, b"there and back")
    assert worker.write_from(into, address, 14) == 14
    assert worker.read_to(out, address + 100, 14) == 14
    assert worker.peek(address + 100, 14) == b"there and back"
    worker.write(into, b"x")
    with pytest.raises(Errno, match="EFAULT"):
        worker.read_to(out, 8, 1)
    with pytest.raises(Errno, match="EFAULT"):
        worker.write_from(into, 8, 1)


def test_advice_reaches_the_memory(worker: Worker) -> None:
    address = worker.alloc()
    worker.poke(address, b"gone")
    worker.madvise(address, PAGE, "dontneed")
    assert worker.peek(address, 4) == bytes(4)


def test_a_pipe_holds_pages_and_not_copies(worker: Worker) -> None:
    address = worker.alloc()
    out, into = worker.pipe()
    worker.poke(address, b"before")
    assert worker.vmsplice(into, address, 6) == 6
    worker.poke(address, b"after.")
    assert worker.read(out, 100) == b"after."
    with pytest.raises(Errno, match="EBADF"):
        worker.vmsplice(worker.open("/dev/null"), address, 6)


def test_exec_keeps_descriptors_and_drops_memory(worker: Worker) -> None:
    keep, lose = worker.open("/dev/null"), worker.open("/dev/null", "cloexec")
    address = worker.alloc()
    worker.poke(address, b"old")
    worker.exec()
    assert worker.write(keep, b"x") == 1
    with pytest.raises(Errno, match="EBADF"):
        worker.write(lose, b"x")
    with pytest.raises(Fault):
        worker.peek(address, 3)


@pytest.mark.parametrize("signal", ["SIGKILL", "SIGSEGV", "SIGABRT"])
def test_the_supervisor_survives_its_worker(agent: Agent, signal: str) -> None:
    worker = agent.begin("dies")
    with pytest.raises(WorkerDied) as caught:
        worker.call(f"kill self {signal}")
        worker.call("sleep 60000")
    assert caught.value.word == signal
    assert agent.finish() == f"signal {signal}"
    with agent.case("next") as worker:
        assert worker.alloc()


def test_a_stuck_worker_is_aborted(agent: Agent) -> None:
    worker = agent.begin("stuck")
    worker.submit("sleep 60000")
    assert agent.abort() == "signal SIGKILL"
    assert agent.hello()["proto"] == "1"


def test_nothing_of_a_case_outlives_it(agent: Agent) -> None:
    worker = agent.begin("leaves a child")
    child = worker.fork()
    grandchild = child.fork()
    pids = [child.pid, grandchild.pid]
    worker.kill(child, "SIGSTOP")
    worker.call("exit 3")
    assert agent.finish() == "exit 3"
    # Their files are closed by now; a dying process may take a moment for its last steps.
    for pid in pids:
        while _runs(Path(f"/proc/{pid}/stat")):
            time.sleep(0.01)


def _runs(stat: Path) -> bool:
    try:
        return stat.read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_no_operation_without_a_case(agent: Agent) -> None:
    with pytest.raises(AgentError, match="no case is active: open"):
        agent.call("open /dev/null")
    with agent.case("one"), pytest.raises(AgentError, match="a case is active"):
        agent.call("case two")


def test_poweroff_is_not_for_everybody(agent: Agent) -> None:
    with pytest.raises(Errno, match="EPERM"):
        agent.call("poweroff")


def test_no_peer_without_a_program(agent: Agent) -> None:
    with pytest.raises(Errno, match="ENXIO"):
        agent.peer("info")


@pytest.mark.parametrize(
    "line",
    [
        "x hello",
        "-1 hello",
        "1",
        "1 ",
        " ",
        "99999999999999999999999999999999999999 hello",
        "1 hel\tlo",
        "1 \x01\x02",
        "@1 open",
        "\xff\xfe\xfd",
        "1\0 hello",
        "?" * 65535,
        "1 " + "a" * 65536,
        "y" * 200000,
    ],
    ids=range(14),
)
@pytest.mark.parametrize("active", [False, True], ids=["idle", "case"])
def test_rubbish_is_refused_in_words(process: Process, line: str, active: bool) -> None:
    if active:
        process.agent.begin("rubbish")
    assert process.popen.stdin is not None
    process.popen.stdin.write(line.encode("latin-1") + b"\n")
    process.popen.stdin.flush()
    if line:
        answer = process.transport.readline(60)
        assert " err EPROTO " in answer
        assert len(answer) < 200
    if active:
        assert process.agent.finish() == "exit 0"
    assert process.agent.hello()["proto"] == "1"


@pytest.mark.parametrize(
    "request_",
    [
        "nonsense",
        "open",
        "open a b c d e f g h",
        "open /dev/null sideways",
        "peek 0x 1",
        "peek 0 99999999999",
        "peek -1 1",
        "peek 0x1ffffffffffffffff 1",
        "poke 0 xyz",
        "poke 0 abc",
        "mmap 0 1 q shared 1 0",
        "mmap 0 1 r sideways 1 0",
        "mmap 0 1 r shared+ 1 0",
        "mmap 0 1 r aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa 1 0",
        "ioctl 1 IOCTL_NOTHING 0",
        "ioctl 1 12 0",
        "fill 0 1 256",
        "wait 1",
        "wait x",
        "kill 1 SIGTERM",
        "kill self NOTHING",
        "@1 alloc 1",
        "@",
        "@ x",
        "@1",
        "@@@ @@@",
        "exit 256",
        "limit other",
        "limit gntdev 99999999999",
        "unload ext4",
        "refs 0 4294967297 0 0 0",
        "sleep 99999999",
        "events 0",
        "events 0 -1",
        "events x 1",
        "bind_unbound 0 4294967296",
        "bind_interdomain 0 1",
        "notify 0 x",
        "vmsplice x 0 1",
        "readto 0 0 99999999",
        "writefrom 0 x 1",
        "received",
        "sendfd 1 1",
        "a b c d e f g h i j k l m n o p q r s t u v",
    ],
)
def test_malformed_operations_are_refused_in_words(worker: Worker, request_: str) -> None:
    with pytest.raises(AgentError) as caught:
        worker.call(request_)
    assert str(caught.value).count("\n") == 0
    assert worker.alloc()


def test_random_lines_do_no_harm(process: Process) -> None:
    """A short run of random requests; the names and numbers get past the first checks."""
    chance = random.Random(1)
    words = (
        "open close dup ioctl read write lseek poll stat fstat alloc mmap munmap mprotect mremap "
        "peek poke check wait sendfd limit pipe bind_unbound unbind notify @1 @2 0 1 -1 0x184700 "
        "/dev/null r w none shared private 4096 18446744073709551615 ff 00 gntdev "
        "IOCTL_GNTDEV_MAP_GRANT_REF"
    ).split()
    process.agent.begin("fuzz")
    stdin = process.popen.stdin
    assert stdin is not None
    for n in range(400):
        text = " ".join(chance.choices(words, k=chance.randint(1, 6)))
        # No random stores or unmapping: they could destroy the agent's own memory.
        if any(word in text for word in ("munmap", "poke", "mprotect", "mremap", "close", "read")):
            continue
        stdin.write(f"{10000 + n} {text}\n".encode())
        stdin.flush()
        answer = process.transport.readline(60)
        assert answer.startswith(f"{10000 + n} "), (text, answer)
        assert answer.split()[1] in ("ok", "err", "fault"), (text, answer)
    assert process.agent.finish() == "exit 0"


def test_the_peer_program_lives_over_cases(build: Path, tmp_path: Path) -> None:
    peer = tmp_path / "peer"
    peer.write_text(
        "#!/bin/sh\nn=0\nwhile read -r op rest; do\n"
        '[ "$op" = die ] && exit 1\n'
        'n=$((n + 1)); echo "ok n=$n op=$op"\ndone\n'
    )
    peer.chmod(0o755)
    process = Process(build / "compat-tests/agent/xengnt-agent-dyn", "--peer", str(peer))
    agent = process.agent
    with agent.case("one"):
        assert agent.peer("info").values == {"n": "1", "op": "info"}
    with agent.case("two"):
        assert agent.peer("read 0 0 4").int("n") == 2
    with pytest.raises(Errno, match="EPIPE"):
        agent.peer("die")
    assert agent.peer("again").int("n") == 1
    assert process.close() == 0


def test_help_and_usage(build: Path) -> None:
    program = build / "compat-tests/agent/xengnt-agent-dyn"
    done = subprocess.run([program, "--help"], capture_output=True, text=True, check=False)
    assert done.returncode == 0
    assert "--serial" in done.stdout
    done = subprocess.run([program, "extra"], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    done = subprocess.run(
        [program, "--serial", "/nonexistent"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert done.stderr.strip() == "xengnt-agent: /nonexistent: No such file or directory"


def test_event_channels_by_a_helper(build: Path) -> None:
    """If ioctl(2) does not know the commands, the helper gets the same file and the command."""
    asked: list[tuple[int, int, int]] = []
    answers = [(0, 7), (107, 0)]

    def serve(at: socket.socket) -> None:
        for error, port in answers:
            data, fds, _, _ = socket.recv_fds(at, 64, 2)
            nr, first, _ = struct.unpack("<III", data)
            asked.append((nr, first, os.fstat(fds[0]).st_rdev))
            reply = socket.socket(fileno=fds[1])
            reply.send(struct.pack("<II", error, port))
            reply.close()
            os.close(fds[0])

    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    program = build / "compat-tests/agent/xengnt-agent"
    process = Process(program, "--gntdev", "/dev/null", helper=theirs.fileno())
    thread = threading.Thread(target=serve, args=(ours,), daemon=True)
    thread.start()
    try:
        with process.agent.case("unit") as worker:
            fd = worker.open("gntdev")
            assert worker.bind_unbound(fd, 5) == 7
            with pytest.raises(Errno, match="ENOTCONN"):
                worker.unbind(fd, 9)
    finally:
        process.close()
        thread.join(20)
        ours.close()
        theirs.close()
    null = os.stat("/dev/null").st_rdev
    assert asked == [(2, 5, null), (3, 9, null)]


def test_no_event_channels_without_a_helper(build: Path) -> None:
    process = Process(build / "compat-tests/agent/xengnt-agent", "--gntdev", "/dev/null")
    try:
        with process.agent.case("unit") as worker, pytest.raises(Errno, match="ENOTTY"):
            worker.bind_unbound(worker.open("gntdev"), 5)
    finally:
        process.close()


def test_the_protocol_is_described() -> None:
    where = Path(__file__).resolve().parents[2] / "compat-tests/agent"
    described = set(re.findall(r"`([a-z_0-9]+)", (where / "PROTOCOL.md").read_text()))
    for source in (*where.glob("ops_*.c"), where / "peer/peer.c"):
        tables = re.findall(r'^\t\{ "([a-z_0-9]+)",', source.read_text(), re.M)
        assert tables, source
        assert set(tables) <= described, source.name
