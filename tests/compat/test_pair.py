# SPDX-License-Identifier: BSD-2-Clause
"""A DomU beside Dom0: its boot module, the shared line, the peer made of drivers."""

from __future__ import annotations

import struct
from collections import deque

import pytest
from agent.client import PAGE, Agent, Errno
from cases import abi
from cases.framework import NotApplicable
from clients import grants
from clients.shell import Failed
from targets.driver_peer import PAGES, DriverPeer, PairedAgent
from targets.pair import End, Line
from testbed import freebsd_boot


def test_head_and_image_are_the_boot_module() -> None:
    environment = {"a": "1", "b": "x" * 5000}
    image = b"image" * 1000
    head = freebsd_boot.metadata_head(environment, len(image))
    assert len(head) % PAGE == 0
    module = freebsd_boot.metadata(environment, image)
    assert module.startswith(head + image)
    assert len(module) % PAGE == 0 and not module[len(head) + len(image) :].strip(b"\0")


class Control:
    def __init__(self, *lines: str) -> None:
        self.lines = deque(lines)
        self.sent: list[str] = []

    def sendline(self, line: str) -> None:
        self.sent.append(line)

    def readline(self, timeout_effective: float) -> str:
        return self.lines.popleft()


def test_each_end_gets_its_own_lines_in_order() -> None:
    control = Control("g1 ok", "h1 ok", "", "g2 ok", "hlast")
    line = Line(control)
    guest, dom0 = End(line, "g"), End(line, "h")
    assert dom0.readline(1) == "1 ok"
    assert dom0.readline(1) == "last"
    assert [guest.readline(1), guest.readline(1)] == ["1 ok", "2 ok"]
    guest.sendline("3 hello")
    guest.sendline("{ two\n} lines")
    assert control.sent == ["g3 hello", "g{ two", "g} lines"]


def test_a_line_of_nobody_is_an_error() -> None:
    with pytest.raises(Failed, match="xengnt-mux: h has ended"):
        End(Line(Control("xengnt-mux: h has ended")), "g").readline(1)


class FakeDrivers:
    """The other side's agent: the parts of gntalloc and gntdev that the peer uses."""

    def __init__(self) -> None:
        self.memory: dict[int, bytearray] = {}
        self.answers: deque[str] = deque()
        self.requests: list[str] = []
        self.next_ref = 100
        self.next_place = 0x100000

    def sendline(self, line: str) -> None:
        seq, *words = line.split()
        self.requests.append(" ".join(words))
        self.answers.append(f"{seq} {self.answer(words)}")
        if words[0] == "end":
            self.answers[-1] = "! exit 0"

    def readline(self, timeout: float) -> str:
        return self.answers.popleft()

    def answer(self, words: list[str]) -> str:
        match words:
            case ["scratch"]:
                return "ok addr=0x1000"
            case ["open", *_]:
                return "ok fd=3"
            case ["ioctl", _, abi.ALLOC_GREF, _, data, size]:
                domid, flags, count, _, _ = abi.ALLOC.unpack(bytes.fromhex(data))
                refs = range(self.next_ref, self.next_ref + count)
                self.next_ref += count
                head = struct.pack("<HHIQ", domid, flags, count, refs[0] * PAGE)
                back = head + b"".join(struct.pack("<I", ref) for ref in refs)
                return f"ok ret=0 data={back.ljust(int(size), bytes(1)).hex()}"
            case ["ioctl", *_]:
                return f"ok ret=0 data={bytes(64).hex()}"
            case ["mmap", _, length, *_]:
                place, self.next_place = self.next_place, self.next_place + int(length)
                for at in range(place, place + int(length), PAGE):
                    self.memory[at] = bytearray(PAGE)
                return f"ok addr=0x{place:x}"
            case ["poke", place, data]:
                at, offset = divmod(int(place, 0), PAGE)
                raw = bytes.fromhex(data)
                self.memory[at * PAGE][offset : offset + len(raw)] = raw
                return "ok"
            case ["peek", place, length]:
                at, offset = divmod(int(place, 0), PAGE)
                return f"ok data={self.memory[at * PAGE][offset : offset + int(length)].hex()}"
            case ["fill", place, length, byte]:
                self.memory[int(place, 0)][:] = bytes([int(byte)]) * int(length)
                return "ok"
            case _:
                return "ok"


def _peer() -> tuple[PairedAgent, FakeDrivers, dict[int, int]]:
    drivers = FakeDrivers()
    in_use: dict[int, int] = {}
    subject = PairedAgent(Control())
    subject.other = DriverPeer(Agent(drivers), 0, 1, lambda: in_use)
    return subject, drivers, in_use


def test_the_drivers_choose_the_references() -> None:
    subject, drivers, _ = _peer()
    assert subject.peer("info").int("domid") == 0
    refs = [subject.peer(f"grant 8 {page} 0x1 domid=0").int("ref") for page in (0, 5)]
    assert refs == [100, 105]
    # One allocation for all pages, granted to the domain under test.
    (request,) = [line for line in drivers.requests if abi.ALLOC_GREF in line]
    domid, flags, count, _, _ = abi.ALLOC.unpack(bytes.fromhex(request.split()[4]))
    assert (domid, flags, count) == (1, abi.WRITABLE, PAGES)


def test_what_was_written_first_is_in_a_read_only_grant() -> None:
    subject, drivers, _ = _peer()
    subject.peer("write 3 16 616263")
    ref = subject.peer(f"grant 8 3 0x{abi.GTF_PERMIT | abi.GTF_READONLY:x} domid=0").int("ref")
    assert ref == 100 + PAGES
    assert subject.peer("read 3 16 3").bytes() == b"abc"
    flags = abi.ALLOC.unpack(
        bytes.fromhex([r for r in drivers.requests if abi.ALLOC_GREF in r][-1].split()[4])
    )[1]
    assert flags == 0


def test_a_page_in_use_is_not_cleared() -> None:
    subject, _, in_use = _peer()
    ref = subject.peer("grant 8 0 0x1 domid=0").int("ref")
    subject.peer("write 0 0 ff")
    in_use[ref] = 0x19
    assert subject.peer(f"entry {ref}").text("flags") == "0x19"
    with pytest.raises(Errno, match="EBUSY"):
        subject.peer("clear")
    in_use.clear()
    subject.peer("clear")
    assert subject.peer("read 0 0 1").bytes() == b"\0"
    assert subject.peer(f"entry {ref}").text("flags") == "0x0"


def test_xen_is_asked_once_about_many_entries() -> None:
    subject, _, _ = _peer()
    asked: list[int] = []

    def looks() -> dict[int, int]:
        asked.append(1)
        return {5: 0x19}

    subject.other = DriverPeer(Agent(FakeDrivers()), 0, 1, looks)
    replies = subject.call_all(["peer entry 5", "peer entry 6"])
    assert [reply.text("flags") for reply in replies] == ["0x19", "0x0"]
    assert len(asked) == 1
    subject.peer("entry 5")
    assert len(asked) == 2


@pytest.mark.parametrize(
    "request_",
    [
        "new pages=512",
        "grant 8 none 0x1",
        "grant 8 0 0x2",
        "flags 8 0",
        "destroy",
        "evtchn_alloc 0",
    ],
)
def test_what_drivers_cannot_do_is_not_applicable(request_: str) -> None:
    with pytest.raises(NotApplicable):
        _peer()[0].peer(request_)


def test_a_page_is_granted_once() -> None:
    subject, _, _ = _peer()
    subject.peer("grant 8 0 0x1")
    with pytest.raises(NotApplicable, match="once"):
        subject.peer("grant 9 0 0x1")


def test_flags_of_one_granter() -> None:
    log = (
        f"(XEN) {grants.BEGIN}\n"
        "(XEN) grant-table for remote d0 (v1)\n"
        "(XEN) [0x008]      1 0x4bda9 0x00000002          1 0x0fefff 0x19\n"
        "(XEN) grant-table for remote d1 (v1)\n"
        "(XEN) [0x00b]      0 0x1ebe9 0x00000001          0 0x0071e9 0x0d\n"
        f"(XEN) {grants.END}\n"
    )
    assert grants.flags(log, 1) == {0xB: 0x0D}
    assert grants.flags(log, 0) == {8: 0x19}
