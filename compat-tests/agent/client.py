# SPDX-License-Identifier: BSD-2-Clause
"""Client of the agent: typed system calls over any byte stream.

The transport is anything with ``sendline(str)`` and ``readline(timeout) -> str``; what it raises if
the other side hangs or dies passes through.  A call that the agent answers with an errno raises
:class:`Errno`, one that faults raises :class:`Fault`.
"""

from __future__ import annotations

import errno as errno_module
import os
import struct
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Protocol

PAGE = 4096
# A serial line's buffers are small; longer data goes in several requests.
CHUNK = 1024
# Requests sent ahead: a serial line's buffers hold this many, and the supervisor queues them.
PIPELINE = 16

# A worker in Python, for Worker.exec().
LIBRARY_WORKER = Path(__file__).with_name("library_worker.py")


class Transport(Protocol):
    def sendline(self, line: str, /) -> None: ...

    def readline(self, timeout: float, /) -> str: ...


class AgentError(OSError):
    """The test bed failed: the agent's answer makes no sense, or it cannot do what was asked."""


class Outcome(OSError):
    """A call that did not succeed; ``word`` is the result that a case compares."""

    def __init__(self, word: str, request: str, number: int | None = None) -> None:
        super().__init__(number, f"{request}: {word}")
        self.word = word
        self.request = request


class Errno(Outcome):
    """A system call failed; ``word`` is the name of the errno, the same on every system."""

    def __init__(self, word: str, request: str, detail: str = "") -> None:
        super().__init__(word, request, getattr(errno_module, word, None))
        self.detail = detail


class Fault(Outcome):
    """An access raised a signal; ``word`` is its name."""


class WorkerDied(OSError):
    """The worker ended in the middle of a case; ``word`` is the signal or ``exit N``.

    Not an :class:`Outcome`: no case may take it for the result of a call.
    """

    def __init__(self, word: str, request: str) -> None:
        super().__init__(f"the worker died ({word}) during {request!r}")
        self.word = word
        self.request = request


@dataclass(frozen=True)
class Reply:
    """The ``k=v`` words of an ``ok`` reply."""

    values: dict[str, str]

    def int(self, key: str) -> int:
        try:
            return int(self.values[key], 0)
        except (KeyError, ValueError):
            raise AgentError(f"reply without a number {key!r}: {self.values}") from None

    def bytes(self, key: str = "data") -> bytes:
        try:
            return bytes.fromhex(self.values[key])
        except (KeyError, ValueError):
            raise AgentError(f"reply without hex data {key!r}") from None

    def text(self, key: str) -> str:
        try:
            return self.values[key]
        except KeyError:
            raise AgentError(f"reply without {key!r}: {self.values}") from None


def parse_values(words: Sequence[str]) -> dict[str, str]:
    values: dict[str, str] = {}
    for word in words:
        key, equals, value = word.partition("=")
        if not equals or not key:
            raise AgentError(f"not a k=v word: {word!r}")
        values[key] = value
    return values


@dataclass
class Pending:
    """A request that was sent; ``result()`` waits for its answer."""

    agent: Agent
    seq: int
    request: str

    def result(self, timeout: float | None = None) -> Reply:
        return self.agent.collect(self, timeout)


@dataclass
class Agent:
    """The supervisor's end: starts cases, talks to the peer, marks the log."""

    transport: Transport
    timeout: float = 60.0
    _seq: int = 0
    _answers: dict[int, list[str]] = field(default_factory=dict)
    # Set by the supervisor's "! exit" or "! signal" line.
    ended: str | None = None
    transcript: list[str] = field(default_factory=list)
    # What the kernel logged during the last case that ended, one line each.
    kernel_log: list[str] = field(default_factory=list)
    # A worker on the other system, if two run side by side.
    beside: Callable[[], Worker] | None = None

    def wait_ready(self, timeout: float | None = None) -> None:
        while self._readline(timeout) != "! ready":
            pass

    def _readline(self, timeout: float | None) -> str:
        line = self.transport.readline(self.timeout if timeout is None else timeout).strip()
        self.transcript.append(f"< {line}")
        return line

    def submit(self, request: str) -> Pending:
        self._seq += 1
        line = f"{self._seq} {request}"
        self.transcript.append(f"> {line}")
        self.transport.sendline(line)
        return Pending(self, self._seq, request)

    def _pump(self, request: str, timeout: float | None) -> None:
        """Reads one line from the stream and files it."""
        line = self._readline(timeout)
        words = line.split()
        if not words:
            return
        if words[0] == "!":
            if words[1:2] == ["ready"]:
                raise AgentError(f"the agent was restarted during {request!r}")
            if words[1:2] == ["log"]:
                self.kernel_log.append(line.split(" ", 3)[-1])
                return
            self.ended = " ".join(words[1:])
        elif words[0] == "?":
            raise AgentError(f"the agent could not read a request ({line}), after {request!r}")
        elif words[0].isdigit() and len(words) > 1:
            self._answers[int(words[0])] = words[1:]
        else:
            raise AgentError(f"not a reply: {line!r}")

    def await_answer(self, pending: Pending, timeout: float | None = None) -> None:
        while pending.seq not in self._answers:
            if self.ended is not None:
                raise WorkerDied(_ending(self.ended), pending.request)
            self._pump(pending.request, timeout)

    def collect(self, pending: Pending, timeout: float | None = None) -> Reply:
        self.await_answer(pending, timeout)
        words = self._answers.pop(pending.seq)
        if words[0] == "ok":
            return Reply(parse_values(words[1:]))
        if words[0] == "fault" and len(words) == 2:
            raise Fault(words[1], pending.request)
        if words[0] == "err" and len(words) > 1:
            detail = " ".join(words[2:])
            # EPROTO is the agent's own error for a request that it does not understand.
            if words[1] == "EPROTO":
                raise AgentError(f"{pending.request}: {detail}")
            raise Errno(words[1], pending.request, detail)
        raise AgentError(f"not a reply to {pending.request!r}: {' '.join(words)}")

    def call(self, request: str, timeout: float | None = None) -> Reply:
        return self.submit(request).result(timeout)

    def call_all(self, requests: Sequence[str]) -> list[Reply]:
        """Sends several independent requests without waiting in between."""
        replies: list[Reply] = []
        for at in range(0, len(requests), PIPELINE):
            pending = [self.submit(request) for request in requests[at : at + PIPELINE]]
            # All are read from the stream before one of them raises.
            for item in pending:
                self.await_answer(item)
            replies += [item.result() for item in pending]
        return replies

    def hello(self, tries: int = 3) -> dict[str, str]:
        """What the agent reports about its system.

        The first request over a serial port may follow a byte of noise from its set-up: the agent
        then says that it read no request, and is asked again.
        """
        while True:
            try:
                return self.call("hello").values
            except AgentError as error:
                tries -= 1
                if tries == 0 or "could not read a request" not in str(error):
                    raise

    def mark(self, text: str) -> None:
        self.call(f"mark {text}")

    def peer(self, request: str) -> Reply:
        return self.call(f"peer {request}")

    def begin(self, name: str) -> Worker:
        self._answers.clear()
        self.kernel_log.clear()
        self.ended = None
        # Two requests in one burst, since nearly every case needs the address.
        started, scratch = self.submit(f"case {name}"), self.submit("scratch")
        started.result()
        return Worker(self, scratch=scratch.result().int("addr"))

    def finish(self) -> str:
        """Ends the case if it still runs; returns how the worker ended: ``exit 0``, ``signal
        NAME``."""
        if self.ended is None:
            self.submit("end")
        while self.ended is None:
            self._pump("end", None)
        ended, self.ended = self.ended, None
        self._answers.clear()
        return ended

    def abort(self, timeout: float | None = None) -> str:
        """Kills a worker that does not answer."""
        if self.ended is None:
            self.submit("abort")
        while self.ended is None:
            self._pump("abort", timeout)
        ended, self.ended = self.ended, None
        self._answers.clear()
        return ended

    @contextmanager
    def case(self, name: str) -> Iterator[Worker]:
        worker = self.begin(name)
        try:
            yield worker
        finally:
            self.finish()


def _ending(ended: str) -> str:
    kind, _, what = ended.partition(" ")
    return what if kind == "signal" else ended


@dataclass(frozen=True)
class Stat:
    type: str
    mode: int
    uid: int
    gid: int


class Worker:
    """System calls in the worker process of a case, or in a thread or child of it."""

    def __init__(
        self,
        agent: Agent,
        address: str = "",
        pid: int | None = None,
        scratch: int | None = None,
    ) -> None:
        self.agent = agent
        self.address = address
        self.pid = pid
        self._scratch = scratch

    def submit(self, request: str) -> Pending:
        return self.agent.submit(self.address + request)

    def call(self, request: str, timeout: float | None = None) -> Reply:
        return self.submit(request).result(timeout)

    # Descriptors

    def open(self, device: str, *flags: str) -> int:
        return self.call(" ".join(("open", device, *flags))).int("fd")

    def close(self, fd: int) -> None:
        self.call(f"close {fd}")

    def dup(self, fd: int) -> int:
        return self.call(f"dup {fd}").int("fd")

    def ioctl(self, fd: int, command: str | int, address: int) -> int:
        word = command if isinstance(command, str) else f"0x{command:x}"
        return self.call(f"ioctl {fd} {word} 0x{address:x}").int("ret")

    def ioctl_bytes(self, fd: int, command: str | int, data: bytes, out: int = 0) -> bytes:
        """Performs a command on bytes in the agent's own buffer; returns the first ``out`` of
        them."""
        word = command if isinstance(command, str) else f"0x{command:x}"
        reply = self.call(f"ioctl {fd} {word} 0x{self.scratch:x} {data.hex()} {out}")
        return reply.bytes() if out else b""

    @property
    def scratch(self) -> int:
        """Address of the agent's own buffer."""
        if self._scratch is None:
            self._scratch = self.call("scratch").int("addr")
        return self._scratch

    def read(self, fd: int, length: int) -> bytes:
        return self.call(f"read {fd} {length}").bytes()

    def write(self, fd: int, data: bytes) -> int:
        return self.call(f"write {fd} {data.hex()}").int("n")

    def read_to(self, fd: int, address: int, length: int) -> int:
        """read(2) into memory that the caller chooses."""
        return self.call(f"readto {fd} 0x{address:x} {length}").int("n")

    def write_from(self, fd: int, address: int, length: int) -> int:
        return self.call(f"writefrom {fd} 0x{address:x} {length}").int("n")

    def lseek(self, fd: int, offset: int, whence: str = "set") -> int:
        return self.call(f"lseek {fd} {offset} {whence}").int("at")

    def disk(self) -> str:
        """The path of a disk that a case may read and write."""
        return self.call("disk").text("path")

    def aio(self, fd: int, how: str, address: int, length: int) -> int:
        """aio_read(2) or aio_write(2) at the beginning of a file."""
        return self.call(f"aio {fd} {how} 0x{address:x} {length}").int("n")

    def longest(self, path: str, byte: int) -> int:
        """Length of the longest run of a byte in a file."""
        return self.call(f"longest {path} {byte}").int("n")

    def core_in(self, directory: str) -> None:
        """Makes the process leave a core in that directory, should it dump one."""
        self.call(f"corein {directory}")

    def poll(self, fd: int, milliseconds: int = 0) -> set[str]:
        events = self.call(f"poll {fd} {milliseconds}").text("events")
        return set() if events == "none" else set(events.split("+"))

    def pipe(self) -> tuple[int, int]:
        """The read end and the write end."""
        reply = self.call("pipe")
        return reply.int("in"), reply.int("out")

    def socketpair(self) -> tuple[int, int]:
        reply = self.call("socketpair")
        return reply.int("in"), reply.int("out")

    def stat(self, path: str) -> Stat:
        return _stat(self.call(f"stat {path}"))

    def fstat(self, fd: int) -> Stat:
        return _stat(self.call(f"fstat {fd}"))

    def readfile(self, path: str) -> str:
        return self.call(f"readfile {path}").bytes().decode("utf-8", "replace")

    # Memory

    def alloc(self, length: int = PAGE, prot: str = "rw", flags: str = "private") -> int:
        return self.call(f"alloc {length} {prot} {flags}").int("addr")

    def mmap(
        self,
        fd: int,
        length: int,
        offset: int,
        prot: str = "rw",
        flags: str = "shared",
        address: int = 0,
    ) -> int:
        request = f"mmap 0x{address:x} {length} {prot or 'none'} {flags} {fd} 0x{offset:x}"
        return self.call(request).int("addr")

    def munmap(self, address: int, length: int = PAGE) -> None:
        self.call(f"munmap 0x{address:x} {length}")

    def mprotect(self, address: int, length: int, prot: str) -> None:
        self.call(f"mprotect 0x{address:x} {length} {prot}")

    def madvise(self, address: int, length: int, advice: str) -> None:
        self.call(f"madvise 0x{address:x} {length} {advice}")

    def mremap(self, address: int, old: int, new: int, *how: str) -> int:
        return self.call(" ".join((f"mremap 0x{address:x} {old} {new}", *how))).int("addr")

    def mlock(self, address: int, length: int = PAGE) -> None:
        self.call(f"mlock 0x{address:x} {length}")

    def munlock(self, address: int, length: int = PAGE) -> None:
        self.call(f"munlock 0x{address:x} {length}")

    def mlockall(self, what: str) -> None:
        """``current``, ``future``, or ``none`` for munlockall(2)."""
        self.call(f"mlockall {what}")

    def msync(self, address: int, length: int, flag: str) -> None:
        self.call(f"msync 0x{address:x} {length} {flag}")

    def mincore(self, address: int, length: int) -> str:
        """A digit for each page, 1 if it is in memory."""
        return self.call(f"mincore 0x{address:x} {length}").text("pages")

    def inherit(self, address: int, length: int, how: str) -> None:
        """Sets what a child gets: minherit(2), or madvise(2) on Linux."""
        self.call(f"inherit 0x{address:x} {length} {how}")

    def limit_memory(self, length: int | None) -> None:
        """Limits the address space to that many bytes (RLIMIT_AS); None lifts the limit."""
        self.call("rlimit" if length is None else f"rlimit {length}")

    def munmap_race(self, fd: int, offset: int, length: int, times: int) -> int:
        """Maps, and unmaps while a thread stores to the mapping; returns how many stores came
        first."""
        return self.call(f"munmaprace {fd} {offset} {length} {times}").int("stored")

    def segments(
        self, address: int, count: int, source: tuple[int, int], to: int, length: int, status: int
    ) -> None:
        """Makes an array of equal grant copy segments; the source is domid and reference."""
        domid, ref = source
        self.call(f"segments 0x{address:x} {count} {domid} {ref} 0x{to:x} {length} {status}")

    def vmsplice(self, fd: int, address: int, length: int) -> int:
        """Puts the pages themselves into a pipe, which holds them until it is read."""
        return self.call(f"vmsplice {fd} 0x{address:x} {length}").int("n")

    def vfork(self, address: int, byte: int) -> str:
        """A child by vfork(2) stores a byte and ends; returns how it ended."""
        reply = self.call(f"vfork 0x{address:x} {byte:02x}")
        return " ".join(f"{key} {value}" for key, value in reply.values.items())

    def peek(self, address: int, length: int) -> bytes:
        data = b""
        for at in range(0, length, CHUNK):
            part = min(CHUNK, length - at)
            data += self.call(f"peek 0x{address + at:x} {part}").bytes()
        return data

    def poke(self, address: int, data: bytes) -> None:
        for at in range(0, len(data), CHUNK):
            self.call(f"poke 0x{address + at:x} {data[at : at + CHUNK].hex()}")

    def fill(self, address: int, length: int, byte: int) -> None:
        self.call(f"fill 0x{address:x} {length} {byte}")

    def check(self, address: int, length: int, byte: int) -> bool:
        """Whether every byte of a range has this value."""
        return self.call(f"check 0x{address:x} {length} {byte}").int("same") == 1

    def refs(self, address: int, count: int, domid: int, first: int, step: int = 1) -> None:
        """Writes an array of struct ioctl_gntdev_grant_ref."""
        self.call(f"refs 0x{address:x} {count} {domid} {first} {step}")

    def u32(self, address: int) -> int:
        return int(struct.unpack("<I", self.peek(address, 4))[0])

    def u64(self, address: int) -> int:
        return int(struct.unpack("<Q", self.peek(address, 8))[0])

    # Event channels, on a descriptor of "evtchn"

    def bind_unbound(self, fd: int, domid: int) -> int:
        """A new port that a domain may bind to."""
        return self.call(f"bind_unbound {fd} {domid}").int("port")

    def bind_interdomain(self, fd: int, domid: int, remote: int) -> int:
        """A new port bound to a domain's unbound one; binding raises it once."""
        return self.call(f"bind_interdomain {fd} {domid} {remote}").int("port")

    def bind_virq(self, fd: int, virq: int) -> int:
        return self.call(f"bind_virq {fd} {virq}").int("port")

    def unbind(self, fd: int, port: int) -> None:
        self.call(f"unbind {fd} {port}")

    def notify(self, fd: int, port: int) -> None:
        self.call(f"notify {fd} {port}")

    def events(self, fd: int, milliseconds: int = 0) -> list[int]:
        """Ports raised since the last call, unmasked again; waits for the first of them."""
        ports = self.call(f"events {fd} {milliseconds}").text("ports")
        return [] if ports == "none" else [int(port) for port in ports.split(",")]

    # Threads and processes

    def fork(self) -> Worker:
        reply = self.call("fork")
        return Worker(self.agent, f"{self.address}@{reply.int('sub')} ", reply.int("pid"))

    def thread(self) -> Worker:
        reply = self.call("thread")
        return Worker(self.agent, f"{self.address}@{reply.int('sub')} ")

    def _sub(self, child: Worker) -> str:
        prefix, own = child.address[: len(self.address)], child.address[len(self.address) :]
        if prefix != self.address or own.count("@") != 1:
            raise AgentError(f"{child.address!r} is not a direct child of {self.address!r}")
        return own.strip().removeprefix("@")

    def wait(self, child: Worker) -> str:
        """Waits for a child or thread to end: ``exit N`` or the signal's name."""
        reply = self.call(f"wait {self._sub(child)}")
        if "signal" in reply.values:
            return reply.text("signal")
        return f"exit {reply.int('exit')}"

    def kill(self, child: Worker, signal: str = "SIGKILL") -> None:
        self.call(f"kill {self._sub(child)} {signal}")

    def debug_read(self, child: Worker, address: int, length: int) -> bytes:
        """Reads a child's memory as a debugger does; whole words of eight bytes."""
        return self.call(f"debugread {self._sub(child)} 0x{address:x} {length}").bytes()

    def debug_write(self, child: Worker, address: int, data: bytes) -> None:
        self.call(f"debugwrite {self._sub(child)} 0x{address:x} {data.hex()}")

    def exit(self, code: int = 0) -> None:
        self.call(f"exit {code}")

    def exec(self, *program: str) -> None:
        """Executes the agent again in the same process, or another program with its protocol."""
        self.call(" ".join(("exec", *program)))
        self._scratch = None

    def send_fd(self, child: Worker, fd: int) -> int:
        """Passes a descriptor over a socket; returns its number at the receiver."""
        return self.call(f"sendfd {self._sub(child)} {fd}").int("fd")

    def sleep(self, milliseconds: int) -> None:
        self.call(f"sleep {milliseconds}")

    # The system

    def limit(self, device: str, value: int | None = None) -> int:
        """The device's page limit; a value sets it, and the earlier one is returned."""
        return self.call(f"limit {device}" + ("" if value is None else f" {value}")).int("value")

    def unload(self, module: str) -> bool:
        """Unloads a grant module; False if it was in use."""
        return self.call(f"unload {module}").int("busy") == 0

    def load(self, path: str) -> None:
        self.call(f"load {path}")


def _stat(reply: Reply) -> Stat:
    return Stat(reply.text("type"), int(reply.text("mode"), 8), reply.int("uid"), reply.int("gid"))


class PipeTransport:
    """Two descriptors of this machine: a subprocess' pipes or a socket."""

    def __init__(self, read_fd: int, write_fd: int) -> None:
        self.read_fd = read_fd
        self.write_fd = write_fd
        self._buffer = b""

    def sendline(self, line: str) -> None:
        data = line.encode("ascii") + b"\n"
        while data:
            data = data[os.write(self.write_fd, data) :]

    def readline(self, timeout: float) -> str:
        import select

        while b"\n" not in self._buffer:
            readable, _, _ = select.select([self.read_fd], [], [], timeout)
            if not readable:
                raise TimeoutError(f"the agent was silent for {timeout:.0f} s")
            data = os.read(self.read_fd, 65536)
            if not data:
                raise EOFError("the agent closed its stream")
            self._buffer += data
        line, _, self._buffer = self._buffer.partition(b"\n")
        return line.decode("ascii", "replace")


class ChildTransport(PipeTransport):
    """An agent that is a child of this process; it ends when its input does."""

    ENDING_SECONDS = 20.0

    def __init__(
        self,
        command: Sequence[str],
        env: dict[str, str] | None = None,
        stderr: IO[bytes] | None = None,
    ) -> None:
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=stderr, env=env
        )
        assert self._process.stdin is not None and self._process.stdout is not None
        super().__init__(self._process.stdout.fileno(), self._process.stdin.fileno())

    def close(self) -> None:
        """Ends it, by force after :data:`ENDING_SECONDS`; a second call does nothing."""
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.close()
        try:
            self._process.wait(self.ENDING_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()
