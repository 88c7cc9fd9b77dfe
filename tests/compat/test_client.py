# SPDX-License-Identifier: BSD-2-Clause
"""Framing of the protocol, on a scripted transport."""

from __future__ import annotations

import os
import threading

import pytest
from agent.client import Agent, AgentError, Errno, Fault, PipeTransport, Worker, WorkerDied


class Script:
    """Answers in order; ``{n}`` stands for the sequence number of the last request."""

    def __init__(self, *answers: str) -> None:
        self.answers = list(answers)
        self.sent: list[str] = []

    def sendline(self, line: str) -> None:
        self.sent.append(line)

    def readline(self, timeout: float) -> str:
        seq = int(self.sent[-1].split()[0]) if self.sent else 0
        return self.answers.pop(0).format(n=seq, before=seq - 1)


def test_values() -> None:
    script = Script("{n} ok addr=0x1000 fd=7 data=00ff")
    reply = Agent(script).call("op 1 2")
    assert script.sent == ["1 op 1 2"]
    assert reply.int("addr") == 4096
    assert reply.int("fd") == 7
    assert reply.bytes() == b"\0\xff"
    for ask in (lambda: reply.int("no"), lambda: reply.text("no"), lambda: reply.bytes("fd")):
        with pytest.raises(AgentError):
            ask()


def test_errno_and_fault() -> None:
    agent = Agent(Script("{n} err ENOSPC", "{n} err E4711 odd", "{n} fault SIGBUS"))
    with pytest.raises(Errno) as caught:
        agent.call("x")
    assert (caught.value.word, caught.value.errno) == ("ENOSPC", 28)
    with pytest.raises(Errno) as caught:
        agent.call("x")
    assert (caught.value.word, caught.value.errno, caught.value.detail) == ("E4711", None, "odd")
    with pytest.raises(Fault) as fault:
        agent.call("x")
    assert fault.value.word == "SIGBUS"


def test_a_protocol_error_is_the_rigs_fault() -> None:
    with pytest.raises(AgentError, match="usage: open"):
        Agent(Script("{n} err EPROTO usage: open PATH")).call("open")


@pytest.mark.parametrize(
    "answer",
    [
        "? err EPROTO not a request",
        "! ready",
        "gibberish",
        "{n} maybe",
        "{n} err",
        "{n} ok novalue",
    ],
)
def test_nonsense_is_the_rigs_fault(answer: str) -> None:
    with pytest.raises(AgentError):
        Agent(Script(answer)).call("x")


def test_answers_out_of_order() -> None:
    agent = Agent(Script("{n} ok v=2", "{before} ok v=1"))
    first, second = agent.submit("slow"), agent.submit("quick")
    assert first.result().int("v") == 1
    assert second.result().int("v") == 2


def test_death_answers_what_was_asked() -> None:
    agent = Agent(Script("{before} ok", "{n} ok addr=0", "! signal SIGSEGV"))
    worker = agent.begin("case")
    with pytest.raises(WorkerDied) as caught:
        worker.close(3)
    assert caught.value.word == "SIGSEGV"
    # No later call waits for a worker that is not there.
    with pytest.raises(WorkerDied):
        worker.close(4)
    assert agent.finish() == "signal SIGSEGV"


def test_an_answer_before_death_counts() -> None:
    agent = Agent(Script("{before} ok", "{n} ok addr=0", "{n} ok fd=5", "! exit 99"))
    worker = agent.begin("case")
    assert worker.open("gntdev") == 5
    assert agent.finish() == "exit 99"


def test_the_kernels_log_belongs_to_its_case() -> None:
    begun = ("{before} ok", "{n} ok addr=0")
    agent = Agent(Script(*begun, "{n} ok", "! log 4 WARNING: CPU: 0", "! exit 0", *begun))
    agent.begin("one")
    assert agent.finish() == "exit 0"
    assert agent.kernel_log == ["WARNING: CPU: 0"]
    agent.begin("two")
    assert agent.kernel_log == []


def test_sub_agents_are_addressed() -> None:
    script = Script("{n} ok sub=2 pid=77", "{n} ok sub=1", "{n} ok", "{n} ok signal=SIGKILL")
    worker = Worker(Agent(script))
    child = worker.fork()
    thread = child.thread()
    thread.close(3)
    assert worker.wait(child) == "SIGKILL"
    assert script.sent == ["1 fork", "2 @2 thread", "3 @2 @1 close 3", "4 wait 2"]
    with pytest.raises(AgentError, match="not a direct child"):
        worker.wait(thread)


def test_long_data_goes_in_pieces() -> None:
    script = Script("{n} ok", "{n} ok", "{n} ok")
    Worker(Agent(script)).poke(0x1000, b"\xab" * 2500)
    assert [line.split()[2] for line in script.sent] == ["0x1000", "0x1400", "0x1800"]
    assert sum(len(line.split()[3]) for line in script.sent) == 5000


def test_pipes_cut_lines() -> None:
    read_end, write_end = os.pipe()
    pipes = PipeTransport(read_end, write_end)
    try:
        os.write(write_end, b"one\ntw")
        assert pipes.readline(5) == "one"
        late = threading.Timer(0.05, os.write, (write_end, b"o\n"))
        late.start()
        assert pipes.readline(60) == "two"
        late.join()
        with pytest.raises(TimeoutError):
            pipes.readline(0.01)
    finally:
        os.close(write_end)
    with pytest.raises(EOFError):
        pipes.readline(1)
    os.close(read_end)


def test_hello_asks_again_after_noise() -> None:
    script = Script("? err EPROTO not a request", "{n} ok os=Linux")
    assert Agent(script).hello() == {"os": "Linux"}
    with pytest.raises(AgentError):
        Agent(Script(*["? err EPROTO not a request"] * 3)).hello()


def test_event_channel_requests() -> None:
    script = Script(
        "{n} ok port=8",
        "{n} ok port=9",
        "{n} ok ports=none",
        "{n} ok ports=9,12,9",
        "{n} ok in=4 out=5",
        "{n} ok n=64",
        "{n} err EINVAL",
    )
    worker = Worker(Agent(script), "@1 ")
    assert worker.bind_unbound(3, 0x7FF0) == 8
    assert worker.bind_interdomain(4, 0, 8) == 9
    assert worker.events(4) == []
    assert worker.events(4, 500) == [9, 12, 9]
    assert worker.pipe() == (4, 5)
    assert worker.vmsplice(5, 0x1000, 64) == 64
    with pytest.raises(Errno, match="EINVAL"):
        worker.notify(3, 8)
    assert [line.split(" ", 1)[1] for line in script.sent] == [
        "@1 bind_unbound 3 32752",
        "@1 bind_interdomain 4 0 8",
        "@1 events 4 0",
        "@1 events 4 500",
        "@1 pipe",
        "@1 vmsplice 5 0x1000 64",
        "@1 notify 3 8",
    ]
